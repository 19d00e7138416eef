"""Step by step from the settings to the platform's welcome."""

from __future__ import annotations

import pytest

from conversimple.local import LocalPlatform
from tests.commands.conftest import Typed, is_one_line, program
from tests.conftest import finished
from tests.support.httpproxy import HttpProxy
from tests.support.rawserver import RawServer, closing
from tests.support.scripted import CHANNEL, ScriptedServer
from tests.support.tls import (
    ca_file,
    misnamed_server_context,
    server_context,
    untrusted_server_context,
)

STEPS = ["settings", "DNS", "TCP", "TLS", "handshake", "join"]
KEY = "s3cr3t-key"


@pytest.fixture(autouse=True)
def with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is set."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", KEY)


def verdicts(out: str) -> list[list[str]]:
    """The name and the result of each step; the rest of the output has neither."""
    found = [line.split()[:2] for line in out.splitlines()]
    return [each for each in found if each[0] in STEPS]


def assert_failed_at(
    step: str, told: str, cure: str, found: tuple[int, str, str]
) -> None:
    code, out, err = found
    assert code == 1
    before = STEPS[: STEPS.index(step)]
    assert verdicts(out) == [*([name, "ok"] for name in before), [step, "failed"]]
    *_, failure, to_do = out.splitlines()
    assert told in failure
    assert "to do" in to_do and cure in to_do
    assert is_one_line(err) and step in err
    assert KEY not in out + err


def test_all_is_well(platform: LocalPlatform, typed: Typed) -> None:
    """Every step is told, and the key is not."""
    code, out, err = typed("check", "--platform-url", platform.url)
    assert (code, err) == (0, "")
    assert verdicts(out) == [[step, "ok"] for step in STEPS]
    assert platform.url in out
    assert KEY not in out


def test_nobody_else_is_disturbed(platform: LocalPlatform, typed: Typed) -> None:
    """The agent that joins answers no calls but its own conversation's."""
    typed("check", "--platform-url", platform.url)
    sent = [entry for entry in platform.history if entry.sender == "client"]
    named = {entry.payload.get("conversation_id", "") for entry in sent}
    assert all(name == "" or name.startswith("check_") for name in named)
    platform.wait_until(lambda: platform.connections == 0, what="the agent has left")


@pytest.mark.parametrize(
    "words, told",
    [
        (["--platform-url", "http://x"], "ws://"),
        (["--customer-id", "a\nb"], "customer_id"),
        (["--api-key", ""], "no API key"),
    ],
)
def test_wrong_settings(
    words: list[str], told: str, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found before the network is."""
    if "--api-key" in words:
        monkeypatch.delenv("CONVERSIMPLE_API_KEY")
    assert_failed_at("settings", told, "correct", typed("check", *words))


def test_a_wrong_log_level(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a setting too."""
    monkeypatch.setenv("CONVERSIMPLE_LOG_LEVEL", "LOUD")
    assert_failed_at("settings", "LOUD", "correct", typed("check"))


def test_a_platform_behind_a_proxy(
    server: ScriptedServer, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is the proxy's business; a name that only it knows will do."""
    port = int(server.url.split(":")[2].partition("/")[0])
    url = server.url.replace("127.0.0.1", "platform.test")
    with HttpProxy({f"platform.test:{port}": port}, credentials="u:hunter2") as proxy:
        monkeypatch.setenv("http_proxy", proxy.address_with("u:hunter2"))
        code, out, err = typed("check", "--platform-url", url)
        assert code == 0, err
        assert verdicts(out) == [[s, "ok"] for s in ("settings", "handshake", "join")]
        monkeypatch.setenv("http_proxy", proxy.address_with("u:hunter3"))
        code, out, err = typed("check", "--platform-url", url)
    assert code == 1
    assert "answered 407" in out and "https_proxy" in out
    assert "hunter" not in out + err


def test_a_host_without_address(typed: Typed) -> None:
    """The name servers do not know it."""
    found = typed("check", "--platform-url", "ws://nowhere.invalid/sdk/websocket")
    assert_failed_at("DNS", "", "host name", found)


def test_nobody_listens(typed: Typed) -> None:
    """The platform is not started."""
    with LocalPlatform() as platform:
        url = platform.url
    found = typed("check", "--platform-url", url)
    assert_failed_at("TCP", "refused", "`conversimple platform`", found)


def test_a_server_without_tls(platform: LocalPlatform, typed: Typed) -> None:
    """The port speaks something else."""
    url = platform.url.replace("ws://", "wss://")
    assert_failed_at("TLS", "TLS with", "ws://", typed("check", "--platform-url", url))


def test_an_untrusted_certificate(typed: Typed) -> None:
    """Its authority is unknown."""
    with ScriptedServer(untrusted_server_context()) as server:
        found = typed("check", "--platform-url", server.url)
    assert_failed_at("TLS", "not trusted", "SSL_CERT_FILE", found)


def test_a_certificate_of_somebody_else() -> None:
    """The authority is known, the host is another."""
    with ScriptedServer(misnamed_server_context()) as server:
        found = checked_with_authority(server.url)
    assert_failed_at("TLS", "not trusted", "host name", found)


def test_all_is_well_with_tls() -> None:
    """The authority may be one's own."""
    with ScriptedServer(server_context(), auto=CHANNEL) as server:
        code, out, err = checked_with_authority(server.url)
    assert (code, err) == (0, "")
    assert verdicts(out) == [[step, "ok"] for step in STEPS]


def checked_with_authority(url: str) -> tuple[int, str, str]:
    """The result in a process of its own: the authorities are read once."""
    words = "check", "--platform-url", url, "--api-key", KEY
    with program(*words, SSL_CERT_FILE=str(ca_file())) as process:
        out, err = finished(process)
    return process.returncode, out, err


def test_a_refused_key(typed: Typed) -> None:
    """The platform does not know it."""
    with LocalPlatform(api_keys=["another"]) as platform:
        found = typed("check", "--platform-url", platform.url)
    assert_failed_at("handshake", "403", "CONVERSIMPLE_API_KEY", found)


def test_a_wrong_path(platform: LocalPlatform, typed: Typed) -> None:
    """The server is there, the platform is not."""
    found = typed("check", "--platform-url", f"{platform.url}/elsewhere")
    assert_failed_at("handshake", "404", "path", found)


def test_a_platform_that_is_busy(platform: LocalPlatform, typed: Typed) -> None:
    """Nothing is wrong on this side."""
    platform.refuse_handshake(503)
    found = typed("check", "--platform-url", platform.url)
    assert_failed_at("handshake", "503", "later", found)


def test_a_server_that_hangs_up(typed: Typed) -> None:
    """It is no WebSocket server."""
    with RawServer(closing) as server:
        found = typed("check", "--platform-url", server.url)
    assert_failed_at("handshake", "handshake failed", "proxy", found)


@pytest.mark.parametrize("reason", ["unauthorized", "not_now"])
def test_a_refused_join(reason: str, platform: LocalPlatform, typed: Typed) -> None:
    """The platform's reason is told, without the key if it should be in it."""
    platform.refuse_join(f"{reason} {KEY}")
    found = typed("check", "--platform-url", platform.url)
    assert_failed_at("join", f"{reason} ***", "CONVERSIMPLE_CUSTOMER_ID", found)
