"""Tools: how they are defined, and how a call to one is checked.

A decorator only leaves a note on the function. When the class is defined, everything
about its tools is worked out once, and everything that is wrong is told at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .core.schema.docstrings import summary
from .core.schema.hints import Undescribable
from .core.schema.signatures import Parameters, parameters_of
from .core.schema.violations import InvalidArguments, Violation, explain, merged
from .errors import ToolDefinitionError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_TIMEOUT = 300

_NOTE = "__conversimple_tool__"
_TYPING = ("types", "typing", "typing_extensions")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Definition:
    """What a decorator was told.

    Attributes:
        description: what the tool does; None means the docstring's summary.
        name: the name on the wire; None means the function's name.
        timeout: seconds a call may take; None means the agent's own limit.
        once_per: "arguments" if the same arguments are not to be done twice.
        idempotent: whether it may run again when its outcome is unknown.
        executor: the name of the executor that it runs on; None means the agent's.
        must_be_async: whether a plain function is a mistake.
        names: what string annotations may refer to besides module globals.
    """

    description: str | None = None
    name: str | None = None
    timeout: float | None = None
    once_per: str | None = None
    idempotent: bool = False
    executor: str | None = None
    must_be_async: bool = False
    names: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Tool:
    """A function that the platform may call.

    Attributes:
        name: the name on the wire.
        description: what it does, for the language model.
        function: what was decorated: without ``self`` when it is a method.
        is_async: whether calling it gives an awaitable.
        timeout: seconds a call may take; None means the agent's own limit.
        parameters: what it takes.
        attribute: the attribute of the agent that holds it; None for a plain function.
        once: whether it runs once per arguments in a conversation.
        idempotent: whether it may run again when its outcome is unknown.
        executor: the name of the executor that it runs on; None means the agent's.
    """

    name: str
    description: str
    function: Callable[..., Any]
    is_async: bool
    timeout: float | None
    parameters: Parameters
    attribute: str | None = None
    once: bool = False
    idempotent: bool = False
    executor: str | None = None

    @property
    def wire(self) -> dict[str, Any]:
        """What the platform is told about it."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters.wire,
        }


# Defining -----------------------------------------------------------------------------


@overload
def tool(description: F, /) -> F:
    """Decorate without parentheses."""


@overload
def tool(
    description: str | None = None,
    *,
    name: str | None = None,
    timeout: float | None = None,
    once_per: Literal["arguments"] | None = None,
    idempotent: bool = False,
    executor: str | None = None,
) -> Callable[[F], F]:
    """Decorate with what the tool does, its name and its limit."""


def tool(
    description: Any = None,
    *,
    name: str | None = None,
    timeout: float | None = None,
    once_per: Literal["arguments"] | None = None,
    idempotent: bool = False,
    executor: str | None = None,
) -> Any:
    """Make a method, or a function, a tool.

    The function itself stays as it is and can be called as before. ``@tool`` without
    parentheses works too.

    Args:
        description: what the tool does, for the language model; without one, the first
            paragraph of the docstring.
        name: the name that the platform uses, if not the function's own.
        timeout: seconds a call may take, at most 300.
        once_per: "arguments" runs the tool once per arguments in a conversation: a
            repeat under another call id gets what came of the first. A `ToolError`
            says that nothing was done, so that a repeat may try again; after any
            other failure the outcome is unknown, and stays so.
        idempotent: running it twice does no harm, so that it runs again when it was
            running while the process was killed. Has a meaning with a journal, and
            where an executor runs again what a lost worker has begun, as Dask does.
        executor: the name of the executor that it runs on, which the agent is given
            as ``executors={name: …}``; without one, the agent's ``executor``.
    """
    told = partial(
        Definition,
        name=name,
        timeout=timeout,
        once_per=once_per,
        idempotent=idempotent,
        executor=executor,
        must_be_async=False,
        names=_names_in_sight(),
    )
    return _decorator(description, told)


