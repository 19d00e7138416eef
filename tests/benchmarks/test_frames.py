"""Messages are read and written in the form that the peer uses."""

from __future__ import annotations

import json

import pytest

from benchmarks.frames import Message, Version, ok, read, write

JOIN = Message("1", "1", "customer:c", "phx_join", {"a": 1})


@pytest.mark.parametrize("version", Version)
def test_a_message_survives_writing_and_reading(version: Version) -> None:
    """In both versions."""
    assert read(write(version, JOIN)) == (version, JOIN)


def test_the_newer_form_is_an_array() -> None:
    """With the fields in the order of the protocol."""
    assert json.loads(write(Version.ARRAY, JOIN)) == list(JOIN)


def test_an_object_may_lack_the_join() -> None:
    """As clients of the older version write it."""
    text = b'{"topic": "t", "event": "e", "payload": {}, "ref": "2"}'
    assert read(text) == (Version.OBJECT, Message(None, "2", "t", "e", {}))


def test_a_reply_says_what_it_confirms() -> None:
    """By the same references and topic."""
    expected = {"status": "ok", "response": {}}
    assert ok(JOIN) == JOIN._replace(event="phx_reply", payload=expected)
