"""Reads the transcripts, and matches and fills their placeholders.

It knows JSON and the rules of README.md, and neither of the two sides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "transcripts"
WITH_VERB = ("platform", "agent", "caller")
ACTORS = ("connect", "client", "server", "closed", "hangup", *WITH_VERB)

_PLACEHOLDER = re.compile(r"<([a-z0-9_ ]+)>")


@dataclass(frozen=True)
class Step:
    """One line of a transcript.

    Attributes:
        line: its number in the file, counted from 1.
        actor: the word before the colon.
        verb: what a platform, an agent or a caller does; empty for the others.
        value: the decoded JSON; for ``connect`` the text; None when there is nothing.
    """

    line: int
    actor: str
    verb: str
    value: Any


@dataclass(frozen=True)
class Transcript:
    """One scenario.

    Attributes:
        name: the file's name without its ending.
        title: its first comment.
        steps: in order.
    """

    name: str
    title: str
    steps: tuple[Step, ...]


def names() -> list[str]:
    """The names of all transcripts."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def load(name: str) -> Transcript:
    """Reads one transcript.

    Raises:
        ValueError: a line does not follow the rules.
    """
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    comments = [line[1:].strip() for line in lines if line.startswith("#")]
    steps = [
        _step(number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    return Transcript(name, comments[0], tuple(steps))


def _step(number: int, line: str) -> Step:
    actor, colon, rest = line.partition(":")
    if actor not in ACTORS or not colon:
        raise ValueError(f"line {number} begins with none of {', '.join(ACTORS)}")
    rest = rest.strip()
    if actor == "connect":
        return Step(number, actor, "", rest)
    verb = ""
    if actor in WITH_VERB:
        verb, _, rest = rest.partition(" ")
    return Step(number, actor, verb, json.loads(rest) if rest else None)


class Placeholders:
    """What the placeholders of one transcript stand for.

    Args:
        new_ref: gives the next ref; by default "1", "2", …
    """

    def __init__(self, new_ref: Callable[[], str] | None = None) -> None:
        numbers = count(1)
        self._new_ref = new_ref or (lambda: str(next(numbers)))
        self._values: dict[str, object] = {}

    def fill(self, template: Any) -> Any:
        """The value to send: an unknown placeholder gets a new value."""
        if isinstance(template, list):
            return [self.fill(item) for item in template]
        if isinstance(template, dict):
            return {key: self.fill(item) for key, item in template.items()}
        name = _name(template)
        if name is None:
            return template
        if name not in self._values:
            self._values[name] = self._new_value(name)
        return self._values[name]

    def match(self, template: Any, value: Any) -> bool:
        """Whether a received value fits: an unknown placeholder takes what came."""
        name = _name(template)
        if name is not None:
            return bool(self._values.setdefault(name, value) == value)
        if isinstance(template, list):
            return (
                isinstance(value, list)
                and len(template) == len(value)
                and all(map(self.match, template, value))
            )
        if isinstance(template, dict):
            return (
                isinstance(value, dict)
                and template.keys() == value.keys()
                and all(self.match(template[key], value[key]) for key in template)
            )
        return type(template) is type(value) and bool(template == value)

    def _new_value(self, name: str) -> str:
        if name.startswith("time"):
            return datetime.now(timezone.utc).isoformat()
        return self._new_ref()


def _name(template: Any) -> str | None:
    found = _PLACEHOLDER.fullmatch(template) if isinstance(template, str) else None
    return None if found is None else found[1]
