"""Tools are defined with everything wrong told at once, and calls to them checked."""

from __future__ import annotations

import functools
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NewType, Optional

import pytest

from conversimple import tools
from conversimple.core.schema.violations import InvalidArguments
from conversimple.errors import ToolDefinitionError
from conversimple.tools import (
    Tool,
    build_validator,
    collect,
    from_functions,
    load_arguments,
    tool,
    tool_async,
)


class Agent:
    """It stands for the base class of all agents."""

    def stop(self) -> None: ...

    def health(self) -> None: ...


def problems_of(cls: type) -> list[str]:
    with pytest.raises(ToolDefinitionError) as caught:
        collect(cls, Agent)
    assert caught.value.owner == cls.__name__
    return list(caught.value.problems)


def problem_of(cls: type) -> str:
    (problem,) = problems_of(cls)
    return problem


def check(one: Tool, arguments: Any) -> dict[str, Any]:
    return load_arguments(one, build_validator(one), arguments)


def refused(one: Tool, arguments: Any) -> str:
    with pytest.raises(InvalidArguments) as caught:
        check(one, arguments)
    return str(caught.value)


class Weather(Agent):
    @tool("Get current weather for a location")
    def get_weather(self, location: str) -> dict[str, Any]:
        return {"location": location, "temperature": 72}

    @tool_async("Send email notification")
    async def send_email(self, email: str, subject: str, body: str) -> None: ...


# Defining -----------------------------------------------------------------------------


