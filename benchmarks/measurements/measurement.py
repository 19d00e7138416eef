"""What all measurements have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..contenders import CONTENDERS, Contender
from ..contestants import Fleet
from ..environments import Installed
from ..figures import Figures
from ..platform import Platform
from ..scale import Scale


@dataclass(frozen=True)
class Bench:
    """What a measurement works with.

    Attributes:
        installed: the contenders that take part, by name.
        progress: is told between two rounds, and never within one, that one is over.
    """

    platform: Platform
    fleet: Fleet
    installed: Mapping[str, Installed]
    scale: Scale
    progress: Callable[[], None]

    def among(self, names: tuple[str, ...]) -> list[Contender]:
        """Those of these contenders that take part."""
        return [CONTENDERS[name] for name in names if name in self.installed]


class Measurement(ABC):
    """One of the things that are measured.

    Attributes:
        name: on the command line.
        title: in the report.
        contenders: who can take part.
        reference: what all others are compared with.
    """

    name: str
    title: str
    contenders: tuple[str, ...]
    reference: str

    @abstractmethod
    def rounds(self, scale: Scale) -> int:
        """How often `progress` will be told."""

    @abstractmethod
    async def measure(self, bench: Bench) -> Figures:
        """Measure it."""
