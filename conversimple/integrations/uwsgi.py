"""uWSGI: each worker starts after it was forked, and stops before it ends.

Nothing has to be configured for that. With ``--lazy-apps`` the application is loaded
when the hooks were called already: whatever it makes then is in a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

_attached = False


def attach(start: Callable[[], None], stop: Callable[[], None]) -> None:
    """Have all workers of uWSGI start and stop something; elsewhere nothing is done."""
    global _attached
    uwsgi = _uwsgi()
    if uwsgi is None or _attached:
        return
    _attached = True

    def forked() -> None:
        # Mules and spoolers serve no requests.
        if is_worker():
            start()

    _after_fork(uwsgi, forked)
    _at_exit(uwsgi, stop)


def is_worker() -> bool:
    """Whether this is a worker of uWSGI, in which an application is being loaded."""
    uwsgi = _uwsgi()
    return uwsgi is not None and bool(uwsgi.worker_id())


def _uwsgi() -> Any:
    # uWSGI itself provides the module, inside of its processes only.
    return _module("uwsgi")


def _module(name: str) -> Any:
    with suppress(ImportError):
        return import_module(name)
    return None


def _after_fork(uwsgi: Any, forked: Callable[[], None]) -> None:
    # There is room for one hook; with the decorators, which need a master, for many.
    decorators = _module("uwsgidecorators") if uwsgi.masterpid() else None
    if decorators is not None:
        decorators.postfork(forked)
    else:
        uwsgi.post_fork_hook = _chained(getattr(uwsgi, "post_fork_hook", None), forked)


def _at_exit(uwsgi: Any, stop: Callable[[], None]) -> None:
    uwsgi.atexit = _chained(getattr(uwsgi, "atexit", None), stop)


def _chained(
    first: Callable[[], object] | None, second: Callable[[], object]
) -> Callable[[], None]:
    def both() -> None:
        try:
            if first is not None:
                first()
        finally:
            second()

    return both
