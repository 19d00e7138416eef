"""Through an HTTP proxy to the platform, and no secret of either left on the way."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from conversimple import ConversimpleAgent, tool
from conversimple.errors import (
    CertificateRejected,
    ConnectionFailed,
    HandshakeRefused,
    PlatformUnreachable,
)
from conversimple.local import LocalPlatform
from conversimple.runtime.backoff import Refusals
from conversimple.runtime.dial import Patience, dial, directly
from conversimple.runtime.proxy import MAX_ANSWER_BYTES, Proxy, way_to
from conversimple.runtime.sockets import Interrupted, Waker
from conversimple.runtime.transport import open_transport
from conversimple.settings import Settings
from tests.conftest import python, read_line
from tests.runtime.harness import KEY, WAIT, Agent, blackhole, chain, run, settings_for
from tests.support import tls
from tests.support.httpproxy import FOUND, WANTS_CREDENTIALS, HttpProxy
from tests.support.rawserver import (
    GARBAGE,
    RawServer,
    closing,
    deaf,
    dripping,
    reset_on_close,
    sending,
    silent,
)
from tests.support.scripted import CHANNEL, ScriptedServer

HOST = "platform.test"
USER, PASSWORD = "proxy-user", "p@ss:w/rd ü"
QUOTED = "proxy-user:p%40ss%3Aw%2Frd%20%C3%BC"
SECRETS = (
    KEY,
    "sk-Very",
    "Secret%2B",
    PASSWORD,
    "p@ss",
    "p%40ss",
    b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A platform on plain text."""
    with ScriptedServer(auto=CHANNEL) as started:
        yield started


@pytest.fixture
def secure() -> Iterator[ScriptedServer]:
    """A platform on TLS, whose certificate is for platform.test."""
    with ScriptedServer(tls=True, auto=CHANNEL) as started:
        yield started


def named(url: str, host: str = HOST) -> str:
    """A local address under a name that only the proxy knows."""
    return url.replace("127.0.0.1", host)


def in_front_of(server: RawServer, host: str = HOST, **options: Any) -> HttpProxy:
    """A proxy that knows the server under a name."""
    return HttpProxy({f"{host}:{server.port}": server.port}, **options)


def failure_of(settings: Settings, waker: Waker, seconds: float = WAIT) -> Any:
    """The failure of a dial; no secret is in it, or in the frames that it passed."""
    with pytest.raises(ConnectionFailed) as caught:
        open_transport(
            settings, Patience(waker, time.monotonic() + seconds, time.monotonic)
        )
    assert_secret(caught.value)
    return caught.value


def assert_secret(error: BaseException) -> None:
    """Neither texts nor local variables of the package hold a secret."""
    texts = ["".join(traceback.format_exception(error))]
    for link in chain(error):
        texts += [str(link), repr(link), repr(link.args), repr(vars(link))]
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if "/conversimple/" in frame.f_code.co_filename:
                texts += [repr(value) for value in frame.f_locals.values()]
    found = [secret for secret in SECRETS for text in texts if secret in text]
    assert not found


def refused_by(
    answer: RawServer, waker: Waker, credentials: str = QUOTED, seconds: float = WAIT
) -> Any:
    """The failure of a dial through whatever this server is."""
    proxy = f"http://{credentials}@127.0.0.1:{answer.port}"
    settings = settings_for(f"wss://{HOST}/sdk/websocket", proxy=proxy)
    return failure_of(settings, waker, seconds)


# The proxy as a value.


