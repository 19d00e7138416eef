"""The page and its socket, and who gets them."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
import websocket

from conversimple import ConversimpleAgent
from conversimple.local import LocalPlatform
from tests.conftest import WAIT, Seen
from tests.local.console.peer import console


def get(
    platform: LocalPlatform, path: str = "/", headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """The answer to a GET: its status, its headers and its content."""
    url = f"http://127.0.0.1:{platform.port}{path}"
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def denied(platform: LocalPlatform, query: str = "", **options: Any) -> str:
    """The text of a refused console."""
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        with console(platform, query, **options):
            pass
    assert caught.value.status_code == 403
    return bytes(caught.value.resp_body or b"").decode()


def test_the_page_runs_only_its_own_scripts(desk: LocalPlatform) -> None:
    """Nothing from elsewhere, nothing inline, and no frame around it."""
    status, headers, content = get(desk)
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert b"<script" in content


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}],
    ids=lambda headers: next(iter(headers)),
)
def test_pages_of_others_get_nothing(
    desk: LocalPlatform, headers: dict[str, str]
) -> None:
    """Neither the page nor its socket."""
    status, _, content = get(desk, headers=headers)
    assert status == 403
    assert b"<" not in content
    options = {name.lower(): value for name, value in headers.items()}
    options["suppress_origin"] = "origin" not in options  # type: ignore[assignment]
    assert "evil.example" in denied(desk, **options)


def test_its_own_page_gets_the_socket(desk: LocalPlatform) -> None:
    """A browser says where a page came from."""
    origin = f"http://127.0.0.1:{desk.port}"
    with console(desk, suppress_origin=False, origin=origin) as peer:
        assert peer.read("hello")["history_size"] == 10_000


def test_a_token_is_asked_for_where_there_is_one() -> None:
    """By the socket; the page itself has no secrets. It is the API key, too."""
    with LocalPlatform(console=True, token="s3cret") as platform:
        assert get(platform)[0] == 200
        assert "token" in denied(platform)
        assert "token" in denied(platform, "?token=wrong")
        with console(platform, "?token=s3cret") as peer:
            assert peer.read("hello")
        with ConversimpleAgent("s3cret", "c1", platform.url):
            assert platform.agents == 1


def test_without_a_console_there_is_none(platform: LocalPlatform) -> None:
    """It has to be asked for."""
    assert platform.console is None
    assert get(platform)[0] == 404


def test_what_goes_on_is_told_to_each_console(desk: LocalPlatform) -> None:
    """Frames, agents, conversations, and what is told from outside."""
    assert desk.console is not None
    with console(desk) as one, console(desk) as other:
        one.read("state")
        other.read("state")
        with ConversimpleAgent("key", "c1", desk.url):
            desk.console.set_agents({"c1": {"name": "Weather"}}, "weather.py")
            for peer in (one, other):
                state = peer.read_until(lambda told: told.get("source") is not None)
                assert [agent["name"] for agent in state["agents"]] == ["Weather"]
                assert peer.entries()[0]["event"] == "phx_join"
            desk.console.notice("warning", "look out")
            for peer in (one, other):
                assert peer.read("notice")["text"] == "look out"


def test_the_latest_notices_are_kept(desk: LocalPlatform) -> None:
    """For whoever opens the page after something went wrong."""
    assert desk.console is not None
    for number in range(60):
        desk.console.notice("error", f"line {number}")
    with console(desk) as peer:
        peer.read("state")
        kinds = [message["type"] for message in peer.messages]
        assert kinds == ["hello", *["notice"] * 50, "state"]
        assert peer.messages[1]["text"] == "line 10"


def test_a_console_that_comes_back_is_told_everything_again(
    desk: LocalPlatform,
) -> None:
    """It knows by the session that it is the same platform."""
    with ConversimpleAgent("key", "c1", desk.url):
        seen = []
        for _ in range(2):
            with console(desk) as peer:
                session = peer.read("hello")["session"]
                peer.read("state")
                seen.append((session, peer.entries()[0]))
        assert seen[0] == seen[1]


def test_whoever_listens_hears_of_commands(desk: LocalPlatform, seen: Seen) -> None:
    """Of those that were carried out, with the reply's value."""
    assert desk.console is not None
    desk.console.on_command = lambda name, fields, value: seen((name, value))
    with console(desk) as peer:
        peer.refused("shutdown")
        peer.done("fault", name="crash_channel")
        seen.wait_for(("fault", {"affected": 0}))
        assert len(seen.items) == 1


@pytest.mark.parametrize("path", ["/sdk/websocket", "/elsewhere", "/console/socket"])
def test_every_answer_is_for_this_machine_alone(desk: LocalPlatform, path: str) -> None:
    """Also one that only says no."""
    status, headers, _ = get(desk, path)
    assert status in (404, 426)
    assert "default-src 'none'" in headers["content-security-policy"]
    status, headers, _ = get(desk, path, {"Host": "evil.example"})
    assert status == 403
    assert "default-src 'none'" in headers["content-security-policy"]


GARBAGE = ["", "[]", "{", '"x"', '{"command": {}}', "null", "[" * 100_000]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused(desk: LocalPlatform, text: str) -> None:
    """And the socket lives."""
    with console(desk) as peer:
        peer.send(text or " ")
        assert "no such command" in peer.read("reply")["error"]["message"]
        assert peer.done("fault", name="heal") == {"affected": None}


def test_bytes_are_refused(desk: LocalPlatform) -> None:
    """As other garbage is."""
    with console(desk) as peer:
        peer.send_bytes(b"\0")
        assert "no such command" in peer.read("reply")["error"]["message"]


@pytest.mark.parametrize("value", ['"\\ud800"', "NaN", "1e999"])
def test_what_is_not_strict_json_is_not_kept(desk: LocalPlatform, value: str) -> None:
    """It could not be shown to the next console, nor be sent to an agent."""
    with console(desk) as peer:
        for field in "customer_id", "conversation_id", "id":
            command = f'"command": "start_conversation", "{field}": {value}'
            peer.send(f'{{"id": 1, "x": {value}, {command}}}')
            assert not peer.read("reply")["ok"]
    with console(desk) as peer:
        assert peer.read("state")["conversations"] == []


def test_a_name_that_is_not_unicode_is_shown_nevertheless(desk: LocalPlatform) -> None:
    """Files may have such names."""
    assert desk.console is not None
    desk.console.set_agents({}, "caf\udce9.py")
    desk.console.notice("info", "changed: caf\udce9.py")
    with console(desk) as peer:
        assert peer.read("notice")["text"] == "changed: caf?.py"
        assert peer.read("state")["source"] == "caf?.py"