def test_the_published_form() -> None:
    """The decorators work as the published README has them."""
    found = collect(Weather, Agent)
    assert list(found) == ["get_weather", "send_email"]
    assert found["get_weather"].wire == {
        "name": "get_weather",
        "description": "Get current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    }
    assert not found["get_weather"].is_async
    assert found["send_email"].is_async
    assert found["get_weather"].attribute == "get_weather"
    assert found["get_weather"].timeout is None


def test_decorated_methods_stay_ordinary() -> None:
    """A tool can be called by its own class as before."""
    assert Weather().get_weather("Oslo")["location"] == "Oslo"


def test_tools_can_be_pickled() -> None:
    """A tool of a class at module level travels to other processes."""
    found = pickle.loads(pickle.dumps(collect(Weather, Agent)["get_weather"]))
    assert check(found, {"location": "Oslo"}) == {"location": "Oslo"}


def test_a_docstring_describes() -> None:
    """Without a text, the docstring tells what the tool does."""

    class Documented(Agent):
        @tool
        def bare(self) -> None:
            """Do one
            thing.

            And more.
            """

        @tool()
        def empty(self) -> None:
            """Do another thing."""

        @tool_async
        async def later(self) -> None:
            """Do it later."""

        @tool(" padded ")
        def padded(self) -> None: ...

    described = {
        name: one.description for name, one in collect(Documented, Agent).items()
    }
    assert described == {
        "bare": "Do one thing.",
        "empty": "Do another thing.",
        "later": "Do it later.",
        "padded": "padded",
    }


def test_options() -> None:
    """Name and timeout can be given."""

    class Optioned(Agent):
        @tool("x", name="halt-now", timeout=2.5)
        def halt(self) -> None: ...

        @tool_async("x", name="wait", timeout=300)
        async def halt_later(self) -> None: ...

    found = collect(Optioned, Agent)
    assert found["halt-now"].attribute == "halt"
    assert found["halt-now"].timeout == 2.5
    assert found["wait"].timeout == 300


def test_tool_on_async_def() -> None:
    """``@tool`` on a coroutine function makes an async tool."""

    class Mixed(Agent):
        @tool("x")
        async def later(self) -> None: ...

    assert collect(Mixed, Agent)["later"].is_async


def test_an_async_tool_may_be_wrapped() -> None:
    """A wrapper that hands on the coroutine does not make the tool sync."""

    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Wrapped(Agent):
        @tool_async("x")
        @logged
        async def inner(self, city: str) -> None: ...

        @logged
        @tool("x")
        def outer(self, city: str) -> None: ...

    found = collect(Wrapped, Agent)
    assert found["inner"].is_async
    assert not found["outer"].is_async
    assert list(found["outer"].parameters.wire["properties"]) == ["city"]


def test_static_and_class_methods() -> None:
    """They are tools like others, whichever decorator comes first."""

    class Various(Agent):
        @tool("x")
        @staticmethod
        def one(city: str) -> None: ...

        @staticmethod
        @tool("x")
        def two(city: str) -> None: ...

        @tool("x")
        @classmethod
        def three(cls, city: str) -> None: ...

        @tool
        @classmethod
        def four(cls, city: str) -> None:
            """Do it."""

    for found in collect(Various, Agent).values():
        assert list(found.parameters.wire["properties"]) == ["city"]
        assert callable(getattr(Various(), str(found.attribute)))


def test_a_cached_method() -> None:
    """A method behind lru_cache is still a method."""

    class Cached(Agent):
        @tool("x")
        @functools.lru_cache(maxsize=1)  # noqa: B019
        def look_up(self, city: str) -> None: ...

    assert list(collect(Cached, Agent)["look_up"].parameters.wire["properties"])


def test_local_types_in_string_annotations() -> None:
    """Classes of the function around can be named, also by one another."""

    class Mode(Enum):
        FAST = "fast"

    Number = NewType("Number", int)
    Modes = list[Mode]

    @dataclass
    class Trip:
        mode: Mode

    class Local(Agent):
        class Kind(Enum):
            A = "a"

        @tool("x")
        def go(self, trip: Trip, n: Number, modes: Modes, kind: Kind) -> None: ...

    loaded = check(
        collect(Local, Agent)["go"],
        {"trip": {"mode": "fast"}, "n": 1, "modes": ["fast"], "kind": "a"},
    )
    assert loaded["trip"] == Trip(Mode.FAST)
    assert loaded["kind"] is Local.Kind.A


def test_a_note_keeps_no_values_alive() -> None:
    """Only types are remembered from the function around."""
    secret = {"key": object()}

    class Local(Agent):
        @tool("x")
        def go(self) -> Any:
            return secret

    definition = vars(Local.go)[tools._NOTE]
    assert "secret" not in definition.names
    assert "secret" not in repr(definition)


# Inheriting ---------------------------------------------------------------------------


class Mixin:
    @tool("From the mixin")
    def mixed(self, a: int) -> None: ...


class Parent(Mixin, Agent):
    @tool("First", timeout=5)
    def first(self, a: int) -> None:
        """Do it.

        Args:
            a: The number.
        """

    @tool("Second")
    def second(self) -> None: ...


def test_mixins_and_ancestors_bring_tools() -> None:
    """Tools are inherited, ancestors first."""

    class Child(Parent):
        @tool("Third")
        def third(self) -> None: ...

    assert list(collect(Child, Agent)) == ["mixed", "first", "second", "third"]


def test_an_override_keeps_the_tool() -> None:
    """Without a decorator, the new function has the old definition."""

    class Child(Parent):
        def first(self, a: int, b: str = "") -> None: ...

    found = collect(Child, Agent)["first"]
    assert found.function is Child.first
    assert found.description == "First"
    assert found.timeout == 5
    assert found.wire["parameters"]["properties"] == {
        "a": {"type": "integer", "description": "The number."},
        "b": {"type": "string", "default": ""},
    }


def test_a_decorated_override_replaces_the_definition() -> None:
    """With a decorator, nothing of the old definition is left."""

    class Child(Parent):
        @tool("New", name="newer")
        def first(self, a: int) -> None: ...

    found = collect(Child, Agent)
    assert "first" not in found
    assert found["newer"].timeout is None


def test_none_takes_a_tool_away() -> None:
    """As with ``__hash__ = None``."""

    class Child(Parent):
        second = None  # type: ignore[assignment]

    assert list(collect(Child, Agent)) == ["mixed", "first"]


def test_an_override_must_be_a_function() -> None:
    """Any other value in place of a tool is a mistake."""

    class Child(Parent):
        second = 5  # type: ignore[assignment]

    assert "second: a value of type int cannot be a tool" in problem_of(Child)


def test_an_override_of_an_async_tool_is_async() -> None:
    """``@tool_async`` holds for overrides."""

    class Child(Weather):
        def send_email(self, email: str) -> None: ...  # type: ignore[override]

    assert "send_email: it is not async" in problem_of(Child)


# Refusing -----------------------------------------------------------------------------


def test_all_problems_of_a_class_at_once() -> None:
    """One exception tells what is wrong with each tool, and the cure."""

    class Wrong(Agent):
        @tool("")
        def stop(self, *args: int) -> None: ...

        @tool_async("x")
        def plain(self, c: complex) -> None: ...

        @tool("x", name="plain")
        def other(self, a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821,E501

    told = problems_of(Wrong)
    for start, cure in [
        (
            "stop: the method hides Agent.stop",
            "rename the method and keep .* name='stop'",
        ),
        ("stop: it has no description", "write @tool"),
        ("stop: parameter 'args'", "use args: list"),
        ("plain: it is not async", "write `async def`, or use @tool"),
        ("plain: parameter 'c': complex", "use str"),
        ("other: the name 'plain' is taken by plain", "another with name="),
        ("other: parameter 'a': the name 'Missing'", "top of the module"),
    ]:
        (problem,) = [each for each in told if each.startswith(start)]
        assert re.search(cure, problem)
    assert len(told) == 7


def test_a_hidden_attribute_is_no_matter_of_the_name() -> None:
    """The cure in the message works."""

    class Cured(Agent):
        @tool("x", name="health")
        def tell_health(self) -> None: ...

    assert collect(Cured, Agent)["health"].attribute == "tell_health"


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 65, "ø", 5])
def test_names_that_are_refused(name: Any) -> None:
    """A name is made of what every platform and model takes."""

    class Named(Agent):
        @tool("x", name=name)
        def one(self) -> None: ...

    assert "give another with name=" in problem_of(Named)


