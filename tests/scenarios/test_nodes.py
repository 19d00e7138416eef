"""From YAML to JSON values with lines."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple.scenarios import nodes
from conversimple.scenarios.nodes import documents_of
from conversimple.scenarios.scenario import ScenarioUnreadable


def value_of(text: str) -> Any:
    """The only document."""
    [(value, _)] = documents_of(text, "x.yaml")
    return value


def problems_of(text: str) -> list[str]:
    """What is wrong."""
    with pytest.raises(ScenarioUnreadable) as caught:
        documents_of(text, "x.yaml")
    return list(caught.value.problems)


@pytest.mark.parametrize(
    "text, value",
    [
        ("1", 1),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("'no'", "no"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("17:00", "17:00"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01 12:00:00", "2026-03-01 12:00:00"),
        ("1.2.3", "1.2.3"),
        ("n", "n"),
        ("<<", "<<"),
        ("-", [None]),
        ("{a: 1, b: [x, {c: }]}", {"a": 1, "b": ["x", {"c": None}]}),
        ("&a x", "x"),
        ("[&a {b: 1}, *a]", [{"b": 1}, {"b": 1}]),
    ],
)
def test_words_are_what_json_has(text: str, value: Any) -> None:
    """Dates and times of day are texts."""
    read = value_of(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "text, problem",
    [
        ("no", 'no is a text to some readers of YAML and false to others; write "no"'),
        ("On", 'On is a text to some readers of YAML and true to others; write "On"'),
        ("05003", '05003 is not a number as JSON writes it; write "05003" for a text'),
        ("0x1F", '0x1F is not a number as JSON writes it; write "0x1F" for a text'),
        ("+47123", '+47123 is not a number as JSON writes it; write "+47123"'),
        ("1_000", '1_000 is not a number as JSON writes it; write "1_000"'),
        (".5", '.5 is not a number as JSON writes it; write ".5"'),
        (".nan", ".nan is not a number as JSON writes it"),
        ("1e999", "1e999 is too large for a number"),
        ("9" * 5000, "99999 is not a number"),
        ("!!int x", "x is not a number"),
        ("{a: 1, a: 2}", "'a' is here twice, first in line 1; keep one"),
        ("{1: a}", 'a key is a text; write it in quotes: "1"'),
        ("{no: a}", 'a key is a text; write it in quotes: "no"'),
        ("{[a]: b}", "a key is a text, not a list or a mapping"),
        ("!!binary aGk=", "is not for values of JSON; write it without a tag"),
        ("!!set {a, b}", "is not for values of JSON; write it without a tag"),
        ("!!python/name:os.system x", "write it without a tag"),
        ("&a [*a]", "a value cannot contain itself; write it out"),
        ('"\\ud800"', "half a surrogate pair is not text; remove it"),
        ("a:\n\t- b", "not YAML"),
        ("a: b: c", 'write a text that has ": " in it in quotes'),
        ("[", "not YAML: while parsing a flow node"),
        ("*b", "not YAML: found undefined alias"),
        ("a: \x00", "not YAML"),
        ("[" * 500, "nested too deeply"),
    ],
)
def test_what_json_has_not_is_refused(text: str, problem: str) -> None:
    """With its line, and what to write instead."""
    [told] = problems_of(text)
    assert told.startswith("x.yaml:") and problem in told


def test_tabs_are_told_apart() -> None:
    """They look like spaces."""
    [told] = problems_of("a:\n\tb: 1")
    assert told.startswith("x.yaml:2: ") and told.endswith("not with tabs")


def test_all_problems_are_told_at_once() -> None:
    """Each with its line."""
    assert [each.split(" ")[0] for each in problems_of("a: no\nb: 1\nc:\n- off")] == [
        "x.yaml:1:",
        "x.yaml:4:",
    ]


def test_every_thing_has_its_line() -> None:
    """Keys have that of the key, elements their own."""
    [_, (_, place)] = documents_of(
        "a: 1\n---\nb:\n  - c\n  - d: 1\n    e:\n      2\n", "x"
    )
    lines = [place.line, place.at("b").line, place.at("b", 1, "e").line]
    assert lines == [3, 3, 6]


def test_empty_documents_are_none() -> None:
    """Nor are those of comments only."""
    assert documents_of("", "x") == documents_of("# nothing\n---\n", "x") == []


def test_a_file_may_have_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases of aliases do not fill the memory."""
    monkeypatch.setattr(nodes, "MAX_VALUES", 100)
    lines = ["- &a0 [x, x, x, x, x]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]" for n in range(1, 9)]
    [told] = problems_of("\n".join(lines))
    assert "more than 100 values" in told
