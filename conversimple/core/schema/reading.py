"""JSON values read as Python types: the steps that forms are put together from.

Each function takes what it needs to know first and the value last, and either returns
the Python value or raises InvalidArguments with everything that is wrong in it. They
are plain functions under ``functools.partial``, so that forms can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from .jsonvalues import Segment
from .scalars import UNREADABLE, read_text
from .violations import InvalidArguments, Violation, misfit, missing, rejected, unknown

Read = Callable[[Any], Any]


def read_anything(value: Any) -> Any:
    """Return the value as it came."""
    return value


def read_scalar(read: Read, expected: str, value: Any) -> Any:
    """Read with a function that raises one of UNREADABLE."""
    try:
        return read(value)
    except UNREADABLE:
        raise InvalidArguments([misfit(value, expected)]) from None


def read_choice(choices: Mapping[Any, Any], value: Any) -> Any:
    """Look up one of the choices by what ``choice_key`` gives."""
    return choices[choice_key(value)]


def choice_key(value: Any) -> tuple[bool, Any]:
    """Return a key that keeps true and 1 apart, which Python holds equal."""
    return isinstance(value, bool), value


def read_path(kind: type[PurePath], value: Any) -> PurePath:
    """Read a path."""
    return kind(read_text(value))


def read_nullable(read: Read, value: Any) -> Any:
    """Keep null, read everything else."""
    return None if value is None else read(value)


def read_first(reads: Sequence[Read], expected: str, value: Any) -> Any:
    """Read with the first member of a union that fits.

    If just one member has the right outside, what is wrong inside it is told.
    """
    close: list[InvalidArguments] = []
    for read in reads:
        try:
            return read(value)
        except InvalidArguments as error:
            if all(violation.path for violation in error.violations):
                close.append(error)
    if len(close) == 1:
        raise close[0]
    raise InvalidArguments([misfit(value, expected)])


def read_array(read: Read, build: Read, expected: str, value: Any) -> Any:
    """Read an array of any length, and build the Python collection from a list."""
    if not isinstance(value, list):
        raise InvalidArguments([misfit(value, expected)])
    items = _read_each((index, read, item) for index, item in enumerate(value))
    return read_scalar(build, expected, items)


def read_set(build: Read, items: list[Any]) -> Any:
    """Build a set, unless that would lose an item."""
    result = build(items)
    if len(result) != len(items):
        raise ValueError("an item came twice")
    return result


def read_tuple(reads: Sequence[Read], expected: str, value: Any) -> tuple[Any, ...]:
    """Read an array of fixed length."""
    if not isinstance(value, list) or len(value) != len(reads):
        raise InvalidArguments([misfit(value, expected)])
    return tuple(_read_each(zip(range(len(reads)), reads, value)))


def read_object(read: Read, expected: str, value: Any) -> dict[str, Any]:
    """Read an object with any names."""
    if not isinstance(value, dict):
        raise InvalidArguments([misfit(value, expected)])
    items = _read_each((name, read, item) for name, item in value.items())
    return dict(zip(value, items))


def read_record(
    reads: Mapping[str, Read],
    required: Mapping[str, str],
    optional: frozenset[str],
    expected: str,
    value: Any,
) -> dict[str, Any]:
    """Read an object with known names.

    Args:
        reads: how to read each name.
        required: the names that must come, each with what is expected there.
        optional: the names for which null means "not given".
        expected: the whole object in words.
        value: what came.
    """
    if not isinstance(value, dict):
        raise InvalidArguments([misfit(value, expected)])
    result: dict[str, Any] = {}
    violations: list[Violation] = []
    for name, item in value.items():
        if name not in reads:
            violations.append(unknown(name, reads))
        elif item is not None or name not in optional:
            try:
                result[name] = reads[name](item)
            except InvalidArguments as error:
                violations.extend(_under(name, error))
    violations += [
        missing(name, words) for name, words in required.items() if name not in value
    ]
    if violations:
        raise InvalidArguments(violations)
    return result


def read_instance(kind: Callable[..., Any], record: Read, value: Any) -> Any:
    """Read a record and make an instance with its names as keywords."""
    values = record(value)
    try:
        return kind(**values)
    except Exception as error:  # the class's own checks run here
        raise InvalidArguments([_rejected(value, error)]) from error


def read_model(kind: Any, value: Any) -> Any:
    """Read with a model's own ``model_validate``."""
    try:
        return kind.model_validate(value)
    except Exception as error:  # whatever the library raises, and the model's checks
        violations = _model_violations(error) or [_rejected(value, error)]
        raise InvalidArguments(violations) from error


def _read_each(items: Iterable[tuple[Segment, Read, Any]]) -> list[Any]:
    result: list[Any] = []
    violations: list[Violation] = []
    for segment, read, value in items:
        try:
            result.append(read(value))
        except InvalidArguments as error:
            violations.extend(_under(segment, error))
    if violations:
        raise InvalidArguments(violations)
    return result


def _under(segment: Segment, error: InvalidArguments) -> list[Violation]:
    return [violation.under(segment) for violation in error.violations]


def _rejected(value: Any, error: Exception) -> Violation:
    # A ValueError is how classes refuse what they are given: its text is for whoever
    # sent the values. Other exceptions are mistakes, and their text can hold secrets.
    reason = str(error) if isinstance(error, ValueError) else ""
    return rejected(value, reason or type(error).__name__)


def _model_violations(error: Any) -> list[Violation]:
    if not hasattr(error, "errors"):
        return []
    return [
        replace(rejected(found["input"], found["msg"]), path=tuple(found["loc"]))
        for found in error.errors()
    ]
