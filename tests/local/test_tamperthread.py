"""The proxy as chaos tests use it: it carries, and it breaks."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest
import websocket

from conversimple.local import PortInUse
from conversimple.local.rules import Direction, How
from conversimple.local.tamperthread import TamperThread
from tests.support import rawserver
from tests.support.client import BEAT, LOST, PUSH, Client, pair
from tests.support.rawserver import RawServer, sending
from tests.support.scripted import ScriptedServer
from tests.support.threads import eventually, no_thread_left


@pytest.fixture(autouse=True)
def nothing_left() -> Any:
    """Every test ends the threads that it began."""
    with no_thread_left(("support-", "conversimple-"), timeout=0.5):
        yield


def test_proxy_carries() -> None:
    """Handshake, frames both ways and the close pass unchanged, over TLS as well."""
    with ScriptedServer(tls=True) as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            client.send(PUSH)
            assert connection.receive() == PUSH
            connection.send_text(json.dumps("x" * 10**6))
            assert len(client.receive()) == 10**6
            client.socket.close(4002)
        assert connection.wait_closed() == 4002
        proxy.wait_for_links(1)
        with pytest.raises(TimeoutError, match="1 of 2 links"):
            proxy.wait_for_links(2, timeout=0.01)


@pytest.mark.parametrize(
    "how, error",
    [
        ("fin", websocket.WebSocketConnectionClosedException),
        ("rst", ConnectionResetError),
        ("blackhole", websocket.WebSocketTimeoutException),
    ],
)
def test_proxy_cuts(how: How, error: type[Exception]) -> None:
    """Live links end in the manner asked for, and new ones are carried."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            if how != "blackhole":
                proxy.cut(how)
            else:
                proxy.blackhole()
                client.socket.settimeout(0.05)
                client.send(PUSH)
                connection.send(PUSH)
            with pytest.raises(error):
                client.receive()
        if how != "blackhole":
            assert connection.wait_closed() == 1006
        with Client(proxy.url_for(server.url)):
            server.accept()
        assert proxy.links == 2


