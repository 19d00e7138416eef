"""From what was typed to an agent class."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conversimple import ConversimpleAgent
from conversimple.commands.failure import CommandFailed, UsageMistake
from conversimple.commands.loading import load_agent_class
from tests.commands.conftest import Write

IMPORT = "from conversimple import ConversimpleAgent, tool\n"
TWO = IMPORT + "class A(ConversimpleAgent): pass\nclass B(A): pass\nAlias = A\n"


def refused(target: object) -> str:
    with pytest.raises(UsageMistake) as caught:
        load_agent_class(str(target))
    return str(caught.value)


def failed(target: object) -> str:
    with pytest.raises(CommandFailed) as caught:
        load_agent_class(str(target))
    assert not isinstance(caught.value, UsageMistake)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_only_class_of_a_file(write: Write) -> None:
    """It needs no name."""
    cls = load_agent_class(str(write()))
    assert issubclass(cls, ConversimpleAgent)
    assert (cls.__name__, cls.__module__) == ("WeatherAgent", "weather_agents")
    assert sys.modules["weather_agents"].WeatherAgent is cls


def test_a_module(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found from the current folder."""
    monkeypatch.chdir(write().parent)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert load_agent_class("weather_agents").__name__ == "WeatherAgent"
    assert load_agent_class("weather_agents:WeatherAgent").__name__ == "WeatherAgent"


def test_a_file_finds_its_neighbours(write: Write) -> None:
    """As a script does."""
    write()
    path = write("from weather_agents import WeatherAgent\n", "main_agent.py")
    assert load_agent_class(str(path)).__name__ == "WeatherAgent"


def test_a_file_of_any_name(write: Write) -> None:
    """A suffix is not needed, and the name need not be Python's."""
    path = write(name="my-agent")
    assert load_agent_class(str(path)).__name__ == "WeatherAgent"


def test_a_file_does_not_replace_a_module(write: Write) -> None:
    """Even if it has the name of one."""
    import json

    assert load_agent_class(str(write(name="json.py"))).__name__ == "WeatherAgent"
    assert sys.modules["json"] is json


def test_a_class_among_several(write: Write) -> None:
    """It is named behind a colon, by any of its names."""
    path = write(TWO, "two_agents.py")
    assert load_agent_class(f"{path}:B").__name__ == "B"
    assert load_agent_class(f"{path}:Alias").__name__ == "A"


def test_own_classes_go_before_imported_ones(write: Write) -> None:
    """What a file imports is not offered if it has a class of its own."""
    write()
    code = "from weather_agents import WeatherAgent\nclass Mine(WeatherAgent): pass\n"
    assert load_agent_class(str(write(code, "my_own.py"))).__name__ == "Mine"


def test_several_classes_are_named(write: Write) -> None:
    """With the way to choose one."""
    path = write(TWO, "two_agents.py")
    assert refused(path) == (
        f"{path} has several agent classes: A, B; choose one, as in {path}:A"
    )


@pytest.mark.parametrize(
    "name, there",
    [("Nobody", "WeatherAgent"), ("tool", "WeatherAgent"), ("str", "WeatherAgent")],
)
def test_a_class_that_is_not_there(name: str, there: str, write: Write) -> None:
    """Those that are there are named."""
    assert refused(f"{write()}:{name}").endswith(
        f"no agent class {name}; its " f"agent classes: {there}"
    )


def test_a_file_without_agents(write: Write) -> None:
    """The base class does not count."""
    path = write(IMPORT, "nothing.py")
    assert refused(path) == f"{path} has no subclass of ConversimpleAgent"
    assert refused(f"{path}:A").endswith("its agent classes: none")


@pytest.mark.parametrize("target", ["no_file.py", "no/file", "no_file.py:Agent"])
def test_a_file_that_is_not_there(target: str) -> None:
    """It is told as typed."""
    assert refused(target) == f"there is no file {target.partition(':')[0]}"


@pytest.mark.parametrize(
    "target", ["no_such_module", "json.no_such", "no_such.part", "", ".", "a b", "..x"]
)
def test_a_module_that_is_not_there(target: str) -> None:
    """Neither file nor module."""
    assert refused(target) == f"there is no file and no module {target}"


@pytest.mark.parametrize(
    "code, line, text",
    [
        ("x = 1\nimport no_such_thing\n", 2, "ModuleNotFoundError: No module named"),
        ("\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("def f(:\n", 1, "SyntaxError"),
        (
            IMPORT + "class A(ConversimpleAgent):\n"
            "    @tool('x')\n    def f(self, *a): ...\n",
            2,
            "ToolDefinitionError: A has tools that cannot be offered: f: ",
        ),
    ],
)
def test_a_file_that_fails(code: str, line: int, text: str, write: Write) -> None:
    """Its file and the line are told."""
    path = write(code, "failing_agents.py")
    told = failed(path)
    assert told.startswith("cannot import failing_agents.py: ")
    assert f"{path}, line {line}: " in told
    assert text in told


def test_a_file_that_fails_again(write: Write) -> None:
    """What it had defined by then is not taken for all of it."""
    path = write("x = 1\n1 / 0\n", "half_agents.py")
    assert failed(path) == failed(path)
    assert "half_agents" not in sys.modules


def test_the_blame_goes_to_the_users_own_line(write: Write) -> None:
    """Not to the library that raised, nor to the file that imported."""
    write("import json\njson.loads('{')\n", "helping.py")
    path = write("import helping\n", "main_agent.py")
    assert f"{path.parent / 'helping.py'}, line 2: JSONDecodeError" in failed(path)


def test_a_module_that_fails(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing import inside it is not a missing module."""
    monkeypatch.chdir(write("import no_such_thing\n", "failing_agents.py").parent)
    assert "failing_agents.py, line 1: ModuleNotFoundError" in failed("failing_agents")


def test_a_file_that_ends_the_program(write: Write) -> None:
    """A script without a guard around its main part, say."""
    path = write("import sys\nsys.exit(0)\n", "ending.py")
    assert "ended the program" in failed(path)


def test_code_that_raises_what_is_no_exception(write: Write) -> None:
    """As pytest's `skip` does: it is no reason to end the command."""
    path = write("class Skipped(BaseException):\n    pass\n\nraise Skipped('today')\n")
    assert "Skipped: today" in failed(path)


def test_a_relative_path(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is meant from the current folder."""
    monkeypatch.chdir(write().parent)
    cls = load_agent_class("weather_agents.py")
    file = sys.modules[cls.__module__].__file__
    assert file is not None and Path(file).is_absolute()