@pytest.mark.parametrize(
    ("address", "host", "port", "text"),
    [
        ("http://proxy.test:3128", "proxy.test", 3128, "proxy.test:3128"),
        ("http://proxy.test", "proxy.test", 80, "proxy.test:80"),
        ("HTTP://Proxy.Test:1/", "proxy.test", 1, "proxy.test:1"),
        ("http://[fd00::1]:3128", "fd00::1", 3128, "[fd00::1]:3128"),
        (f"http://{QUOTED}@10.0.0.1:8", "10.0.0.1", 8, "10.0.0.1:8"),
    ],
)
def test_an_address_becomes_a_proxy(
    address: str, host: str, port: int, text: str
) -> None:
    """With its usual port, and as a text without credentials."""
    proxy = Proxy.at(address)
    assert (proxy.host, proxy.port, str(proxy)) == (host, port, f"the proxy {text}")
    assert USER not in repr(proxy)
    for secret in SECRETS:
        assert secret not in repr(proxy)


def test_without_a_proxy_the_way_is_direct() -> None:
    """And so is every way to this machine itself."""
    assert way_to(settings_for("wss://platform.test/")) is directly
    for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"):
        settings = settings_for(f"wss://{host}/", proxy="http://proxy.test:1")
        assert way_to(settings) is directly


# The tunnel.


def test_an_agent_lives_behind_a_proxy(server: ScriptedServer) -> None:
    """The proxy is asked by name, once, and what follows is between the two."""
    with in_front_of(server) as proxy:
        with Agent(named(server.url), proxy=proxy.address):
            peer = server.accept()
            peer.wait_joined()
            assert peer.headers["Host"] == f"{HOST}:{server.port}"
    target = f"{HOST}:{server.port}"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    assert proxy.requests == [request]


