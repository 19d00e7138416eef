"""The journal's keys in Redis, and every script on them.

Each script runs as one, and does the same if it is run again: it may have run though
its answer was lost. All keys of a customer have one hash tag, so that they are on one
node of a cluster; scripts make most names themselves, from the one they are given.

Under ``conversimple:{customer}:journal``:

- ``:call:<id>``, a hash for each call; ``state`` is 0 begun, 1 answered, 2 confirmed.
  A confirmed one keeps only what tells whether it was asked before.
- ``:body:<id>``, its answer: the event, a line feed, the body.
- ``:begun:<owner>``, a sorted set: the unconfirmed calls of an owner, by their number.
- ``:same:<id>``, a sorted set: calls with the same arguments, by their number.
- ``:owners``, a sorted set: until when each owner counts as alive, by the server's
  clock; 0 for one that has left.
- ``:grace``, while owners that were not heard of are not taken for dead.
- ``:count``, the last number.

Everything expires by itself. Errors begin with GARBAGE where a value is not ours. The
first write of a script is one that a server without memory refuses, so that none is
done by halves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import quote

from ..core.journaling import Entry
from ..core.keys import Key


def base_of(customer_id: str) -> str:
    """The beginning of all keys of a customer."""
    # Quoted, no customer can close the braces.
    tag = quote(blob(customer_id), safe="")
    return f"conversimple:{{{tag}}}:journal"


def call_id(key: Key) -> str:
    """The name of a call in keys."""
    return _digest(key.conversation_id, key.call_id)


def same_id(entry: Entry) -> str:
    """What calls with the same arguments have in common; empty for ordinary tools."""
    if entry.once is None:
        return ""
    return _digest(entry.key.conversation_id, entry.tool_name, entry.once)


def blob(text: str) -> bytes:
    """Text as bytes: what the platform sends as an id need not be valid Unicode."""
    return text.encode("utf-8", "surrogatepass")


def text(value: bytes) -> str:
    """The text again."""
    return value.decode("utf-8", "surrogatepass")


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in _blobs(parts):
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def _blobs(parts: Sequence[str | bytes]) -> list[bytes]:
    return [part if isinstance(part, bytes) else blob(part) for part in parts]


_COMMON = """
local base = KEYS[1]
local OWNERS, GRACE, COUNT = base .. ':owners', base .. ':grace', base .. ':count'
local TWO_DAYS = 172800000
local stamp = redis.call('TIME')
local clock = stamp[1] + stamp[2] / 1000000

local function call_key(id) return base .. ':call:' .. id end
local function body_key(id) return base .. ':body:' .. id end
local function same_key(id) return base .. ':same:' .. id end
local function begun_key(owner) return base .. ':begun:' .. owner end
local function exact(number) return string.format('%.6f', number) end

-- The wall clock: a test's own, or the server's.
local function wall(given)
  if given == '' then return clock end
  return tonumber(given)
end

local function number(value) return tonumber(value or '0') or 0 end

local function heard_until(owner)
  return number(redis.call('ZSCORE', OWNERS, owner))
end

local function is_alive(owner)
  local till = heard_until(owner)
  return till > clock or (till > 0 and redis.call('EXISTS', GRACE) == 1)
end

-- Whoever does anything is alive. If nobody was, it is the server that was away:
-- then others are given the time to say so, too.
local function appear(owner, lease)
  if heard_until(owner) > clock then return end
  if redis.call('ZCOUNT', OWNERS, exact(clock), '+inf') == 0 then
    redis.call('SET', GRACE, '', 'PX', lease)
  end
  redis.call('ZADD', OWNERS, exact(clock + lease / 1000), owner)
  redis.call('PEXPIRE', OWNERS, TWO_DAYS)
end

local function garbage(id) return redis.error_reply('GARBAGE in ' .. call_key(id)) end

-- The answer of a call; that of another one, which has its own id, to a repeat.
local function answered(id, counts, other)
  local body = redis.call('GET', body_key(id))
  if not body then return {'EVICTED'} end
  return {other and 'REPEATED' or 'ANSWER', body, counts or '1', other}
end

local function keep_begun(owner, place, id, age)
  redis.call('ZADD', begun_key(owner), place, id)
  redis.call('PEXPIRE', begun_key(owner), age)
end

-- Keeps of a call whose answer was delivered what a begin, or a repeat, needs.
local function settle(id, owner, once, short)
  redis.call('HSET', call_key(id), 'state', '2')
  redis.call('ZREM', begun_key(owner or ''), id)
  redis.call('HDEL', call_key(id), 'conversation', 'tool', 'owner', 'since', 'ticket',
    'idempotent')
  if not once then redis.call('HDEL', call_key(id), 'call') end
  redis.call('PEXPIRE', body_key(id), short)
end

