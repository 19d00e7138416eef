"""What can be typed, and how the command ends."""

from __future__ import annotations

import signal
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from conversimple import ConfigurationError, ConnectionFailed, __version__, cli
from conversimple.commands import tools
from conversimple.local import LocalPlatform
from tests.commands.conftest import WEATHER, Typed, Write, is_one_line, typing, write
from tests.conftest import finished, python

__all__ = ["write"]

Raising = Callable[[BaseException], None]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Runs the command here; returns its exit code and what it printed."""
    return typing(capsys)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raising:
    """Makes a command fail in any way."""

    def raising(error: BaseException) -> None:
        def main(arguments: Namespace) -> int:
            raise error

        monkeypatch.setattr(tools, "main", main)

    return raising


def test_nothing_typed_shows_the_help(typed: Typed) -> None:
    """And counts as a mistake."""
    code, out, _ = typed()
    assert code == 2
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help says what it does, and what its exit codes mean."""
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert cli.COMMANDS[name].text in out
    assert "exit codes" in out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the package's."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"conversimple {__version__}\n"


@pytest.mark.parametrize(
    "words", [["fly"], ["run"], ["tools"], ["call", "x.py"], ["demo", "x"]]
)
def test_what_cannot_be_read_is_a_usage_mistake(words: list[str]) -> None:
    """As everywhere, the exit code is 2."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


@pytest.mark.parametrize("port", ["-1", "65536", "http", "4000.5", ""])
def test_a_port_is_a_number(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no port is refused before anything starts."""
    with pytest.raises(SystemExit):
        cli.main(["platform", f"--port={port}"])
    assert "0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error, code",
    [
        (ConnectionFailed("no way"), 1),
        (ConfigurationError("no key"), 2),
        (PermissionError(13, "Permission denied"), 1),
    ],
)
def test_a_failure_is_one_line(
    error: Exception, code: int, raising: Raising, typed: Typed
) -> None:
    """The exit code says whether it can be tried again as typed."""
    raising(error)
    found, out, err = typed("tools", "x.py")
    assert (found, out) == (code, "")
    assert is_one_line(err)


def test_a_traceback_can_be_asked_for(raising: Raising, typed: Typed) -> None:
    """With --verbose."""
    raising(ConnectionFailed("no way"))
    code, _, err = typed("tools", "x.py", "-v")
    assert code == 1
    assert "Traceback" in err and err.endswith("conversimple: no way\n")


def test_a_bug_shows_where_it_is(raising: Raising, typed: Typed) -> None:
    """What nobody foresaw is not hidden."""
    raising(ZeroDivisionError("ours"))
    code, _, err = typed("tools", "x.py")
    assert code == 1
    assert "Traceback" in err and "ZeroDivisionError" in err


def test_an_interrupt_has_its_own_exit_code(raising: Raising, typed: Typed) -> None:
    """The one that shells give it."""
    raising(KeyboardInterrupt())
    assert typed("tools", "x.py") == (130, "", "")


def test_a_level_that_does_not_exist(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before anything else when the log is wanted."""
    monkeypatch.setenv("CONVERSIMPLE_LOG_LEVEL", "LOUD")
    code, _, err = typed("tools", "x.py", "-v")
    assert code == 2 and "LOUD" in err


def test_nobody_reads_what_is_printed(tmp_path: Path) -> None:
    """The reader of a pipe may leave; that is no traceback."""
    path = tmp_path / "agents.py"
    path.write_text(WEATHER)
    broken = (
        "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); "
        "import conversimple.cli as c; raise SystemExit(c.main())"
    )
    with python(broken, "tools", str(path)) as process:
        out, err = finished(process)
    assert (process.returncode, err) == (1, "")


def test_the_help_comes_at_once() -> None:
    """It imports no command and none of the network's libraries."""
    code = (
        "import sys; from conversimple.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = 'asyncio jsonschema tenacity websocket rich starlette'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    with python(code) as process:
        out, err = finished(process)
    assert out.splitlines()[-1] == "[]", err


DISPATCHER = "from conversimple.cli import dispatcher; raise SystemExit(dispatcher())"


def test_the_dispatcher_is_a_command_of_its_own(
    platform: LocalPlatform, write: Write
) -> None:
    """As it was published: with the key, the platform and the search path."""
    words = "--api-key", "key", "--platform-url", platform.url
    path = write()
    with python(DISPATCHER, *words, "--search-path", str(path)) as process:
        platform.wait_for_agent()
        conversation = platform.announce_ready("conv_1", "any")
        assert conversation.call("greet", name="you") == "Grüß Gott, you"
        process.send_signal(signal.SIGTERM)
        _, err = finished(process)
    assert process.returncode == 0, err


def test_the_dispatcher_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Its help says what it does."""
    with pytest.raises(SystemExit) as caught:
        cli.dispatcher(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert cli.DISPATCHER in out
    assert "--claims" in out and "exit codes" in out


@pytest.mark.parametrize(
    "words",
    [
        ("--max-conversations", "0"),
        ("--lease", "soon"),
        ("--idle-timeout", "-1"),
    ],
)
def test_numbers_that_are_none(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused while they are read."""
    with pytest.raises(SystemExit) as caught:
        cli.dispatcher(words)
    assert caught.value.code == 2
    assert repr(words[1]) in capsys.readouterr().err
