"""From a YAML file to scenarios; what is wrong is told with its line and its cure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path as FilePath
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from ..errors import ConfigurationError
from ..settings import Settings
from . import structure
from .nodes import documents_of
from .references import DAYS, day_of, references_in
from .scenario import (
    MISSING,
    Call,
    End,
    Expected,
    ExpectedError,
    Fault,
    Path,
    Place,
    Scenario,
    ScenarioFile,
    ScenarioUnreadable,
    Send,
    Start,
    Step,
    Together,
    Wait,
)


def read_file(path: str) -> ScenarioFile:
    """Read the scenarios of a file.

    Raises:
        ScenarioUnreadable: there is no such file, or it holds no valid scenarios.
    """
    try:
        text = FilePath(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioUnreadable([f"{path}: not UTF-8; save it as UTF-8"]) from error
    except OSError as error:
        raise ScenarioUnreadable([f"{path}: {error.strerror or error}"]) from error
    return read_text(text, path)


def read_text(text: str, file: str) -> ScenarioFile:
    """Read scenarios: one in each YAML document.

    Args:
        text: the YAML.
        file: what the file is called in error texts and reports.

    Raises:
        ScenarioUnreadable: it holds no valid scenarios; with everything that is wrong.
    """
    problems: list[str] = []
    scenarios = []
    names: set[str] = set()
    for value, place in documents_of(text, file):
        found = list(_problems_of(value))
        problems += [f"{place.at(*path)}: {what}" for path, what in found]
        if found:
            continue
        scenario = _scenario(value, place)
        if scenario.name in names:
            where = place.at("name")
            problems.append(f"{where}: {scenario.name!r} is here twice; rename one")
        names.add(scenario.name)
        scenarios.append(scenario)
    if problems:
        raise ScenarioUnreadable(problems)
    if not scenarios:
        raise ScenarioUnreadable([f"{file}:1: no scenario; it needs name and steps"])
    return ScenarioFile(file, tuple(scenarios))


# What is wrong.


def _problems_of(value: Any) -> Iterator[tuple[Path, str]]:
    found = list(structure.scenario_problems(value))
    yield from found
    if isinstance(value, dict):
        if not found:
            yield from _setting_problems(value.get("agent", {}))
        steps = value.get("steps")
        if isinstance(steps, list):
            yield from _steps_problems(steps)


def _setting_problems(settings: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name, value in settings.items():
        try:
            Settings(api_key="any", **{name: value})
        except ConfigurationError as error:
            yield ("agent", name), str(error)


def _steps_problems(steps: list[Any]) -> Iterator[tuple[Path, str]]:
    known: dict[str, Any] = {}
    for index, step in enumerate(steps):
        at = ("steps", index)
        yield from _under(at, _step_problems(step, structure.STEPS))
        yield from _under(at, _reference_problems(step, known))
        yield from _under(at, _id_problems(step, known))


def _step_problems(step: Any, allowed: Iterable[str]) -> Iterator[tuple[Path, str]]:
    step = _normal(step)
    if not isinstance(step, dict):
        got = structure.shown(step)
        yield (), f"a step is a mapping such as `call: TOOL`, not {got}"
        return
    word, problem = structure.word_of(step, allowed)
    if problem is not None:
        yield (), problem
        return
    found = list(structure.step_problems(word, step))
    yield from found
    if found:
        return
    if word == "fault":
        yield from structure.fault_problems(step["fault"], step.get("options", {}))
    elif word == "call":
        yield from _under(("schema",), _schema_problems(step.get("schema", True)))
    elif word == "together":
        for index, each in enumerate(step["together"]):
            inner = _step_problems(each, ("call", "fault"))
            yield from _under(("together", index), inner)


def _schema_problems(schema: Any) -> Iterator[tuple[Path, str]]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield tuple(error.absolute_path), f"not a JSON Schema: {error.message}"


def _reference_problems(
    step: Any, known: Collection[str]
) -> Iterator[tuple[Path, str]]:
    for path, reference, is_closed in references_in(step):
        if not is_closed:
            yield path, "${ is not closed with }; for the two characters write $${"
        elif day_of(reference, date(2000, 1, 1)) is None:
            if reference.split(".")[0] not in known:
                hint = structure.nearest(reference, [*DAYS, *sorted(known)])
                yield path, (
                    f"${{{reference}}} is neither a day nor a part of an earlier "
                    f"call's result; {hint}"
                )


def _id_problems(step: Any, known: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with the ids of a step, which are known from then on."""
    for path, call in _calls_in(step):
        call_id = call.get("as")
        if isinstance(call_id, str):
            asked = [call.get(key) for key in ("call", "arguments", "in")]
            if known.setdefault(call_id, asked) != asked:
                yield (*path, "as"), (
                    f"{call_id} is another call already, and an id belongs to one "
                    "call; choose another word"
                )


def _calls_in(step: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(step, dict):
        yield (), step
        for index, each in enumerate(_list(step.get("together"))):
            if isinstance(each, dict):
                yield ("together", index), each


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _under(
    path: Path, problems: Iterable[tuple[Path, str]]
) -> Iterator[tuple[Path, str]]:
    for more, text in problems:
        yield path + more, text


# What is right.


def _scenario(value: Mapping[str, Any], place: Place) -> Scenario:
    options = {key: value[key] for key in ("timeout", "step_timeout") if key in value}
    steps = [
        _step(step, place.at("steps", index))
        for index, step in enumerate(value["steps"])
    ]
    return Scenario(
        place,
        value["name"],
        tuple(steps),
        value.get("description", ""),
        value.get("agent", {}),
        **options,
    )


def _normal(step: Any) -> Any:
    """A step in its long form: a mapping, whose error is a mapping."""
    if step in structure.BARE:
        return {step: None}
    if isinstance(step, dict) and isinstance(step.get("error"), str):
        return {**step, "error": {"type": step["error"]}}
    return step


def _step(value: Any, place: Place) -> Step:
    step = _normal(value)
    if "wait" in step:
        return Wait(place, step["wait"])
    if "start" in step:
        return Start(place, step["start"])
    if "end" in step:
        return End(place, step["end"])
    if "send" in step:
        return Send(place, step["send"], step.get("payload", {}))
    if "together" in step:
        inner = [
            _beginning(each, place.at("together", index))
            for index, each in enumerate(step["together"])
        ]
        return Together(place, tuple(inner))
    return _beginning(step, place)


def _beginning(value: Mapping[str, Any], place: Place) -> Call | Fault:
    step = _normal(value)
    if "fault" in step:
        return Fault(place, step["fault"], step.get("options", {}))
    return Call(
        place,
        step["call"],
        step.get("arguments", {}),
        _expected(step),
        step.get("within"),
        step.get("as"),
        step.get("in"),
    )


def _expected(step: Mapping[str, Any]) -> Expected:
    error = step.get("error")
    return Expected(
        result=step.get("result", MISSING),
        matches=step.get("matches", MISSING),
        schema=step.get("schema", MISSING),
        error=None if error is None else ExpectedError(**error),
    )
