"""From an answer and what was expected of it to problems, each with its line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .matching import Difference, differences, schema_differences, shown
from .results import Problem
from .scenario import MISSING, Expected, ExpectedError, Path, Place


def problems_with(
    answer: Mapping[str, Any], expected: Expected, place: Place
) -> list[Problem]:
    """Judge the answer to a call.

    Args:
        answer: the payload, with a result or an error.
        expected: what it must be, references expanded.
        place: the call's.
    """
    error = answer.get("error")
    if expected.error is not None:
        return _error_problems(answer, expected.error, place.at("error"))
    if error is not None:
        got = f"{error['type']}: {error['message']}"
        return [Problem(str(place), "the call failed", "a result", got)]
    return _result_problems(answer["result"], expected, place)


def _result_problems(got: Any, expected: Expected, place: Place) -> list[Problem]:
    problems = []
    if expected.result is not MISSING:
        found = differences(expected.result, got)
        problems += [_problem(each, place.at("result")) for each in found]
    if expected.matches is not MISSING:
        found = differences(expected.matches, got, partial=True)
        problems += [_problem(each, place.at("matches")) for each in found]
    if expected.schema is not MISSING:
        found = schema_differences(expected.schema, got)
        where = str(place.at("schema"))
        problems += [
            Problem(where, name_of(each.path), each.expected, each.got)
            for each in found
        ]
    return problems


def _error_problems(
    answer: Mapping[str, Any], expected: ExpectedError, place: Place
) -> list[Problem]:
    error = answer.get("error")
    if error is None:
        wanted = f"the error {expected.type}"
        got = f"the result {shown(answer['result'])}"
        return [Problem(str(place), "the call succeeded", wanted, got)]
    problems = []
    if error["type"] != expected.type:
        got = f"{error['type']}: {error['message']}"
        where = str(place.at("type"))
        problems.append(Problem(where, "the error's type", expected.type, got))
    if expected.message is not None and expected.message not in error["message"]:
        problems.append(
            Problem(
                str(place.at("message")),
                "the error's message",
                f"something with {shown(expected.message)}",
                shown(error["message"]),
            )
        )
    return problems


def _problem(difference: Difference, place: Place) -> Problem:
    where = str(place.at(*difference.path))
    return Problem(where, name_of(difference.path), difference.expected, difference.got)


def name_of(path: Path) -> str:
    """The way to a part of a result as one would write it: ``result.days[2]``."""
    name = "result"
    for part in path:
        if isinstance(part, str) and part.isidentifier():
            name += f".{part}"
        else:
            name += f"[{part!r}]"
    return name
