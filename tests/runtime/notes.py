"""What the tests of the journal write into it; also used by their child processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conversimple.core.journaling import Answer, Entry
from conversimple.core.keys import Key
from conversimple.errors import JournalError
from conversimple.runtime.journal import Journal, open_journal

EVENT = "tool_call_response"

#: The beginning of every child: a journal on the file that it is given.
CHILD = """
import os, signal, sys
from conversimple.core.journaling import Answer, Verdict
from conversimple.errors import JournalError
from conversimple.runtime.journal import open_journal
from tests.runtime.notes import answer, entry, key
journal = open_journal(sys.argv[1], "c1")
"""


class Wall:
    """A wall clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def key(number: int = 1, conversation_id: str = "conv_1") -> Key:
    """The key of a call."""
    return Key(conversation_id, f"call_{number}")


def entry(number: int = 1, digest: bytes = b"oslo", **fields: Any) -> Entry:
    """A call that begins."""
    return Entry(fields.pop("key", key(number)), digest, "book", **fields)


def answer(number: int = 1, body: str = "{}", counts: bool = True) -> Answer:
    """The answer of a call."""
    return Answer(key(number), EVENT, body, counts)


@contextmanager
def opened(path: Path, customer_id: str = "c1", **options: Any) -> Iterator[Journal]:
    """A journal that is closed after the block, whatever state it is in."""
    journal = open_journal(path, customer_id, **options)
    try:
        yield journal
    finally:
        with suppress(JournalError):
            journal.close()


def break_disk(journal: Journal, broken: bool = True) -> None:
    """Let every write of the process fail, or let it succeed again."""
    journal._file.db.execute(f"PRAGMA query_only = {'ON' if broken else 'OFF'}")
