"""Annotations as their author meant them, and the words for what cannot be offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Problem:
    """One reason why a signature cannot be offered, with the cure.

    Attributes:
        path: the parameter, and the fields below it.
        text: what is wrong and what to do about it.
    """

    path: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        place = f"parameter '{'.'.join(self.path)}': " if self.path else ""
        return place + self.text


class Undescribable(Exception):
    """A type or a signature has no JSON form.

    Attributes:
        problems: all the reasons.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    @classmethod
    def because(cls, text: str) -> Undescribable:
        """Return the exception for one problem."""
        return cls([Problem((), text)])

    def under(self, name: str) -> Iterator[Problem]:
        """Yield the problems as seen from one level further out."""
        for problem in self.problems:
            yield replace(problem, path=(name, *problem.path))


def resolved(
    annotation: Any, module: Mapping[str, Any], names: Mapping[str, Any]
) -> Any:
    """Return an annotation without strings in it.

    Args:
        annotation: a type, or a string that names one.
        module: the globals of the module that the annotation stands in.
        names: what else it may refer to; these go before the globals.

    Raises:
        Undescribable: a name in it cannot be resolved.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return _hints(holder, dict(module), names)["it"]


def class_hints(kind: type, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of a class without strings in them.

    Args:
        kind: a class that is made of annotated names.
        names: what they may refer to besides the globals of the class's own module.

    Raises:
        Undescribable: a name in them cannot be resolved.
    """
    if "<locals>" not in kind.__qualname__:
        # A class from another module must not pick up names from here.
        try:
            return _hints(kind, None, None)
        except Undescribable:
            pass
    return _hints(kind, None, names)


def _hints(
    holder: Any, module: dict[str, Any] | None, names: Mapping[str, Any] | None
) -> dict[str, Any]:
    try:
        return get_type_hints(holder, module, names, include_extras=True)
    except NameError as error:
        raise Undescribable.because(
            f"the name {error.name!r} in its annotation cannot be resolved; define it, "
            "or import it without `if TYPE_CHECKING:`, at the top of the module"
        ) from error
    except Exception as error:  # the text of an annotation is evaluated here
        raise Undescribable.because(
            f"its annotation cannot be evaluated ({type(error).__name__}: {error}); "
            "write it as a type"
        ) from error
