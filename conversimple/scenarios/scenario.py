"""What a scenario is, once it has been read: values that know their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Union

from ..errors import ConversimpleError

Path = tuple[Union[str, int], ...]


class _Missing:
    """Nothing was given; None is a value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class ScenarioUnreadable(ConversimpleError, ValueError):
    """A scenario file cannot be read as scenarios.

    Attributes:
        problems: one text for each, with file, line and cure.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True)
class Place:
    """Where in a file something is written.

    Attributes:
        file: the file as it was named.
        lines: the line of each thing in its document, by the way to it.
        path: the way to this thing: keys and positions.
    """

    file: str
    lines: Mapping[Path, int] = field(repr=False)
    path: Path = ()

    def at(self, *more: str | int) -> Place:
        """The place of something inside this."""
        return Place(self.file, self.lines, self.path + more)

    @property
    def line(self) -> int:
        """The line, counted from 1, of this or of what it is in."""
        for end in range(len(self.path), -1, -1):
            if self.path[:end] in self.lines:
                return self.lines[self.path[:end]]
        return 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class ExpectedError:
    """The error that a call is to be answered with.

    Attributes:
        type: the wire's error type.
        message: what its text must contain; None means anything.
    """

    type: str
    message: str | None = None


@dataclass(frozen=True)
class Expected:
    """What the answer to a call must be; what is `MISSING` is not looked at.

    Attributes:
        result: the very result.
        matches: what the result must contain.
        schema: the JSON Schema that the result must fit.
        error: the error that must come instead of a result.
    """

    result: Any = MISSING
    matches: Any = MISSING
    schema: Any = MISSING
    error: ExpectedError | None = None


@dataclass(frozen=True)
class Call:
    """A tool is called, and its answer looked at.

    Attributes:
        within: how long the answer may take, in seconds; None means the step's limit.
        call_id: the id to call it under, and the name of its result for later steps.
        conversation: in which conversation; None means the latest one.
    """

    place: Place
    tool: str
    arguments: Mapping[str, Any]
    expected: Expected = Expected()
    within: float | None = None
    call_id: str | None = None
    conversation: str | None = None

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"call {self.tool}"


@dataclass(frozen=True)
class Fault:
    """Something breaks: a method of ``platform.faults``, and its options."""

    place: Place
    name: str
    options: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"fault {self.name}"


@dataclass(frozen=True)
class Wait:
    """Until the agent is ready again; `within` is in seconds."""

    place: Place
    within: float | None = None

    @property
    def title(self) -> str:
        """The step in a few words."""
        return "wait"


@dataclass(frozen=True)
class Start:
    """A conversation starts; without a name it is given one."""

    place: Place
    conversation: str | None = None

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"start {self.conversation or ''}".rstrip()


@dataclass(frozen=True)
class End:
    """A conversation ends; without a name it is the latest one."""

    place: Place
    conversation: str | None = None

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"end {self.conversation or ''}".rstrip()


@dataclass(frozen=True)
class Send:
    """The platform sends any other event to the agent."""

    place: Place
    event: str
    payload: Any

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"send {self.event}"


@dataclass(frozen=True)
class Together:
    """Calls that are all asked before any answer is waited for; faults in between."""

    place: Place
    steps: tuple[Call | Fault, ...]

    @property
    def title(self) -> str:
        """The step in a few words."""
        return f"together: {', '.join(step.title for step in self.steps)}"


Step = Union[Call, Fault, Wait, Start, End, Send, Together]


@dataclass(frozen=True)
class Scenario:
    """One conversation, or several, with a new agent on a new platform.

    Attributes:
        settings: the agent's settings, by name.
        timeout: the limit for all of it, in seconds.
        step_timeout: the limit for each step that names none, in seconds.
    """

    place: Place
    name: str
    steps: tuple[Step, ...]
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 60.0
    step_timeout: float = 10.0


@dataclass(frozen=True)
class ScenarioFile:
    """The scenarios of one file, in order."""

    path: str
    scenarios: tuple[Scenario, ...]
