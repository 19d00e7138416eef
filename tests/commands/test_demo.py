"""The demonstration shows what really happens, and fails if that is not right."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conversimple.commands import demo
from conversimple.commands.demo_agent import WeatherAgent
from conversimple.local import LocalPlatform
from tests.commands.conftest import PROGRAM, Typed, is_one_line
from tests.conftest import ROOT, finished, python


def test_it_succeeds_in_an_empty_folder(tmp_path: Path) -> None:
    """In a few seconds, without colours, and without leaving anything there."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, "demo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "CONVERSIMPLE_PLATFORM_URL": "nonsense"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 15
    assert list(tmp_path.iterdir()) == []
    assert done.stdout.isascii() and "\x1b" not in done.stdout


def test_it_tells_everything(typed: Typed) -> None:
    """The tools, the calls with their times, the refusal, the cut, the answer."""
    code, out, err = typed("demo")
    assert (code, err) == (0, "")
    told = [
        r"ws://127\.0\.0\.1:\d+/sdk/websocket",
        r"get_weather +location: string +Get today's weather",
        r"get_air_quality +location: string",
        r"get_forecast +location: string, days: integer = 3",
        r'get_weather \{"location": "Oslo"\}',
        r'result \{"location": "Oslo", .*\}  \(\d+\.\d ms\)',
        r"result 5  \(\d+\.\d ms\)",
        r'get_weather \{"place": "Bergen"\}',
        r"refused invalid_parameters: .*location: missing.*\(\d+\.\d ms\)",
        r'result \{"location": "Bergen", .*\}',
        r'get_forecast \{"location": "Oslo", "days": 2\}',
        r"the connection is cut",
        r"the agent is back, on a new connection",
        r'result \["sunny", "cloudy"\]  \(\d+\.\d ms\)',
    ]
    assert re.search(r"[\s\S]*".join(told), out), out


def test_without_the_extra() -> None:
    """One line says what to install."""
    for module in ("rich", "starlette"):
        code = f"import sys; sys.modules['{module}'] = None\n{PROGRAM}"
        with python(code, "demo") as process:
            out, err = finished(process)
        assert (process.returncode, out) == (1, "")
        assert is_one_line(err)
        assert 'pip install "conversimple-sdk[platform]"' in err


def fails(typed: Typed) -> str:
    code, _, err = typed("demo")
    assert code == 1 and is_one_line(err)
    return err


def test_other_tools_are_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was registered is compared."""
    monkeypatch.setattr(demo, "TOOLS", ["get_weather"])
    assert "registered was get_weather, get_air_quality" in fails(typed)


def test_a_wrong_result_is_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every result is compared."""
    results = iter([1, 2, 3])
    monkeypatch.setattr(
        WeatherAgent, "get_weather", lambda self, location: next(results)
    )
    assert "the result was to be" in fails(typed)


def test_another_error_is_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused call must be refused for its arguments."""
    monkeypatch.setattr(demo, "REFUSED", "tool_not_found")
    assert "the error was invalid_parameters" in fails(typed)


def test_a_cut_that_cuts_nothing_is_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is really gone."""
    monkeypatch.setattr(LocalPlatform, "drop_connections", lambda self: 1)
    monkeypatch.setattr(demo, "PATIENCE", 0.2)
    assert "the agent did not notice the cut" in fails(typed)


def test_a_tool_that_runs_twice_is_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is counted."""
    monkeypatch.setattr(demo, "RUNS", [*demo.RUNS, "get_forecast"])
    assert "these tools ran" in fails(typed)


def test_a_broken_protocol_is_a_failure(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform is strict."""

    def check(platform: LocalPlatform) -> None:
        raise demo.DemoFailed("the agent's side broke the protocol")

    monkeypatch.setattr(LocalPlatform, "check", check)
    assert "broke the protocol" in fails(typed)
