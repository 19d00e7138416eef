"""The journal's tables, and every statement on them.

Text is kept as bytes: what the platform sends as an id need not be valid Unicode.
Nothing of the arguments is kept but their digest; bodies are results as they were sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..core.journaling import Answer, Entry
from ..core.keys import Key

APPLICATION_ID = 0x434A524E
VERSION = 1

STARTED, ANSWERED, CONFIRMED = 0, 1, 2

#: Rows are numbered in the order of their beginnings. `kept` has the sum of all bodies,
#: so that nobody has to add them up.
SCHEMA = """
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    customer BLOB NOT NULL,
    conversation BLOB NOT NULL,
    call BLOB NOT NULL,
    digest BLOB NOT NULL,
    tool BLOB NOT NULL,
    once BLOB,
    idempotent INTEGER NOT NULL,
    state INTEGER NOT NULL,
    owner TEXT NOT NULL,
    since REAL NOT NULL,
    counts INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX call_by_key ON calls (customer, conversation, call);
CREATE INDEX call_by_owner ON calls (customer, owner) WHERE state < 2;
CREATE INDEX call_by_arguments ON calls (customer, conversation, tool, once)
    WHERE once IS NOT NULL;
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    event BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE kept (bytes INTEGER NOT NULL);
INSERT INTO kept VALUES (0);
CREATE TRIGGER body_kept AFTER INSERT ON bodies BEGIN
    UPDATE kept SET bytes = bytes + new.size;
END;
CREATE TRIGGER body_gone AFTER DELETE ON bodies BEGIN
    UPDATE kept SET bytes = bytes - old.size;
END;
CREATE TRIGGER call_gone AFTER DELETE ON calls BEGIN
    DELETE FROM bodies WHERE id = old.id;
