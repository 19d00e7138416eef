"""What a web application wants embedded, and what is wrong with that."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import isabstract
from typing import TYPE_CHECKING, Any

from ..agent import ConversimpleAgent
from ..errors import ConfigurationError
from ..host import NOBODY, Host
from ..making import SETTINGS, lacking
from ..runtime.claims import FILE, Alone, Claims, check_claims, open_claims
from ..settings import Settings, resolve

if TYPE_CHECKING:
    from ..dispatcher import ConversimpleDispatcher

WORKERS = ("one", "all")

#: What a dispatcher is told besides the settings of its agents.
DISPATCHERS = ("idle_timeout", "lease", "max_conversations")

EVERYBODY_HEARS = (
    'workers="all" would run the agents in every worker, and every worker hears '
    "everything that the platform says, so each call would run as often as there are "
    'workers; leave workers="one", or set dispatch=True and claims="file:DIRECTORY" or '
    '"redis://…", or a journal that the workers share'
)
ONLY_DISPATCHERS = "{}: only a dispatcher has it; set dispatch=True, or leave it out"
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
        others = (*SETTINGS, *DISPATCHERS)
        rest = {k: v for k, v in self.options.items() if k not in others}
        return resolve(**known, options=rest)

    def problems(self, *, key: bool = True) -> list[str]:
        """What is wrong, in words that name the cure.

        Args:
            key: whether it is wrong that there is no key yet.
        """
        return list(self._problems(key))

    def open_claims(self) -> Claims:
        """Open what decides which worker runs the agents; this may touch the disk.

        Where all of them do, it only keeps which conversations there are.

        Raises:
            ConfigurationError: another user made the folder for temporary files.
            ClaimsError: it cannot be used.
        """
        if self.workers == "all" and self.dispatches:
            return Alone()
        settings = self.settings()
        # One platform's agents are not in the way of another's.
        whose = f"{settings.customer_id} {settings.public_url} {self.name}"
        return open_claims(self._place(), whose)

    def dispatcher(self) -> ConversimpleDispatcher:
        """Make the dispatcher, which knows of all conversations that anybody has begun.

        Raises:
            ConfigurationError: a setting is missing, unknown or wrong.
        """
        from ..dispatcher import host

        made = self._dispatcher(self._place())
        host(made, self.host)
        return made

    def _dispatcher(self, claims: str | None) -> ConversimpleDispatcher:
        from ..dispatcher import ConversimpleDispatcher

        return ConversimpleDispatcher(agents=self.agents, claims=claims, **self.options)

    def _place(self) -> str:
        if self.claims is not None:
            return self.claims
        # Dispatchers of other agents have nothing to do with these conversations.
        own = f"{self.settings().public_url} {self.name}"
        digest = hashlib.sha256(own.encode()).hexdigest()[:16]
        return f"{FILE}{os.path.join(_own_folder(), digest)}"

    def _problems(self, key: bool) -> Iterator[str]:
        of_agents = list(self._problems_of_agents())
        yield from of_agents
        if self.workers not in WORKERS:
            yield f"workers must be 'one' or 'all', not {self.workers!r}"
        if not isinstance(self.dispatch, bool):
            yield f"dispatch must be True or False, not {self.dispatch!r}"
        if not self.dispatches:
            for name in filter(self.options.__contains__, DISPATCHERS):
                yield ONLY_DISPATCHERS.format(name)
        try:
            # The key that is made up stands for one that is to come.
            absent = {} if key else {"api_key": "any"}
            told = replace(self, options={**absent, **self.options})
            if of_agents or not self.dispatches:
                told.settings()
            else:
                told.try_dispatcher()
        except ConfigurationError as error:
            yield str(error)
        try:
            if self.claims is not None:
                check_claims(self.claims)
        except ConfigurationError as error:
            yield str(error)
        if self.workers == "all" and not self._may_be_everywhere():
            yield EVERYBODY_HEARS

    def try_dispatcher(self) -> None:
        """Raise a `ConfigurationError` if these agents cannot be dispatched."""
        from ..dispatching.catalogue import catalogue_of

        self._dispatcher(None)
        catalogue_of(self.agents)

    def _problems_of_agents(self) -> Iterator[str]:
        if not self.agents:
            yield NO_AGENTS
        for cls in self.agents:
            yield from self._problems_of(cls)

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
