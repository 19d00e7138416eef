"""Results as JUnit XML, as continuous integration reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from .results import FileResult, Outcome, ScenarioResult

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Outcome.FAILED: "failure", Outcome.ERROR: "error"}


def write(path: str | Path, files: Sequence[FileResult]) -> None:
    """Write the results of some files.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_bytes(to_xml(files))


def to_xml(files: Sequence[FileResult]) -> bytes:
    """The results of some files: a suite for each file, a case for each scenario."""
    every = [each for file in files for each in file.scenarios]
    root = Element("testsuites", _totals("conversimple test", every))
    for file in files:
        attributes = _totals(file.file.path, file.scenarios)
        suite = SubElement(root, "testsuite", attributes)
        for result in file.scenarios:
            _add_case(suite, file.file.path, result)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _totals(name: str, results: Iterable[ScenarioResult]) -> dict[str, str]:
    results = list(results)
    outcomes = [each.outcome for each in results]
    return {
        "name": _valid(name),
        "tests": str(len(results)),
        "failures": str(outcomes.count(Outcome.FAILED)),
        "errors": str(outcomes.count(Outcome.ERROR)),
        "time": _seconds(sum(each.seconds for each in results)),
    }


def _add_case(suite: Element, file: str, result: ScenarioResult) -> None:
    scenario = result.scenario
    attributes = {
        "name": _valid(scenario.name),
        "classname": _valid(Path(file).stem),
        "file": _valid(file),
        "line": str(scenario.place.line),
        "time": _seconds(result.seconds),
    }
    case = SubElement(suite, "testcase", attributes)
    tag = _TAGS.get(result.outcome)
    if tag is not None:
        lines = [line for problem in result.problems for line in problem.lines]
        element = SubElement(case, tag, {"message": _valid(lines[0])})
        element.text = _valid("\n".join(lines))
    SubElement(case, "system-out").text = _valid("\n".join(_told(result)))


def _told(result: ScenarioResult) -> list[str]:
    return [
        f"{step.outcome.value:<7}  {step.title}  {step.seconds * 1000:.1f} ms"
        for step in result.steps
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:.6f}"


def _valid(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
