"""uWSGI: each worker starts after it was forked, and stops before it ends.

Nothing has to be configured for that. With ``--lazy-apps`` or without, uWSGI calls its
hook when the application is loaded and the worker is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from ..errors import ConfigurationError

logger = logging.getLogger(__name__)

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
        if not uwsgi.worker_id():
            return
        try:
            start()
        except ConfigurationError as error:
            logger.error("the agents are not started: %s", error)

    _after_fork(uwsgi, forked)
    _at_exit(uwsgi, stop)


def _uwsgi() -> Any:
    # uWSGI itself provides the module, inside of its processes only.
    with suppress(ImportError):
        return import_module("uwsgi")
    return None


def _after_fork(uwsgi: Any, forked: Callable[[], None]) -> None:
    try:
        import_module("uwsgidecorators").postfork(forked)
    except ImportError:
        # There is room for one; with the decorators, for many.
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
