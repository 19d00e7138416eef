"""Whatever a platform says, a session lives, and what it sends is beyond reproach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.core import frames, messages
from conversimple.core.channel import Lost
from conversimple.core.frames import Frame, FrameError
from tests.core.helpers import (
    JSON,
    TOPIC,
    SessionDriver,
    in_conversation,
    names_of,
    patient,
)
from tests.support.examples import examples

MEGABYTE = 1_000_000

#: Every message that a platform sends, in both of its spellings where it has two.
MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "request": (
        "tool_call_request",
        {
            "call_id": "call_f",
            "tool_name": "get_weather",
            "arguments": {"location": "Oslo"},
            "conversation_id": "conv_1",
            "timeout_seconds": 5,
        },
    ),
    "older request": (
        "tool_call_request",
        {
            "call_id": "call_f",
            "tool_name": "get_weather",
            "parameters": '{"location":"Oslo"}',
            "conversation_id": "conv_1",
        },
    ),
    "started": (
        "conversation_lifecycle",
        {"event": "conversation_started", "conversation_id": "conv_f"},
    ),
    "ended": (
        "conversation_lifecycle",
        {"event": "conversation_ended", "conversation_id": "conv_f"},
    ),
    "ready": (
        "conversation_ready",
        {"conversation_id": "conv_f", "agent_id": "a", "customer_id": "c1"},
    ),
    "config": ("config_update", {"config": {"a": 1}}),
    "analytics": ("analytics_update", {"analytics": {"a": 1}}),
    "error": (
        "error_notification",
        {"error_type": "quota", "error_message": "used up", "code": 7},
    ),
    "warning": ("connection_warning", {"message": "slow"}),
    "hook": ("hook_event", {"event_type": "x", "data": {}}),
    "reply": ("phx_reply", {"status": "ok", "response": {"reason": "none"}}),
    "unknown": ("presence_state", {"c1": {"metas": []}}),
}

#: JSON texts, because some of them are nothing that Python would write.
WRONG: dict[str, str] = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "huge": "1" + "0" * 4000,
    "too huge": "1" * 5000,
    "infinite": "1e999",
    "tiny": "-1e-999",
    "fraction": "1.5",
    "empty": '""',
    "word": '"word"',
    "number in a text": '"01"',
    "half a pair": '"\\ud800"',
    "pair": '"\\ud83d\\ude00"',
    "control": '"a\\u0000b\\u001b[31m\\r\\nc\\u2028\\u0085"',
    "right to left": '"\\u202eevil\\u0301\\u0301"',
    "megabyte": '"' + "x" * MEGABYTE + '"',
    "wide": '"' + "\N{GRINNING FACE}" * 1000 + '"',
    "list": "[]",
    "mixed list": '[1,null,{"a":[]}]',
    "object": "{}",
    "same key twice": '{"a":1,"a":2}',
    "status": '{"status":"error","response":{"reason":7}}',
    "deep": '{"a":' * 400 + "1" + "}" * 400,
    "deeper": '{"a":' * 40_000 + "1" + "}" * 40_000,
    "deep list": "[" * 900 + "]" * 900,
    "object in a text": '"{\\"location\\":1e999}"',
    "deep in a text": '"' + "[" * 50_000 + '"',
}

#: What a frame may say that rightly ends the connection.
ENDS = ("phx_error", "phx_close")


def perfect(driver: SessionDriver, join_ref: str | None) -> list[Frame]:
    """What was sent; fails unless a strict server would take every frame of it."""
    sent = driver.sent()
    for frame in sent:
        # UTF-8 has no half of a pair, and JSON no infinity.
        json.dumps(frame, ensure_ascii=False, allow_nan=False).encode()
        assert frame.ref is not None and frame.ref.isdigit()
        assert frame.join_ref == (join_ref if frame.topic == TOPIC else None)
        assert frame.topic in (TOPIC, "phoenix") and isinstance(frame.payload, dict)
    return sent


def take(driver: SessionDriver, text: str | bytes) -> None:
    """Let a text come as a connection does, and finish every tool that it starts."""
    with suppress(FrameError):
        driver.receive(frames.decode(text))
    for call in list(driver.started.values()):
        driver.succeed(call, '"done"')
    list(driver.notes)  # each can be formatted


def joined_driver(**options: Any) -> tuple[SessionDriver, str]:
    """A session with a conversation, and the ref of its join."""
    driver = in_conversation(**options)
    driver.start("conv_0")
    join_ref = driver.sent()[0].join_ref
    assert join_ref is not None
    return driver, join_ref


def still_serves(driver: SessionDriver, call_id: str = "call_last") -> None:
    """A call is still run and answered."""
    driver.request(call_id, "conv_1")
    call = driver.started["conv_1", call_id]
    driver.sent()
    driver.succeed(call)
    assert [answer["call_id"] for answer in driver.answers()] == [call_id]


# One wrong value in one field ---------------------------------------------------------


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where a message has values: the whole, and every one inside."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))


def replaced(value: Any, path: tuple[str, ...], text: str) -> str:
    """The message as JSON, with another JSON text in one place."""
    if not path:
        return text
    return json.dumps(
        _with_mark(value, path),
    ).replace('"MARK"', text)


def _with_mark(value: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return "MARK"
    return {**value, path[0]: _with_mark(value[path[0]], path[1:])}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", MESSAGES)
def test_a_wrong_value_in_any_field(name: str, wrong: str) -> None:
    """Of every message, of the payload itself, and in either form of the frame."""
    event, payload = MESSAGES[name]
    driver, join_ref = joined_driver()
    for path in paths(payload):
        body = replaced(payload, path, WRONG[wrong])
        take(driver, f'[null,null,"{TOPIC}","{event}",{body}]')
        take(
            driver,
            f'{{"topic":"{TOPIC}","event":"{event}","ref":null,"payload":{body}}}',
        )
        perfect(driver, join_ref)
    assert driver.session.hangup is None
    still_serves(driver)
    assert json.dumps(driver.session.health(driver.now).conversations)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("place", range(5))
def test_a_wrong_value_in_the_frame_itself(place: int, wrong: str) -> None:
    """Instead of a ref, a topic, or an event."""
    driver, join_ref = joined_driver()
    for event, payload in MESSAGES.values():
        fields = ["null", "null", f'"{TOPIC}"', f'"{event}"', json.dumps(payload)]
        fields[place] = WRONG[wrong]
        take(driver, f"[{','.join(fields)}]")
        names = ("join_ref", "ref", "topic", "event", "payload")
        pairs = (f'"{name}":{field}' for name, field in zip(names, fields))
        take(driver, f"{{{','.join(pairs)}}}")
        perfect(driver, join_ref)
    assert driver.session.hangup is None
    still_serves(driver)


def test_the_same_wrong_frame_a_thousand_times() -> None:
    """Nothing adds up."""
    driver, join_ref = joined_driver()
    for _ in range(1000):
        take(driver, f'[null,null,"{TOPIC}","tool_call_request",{{"call_id":7}}]')
    assert driver.session.hangup is None and not driver.sent()
    still_serves(driver)


# Words out of turn --------------------------------------------------------------------


def test_a_second_reply_to_the_join() -> None:
    """Whatever it says, the first one counted."""
    driver = SessionDriver()
    join = driver.connect()
    driver.reply(join)
    driver.start()
    driver.beat()
    driver.sent()
    for status in ("ok", "error", "ok"):
        driver.reply(join, status, {"reason": "unauthorized"})
        driver.reply(join, status, None)
    assert driver.session.hangup is None and driver.session.joined
    assert not driver.sent()
    still_serves(driver)


def test_the_platform_joins_us() -> None:
    """Words of a client from the platform mean nothing."""
    driver, join_ref = joined_driver()
    for event in ("phx_join", "phx_leave", "heartbeat", messages.REGISTER):
        for ref in (None, join_ref, "7"):
            for topic in (TOPIC, "phoenix", "customer:c2", ""):
                driver.receive(Frame(ref, ref, topic, event, {}))
    assert driver.session.hangup is None and not driver.sent()
    still_serves(driver)


REFS = ["0", "-1", "01", "1.0", "1e3", "٣", "²", "9" * 18, "9" * 5000, "", " 3", "\x00"]


@pytest.mark.parametrize("status", ["ok", "error", "unknown", "", None, 5, ["ok"]])
def test_replies_to_what_was_never_sent(status: Any) -> None:
    """They confirm nothing and end nothing, also when they speak of topics."""
    driver, join_ref = joined_driver()
    call = driver.call()
    driver.succeed(call)
    driver.sent()
    for ref in [*REFS, None, "77777"]:
        for topic in (TOPIC, "phoenix"):
            for reason in ("unmatched topic", {"a": 1}, None):
                payload = {"status": status, "response": {"reason": reason}}
                driver.receive(Frame(None, ref, topic, "phx_reply", payload))
    assert driver.session.hangup is None
    assert driver.session.health(driver.now).answers_unconfirmed == 1
    still_serves(driver)


def test_every_reply_twice() -> None:
    """The second one has nothing left to say."""
    driver = in_conversation()
    call = driver.call()
    driver.succeed(call)
    answer = driver.sent()[-1]
    driver.reply(answer)
    driver.reply(answer, "error")
    driver.reply(answer, "error", {"reason": "x"})
    assert driver.errors == []
    still_serves(driver)


@pytest.mark.parametrize(
    "name", ["\x00", "a\r\nb", "\x1b[2J", "\u202e", "\U0001f600", "é"]
)
def test_names_with_odd_letters(name: str) -> None:
    """They are names like any other, come back as they were, and forge no log line."""
    driver = in_conversation(name)
    driver.request(name, name, tool_name=name)
    driver.request(f"{name}2", name)
    driver.succeed(driver.started[name, f"{name}2"])
    answers = driver.answers()
    assert [answer["call_id"] for answer in answers] == [name, f"{name}2"]
    assert {answer["conversation_id"] for answer in answers} == {name}
    assert answers[0]["tool_name"] == name
    for _, text in driver.notes:
        assert text.isprintable() or name in ("é", "\U0001f600")


# Chance -------------------------------------------------------------------------------

LETTERS = st.text(max_size=20) | st.sampled_from(
    ["call_1", "conv_1", "conv_2", "get_weather", "send_email", "started", "ended"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | LETTERS
    | st.text(st.characters(categories=["Cs", "Cc", "Cf"]))
)
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["call_id", "event", "a"]), inner),
    max_leaves=8,
)
ONE_OF_OURS = st.sampled_from(list(MESSAGES.values()))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A real frame with some of its values replaced, dropped, or moved."""
    event, payload = draw(ONE_OF_OURS)
    changed: Any = dict(payload)
    for key in draw(st.lists(st.sampled_from([*payload, "more"]), max_size=3)):
        changed[key] = draw(ANYTHING)
    for key in draw(st.lists(st.sampled_from([*payload]), max_size=1)):
        changed.pop(key, None)
    ref = draw(st.none() | st.integers(0, 12).map(str) | LETTERS)
    join_ref = draw(st.none() | st.sampled_from(["1", "2"]) | LETTERS)
    topic = draw(st.sampled_from([TOPIC, TOPIC, "phoenix"]) | LETTERS)
    frame = [join_ref, ref, topic, event, draw(st.just(changed) | ANYTHING)]
    return json.dumps(frame, ensure_ascii=draw(st.booleans()))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real frame as bytes, some of which are cut, changed, or doubled."""
    data = bytearray(draw(mutated()).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 8)))
        data[at:end] = draw(st.binary(max_size=4))
    return bytes(data)


SPEECH = st.binary() | st.text() | JSON.map(json.dumps) | mutated() | damaged()


@pytest.mark.slow
@settings(patient, max_examples=examples(300))
@given(SPEECH)
def test_any_bytes_are_a_frame_or_none(text: str | bytes) -> None:
    """Nothing but a FrameError comes out, and it repeats nothing."""
    try:
        frame = frames.decode(text)
    except FrameError as error:
        assert len(str(error)) < 100
        return
    messages.parse(frame.event, frame.payload)


@settings(patient, max_examples=examples(300))
@given(st.sampled_from([event for event, _ in MESSAGES.values()]) | LETTERS, ANYTHING)
def test_any_payload_has_a_meaning(event: str, payload: Any) -> None:
    """Parsing raises nothing, and what it calls an id can be echoed."""
    match messages.parse(event, payload):
        case messages.ToolCallRequest() as request:
            request.call_id.encode()
            (request.conversation_id or "").encode()
            (request.tool_name or "").encode()
            seconds = request.timeout_seconds
            assert seconds is None or 0.1 <= seconds <= 300
        case messages.ConversationStarted(name) | messages.ConversationEnded(name):
            name.encode()


@pytest.mark.slow
@settings(patient, max_examples=examples(150))
@given(st.lists(SPEECH, max_size=12), st.sampled_from([1, 2]), st.booleans())
def test_any_speech_leaves_a_session_that_serves(
    speech: list[str | bytes], version: int, scoped: bool
) -> None:
    """It hangs up for what ends a channel alone, and a new socket mends that."""
    driver = in_conversation(version=version, scope="conv_1" if scoped else None)
    driver.request("call_0")
    first = driver.sent()
    join_ref = "1"
    assert all(frame.join_ref in (join_ref, None) for frame in first)
    for text in speech:
        take(driver, text)
        driver.pass_time(0.25, silent=False)
        perfect(driver, join_ref)
    hangup = driver.session.hangup
    if hangup is not None:
        said = b" ".join(
            t.encode("utf-8", "replace") if isinstance(t, str) else t for t in speech
        )
        assert isinstance(hangup, Lost)
        assert any(word.encode() in said for word in (*ENDS, "unmatched topic"))
    driver.reconnect()
    driver.sent()
    driver.start("conv_1")
    driver.sent()
    still_serves(driver)


@pytest.mark.slow
@settings(patient, max_examples=examples(100))
@given(st.lists(SPEECH, max_size=8))
def test_before_the_join_nothing_is_said(speech: list[str | bytes]) -> None:
    """The platform may talk; it hears the join, and waits for it, or is left."""
    driver = SessionDriver()
    join = driver.connect()
    driver.sent()
    for text in speech:
        take(driver, text)
        accepted = driver.session.joined
        assert accepted or names_of(driver.sent()) == []
    if driver.session.hangup is None and not driver.session.joined:
        driver.reply(join)
        assert driver.session.joined
