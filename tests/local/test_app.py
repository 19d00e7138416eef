"""Real sockets: handshakes, limits, ends, and what is logged about them."""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

import pytest
import websocket

from conversimple.local import LocalPlatform
from tests.local.rawagent import RawAgent, connect


def refused(
    platform: LocalPlatform, **options: Any
) -> websocket.WebSocketBadStatusException:
    """The exception of a refused handshake."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        connect(platform.url, **options)
    return caught.value


@pytest.mark.parametrize("path", ["/sdk/websocket", "/customer_sdk/websocket"])
def test_both_paths_are_served(platform: LocalPlatform, path: str) -> None:
    """An agent may use either."""
    with closing(connect(f"ws://127.0.0.1:{platform.port}{path}")) as socket:
        socket.send('["1","1","customer:c1","phx_join",{}]')
        assert '"ok"' in socket.recv()


def test_another_path_is_not_found(platform: LocalPlatform) -> None:
    """404, not the 403 of a refused key."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        connect(f"ws://127.0.0.1:{platform.port}/elsewhere")
    assert caught.value.status_code == 404


def test_a_plain_request_is_told_to_upgrade(platform: LocalPlatform) -> None:
    """A browser that is pointed at the path learns what is there."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{platform.port}/sdk/websocket")
    with caught.value as error:
        assert error.code == 426


def test_a_wrong_key_is_refused() -> None:
    """Only the given keys are let in."""
    with LocalPlatform(api_keys={"right"}) as platform:
        assert refused(platform, key="wrong").status_code == 403
        connect(platform.url, key="right").close()
        assert platform.handshakes == 2


def test_a_long_request_is_refused(platform: LocalPlatform) -> None:
    """Over about 8 kB."""
    assert refused(platform, key="k" * 9_000).status_code == 414


def test_a_handshake_can_be_refused(platform: LocalPlatform) -> None:
    """With the wanted status and header, so many times, and then no more."""
    platform.refuse_handshake(503, times=2, retry_after=1.5)
    for _ in range(2):
        error = refused(platform)
        assert error.status_code == 503
        assert (error.resp_headers or {})["retry-after"] == "1.5"
    connect(platform.url).close()


def test_an_origin_and_a_subprotocol_are_violations(lenient: LocalPlatform) -> None:
    """They are let in, but no subprotocol is chosen."""
    own = f"http://127.0.0.1:{lenient.port}"
    socket = connect(lenient.url, suppress_origin=False, origin=own)
    socket.close()
    with pytest.raises(websocket.WebSocketException, match="Invalid WebSocket"):
        connect(lenient.url, subprotocols=["phoenix"])
    assert [violation.problem for violation in lenient.violations] == [
        "the handshake has an Origin",
        "the handshake asks for a subprotocol",
    ]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"origin": "http://elsewhere"}, "a page of 'http://elsewhere'"),
        ({"host": "rebound.example:80"}, "the Host 'rebound.example:80'"),
    ],
)
def test_pages_of_others_are_no_agents(
    lenient: LocalPlatform, headers: dict[str, str], problem: str
) -> None:
    """A browser tells where the page came from, and under which name it went here."""
    options = {"suppress_origin": "origin" not in headers, **headers}
    assert refused(lenient, **options).status_code == 403
    assert [each.problem[: len(problem)] for each in lenient.violations] == [problem]


def test_a_silent_client_is_closed() -> None:
    """With 1002, after the idle time-out."""
    with LocalPlatform(idle_timeout=0.05) as platform:
        with RawAgent(platform) as agent:
            assert agent.close_code() == 1002


def test_a_frame_of_more_than_8_megabytes_is_closed(lenient: LocalPlatform) -> None:
    """With 1009; one a little smaller is read."""
    with RawAgent(lenient) as agent:
        agent.send(None, "phoenix", "heartbeat", {"a": "x" * 7_999_900})
        assert agent.receive()[3] == "phx_reply"
        try:
            agent.socket.send("x" * 8_000_000)
            assert agent.close_code() == 1009
        except OSError:
            pass  # the server has gone before all of it was written
    lenient.wait_until(lambda: len(lenient.violations) == 2)
    assert "more than 8000000 bytes" in str(lenient.violations[1])


def test_a_binary_frame_is_closed(lenient: LocalPlatform) -> None:
    """As any frame that cannot be decoded."""
    with RawAgent(lenient) as agent:
        agent.socket.send_binary(b"\x00\x01")
        assert agent.close_code() == 1011


def test_text_and_binary_garbage_can_be_sent(platform: LocalPlatform) -> None:
    """As one frame each, in order."""
    with RawAgent(platform) as agent:
        platform.wait_until(lambda: platform.connections == 1)
        assert platform.send_raw("garbage") == 1
        assert platform.send_raw(b"\x00") == 1
        assert agent.socket.recv() == "garbage"
        assert agent.socket.recv() == b"\x00"


def test_a_client_that_vanishes_is_noticed(platform: LocalPlatform) -> None:
    """Without a close handshake too."""
    agent = RawAgent(platform)
    agent.join()
    platform.wait_until(lambda: platform.agents == 1)
    agent.socket.shutdown()  # type: ignore[no-untyped-call]
    platform.wait_until(lambda: platform.agents == platform.connections == 0)


def test_no_key_is_logged(
    platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither of those who are let in nor of those who are not."""
    caplog.set_level(logging.DEBUG)
    connect(platform.url, key="secret-key").close()
    refused(platform, key="secret-key", vsn="9")
    url = f"http://127.0.0.1:{platform.port}"
    for path in ("/sdk/websocket", "/elsewhere"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}{path}?auth_token=secret-key")
        caught.value.close()
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(f"ws://127.0.0.1:{platform.port}/elsewhere", key="secret-key")
    assert any(record.name == "uvicorn.error" for record in caplog.records)
    uvicorns = [r for r in caplog.records if not r.name.startswith("websocket")]
    assert not [r for r in uvicorns if "secret-key" in r.getMessage()]
