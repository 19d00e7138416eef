"""An agent that is made as it was typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError
from ..making import SETTINGS, lacking, make
from .failure import UsageMistake
from .loading import AgentClass, blaming

__all__ = ["SETTINGS", "make_agent"]


def make_agent(cls: AgentClass, given: Mapping[str, Any]) -> ConversimpleAgent:
    """Make an agent with the settings that were typed; see `conversimple.making`.

    Args:
        cls: the agent class.
        given: the settings that were typed, or are otherwise not the agent's to choose.

    Raises:
        UsageMistake: the constructor needs more than settings.
        ConfigurationError: a setting is missing or wrong.
        CommandFailed: the constructor failed.
    """
    needs = lacking(cls, given)
    if needs:
        raise UsageMistake(
            f"cannot make a {cls.__name__}: its constructor needs "
            f"{', '.join(needs)}; give it a default"
        )
    try:
        with blaming(f"cannot make a {cls.__name__}", _home(cls)):
            return make(cls, given)
    except Exception as error:
        if isinstance(error.__cause__, ConversimpleError):
            raise error.__cause__
        raise


def _home(cls: AgentClass) -> Path:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file).parent if file else Path.cwd()