@overload
def tool_async(description: F, /) -> F:
    """Decorate without parentheses."""


@overload
def tool_async(
    description: str | None = None,
    *,
    name: str | None = None,
    timeout: float | None = None,
    once_per: Literal["arguments"] | None = None,
    idempotent: bool = False,
) -> Callable[[F], F]:
    """Decorate with what the tool does, its name and its limit."""


def tool_async(
    description: Any = None,
    *,
    name: str | None = None,
    timeout: float | None = None,
    once_per: Literal["arguments"] | None = None,
    idempotent: bool = False,
) -> Any:
    """Make an ``async def`` method, or function, a tool; see ``tool``.

    Args:
        description: what the tool does, for the language model; without one, the first
            paragraph of the docstring.
        name: the name that the platform uses, if not the function's own.
        timeout: seconds a call may take, at most 300.
        once_per: "arguments" runs the tool once per arguments in a conversation: a
            repeat under another call id gets what came of the first. A `ToolError`
            says that nothing was done, so that a repeat may try again; after any
            other failure the outcome is unknown, and stays so.
        idempotent: running it twice does no harm, so that it runs again when it was
            running while the process was killed. Has a meaning with a journal only.
    """
    told = partial(
        Definition,
        name=name,
        timeout=timeout,
        once_per=once_per,
        idempotent=idempotent,
        must_be_async=True,
        names=_names_in_sight(),
    )
    return _decorator(description, told)


def collect(cls: type, base: type) -> dict[str, Tool]:
    """Work out the tools of an agent class, its mixins and its ancestors.

    An override without a decorator keeps the tool, with the new function; an override
    with one replaces the definition; ``name_of_the_tool = None`` takes the tool away.

    Args:
        cls: the class that was just defined.
        base: the agent's own class, whose attributes no tool may hide.

    Returns:
        The tools by their name on the wire, ancestors first.

    Raises:
        ToolDefinitionError: with everything that is wrong with the class's tools.
    """
    return _gathered(cls.__name__, _methods(cls, base), {})


def from_functions(
    functions: Iterable[Callable[..., Any]], besides: Mapping[str, Tool] | None = None
) -> dict[str, Tool]:
    """Work out the tools that functions and bound methods are, decorated or not.

    Args:
        functions: the functions; without a decorator, the docstring describes them.
        besides: tools that are there already; their names are taken.

    Returns:
        The tools by their name on the wire, without those that were there already.

    Raises:
        ToolDefinitionError: with everything that is wrong with the functions.
    """
    candidates = map(_from_function, functions)
    return _gathered("the list of tools", candidates, besides or {})


@dataclass(frozen=True)
class _Candidate:
    """A function on its way to be a tool; ``label`` is what messages call it."""

    label: str
    function: Any
    definition: Definition
    docstring: str | None
    attribute: str | None = None
    bound: bool = False
    hides: str | None = None

    @property
    def name(self) -> Any:
        return self.label if self.definition.name is None else self.definition.name

    @property
    def description(self) -> Any:
        told = self.definition.description
        return summary(self.docstring) if told is None else told


def _decorator(description: Any, told: Callable[..., Definition]) -> Any:
    if callable(_inner(description)):
        return _noted(description, told())
    definition = told(description)

    def decorate(function: Any) -> Any:
        return _noted(function, definition)

    return decorate


def _noted(function: Any, definition: Definition) -> Any:
    inner = _inner(function)
    if not _is_plain_callable(inner):
        raise ToolDefinitionError(
            getattr(inner, "__name__", type(inner).__name__),
            [
                f"a value of type {type(inner).__name__} cannot be a tool; "
                "decorate a function"
            ],
        )
    setattr(inner, _NOTE, definition)
    return function


def _is_plain_callable(function: Any) -> bool:
    return inspect.isroutine(function) and hasattr(function, "__dict__")


