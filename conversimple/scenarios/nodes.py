"""From the text of a YAML file to JSON values, each with its line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import yaml

from .scenario import Path, Place, ScenarioUnreadable
from .words import BOOL, DOUBTFUL, FLOAT, INT, NULL, TEXT, Loader

MAX_VALUES = 100_000
MAPPING = "tag:yaml.org,2002:map"
SEQUENCE = "tag:yaml.org,2002:seq"


def documents_of(text: str, file: str) -> list[tuple[Any, Place]]:
    """Read every document of a file.

    Args:
        text: what is in the file.
        file: what the file is called in error texts.

    Returns:
        Each document as a JSON value, with the place that knows the lines in it.

    Raises:
        ScenarioUnreadable: it is not YAML, or has something that JSON has not.
    """
    builder = _Builder(file)
    try:
        nodes = list(yaml.compose_all(text, Loader=Loader))
        read = [builder.document(node) for node in nodes if not _is_empty(node)]
    except yaml.YAMLError as error:
        raise ScenarioUnreadable([_told(error, file)]) from error
    except RecursionError as error:
        raise ScenarioUnreadable([f"{file}:1: it is nested too deeply"]) from error
    if builder.problems:
        raise ScenarioUnreadable(builder.problems)
    return read


def _is_empty(node: yaml.Node) -> bool:
    return node.tag == NULL and node.value == ""


def _told(error: yaml.YAMLError, file: str) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    line = 1 if mark is None else mark.line + 1
    cure = ""
    if "'\\t'" in what:
        cure = "; indent with spaces, not with tabs"
    elif "mapping values are not allowed" in what:
        cure = '; write a text that has ": " in it in quotes'
    return f"{file}:{line}: not YAML: {context + ', ' if context else ''}{what}{cure}"


class _Builder:
    """Builds the values of one file, and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.problems: list[str] = []
        self._file = file
        self._count = 0
        self._lines: dict[Path, int] = {}
        self._around: list[yaml.Node] = []

    def document(self, node: yaml.Node) -> tuple[Any, Place]:
        """Build one document."""
        self._lines = {(): _line(node)}
        return self._value(node, ()), Place(self._file, self._lines)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES:,} values; make several files")
        if any(node is each for each in self._around):
            return self._problem(node, "a value cannot contain itself; write it out")
        self._around.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == MAPPING:
                return dict(self._items(node, path))
            if isinstance(node, yaml.SequenceNode) and node.tag == SEQUENCE:
                return list(self._elements(node, path))
            return self._scalar(node)
        finally:
            self._around.pop()

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in seen:
                first = self._lines[path + (key,)]
                self._problem(
                    key_node, f"{key!r} is here twice, first in line {first}; keep one"
                )
            seen.add(key)
            self._lines[path + (key,)] = _line(key_node)
            yield key, self._value(value_node, path + (key,))

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            if node.tag != TEXT:
                self._problem(
                    node, f"a key is a text; write it in quotes: {_quoted(node)}"
                )
            return str(node.value)
        self._problem(node, "a key is a text, not a list or a mapping")
        return ""

    def _elements(self, node: yaml.SequenceNode, path: Path) -> Iterator[Any]:
        for index, element in enumerate(node.value):
            self._lines[path + (index,)] = _line(element)
            yield self._value(element, path + (index,))

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag == TEXT:
            return self._text(node)
        if node.tag == NULL:
            return None
        if node.tag == BOOL:
            return str(node.value).lower() == "true"
        if node.tag in (INT, FLOAT):
            return self._number(node)
        if node.tag == DOUBTFUL:
            return self._problem(node, _told_doubt(node))
        return self._problem(
            node, f"{node.tag} is not for values of JSON; write it without a tag"
        )

    def _text(self, node: yaml.Node) -> Any:
        try:
            str(node.value).encode()
        except UnicodeEncodeError:
            return self._problem(node, "half a surrogate pair is not text; remove it")
        return str(node.value)

    def _number(self, node: yaml.Node) -> Any:
        try:
            number = int(node.value) if node.tag == INT else float(node.value)
        except ValueError:
            return self._problem(node, f"{node.value[:40]} is not a number")
        if isinstance(number, float) and not math.isfinite(number):
            return self._problem(node, f"{node.value} is too large for a number")
        return number

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{self._file}:{_line(node)}: {text}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _quoted(node: yaml.Node) -> str:
    return json.dumps(node.value, ensure_ascii=False)


def _told_doubt(node: yaml.Node) -> str:
    word = str(node.value)
    if word.isalpha():
        value = "true" if word.lower() in ("yes", "on") else "false"
        return (
            f"{word} is a text to some readers of YAML and {value} to others; "
            f"write {_quoted(node)} or {value}"
        )
    return (
        f"{word} is not a number as JSON writes it; "
        f"write {_quoted(node)} for a text, or only digits for a number"
    )
