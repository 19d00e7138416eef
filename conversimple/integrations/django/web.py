"""Agents inside of the web server's processes: when they are started there.

gunicorn's and uWSGI's hooks start what `conversimple.integrations.embedding` knows of.
Elsewhere the first request does, and under ``runserver`` its autoreloader. A command
such as ``migrate`` or ``shell`` serves no request, and so never has an agent; nor does
a test.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.signals import request_started
from django.utils.autoreload import autoreload_started

from conversimple.errors import ConfigurationError
from conversimple.integrations.embedding import Embedding
from conversimple.integrations.gunicorn import WITHOUT_HOOKS
from conversimple.integrations.logs import keep_warnings

from .configuration import Configuration, configured
from .database import HOST
from .discovery import AgentClass, chosen

logger = logging.getLogger(__name__)

#: In a request's environment: which server serves it.
SERVER = "SERVER_SOFTWARE"

REFUSED = "no agent runs in this process: %s"

_prepared: Embedding | None = None


def prepare_web_workers() -> None:
    """Have the web workers of this project run its agents, if it is set so.

    What is wrong is told in the log, and by the system check: neither may keep the web
    site from serving.
    """
    global _prepared
    keep_warnings()
    try:
        configuration = configured()
        if not configuration.start_in_web_workers:
            return
        _prepared = embedding_for(configuration, chosen(configuration.agents))
    except ConfigurationError as error:
        logger.error(REFUSED, error)
        return
    request_started.connect(_on_request)
    autoreload_started.connect(_on_autoreload)


def prepared() -> Embedding | None:
    """What the web workers run, or None if they run nothing."""
    return _prepared


def embedding_for(
    configuration: Configuration, agents: Sequence[AgentClass]
) -> Embedding:
    """The agents of one process, not started."""
    return Embedding(
        agents,
        configuration.options,
        workers=configuration.workers,
        claims=configuration.claims,
        dispatch=configuration.dispatch,
        host=HOST,
    )


def _on_request(environ: Mapping[str, Any] | None = None, **_: Any) -> None:
    if _prepared is None or _prepared.begun or not _is_served(environ):
        return
    if str((environ or {}).get(SERVER, "")).startswith("gunicorn"):
        logger.warning(WITHOUT_HOOKS)
    _start(_prepared)


def _on_autoreload(**_: Any) -> None:
    # Only the child that follows the code is told; other commands have one, too.
    if _prepared is not None and sys.argv[1:2] == ["runserver"]:
        _start(_prepared)


def _start(embedding: Embedding) -> None:
    try:
        embedding.start()
    except ConfigurationError as error:
        logger.error(REFUSED, error)
        # It would be refused with each request again.
        request_started.disconnect(_on_request)


def _is_served(environ: Mapping[str, Any] | None) -> bool:
    """Whether a server makes the request, rather than a test or a script.

    Servers say who they are, which ASGI has no word for; a test's own server does so,
    too.
    """
    tested = hasattr(mail, "outbox") and "testserver" in settings.ALLOWED_HOSTS
    return not tested and (environ is None or SERVER in environ)