def _names_in_sight() -> dict[str, Any]:
    """Return the classes that stand in the function around the decorator's caller."""
    # Only these frames know the names that a string annotation inside a function uses.
    frame = inspect.currentframe()
    for _ in ("this function", "the decorator"):
        frame = frame and frame.f_back
    names: dict[str, Any] = {}
    while frame is not None and not _is_module(frame):
        for name, value in frame.f_locals.items():
            if _names_a_type(value):
                names.setdefault(name, value)
        frame = None if _is_function(frame) else frame.f_back
    return names


def _is_module(frame: FrameType) -> bool:
    return frame.f_locals is frame.f_globals


def _is_function(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)


def _names_a_type(value: Any) -> bool:
    # Nothing else is kept: a note on a function must not keep connections alive. The
    # value itself is not asked, because a lazy proxy would wake up.
    kind = type(value)
    return issubclass(kind, (type, ModuleType)) or kind.__module__ in _TYPING


def _methods(cls: type, base: type) -> Iterator[_Candidate]:
    own = [vars(kind) for kind in cls.__mro__ if not issubclass(base, kind)]
    names = dict.fromkeys(name for members in reversed(own) for name in members)
    for name in names:
        versions = [members[name] for members in own if name in members]
        noted = [each for each in versions if _note_on(each) is not None]
        if noted and versions[0] is not None:
            hides = base.__name__ if hasattr(base, name) else None
            yield _method(name, versions[0], noted[0], hides)


def _method(name: str, newest: Any, noted: Any, hides: str | None) -> _Candidate:
    function = _inner(newest)
    return _Candidate(
        label=name,
        function=function,
        definition=_note_on(noted) or Definition(),
        docstring=function.__doc__ or _inner(noted).__doc__,
        attribute=name,
        bound=not isinstance(newest, staticmethod),
        hides=hides,
    )


def _from_function(function: Any) -> _Candidate:
    return _Candidate(
        label=getattr(function, "__name__", type(function).__name__),
        function=function,
        definition=_note_on(function) or Definition(),
        docstring=function.__doc__,
    )


def _inner(member: Any) -> Any:
    return getattr(member, "__func__", member)


def _note_on(member: Any) -> Definition | None:
    note = getattr(_inner(member), _NOTE, None)
    return note if isinstance(note, Definition) else None


def _gathered(
    owner: str, candidates: Iterable[_Candidate], taken: Mapping[str, Tool]
) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    problems: list[str] = []
    owners = {name: each.attribute or name for name, each in taken.items()}
    for candidate in candidates:
        found = [*_refusals(candidate), *_clash(candidate, owners)]
        try:
            each = _tool_of(candidate)
        except Undescribable as error:
            found += map(str, error.problems)
        else:
            tools[each.name] = each
        problems += [f"{candidate.label}: {problem}" for problem in found]
    if problems:
        raise ToolDefinitionError(owner, problems)
    return tools


def _tool_of(candidate: _Candidate) -> Tool:
    function, definition = candidate.function, candidate.definition
    if not inspect.isroutine(function):
        raise Undescribable.because(
            f"a value of type {type(function).__name__} cannot be a tool; "
            "use a function or a method"
        )
    parameters = parameters_of(
        function,
        bound=candidate.bound,
        names=definition.names,
        docstring=candidate.docstring,
    )
    return Tool(
        str(candidate.name),
        str(candidate.description).strip(),
        function,
        _is_async(candidate),
        definition.timeout,
        parameters,
        candidate.attribute,
        definition.once_per is not None,
        definition.idempotent,
        definition.executor,
    )


