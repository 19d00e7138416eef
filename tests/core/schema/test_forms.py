"""Every type of the list is offered, checked and read; every other is refused."""

from __future__ import annotations

import json
import pickle
import re
import typing
from collections import abc, namedtuple
from dataclasses import InitVar, dataclass, field, fields, make_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import (
    Annotated,
    Any,
    Dict,
    FrozenSet,
    List,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Set,
    Tuple,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conversimple.core.schema.forms import Form, Scope, form_of, type_name
from conversimple.core.schema.hints import Undescribable
from conversimple.core.schema.jsonvalues import encode_result
from conversimple.core.schema.violations import InvalidArguments

T = TypeVar("T")
UserId = NewType("UserId", int)
Json = Dict[str, "Json"]
SCOPE = Scope({"Json": Json})


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Word(str, Enum):
    YES = "yes"
    NO = "no"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Bits(IntFlag):
    A = 1
    B = 2


class Mixed(Enum):
    NOTHING = None
    ONE = 1
    TRUTH = "true"


class Unnamed(Enum):
    PAIR = (1, 2)


class Infinite(Enum):
    MORE = float("inf")


class Memberless(Enum):
    """It has no members."""


@dataclass(frozen=True)
class Point:
    """A point.

    Attributes:
        x: to the right
    """

    x: int
    y: Annotated[float, "upwards"] = 0.5
    tags: list[str] = field(default_factory=list)
    size: float = field(init=False, default=0.0)


@dataclass
class Span:
    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("the end is before the start")


@dataclass
class Node:
    next: Optional[Node]


# Without strings, because Python 3.10 cannot resolve InitVar in one.
Seeded = make_dataclass("Seeded", [("seed", InitVar[int])])


class Bad(TypedDict):
    a: complex
    b: list[set[list[int]]]


class Movie(TypedDict):
    name: str
    year: typing_extensions.NotRequired[int]
    seen: typing_extensions.ReadOnly[typing_extensions.NotRequired[bool]]


class Loose(typing_extensions.TypedDict, total=False):
    name: typing_extensions.Required[str]
    note: Annotated[typing_extensions.Required[Optional[str]], "x"]
    year: int


class Pair(NamedTuple):
    left: int
    right: str = "r"


Untyped = namedtuple("Untyped", "a b", defaults=(2,))


class Seat(pydantic.BaseModel):
    row: int = pydantic.Field(ge=1)
    side: Optional[Literal["left", "right"]] = None


class Booking(pydantic.BaseModel):
    title: str
    day: date
    seats: list[Seat] = []


class Tree(pydantic.BaseModel):
    children: list[Tree] = []


class Unwritable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    thing: SimpleNamespace


STRING = {"type": "string"}
INTEGER = {"type": "integer"}

# annotation, wire form, values as JSON and in Python, JSON that is refused
ROWS: list[tuple[Any, dict[str, Any], list[tuple[Any, Any]], list[Any]]] = [
    (str, STRING, [("", "")], [1, None]),
    (int, INTEGER, [(0, 0), (1.0, 1)], [True, 1.5, "1", None]),
    (float, {"type": "number"}, [(3, 3.0), (2.5, 2.5)], [True, "2.5", None]),
    (bool, {"type": "boolean"}, [(False, False)], [0, "false", None]),
    (list, {"type": "array"}, [([], []), ([1, "a"], [1, "a"])], ["a", {}]),
    (List, {"type": "array"}, [([1], [1])], ["a"]),
    (dict, {"type": "object"}, [({}, {}), ({"a": [1]}, {"a": [1]})], [[], "a"]),
    (Dict, {"type": "object"}, [({"a": 1}, {"a": 1})], [[]]),
    (None, {"type": "null"}, [(None, None)], [0, ""]),
    (Any, {}, [(None, None), ({"a": 1}, {"a": 1})], []),
    (typing_extensions.Any, {}, [(1.0, 1.0)], []),
    (object, {}, [("a", "a")], []),
    (list[int], {"type": "array", "items": INTEGER}, [([1.0], [1])], [["a"]]),
    (abc.Sequence[int], {"type": "array", "items": INTEGER}, [([1], [1])], [[None]]),
    (typing.Iterable[str], {"type": "array", "items": STRING}, [(["a"], ["a"])], ["a"]),
    (list[Any], {"type": "array"}, [([None], [None])], [{}]),
    (
        dict[str, float],
        {"type": "object", "additionalProperties": {"type": "number"}},
        [({"a": 1}, {"a": 1.0})],
        [{"a": "b"}, []],
    ),
    (
        abc.Mapping[str, int],
        {"type": "object", "additionalProperties": INTEGER},
        [({"a": 1}, {"a": 1})],
        [{"a": None}],
    ),
    (Dict[Any, Any], {"type": "object"}, [({"a": None}, {"a": None})], [1]),
    (tuple, {"type": "array"}, [([1, "a"], (1, "a"))], ["a"]),
    (Tuple, {"type": "array"}, [([1], (1,))], ["a"]),
    (
        tuple[int, str],
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [INTEGER, STRING],
        },
        [([1.0, "a"], (1, "a"))],
        [[1], [1, "a", 2], ["a", 1], {}],
    ),
    (tuple[int, ...], {"type": "array", "items": INTEGER}, [([1], (1,))], [["a"]]),
    (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}, [([], ())], [[1]]),
    (Tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}, [([], ())], [[1]]),
    (
        set[int],
        {"type": "array", "uniqueItems": True, "items": INTEGER},
        [([2, 1], {1, 2})],
        [[1, 1], [1, 1.0], ["a"], 1],
    ),
    (set, {"type": "array", "uniqueItems": True}, [(["a"], {"a"})], [["a", "a"]]),
    (
        frozenset[str],
        {"type": "array", "uniqueItems": True, "items": STRING},
        [(["a"], frozenset("a"))],
        [[1]],
    ),
    (
        abc.Set[str],
        {"type": "array", "uniqueItems": True, "items": STRING},
        [(["a"], {"a"})],
        [["a", "a"]],
    ),
    (
        Set[Point],
        {"type": "array", "uniqueItems": True, "items": form_of(Point, SCOPE).wire},
        [],
        [[{}]],
    ),
    (FrozenSet, {"type": "array", "uniqueItems": True}, [([1], frozenset([1]))], [1]),
    (Optional[int], {**INTEGER, "nullable": True}, [(None, None), (1.0, 1)], ["a"]),
    (Union[None, str], {**STRING, "nullable": True}, [(None, None), ("a", "a")], [1]),
    (Optional[Any], {"nullable": True}, [(None, None), (1, 1)], []),
    (
        Optional[list[Optional[int]]],
        {"type": "array", "items": {**INTEGER, "nullable": True}, "nullable": True},
        [([None, 1], [None, 1]), (None, None)],
        [["a"]],
    ),
    (
        Union[int, str],
        {"anyOf": [INTEGER, STRING]},
        [(1, 1), ("1", "1"), (1.0, 1)],
        [None, True, []],
    ),
    (
        Union[date, str, None],
        {"anyOf": [{**STRING, "format": "date"}, STRING], "nullable": True},
        [("2026-01-31", date(2026, 1, 31)), ("tomorrow", "tomorrow"), (None, None)],
        [1],
    ),
    (
        Union[Point, Span],
        {"anyOf": [form_of(Point, SCOPE).wire, form_of(Span, SCOPE).wire]},
        [
            ({"x": 1}, Point(1)),
            (
                {"start": "2026-01-01", "end": "2026-01-02"},
                Span(date(2026, 1, 1), date(2026, 1, 2)),
            ),
        ],
        [{"x": "a"}, {}, {"x": 1, "start": "2026-01-01"}],
    ),
    (
        Literal["a", "b"],
        {"type": "string", "enum": ["a", "b"]},
        [("a", "a")],
        ["c", None, []],
    ),
    (
        Literal[1, True, "x"],
        {"enum": [1, True, "x"]},
        [(1, 1), (True, True), ("x", "x"), (1.0, 1)],
        [False, "1"],
    ),
    (
        Literal["a", None],
        {"type": "string", "enum": ["a"], "nullable": True},
        [("a", "a"), (None, None)],
        ["b"],
    ),
    (Literal[None], {"type": "null"}, [(None, None)], ["None"]),
    (
        Literal[Color.RED],
        {"type": "string", "enum": ["red"]},
        [("red", Color.RED)],
        ["blue", "RED"],
    ),
    (
        typing_extensions.Literal[1],
        {"type": "integer", "enum": [1]},
        [(1, 1)],
        [True, 2],
    ),
    (
        Color,
        {"type": "string", "enum": ["red", "blue"]},
        [("blue", Color.BLUE)],
        ["RED", None, {}],
    ),
    (
        Word,
        {"type": "string", "enum": ["yes", "no"]},
        [("no", Word.NO)],
        ["maybe"],
    ),
    (
        Level,
        {"type": "integer", "enum": [1, 2]},
        [(2, Level.HIGH), (1.0, Level.LOW)],
        [True, 3],
    ),
    (Bits, {"type": "integer", "enum": [1, 2]}, [(1, Bits.A)], [3]),
    (
        Mixed,
        {"enum": [1, "true"], "nullable": True},
        [(None, Mixed.NOTHING), (1, Mixed.ONE), ("true", Mixed.TRUTH)],
        [True],
    ),
    (
        Optional[Color],
        {"type": "string", "enum": ["red", "blue"], "nullable": True},
        [(None, None), ("red", Color.RED)],
        ["green"],
    ),
    (Annotated[str, "why"], {**STRING, "description": "why"}, [("a", "a")], [1]),
    (Annotated[str, 5], STRING, [("a", "a")], [1]),
    (
        Annotated[str, pydantic.Field(description="why")],
        {**STRING, "description": "why"},
        [],
        [1],
    ),
    (
        list[Annotated[Any, typing_extensions.Doc("why")]],
        {"type": "array", "items": {"description": "why"}},
        [([1], [1])],
        [1],
    ),
    (
        Optional[Annotated[int, "n"]],
        {**INTEGER, "description": "n", "nullable": True},
        [(None, None)],
        ["a"],
    ),
    (UserId, INTEGER, [(1, 1)], ["a"]),
    (
        typing_extensions.TypeAliasType("Ids", list[int]),
        {"type": "array", "items": INTEGER},
        [([1], [1])],
        [["a"]],
    ),
    (
        datetime,
        {**STRING, "format": "date-time"},
        [("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=timezone.utc))],
        ["2026-01-31", "now", 1],
    ),
    (date, {**STRING, "format": "date"}, [("2026-01-31", date(2026, 1, 31))], ["x"]),
    (time, {**STRING, "format": "time"}, [("14:30", time(14, 30))], ["noon", 5]),
    (
        timedelta,
        {**STRING, "format": "duration"},
        [("PT1H30M", timedelta(minutes=90))],
        ["90", 90],
    ),
    (UUID, {**STRING, "format": "uuid"}, [("1" * 32, UUID("1" * 32))], ["x", 1]),
    (
        Decimal,
        {**STRING, "format": "decimal"},
        [("1.50", Decimal("1.50")), (1.5, Decimal("1.5")), (2, Decimal(2))],
        ["NaN", "x", True],
    ),
    (Optional[Decimal], {**STRING, "format": "decimal", "nullable": True}, [], ["x"]),
    (Path, {**STRING, "format": "path"}, [("a/b", Path("a/b"))], [1]),
    (
        PurePosixPath,
        {**STRING, "format": "path"},
        [("a/b", PurePosixPath("a/b"))],
        [None],
    ),
    (bytes, {**STRING, "contentEncoding": "base64"}, [("AAE=", b"\0\1")], ["?", 1]),
    (
        Point,
        {
            "type": "object",
            "properties": {
                "x": {**INTEGER, "description": "to the right"},
                "y": {"type": "number", "description": "upwards", "default": 0.5},
                "tags": {"type": "array", "items": STRING},
            },
            "required": ["x"],
        },
        [
            ({"x": 1, "y": 2}, Point(1, 2.0)),
            ({"x": 1, "y": None, "tags": None}, Point(1)),
        ],
        [{}, {"x": None}, {"x": 1, "z": 2}, {"x": 1, "size": 2}, [], None],
    ),
    (
        Span,
        {
            "type": "object",
            "properties": {
                "start": {**STRING, "format": "date"},
                "end": {**STRING, "format": "date"},
            },
            "required": ["start", "end"],
        },
        [],
        [{"start": "2026-01-02", "end": "2026-01-01"}],
    ),
    (
        Movie,
        {
            "type": "object",
            "properties": {
                "name": STRING,
                "year": INTEGER,
                "seen": {"type": "boolean"},
            },
            "required": ["name"],
        },
        [
            ({"name": "Alien"}, {"name": "Alien"}),
            ({"name": "x", "year": None}, {"name": "x"}),
        ],
        [{"year": 1979}, {"name": "Alien", "stars": 5}, []],
    ),
    (
        Loose,
        {
            "type": "object",
            "properties": {
                "name": STRING,
                "note": {**STRING, "nullable": True, "description": "x"},
                "year": INTEGER,
            },
            "required": ["name", "note"],
        },
        [({"name": "a", "note": None}, {"name": "a", "note": None})],
        [{"name": "a"}],
    ),
    (
        Pair,
        {
            "type": "object",
            "properties": {"left": INTEGER, "right": {**STRING, "default": "r"}},
            "required": ["left"],
        },
        [({"left": 1}, Pair(1)), ({"left": 1, "right": "x"}, Pair(1, "x"))],
        [[1, "x"], {"right": "x"}],
    ),
    (
        Untyped,
        {
            "type": "object",
            "properties": {"a": {}, "b": {"default": 2}},
            "required": ["a"],
        },
        [({"a": None}, Untyped(None))],
        [{}],
    ),
    (
        Booking,
        {
            "type": "object",
            "properties": {
                "title": STRING,
                "day": {**STRING, "format": "date"},
                "seats": {
                    "type": "array",
                    "default": [],
                    "items": {
                        "type": "object",
                        "properties": {
                            "row": {**INTEGER, "minimum": 1},
                            "side": {
                                "type": "string",
                                "enum": ["left", "right"],
                                "nullable": True,
                                "default": None,
                            },
                        },
                        "required": ["row"],
                    },
                },
            },
            "required": ["title", "day"],
        },
        [
            (
                {"title": "x", "day": "2026-01-31", "seats": [{"row": 1}]},
                Booking(title="x", day=date(2026, 1, 31), seats=[Seat(row=1)]),
            )
        ],
        [
            {"title": "x", "day": "tomorrow"},
            {"title": "x", "day": "2026-01-31", "seats": [{"row": 0}]},
            {"title": 5, "day": "2026-01-31"},
        ],
    ),
    (
        Union[int, Seat],
        {"anyOf": [INTEGER, form_of(Seat, SCOPE).wire]},
        [({"row": 1}, Seat(row=1)), (3, 3)],
        ["a", {"row": 0}],
    ),
]


def names(row: Any) -> str:
    return type_name(row[0])


def fits(form: Form, value: Any) -> bool:
    """Whether a value passes both the schema and the reading, as in a call."""
    if not Draft202012Validator(form.strict).is_valid(value):
        return False
    try:
        form.load(value)
    except InvalidArguments:
        return False
    return True


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_the_wire_form(row: Any) -> None:
    """Each type is offered as a valid JSON Schema, in the platform's dialect."""
    form = form_of(row[0], SCOPE)
    assert form.wire == row[1]
    Draft202012Validator.check_schema(form.wire)
    Draft202012Validator.check_schema(form.strict)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_values_that_fit(row: Any) -> None:
    """Each value is accepted, and read as the annotated type."""
    form = form_of(row[0], SCOPE)
    for value, expected in row[2]:
        assert Draft202012Validator(form.strict).is_valid(value)
        result = form.load(value)
        assert result == expected
        assert type(result) is type(expected)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_values_that_do_not_fit(row: Any) -> None:
    """Each other value is refused."""
    form = form_of(row[0], SCOPE)
    for value in row[3]:
        assert not fits(form, value)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_forms_can_be_pickled(row: Any) -> None:
    """A form reads the same after its way to another process."""
    form = pickle.loads(pickle.dumps(form_of(row[0], SCOPE)))
    for value, expected in row[2]:
        assert form.load(value) == expected


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (complex, "complex has no JSON form; use str"),
        (T, "~T has no JSON form"),
        (abc.Callable[[], None], "Callable.* has no JSON form"),
        (list[complex], "complex has no JSON form"),
        (Optional[complex], "complex has no JSON form"),
        (dict[int, str], r"dict\[int, str\] has keys .* use dict\[str, T\]"),
        (dict[UserId, str], "has keys that JSON does not have"),
        (set[list[int]], r"set\[list\[int\]\] holds what Python cannot hash; use"),
        (set[dict[str, int]], "holds what Python cannot hash"),
        (frozenset[Span], "holds what Python cannot hash"),
        (Unnamed, "Unnamed has values .* use str"),
        (Infinite, "Infinite has values"),
        (Memberless, "Memberless has values"),
        (Literal[b"x"], "has values that JSON cannot offer"),
        (Node, "'next': Node refers to itself.* use"),
        (Json, "refers to itself"),
        (Tree, "Tree refers to itself"),
        (Seeded, "Seeded.seed is an InitVar.* make it a field"),
        (Unwritable, "model_json_schema failed .* use"),
        (typing_extensions.TypeAliasType("A", "A"), "refers to itself"),
    ],
)
def test_types_that_are_refused(annotation: Any, problem: str) -> None:
    """What has no JSON form is a problem with a cure."""
    with pytest.raises(Undescribable) as caught:
        form_of(annotation, SCOPE)
    (told,) = caught.value.problems

    assert re.search(problem, str(told))


