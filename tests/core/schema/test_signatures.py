"""A signature becomes parameters: what is sent, what is checked, what is loaded."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Optional

import pytest
from jsonschema import Draft202012Validator

from conversimple.core.schema.hints import Undescribable
from conversimple.core.schema.signatures import parameters_of
from conversimple.core.schema.violations import InvalidArguments


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Order:
    """An order.

    Attributes:
        lines: what is ordered
    """

    lines: list[str]
    on: date = date(2026, 1, 31)


def problems_of(function: Callable[..., Any], bound: bool = False) -> list[str]:
    with pytest.raises(Undescribable) as caught:
        parameters_of(function, bound=bound)
    return [str(problem) for problem in caught.value.problems]


def everything(  # type: ignore[no-untyped-def]
    self: Any,
    city: str,
    maybe: Optional[int],
    days: int = 3,
    *,
    color: Color = Color.RED,
    note: Annotated[str | None, "free text"] = None,
    order: Order | None = None,
    old: str = None,  # type: ignore[assignment]
    secret: Any = print,
    loose=(),
) -> None:
    """Do it.

    Args:
        city: Where.
        note: The annotation goes before this.
    """


def test_what_is_sent() -> None:
    """The wire form is the platform's dialect, exactly."""
    assert parameters_of(everything, bound=True).wire == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "maybe": {"type": "integer", "nullable": True},
            "days": {"type": "integer", "default": 3},
            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "note": {
                "type": "string",
                "nullable": True,
                "description": "free text",
                "default": None,
            },
            "order": {
                "type": "object",
                "properties": {
                    "lines": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "what is ordered",
                    },
                    "on": {
                        "type": "string",
                        "format": "date",
                        "default": "2026-01-31",
                    },
                },
                "required": ["lines"],
                "nullable": True,
                "default": None,
            },
            "old": {"type": "string", "nullable": True, "default": None},
            "secret": {},
            "loose": {"default": []},
        },
        "required": ["city", "maybe"],
    }


def test_what_is_checked() -> None:
    """The strict form refuses unknown names, and takes null for what has a default."""
    strict = parameters_of(everything, bound=True).strict
    Draft202012Validator.check_schema(strict)
    assert strict["additionalProperties"] is False
    assert strict["required"] == ["city", "maybe"]
    properties = strict["properties"]
    assert properties["city"] == {"type": "string"}
    assert properties["maybe"] == {"type": ["integer", "null"]}
    assert properties["days"] == {"type": ["integer", "null"]}
    assert properties["color"] == {
        "anyOf": [{"type": "string", "enum": ["red", "blue"]}, {"type": "null"}]
    }
    assert properties["order"]["type"] == ["object", "null"]
    assert properties["order"]["additionalProperties"] is False
    assert properties["secret"] == {}


def test_what_is_loaded() -> None:
    """Arguments become the annotated types, and null the default or None."""
    load = parameters_of(everything, bound=True).load
    assert load({"city": "Oslo", "maybe": None, "days": None, "note": None}) == {
        "city": "Oslo",
        "maybe": None,
        "note": None,
    }
    loaded = load(
        {
            "city": "Oslo",
            "maybe": 2.0,
            "color": "blue",
            "order": {"lines": ["a"], "on": None},
            "loose": None,
        }
    )
    assert loaded["color"] is Color.BLUE
    assert loaded["order"] == Order(["a"])
    assert type(loaded["maybe"]) is int
    assert loaded["loose"] is None


def test_what_is_refused() -> None:
    """All violations come at once."""
    with pytest.raises(InvalidArguments) as caught:
        parameters_of(everything, bound=True).load({"color": "green", "x": 1})
    assert len(caught.value.violations) == 4


def test_parameters_can_be_pickled() -> None:
    """Parameters travel to other processes with the agent that has them."""
    parameters = pickle.loads(pickle.dumps(parameters_of(everything, bound=True)))
    assert parameters.load({"city": "Oslo", "maybe": 1}) == {"city": "Oslo", "maybe": 1}


def test_no_parameters() -> None:
    """A function without parameters is an empty object."""

    def nothing() -> None: ...

    assert parameters_of(nothing, bound=False).wire == {
        "type": "object",
        "properties": {},
        "required": [],
    }


def test_self_is_left_out_whatever_its_name() -> None:
    """The first parameter of a method is not offered, positional-only or not."""

    def method(this: Any, /, city: str) -> None: ...

    assert list(parameters_of(method, bound=True).wire["properties"]) == ["city"]


def test_all_problems_are_told_at_once() -> None:
    """Each names the parameter and the cure."""

    def bad(
        first: int,
        /,
        second: complex,
        third: dict[int, str],
        fourth: Missing,  # type: ignore[name-defined]  # noqa: F821
        *rest: int,
        **more: int,
    ) -> None: ...

    told = {text.split(":")[0]: text for text in problems_of(bad)}
    assert list(told) == [
        "parameter 'first'",
        "parameter 'fourth'",
        "parameter 'rest'",
        "parameter 'more'",
        "parameter 'second'",
        "parameter 'third'",
    ]
    assert "remove the /" in told["parameter 'first'"]
    assert "use str" in told["parameter 'second'"]
    assert "use dict[str, T]" in told["parameter 'third'"]
    assert "top of the module" in told["parameter 'fourth'"]
    assert "use rest: list[T]" in told["parameter 'rest'"]
    assert "use more: dict[str, T]" in told["parameter 'more'"]


def test_a_method_needs_self() -> None:
    """A function without parameters cannot be a method."""

    def nothing() -> None: ...

    def stars(*everyone: Any) -> None: ...

    assert problems_of(nothing, bound=True) == ["it has no first parameter; add self"]
    assert problems_of(stars, bound=True) == ["it has no first parameter; add self"]


def test_an_unreadable_signature_is_a_problem() -> None:
    """Some builtins do not tell what they take."""
    (problem,) = problems_of(type("X", (), {"__signature__": 5, "__call__": 0})())
    assert "wrap it in a function" in problem


def test_names_of_the_function_around() -> None:
    """What a function closes over can be named in its annotations."""

    class Local(Enum):
        A = "a"

    def uses(local: Local) -> Any:
        return Local, later

    parameters = parameters_of(uses, bound=False)
    assert parameters.load({"local": "a"}) == {"local": Local.A}
    later = None


def test_names_can_be_given() -> None:
    """Who knows more names can tell them."""

    def uses(local: Local) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    parameters = parameters_of(uses, bound=False, names={"Local": int})
    assert parameters.wire["properties"]["local"] == {"type": "integer"}


def test_a_wrapper_has_the_signature_of_what_it_wraps() -> None:
    """Other decorators below do not hide the parameters."""

    @functools.wraps(everything)
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    direct, wrapped = (parameters_of(f, bound=True) for f in (everything, wrapper))
    assert wrapped.wire == direct.wire


def test_a_callable_without_code_closes_over_nothing() -> None:
    """A callable that is no Python function is described by its signature."""
    cached = functools.lru_cache(lambda city: city)
    wire = parameters_of(functools.partial(cached), bound=False).wire
    assert list(wire["properties"]) == ["city"]


def test_another_docstring_can_describe() -> None:
    """An override without a docstring is described by what it overrides."""

    def plain(city: str) -> None: ...

    wire = parameters_of(plain, bound=False, docstring=everything.__doc__).wire
    assert wire["properties"]["city"]["description"] == "Where."
