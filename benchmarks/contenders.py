"""Who is measured, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(__file__).resolve().parent / "programs"

#: Stands for the checkout among the requirements.
CHECKOUT = "."


class Wire(Enum):
    """How a contender is spoken to."""

    PHOENIX = "a Phoenix channel"
    ENVELOPES = "Slack's envelopes"
    NONE = "no network: it measures itself"


@dataclass(frozen=True)
class Contender:
    """One way of answering calls.

    Attributes:
        about: what it is, in a few words.
        program: its file among the programs.
        requirements: what its virtual environment holds.
        has_async_tools: whether a tool of it may be a coroutine function.
        registers: whether it tells the platform of its tools.
    """

    name: str
    about: str
    program: str
    requirements: tuple[str, ...]
    wire: Wire = Wire.PHOENIX
    has_async_tools: bool = False
    registers: bool = False

    @property
    def path(self) -> Path:
        """Where its program is."""
        return PROGRAMS / self.program


FLOOR = Contender(
    name="floor",
    about="the least that can answer, on websocket-client",
    program="floor.py",
    requirements=("websocket-client",),
)
CONVERSIMPLE = Contender(
    name="conversimple",
    about="this SDK",
    program="agent.py",
    requirements=(CHECKOUT,),
    has_async_tools=True,
    registers=True,
)
VENDOR = Contender(
    name="vendor",
    about="the vendor's published SDK, on asyncio",
    program="vendor.py",
    requirements=("conversimple-sdk==0.2.4",),
    has_async_tools=True,
    registers=True,
)
SLACK = Contender(
    name="slack",
    about="slack_sdk's socket-mode client, on websocket-client",
    program="slack.py",
    requirements=("slack_sdk", "websocket-client"),
    wire=Wire.ENVELOPES,
)
ELEVENLABS = Contender(
    name="elevenlabs",
    about="ElevenLabs' client tools, without the network",
    program="elevenlabs.py",
    requirements=("elevenlabs",),
    wire=Wire.NONE,
    has_async_tools=True,
)
WEBSOCKETS = Contender(
    name="websockets",
    about="the least that can answer, on websockets' threads",
    program="websockets.py",
    requirements=("websockets",),
)

CONTENDERS = {
    contender.name: contender
    for contender in (FLOOR, CONVERSIMPLE, VENDOR, SLACK, ELEVENLABS, WEBSOCKETS)
}