def test_an_alias_of_itself_is_refused() -> None:
    """An alias may not come round to itself, however it is written."""

    class TypeAliasType:
        __value__: Any = None

    alias = TypeAliasType()
    alias.__value__ = list[alias]  # type: ignore[valid-type]
    with pytest.raises(Undescribable, match="refers to itself"):
        form_of(alias, SCOPE)


def test_all_problems_of_a_record_are_told() -> None:
    """Each field has its own problem, with its place."""
    with pytest.raises(Undescribable) as caught:
        form_of(list[Bad], SCOPE)
    assert [problem.path for problem in caught.value.problems] == [("a",), ("b",)]


def test_the_same_record_twice_is_no_cycle() -> None:
    """Only a type inside itself is refused."""
    form = form_of(tuple[Pair, Pair], SCOPE)
    assert form.load([{"left": 1}, {"left": 2}]) == (Pair(1), Pair(2))


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (Point, "Point"),
        (Optional[int], "Optional[int]"),
        (list[int], "list[int]"),
    ],
)
def test_names_of_types(annotation: Any, name: str) -> None:
    """A type is called in messages what its author calls it."""
    assert type_name(annotation) in (name, "int | None")


# Any type, with values of it ----------------------------------------------------------

Typed = tuple[Any, st.SearchStrategy[Any]]

