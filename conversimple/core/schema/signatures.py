"""A function's signature as JSON: what a tool's parameters are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, TypeAlias

from .docstrings import descriptions
from .forms import Form, Scope, Slot, record_form
from .hints import Problem, Undescribable, resolved

Parameters: TypeAlias = Form
"""The form of a whole signature; its ``load`` gives the keyword arguments."""

_REFUSED = {
    Parameter.VAR_POSITIONAL: "*{0} has no names to offer; use {0}: list[T]",
    Parameter.VAR_KEYWORD: "**{0} has no names to offer; use {0}: dict[str, T]",
    Parameter.POSITIONAL_ONLY: "it is positional-only; remove the / after it",
}


def parameters_of(
    function: Callable[..., Any],
    *,
    bound: bool,
    names: Mapping[str, Any] | None = None,
    docstring: str | None = None,
) -> Parameters:
    """Describe the parameters of a function.

    A parameter without an annotation takes any JSON value.

    Args:
        function: the function, as it is called.
        bound: leave out the first parameter, which is ``self``.
        names: what string annotations may refer to besides the function's globals.
        docstring: where parameters are described, if not in the function's own.

    Raises:
        Undescribable: with all the problems of the signature.
    """
    source = inspect.unwrap(function)
    module = getattr(source, "__globals__", {})
    visible = {**(names or {}), **_closure(source)}
    told = descriptions(docstring or function.__doc__)
    slots: dict[str, Slot] = {}
    problems: list[Problem] = []
    for parameter in _offered(function, bound):
        try:
            annotation = _annotation(parameter, module, visible)
        except Undescribable as error:
            problems.extend(error.under(parameter.name))
        else:
            slots[parameter.name] = Slot(
                annotation,
                parameter.default is Parameter.empty,
                parameter.default,
                told.get(parameter.name),
            )
    try:
        form = record_form(slots, Scope(visible))
    except Undescribable as error:
        problems.extend(error.problems)
    if problems:
        raise Undescribable(problems)
    return form


def _offered(function: Callable[..., Any], bound: bool) -> list[Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise Undescribable.because(
            "its signature cannot be read; wrap it in a function of your own"
        ) from error
    if not bound:
        return parameters
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise Undescribable.because("it has no first parameter; add self")
    return parameters[1:]


def _annotation(
    parameter: Parameter, module: Mapping[str, Any], names: Mapping[str, Any]
) -> Any:
    if parameter.kind in _REFUSED:
        text = _REFUSED[parameter.kind].format(parameter.name)
        raise Undescribable.because(text)
    if parameter.annotation is Parameter.empty:
        return Any
    return resolved(parameter.annotation, module, names)


def _closure(function: Any) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    if code is None or not function.__closure__:
        return {}
    names = {}
    for name, cell in zip(code.co_freevars, function.__closure__):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            continue  # an empty cell: the name gets its value later
    return names
