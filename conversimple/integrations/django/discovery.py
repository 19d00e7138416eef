"""The agent classes of a project: those of the installed apps, and named ones."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from types import ModuleType

from django.apps import apps
from django.utils.module_loading import autodiscover_modules, import_string

from conversimple.agent import ConversimpleAgent
from conversimple.errors import ConfigurationError

AgentClass = type[ConversimpleAgent]

#: Where an app defines its agents: a module, or a package.
MODULE = "agents"


def discovered() -> list[AgentClass]:
    """The agent classes that the modules ``agents`` of the installed apps define.

    They are imported. Classes that others build on, abstract ones and those whose name
    begins with an underscore, are left out.
    """
    autodiscover_modules(MODULE)
    names = [f"{each.name}.{MODULE}" for each in apps.get_app_configs()]
    modules = [sys.modules[name] for name in names if name in sys.modules]
    return list(dict.fromkeys(each for module in modules for each in _agents(module)))


def named(name: str) -> AgentClass:
    """The agent class of a dotted name, or of the name of a class of an app.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    return _imported(name) if "." in name else _only(name)


def chosen(names: Sequence[str] | None) -> list[AgentClass]:
    """The agent classes of these names; None means all that are discovered.

    Raises:
        ConfigurationError: one is missing, or none is there at all.
    """
    if names is not None:
        return list(dict.fromkeys(map(named, names)))
    if found := discovered():
        return found
    raise ConfigurationError(
        "no installed app defines an agent: write a subclass of ConversimpleAgent into "
        f"the module {MODULE} of one, and see that it is in INSTALLED_APPS"
    )


def _agents(module: ModuleType) -> list[AgentClass]:
    package = f"{module.__name__}."
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, ConversimpleAgent)
        and f"{each.__module__}.".startswith(package)
        and not each.__name__.startswith("_")
        and not inspect.isabstract(each)
    ]


def _imported(name: str) -> AgentClass:
    try:
        found = import_string(name)
    except ImportError as error:
        raise ConfigurationError(f"cannot import the agent {name}: {error}") from error
    if isinstance(found, type) and issubclass(found, ConversimpleAgent):
        return found
    raise ConfigurationError(f"{name} is no subclass of ConversimpleAgent")


def _only(name: str) -> AgentClass:
    everything = discovered()
    found = [each for each in everything if each.__name__ == name]
    if len(found) == 1:
        return found[0]
    full = ", ".join(map(dotted, found or everything)) or "none"
    if found:
        raise ConfigurationError(f"several agents are called {name}; choose of {full}")
    raise ConfigurationError(f"no app defines an agent {name}; there are: {full}")


def dotted(cls: AgentClass) -> str:
    """By which name a class is found again."""
    return f"{cls.__module__}.{cls.__qualname__}"