SCALARS: list[Typed] = [
    (str, st.text()),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (date, st.dates()),
    (time, st.times()),
    (datetime, st.datetimes(timezones=st.sampled_from([None, timezone.utc]))),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (bytes, st.binary()),
    (PurePosixPath, st.builds(PurePosixPath, st.text("ab/. ", min_size=1))),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Literal["a", 1, None], st.sampled_from(["a", 1, None])),
]


def of(generic: Any, arguments: Any) -> Any:
    return generic[arguments]


def list_of(inner: Typed) -> Typed:
    kind, values = inner
    return of(List, kind), st.lists(values, max_size=4)


def dict_of(inner: Typed) -> Typed:
    kind, values = inner
    return of(Dict, (str, kind)), st.dictionaries(st.text(), values, max_size=4)


def set_of(inner: Typed) -> Typed:
    kind, values = inner
    return of(Set, kind), st.sets(values, max_size=4)


def open_tuple_of(inner: Typed) -> Typed:
    kind, values = inner
    return of(Tuple, (kind, ...)), st.lists(values, max_size=4).map(tuple)


def optional(inner: Typed) -> Typed:
    return Optional[inner[0]], st.none() | inner[1]


def tuple_of(members: list[Typed]) -> Typed:
    kinds = tuple(kind for kind, _ in members)
    return of(Tuple, kinds), st.tuples(*(each for _, each in members))