-- Gives a call that is noted to another owner, in its old place.
local function take(id, old, new, ticket, age)
  local place = redis.call('ZSCORE', begun_key(old), id)
  redis.call('HSET', call_key(id), 'owner', new, 'ticket', ticket)
  redis.call('ZREM', begun_key(old), id)
  keep_begun(new, place or redis.call('INCR', COUNT), id, age)
  redis.call('PEXPIRE', call_key(id), age)
end
"""

#: owner, lease (ms), wall clock, call's id, ticket, conversation, call, digest, tool,
#: once, same's id, "1" if idempotent, age of calls (ms) → what a begin comes to.
BEGIN = _COMMON + """
local me, lease, id, ticket = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local digest, same, idempotent, age = ARGV[8], ARGV[11], ARGV[12] == '1', ARGV[13]

local function repeated()
  local begun, busy = false, false
  if same == '' then return {'RUN'} end
  for _, other in ipairs(redis.call('ZRANGE', same_key(same), 0, -1)) do
    local row = redis.call('HMGET', call_key(other), 'state', 'owner', 'counts',
      'call')
    if other == id then
      -- It is no repeat of itself.
    elseif row[1] == '0' then
      begun = true
      busy = busy or is_alive(row[2] or '')
    elseif row[1] and row[3] ~= '0' then
      return row[4] and answered(other, row[3], row[4]) or garbage(other)
    end
  end
  if busy then return {'REPEATED_ELSEWHERE'} end
  if begun and not idempotent then return {'UNKNOWN'} end
  return {'RUN'}
end

local function note(mark)
  local place = redis.call('INCR', COUNT)
  redis.call('PEXPIRE', COUNT, TWO_DAYS)
  redis.call('HSET', call_key(id), 'digest', digest, 'state', '0', 'owner', me,
    'ticket', mark, 'conversation', ARGV[6], 'call', ARGV[7], 'tool', ARGV[9],
    'since', exact(wall(ARGV[3])))
  if idempotent then redis.call('HSET', call_key(id), 'idempotent', '1') end
  if same ~= '' then
    redis.call('HSET', call_key(id), 'once', ARGV[10])
    redis.call('ZADD', same_key(same), place, id)
    redis.call('PEXPIRE', same_key(same), age)
  end
  keep_begun(me, place, id, age)
  redis.call('PEXPIRE', call_key(id), age)
end

appear(me, lease)
local row = redis.call('HMGET', call_key(id), 'digest', 'state', 'owner', 'ticket',
  'counts')
local known, state, owner = row[1], row[2], row[3]
if not known and redis.call('EXISTS', call_key(id)) == 1 then return garbage(id) end
if known then
  if known ~= digest then return {'REUSED'} end
  if state == '1' or state == '2' then return answered(id, row[5]) end
  if state ~= '0' or not owner then return garbage(id) end
  if owner == me then
    -- Asked again, because the answer was lost.
    local mark, verdict = string.match(row[4] or '', '^(%d+) %a+ (%a+)$')
    if mark == ticket then return {verdict} end
  end
  if is_alive(owner) then return {'ELSEWHERE'} end
end
local verdict = {'UNKNOWN'}
if not known or idempotent then verdict = repeated() end
if verdict[1] == 'RUN' or verdict[1] == 'UNKNOWN' then
  if known then
    take(id, owner, me, ticket .. ' taken ' .. verdict[1], age)
  else
    note(ticket .. ' new ' .. verdict[1])
  end
end
return verdict
"""

#: call's id, digest → what is known of a call.
LOOK = _COMMON + """
local id = ARGV[1]
local row = redis.call('HMGET', call_key(id), 'digest', 'state', 'counts')
if not row[1] then
  if redis.call('EXISTS', call_key(id)) == 1 then return garbage(id) end
  return {'NONE'}
end
if row[1] ~= ARGV[2] then return {'REUSED'} end
if row[2] == '0' then return {'ELSEWHERE'} end
return answered(id, row[3])
"""

#: wall clock, age of calls (ms), age of delivered bodies (ms); then the number of
#: answers, and for each: id, owner, "1" if it counts, event and body; of deliveries:
#: id; of lost begins: id, owner, ticket → for each answer 1 if others have taken the
#: call over; for each lost begin 1 if it is found and undone.
SAVE = _COMMON + """
local now, age, short, at = wall(ARGV[1]), ARGV[2], ARGV[3], 4

local function next_argument()
  at = at + 1
  return ARGV[at - 1]
end

local function answer()
  local id, owner, counts, body =
    next_argument(), next_argument(), next_argument(), next_argument()
  local row = redis.call('HMGET', call_key(id), 'state', 'owner')
  if row[1] and row[2] ~= owner then return 1 end
  if row[1] ~= '0' then return 0 end
  redis.call('SET', body_key(id), body, 'PX', age)
  redis.call('HSET', call_key(id), 'state', '1', 'since', exact(now),
    'counts', counts)
  redis.call('HDEL', call_key(id), 'ticket')
  redis.call('PEXPIRE', call_key(id), age)
  return 0