@pytest.mark.parametrize("timeout", [0, -1, 301, True, "5", float("nan")])
def test_timeouts_that_are_refused(timeout: Any) -> None:
    """A timeout is a number of seconds that the platform allows."""

    class Timed(Agent):
        @tool("x", timeout=timeout)
        def one(self) -> None: ...

    assert "up to 300" in problem_of(Timed)


@pytest.mark.parametrize("description", ["", "  ", None, 5])
def test_descriptions_that_are_refused(description: Any) -> None:
    """Without words the model cannot know the tool."""

    class Described(Agent):
        @tool(description)  # type: ignore[untyped-decorator, unused-ignore]
        def one(self) -> None: ...

    assert "write @tool" in problem_of(Described)


def test_generators_are_refused() -> None:
    """A tool has one result."""

    class Generating(Agent):
        @tool("x")
        def one(self) -> Iterator[int]:
            yield 1

        @tool_async("x")
        async def two(self) -> Any:
            yield 1

    told = problems_of(Generating)
    assert [each for each in told if "return a list" in each] == [
        "one: it yields, and a tool has one result; return a list",
        "two: it yields, and a tool has one result; return a list",
    ]


@pytest.mark.parametrize("thing", [property(lambda self: 1), Agent, print, Agent()])
def test_only_functions_can_be_decorated(thing: Any) -> None:
    """What is no function is refused where it is decorated."""
    with pytest.raises(ToolDefinitionError, match="decorate a function"):
        tool("x")(thing)


# Functions ----------------------------------------------------------------------------


@tool("Add numbers", name="sum")
def add(a: int, b: int = 0) -> int:
    return a + b


def greet(name: str) -> str:
    """Greet somebody."""
    return name


