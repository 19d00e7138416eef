"""``conversimple test``: scripted conversations with an agent, and a report."""

from __future__ import annotations

import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError
from ..local import PlatformExtraMissing
from .failure import FAILED, USAGE, CommandFailed, UsageMistake
from .loading import AgentClass, load_agent_class
from .making import make_agent

if TYPE_CHECKING:
    from ..scenarios.report import Report
    from ..scenarios.results import FileResult, ScenarioResult
    from ..scenarios.scenario import Scenario, ScenarioFile


class AgentNotMade(ConversimpleError):
    """The agent could not be made for a scenario; the text says why."""


def main(arguments: Namespace) -> int:
    """Run the scenarios of all files, print how they went, and write the XML."""
    try:
        return _test(arguments)
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise PlatformExtraMissing(
            'scenarios need PyYAML: pip install "conversimple-sdk[platform]"'
        ) from error


def _test(arguments: Namespace) -> int:
    from ..scenarios import junit
    from ..scenarios.report import Report, writer
    from ..scenarios.results import Outcome

    _check_junit(arguments.junit)
    files, problems = _read(arguments.scenarios)
    for problem in problems:
        print(f"conversimple: {problem}", file=sys.stderr)
    if problems:
        return USAGE
    report = Report(writer())
    started = time.monotonic()
    # What the user's code prints must not get between the lines of the report.
    with redirect_stdout(sys.stderr):
        cls = load_agent_class(arguments.agent)
        results = [_run_file(file, cls, report) for file in files]
    report.summary(results, time.monotonic() - started)
    if arguments.junit:
        junit.write(arguments.junit, results)
    every = [each for file in results for each in file.scenarios]
    code = 0 if all(each.outcome is Outcome.OK for each in every) else FAILED
    if any(each.has_left_threads for each in every):
        _leave(code)
    return code


def _check_junit(path: str | None) -> None:
    # Not after the scenarios have run, which may have taken long.
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageMistake(f"there is no folder {Path(path).parent} for --junit")


def _read(paths: Sequence[str]) -> tuple[list[ScenarioFile], list[str]]:
    from ..scenarios.reading import read_file
    from ..scenarios.scenario import ScenarioUnreadable

    files: list[ScenarioFile] = []
    problems: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            files.append(read_file(path))
        except ScenarioUnreadable as error:
            problems += error.problems
    return files, problems


def _run_file(file: ScenarioFile, cls: AgentClass, report: Report) -> FileResult:
    from ..scenarios.results import FileResult

    report.file(file)
    results = [_run(scenario, cls, report) for scenario in file.scenarios]
    return FileResult(file, tuple(results))


def _run(scenario: Scenario, cls: AgentClass, report: Report) -> ScenarioResult:
    from ..scenarios.running import run_scenario

    def make(settings: Mapping[str, Any]) -> ConversimpleAgent:
        try:
            return make_agent(cls, settings)
        except CommandFailed as error:
            raise AgentNotMade(str(error)) from error

    report.scenario(scenario)
    result = run_scenario(scenario, make, tell=report.step)
    report.end(result)
    return result


def _leave(code: int) -> None:
    # The interpreter would wait at its end, perhaps for ever, for the tools' threads.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
