"""gunicorn's hooks: each worker starts after it was forked, and stops before it ends.

``gunicorn -c python:conversimple.integrations.gunicorn …``, or, in one's own
``gunicorn.conf.py``::

    from conversimple.integrations.gunicorn import post_worker_init, worker_exit
"""

from __future__ import annotations

from typing import Any

from .embedding import STOP_TIMEOUT, start_all, stop_all

#: What is told where gunicorn serves an application without them.
WITHOUT_HOOKS = (
    "gunicorn runs without Conversimple's hooks: the agents begin with the first "
    "request of each worker, and have a second to leave when it ends; start it with "
    "-c python:conversimple.integrations.gunicorn"
)


def post_worker_init(worker: Any) -> None:
    """The application is loaded, and the worker is about to serve."""
    start_all()


def worker_exit(server: Any, worker: Any) -> None:
    """The worker has served its last request. gunicorn calls it in its master, too."""
    stop_all(min(STOP_TIMEOUT, float(worker.cfg.graceful_timeout)))