def _refusals(candidate: _Candidate) -> Iterator[str]:
    definition, function = candidate.definition, candidate.function
    if candidate.hides:
        yield (
            f"the method hides {candidate.hides}.{candidate.label}; rename the method "
            f"and keep the tool's name with name={candidate.name!r}"
        )
    if not isinstance(candidate.name, str) or not _NAME.fullmatch(candidate.name):
        yield (
            f"the name {candidate.name!r} is not 1 to 64 letters, digits, _ or -; "
            "give another with name="
        )
    if not isinstance(candidate.description, str) or not candidate.description.strip():
        yield (
            "it has no description for the language model; "
            'write @tool("what it does") or a docstring'
        )
    if definition.timeout is not None and not _is_timeout(definition.timeout):
        yield (
            f"timeout={definition.timeout!r} is not a number of seconds above 0 "
            f"and up to {MAX_TIMEOUT}; give one, or leave it out"
        )
    if definition.once_per not in (None, "arguments"):
        yield f"once_per={definition.once_per!r} is not known; it may be 'arguments'"
    if definition.executor is not None:
        yield from _refusals_of_executor(candidate, definition.executor)
    if definition.must_be_async and not _is_async(candidate):
        yield "it is not async; write `async def`, or use @tool"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield "it yields, and a tool has one result; return a list"
    if not candidate.attribute and _takes_self(function):
        yield "it is a method without its object; pass the method of an instance"


def _refusals_of_executor(candidate: _Candidate, executor: Any) -> Iterator[str]:
    if not isinstance(executor, str):
        yield (
            f"executor={executor!r} is not a name; "
            'write executor="heavy" here, and executors={"heavy": …} for the agent'
        )
    if _is_async(candidate):
        yield (
            "it is async, and runs on the event loop; write `def` without async, "
            "or leave executor= out"
        )


def _clash(candidate: _Candidate, owners: dict[str, str]) -> Iterator[str]:
    name = str(candidate.name)
    if name in owners:
        yield (
            f"the name {name!r} is taken by {owners[name]}; "
            "give one of them another with name="
        )
    owners.setdefault(name, candidate.label)


def _is_async(candidate: _Candidate) -> bool:
    # A wrapper that knows nothing of coroutines hands on the one it was given.
    function = candidate.function
    return inspect.iscoroutinefunction(function) or (
        candidate.definition.must_be_async
        and inspect.iscoroutinefunction(inspect.unwrap(function))
    )


def _is_timeout(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value <= MAX_TIMEOUT


def _takes_self(function: Any) -> bool:
    if not inspect.isfunction(function):
        return False
    return function.__code__.co_varnames[:1] == ("self",)


# Checking a call ----------------------------------------------------------------------


def build_validator(tool: Tool) -> Validator:
    """Make the validator of a tool's arguments, once, before the first call.

    Raises:
        ToolDefinitionError: a model's own schema is not a JSON Schema.
    """
    # Importing conversimple must stay cheap, so jsonschema waits until here.
    from jsonschema import Draft202012Validator, SchemaError

    from .validation import validator_for

    schema = tool.parameters.strict
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        problem = f"its schema is not valid at {error.json_path}; correct the model"
        raise ToolDefinitionError(tool.name, [problem]) from error
    return validator_for(schema)


def load_arguments(tool: Tool, validator: Validator, arguments: Any) -> dict[str, Any]:
    """Check the arguments of a call, and turn them into the annotated types.

    Args:
        tool: the tool that is called.
        validator: what ``build_validator`` made for it.
        arguments: what the platform sent.

    Returns:
        The keyword arguments for the function.

    Raises:
        InvalidArguments: with all that is wrong, in words for a language model.
    """
    told: list[Violation] = []
    try:
        told = explain(validator.iter_errors(arguments))
        loaded: dict[str, Any] = tool.parameters.load(arguments)
    except InvalidArguments as error:
        raise InvalidArguments(merged(error.violations, told)) from error.__cause__
    except Exception as error:  # such as RecursionError, for values nested too deep
        kind = type(error).__name__
        problem = Violation(
            (), f"they cannot be checked ({kind}), expected simpler ones"
        )
        raise InvalidArguments([problem]) from error
    if told:
        raise InvalidArguments(told)
    return loaded