def test_an_agent_speaks_tls_through_a_proxy(
    secure: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The certificate is that of the platform, and the proxy never sees the key."""
    caplog.set_level(0)
    with in_front_of(secure, credentials=f"{USER}:{PASSWORD}") as proxy:
        address = proxy.address_with(QUOTED)
        with Agent(named(secure.url), proxy=address) as agent:
            secure.accept().wait_joined()
            assert agent.errors == []
    assert proxy.tunnels == [f"{HOST}:{secure.port}"]
    ours = [record for record in caplog.records if "websockets" not in record.name]
    text = "\n".join(record.getMessage() for record in ours)
    assert "connecting" in text
    for secret in SECRETS:
        assert secret not in text


def test_a_local_platform_calls_a_tool_through_a_proxy() -> None:
    """The whole way, from the agent's own settings."""

    class Weather(ConversimpleAgent):
        @tool("Tell the weather")
        def weather(self, city: str) -> str:
            return f"rain in {city} " * 10_000

    # An address in figures: a name that is not this machine's own would be refused.
    with LocalPlatform(host="0.0.0.0", token="local") as platform:
        port = platform.port
        with HttpProxy({f"192.0.2.1:{port}": port}) as proxy:
            url = f"ws://192.0.2.1:{port}/sdk/websocket"
            with Weather("local", platform_url=url, proxy=proxy.address):
                conversation = platform.start_conversation()
                said = conversation.call("weather", city="Oslo")
                conversation.end()
    assert said == "rain in Oslo " * 10_000
    assert proxy.tunnels == [f"192.0.2.1:{port}"]


def test_a_lost_tunnel_is_opened_again(server: ScriptedServer) -> None:
    """A reconnect takes the same way."""
    with in_front_of(server) as proxy:
        with Agent(named(server.url), proxy=proxy.address):
            first = server.accept()
            first.wait_joined()
            first.abort()
            server.accept().wait_joined()
    assert len(proxy.tunnels) == 2


CHILD = """
import sys
from conversimple import ConversimpleAgent
with ConversimpleAgent("key", platform_url=sys.argv[1]) as agent:
    print(agent.connection_state, flush=True)
"""


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_the_environment_of_a_process_names_the_proxy(
    secure: ScriptedServer, variable: str
) -> None:
    """Set before the interpreter starts, with the proxy's password in it."""
    with in_front_of(secure, credentials=f"{USER}:{PASSWORD}") as proxy:
        environ = {variable: proxy.address_with(QUOTED), "no_proxy": "orm.test"}
        environ["SSL_CERT_FILE"] = str(tls.ca_file())
        with python(CHILD, named(secure.url), **environ) as process:
            assert read_line(process.stdout) == "connected"
            assert process.communicate(timeout=WAIT) == ("", "")
    assert proxy.tunnels == [f"{HOST}:{secure.port}"]


def test_a_process_connects_to_its_own_machine_itself(server: ScriptedServer) -> None:
    """Whatever proxy the environment names, even one that cannot be used."""
    environ = {"http_proxy": "socks5://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    with python(CHILD, server.url, **environ) as process:
        assert read_line(process.stdout) == "connected"
        assert process.communicate(timeout=WAIT) == ("", "")


def test_bytes_of_the_platform_stay_its_own(patience: Patience) -> None:
    """What comes in one segment with the proxy's answer is not swallowed."""
    with RawServer(sending(b"first words")) as server:
        with in_front_of(server, eager=True) as proxy:
            way = Proxy.at(proxy.address).reach
            sock = dial(
                urlsplit(named(f"ws://127.0.0.1:{server.port}")), patience, None, way
            )
            with sock:
                assert sock.gettimeout() == 0
                assert sock.recv(64) == b"first words"


@pytest.mark.parametrize(
    ("host", "asked"),
    [("[fd00::1]", "[fd00::1]"), ("bücher.test", "xn--bcher-kva.test")],
)
def test_the_target_is_asked_for_in_ascii(
    waker: Waker, server: ScriptedServer, host: str, asked: str
) -> None:
    """An IPv6 address in brackets, and a name as DNS has it."""
    with in_front_of(server, asked) as proxy:
        settings = settings_for(named(server.url, host), proxy=proxy.address)
        patience = Patience(waker, time.monotonic() + WAIT, time.monotonic)
        open_transport(settings, patience).close()
    assert proxy.tunnels == [f"{asked}:{server.port}"]


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_impossible_names_are_unreachable(waker: Waker, host: str) -> None:
    """Before the proxy is asked for them."""
    settings = settings_for(f"wss://{host}/", proxy="http://127.0.0.1:9")
    assert "not valid" in str(failure_of(settings, waker))


def test_the_platform_is_looked_up_by_the_proxy(
    waker: Waker, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy the names outside are often unknown."""
    asked: list[Any] = []
    look_up = socket.getaddrinfo

    def listen(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments[0])
        return look_up(*arguments, **options)

    with in_front_of(server) as proxy:
        settings = settings_for(named(server.url), proxy=proxy.address)
        patience = Patience(waker, time.monotonic() + WAIT, time.monotonic)
        monkeypatch.setattr(socket, "getaddrinfo", listen)
        open_transport(settings, patience).close()
        monkeypatch.undo()
    assert set(asked) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 Fine\r\nContent-Length: 5\r\nVia: 1.1 x\r\n\r\n",
        FOUND.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 60_000 + b"\r\n\r\n"),
    ],
)
def test_every_success_opens_the_tunnel(patience: Patience, answer: bytes) -> None:
    """Whatever its headers say, nothing follows them but the platform's bytes."""
    with RawServer(sending(answer + b"!")) as proxy:
        sock = Proxy("127.0.0.1", proxy.port).reach(HOST, 443, patience)
        with sock:
            assert sock.recv(64) == b"!"


# The platform's certificate.


@pytest.mark.parametrize(
    "context", [tls.misnamed_server_context, tls.untrusted_server_context]
)
def test_the_platform_behind_a_proxy_shows_its_certificate(
    waker: Waker, context: Callable[[], ssl.SSLContext]
) -> None:
    """A proxy that leads elsewhere is found out."""
    with ScriptedServer(context()) as server, in_front_of(server) as proxy:
        settings = settings_for(named(server.url), proxy=proxy.address)
        error = failure_of(settings, waker)
    assert isinstance(error, CertificateRejected)
    assert HOST in str(error)


def test_the_platform_refuses_for_itself(waker: Waker, secure: ScriptedServer) -> None:
    """A 403 from within the tunnel is about the key."""
    secure.refuse(403)
    with in_front_of(secure) as proxy:
        settings = settings_for(named(secure.url), proxy=proxy.address)
        error = failure_of(settings, waker)
    assert isinstance(error, HandshakeRefused)
    assert "the platform answered 403" in str(error)


# The proxy says no.


def test_a_proxy_wants_credentials(server: ScriptedServer) -> None:
    """At first this is permanent: trying again would lock the user's account."""
    with in_front_of(server, credentials=f"{USER}:{PASSWORD}") as proxy:
        with Agent(named(server.url), proxy=proxy.address) as agent:
            error = agent.wait_over()
    assert isinstance(error, HandshakeRefused)
    assert error.status == 407
    text = str(error)
    assert text.startswith(f"the proxy 127.0.0.1:{proxy.port} answered 407")
    assert "http://user:password@host:port" in text
    assert len(proxy.requests) == 1


def test_wrong_credentials_are_not_shown(waker: Waker, server: ScriptedServer) -> None:
    """Not in the text, and not in the frames of the traceback."""
    with in_front_of(server, credentials="someone:else") as proxy:
        url, address = named(server.url), proxy.address_with(QUOTED)
        error = failure_of(settings_for(url, proxy=address), waker)
    assert error.status == 407


def test_a_proxy_that_knew_the_credentials_is_given_time() -> None:
    """As with the platform's own refusals, one bad minute is no reason to die."""
    refusals = Refusals()
    refusals.joined()
    assert not refusals.is_permanent(HandshakeRefused("no", 407), 0.0)


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 405, 410, 500, 502])
def test_a_proxy_that_does_not_connect_says_nothing_of_the_key(
    waker: Waker, status: int
) -> None:
    """Its refusals are transient, name it, and say what can be done."""
    answer = f"HTTP/1.1 {status} No\r\nX-Echo: {KEY}\r\n\r\n{KEY}".encode()
    with RawServer(sending(answer)) as proxy:
        error = refused_by(proxy, waker)
    assert isinstance(error, PlatformUnreachable)
    assert not Refusals().is_permanent(error, 0.0)
    text = str(error)
    assert f"the proxy 127.0.0.1:{proxy.port} does not connect to {HOST}:443" in text
    assert str(status) in text and "no_proxy" in text


def test_an_agent_tries_a_proxy_again(server: ScriptedServer) -> None:
    """A gateway that was bad for a moment."""
    hosts: dict[str, int] = {}
    with HttpProxy(hosts) as proxy:
        with Agent(named(server.url), proxy=proxy.address):
            proxy.wait_for_links(2)
            hosts[f"{HOST}:{server.port}"] = server.port
            server.accept().wait_joined()


def reset_when_asked(sock: socket.socket, ended: threading.Event) -> None:
    """Take the request, and reset the connection."""
    sock.recv(65536)
    reset_on_close(sock)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (closing, "closed the connection"),
        (reset_when_asked, "ConnectionResetError"),
        (sending(b"HTTP/1.1 200 OK\r\n" + b"x" * MAX_ANSWER_BYTES), "too long"),
        (sending(GARBAGE + b"\r\n\r\n"), "not HTTP"),
        (sending(b"HTTP/1.1 2000 OK\r\n\r\n"), "not HTTP"),
    ],
)
def test_a_proxy_that_breaks_the_rules(
    waker: Waker, behaviour: Any, reason: str
) -> None:
    """An end, a reset, an endless answer and nonsense are transient failures."""
    with RawServer(behaviour) as proxy:
        error = refused_by(proxy, waker)
    assert isinstance(error, PlatformUnreachable)
    assert f"the proxy 127.0.0.1:{proxy.port} did not connect" in str(error)
    assert reason in str(error)