end

local function confirm()
  local id = next_argument()
  local row = redis.call('HMGET', call_key(id), 'state', 'owner', 'once')
  if row[1] ~= '1' then return end
  settle(id, row[2], row[3], short)
  redis.call('PEXPIRE', call_key(id), age)
end

local function undo()
  local id, owner, ticket = next_argument(), next_argument(), next_argument()
  local row = redis.call('HMGET', call_key(id), 'state', 'owner', 'ticket')
  local mark, how = string.match(row[3] or '', '^(%d+) (%a+) %a+$')
  if row[1] ~= '0' or row[2] ~= owner or mark ~= ticket then return 0 end
  if how == 'new' then
    redis.call('DEL', call_key(id))
    redis.call('ZREM', begun_key(owner), id)
  else
    -- For whoever comes.
    redis.call('ZADD', OWNERS, 0, 'nobody')
    take(id, owner, 'nobody', '', age)
  end
  return 1
end

local taken, undone = {}, {}
for _ = 1, next_argument() do table.insert(taken, answer()) end
for _ = 1, next_argument() do confirm() end
for _ = 1, next_argument() do table.insert(undone, undo()) end
return {taken, undone}
"""

#: owner, lease (ms), wall clock, age of calls (ms), age of delivered bodies (ms), since
#: when answers count as delivered (s ago), how many at most, ticket, "1" if idempotent,
#: "1" if only one conversation, that conversation; then tickets whose answers were lost
#: → what was taken over, and 1 if there is more.
RECOVER = _COMMON + """
local me, lease, age, short = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local limit, most, ticket = wall(ARGV[3]) - ARGV[6], tonumber(ARGV[7]), ARGV[8]
local idempotent, scoped, scope = ARGV[9] == '1', ARGV[10] == '1', ARGV[11]
local lost, found = {}, {}
for position = 12, #ARGV do lost[ARGV[position]] = true end

local function is_wanted(row)
  if scoped and row[3] ~= scope then return false end
  return row[1] == '1' or idempotent or not row[4]
end

local function look_through(owner)
  local calls = redis.call('ZRANGE', begun_key(owner), 0, -1, 'WITHSCORES')
  for position = 1, #calls, 2 do
    local id, place = calls[position], number(calls[position + 1])
    local row = redis.pcall('HMGET', call_key(id), 'state', 'since', 'conversation',
      'idempotent', 'ticket', 'once')
    if owner == me then
      local mark = string.match(row[5] or '', '^(%d+) ')
      if lost[mark or ''] then table.insert(found, {place, id, owner}) end
    elseif row[1] ~= '0' and row[1] ~= '1' then
      redis.call('ZREM', begun_key(owner), id)
    elseif row[1] == '1' and number(row[2]) < limit then
      settle(id, owner, row[6], short)
    elseif is_wanted(row) then
      table.insert(found, {place, id, owner})
    end
  end
  if #calls == 0 and owner ~= me then redis.call('ZREM', OWNERS, owner) end
end

appear(me, lease)
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', OWNERS, '-inf', exact(clock))) do
  if not is_alive(owner) then look_through(owner) end
end
if next(lost) then look_through(me) end
table.sort(found, function(one, other) return one[1] < other[1] end)
local taken = {}
for position = 1, math.min(most, #found) do
  local id, owner = found[position][2], found[position][3]
  take(id, owner, me, ticket .. ' taken RECOVERED', age)
  local row = redis.call('HMGET', call_key(id), 'conversation', 'call', 'digest',
    'tool', 'once', 'idempotent', 'state', 'counts')
  local body = row[7] == '1' and redis.call('GET', body_key(id))
  table.insert(row, body)
  table.insert(taken, row)
end
return {taken, #found > most and 1 or 0}
"""

#: lease (ms), "1" for new owners, the owners → how many had not been heard of for too
#: long, and all that are dead.
RENEW = _COMMON + """
local lease, is_new, lapsed = ARGV[1], ARGV[2] == '1', 0
for position = 3, #ARGV do
  local owner = ARGV[position]
  local till = redis.call('ZSCORE', OWNERS, owner)
  if is_new or till ~= '0' then
    if not is_new and number(till) <= clock then
      lapsed = lapsed + 1
      appear(owner, lease)
    end
    redis.call('ZADD', OWNERS, exact(clock + lease / 1000), owner)
  end
end
redis.call('PEXPIRE', OWNERS, TWO_DAYS)
local dead = {}
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', OWNERS, '-inf', exact(clock))) do
  if not is_alive(owner) then table.insert(dead, owner) end
end
return {lapsed, dead}
"""

#: owner → nothing; what it has left is there for others at once.
LEAVE = _COMMON + """
if redis.call('EXISTS', begun_key(ARGV[1])) == 1 then
  redis.call('ZADD', OWNERS, 0, ARGV[1])
else
  redis.call('ZREM', OWNERS, ARGV[1])
end
"""
