"""Phoenix frames and their text in both versions, as a server has them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

MAX_FRAME_BYTES = 8_000_000
FRAME_HEADER_BYTES = 14


class BadFrame(ValueError):
    """A text that a Phoenix server cannot decode; it closes the socket with 1011."""


@dataclass(frozen=True)
class Frame:
    """One frame; its refs are echoed as they came, whatever they are."""

    join_ref: object
    ref: object
    topic: str
    event: str
    payload: Any


class Serializer(Protocol):
    """Frames as text in one version of the protocol."""

    join_ref_is_optional: bool

    def encode(self, frame: Frame) -> str: ...

    def decode(self, text: str) -> Frame: ...


class ArraySerializer:
    """Version 2.0.0: ``[join_ref, ref, topic, event, payload]``."""

    join_ref_is_optional = False

    def encode(self, frame: Frame) -> str:
        return to_json(
            [frame.join_ref, frame.ref, frame.topic, frame.event, frame.payload]
        )

    def decode(self, text: str) -> Frame:
        value = from_json(text)
        if not isinstance(value, list) or len(value) < 5:
            raise BadFrame("not an array of five elements")
        return _frame(*value[:5])


class ObjectSerializer:
    """Version 1.0.0: an object; the server never sends ``join_ref`` in it."""

    join_ref_is_optional = True

    def encode(self, frame: Frame) -> str:
        return to_json(
            {
                "topic": frame.topic,
                "event": frame.event,
                "payload": frame.payload,
                "ref": frame.ref,
            }
        )

    def decode(self, text: str) -> Frame:
        value = from_json(text)
        if not isinstance(value, dict):
            raise BadFrame("not an object")
        missing = {"topic", "event", "payload", "ref"} - value.keys()
        if missing:
            raise BadFrame(f"without {', '.join(sorted(missing))}")
        return _frame(
            value.get("join_ref"),
            value["ref"],
            value["topic"],
            value["event"],
            value["payload"],
        )


SERIALIZERS: dict[str, Serializer] = {
    "1.0.0": ObjectSerializer(),
    "2.0.0": ArraySerializer(),
}
DEFAULT_VERSION = "1.0.0"


def to_json(value: object) -> str:
    """Encodes strictly.

    Raises:
        ValueError: NaN, infinity, a cycle.
        TypeError: a value that has no JSON form.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """Decodes what a strict server accepts, and nothing else.

    Raises:
        BadFrame: not JSON, NaN, a number out of range, half a surrogate pair.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\u" in text:
            to_json(value).encode()
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not strict JSON: {error}") from error
    return value


def json_copy(value: object) -> Any:
    """A copy of a value as the other side of a wire gets it.

    Raises:
        ValueError: NaN, infinity, a cycle, half a surrogate pair.
        TypeError: a value that has no JSON form.
    """
    text = to_json(value)
    text.encode()
    return json.loads(text)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is out of range")
    return number


def _frame(
    join_ref: object, ref: object, topic: object, event: object, payload: object
) -> Frame:
    if not isinstance(topic, str) or not isinstance(event, str):
        raise BadFrame("topic and event must be strings")
    return Frame(join_ref, ref, topic, event, payload)
