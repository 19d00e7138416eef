"""What the project's settings say: ``CONVERSIMPLE = {…}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings

from conversimple.agent import ConversimpleAgent
from conversimple.errors import ConfigurationError
from conversimple.integrations.plan import DISPATCHERS
from conversimple.making import SETTINGS
from conversimple.runtime.claims import check_claims
from conversimple.settings import Settings, resolve

SETTING = "CONVERSIMPLE"

WORKERS = ("one", "all")

#: What only Django is told.
OWN = ("AGENTS", "CLAIMS", "DISPATCH", "START_IN_WEB_WORKERS", "WORKERS")

#: What the agents are told.
THEIRS = tuple(sorted(each.name.upper() for each in fields(Settings)))

#: What dispatchers are told besides.
OF_DISPATCHERS = tuple(name.upper() for name in DISPATCHERS)

KNOWN = tuple(sorted(OWN + THEIRS + OF_DISPATCHERS))


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What ``CONVERSIMPLE`` says, checked.

    Attributes:
        agents: the dotted names of the agent classes; None means all that the modules
            ``agents`` of the installed apps define.
        options: the agents' settings by name, and those of the dispatcher. They hold
            the key, and are not shown.
        claims: where workers agree who serves what; may carry a password.
        dispatch: whether each conversation gets an agent of its own.
        start_in_web_workers: whether the web server's processes run the agents.
        workers: how many of these processes do: "one" of each host, or "all".
    """

    agents: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    claims: str | None = field(default=None, repr=False)
    dispatch: bool = False
    start_in_web_workers: bool = False
    workers: str = "one"


def configured() -> Configuration:
    """What the project's settings say now.

    Raises:
        ConfigurationError: something is wrong; all of it is told.
    """
    given = given_settings()
    if found := problems(given):
        raise ConfigurationError("; ".join(found.values()))
    own = {name.lower(): given[name] for name in OWN if given.get(name) is not None}
    if "agents" in own:
        own["agents"] = tuple(own["agents"])
    more = {k.lower(): given[k] for k in OF_DISPATCHERS if given.get(k) is not None}
    return Configuration(**own, options={**agent_options(given), **more})


def given_settings() -> Any:
    """The project's own words, unchecked."""
    return getattr(settings, SETTING, {})


def agent_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The agents' settings by name.

    Who takes the key from an environment that has none means that none is given.
    """
    options = {name.lower(): given[name] for name in THEIRS if name in given}
    return {k: v for k, v in options.items() if v or k not in SETTINGS}


def problems(given: Any) -> dict[str, str]:
    """What is wrong with the settings, by the name of the setting; no secret is told.

    A key that is missing is none: not everything that a project does needs it.
    """
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        return {SETTING: f"{SETTING} must be a dictionary, not {kind}"}
    found = {str(name): _problem(name, value) for name, value in given.items()}
    return {
        name: f"{SETTING}[{name!r}]: {problem}"
        for name, problem in found.items()
        if problem
    }


def key_problem(options: Mapping[str, Any]) -> str | None:
    """Why no agent can be made of settings that are right, or None.

    Either nobody names a key, or the environment is wrong.
    """
    rest = {name: value for name, value in options.items() if name not in SETTINGS}
    named = {name: options[name] for name in SETTINGS if name in options}
    try:
        resolve(**named, options=rest)
    except ConfigurationError as error:
        return str(error)
    return None


def _problem(name: Any, value: Any) -> str | None:
    if name in OWN:
        return _problem_of_ours(name, value)
    if name in OF_DISPATCHERS:
        return _problem_of_dispatchers(name.lower(), value)
    if name not in THEIRS:
        return f"there is no such setting; the settings are {', '.join(KNOWN)}"
    # Each alone, so that one mistake does not hide another.
    alone: dict[str, Any] = {"api_key": "any", **agent_options({name: value})}
    try:
        Settings(**alone)
    except ConfigurationError as error:
        return str(error)
    return None


def _problem_of_ours(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name == "AGENTS":
        return _problem_of_agents(value)
    if name == "WORKERS":
        expected = "it must be 'one' or 'all'"
        return None if value in WORKERS else f"{expected}, not {value!r}"
    if name == "CLAIMS":
        return _problem_of_claims(value)
    return None if isinstance(value, bool) else f"it must be True or False: {value!r}"


def _problem_of_agents(value: Any) -> str | None:
    are_names = isinstance(value, (list, tuple)) and all(
        isinstance(each, str) and "." in each for each in value
    )
    if are_names and value:
        return None
    return (
        "it must be a list of dotted names, such as ['shop.agents.ShopAgent']; leave "
        "it out to run all that the apps' modules named agents define"
    )


def _problem_of_dispatchers(name: str, value: Any) -> str | None:
    if value is None:
        return None
    from conversimple.dispatcher import ConversimpleDispatcher

    alone: dict[str, Any] = {"api_key": "any", "agents": [ConversimpleAgent]}
    try:
        ConversimpleDispatcher(**alone, **{name: value})
    except ConfigurationError as error:
        return str(error)
    return None


def _problem_of_claims(value: Any) -> str | None:
    try:
        check_claims(value)
    except ConfigurationError as error:
        return str(error)
    return None
