"""From one connection to the next: what is tried again, how often, and how soon."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest

from conversimple.core.events import Note
from conversimple.errors import (
    CertificateRejected,
    HandshakeRefused,
    JoinRefused,
    PlatformUnreachable,
    RetriesExhausted,
)
from tests.runtime.harness import WAIT, Agent, FastSleep, drained, joined
from tests.support import tls
from tests.support.rawserver import (
    RawServer,
    closing,
    dripping_handshake,
    resetting,
)
from tests.support.scripted import CHANNEL, ScriptedServer
from tests.support.threads import eventually


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_are_counted(fast: FastSleep, retries: int) -> None:
    """One attempt and so many more; the last failure is the cause."""
    with ScriptedServer() as server:
        server.refuse(503, times=10)
        with Agent(
            server.url,
            clock=fast.warp,
            draw=lambda: 1.0,
            max_reconnect_attempts=retries,
        ) as agent:
            failure = agent.wait_over()
        assert len(server.requests) == retries + 1
    assert isinstance(failure, RetriesExhausted)
    assert isinstance(failure.__cause__, HandshakeRefused)
    assert agent.states == ["connecting", "failed"]
    permanent = [details["permanent"] for _, _, details in agent.errors]
    assert permanent == [False] * retries + [True]
    assert [round(s) for s in fast.slept] == [1, 2, 4][:retries]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_attempts_are_counted_after_a_good_connection(
    server: ScriptedServer, fast: FastSleep, retries: int
) -> None:
    """Every outage has its attempts, and dialling again after a loss is one of them."""
    with Agent(
        server.url, clock=fast.warp, draw=lambda: 1.0, max_reconnect_attempts=retries
    ) as agent:
        for _ in range(2 if retries else 1):
            peer = joined(agent, server)
            fast.warp.forward(11)
            if retries:
                server.refuse(503, times=retries - 1)
                peer.close(1012)
        if retries:
            peer = joined(agent, server)
            fast.warp.forward(11)
        server.refuse(503, times=10)
        before = len(server.requests)
        peer.close(1012)
        failure = agent.wait_over()
        assert len(server.requests) - before == retries
    assert isinstance(failure, RetriesExhausted)
    assert agent.states[-1] == "failed"


def test_the_total_duration_ends_an_outage(fast: FastSleep) -> None:
    """A wait that would end too late is not begun."""
    with ScriptedServer() as server:
        server.refuse(503, times=10)
        with Agent(
            server.url, clock=fast.warp, draw=lambda: 1.0, total_retry_duration=3.5
        ) as agent:
            failure = agent.wait_over()
        assert len(server.requests) == 3
    assert isinstance(failure, RetriesExhausted)


@pytest.mark.parametrize("status", [401, 402, 403, 400, 404, 410, 414, 426, 302])
def test_a_permanent_refusal_before_the_first_join_ends_it(status: int) -> None:
    """One attempt, and the typed failure itself."""
    with ScriptedServer() as server:
        server.refuse(status, times=10)
        with Agent(server.url) as agent:
            failure = agent.wait_over()
        assert len(server.requests) == 1
    assert isinstance(failure, HandshakeRefused)
    assert failure.status == status
    assert agent.states == ["connecting", "failed"]
    assert [(kind, d) for kind, _, d in agent.errors] == [
        ("connection_failed", {"permanent": True})
    ]
    assert not agent.connection.wait_until_ready(WAIT)
    agent.connection.drain(1)


def test_a_wrong_certificate_ends_it() -> None:
    """Certificates do not heal by waiting."""
    with ScriptedServer(tls=tls.misnamed_server_context()) as server:
        with Agent(server.url) as agent:
            assert isinstance(agent.wait_over(), CertificateRejected)


def test_a_refused_join_ends_it() -> None:
    """The listed reasons are permanent before the first join."""
    with ScriptedServer() as server, Agent(server.url) as agent:
        peer = server.accept()
        peer.reply(peer.expect("phx_join"), "error", {"reason": "unauthorized"})
        failure = agent.wait_over()
        assert len(server.requests) == 1
    assert isinstance(failure, JoinRefused)
    assert failure.reason == "unauthorized"


def test_a_join_refused_for_now_is_tried_again() -> None:
    """Any other reason is transient."""
    with ScriptedServer() as server, Agent(server.url) as agent:
        peer = server.accept()
        peer.reply(peer.expect("phx_join"), "error", {"reason": "deploying"})
        server.accept().join()
        eventually(lambda: agent.session.joined)


def test_without_the_circuit_breaker_everything_is_tried_again(
    fast: FastSleep,
) -> None:
    """A wrong key backs off as any other failure does, until it is right."""
    with ScriptedServer(auto=CHANNEL) as server:
        server.refuse(401, times=6)
        with Agent(
            server.url,
            clock=fast.warp,
            draw=lambda: 1.0,
            enable_circuit_breaker=False,
        ) as agent:
            joined(agent, server)
            assert len(server.requests) == 7
    assert [round(s) for s in fast.slept][:5] == [1, 2, 4, 8, 16]


def test_after_a_join_a_bad_minute_is_survived(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """Refusals of credentials that were good are believed after sixty seconds."""
    with Agent(server.url, clock=fast.warp, draw=lambda: 1.0) as agent:
        peer = joined(agent, server)
        server.refuse(401, times=50)
        peer.close()
        failure = agent.wait_over()
        assert isinstance(failure, HandshakeRefused)
        # Refused 1, 3, 7, 15, 31 and 61 seconds after the loss.
        assert len(server.requests) == 1 + 6


def test_four_refusals_after_a_join_are_no_end(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """However long the waits between them: the fifth would be the end."""
    with Agent(
        server.url,
        clock=fast.warp,
        draw=lambda: 1.0,
        reconnect_backoff=100,
        max_backoff=100.0,
    ) as agent:
        peer = joined(agent, server)
        server.refuse(401, times=4)
        peer.close()
        joined(agent, server)
        assert agent.states.count("connected") == 2


def test_a_wrong_address_after_a_join_is_no_end(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """A proxy answers 404 in the middle of a deploy."""
    with Agent(server.url, clock=fast.warp, draw=lambda: 1.0) as agent:
        peer = joined(agent, server)
        server.refuse(404, times=12)
        peer.close()
        joined(agent, server)
        assert len(server.requests) == 14


def test_a_flapping_platform_is_backed_off_from(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """It accepts, lets join and closes at once: the waits grow all the same."""
    with Agent(server.url, clock=fast.warp, draw=lambda: 1.0) as agent:
        for number in range(5):
            peer = server.accept()
            eventually(lambda: agent.states.count("connected") > number)
            peer.close(1000)
        joined(agent, server)
    assert [round(seconds) for seconds in fast.slept][:5] == [1, 2, 4, 8, 16]


def test_a_flapping_platform_uses_up_the_attempts(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """Joins that prove nothing do not start the count anew."""
    with Agent(
        server.url, clock=fast.warp, draw=lambda: 1.0, max_reconnect_attempts=2
    ) as agent:
        for _ in range(3):
            server.accept().close(1000)
        assert isinstance(agent.wait_over(), RetriesExhausted)
        assert len(server.requests) == 3


def test_ten_seconds_alive_start_the_waits_anew(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """After a good connection the first wait is short again."""
    server.refuse(503, times=3)
    with Agent(server.url, clock=fast.warp, draw=lambda: 1.0) as agent:
        peer = joined(agent, server)
        assert [round(seconds) for seconds in fast.slept] == [1, 2, 4]
        fast.warp.forward(11)
        peer.close(1012)
        peer = joined(agent, server)
        assert [round(seconds) for seconds in fast.slept] == [1, 2, 4, 1]
        fast.warp.forward(9)
        peer.close(1012)
        eventually(lambda: len(server.requests) == 6)
        joined(agent, server)
        assert [round(seconds) for seconds in fast.slept] == [1, 2, 4, 1, 1]


def test_a_connection_that_proved_good_stays_good(
    server: ScriptedServer, fast: FastSleep
) -> None:
    """A conversation that begins just before the loss does not take that back."""
    server.auto = frozenset({"phx_join"})
    server.refuse(503, times=3)
    with Agent(server.url, clock=fast.warp, draw=lambda: 1.0) as agent:
        peer = joined(agent, server)
        fast.warp.forward(3600)
        payload = {"event": "conversation_started", "conversation_id": "new"}
        peer.push("conversation_lifecycle", payload)
        peer.expect("register_conversation_tools")
        peer.close(1012)
        joined(agent, server)
        assert [round(seconds) for seconds in fast.slept] == [1, 2, 4, 1]


def test_the_waits_are_drawn(server: ScriptedServer, fast: FastSleep) -> None:
    """Full jitter: each wait, the first one after a good connection too, is drawn."""
    draws = itertools.count(1)
    server.refuse(503, times=2)
    with Agent(server.url, clock=fast.warp, draw=lambda: next(draws) / 100) as agent:
        peer = joined(agent, server)
        fast.warp.forward(11)
        peer.close(1012)
        eventually(lambda: agent.states.count("connected") == 2)
    assert [round(seconds, 3) for seconds in fast.slept] == [0.01, 0.04, 0.03]


def test_retry_after_is_waited_for(fast: FastSleep) -> None:
    """The platform says when to come back."""
    with ScriptedServer(auto=CHANNEL) as server:
        server.refuse(503, {"Retry-After": "17"})
        with Agent(server.url, clock=fast.warp, draw=lambda: 0.5) as agent:
            joined(agent, server)
    assert round(sum(fast.slept)) == 17


def test_while_never_joined_each_failure_is_told() -> None:
    """Nobody waits in silence: each attempt is an error, later ones are warnings."""
    with ScriptedServer(auto=CHANNEL) as server:
        server.refuse(503, times=2)
        with Agent(server.url) as agent:
            peer = joined(agent, server)
            assert [kind for kind, _, _ in agent.errors] == ["connection_failed"] * 2
            server.refuse(503, times=2)
            peer.close()
            server.accept().wait_joined()
            assert len(agent.errors) == 2
    levels = [
        event.level
        for event in drained(agent)
        if isinstance(event, Note) and event.text.startswith("not connected")
    ]
    assert levels == [logging.ERROR] * 2 + [logging.WARNING] * 3


@pytest.mark.parametrize("peer", [closing, resetting, dripping_handshake(0.1)])
def test_bad_handshakes_are_tried_again(peer: Any) -> None:
    """An end, a reset or a handshake too slow: the next attempt follows."""
    with RawServer(peer) as server:
        with Agent(server.url, connection_timeout=0.15, max_reconnect_attempts=2) as a:
            failure = a.wait_over()
        assert server.links == 3
    assert isinstance(failure, RetriesExhausted)
    assert isinstance(failure.__cause__, PlatformUnreachable)
