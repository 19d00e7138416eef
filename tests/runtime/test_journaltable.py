"""The statements do what they say, through the indexes that are meant for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from conversimple.core.keys import Key
from conversimple.runtime import journaltable
from conversimple.runtime.journaltable import ANSWERED, CONFIRMED, STARTED
from tests.runtime.notes import answer, entry, key


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """The tables, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        journaltable.create(db)
        yield db


def begun(db: sqlite3.Connection, count: int, body: str | None = None) -> None:
    """Some calls, with answers if there is a body."""
    for number in range(1, count + 1):
        journaltable.insert(db, "c1", entry(number), "me/1", float(number))
        if body is not None:
            journaltable.answer(db, "c1", answer(number, body), "me/1", float(number))


def state_of(db: sqlite3.Connection) -> int:
    """How far the first call has come."""
    row = journaltable.find(db, "c1", key())
    assert row is not None
    return row.state


def plan(db: sqlite3.Connection, query: str, *parameters: object) -> str:
    """How SQLite goes about a query."""
    rows = db.execute(f"EXPLAIN QUERY PLAN {query}", parameters).fetchall()
    return " / ".join(row[3] for row in rows)


def test_a_call_comes_back_as_it_was_noted(db: sqlite3.Connection) -> None:
    """With ids that are no valid Unicode, too."""
    odd = entry(key=Key("v\ud800", "\0'é"), once=b"o", idempotent=True)
    journaltable.insert(db, "c\udfff", odd, "me/1", 7.5)
    row = journaltable.find(db, "c\udfff", odd.key)
    assert row is not None
    assert (row.entry, row.state, row.owner, row.since) == (odd, STARTED, "me/1", 7.5)
    assert journaltable.find(db, "c1", odd.key) is None


def test_an_answer_needs_its_call(db: sqlite3.Connection) -> None:
    """Begun by the same owner, and not answered yet."""
    begun(db, 1)
    journaltable.answer(db, "c1", answer(2), "me/1", 0.0)
    journaltable.answer(db, "c1", answer(1, "other"), "me/2", 0.0)
    journaltable.answer(db, "c1", answer(1, '"\ud800"', counts=False), "me/1", 9.0)
    journaltable.answer(db, "c1", answer(1, "late"), "me/1", 0.0)
    row = journaltable.find(db, "c1", key())
    assert row is not None
    assert (row.state, row.since) == (ANSWERED, 9.0)
    assert journaltable.answer_of(db, row) == answer(1, '"\ud800"', counts=False)
    assert journaltable.find(db, "c1", key(2)) is None


def test_only_answers_are_confirmed(db: sqlite3.Connection) -> None:
    """A call that runs cannot have been delivered."""
    begun(db, 1)
    journaltable.confirm(db, "c1", key(), 1.0)
    assert state_of(db) == STARTED
    journaltable.answer(db, "c1", answer(), "me/1", 2.0)
    journaltable.confirm(db, "c1", key(), 3.0)
    assert state_of(db) == CONFIRMED


def test_many_bodies_make_room_for_one(db: sqlite3.Connection) -> None:
    """However many it takes."""
    begun(db, 250, "x" * 10)
    journaltable.insert(db, "c1", entry(999), "me/1", 999.0)
    journaltable.answer(db, "c1", answer(999, "x" * 2400), "me/1", 999.0)
    journaltable.evict(db, 2500, settled_before=500.0)
    assert db.execute("SELECT bytes FROM kept").fetchone() == (2500,)
    left = db.execute("SELECT id FROM bodies").fetchall()
    assert left == [(number,) for number in range(241, 252)]


def test_what_may_have_to_be_sent_is_not_evicted(db: sqlite3.Connection) -> None:
    """Even if there is no room."""
    begun(db, 10, "x" * 10)
    journaltable.evict(db, 20, settled_before=4.0)
    assert db.execute("SELECT bytes FROM kept").fetchone() == (70,)


def test_forgetting_goes_round_a_few_at_a_time(db: sqlite3.Connection) -> None:
    """And passes what it may not delete."""
    begun(db, 10)
    dead = {"me/1": False}
    for owner in ("me/2", "me/3"):
        db.execute("UPDATE calls SET owner = ? WHERE id = ?", (owner, int(owner[3:])))
    place, places = 0, []
    for _ in range(4):
        place = journaltable.forget(
            db, 9.0, place, 4, lambda owner: dead.get(owner, True)
        )
        places.append(place)
    assert places == [4, 8, 0, 10]
    left = [row[0] for row in db.execute("SELECT id FROM calls ORDER BY id")]
    assert left == [2, 3, 9, 10]


def test_a_forgotten_call_takes_its_body_along(db: sqlite3.Connection) -> None:
    """The sum of what is kept knows it."""
    begun(db, 2, "xx")
    journaltable.forget(db, 2.0, 0, 8, lambda owner: True)
    assert db.execute("SELECT id, bytes FROM bodies, kept").fetchall() == [(2, 2)]


def test_every_owner_is_found_once(db: sqlite3.Connection) -> None:
    """Of this customer, with calls that are not confirmed."""
    begun(db, 3, "{}")
    journaltable.insert(db, "c1", entry(4), "me/2", 0.0)
    journaltable.insert(db, "c2", entry(4), "me/3", 0.0)
    assert list(journaltable.owners(db, "c1")) == ["me/1", "me/2"]
    for number in range(1, 4):
        journaltable.confirm(db, "c1", key(number), 0.0)
    assert list(journaltable.owners(db, "c1")) == ["me/2"]
    assert list(journaltable.owners(db, "c3")) == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT 1 FROM calls WHERE customer=? AND conversation=? AND call=?",
            "call_by_key (customer=? AND conversation=? AND call=?)",
        ),
        (
            journaltable.NEXT_OWNER,
            "call_by_owner (customer=? AND owner>?)",
        ),
        (
            "SELECT * FROM calls WHERE customer = ? AND owner = ? AND state < 2",
            "call_by_owner (customer=? AND owner=?)",
        ),
        (
            """SELECT * FROM calls WHERE customer = ? AND conversation = ?
                AND tool = ? AND once = ? AND call <> ? ORDER BY id""",
            "call_by_arguments (customer=? AND conversation=? AND tool=? AND once=?)",
        ),
    ],
)
def test_nothing_is_searched_row_by_row(
    db: sqlite3.Connection, query: str, index: str
) -> None:
    """A day's calls are many."""
    found = plan(db, query, *"?" * query.count("?"))
    assert index in found
    assert "SCAN" not in found
