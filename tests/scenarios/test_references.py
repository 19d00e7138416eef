"""Days and earlier results inside of texts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversimple.scenarios.references import (
    WEEKDAYS,
    ReferenceFailed,
    day_of,
    escape,
    expand,
    part_of,
    references_in,
)
from tests.scenarios.test_words import json_values

WEDNESDAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    "reference, day",
    [
        ("today", "2026-03-04"),
        ("today+3", "2026-03-07"),
        ("today-4", "2026-02-28"),
        ("thursday", "2026-03-05"),
        ("tuesday", "2026-03-10"),
        ("wednesday", "2026-03-11"),
        ("wednesday-7", "2026-03-04"),
        ("monday+1", "2026-03-10"),
        ("today+", None),
        ("today+x", None),
        ("toDay", None),
        ("today+123456", None),
        ("booking.day", None),
    ],
)
def test_days(reference: str, day: str | None) -> None:
    """They are counted from today; a weekday is the next one."""
    assert day_of(reference, WEDNESDAY) == day


@given(st.dates(max_value=date(9000, 1, 1)), st.sampled_from(WEEKDAYS))
def test_a_weekday_is_within_a_week_and_not_today(today: date, name: str) -> None:
    """Whatever day it is."""
    found = date.fromisoformat(day_of(name, today) or "")
    assert timedelta(1) <= found - today <= timedelta(7)
    assert WEEKDAYS[found.weekday()] == name


RESULTS = {"a": {"b": [1, {"c": None}], "text": "x"}, "n": 3}


@pytest.mark.parametrize(
    "text, value",
    [
        ("${a.b}", [1, {"c": None}]),
        ("${ a.b.1.c }", None),
        ("${n}", 3),
        ("no. ${n}, ${a.text}: ${a.b}", 'no. 3, x: [1, {"c": null}]'),
        ("$${n}", "${n}"),
        ("$$${n}", "$${n}"),
        ("$n {n} $", "$n {n} $"),
    ],
)
def test_results(text: str, value: Any) -> None:
    """A text that is one reference becomes the value itself."""
    assert expand([{"k": text}], lambda name: part_of(name, RESULTS)) == [{"k": value}]


@pytest.mark.parametrize(
    "reference, problem",
    [
        ("z", "z has no result"),
        ("a.z", "a has no z; it has b, text"),
        ("a.b.2", "a.b has no 2; it has 2 elements, counted from 0"),
        ("n.x", "n has no x; it has no parts"),
    ],
)
def test_parts_that_are_not_there(reference: str, problem: str) -> None:
    """What is there is told."""
    with pytest.raises(ReferenceFailed, match=problem):
        part_of(reference, RESULTS)


@settings(max_examples=30)
@given(json_values)
def test_what_is_escaped_refers_to_nothing(value: Any) -> None:
    """Whatever it is, it comes back."""
    assert not list(references_in(escape(value)))
    assert expand(escape(value), dict[str, Any]().__getitem__) == value


def test_references_are_found_with_their_places() -> None:
    """And those that are not closed."""
    found = list(references_in({"a": ["x", "${b} ${c"], "d": "$${"}))
    assert found == [(("a", 1), "b", True), (("a", 1), "c", False)]