class Service:
    """It has methods that can be tools of an agent."""

    @tool("Look it up")
    def look_up(self, key: str) -> str:
        return key

    def undescribed(self) -> None: ...


def test_functions_as_tools() -> None:
    """Functions and bound methods are tools, decorated or not."""
    service = Service()
    found = from_functions([add, greet, service.look_up])
    assert list(found) == ["sum", "greet", "look_up"]
    assert found["greet"].description == "Greet somebody."
    assert found["sum"].attribute is None
    assert found["sum"].function(**check(found["sum"], {"a": 1})) == 1
    assert found["look_up"].function(**check(found["look_up"], {"key": "k"})) == "k"


def test_functions_that_are_refused() -> None:
    """Everything wrong with them is told at once."""
    found: dict[str, Tool] = collect(Weather, Agent)

    def get_weather(city: str) -> None:
        """Do it."""

    things: list[Any] = [
        get_weather,
        add,
        add,
        Service.look_up,
        Service().undescribed,
        functools.partial(add, 1),
        5,
    ]
    with pytest.raises(ToolDefinitionError, match="^the list of tools") as caught:
        from_functions(things, found)
    told = "\n".join(caught.value.problems)
    for words in [
        "get_weather: the name 'get_weather' is taken by get_weather",
        "add: the name 'sum' is taken by add",
        "look_up: it is a method without its object; pass the method of an instance",
        "undescribed: it has no description",
        "partial: a value of type partial cannot be a tool; use a function",
        "int: a value of type int cannot be a tool",
    ]:
        assert words in told


# Checking a call ----------------------------------------------------------------------


@dataclass
class Line:
    product: str
    count: int = 1


@tool("Order things")
def order(
    lines: list[Line],
    on: date,
    express: bool = False,
    note: Optional[str] = None,
    extra: Any = None,
) -> None: ...


ORDER = from_functions([order])["order"]


def test_arguments_become_python_values() -> None:
    """What was checked is converted."""
    loaded = check(ORDER, {"lines": [{"product": "a"}], "on": "2026-01-31"})
    assert loaded == {"lines": [Line("a")], "on": date(2026, 1, 31)}


def test_arguments_that_are_refused() -> None:
    """The text tells each place, what came and what was expected."""
    text = refused(
        ORDER,
        {
            "lines": [{"product": "a", "count": "many"}, {"color": "red"}],
            "on": "tomorrow",
            "express": 1,
            "speed": 5,
        },
    )
    assert text == (
        'lines[0].count: got "many" (string), expected an integer; '
        "lines[1].color: unknown, the allowed names are: product, count; "
        "lines[1].product: missing, expected a string; "
        'on: got "tomorrow" (string), expected a date such as "2026-01-31"; '
        "express: got 1 (number), expected true or false; "
        "speed: unknown, the allowed names are: lines, on, express, note, extra"
    )


@pytest.mark.parametrize("arguments", [None, [], "x", 5])
def test_arguments_that_are_no_object(arguments: Any) -> None:
    """Something else in place of all arguments is told, too."""
    assert refused(ORDER, arguments).startswith("arguments: got ")


def test_what_only_the_schema_refuses_is_told() -> None:
    """A lenient model does not let the wrong type through."""

    class Lenient:
        @staticmethod
        def model_json_schema() -> dict[str, Any]:
            return {"type": "object", "properties": {"n": {"type": "integer"}}}

        @staticmethod
        def model_validate(value: Any) -> Any:
            return value

    def take(it: Lenient) -> None:
        """Take it."""
        assert Lenient is not None

    one = from_functions([take])["take"]
    assert check(one, {"it": {"n": 5}}) == {"it": {"n": 5}}
    assert refused(one, {"it": {"n": "5"}}) == (
        'it.n: got "5" (string), expected an integer'
    )


def test_a_check_that_fails_is_a_refusal() -> None:
    """No exception but InvalidArguments comes out of checking."""

    class Exploding:
        def iter_errors(self, instance: Any) -> Any:
            raise RecursionError("deep")

    validator: Any = Exploding()
    with pytest.raises(InvalidArguments, match=r"cannot be checked \(RecursionError\)"):
        load_arguments(ORDER, validator, {})


