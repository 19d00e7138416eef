"""A booking agent: a table in a restaurant, booked in several steps.

Start the platform in one terminal, and the agent in another::

    conversimple platform
    python examples/booking_agent.py

A booking is made like a transaction. `create_booking` holds a table for the
conversation, so that nobody else gets it while the caller still thinks;
`confirm_booking` makes it last; and when the conversation ends half-way, the table
is given back.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from itertools import chain
from typing import Annotated, Any, Optional

from conversimple import ConversimpleAgent, ToolError, current_call, tool

logger = logging.getLogger("booking")

TABLES = (2, 2, 4, 8)
DAYS_AHEAD = 60
MONDAY = 0

Day = Annotated[date, "the day of the visit"]
Guests = Annotated[int, "how many people come"]


class Sitting(Enum):
    """When guests can come; a table is theirs until the next sitting."""

    EARLY = "17:00"
    MIDDLE = "19:00"
    LATE = "21:00"


class Status(Enum):
    """How far a booking is."""

    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Booking:
    """A table for some guests."""

    booking_id: str
    day: date
    sitting: Sitting
    guests: int
    table: int
    status: Status = Status.HELD


class Restaurant:
    """Who has which table, in memory: your database goes here.

    A conversation holds one table at most. Whoever knows the id of a confirmed
    booking may cancel it. May be used from any thread.

    Args:
        tables: how many people each table seats.
        today: tells what day it is.
    """

    def __init__(
        self, tables: Sequence[int] = TABLES, today: Callable[[], date] = date.today
    ) -> None:
        self._tables = tables
        self._today = today
        # Guards what is below, from looking for a table until it is taken.
        self._lock = threading.Lock()
        self._held: dict[str, Booking] = {}  # by conversation
        self._confirmed: dict[str, Booking] = {}  # by booking

    def free_sittings(self, day: date, guests: int) -> list[Sitting]:
        """Find the sittings that have a table for so many guests."""
        self._check(day, guests)
        with self._lock:
            return [each for each in Sitting if self._tables_for(day, each, guests)]

    def hold(
        self, conversation_id: str, day: date, sitting: Sitting, guests: int
    ) -> Booking:
        """Keep the smallest table that fits for a conversation."""
        self._check(day, guests)
        with self._lock:
            if conversation_id in self._held:
                held = self._held[conversation_id]
                raise ToolError(f"Confirm or cancel booking {held.booking_id} first.")
            tables = self._tables_for(day, sitting, guests)
            if not tables:
                raise ToolError(
                    f"No table for {guests} is free on {day} at {sitting.value}; "
                    "look for another sitting or another day."
                )
            table = min(tables, key=lambda number: self._tables[number])
            booking = Booking(_new_id(), day, sitting, guests, table)
            self._held[conversation_id] = booking
        return booking

    def confirm(self, conversation_id: str) -> Booking:
        """Make last what a conversation holds."""
        with self._lock:
            held = self._held.pop(conversation_id, None)
            if held is None:
                raise ToolError("There is nothing to confirm; create a booking first.")
            booking = replace(held, status=Status.CONFIRMED)
            self._confirmed[booking.booking_id] = booking
        return booking

    def cancel(self, conversation_id: str, booking_id: str) -> Booking:
        """Give back the table that the conversation holds, or a confirmed one."""
        with self._lock:
            booking = self._held.get(conversation_id)
            if booking is not None and booking.booking_id == booking_id:
                del self._held[conversation_id]
            else:
                booking = self._confirmed.get(booking_id)
                if booking is None:
                    raise ToolError(f"There is no booking {booking_id}.")
                if booking.day <= self._today():
                    raise ToolError("Bookings can be cancelled up to the day before.")
                del self._confirmed[booking_id]
        return replace(booking, status=Status.CANCELLED)

    def release(self, conversation_id: str) -> Optional[Booking]:
        """Give back the table that a conversation holds, if it holds one."""
        with self._lock:
            return self._held.pop(conversation_id, None)

    def _check(self, day: date, guests: int) -> None:
        today = self._today()
        first, last = today + timedelta(days=1), today + timedelta(days=DAYS_AHEAD)
        if not first <= day <= last:
            raise ToolError(f"Tables can be booked from {first} until {last}.")
        if day.weekday() == MONDAY:
            raise ToolError(f"{day} is a Monday, and on Mondays we are closed.")
        if not 1 <= guests <= max(self._tables):
            raise ToolError(f"We have tables for 1 to {max(self._tables)} guests.")

    def _tables_for(self, day: date, sitting: Sitting, guests: int) -> list[int]:
        taken = {
            booking.table
            for booking in chain(self._held.values(), self._confirmed.values())
            if (booking.day, booking.sitting) == (day, sitting)
        }
        return [
            number
            for number, seats in enumerate(self._tables)
            if seats >= guests and number not in taken
        ]


class BookingAgent(ConversimpleAgent):
    """Books tables with callers, step by step.

    What a conversation has reached is kept under its id, so that one agent can
    serve many callers at once, and a lost connection loses no booking.

    Args:
        restaurant: the tables, to be shared by several agents; by default a small
            restaurant.
        options: what every agent takes, such as ``api_key``.
    """

    def __init__(
        self, *args: Any, restaurant: Optional[Restaurant] = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.restaurant = restaurant or Restaurant()

    @tool("Find the sittings of a day that have a free table")
    def find_sittings(self, day: Day, guests: Guests) -> list[Sitting]:
        """Look, and take nothing."""
        return self.restaurant.free_sittings(day, guests)

    @tool("Create a booking: hold a table until the caller confirms or hangs up")
    def create_booking(self, day: Day, sitting: Sitting, guests: Guests) -> Booking:
        """Begin.

        Args:
            sitting: the time at which the guests come
        """
        conversation_id = current_call().conversation_id
        return self.restaurant.hold(conversation_id, day, sitting, guests)

    @tool("Confirm the booking that was created in this conversation")
    def confirm_booking(self) -> Booking:
        """Commit: after the caller has heard the details and said yes."""
        return self.restaurant.confirm(current_call().conversation_id)

    @tool("Cancel a booking, of this conversation or an earlier one")
    def cancel_booking(self, booking_id: str) -> Booking:
        """Give the table back.

        Args:
            booking_id: what creating the booking gave, such as B-0a1b2c3d
        """
        return self.restaurant.cancel(current_call().conversation_id, booking_id)

    def on_conversation_ended(self, conversation_id: str) -> None:
        """Roll back: nobody is left to confirm. The last tool has returned by now."""
        booking = self.restaurant.release(conversation_id)
        if booking is not None:
            logger.info("%s was not confirmed: rolled back", booking.booking_id)

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """A tool, a callback or the connection failed; the agent goes on."""
        logger.warning("%s: %s", error_type, message)


def _new_id() -> str:
    # Whoever knows the id may cancel, so it must not be guessed.
    return f"B-{secrets.token_hex(4)}"


def main() -> None:
    """Serve callers until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    key = os.environ.get("CONVERSIMPLE_API_KEY") or "local"
    BookingAgent(api_key=key).run_forever()


if __name__ == "__main__":
    main()
