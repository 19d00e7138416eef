"""``${...}`` in the texts of a scenario: days, and results of earlier calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from .scenario import Path

WEEKDAYS = (
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)
DAYS = ("today", *WEEKDAYS)
ESCAPED = "$${"

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_DAY = re.compile(rf"({'|'.join(DAYS)})(?:([-+])([0-9]{{1,5}}))?")


class ReferenceFailed(ValueError):
    """A reference leads nowhere; the text says why."""


def references_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str, bool]]:
    """Find the references in a value: where, what is inside, whether it is closed."""
    if isinstance(value, str):
        for match in _REFERENCE.finditer(value):
            if match[0] != ESCAPED:
                yield path, match[1].strip(), bool(match[2])
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from references_in(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from references_in(each, (*path, index))


def expand(value: Any, look_up: Callable[[str], Any]) -> Any:
    """Replace the references in a value.

    A text that is one reference and nothing else becomes what it refers to; inside of
    a longer text, what is not text is put in as JSON.

    Raises:
        ReferenceFailed: a reference leads nowhere.
    """
    if isinstance(value, str):
        return _expanded(value, look_up)
    if isinstance(value, Mapping):
        return {key: expand(each, look_up) for key, each in value.items()}
    if isinstance(value, list):
        return [expand(each, look_up) for each in value]
    return value


def escape(value: Any) -> Any:
    """Write a value so that `expand` gives it back, whatever is in it."""
    if isinstance(value, str):
        return value.replace("${", ESCAPED)
    if isinstance(value, Mapping):
        return {key: escape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [escape(each) for each in value]
    return value


def day_of(reference: str, today: date) -> str | None:
    """The day that is meant, as ISO text, or None when it is no day.

    ``today+3`` is in three days; ``tuesday`` is the next one, after today.
    """
    match = _DAY.fullmatch(reference)
    if match is None:
        return None
    name, sign, number = match.groups()
    shift = int(f"{sign}{number}") if sign else 0
    if name != "today":
        shift += (WEEKDAYS.index(name) - today.weekday() - 1) % 7 + 1
    return (today + timedelta(days=shift)).isoformat()


def part_of(reference: str, results: Mapping[str, Any]) -> Any:
    """The part of an earlier result that is meant: ``booking.table.0``.

    Raises:
        ReferenceFailed: there is no such result, or no such part in it.
    """
    name, *parts = reference.split(".")
    if name not in results:
        raise ReferenceFailed(f"${{{reference}}}: {name} has no result")
    value = results[name]
    way = name
    for part in parts:
        value = _inside(value, part, way, reference)
        way = f"{way}.{part}"
    return value


def _inside(value: Any, part: str, way: str, reference: str) -> Any:
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    if isinstance(value, Mapping):
        there = f"it has {', '.join(value) or 'nothing'}"
    elif isinstance(value, list):
        there = f"it has {len(value)} elements, counted from 0"
    else:
        there = "it has no parts"
    raise ReferenceFailed(f"${{{reference}}}: {way} has no {part}; {there}")


def _expanded(text: str, look_up: Callable[[str], Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole is not None and whole[0] != ESCAPED:
        return look_up(whole[1].strip())

    def replaced(match: re.Match[str]) -> str:
        if match[0] == ESCAPED:
            return "${"
        value = look_up(match[1].strip())
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False)

    return _REFERENCE.sub(replaced, text)
