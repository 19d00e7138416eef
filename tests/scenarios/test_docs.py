"""docs/scenarios.md does what it says: every YAML block is read and played."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from conversimple.cli import main
from conversimple.local.vocabulary import ERROR_TYPES
from conversimple.scenarios.nodes import documents_of
from conversimple.scenarios.reading import read_file, read_text
from conversimple.scenarios.references import WEEKDAYS
from conversimple.scenarios.results import Outcome
from conversimple.scenarios.running import DEFAULTS, run_scenario
from conversimple.scenarios.scenario import Scenario, ScenarioUnreadable
from conversimple.scenarios.structure import FAULTS, SCENARIO
from tests.conftest import ROOT
from tests.examples.stage import example
from tests.scenarios.conftest import told
from tests.support.markdown import Block, blocks_of

PAGE = ROOT / "docs" / "scenarios.md"
TEXT = PAGE.read_text(encoding="utf-8")


def each_block() -> list[Any]:
    """The YAML blocks."""
    blocks = blocks_of(PAGE, "yaml")
    return [pytest.param(block, id=f"line-{block.line}") for block in blocks]


def scenarios_of(block: Block) -> tuple[Scenario, ...]:
    """The scenarios of a block; steps alone are given a name."""
    text = block.text
    if text.startswith("- "):
        text = "name: x\nsteps:\n" + text
    return read_text(text, f"{PAGE.name} from line {block.line} on").scenarios


@pytest.mark.slow
@pytest.mark.parametrize("block", each_block())
def test_each_block_passes(block: Block) -> None:
    """With the booking agent of the examples."""
    agent: Any = example("booking_agent").BookingAgent
    for scenario in scenarios_of(block):
        result = run_scenario(scenario, lambda settings: agent(**settings))
        assert result.outcome is Outcome.OK, told(result)


def test_the_report_is_the_one_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for the times."""
    (shown,) = blocks_of(PAGE, "text")
    first = blocks_of(PAGE, "yaml")[0].text
    (tmp_path / "booking.yaml").write_text(
        # What the reader sees is a booking for fewer guests than were expected.
        first.replace('"19:00", guests: 8}', '"19:00", guests: 2}')
    )
    monkeypatch.chdir(tmp_path)
    agent = ROOT / "examples" / "booking_agent.py"
    assert main(["test", "booking.yaml", "--agent", str(agent)]) == 1

    def without_times(text: str) -> str:
        return re.sub(r" +[\d.]+ (ms|s)$", r" \1", text, flags=re.MULTILINE)

    assert without_times(capsys.readouterr().out) == without_times(shown.text)


def table(header: str) -> list[str]:
    """The first cells of the table with this header."""
    rows = TEXT.partition(f"| {header} ")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows]


def words(cells: list[str]) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", " ".join(cells))


def test_everything_is_told() -> None:
    """Every key of a scenario, every fault, every type of error, every default."""
    assert sorted(words(table("key"))) == sorted(SCENARIO["properties"])
    assert words(table("fault")) == list(FAULTS)
    assert all(f"`{name}`" in TEXT for name in ERROR_TYPES)
    words_of = {None: "null"}
    told = [
        f"`{key}: {words_of.get(value, value)}`"
        for key, value in DEFAULTS.items()
        if key != "api_key"
    ]
    assert all(each in " ".join(TEXT.split()) for each in told)


def test_what_is_refused_is_refused() -> None:
    """And what is text is text."""
    for word in ("2026-03-04", "17:00"):
        assert documents_of(word, "x")[0][0] == word
    refused = [row for row in TEXT.splitlines() if "refused: write" in row]
    for word in words([row.split(" | ")[0] for row in refused]):
        with pytest.raises(ScenarioUnreadable):
            documents_of(word, "x")
    with pytest.raises(ScenarioUnreadable, match="not YAML"):
        documents_of("{day: ${today}}", "x")


@pytest.mark.slow
@pytest.mark.parametrize("today", range(2, 9), ids=lambda day: WEEKDAYS[day % 7 - 2])
def test_the_examples_pass_on_every_day_of_the_week(today: int) -> None:
    """What is said of days does not depend on the day on which it is read."""
    module, day = example("booking_agent"), date(2026, 3, today)
    path = str(ROOT / "examples" / "scenarios" / "booking_agent.yaml")
    blocks = [each for block in blocks_of(PAGE, "yaml") for each in scenarios_of(block)]

    def make(settings: Mapping[str, Any]) -> Any:
        restaurant = module.Restaurant(today=lambda: day)
        return module.BookingAgent(restaurant=restaurant, **settings)

    for scenario in (*read_file(path).scenarios, *blocks):
        result = run_scenario(scenario, make, today=lambda: day)
        assert result.outcome is Outcome.OK, told(result)