def dataclass_of(members: list[Typed]) -> Typed:
    kind = make_dataclass("Made", [(f"f{i}", m[0]) for i, m in enumerate(members)])
    values = {f.name: m[1] for f, m in zip(fields(kind), members)}
    return kind, st.builds(kind, **values)


def named_tuple_of(members: list[Typed]) -> Typed:
    listed = [(f"f{i}", kind) for i, (kind, _) in enumerate(members)]
    kind: Any = NamedTuple("Made", listed)  # type: ignore[misc]
    return kind, st.builds(kind, *(values for _, values in members))


def typed_dict_of(members: list[Typed]) -> Typed:
    kinds = {f"f{i}": kind for i, (kind, _) in enumerate(members)}
    values = {f"f{i}": each for i, (_, each) in enumerate(members)}
    kind: Any = TypedDict("Made", kinds)  # type: ignore[misc]
    return kind, st.fixed_dictionaries(values)


def composed(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    members = st.lists(inner, max_size=3)
    return st.one_of(
        *(inner.map(make) for make in (list_of, dict_of, open_tuple_of, optional)),
        *(
            members.map(make)
            for make in (tuple_of, dataclass_of, named_tuple_of, typed_dict_of)
        ),
        st.sampled_from(SCALARS).map(set_of),
    )


TYPES = st.recursive(st.sampled_from(SCALARS), composed, max_leaves=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a", "red", "2026-01-31", "PT1S"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["f0", "f1", "f2"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_every_value_comes_back(data: st.DataObject) -> None:
    """A value of any type, written as a result, is a valid argument and reads equal."""
    annotation, values = data.draw(TYPES)
    value = data.draw(values)
    form = form_of(annotation, SCOPE)
    sent = json.loads(encode_result(value))
    assert Draft202012Validator(form.strict).is_valid(sent)
    result = form.load(sent)
    assert result == value
    assert type(result) is type(value)


@given(TYPES)
def test_every_type_makes_valid_schemas(typed: Typed) -> None:
    """Both forms of any type are JSON Schemas, and JSON themselves."""
    form = form_of(typed[0], SCOPE)
    for schema in (form.wire, form.strict):
        Draft202012Validator.check_schema(schema)
        assert json.loads(encode_result(schema)) == schema


@given(TYPES, JSON)
def test_reading_refuses_what_the_schema_refuses(typed: Typed, value: Any) -> None:
    """Reading alone is at least as strict as the schema, so unions can rely on it."""
    form = form_of(typed[0], SCOPE)
    try:
        form.load(value)
    except InvalidArguments as error:
        assert error.violations
        assert str(error)
    else:
        assert Draft202012Validator(form.strict).is_valid(value)


@given(st.lists(TYPES, min_size=2, max_size=4), st.data())
def test_a_union_reads_values_of_each_member(
    members: list[Typed], data: st.DataObject
) -> None:
    """A value of any member is valid for the union, and some member reads it."""
    annotation = of(Union, tuple(kind for kind, _ in members))
    value = data.draw(st.one_of(*(values for _, values in members)))
    form = form_of(annotation, SCOPE)
    assert fits(form, json.loads(encode_result(value)))