@pytest.mark.parametrize(
    "behaviour", [silent, deaf, sending(FOUND[:-1]), dripping(FOUND * 1000, 0.01)]
)
def test_a_slow_proxy_has_an_absolute_deadline(waker: Waker, behaviour: Any) -> None:
    """One byte now and then does not keep a dial alive."""
    began = time.monotonic()
    with RawServer(behaviour) as proxy:
        error = refused_by(proxy, waker, seconds=0.2)
        took = time.monotonic() - began
    assert isinstance(error, PlatformUnreachable)
    assert took < 2


def test_a_silent_proxy_is_interrupted(patience: Patience) -> None:
    """The waker ends the wait for the proxy's answer."""
    asked = threading.Event()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65536)
        asked.set()
        ended.wait(WAIT)

    def wake() -> None:
        assert asked.wait(WAIT)
        patience.waker.wake()

    with RawServer(behaviour) as proxy:
        run("wake", wake)
        with pytest.raises(Interrupted):
            Proxy("127.0.0.1", proxy.port).reach(HOST, 443, patience)


def test_an_agent_stops_while_a_proxy_is_silent() -> None:
    """Nobody waits for the dial's own deadline."""
    with RawServer(silent) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        with Agent(f"wss://{HOST}/", proxy=address) as agent:
            proxy.wait_for_links(1)
            assert agent.stop(0.1) < 2


