"""What a web application wants embedded, and what is wrong with that."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import isabstract
from typing import Any

from ..agent import ConversimpleAgent
from ..errors import ConfigurationError
from ..host import NOBODY, Host
from ..making import SETTINGS, lacking
from ..runtime.claims import FILE, Alone, Claims, check_claims, open_claims
from ..settings import Settings, is_address, resolve

WORKERS = ("one", "all")

EVERYBODY_HEARS = (
    'workers="all" would run the agents in every worker, and every worker hears '
    "everything that the platform says, so each call would run as often as there are "
    'workers; leave workers="one", or set dispatch=True and claims="file:DIRECTORY" or '
    '"redis://…", or a journal that the workers share'
)
NO_AGENTS = "there are no agents: name at least one subclass of ConversimpleAgent"


@dataclass(frozen=True)
class Plan:
    """What is to run; see `Embedding`.

    Attributes:
        options: the agents' settings by name; they hold the key, and are not shown.
        claims: where it is agreed who runs them; may carry a password.
    """

    agents: tuple[type[ConversimpleAgent], ...]
    options: Mapping[str, Any] = field(repr=False)
    workers: str = "one"
    claims: str | None = field(default=None, repr=False)
    dispatch: bool = False
    host: Host = NOBODY

    @property
    def dispatches(self) -> bool:
        """Whether each conversation gets an agent of its own."""
        return self.dispatch or len(self.agents) > 1

    @property
    def name(self) -> str:
        """What runs, in a word: it tells apart what may run on a host side by side."""
        return ", ".join(
            sorted(f"{c.__module__}.{c.__qualname__}" for c in self.agents)
        )

    def settings(self) -> Settings:
        """What all of the agents are told.

        Raises:
            ConfigurationError: a setting is missing, unknown or wrong.
        """
        known = {name: self.options.get(name) for name in SETTINGS}
        rest = self._options_of_the_sdk()
        return resolve(**known, options=rest)

    def problems(self, *, key: bool = True) -> list[str]:
        """What is wrong, in words that name the cure.

        Args:
            key: whether it is wrong that there is no key yet.
        """
        return list(self._problems(key))

    def open_claims(self) -> Claims:
        """Open what decides which worker runs the agents; this may touch the disk.

        Raises:
            ConfigurationError: another user made the folder for temporary files.
            ClaimsError: it cannot be used.
        """
        if self.workers == "all":
            return Alone()
        settings = self.settings()
        # One platform's agents are not in the way of another's.
        whose = f"{settings.customer_id} {settings.public_url} {self.name}"
        return open_claims(self.claims or f"{FILE}{_own_folder()}", whose)

    def claims_of_conversations(self) -> str:
        """Where dispatchers agree upon conversations."""
        return self.claims or f"{FILE}{_own_folder()}"

    def _problems(self, key: bool) -> Iterator[str]:
        if not self.agents:
            yield NO_AGENTS
        for cls in self.agents:
            yield from self._problems_of(cls)
        if self.workers not in WORKERS:
            yield f"workers must be 'one' or 'all', not {self.workers!r}"
        if not isinstance(self.dispatch, bool):
            yield f"dispatch must be True or False, not {self.dispatch!r}"
        try:
            # The key that is made up stands for one that is to come.
            absent = {} if key else {"api_key": "any"}
            Plan(self.agents, {**absent, **self.options}).settings()
        except ConfigurationError as error:
            yield str(error)
        try:
            if self.claims is not None:
                check_claims(self.claims)
        except ConfigurationError as error:
            yield str(error)
        if self.workers == "all" and not self._may_be_everywhere():
            yield EVERYBODY_HEARS

    def _problems_of(self, cls: object) -> Iterator[str]:
        if not isinstance(cls, type) or not issubclass(cls, ConversimpleAgent):
            yield f"{cls!r} is not a subclass of ConversimpleAgent"
        elif isabstract(cls):
            yield f"{cls.__name__} is abstract: name a class that is not"
        elif needs := lacking(cls, self.options):
            yield (
                f"cannot make a {cls.__name__}: its constructor needs "
                f"{', '.join(needs)}; give it a default"
            )

    def _may_be_everywhere(self) -> bool:
        shared = self.options.get("journal") is not None
        return shared or (self.dispatches and self.claims is not None)

    def _options_of_the_sdk(self) -> dict[str, Any]:
        return {k: v for k, v in self.options.items() if k not in SETTINGS}


def _own_folder() -> str:
    """A folder for this user, among the temporary files of everybody."""
    path = os.path.join(tempfile.gettempdir(), f"conversimple-{os.getuid()}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    # Whoever made it could decide which worker runs the agents, if any.
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(
            f"{path} belongs to somebody else: remove it, or set "
            'claims="file:DIRECTORY" to a folder of your own'
        )
    return path


def is_shared(place: str | None) -> bool:
    """Whether claims reach further than one machine."""
    return place is not None and is_address(place)
