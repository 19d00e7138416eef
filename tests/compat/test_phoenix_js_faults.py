"""The official JavaScript client of Phoenix survives what the platform does to it."""

from __future__ import annotations

from typing import Literal

import pytest

from conversimple.local import LocalPlatform
from tests.compat.phoenixclient import PhoenixClient, joined
from tests.conftest import WAIT

# Slow as a whole: each test starts a process, and another Python changes nothing.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("phoenix_js")]

#: What a client calls the end of a connection that nobody has closed.
ABNORMAL = 1006


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_a_cut_connection(platform: LocalPlatform, how: Literal["rst", "fin"]) -> None:
    """It has no close code, and the client is back at once."""
    with joined(platform) as client:
        assert platform.faults.cut(how) == 1
        client.expect("closed", code=ABNORMAL)
        client.joined()


def test_a_cut_inside_of_a_frame(platform: LocalPlatform) -> None:
    """The client never sees the frame."""
    with joined(platform) as client:
        platform.faults.cut_inside_frame()
        platform.send("hook_event", {"event_type": "any"})
        client.expect("closed", code=ABNORMAL)
        client.joined()
        assert client.frames("hook_event") == []


def test_a_cut_before_the_answer(platform: LocalPlatform) -> None:
    """The request was read; its answer goes over the next connection."""
    with joined(platform) as client:
        client.register("conv_1")
        platform.faults.cut_during_next_call()
        call = platform.conversation("conv_1").request("get_weather", {})
        request = client.expect("received", event="tool_call_request")["payload"]
        client.expect("closed", code=ABNORMAL)
        client.joined()
        client.register("conv_1")
        del request["arguments"]
        client.push("tool_call_response", {**request, "result": 22})
        assert call.result(WAIT) == 22


def test_a_duplicated_request(platform: LocalPlatform) -> None:
    """It comes twice under one id."""
    with joined(platform) as client:
        client.register("conv_1")
        platform.faults.duplicate_next_call()
        platform.conversation("conv_1").request("get_weather", {})
        first, second = (
            client.expect("received", event="tool_call_request") for _ in range(2)
        )
        assert first == second


def test_bytes_may_trickle(platform: LocalPlatform) -> None:
    """Frames arrive as a whole, however slowly."""
    platform.faults.trickle(7, period=0.0)
    with joined(platform) as client:
        client.register("conv_1")


def test_a_stalled_connection(platform: LocalPlatform) -> None:
    """Without the reply to its heartbeat the client gives it up, and dials anew."""
    with PhoenixClient(platform, heartbeat=0.3) as client:
        client.join()
        client.joined()
        platform.faults.stall()
        reason = {"source": "transport", "reason": "heartbeat_timeout"}
        client.expect("channel_failed", reason=reason)
        platform.faults.resume()
        client.joined()


def test_a_restart(platform: LocalPlatform) -> None:
    """It is told with its code, and the client knocks until somebody opens."""
    with joined(platform) as client:
        platform.faults.restart(seconds=0.1)
        client.expect("closed", code=1012)
        client.joined()
