"""The child's end of the pipes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conversimple.dev import link as module
from conversimple.dev.link import Link
from tests.conftest import Seen, finished, python
from tests.support.threads import no_thread_left

TAKES = """
import os, sys
from conversimple.dev.link import take_standard_streams
link = take_standard_streams()
print("printed")
os.system("echo written")
try:
    input()
except EOFError:
    print("nothing to read")
link.send(last="word")
"""


@contextmanager
def linked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Link, int, int, Seen]]:
    """A link, what the parent reads and writes, and whether the process would end."""
    exited = Seen()
    monkeypatch.setattr(module, "LAST_BREATH", 0.0)
    monkeypatch.setattr("conversimple.dev.link.os._exit", exited)
    (reader, there), (here, writer) = os.pipe(), os.pipe()
    try:
        with no_thread_left(["dev-link"]):
            yield Link(reader, writer), here, there, exited
            exited.wait_for(1)
    finally:
        for each in (reader, here, writer):
            os.close(each)


def test_messages_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """One a line, in whatever pieces; at the end of the parent the process ends."""
    with linked(monkeypatch) as (link, here, there, exited):
        link.listen()
        os.write(there, b'{"load": 1}\n{"g')
        assert link.inbox.get() == {"load": 1}
        os.write(there, b'o": true}\n')
        assert link.inbox.get() == {"go": True}
        link.send(health={"c1": "\n"})
        assert json.loads(os.read(here, 100)) == {"health": {"c1": "\n"}}
        assert not exited.items
        os.close(there)
        assert link.inbox.get() is None


def test_a_parent_that_is_gone_is_told_nothing() -> None:
    """The inbox tells so, and nobody has to fail."""
    here, writer = os.pipe()
    os.close(here)
    Link(0, writer).send(go=True)
    os.close(writer)


def test_the_users_code_is_kept_off_the_link() -> None:
    """What it prints goes to standard error, and it has nothing to read."""
    with python(TAKES) as process:
        out, err = finished(process)
    assert out == '{"last": "word"}\n'
    assert err.splitlines() == ["printed", "written", "nothing to read"]
