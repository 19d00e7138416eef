"""What a console can ask for, against a real agent."""

from __future__ import annotations

from typing import Any

import pytest

from conversimple import ConversimpleAgent, ToolError, tool
from conversimple.local import LocalPlatform
from tests.conftest import WAIT
from tests.local.console.peer import console


class Kitchen(ConversimpleAgent):
    """Has one tool that works, and one that does not."""

    @tool("Say the same")
    def echo(self, text: str) -> str:
        return text

    @tool("Fail")
    def fail(self) -> None:
        raise ToolError("out of eggs")


def agent_of(desk: LocalPlatform) -> Kitchen:
    return Kitchen("key", "c1", desk.url)


def test_a_conversation_from_its_start_to_its_end(desk: LocalPlatform) -> None:
    """Started, used, and ended from the console."""
    with agent_of(desk), console(desk) as peer:
        (started,) = peer.done("start_conversation", customer_id="c1").values()
        conversation = desk.conversation(started)
        conversation.wait_until_registered(WAIT)
        names = {"conversation_id": started, "tool_name": "echo"}
        answer = peer.done("call", arguments={"text": "<b>"}, **names)
        assert answer.pop("seconds") < WAIT
        assert answer == {"call_id": "call_1", "result": "<b>"}
        assert peer.done("end_conversation", conversation_id=started) is None
        assert "has ended" in peer.refused("call", arguments={}, **names)


def test_an_error_is_an_answer(desk: LocalPlatform) -> None:
    """With its type and its text."""
    with agent_of(desk), console(desk) as peer:
        conversation = desk.start_conversation()
        names = {"conversation_id": conversation.conversation_id, "tool_name": "fail"}
        answer = peer.done("call", arguments={}, **names)
        assert answer["error"] == {
            "type": "tool_execution_error",
            "message": "out of eggs",
        }


def test_faults_are_pressed_by_their_names(desk: LocalPlatform) -> None:
    """And the state says what lasts."""
    with agent_of(desk), console(desk) as peer:
        desk.wait_for_agent(WAIT)
        assert peer.done("fault", name="never_confirm") == {"affected": None}
        peer.read_until(lambda message: message.get("faults") == ["never_confirm"])
        assert peer.done("fault", name="heal") == {"affected": None}
        peer.read_until(lambda message: message.get("faults") == [])
        assert peer.done("fault", name="crash_channel") == {"affected": 1}


def test_a_restart_takes_the_console_with_it(desk: LocalPlatform) -> None:
    """Both come back, the agent by itself."""
    with agent_of(desk) as agent:
        with console(desk) as peer:
            peer.done("fault", name="restart", options={"seconds": 0.01})
            handshakes = desk.handshakes
            desk_is_back(desk, handshakes)
        with console(desk) as peer:
            assert peer.read("hello")
        assert agent.wait_until_ready(WAIT) or agent.health().joined


def desk_is_back(desk: LocalPlatform, handshakes: int) -> None:
    from tests.support.threads import eventually

    eventually(lambda: desk.handshakes > handshakes and desk.agents)


def test_an_entry_is_shown_whole(desk: LocalPlatform) -> None:
    """However long it is."""
    with agent_of(desk), console(desk) as peer:
        desk.start_conversation().call("echo", text="x" * 20_000)
        long = peer.read_until(
            lambda message: any("excerpt" in each for each in entries_in(message))
        )
        number = next(each["n"] for each in long["entries"] if "excerpt" in each)
        whole = peer.done("entry", n=number)
        assert "x" * 20_000 in str(whole["payload"])


def entries_in(message: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = message.get("entries", [])
    return found


def test_what_cannot_be_done_is_refused_with_the_reason(desk: LocalPlatform) -> None:
    """And the console goes on."""
    with agent_of(desk), console(desk) as peer:
        desk.wait_for_agent(WAIT)
        assert "no such command" in peer.refused("shutdown")
        assert "no such fault" in peer.refused("fault", name="start")
        assert "name must be a text" in peer.refused("fault")
        assert "unexpected" in peer.refused("fault", name="cut", options={"x": 1})
        assert "must be an object" in peer.refused("fault", name="cut", options="x")
        assert "must be an object" in peer.refused("call", conversation_id="c")
        assert "tool_name" in peer.refused("call", conversation_id="c", arguments={})
        assert "not kept" in peer.refused("entry", n=10**9)
        assert "number of an entry" in peer.refused("entry", n="1")
        assert "customer_id" in peer.refused("start_conversation", customer_id=5)


@pytest.mark.parametrize(
    "options",
    [{"seconds": "x"}, {"seconds": -1}, {"seconds": 1e300}, {"times": 1}, [1]],
    ids=str,
)
def test_a_restart_that_cannot_be_is_refused(
    desk: LocalPlatform, options: object
) -> None:
    """Before the platform goes away for it."""
    with console(desk) as peer:
        assert peer.refused("fault", name="restart", options=options)
        assert peer.done("fault", name="heal") == {"affected": None}
