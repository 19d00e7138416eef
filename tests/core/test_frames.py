"""Frames of both versions are read and written as Phoenix does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversimple.core.frames import Frame, FrameError, decode, encode
from tests.core.helpers import JSON, patient

# What UTF-8 cannot hold never comes over the wire.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        (
            '["1","2","customer:c1","tool_call_response",{"call_id":"call_1"}]',
            Frame("1", "2", "customer:c1", "tool_call_response", {"call_id": "call_1"}),
        ),
        (
            '[null,null,"customer:c1","config_update",{}]',
            Frame(None, None, "customer:c1", "config_update", {}),
        ),
        (
            '["1","2","customer:c1","phx_reply",[1,null],"more","elements"]',
            Frame("1", "2", "customer:c1", "phx_reply", [1, None]),
        ),
        (
            '{"topic":"phoenix","event":"phx_reply","payload":7,"ref":"9"}',
            Frame(None, "9", "phoenix", "phx_reply", 7),
        ),
        (
            '{"topic":"t","event":"e","payload":{},"ref":null,"join_ref":"1","x":0}',
            Frame("1", None, "t", "e", {}),
        ),
    ],
)
def test_both_forms_are_read(text: str, frame: Frame) -> None:
    """An array of at least five or an object with four keys is a frame."""
    assert decode(text) == frame
    assert decode(text.encode()) == frame


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ('[null,null,"t","e",{}', "not JSON"),
        ('[null,null,"t","e",NaN]', "not JSON"),
        ('[null,null,"t","e",-Infinity]', "not JSON"),
        ('[null,null,"t","e",{}]]', "not JSON"),
        (b'[null,null,"t","e","\xff"]', "not JSON"),
        (b"\x00\x01\x02", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ('[null,null,"t","e",' + "9" * 5000 + "]", "not JSON"),
        ("7", "neither an array nor an object: int"),
        ("null", "neither an array nor an object: NoneType"),
        ("[]", "an array of 0"),
        ('[null,null,"t","e"]', "an array of 4"),
        ("{}", "without topic, event, payload, ref"),
        ('{"topic":"t","event":"e","payload":{}}', "without ref"),
        ('[null,null,7,"e",{}]', "topic or event"),
        ('[null,null,"t",null,{}]', "topic or event"),
        ('[1,null,"t","e",{}]', "join_ref or ref"),
        ('[null,{},"t","e",{}]', "join_ref or ref"),
        ('{"topic":"t","event":"e","payload":{},"ref":true}', "join_ref or ref"),
    ],
)
def test_anything_else_is_no_frame(text: str | bytes, problem: str) -> None:
    """What is not a frame is refused with the reason."""
    with pytest.raises(FrameError, match=problem):
        decode(text)


def test_the_refusal_does_not_repeat_the_text() -> None:
    """What came is not in the message or its causes: it may be anything."""
    with pytest.raises(FrameError) as caught:
        decode("secret")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_array_form() -> None:
    """Version 2 is an array of five, without spaces."""
    text = encode(2, "1", "5", "customer:c1", "tool_call_response", '{"a":1}')
    assert text == '["1","5","customer:c1","tool_call_response",{"a":1}]'
    text = encode(2, None, "9", "phoenix", "heartbeat", "{}")
    assert text == '[null,"9","phoenix","heartbeat",{}]'


def test_the_object_form() -> None:
    """Version 1 is an object, with a join_ref only where there is one."""
    assert json.loads(encode(1, "1", "1", "customer:c1", "phx_join", "{}")) == {
        "topic": "customer:c1",
        "event": "phx_join",
        "payload": {},
        "ref": "1",
        "join_ref": "1",
    }
    assert json.loads(encode(1, None, "9", "phoenix", "heartbeat", "{}")) == {
        "topic": "phoenix",
        "event": "heartbeat",
        "payload": {},
        "ref": "9",
    }


@patient
@given(st.sampled_from([1, 2]), st.none() | TEXT, TEXT, TEXT, TEXT, JSON)
def test_a_frame_is_read_as_it_was_written(
    version: int,
    join_ref: str | None,
    ref: str,
    topic: str,
    event: str,
    payload: Any,
) -> None:
    """Both forms keep every name and every payload, control characters included."""
    body = json.dumps(payload)
    text = encode(version, join_ref, ref, topic, event, body)
    assert decode(text) == Frame(join_ref, ref, topic, event, payload)
    assert decode(text.encode()) == Frame(join_ref, ref, topic, event, payload)
    assert "\n" not in text


@patient
@given(
    st.text()
    | st.binary()
    | JSON.map(json.dumps)
    | st.lists(JSON, min_size=5, max_size=6).map(json.dumps)
    | st.fixed_dictionaries(
        {"topic": JSON, "event": JSON, "payload": JSON, "ref": JSON}
    ).map(json.dumps)
)
def test_reading_raises_nothing_else(text: str | bytes) -> None:
    """Whatever comes is a frame with the right types, or a FrameError."""
    try:
        frame = decode(text)
    except FrameError:
        return
    assert isinstance(frame.topic, str) and isinstance(frame.event, str)
    assert isinstance(frame.ref, (str, type(None)))
    assert isinstance(frame.join_ref, (str, type(None)))
