"""README.md does what it says: every code block and every command is executed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conversimple import testing
from conversimple.core import messages
from conversimple.cli import main
from conversimple.local import LocalPlatform
from tests.support.markdown import NOT_RUN, Block, blocks_of
from tests.support.threads import eventually, no_thread_left

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PATIENCE = 20.0


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPlatform]:
    """A platform that agents find through the environment."""
    with no_thread_left(), LocalPlatform() as platform:
        monkeypatch.setenv("CONVERSIMPLE_PLATFORM_URL", platform.url)
        yield platform


def programs() -> list[Any]:
    """The blocks that are scripts."""
    found = [block for block in blocks_of(README, "python") if block.is_program]
    return [pytest.param(block, id=f"line-{block.line}") for block in found]


@pytest.mark.parametrize("block", programs())
def test_each_script_serves_a_conversation(
    block: Block, platform: LocalPlatform, tmp_path: Path
) -> None:
    """Every script of the README answers a call and ends when it is interrupted."""
    script = tmp_path / "script.py"
    script.write_text(block.text)
    process = subprocess.Popen([sys.executable, str(script)])
    try:
        conversation = platform.start_conversation(timeout=PATIENCE)
        result = conversation.call("get_weather", location="Oslo", timeout=PATIENCE)
        assert result["location"] == "Oslo"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def test_the_other_blocks_run_one_after_another(platform: LocalPlatform) -> None:
    """A reader who types all Python blocks into one session meets no error."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    for block in blocks_of(README, "python"):
        code = compile("\n" * block.line + block.text, str(README), "exec")
        exec(code, namespace)
    assert namespace["report"].clean


def test_the_example_of_a_test_passes() -> None:
    """It holds for the agent that the README begins with."""
    blocks = blocks_of(README, "python")
    (example,) = (each for each in blocks if "conversimple_platform" in each.text)
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(blocks[0].text + example.text, namespace)
    with no_thread_left(), testing.LocalPlatform() as platform:
        namespace["test_the_weather_survives_a_cut"](platform)


