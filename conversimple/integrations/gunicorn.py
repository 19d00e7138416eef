"""gunicorn's hooks: each worker starts after it was forked, and stops before it ends.

``gunicorn -c python:conversimple.integrations.gunicorn …``, or, in one's own
``gunicorn.conf.py``::

    from conversimple.integrations.gunicorn import post_worker_init, worker_exit
"""

from __future__ import annotations

from typing import Any

from .embedding import STOP_TIMEOUT, start_all, stop_all


def post_worker_init(worker: Any) -> None:
    """The application is loaded, and the worker is about to serve.

    Raises:
        ConfigurationError: the settings are wrong; gunicorn ends and says so.
    """
    start_all()


def worker_exit(server: Any, worker: Any) -> None:
    """The worker has served its last request. gunicorn calls it in its master, too."""
    stop_all(min(STOP_TIMEOUT, float(worker.cfg.graceful_timeout)))
