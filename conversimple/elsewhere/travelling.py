"""Objects on their way into another process: packed by hand, so that errors have names.

Whatever an executor uses to pickle, the agent is pickled here: without its key and its
tools, and with the name of the attribute that cannot come along.
"""

from __future__ import annotations

import io
import pickle
import sys
from concurrent.futures import Executor
from functools import lru_cache
from typing import Any

#: Packages whose executors are known to send what they are given to other processes.
_FAR = ("distributed", "loky")

#: The method of what stays behind: what makes something else of it elsewhere, as
#: ``__reduce__`` would tell.
STAYS_BEHIND = "_conversimple_away"

Pickler = type[pickle.Pickler]


class NotPacked(pickle.PicklingError):
    """Something cannot be pickled; the text names it, and the cure."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        return _away(obj, NotImplemented)


def _away(obj: Any, otherwise: Any) -> Any:
    """What an object is elsewhere, if it says that it is something else there."""
    # A mark instead of a base class: agents need not import all of this.
    away = getattr(type(obj), STAYS_BEHIND, None)
    return otherwise if away is None else away(obj)


def pickler_for(executor: Executor) -> Pickler:
    """What an executor would use: it may know classes of ``__main__``, and lambdas."""
    ours = type(executor).__module__.startswith("concurrent.")
    if ours or _is_pool(executor) or "cloudpickle" not in sys.modules:
        return _Pickler
    return _cloud_pickler()


def is_far(executor: Executor) -> bool:
    """Whether an executor is known to run things in other processes."""
    return _is_pool(executor) or _package(executor) in _FAR


def packed(what: object, pickler: Pickler) -> bytes:
    """Pickle something.

    Raises:
        Exception: it cannot be pickled.
    """
    buffer = io.BytesIO()
    pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(what)
    return buffer.getvalue()


def why_not(what: object, pickler: Pickler) -> str | None:
    """Why an object cannot be pickled, with the name of its attribute, or None."""
    error = _error_of(what, pickler)
    if error is None:
        return None
    kind = type(what).__name__
    for name, value in _state_of(what).items():
        # What only refers to the object is not to blame.
        cause = _error_of(value, _without(what, pickler))
        if cause is not None:
            return f"{kind}.{name} cannot be pickled ({_told(cause)}); {_CURE}"
    return f"{kind} cannot be pickled ({_told(error)}); {_CURE_OF_CLASSES}"


_CURE = "drop it in __getstate__, or use a thread pool"
_CURE_OF_CLASSES = (
    "define it at the top level of a module, see that its __getstate__ works, "
    "or use a thread pool"
)


def _state_of(what: object) -> dict[str, Any]:
    try:
        state = what.__reduce_ex__(pickle.HIGHEST_PROTOCOL)[2]
    except Exception:
        return {}
    return state if isinstance(state, dict) else {}


def _error_of(value: object, pickler: Pickler) -> Exception | None:
    try:
        packed(value, pickler)
    except Exception as error:
        return error
    return None


def _without(what: object, pickler: Pickler) -> Pickler:
    class Without(pickler):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: Any) -> Any:
            return (object, ()) if obj is what else super().reducer_override(obj)

    return Without


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _is_pool(executor: Executor) -> bool:
    # Whoever made one has imported them; nobody else has to.
    names = ("concurrent.futures.process", "concurrent.futures.interpreter")
    modules = [sys.modules[name] for name in names if name in sys.modules]
    kinds = ("ProcessPoolExecutor", "InterpreterPoolExecutor")
    known = [getattr(module, kind, ()) for module in modules for kind in kinds]
    return any(isinstance(executor, kind) for kind in known)


def _package(executor: Executor) -> str:
    return type(executor).__module__.partition(".")[0]


@lru_cache(maxsize=1)
def _cloud_pickler() -> Pickler:
    import cloudpickle

    class CloudPickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            away = _away(obj, None)
            return super().reducer_override(obj) if away is None else away

    return CloudPickler
