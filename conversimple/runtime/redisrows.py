"""The calls in a Redis server, as values: what the scripts take and give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core.journaling import Answer, Entry, Recovered, Verdict
from ..core.keys import Key
from .redisbacklog import Batch, Saved
from .redisscripts import (
    BEGIN,
    LEAVE,
    LOOK,
    RECOVER,
    RENEW,
    SAVE,
    blob,
    call_id,
    same_id,
    text,
)
from .redisserver import Argument, Server

logger = logging.getLogger(__name__)

#: A call is not asked again after this, in seconds.
CALL_AGE = 24 * 3600.0
#: The answer itself is kept for so long after its delivery, in seconds.
BODY_AGE = 3600.0
#: An answer that is older counts as delivered, in seconds, once the lease is over: a
#: living agent looks for what is left once a minute.
DELIVERED_AFTER = 120.0
#: How much is taken over at once.
TOGETHER = 50


class Owner(NamedTuple):
    """A journal as others know it.

    Attributes:
        lease: seconds for which it counts as alive after each sign.
    """

    name: str
    customer: str
    lease: float


def begin(
    server: Server,
    owner: Owner,
    entry: Entry,
    ticket: str,
    wall: str,
    lost: Callable[[], object],
) -> Verdict | Answer:
    """Note that a call begins, unless it must not.

    Args:
        server: where.
        owner: for whom.
        entry: the call.
        ticket: tells this attempt from all others of the owner.
        wall: the time, or nothing for the server's.
        lost: called if it may have been noted, though no answer came.
    """
    known = server.ask(
        BEGIN,
        owner.customer,
        owner.name,
        _milliseconds(owner.lease),
        wall,
        call_id(entry.key),
        ticket,
        blob(entry.key.conversation_id),
        blob(entry.key.call_id),
        entry.digest,
        blob(entry.tool_name),
        entry.once or b"",
        same_id(entry),
        "1" if entry.idempotent else "",
        _milliseconds(CALL_AGE),
        read=lambda reply: _known(reply, entry),
        lost=lost,
    )
    assert known is not None
    return known


def look(server: Server, customer: str, entry: Entry) -> Verdict | Answer | None:
    """What is known of a call, or None."""
    return server.ask(
        LOOK,
        customer,
        call_id(entry.key),
        entry.digest,
        read=lambda reply: _known(reply, entry),
    )


def save(server: Server, batch: Batch, wall: str) -> Saved:
    """Note answers and deliveries, and undo lost begins."""
    ages = _milliseconds(CALL_AGE), _milliseconds(BODY_AGE)
    arguments: list[Argument] = [wall, *ages, len(batch.answers)]
    for owner, _, answer in batch.answers:
        body = blob(answer.event) + b"\n" + blob(answer.body)
        arguments += [call_id(answer.key), owner, "1" if answer.counts else "0", body]
    arguments.append(len(batch.deliveries))
    arguments += [call_id(key) for key in batch.deliveries]
    arguments.append(len(batch.lost))
    for begun in batch.lost:
        arguments += [call_id(begun.key), begun.owner, begun.ticket]
    return server.ask(SAVE, batch.customer, *arguments, read=_saved)


def take_over(
    server: Server,
    owner: Owner,
    scope: str | None,
    idempotent: bool,
    tickets: Sequence[str],
    wall: str,
    lost: Callable[[], object],
) -> tuple[list[Recovered], bool]:
    """Take over what dead owners have left, oldest first.

    Args:
        server: where.
        owner: for whom.
        scope: only this conversation.
        idempotent: also calls that were begun and may simply run again.
        tickets: first the one of this attempt, then those whose answers were lost.
        wall: the time, or nothing for the server's.
        lost: called if this may have been done, though no answer came.

    Returns:
        Some of it, and whether there is more.
    """
    arguments: list[Argument] = [
        owner.name,
        _milliseconds(owner.lease),
        wall,
        _milliseconds(CALL_AGE),
        _milliseconds(BODY_AGE),
        DELIVERED_AFTER + owner.lease,
        TOGETHER,
        tickets[0],
        "1" if idempotent else "",
        "" if scope is None else "1",
        blob(scope or ""),
        *tickets[1:],
    ]
    rows, more = server.ask(
        RECOVER,
        owner.customer,
        *arguments,
        read=lambda reply: (list(reply[0]), _is_one(reply[1])),
        lost=lost,
        # What the first time has taken over is to be found by the second.
        again=[*arguments, tickets[0]],
    )
    return _readable(rows, server.place), more


def renew(
    server: Server, owners: Sequence[Owner], is_new: bool = False
) -> tuple[int, set[str]]:
    """Show that owners of one customer, with one lease, live.

    Returns:
        How many had shown nothing for longer than their lease; and the customer's
        owners that are dead.
    """
    customer, lease = owners[0].customer, owners[0].lease
    names = (owner.name for owner in owners)
    told = _milliseconds(lease), "1" if is_new else ""
    return server.ask(
        RENEW,
        customer,
        *told,
        *names,
        read=lambda reply: (int(reply[0]), {name.decode() for name in reply[1]}),
    )


def leave(server: Server, owner: Owner) -> None:
    """Show that an owner lives no longer: others take over what it has left."""
    server.ask(LEAVE, owner.customer, owner.name, read=bool)


def _readable(rows: Sequence[Any], place: str) -> list[Recovered]:
    recovered = []
    for row in rows:
        try:
            recovered.append(_recovered(row))
        except (ValueError, TypeError, AttributeError):
            # The others are ours to answer all the same.
            logger.error("the journal %s holds a call that cannot be read", place)
    return recovered


def _known(reply: Any, entry: Entry) -> Verdict | Answer | None:
    """What the scripts have to say of a call."""
    word = reply[0].decode()
    if word == "NONE":
        return None
    if word not in ("ANSWER", "REPEATED"):
        return Verdict[word]
    key = entry.key
    if word == "REPEATED":
        key = Key(key.conversation_id, text(reply[3]))
    return _answer(key, reply[1], reply[2])


def _answer(key: Key, value: bytes, counts: bytes | None) -> Answer:
    event, _, body = value.partition(b"\n")
    return Answer(key, text(event), text(body), counts != b"0")


def _recovered(row: list[Any]) -> Recovered:
    conversation, call, digest, tool, once, idempotent, _, counts, body = row
    if not isinstance(digest, bytes):
        raise ValueError("a call without a digest")
    key = Key(text(conversation), text(call))
    entry = Entry(key, digest, text(tool), once, idempotent == b"1")
    return Recovered(entry, None if body is None else _answer(key, body, counts))


def _saved(reply: Any) -> Saved:
    taken, undone = reply
    return Saved([*map(_is_one, taken)], [*map(_is_one, undone)])


def _is_one(reply: Any) -> bool:
    return int(reply) == 1


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