def test_deep_arguments_do_no_harm() -> None:
    """A value nested far deeper than any stack is refused or read, not fatal."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    arguments = {"lines": [], "on": "2026-01-31", "extra": deep}
    assert check(ORDER, arguments)["extra"] is deep
    assert "lines: got" not in refused(ORDER, {**arguments, "lines": [deep]})
    while deep:
        deep = deep.pop()  # or the interpreter would take it apart recursively


def test_a_schema_that_is_none_is_told_before_the_first_call() -> None:
    """A model's own schema may be wrong."""

    class Crooked:
        @staticmethod
        def model_json_schema() -> dict[str, Any]:
            return {"type": "nonsense"}

    def take(it: Crooked) -> None:
        """Take it."""
        assert Crooked is not None

    with pytest.raises(ToolDefinitionError, match="not valid at"):
        build_validator(from_functions([take])["take"])


def test_importing_tools_does_not_import_jsonschema() -> None:
    """Only an agent that starts needs the validator."""
    code = "import sys, conversimple.tools; sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Schemas that lead elsewhere.


def with_schema(schema: dict[str, Any]) -> Tool:
    """A tool whose arguments are checked against any schema."""

    @tool("Take anything")
    def take(value: Any = None) -> None:
        """Do nothing."""

    [one] = from_functions([take]).values()
    return replace(one, parameters=replace(one.parameters, strict=schema))


def test_a_remote_schema_is_never_fetched() -> None:
    """Whoever wrote the schema does not make the agent call elsewhere."""
    asked: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Trap) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            there = f"http://127.0.0.1:{server.server_port}/schema.json"
            assert "cannot be checked" in refused(with_schema({"$ref": there}), {})
        finally:
            server.shutdown()
            thread.join(5)
    assert asked == []


def test_a_schema_that_is_itself_is_refused_calls() -> None:
    """It has no end, and the call gets an answer all the same."""
    assert "cannot be checked" in refused(with_schema({"$ref": "#"}), {})


# What is done once.


def test_once_and_again() -> None:
    """Decorators say what may be repeated; by default nothing is said."""

    @tool("Charge", once_per="arguments")
    def charge(amount: int) -> None:
        """Do nothing."""

    @tool_async("Look up", idempotent=True)
    async def look_up(order: str) -> None:
        """Do nothing."""

    made = from_functions([charge, look_up])
    assert (made["charge"].once, made["charge"].idempotent) == (True, False)
    assert (made["look_up"].once, made["look_up"].idempotent) == (False, True)


def test_once_per_something_else_is_refused() -> None:
    """With what it may be."""

    once: Any = "caller"

    class Wrong(Agent):
        @tool("Charge", once_per=once)
        def charge(self, amount: int) -> None: ...

    assert "'arguments'" in problem_of(Wrong)


# Executors ----------------------------------------------------------------------------


def test_a_tool_can_name_its_executor() -> None:
    """Others have none of their own."""

    class Heavy(Agent):
        @tool("Heavy", executor="heavy")
        def heavy(self) -> None: ...

        @tool("Light")
        def light(self) -> None: ...

    tools = collect(Heavy, Agent)
    assert (tools["heavy"].executor, tools["light"].executor) == ("heavy", None)


def test_executors_that_cannot_be() -> None:
    """All that is wrong is told, each with its cure."""
    unfit: Any = dict

    class Wrong(Agent):
        @tool("On the loop", executor="heavy")
        async def on_the_loop(self) -> None: ...

        @tool("Not a name", executor=unfit)
        def not_a_name(self) -> None: ...

    first, second = problems_of(Wrong)
    assert first.startswith("on_the_loop: it is async, and runs on the event loop;")
    assert "leave executor= out" in first
    assert second.startswith("not_a_name: executor=<class 'dict'> is not a name;")