def test_the_cost_of_a_journal_can_be_measured_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The page on reliability shows how its figures are made."""
    *_, block = blocks_of(ROOT / "docs" / "reliability.md", "python")
    exec(compile(block.text, "reliability.md", "exec"), {})
    assert re.fullmatch(r"normal [\d.]+ ms\nfull [\d.]+ ms\n", capsys.readouterr().out)


def test_the_messages_are_what_is_sent() -> None:
    """The JSON blocks have the very keys, in the very order, that are sent."""
    registration, result, error = (
        json.loads(block.text) for block in blocks_of(README, "json")
    )
    tools = json.dumps(registration["tools"])
    sent = messages.encode_registration(registration["conversation_id"], tools)
    assert json.loads(sent) == registration

    call = messages.ToolCall(
        call_id=result["call_id"],
        tool_name=result["tool_name"],
        arguments={},
        conversation_id=result["conversation_id"],
        timeout_seconds=30.0,
        deadline=0.0,
        clock=float,
    )
    sent = messages.encode_result(call, json.dumps(result["result"]))
    assert list(json.loads(sent).items()) == list(result.items())

    told = error["error"]
    sent = messages.encode_error(
        call, call.conversation_id, told["type"], told["message"], told["timestamp"]
    )
    assert list(json.loads(sent).items()) == list(error.items())


def test_the_log_without_a_platform_is_the_one_shown(tmp_path: Path) -> None:
    """A newcomer without a platform reads the record that the README shows."""
    (shown,) = (block.text.strip() for block in blocks_of(README, "text"))
    script = blocks_of(README, "python")[0].text.replace(
        'if __name__ == "__main__":',
        "import logging\nlogging.basicConfig(level=logging.INFO)\n"
        'if __name__ == "__main__":',
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    # Port 9 of the loopback interface: "discard", which nobody serves any more.
    environment = os.environ | {"CONVERSIMPLE_PLATFORM_URL": "ws://localhost:9/"}
    process = subprocess.Popen(
        [sys.executable, str(path)], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    try:
        wanted = shown.replace("localhost:4000", "localhost:9")
        errors = (line.strip() for line in process.stderr if "ERROR" in line)
        assert next(errors) == wanted
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_the_environment_variables_are_the_ones_that_are_read() -> None:
    """The README exports exactly the variables that the settings know."""
    (block,) = (b for b in blocks_of(README, "bash") if b.text.startswith("export"))
    source = (ROOT / "conversimple" / "settings.py").read_text()
    exported = re.findall(r"^export (\w+)=", block.text, re.MULTILINE)
    assert exported == re.findall(r'^\w+ = "(CONVERSIMPLE_\w+)"$', source, re.MULTILINE)


def test_what_is_not_run_says_so() -> None:
    """Only commands that need the network, or would run this test, are exempt."""
    exempt = [
        line.partition(NOT_RUN)[0].strip()
        for block in blocks_of(README, "bash")
        for line in block.text.splitlines()
        if NOT_RUN in line
    ]
    assert [line.split()[0] for line in exempt] == ["python3", "pip", "git", "cd"]
    assert exempt[0].endswith(".venv/bin/tox")


def test_continuous_integration_runs_the_second_command() -> None:
    """What is checked elsewhere is the command that the README gives."""
    command = next(
        line.partition(NOT_RUN)[0].strip()
        for block in blocks_of(README, "bash")
        for line in block.text.splitlines()
        if "/tox" in line
    )
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, and nothing else."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def in_shell(commands: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run some lines as a person would type them, stopping at the first failure."""
    path = os.pathsep.join(
        part
        for part in os.environ["PATH"].split(os.pathsep)
        if not part.startswith(sys.prefix)
    )
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=folder,
        env={"HOME": os.environ.get("HOME", "/"), "PATH": path}
        | {key: value for key, value in os.environ.items() if key.startswith("PIP_")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result


def shell_block(beginning: str) -> Block:
    """The first shell block whose text begins so."""
    blocks = blocks_of(README, "bash")
    return next(block for block in blocks if block.text.startswith(beginning))


def test_the_scenario_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """The conversation with the weather agent goes as it is written down."""
    (command,) = shell_block("conversimple test").commands
    program, *arguments = command.split()
    assert (program, main(arguments)) == ("conversimple", 0)
    assert "simple_agent" in capsys.readouterr().out


@pytest.mark.readme
def test_the_first_command_shows_the_demo(clone: Path) -> None:
    """From a fresh clone, one line installs the package and runs the demo."""
    output = in_shell(shell_block("python3 -m venv .venv").commands, clone).stdout
    assert "get_weather" in output


@pytest.mark.readme
def test_the_development_commands_pass(clone: Path) -> None:
    """From a fresh clone, the documented set-up and every check of it pass."""
    beginnings = ["python3 -m venv venv", "pytest tests/", "black conversimple/"]
    commands = [line for text in beginnings for line in shell_block(text).commands]
    # All of its tests run elsewhere: some are enough to see that the command works.
    some = "-k test_published --ignore-glob=*/tests/*/*"
    in_shell([f"export PYTEST_ADDOPTS='{some}'", *commands], clone)


EXAMPLES = ["simple_agent", "customer_service", "booking_agent"]


@pytest.mark.readme
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_commands_serve_the_platform_command(
    name: str, clone: Path
) -> None:
    """The platform in one terminal and the example in the other find each other."""
    (serve,) = shell_block("conversimple platform").commands
    (run,) = shell_block(f"python examples/{name}.py").commands
    environment = os.environ | {
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
    }
    with open(clone / f"{name}.log", "w+") as log:
        terminals = [
            subprocess.Popen(
                command.split(), cwd=clone, env=environment, stdout=log, stderr=log
            )
            for command in (serve, run)
        ]
        try:
            text = Path(log.name)
            eventually(lambda: "-> connected" in text.read_text(), PATIENCE)
        finally:
            for terminal in reversed(terminals):
                terminal.send_signal(signal.SIGTERM)
            codes = [terminal.wait(PATIENCE) for terminal in terminals]
    assert codes == [0, 0], text.read_text()
