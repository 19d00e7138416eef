"""The booking agent in conversations: in this process, and as a script."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from conversimple import ToolCallFailed
from conversimple.local import Conversation, LocalPlatform
from tests.examples.stage import LIMIT, example, invalid, refusal, running, serving
from tests.support.threads import eventually

booking_agent: Any = example("booking_agent")

ALL = ["17:00", "19:00", "21:00"]
FRIDAY: dict[str, Any] = {"day": "2026-03-06", "sitting": "19:00", "guests": 8}


class Calendar:
    """What day it is, as the restaurant sees it."""

    today = date(2026, 3, 4)

    def __call__(self) -> date:
        return self.today


@pytest.fixture
def calendar() -> Calendar:
    """A Wednesday, to begin with."""
    return Calendar()


@pytest.fixture
def platform(calendar: Calendar) -> Iterator[LocalPlatform]:
    """A platform with a new agent of a restaurant that has one table for eight."""
    restaurant = booking_agent.Restaurant(today=calendar)
    with serving(booking_agent.BookingAgent, restaurant=restaurant) as platform:
        yield platform


@pytest.fixture
def caller(platform: LocalPlatform) -> Conversation:
    """Somebody on the line."""
    return platform.start_conversation()


@pytest.fixture
def other(platform: LocalPlatform) -> Conversation:
    """Somebody else on another line."""
    return platform.start_conversation()


def free(conversation: Conversation) -> Any:
    """The sittings on the Friday that have a table for eight."""
    return conversation.call("find_sittings", day=FRIDAY["day"], guests=8)


def test_a_table_is_booked_step_by_step(caller: Conversation) -> None:
    """A caller looks, creates, confirms and, later on, cancels."""
    assert free(caller) == ALL
    created = caller.call("create_booking", **FRIDAY)
    assert created == FRIDAY | {
        "booking_id": created["booking_id"],
        "table": 3,
        "status": "held",
    }
    assert free(caller) == ["17:00", "21:00"]
    confirmed = caller.call("confirm_booking")
    assert confirmed == created | {"status": "confirmed"}
    assert free(caller) == ["17:00", "21:00"]
    cancelled = caller.call("cancel_booking", booking_id=created["booking_id"])
    assert cancelled == created | {"status": "cancelled"}
    assert free(caller) == ALL


def test_a_caller_thinks_again(caller: Conversation) -> None:
    """A table that is held must be let go before another is taken."""
    first = caller.call("create_booking", **FRIDAY)["booking_id"]
    late = {**FRIDAY, "sitting": "21:00"}
    assert f"cancel booking {first} first" in refusal(caller, "create_booking", **late)
    caller.call("cancel_booking", booking_id=first)
    assert "nothing to confirm" in refusal(caller, "confirm_booking")
    assert f"no booking {first}" in refusal(caller, "cancel_booking", booking_id=first)
    caller.call("create_booking", **late)
    assert caller.call("confirm_booking")["sitting"] == "21:00"
    assert "nothing to confirm" in refusal(caller, "confirm_booking")
    assert caller.call("create_booking", **FRIDAY)["status"] == "held"


def test_the_rules_of_the_house(caller: Conversation) -> None:
    """Each rule refuses in words that the model can pass on."""

    def refused(**changes: Any) -> str:
        wanted = {**FRIDAY, **changes}
        said = refusal(caller, "create_booking", **wanted)
        del wanted["sitting"]
        assert refusal(caller, "find_sittings", **wanted) == said
        return said

    assert "from 2026-03-05 until 2026-05-03" in refused(day="2026-03-04")
    assert "from 2026-03-05 until 2026-05-03" in refused(day="2026-05-04")
    assert "2026-03-09 is a Monday" in refused(day="2026-03-09")
    assert "1 to 8 guests" in refused(guests=9)
    assert "1 to 8 guests" in refused(guests=0)
    assert free(caller) == ALL


def test_invalid_arguments(caller: Conversation) -> None:
    """All that is wrong with a call is said at once, and no table is taken."""
    said = invalid(
        caller, "create_booking", day="Friday", sitting="18:00", guests="eight"
    )
    assert 'day: got "Friday" (string)' in said
    assert '"17:00", "19:00", "21:00"' in said
    assert 'guests: got "eight" (string)' in said
    assert "booking_id: missing" in invalid(caller, "cancel_booking")
    assert "sure: unknown" in invalid(caller, "confirm_booking", sure=True)
    assert free(caller) == ALL


def test_two_callers_want_the_same_table(
    caller: Conversation, other: Conversation
) -> None:
    """What one conversation holds, another can neither take, confirm nor cancel."""
    held = caller.call("create_booking", **FRIDAY)["booking_id"]
    assert "No table for 8 is free" in refusal(other, "create_booking", **FRIDAY)
    assert "nothing to confirm" in refusal(other, "confirm_booking")
    assert f"no booking {held}" in refusal(other, "cancel_booking", booking_id=held)

    early = other.call("create_booking", **{**FRIDAY, "sitting": "17:00"})
    assert caller.call("confirm_booking")["booking_id"] == held
    assert other.call("confirm_booking")["booking_id"] == early["booking_id"]


def test_nobody_is_double_booked(caller: Conversation, other: Conversation) -> None:
    """Of many bookings asked for at once, each table is given to one."""
    calls = [each.request("create_booking", FRIDAY) for each in [caller, other] * 8]
    refusals = []
    for call in calls:
        try:
            assert call.result(LIMIT)["table"] == 3
        except ToolCallFailed as error:
            refusals.append(error.message)
    assert len(refusals) == len(calls) - 1


def test_small_parties_get_small_tables(platform: LocalPlatform) -> None:
    """Each gets the smallest table that is free, until the house is full."""
    couple = {**FRIDAY, "guests": 2}
    callers = [platform.start_conversation() for _ in range(5)]
    tables = [each.call("create_booking", **couple)["table"] for each in callers[:4]]
    assert tables == [0, 1, 2, 3]
    assert "No table for 2" in refusal(callers[4], "create_booking", **couple)


def test_a_caller_hangs_up_half_way(
    caller: Conversation, other: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    """What was held is given back, and what was confirmed stays."""
    caplog.set_level(logging.INFO, "booking")
    caller.call("create_booking", **{**FRIDAY, "sitting": "17:00"})
    caller.call("confirm_booking")
    held = caller.call("create_booking", **FRIDAY)["booking_id"]
    assert free(other) == ["21:00"]
    caller.end()
    eventually(lambda: free(other) == ["19:00", "21:00"])
    eventually(lambda: f"{held} was not confirmed: rolled back" in caplog.text)
    assert other.call("create_booking", **FRIDAY)["status"] == "held"


def test_a_booking_is_cancelled_in_a_later_call(
    platform: LocalPlatform, caller: Conversation, calendar: Calendar
) -> None:
    """The id is enough, in any conversation, up to the day before."""
    caller.call("create_booking", **FRIDAY)
    booking_id = caller.call("confirm_booking")["booking_id"]
    caller.end()
    later = platform.start_conversation()
    calendar.today = date(2026, 3, 6)
    said = refusal(later, "cancel_booking", booking_id=booking_id)
    assert "up to the day before" in said
    calendar.today = date(2026, 3, 5)
    cancelled = later.call("cancel_booking", booking_id=booking_id)
    assert cancelled["status"] == "cancelled"


def test_a_lost_connection_loses_no_booking(
    platform: LocalPlatform, caller: Conversation
) -> None:
    """The conversation goes on where it was, on the next connection."""
    held = caller.call("create_booking", **FRIDAY)["booking_id"]
    platform.drop_connections()
    assert caller.call("confirm_booking")["booking_id"] == held


def test_the_script_serves_until_sigterm() -> None:
    """The script needs no key, rolls back, and ends in good order."""
    day = date.today() + timedelta(days=7)
    if day.weekday() == booking_agent.MONDAY:
        day += timedelta(days=1)
    wanted = {**FRIDAY, "day": day.isoformat()}
    with LocalPlatform(api_keys=["local"]) as platform:
        with running("booking_agent", platform) as process:
            caller = platform.start_conversation()
            caller.call("create_booking", **wanted)
            caller.end()
            other = platform.start_conversation()
            eventually(lambda: _is_booked(other, wanted))
            assert other.call("confirm_booking")["status"] == "confirmed"
            process.stop()
    assert "was not confirmed: rolled back" in process.log


def _is_booked(conversation: Conversation, wanted: dict[str, Any]) -> bool:
    try:
        return bool(conversation.call("create_booking", **wanted))
    except ToolCallFailed:
        return False