def test_a_proxy_that_is_down_is_named(waker: Waker) -> None:
    """Without its credentials, and not as if it were the platform."""
    with RawServer(silent) as server:
        pass
    error = refused_by(server, waker)
    assert isinstance(error, PlatformUnreachable)
    text = f"cannot reach the proxy 127.0.0.1:{server.port}: Connection refused"
    assert str(error).startswith(text)


def test_a_blackholed_proxy_has_a_deadline(waker: Waker) -> None:
    """As a platform has."""
    with blackhole() as port:
        settings = settings_for(f"wss://{HOST}/", proxy=f"http://127.0.0.1:{port}")
        assert "in time" in str(failure_of(settings, waker, 0.1))


class Reluctant:
    """A socket that at first is full, and then takes a few bytes at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._full = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def send(self, data: bytes) -> int:
        self._full = not self._full
        if not self._full:
            raise BlockingIOError
        return self._sock.send(data[:7])


def test_a_request_is_written_in_pieces(
    patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel does not take is offered again."""

    def reluctantly(*arguments: Any, **options: Any) -> Any:
        return Reluctant(directly(*arguments, **options))

    monkeypatch.setattr("conversimple.runtime.proxy.directly", reluctantly)
    with HttpProxy({}, credentials="u:p") as proxy:
        way = Proxy.at(proxy.address_with("u:p"))
        with pytest.raises(PlatformUnreachable, match="502"):
            way.reach(HOST, 443, patience)
    assert proxy.requests[0].endswith("Basic dTpw\r\n\r\n")


def test_a_request_that_cannot_be_written_is_not_shown(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback comes from where the credentials are sent."""

    class Full(Reluctant):
        def send(self, data: bytes) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    def fully(*arguments: Any, **options: Any) -> Any:
        return Full(directly(*arguments, **options))

    monkeypatch.setattr("conversimple.runtime.proxy.directly", fully)
    with RawServer(silent) as proxy:
        error = refused_by(proxy, waker)
    assert isinstance(error, PlatformUnreachable)
    assert error.__cause__
    frames = traceback.extract_tb(error.__cause__.__traceback__)
    assert "_ask" in [frame.name for frame in frames]


def test_a_wrong_answer_gives_the_descriptor_back(patience: Patience) -> None:
    """Or a proxy in trouble would use up the process's descriptors."""
    gone = threading.Event()

    def behaviour(sock: socket.socket, ended: threading.Event) -> None:
        sock.sendall(WANTS_CREDENTIALS)
        while sock.recv(65536):
            pass
        gone.set()

    with RawServer(behaviour) as server:
        with pytest.raises(HandshakeRefused) as caught:
            Proxy("127.0.0.1", server.port).reach(HOST, 443, patience)
        assert gone.wait(WAIT)
    assert caught.value.status == 407
