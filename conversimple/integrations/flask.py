"""Agents in a Flask application: ``pip install "conversimple-sdk[flask]"``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..agent import ConversimpleAgent
from ..errors import ConfigurationError
from ..host import Host
from ..making import SETTINGS
from ..settings import Settings
from .embedding import APPLICATION_IS_MADE, Embedding
from .gunicorn import WITHOUT_HOOKS
from .plan import DISPATCHERS

try:
    import click
    from flask import Blueprint, Flask, jsonify
    from flask.cli import run_command
    from flask.helpers import get_debug_flag
    from flask.typing import ResponseReturnValue
    from werkzeug.serving import is_running_from_reloader
    from werkzeug.utils import import_string
except ImportError as error:
    raise ConfigurationError(
        'Flask is missing: pip install "conversimple-sdk[flask]"'
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Conversimple"]

logger = logging.getLogger(__name__)

#: Classes or their dotted names; a text has commas between these.
Agents = str | Sequence[str | type[ConversimpleAgent]]

PREFIX = "CONVERSIMPLE_"
EXTENSION = "conversimple"

#: What only Flask is told; the rest are the agents' own settings.
OWN = ("agents", "workers", "claims", "dispatch", "healthz")
KNOWN = sorted({*OWN, *DISPATCHERS, *(each.name for each in fields(Settings))})


class Conversimple:
    """The agents of a Flask application.

    ::

        conversimple = Conversimple(agents=[ShopAgent])

        def create_app():
            app = Flask(__name__)
            conversimple.init_app(app)

    The agents run in one worker process of each host, from when that serves; the other
    ones stand by. Each tool and callback has an application context of its own.
    ``app.extensions["conversimple"]`` is the `Embedding`.

    Args:
        app: the application, unless `init_app` is called with it.
        agents: the agent classes, or their dotted names; else those in
            ``CONVERSIMPLE_AGENTS``.
        settings: all that can also be configured as ``CONVERSIMPLE_…``, in lower case;
            what is set here wins.

    Raises:
        ConfigurationError: as by `init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        agents: Agents = (),
        **settings: Any,
    ) -> None:
        self._settings = dict(settings)
        if agents:
            self._settings["agents"] = agents
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Have the application's workers run the agents, and serve ``/healthz``.

        Raises:
            ConfigurationError: settings are unknown or wrong, or the agents would be
                in each other's way. That there is no key yet is told when they start.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError(f"{app.name} has its agents already")
        settings = {"healthz": "/healthz", **_configured(app), **self._settings}
        _check_names(settings)
        healthz = settings.pop("healthz")
        embedding = _embedding(app, settings)
        if problems := embedding.check(key=False):
            raise ConfigurationError("; ".join(problems))
        app.extensions[EXTENSION] = embedding
        if healthz is not None:
            app.register_blueprint(_health(embedding, healthz))
        app.wsgi_app = _Starter(app, embedding)  # type: ignore[method-assign]
        if _is_served_by_flask():
            embedding.start_or_say(APPLICATION_IS_MADE)


class _Starter:
    """Has the first request to a process start the agents, if no hook has done it."""

    def __init__(self, app: Flask, embedding: Embedding) -> None:
        self._app = app
        self._inner: WSGIApplication = app.wsgi_app
        self._embedding = embedding
        self._pid = 0

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if self._pid != os.getpid() and self._is_served(environ):
            self._pid = os.getpid()
            self._begin(environ)
        return self._inner(environ, start_response)

    def _is_served(self, environ: WSGIEnvironment) -> bool:
        # Servers say who they are; tests and scripts, which call it themselves, do not.
        return "SERVER_SOFTWARE" in environ and not self._app.testing

    def _begin(self, environ: WSGIEnvironment) -> None:
        if self._embedding.begun:
            return
        if str(environ["SERVER_SOFTWARE"]).startswith("gunicorn"):
            logger.warning(WITHOUT_HOOKS)
        self._embedding.start_or_say()


def _configured(app: Flask) -> dict[str, Any]:
    names = [name for name in app.config if name.startswith(PREFIX)]
    return {name[len(PREFIX) :].lower(): app.config[name] for name in names}


def _check_names(settings: dict[str, Any]) -> None:
    if unknown := sorted(set(settings).difference(KNOWN)):
        known = ", ".join(PREFIX + name.upper() for name in KNOWN)
        wrong = ", ".join(PREFIX + name.upper() for name in unknown)
        raise ConfigurationError(f"unknown: {wrong}; the settings are {known}")


def _embedding(app: Flask, settings: dict[str, Any]) -> Embedding:
    own = {name: settings.pop(name) for name in OWN if name in settings}
    agents = _classes(own.pop("agents", None) or ())
    given = {name: value for name, value in own.items() if value is not None}
    # Who takes the key from an environment that has none means that none is given.
    settings = {k: v for k, v in settings.items() if v or k not in SETTINGS}
    return Embedding(agents, settings, host=Host(around=app.app_context), **given)


def _classes(agents: Agents) -> Sequence[type[ConversimpleAgent]]:
    if isinstance(agents, str):
        agents = [name.strip() for name in agents.split(",")]
    return [_class(each) if isinstance(each, str) else each for each in agents]


def _class(name: str) -> type[ConversimpleAgent]:
    try:
        found: type[ConversimpleAgent] = import_string(name)
    except ImportError as error:
        reason = str(error).splitlines()[-1]
        raise ConfigurationError(
            f"{PREFIX}AGENTS names {name!r}, which cannot be imported: {reason}"
        ) from error
    return found


def _health(embedding: Embedding, path: str) -> Blueprint:
    blueprint = Blueprint(EXTENSION, __name__)

    @blueprint.get(path)
    def healthz() -> ResponseReturnValue:
        report = embedding.report()
        status = 200 if report["ready"] else 503
        return jsonify(report), status, {"Cache-Control": "no-store"}

    return blueprint


def _is_served_by_flask() -> bool:
    """Whether ``flask run`` serves in this process, rather than watch its files."""
    context = click.get_current_context(silent=True)
    if context is None or context.command is not run_command:
        return False
    reload = context.params.get("reload")
    reloads = get_debug_flag() if reload is None else reload
    return not reloads or is_running_from_reloader()
