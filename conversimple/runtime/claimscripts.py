"""The keys of claims in Redis, and every script on them.

Each script runs as one, and does the same if it is run again: it may have run though
its answer was lost. Under ``conversimple:{customer}:claims``, in one node of a cluster:

- ``:kinds``, a hash: what is noted and not over, and what has to serve it.
- ``:leases``, a hash: by name the end of a lease, in milliseconds, the worker that has
  it, and a number that grows from one lease of the worker to the next.
- ``:seen``, a sorted set: when a name was last noted, taken, renewed or released.

There is one clock, the server's. What is not seen for a day is forgotten, and without
workers all keys expire. What is not ours, there by mistake, counts for nothing.
"""

from __future__ import annotations

from urllib.parse import quote

#: Milliseconds after which what nobody holds, and nobody notes, is forgotten.
DAY = 86_400_000


def keys_of(customer_id: str) -> list[str]:
    """The keys of a customer; every script takes all of them."""
    # Quoted, no customer can close the braces.
    base = f"conversimple:{{{quote(blob(customer_id), safe='')}}}:claims"
    return [f"{base}:kinds", f"{base}:leases", f"{base}:seen"]


def blob(text: str) -> bytes:
    """Text as bytes: what the platform sends as an id need not be valid Unicode."""
    return text.encode("utf-8", "surrogatepass")


def texts(values: list[bytes]) -> list[str | None]:
    """Bytes as text, and None for what is none."""
    return [_text(value) for value in values]


def _text(value: bytes) -> str | None:
    try:
        return value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


_COMMON = f"""
local KINDS, LEASES, SEEN = KEYS[1], KEYS[2], KEYS[3]
local DAY = {DAY}
local stamp = redis.call('TIME')
local now = stamp[1] * 1000 + math.floor(stamp[2] / 1000)

-- As a whole number: Lua would write 1.7e+12.
local function exact(number) return string.format('%.0f', number) end

-- The worker and the number of a lease that has not ended, or nothing.
local function read(lease)
  local ends, worker, serial = string.match(lease or '', '^(%d+) (%S+) (%d+)$')
  if ends and tonumber(ends) > now then return worker, serial end
end
local function holder(name) return read(redis.call('HGET', LEASES, name)) end

local function see(name) redis.call('ZADD', SEEN, exact(now), name) end
local function note(name, kind)
  redis.call('HSET', KINDS, name, kind)
  see(name)
end
local function lend(name, worker, lease, serial)
  local ends = exact(now + lease)
  redis.call('HSET', LEASES, name, ends .. ' ' .. worker .. ' ' .. serial)
  see(name)
end
local function keep_keys()
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * DAY) end
end
"""

#: ARGV: name, kind.
NOTE = f"""{_COMMON}
note(ARGV[1], ARGV[2])
keep_keys()
"""

#: ARGV: worker, lease, name, kind, serial. Returns 1 if it is this worker's.
TAKE = f"""{_COMMON}
local worker, lease, name = ARGV[1], ARGV[2], ARGV[3]
note(name, ARGV[4])
local is_free = (holder(name) or worker) == worker
if is_free then lend(name, worker, lease, ARGV[5]) end
keep_keys()
return is_free and 1 or 0
"""

#: ARGV: worker, lease; name, kind, serial of each. Returns 1 for each that is kept.
RENEW = f"""{_COMMON}
local worker, lease, kept = ARGV[1], ARGV[2], {{}}
for i = 3, #ARGV, 3 do
  local name, current = ARGV[i], holder(ARGV[i])
  if (current or worker) == worker then
    -- Noted again only if it may be forgotten: another worker may have ended it.
    if not current then note(name, ARGV[i + 1]) end
    lend(name, worker, lease, ARGV[i + 2])
    kept[#kept + 1] = 1
  else
    kept[#kept + 1] = 0
  end
end
keep_keys()
return kept
"""

#: ARGV: worker, whether it is over; name, serial of each.
RELEASE = f"""{_COMMON}
local worker, over = ARGV[1], ARGV[2] == '1'
for i = 3, #ARGV, 2 do
  local name = ARGV[i]
  local current, serial = holder(name)
  local ours = current == worker and serial == ARGV[i + 1]
  if over then redis.call('HDEL', KINDS, name) end
  if ours or (over and not current) then redis.call('HDEL', LEASES, name) end
  if over and (ours or not current) then redis.call('ZREM', SEEN, name) end
  if ours and not over then see(name) end
end
keep_keys()
"""

#: Returns name and kind of each that nobody holds.
FREE = f"""{_COMMON}
local before = exact(now - DAY)
local old = redis.call('ZRANGEBYSCORE', SEEN, '-inf', before, 'LIMIT', 0, 1000)
for _, name in ipairs(old) do
  redis.call('HDEL', KINDS, name)
  redis.call('HDEL', LEASES, name)
  redis.call('ZREM', SEEN, name)
end
local leases, free = {{}}, {{}}
local all = redis.call('HGETALL', LEASES)
for i = 1, #all, 2 do leases[all[i]] = all[i + 1] end
all = redis.call('HGETALL', KINDS)
for i = 1, #all, 2 do
  if not read(leases[all[i]]) then
    free[#free + 1] = all[i]
    free[#free + 1] = all[i + 1]
  end
end
return free
"""
