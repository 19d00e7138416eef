"""Phoenix frames as text: version 2 (an array) and version 1 (an object).

Both forms are read whatever was asked for; the form that is written is chosen by
the handshake's ``vsn``.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

HEARTBEAT_TOPIC = "phoenix"


class FrameError(ValueError):
    """A text that is no Phoenix frame. It is logged and passed over."""


class Frame(NamedTuple):
    """One message of the Phoenix channel protocol.

    Attributes:
        join_ref: the join that the frame belongs to; None in broadcasts.
        ref: the push that the frame is, or answers; None in server pushes.
        topic: the channel.
        event: what it says.
        payload: the decoded JSON that came with it.
    """

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any


def decode(text: str | bytes) -> Frame:
    """Read a frame of either version.

    Raises:
        FrameError: the text is not JSON, or has not the shape of a frame.
    """
    try:
        data = decode_json(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {type(error).__name__}") from None
    if isinstance(data, list):
        return _from_array(data)
    if isinstance(data, dict):
        return _from_object(data)
    raise FrameError(f"neither an array nor an object: {type(data).__name__}")


def encode(
    version: int,
    join_ref: str | None,
    ref: str,
    topic: str,
    event: str,
    body: str,
) -> str:
    """Write a frame around a payload that is already JSON text.

    Args:
        version: 2 for the array form, 1 for the object form.
        body: the payload as strict JSON text.
    """
    if version == 1:
        head = f'"topic":{_text(topic)},"event":{_text(event)},"ref":{_text(ref)}'
        join = f',"join_ref":{_text(join_ref)}' if join_ref is not None else ""
        return f'{{{head}{join},"payload":{body}}}'
    join = "null" if join_ref is None else _text(join_ref)
    return f"[{join},{_text(ref)},{_text(topic)},{_text(event)},{body}]"


def decode_json(text: str | bytes) -> Any:
    """Read strict JSON: ``NaN`` and the like are refused.

    Raises:
        ValueError: it is not JSON, or not UTF-8.
        RecursionError: it is nested too deep.
    """
    text = (text if isinstance(text, str) else text.decode()).strip(_WHITESPACE)
    value, end = _decoder.raw_decode(text)
    if end != len(text):
        raise ValueError("more than one value")
    return value


_WHITESPACE = " \t\n\r"
_text = json.JSONEncoder(ensure_ascii=False).encode
_REF = (str, type(None))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _from_array(data: list[Any]) -> Frame:
    if len(data) < 5:
        raise FrameError(f"an array of {len(data)} instead of 5")
    return _checked(*data[:5])


def _from_object(data: dict[str, Any]) -> Frame:
    missing = [key for key in ("topic", "event", "payload", "ref") if key not in data]
    if missing:
        raise FrameError(f"an object without {', '.join(missing)}")
    return _checked(
        data.get("join_ref"), data["ref"], data["topic"], data["event"], data["payload"]
    )


def _checked(join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any) -> Frame:
    if not isinstance(topic, str) or not isinstance(event, str):
        raise FrameError("topic or event is not a string")
    if not (isinstance(join_ref, _REF) and isinstance(ref, _REF)):
        raise FrameError("join_ref or ref is neither a string nor null")
    return Frame(join_ref, ref, topic, event, payload)
