"""String annotations are resolved, and problems say where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from conversimple.core.schema.hints import Problem, Undescribable, class_hints, resolved


class Color:
    """A class of this module."""


@dataclass
class Car:
    color: Color


@dataclass
class Lost:
    color: Elsewhere  # type: ignore[name-defined]  # noqa: F821


def problem_of(error: Undescribable) -> str:
    (problem,) = error.problems
    return str(problem)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, int),
        ("int", int),
        ("Color", Color),
        ("list[Color]", list[Color]),
        ("Annotated[Color, 'x']", Annotated[Color, "x"]),
        (None, type(None)),
    ],
)
def test_strings_are_resolved(annotation: Any, expected: Any) -> None:
    """Names come from the module, and what is no string stays."""
    assert resolved(annotation, globals(), {}) == expected


def test_names_near_by_go_before_the_module() -> None:
    """What stands in the function around is meant, as in Python itself."""
    assert resolved("Color", globals(), {"Color": str}) is str


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("Elsewhere", "name 'Elsewhere' .* TYPE_CHECKING"),
        ("int[", r"cannot be evaluated \(SyntaxError"),
        ("Color.missing", r"cannot be evaluated \(AttributeError"),
    ],
)
def test_what_cannot_be_resolved_is_a_problem(annotation: str, words: str) -> None:
    """The text names the cure."""
    with pytest.raises(Undescribable) as caught:
        resolved(annotation, globals(), {})
    assert re.search(words, problem_of(caught.value))


def test_a_class_is_read_in_its_own_module() -> None:
    """A class from elsewhere does not pick up names from near by."""
    assert class_hints(Car, {"Color": str}) == {"color": Color}


def test_a_class_may_need_names_from_near_by() -> None:
    """What its own module does not know is looked for near by."""
    assert class_hints(Lost, {"Elsewhere": str}) == {"color": str}
    with pytest.raises(Undescribable):
        class_hints(Lost, {})


def test_a_class_inside_a_function_sees_its_neighbours_first() -> None:
    """The local class of the same name is the one that was meant."""

    class Color:
        """Hides the class of the module."""

    @dataclass
    class Bike:
        color: Color

    assert class_hints(Bike, {"Color": Color}) == {"color": Color}


def test_a_problem_tells_its_place() -> None:
    """The place is the parameter, and the fields below it."""
    error = Undescribable.because("no form; use str")
    assert problem_of(error) == "no form; use str"
    outer = Undescribable(Undescribable(error.under("price")).under("order"))
    assert problem_of(outer) == "parameter 'order.price': no form; use str"
    assert outer.problems == (Problem(("order", "price"), "no form; use str"),)
