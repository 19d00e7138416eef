"""Frames as text, in both versions, and what no server can decode."""

from __future__ import annotations

import math
from typing import Any

import pytest

from conversimple.local.phoenix import SERIALIZERS, BadFrame, Frame, json_copy, to_json

V1 = SERIALIZERS["1.0.0"]
V2 = SERIALIZERS["2.0.0"]
FRAME = Frame("1", "2", "customer:c1", "event", {"a": "ä"})


def test_version_2_is_an_array() -> None:
    """All five parts are written, in order, and text is not escaped."""
    assert V2.encode(FRAME) == '["1","2","customer:c1","event",{"a":"ä"}]'


def test_version_1_is_an_object_without_the_join_ref() -> None:
    """A server of version 1 never sends the join_ref."""
    assert V1.encode(FRAME) == (
        '{"topic":"customer:c1","event":"event","payload":{"a":"ä"},"ref":"2"}'
    )


def test_version_2_reads_what_it_writes() -> None:
    """Elements beyond the fifth are ignored."""
    assert V2.decode(V2.encode(FRAME)) == FRAME
    assert V2.decode('["1","2","t","e",{},"more"]') == Frame("1", "2", "t", "e", {})


def test_version_1_reads_the_join_ref_if_there_is_one() -> None:
    """The client may send it or leave it out."""
    text = '{"topic":"t","event":"e","payload":{},"ref":"2"%s}'
    assert V1.decode(text % "") == Frame(None, "2", "t", "e", {})
    assert V1.decode(text % ',"join_ref":"1"') == Frame("1", "2", "t", "e", {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "{}",
        "null",
        '["1","2","t","e"]',
        '["1","2",3,"e",{}]',
        '["1","2","t",null,{}]',
        '["1","2","t","e",NaN]',
        '["1","2","t","e",-Infinity]',
        '["1","2","t","e",1e999]',
        '["1","2","t","e","\\ud800"]',
        "[" * 100_000,
    ],
)
def test_version_2_cannot_decode(text: str) -> None:
    """Neither what is not strict JSON, nor what has another shape."""
    with pytest.raises(BadFrame):
        V2.decode(text)


@pytest.mark.parametrize(
    "text", ["[]", '{"topic":"t","event":"e","payload":{}}', '{"ref":"1"}']
)
def test_version_1_cannot_decode(text: str) -> None:
    """All four keys must be there."""
    with pytest.raises(BadFrame):
        V1.decode(text)


def test_a_whole_surrogate_pair_is_good() -> None:
    """An escaped character beyond the basic plane is one character."""
    assert V2.decode('["1","2","t","e","\\ud83d\\ude00"]').payload == "😀"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_json_is_not_written(value: Any) -> None:
    """The server is as strict with itself."""
    with pytest.raises(ValueError):
        to_json({"value": value})


def test_a_copy_is_what_the_other_side_gets() -> None:
    """Changing the original afterwards changes nothing that was said."""
    original = {"a": [1]}
    copy = json_copy(original)
    original["a"].append(2)
    assert copy == {"a": [1]}
    with pytest.raises(ValueError):
        json_copy("\ud800")
