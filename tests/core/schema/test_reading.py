"""JSON values are read as Python types, and everything wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pytest

from conversimple.core.schema import reading
from conversimple.core.schema.scalars import read_integer, read_text
from conversimple.core.schema.violations import InvalidArguments

INTEGER = partial(reading.read_scalar, read_integer, "an integer")
TEXT = partial(reading.read_scalar, read_text, "a string")
RECORD = partial(
    reading.read_record,
    {"a": INTEGER, "b": TEXT, "c": partial(reading.read_nullable, TEXT)},
    {"a": "an integer"},
    frozenset(["b"]),
    "an object with a, b, c",
)


def refused(read: Callable[[Any], Any], value: Any) -> str:
    with pytest.raises(InvalidArguments) as caught:
        read(value)
    return str(caught.value)


def test_anything_stays_as_it_came() -> None:
    """Without a type the value is handed on, not copied."""
    value = [1]
    assert reading.read_anything(value) is value


def test_a_choice_keeps_true_and_one_apart() -> None:
    """True is not the choice 1."""
    read = partial(reading.read_choice, {(False, 1): "one"})
    assert read(1) == read(1.0) == "one"
    with pytest.raises(LookupError):
        read(True)


def test_a_path_has_the_annotated_class() -> None:
    """The class that was asked for is made."""
    assert reading.read_path(PurePosixPath, "a/b") == PurePosixPath("a/b")


def test_null_stays_null() -> None:
    """A nullable value is null or is read."""
    read = partial(reading.read_nullable, INTEGER)
    assert read(None) is None
    assert read(1.0) == 1


def test_the_first_member_that_fits_reads() -> None:
    """A union tries its members in order."""
    read = partial(reading.read_first, [INTEGER, TEXT], "an integer or a string")
    assert read(1.0) == 1
    assert read("1") == "1"
    assert refused(read, None) == "arguments: got null, expected an integer or a string"


def test_a_union_tells_what_is_wrong_inside_the_member_that_was_meant() -> None:
    """If one member alone has the right outside, its own violations are told."""
    read = partial(reading.read_first, [INTEGER, RECORD], "an integer or an object")
    assert refused(read, {"a": "x"}).startswith("a: got")
    twice = partial(reading.read_first, [RECORD, RECORD], "an object")
    assert refused(twice, {"a": "x"}).startswith("arguments: got")


def test_an_array_tells_all_its_bad_items() -> None:
    """Each bad item is told with its index."""
    read = partial(reading.read_array, INTEGER, tuple, "an array")
    assert read([1, 2.0]) == (1, 2)
    assert refused(read, [1, "a", None]).startswith("[1]: got")
    assert "[2]: got null" in refused(read, [1, "a", None])
    assert "expected an array" in refused(read, "abc")


def test_a_set_does_not_lose_items() -> None:
    """An item that comes twice, or that cannot be hashed, is refused."""
    build = partial(reading.read_set, frozenset)
    read = partial(reading.read_array, reading.read_anything, build, "a set")
    assert read([1, 2]) == frozenset([1, 2])
    assert refused(read, [1, 1]).endswith("expected a set")
    assert refused(read, [[]]).endswith("expected a set")


def test_a_tuple_has_its_length() -> None:
    """Each place has its own type."""
    read = partial(reading.read_tuple, [INTEGER, TEXT], "a pair")
    assert read([1, "a"]) == (1, "a")
    assert refused(read, [1]).endswith("expected a pair")
    assert refused(read, {}).endswith("expected a pair")
    assert refused(read, ["a", 1]).count("got") == 2


def test_an_object_reads_all_its_values() -> None:
    """Names stay, values are read."""
    read = partial(reading.read_object, INTEGER, "an object")
    assert read({"x": 1.0}) == {"x": 1}
    assert refused(read, {"x": "a"}).startswith("x: got")
    assert refused(read, []).endswith("expected an object")


def test_a_record_reads_its_names() -> None:
    """Null means "not given" for optional names that cannot be null."""
    assert RECORD({"a": 1, "b": "x", "c": "y"}) == {"a": 1, "b": "x", "c": "y"}
    assert RECORD({"a": 1, "b": None, "c": None}) == {"a": 1, "c": None}


def test_a_record_tells_everything_at_once() -> None:
    """Bad, unknown and missing names come in one exception."""
    assert refused(RECORD, {"b": 1, "d": 2}) == (
        "b: got 1 (number), expected a string; "
        "d: unknown, the allowed names are: a, b, c; "
        "a: missing, expected an integer"
    )
    assert refused(RECORD, 5).endswith("expected an object with a, b, c")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("the end is before the start"), "the end is before the start"),
        (ValueError(), "ValueError"),
        (KeyError("secret"), "KeyError"),
    ],
)
def test_what_a_class_refuses_is_told(error: Exception, words: str) -> None:
    """The text of a ValueError is for the sender, other texts are not."""

    def kind(**values: Any) -> None:
        raise error

    text = refused(partial(reading.read_instance, kind, RECORD), {"a": 1})
    assert text == f"arguments: got an object of size 1, refused: {words}"


def test_an_instance_is_made_of_a_record() -> None:
    """The names become keywords."""
    assert reading.read_instance(dict, RECORD, {"a": 1}) == {"a": 1}


class Model:
    """A model that refuses with whatever it is given to raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def model_validate(self, value: Any) -> None:
        raise self.error


class Complaint(Exception):
    def errors(self) -> list[dict[str, Any]]:
        return [{"loc": ("seats", 2), "input": 5, "msg": "Input should be a string"}]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Complaint(), "seats[2]: got 5 (number), refused: Input should be a string"),
        (
            ValueError("no"),
            "arguments: got 1 (number), refused: no",
        ),
    ],
)
def test_what_a_model_refuses_is_told(error: Exception, text: str) -> None:
    """A model's own list of errors is told place by place, if it has one."""
    assert refused(partial(reading.read_model, Model(error)), 1) == text
