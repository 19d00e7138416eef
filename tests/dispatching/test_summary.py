"""The health of many agents as that of one."""

from __future__ import annotations

from conversimple import ConnectionState, Health, StopReport
from conversimple.dispatching.summary import added, summed

UP = ConnectionState.CONNECTED
CONTROL = Health(UP, joined=True, ready=True, heartbeat_age=3.0)


def agent(name: str, number: int, registered: bool = True) -> Health:
    return Health(
        UP,
        True,
        registered,
        {name: registered},
        1.0,
        calls_running=number,
        calls_queued=2 * number,
        abandoned_threads=3 * number,
        answers_unconfirmed=4 * number,
        silent_for=5.0 * number,
    )


def test_what_agents_have_is_added_up() -> None:
    """The connection is the control connection."""
    health = summed(UP, CONTROL, {"c1": agent("c1", 1), "c2": agent("c2", 2)})
    conversations = {"c1": True, "c2": True}
    assert health == Health(UP, True, True, conversations, 3.0, 3, 6, 9, 12, 5.0)


def test_who_serves_nothing_is_ready() -> None:
    """Once it was accepted."""
    assert summed(UP, CONTROL, {}) == CONTROL
    assert not summed(UP, Health(UP), {}).ready


def test_an_agent_that_is_not_ready() -> None:
    """Then its dispatcher is not ready either; also if it is not made yet."""
    assert not summed(UP, CONTROL, {"c1": agent("c1", 1, registered=False)}).ready
    health = summed(UP, CONTROL, {"c1": None})
    assert (health.ready, health.conversations) == (False, {"c1": False})


def test_a_conversation_that_its_agent_knows_to_be_over() -> None:
    """It does not count any more."""
    assert summed(UP, CONTROL, {"c1": Health(UP, True, True)}).conversations == {}


def test_reports_are_added_up() -> None:
    """Each number by itself."""
    assert added(StopReport(1, 2, 3), StopReport(10, 20, 30)) == StopReport(11, 22, 33)