END;
"""

NEXT_OWNER = """SELECT min(owner) FROM calls
    WHERE customer = ? AND owner > ? AND state < 2"""

_COLUMNS = """id, conversation, call, digest, tool, once, idempotent, state, owner,
    since, counts"""
_KEY = "customer = ? AND conversation = ? AND call = ?"


class Row(NamedTuple):
    """A call as it is noted."""

    id: int
    entry: Entry
    state: int
    owner: str
    since: float
    counts: bool


def create(db: sqlite3.Connection) -> None:
    """Make the tables; inside a transaction."""
    mark(db)
    statement = ""
    # Not executescript, which commits first.
    for line in SCHEMA.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def mark(db: sqlite3.Connection) -> None:
    """Say what file this is; to say it again shows whether it can be written."""
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def find(db: sqlite3.Connection, customer: str, key: Key) -> Row | None:
    """The row of a call."""
    found = _rows(db, f"WHERE {_KEY}", _key(customer, key))
    return next(found, None)


def repeats(db: sqlite3.Connection, customer: str, entry: Entry) -> list[Row]:
    """The other calls of the same tool with the same arguments, oldest first."""
    found = _rows(
        db,
        """WHERE customer = ? AND conversation = ? AND tool = ? AND once = ?
            AND call <> ? ORDER BY id""",
        (
            _blob(customer),
            _blob(entry.key.conversation_id),
            _blob(entry.tool_name),
            entry.once,
            _blob(entry.key.call_id),
        ),
    )
    return list(found)


def answer_of(db: sqlite3.Connection, row: Row) -> Answer | None:
    """The answer of a call, unless it is evicted."""
    found = db.execute("SELECT event, body FROM bodies WHERE id = ?", (row.id,))
    for event, body in found.fetchall():
        return Answer(row.entry.key, _text(event), _text(body), row.counts)
    return None


def insert(
    db: sqlite3.Connection, customer: str, entry: Entry, owner: str, now: float
) -> None:
    """Note that a call has begun."""
    db.execute(
        """INSERT INTO calls (customer, conversation, call, digest, tool, once,
            idempotent, state, owner, since)
            VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)""",
        (
            *_key(customer, entry.key),
            entry.digest,
            _blob(entry.tool_name),
            entry.once,
            entry.idempotent,
            owner,
            now,
        ),
    )


def take(db: sqlite3.Connection, row: Row, owner: str) -> None:
    """Give a call to another owner."""
    db.execute("UPDATE calls SET owner = ? WHERE id = ?", (owner, row.id))


def answer(
    db: sqlite3.Connection, customer: str, answer: Answer, owner: str, now: float
) -> None:
    """Note the answer of a call that this owner has begun; any other is ignored."""
    row = find(db, customer, answer.key)
    if row is None or row.state != STARTED or row.owner != owner:
        return
    db.execute(
        "UPDATE calls SET state = 1, since = ?, counts = ? WHERE id = ?",
        (now, answer.counts, row.id),
    )
    body = _blob(answer.body)
    db.execute(
        "INSERT INTO bodies VALUES (?, ?, ?, ?)",
        (row.id, len(body), _blob(answer.event), body),
    )


def confirm(db: sqlite3.Connection, customer: str, key: Key, now: float) -> None:
    """Note that the answer of a call was delivered."""
    db.execute(
        f"UPDATE calls SET state = 2, since = ? WHERE {_KEY} AND state = 1",
        (now, *_key(customer, key)),
    )


def owners(db: sqlite3.Connection, customer: str) -> Iterator[str]:
    """Whoever has calls of a customer that are not confirmed."""
    owner: str | None = ""
    # From one to the next, past all the calls of each.
    while True:
        (owner,) = db.execute(NEXT_OWNER, (_blob(customer), owner)).fetchone()
        if owner is None:
            return
        yield owner


def unconfirmed(db: sqlite3.Connection, customer: str, owner: str) -> list[Row]:
    """The calls of an owner that are not confirmed."""
    found = _rows(
        db,
        "WHERE customer = ? AND owner = ? AND state < 2",
        (_blob(customer), owner),
    )
    return list(found)


def settle(db: sqlite3.Connection, row: Row) -> None:
    """Count an answer as confirmed."""
    db.execute("UPDATE calls SET state = 2 WHERE id = ? AND state = 1", (row.id,))


def evict(db: sqlite3.Connection, budget: int, settled_before: float) -> None:
    """Remove bodies that nobody will send unasked, oldest first, down to the budget."""
    while (excess := _bytes_kept(db) - budget) > 0:
        found = db.execute(
            """SELECT oldest.id, size
                FROM (SELECT id, size FROM bodies ORDER BY id LIMIT 100) AS oldest
                JOIN calls ON calls.id = oldest.id
                WHERE state = 2 OR since < ? ORDER BY oldest.id""",
            (settled_before,),
        ).fetchall()
        if not found:
            return
        for number, size in found:
            if excess > 0:
                db.execute("DELETE FROM bodies WHERE id = ?", (number,))
                excess -= size


def forget(
    db: sqlite3.Connection,
    since_before: float,
    after: int,
    limit: int,
    is_alive: Callable[[str], bool],
) -> int:
    """Delete calls that are too old to be asked again, a few at a time.

    Args:
        since_before: nothing has happened to them since then.
        after: where the last call of this function stopped.
        limit: how many rows to look at.

    Returns:
        Where to go on; 0 after the last row.
    """
    found = db.execute(
        """SELECT id, since, state, owner FROM calls
            WHERE id > ? ORDER BY id LIMIT ?""",
        (after, limit),
    ).fetchall()
    for number, since, state, owner in found:
        if since < since_before and (state != STARTED or not is_alive(owner)):
            db.execute("DELETE FROM calls WHERE id = ?", (number,))
    return int(found[-1][0]) if len(found) == limit else 0


def _bytes_kept(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT bytes FROM kept").fetchone()[0])


def _rows(
    db: sqlite3.Connection, where: str, parameters: Sequence[Any]
) -> Iterator[Row]:
    # All at once: an unfinished read would keep the write-ahead log from its reset.
    for found in db.execute(
        f"SELECT {_COLUMNS} FROM calls {where}", parameters
    ).fetchall():
        number, conversation, call, digest, tool, once, idempotent = found[:7]
        key = Key(_text(conversation), _text(call))
        entry = Entry(key, digest, _text(tool), once, bool(idempotent))
        state, owner, since, counts = found[7:]
        yield Row(number, entry, state, owner, since, bool(counts))


def _key(customer: str, key: Key) -> tuple[bytes, bytes, bytes]:
    return _blob(customer), _blob(key.conversation_id), _blob(key.call_id)


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")
