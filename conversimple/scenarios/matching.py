"""What an answer is, and what it was to be: the differences. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from .scenario import Path

MAX_SHOWN = 120
MAX_DIFFERENCES = 20
NOTHING = "nothing"


class Difference(NamedTuple):
    """One thing that is not as it was to be; both sides as text."""

    path: Path
    expected: str
    got: str


def differences(expected: Any, got: Any, *, partial: bool = False) -> list[Difference]:
    """Compare two JSON values.

    1 and 1.0 are the same number, and neither is true.

    Args:
        expected: what was to be.
        got: what is.
        partial: objects may have more than what is expected, at any depth.

    Returns:
        The first differences; empty when there are none.
    """
    return list(islice(_differences(expected, got, partial, ()), MAX_DIFFERENCES))


def schema_differences(schema: Any, got: Any) -> list[Difference]:
    """Check a JSON value against a JSON Schema, formats such as ``date`` included."""
    validator = Draft202012Validator(
        schema,
        # A schema leads to nothing outside of itself.
        registry=Registry(),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    try:
        errors = list(islice(validator.iter_errors(got), MAX_DIFFERENCES))
    except Unresolvable as error:
        return [Difference((), f"a schema that knows its {error.ref}", shown(got))]
    except RecursionError:
        return [Difference((), "a schema that never leads to itself", shown(got))]
    return [_violation(error) for error in errors]


def shown(value: Any) -> str:
    """A value as JSON, shortened."""
    return _shortened(_json(value), 0)


def _differences(
    expected: Any, got: Any, partial: bool, path: Path
) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            if key in got:
                yield from _differences(value, got[key], partial, (*path, key))
            else:
                yield Difference((*path, key), shown(value), NOTHING)
        for key in () if partial else got.keys() - expected.keys():
            yield Difference((*path, key), NOTHING, shown(got[key]))
    elif isinstance(expected, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(expected, got)):
            yield from _differences(one, other, partial, (*path, index))
        for index in range(len(got), len(expected)):
            yield Difference((*path, index), shown(expected[index]), NOTHING)
        for index in range(len(expected), len(got)):
            yield Difference((*path, index), NOTHING, shown(got[index]))
    elif not _same(expected, got):
        yield Difference(path, *_both_shown(expected, got))


def _same(one: Any, other: Any) -> bool:
    # To Python, True is 1.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _violation(error: ValidationError) -> Difference:
    wanted = _shortened(error.message, 0)
    if error.validator is not None:  # as it is for the schema false
        wanted = f"{shown({error.validator: error.validator_value})}: {wanted}"
    return Difference(tuple(error.absolute_path), wanted, shown(error.instance))


def _both_shown(one: Any, other: Any) -> tuple[str, str]:
    texts = _json(one), _json(other)
    start = 0
    if max(map(len, texts)) > MAX_SHOWN:
        same = next((i for i, (a, b) in enumerate(zip(*texts)) if a != b), 0)
        start = max(0, same - MAX_SHOWN // 4)
    return _shortened(texts[0], start), _shortened(texts[1], start)


def _shortened(text: str, start: int) -> str:
    before = "…" if start else ""
    after = "…" if len(text) > start + MAX_SHOWN else ""
    return f"{before}{text[start:start + MAX_SHOWN]}{after}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
