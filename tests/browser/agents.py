"""Agents whose tools have every kind of field."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Optional, Union

from conversimple import ConversimpleAgent, ToolError, tool

SCRIPT = "<script>window.struck = true</script>"
IMAGE = '<img src="x" onerror="window.struck = true">'


class Cabin(Enum):
    """Where one sits."""

    ECONOMY = "economy"
    BUSINESS = "business"


@dataclass(frozen=True)
class Passenger:
    """Who flies.

    Args:
        name: as in the passport
        born: the day of birth
    """

    name: str
    born: Optional[date] = None


@dataclass(frozen=True)
class Contact:
    """How to reach somebody."""

    email: str
    phones: list[str] = field(default_factory=list)


class FieldsAgent(ConversimpleAgent):
    """Echoes what it is given, so that a test sees what the form has sent."""

    @tool("Book a flight")
    def book_flight(
        self,
        destination: Annotated[str, "a town, or the code of an airport"],
        day: Annotated[date, "the day of departure"],
        passengers: Annotated[list[Passenger], "everybody who flies"],
        cabin: Cabin = Cabin.ECONOMY,
        contact: Annotated[Optional[Contact], "whom to tell of changes"] = None,
        bags: int = 1,
        flexible: bool = False,
    ) -> dict[str, Any]:
        """Pretend to."""
        return {
            "destination": destination,
            "day": day,
            "passengers": passengers,
            "cabin": cabin,
            "contact": contact,
            "bags": bags,
            "flexible": flexible,
        }

    @tool("Echo simple values")
    def echo_simple(
        self,
        text: Annotated[str, "any text"],
        whole: int,
        ratio: float,
        yes: bool,
        day: date,
        clock: time,
        moment: datetime,
        price: Decimal,
        choice: Literal["red", "green", 3],
        hint: str = "as it is",
        maybe: Optional[int] = None,
        extra: Optional[str] = None,
    ) -> dict[str, Any]:
        """Give back what came."""
        values = dict(locals())
        del values["self"]
        return values

    @tool("Echo composed values")
    def echo_composed(
        self,
        names: list[str],
        scores: dict[str, float],
        pair: tuple[int, str],
        contact: Contact,
        either: Union[int, Contact],
        anything: Any = None,
    ) -> dict[str, Any]:
        """Give back what came."""
        values = dict(locals())
        del values["self"]
        return values

    @tool("Fail, as tools do")
    def fail(self, message: str = "The airport is closed.") -> None:
        """Raise."""
        raise ToolError(message)


class WaitingAgent(ConversimpleAgent):
    """Has a tool that takes as long as the test wants."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[str] = []

    @tool("Say it after me")
    def echo(self, text: str) -> str:
        """Wait until the gate is open."""
        self.runs.append(text)
        self.gate.wait(20.0)
        return text


class HostileAgent(ConversimpleAgent):
    """Brings markup wherever there is room for text."""

    @tool(f"Describe {SCRIPT}{IMAGE}")
    def strike(
        self, argument: Annotated[str, f"hint {SCRIPT}{IMAGE}"] = SCRIPT + IMAGE
    ) -> dict[str, Any]:
        """Give markup back."""
        return {f"key {SCRIPT}": argument, "image": IMAGE}

    @tool("Fail with markup")
    def fail(self) -> None:
        """Raise markup."""
        raise ToolError(SCRIPT + IMAGE)