@pytest.mark.parametrize("n_bytes", [0, 1, 17, 40])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_proxy_cuts_after_so_many_bytes(
    n_bytes: int, direction: Direction, how: How
) -> None:
    """Exactly n bytes arrive before the cut, which happens once."""
    seen = [b""]

    def reading(sock: socket.socket, ended: threading.Event) -> None:
        while data := sock.recv(4096):
            seen[0] += data

    def writing(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(1)
        sending(b"x" * 40)(sock, ended)

    behaviour = reading if direction == "up" else writing
    with RawServer(behaviour) as server, TamperThread(server.port) as proxy:
        proxy.cut_after(n_bytes, direction, how)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            if direction == "up":
                client.sendall(b"x" * 40)
                read_to_the_end(client)
                eventually(lambda: len(seen[0]) == n_bytes)
            else:
                client.sendall(b"!")
                assert len(read_to_the_end(client)) == n_bytes


def test_proxy_counts_over_several_reads() -> None:
    """The bytes before a cut need not come at once."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            size = client.socket.send(json.dumps(BEAT))
            assert connection.receive() == BEAT
            proxy.cut_after(2 * size + 1, "up", "rst")
            client.send(BEAT)
            assert connection.receive() == BEAT
            client.send(BEAT)
            client.send(BEAT)
            with pytest.raises(ConnectionResetError):
                client.receive()
            assert list(connection.frames()) == [BEAT]


def read_to_the_end(sock: socket.socket) -> bytes:
    """Return all bytes up to the end or a reset."""
    read = b""
    try:
        while data := sock.recv(4096):
            read += data
    except ConnectionResetError:
        pass
    return read


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_proxy_cuts_a_link_that_is_stuck(how: How) -> None:
    """A stalled link, or one whose peer reads nothing, is cut as well."""
    with RawServer(sending(b"x" * 10**7)) as server:
        with TamperThread(server.port, narrow=True) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
                assert client.recv(1) == b"x"
                proxy.stall("up")
                proxy.cut(how)
                assert len(read_to_the_end(client)) < 10**7


def test_proxy_stalls_and_resumes() -> None:
    """What was held back in one direction arrives afterwards, in order."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            proxy.stall("up")
            client.send(BEAT)
            client.send(PUSH)
            connection.send(BEAT)
            assert client.receive() == BEAT
            with pytest.raises(AssertionError, match="no frame"):
                connection.receive(timeout=0.02)
            proxy.resume()
            assert [connection.receive(), connection.receive()] == [BEAT, PUSH]


def test_proxy_trickles() -> None:
    """Few bytes pass at a time, and then none for the period, until it heals."""
    with RawServer(sending(b"x" * 3000)) as server, TamperThread(server.port) as proxy:
        proxy.trickle("down", n_bytes=100, period=0.01)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            begun = time.monotonic()
            portions = [client.recv(65536) for _ in range(5)]
            assert max(map(len, portions)) < 1000
            assert time.monotonic() - begun > 0.025
            proxy.trickle("down", n_bytes=1, period=60.0)
            proxy.heal()
            rest = 0
            while rest < 3000 - sum(map(len, portions)):
                rest += len(client.recv(65536))


def test_proxy_trickles_in_one_direction_only() -> None:
    """The other one is as fast as ever."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            proxy.trickle("down", n_bytes=1, period=60.0)
            client.send(PUSH)
            client.send(BEAT)
            assert [connection.receive(), connection.receive()] == [PUSH, BEAT]


def test_proxy_heals() -> None:
    """Nothing is held back and nothing will be cut any more."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            proxy.stall()
            proxy.cut_after(1, "up")
            proxy.heal()
            client.send(BEAT)
            assert connection.receive() == BEAT
        assert proxy.cuts == 0


def test_proxy_counts_cuts() -> None:
    """The struck links are counted, and can be waited for."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, _ = pair(proxy.url_for(server.url), server)
        with client:
            proxy.cut_after(1, "up", "blackhole")
            assert not proxy.wait_for_cuts(1, timeout=0.01)
            client.send(BEAT)
            assert proxy.wait_for_cuts(1)
        assert not proxy.wait_for_cuts(2, timeout=0.01)


def test_proxy_that_is_stalled_blocks_a_large_send() -> None:
    """When it is narrow a frame of a megabyte cannot be sent into it."""
    with ScriptedServer() as server:
        with TamperThread(server.port, narrow=True) as proxy:
            client, _ = pair(proxy.url_for(server.url), server)
            with client:
                proxy.stall()
                client.socket.settimeout(0.1)
                with pytest.raises(websocket.WebSocketTimeoutException):
                    client.socket.send("x" * 10**6)


def test_proxy_refuses_and_allows() -> None:
    """New connections are refused while the old ones live, and then accepted again."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        url = proxy.url_for(server.url)
        client, connection = pair(url, server)
        with client:
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                Client(url)
            client.send(BEAT)
            assert connection.receive() == BEAT
            proxy.allow()
            with Client(url):
                server.accept()


def test_proxy_passes_a_reset_on() -> None:
    """A reset by the server reaches the client as a reset."""
    with ScriptedServer() as server, TamperThread(server.port) as proxy:
        client, connection = pair(proxy.url_for(server.url), server)
        with client:
            connection.abort()
            with pytest.raises(ConnectionResetError):
                client.receive()


def test_proxy_without_a_server() -> None:
    """Nobody behind the proxy: the client is let go."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with TamperThread(port) as proxy:
        with pytest.raises(LOST):
            Client(f"ws://127.0.0.1:{proxy.port}/")


@pytest.mark.parametrize("behaviour", [rawserver.silent, rawserver.deaf])
def test_proxy_ends_while_clients_hang_on(behaviour: rawserver.Behaviour) -> None:
    """With connections open, stalled, and nobody reading."""
    with socket.socket() as client:
        with RawServer(behaviour) as server, TamperThread(server.port) as proxy:
            proxy.stall()
            client.connect(("127.0.0.1", proxy.port))
            server.wait_for_links(1)


def test_proxy_whose_port_is_taken() -> None:
    """Tells it in the thread that began it."""
    with RawServer(rawserver.silent) as server, TamperThread(server.port) as proxy:
        other = TamperThread(server.port)
        other.port = proxy.port
        with pytest.raises(PortInUse):
            other.__enter__()
