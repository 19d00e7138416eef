"""Results are written as strict JSON, or refused with the place and the cure."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from conversimple.core.schema.jsonvalues import (
    MAX_DEPTH,
    ResultInvalid,
    canonical,
    encode_result,
    path_text,
    plain,
    shortened,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    # Only finite numbers are JSON.
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


Pair: Any = namedtuple("Pair", "a b")


class Color(Enum):
    RED = "red"


class Word(str, Enum):
    YES = "yes"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    name: str


@dataclass
class Order:
    id: UUID
    price: Decimal


class Ticket(BaseModel):
    day: date
    seat_number: int = Field(alias="seatNumber")


class Broken(BaseModel):
    def model_dump(self, **kwargs: Any) -> dict[str, Any]:
        raise LookupError("secret")


class Bomb(UserDict[str, Any]):
    def items(self) -> Any:
        raise OSError("secret")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        (0, "0"),
        ("", '""'),
        ([], "[]"),
        ({}, "{}"),
        ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'),
        ("Tromsø 🌧", '"Tromsø 🌧"'),
        ((1, 2), "[1,2]"),
        (
            Order(UUID(int=1), Decimal("9.90")),
            f'{{"id":"{UUID(int=1)}","price":"9.90"}}',
        ),
        ([Point(1, 2)], '[{"x":1,"y":2}]'),
        (Pair(1, 2), '{"a":1,"b":2}'),
        (Movie(name="Alien"), '{"name":"Alien"}'),
        (
            Ticket(day=date(2026, 1, 31), seatNumber=7),
            '{"day":"2026-01-31","seatNumber":7}',
        ),
        ([Color.RED, Word.YES, Level.HIGH], '["red","yes",3]'),
        ({"at": date(2026, 1, 31)}, '{"at":"2026-01-31"}'),
        ({3, 20, 1}, "[1,3,20]"),
        (frozenset(["b", "a"]), '["a","b"]'),
        ({None, 1, "a"}, '["a",1,null]'),
        ({"a": 1}.keys(), '["a"]'),
        (deque([1]), "[1]"),
        (range(2), "[0,1]"),
        (OrderedDict(b=1), '{"b":1}'),
        (MappingProxyType({"b": 1}), '{"b":1}'),
        (b"\x00\x01", '"AAE="'),
        ({1: "a"}, '{"1":"a"}'),
        ({None: 1, False: 2, 2.5: 3}, '{"null":1,"false":2,"2.5":3}'),
        ({Color.RED: 1, Word.YES: 2}, '{"red":1,"yes":2}'),
        ({date(2026, 1, 31): 1}, '{"2026-01-31":1}'),
        (nested(MAX_DEPTH), "[" * MAX_DEPTH + "]" * MAX_DEPTH),
    ],
)
def test_results(value: Any, text: str) -> None:
    """Each kind of result has one compact JSON form."""
    assert encode_result(value) == text


CYCLE: list[Any] = []
CYCLE.append({"again": CYCLE})


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (float("nan"), "result", "finite"),
        ({"items": [{}, {"price": float("inf")}]}, "result.items[1].price", "finite"),
        ([Decimal("NaN")], "result[0]", "finite"),
        ({Decimal("NaN"): 1}, "result", "finite"),
        ({float("nan"): 1}, "result", "finite"),
        (CYCLE, "result[0].again", "contains itself"),
        (nested(MAX_DEPTH + 1), "result" + "[0]" * MAX_DEPTH, "flatter"),
        ({"a b": object()}, 'result["a b"]', "object has no JSON form"),
        (iter([]), "result", "list_iterator has no JSON form"),
        (Order, "result", "type has no JSON form"),
        ({(1, 2): 3}, "result", "key of type tuple"),
        ({1: 2, "1": 3}, 'result["1"]', "two keys"),
        ({"name": "\ud800"}, "result.name", "surrogate"),
        ({"\ud800": 1}, "result", "surrogate"),
        ([Broken()], "result[0]", r"model_dump failed \(LookupError\)"),
        ([Bomb()], "result", r"cannot be read \(OSError\)"),
    ],
)
def test_refusals(value: Any, path: str, words: str) -> None:
    """What JSON has no form for is refused with its place, and without its content."""
    with pytest.raises(ResultInvalid, match=words) as caught:
        encode_result(value)
    assert caught.value.path == path
    assert "secret" not in str(caught.value)
    assert ";" in caught.value.problem


def test_the_refusal_survives_pickling() -> None:
    """The exception can travel between processes."""
    error = pickle.loads(pickle.dumps(ResultInvalid("result.a", "no; yes")))
    assert str(error) == "result.a: no; yes"


def test_plain_leaves_json_alone() -> None:
    """JSON values come out equal, in new containers."""
    value = {"a": [1, {"b": None}]}
    assert plain(value) == value
    assert plain(value) is not value


@given(JSON)
def test_json_comes_back(value: Any) -> None:
    """Every JSON value is written so that a JSON parser reads the same value."""
    assert json.loads(encode_result(value)) == value
    assert json.loads(canonical(value)) == value


@given(JSON)
def test_both_ways_of_writing_agree(value: Any) -> None:
    """The quick way and the careful walk write the same text."""
    assert encode_result((value,)) == f"[{encode_result(value)}]"


def test_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    """Equal values give equal text, which every encoding can hold."""
    assert canonical({"b": 1, "a": "ø\ud800"}) == canonical({"a": "ø\ud800", "b": 1})
    assert canonical({"b": 1, "a": "ø"}) == '{"a":"\\u00f8","b":1}'


@pytest.mark.parametrize(
    ("root", "path", "text"),
    [
        ("result", (), "result"),
        ("", ("items", 3, "price"), "items[3].price"),
        ("", ("a b",), '["a b"]'),
        ("x", ("\ud800",), 'x["\\ud800"]'),
        ("x", ("y" * 100,), 'x["' + "y" * 60 + '..."]'),
    ],
)
def test_paths(root: str, path: tuple[str | int, ...], text: str) -> None:
    """A path is written as in code, safely and not too long."""
    assert path_text(root, path) == text


def test_shortened_values_are_json_cut_to_a_length() -> None:
    """Long strings are cut, other scalars are whole."""
    assert shortened("x" * 100) == '"' + "x" * 60 + '..."'
    assert shortened(None) == "null"
