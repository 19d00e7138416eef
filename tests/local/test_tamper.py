"""The proxy on a loop, with sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from conversimple.local import PortInUse
from conversimple.local.tamper import Tamper, listen

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def judge(line: bytes) -> bool:
    """Agents say so."""
    return line.startswith(b"agent")


class Stage:
    """A server that echoes, behind a proxy."""

    def __init__(self, tamper: Tamper, port: int) -> None:
        self.tamper = tamper
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, first_line: bytes) -> Streams:
        """A client that has heard its first line again."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(first_line)
        assert await reader.readline() == first_line
        return reader, writer

    async def close(self) -> None:
        """Closes all clients."""
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it hears."""
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Opened and closed."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    tamper = Tamper(judge=judge)
    tamper.target_port = server.sockets[0].getsockname()[1]
    listener = listen(0)
    port = listener.getsockname()[1]
    await tamper.listen(listener)
    opened = Stage(tamper, port)
    try:
        yield opened
    finally:
        await tamper.close(grace=0.0)
        await opened.close()
        server.close()


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Runs a test to its end."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 10))

    run.__doc__ = test.__doc__
    return run


@on_a_loop
async def test_only_agents_are_cut() -> None:
    """Who asks for something else goes on."""
    async with stage() as opened:
        agent, _ = await opened.connect(b"agent 1\n")
        page, writer = await opened.connect(b"GET / HTTP/1.1\n")
        assert opened.tamper.cut() == 1
        with pytest.raises(ConnectionResetError):
            await agent.read()
        writer.write(b"still there?\n")
        assert await page.readline() == b"still there?\n"
        assert (opened.tamper.links, opened.tamper.cuts) == (2, 1)


@on_a_loop
async def test_only_agents_are_stalled() -> None:
    """And slowed down."""
    async with stage() as opened:
        agent, writer = await opened.connect(b"agent 1\n")
        opened.tamper.stall()
        page, other = await opened.connect(b"GET / HTTP/1.1\n")
        writer.write(b"held\n")
        other.write(b"free\n")
        assert await page.readline() == b"free\n"
        opened.tamper.resume()
        assert await agent.readline() == b"held\n"
        opened.tamper.trickle(period=3600.0)
        other.write(b"free again\n")
        assert await page.readline() == b"free again\n"


@on_a_loop
async def test_a_link_is_known_by_its_port() -> None:
    """That of the connection to the server, as long as it lives."""
    async with stage() as opened:
        _, writer = await opened.connect(b"agent 1\n")
        (link,) = opened.tamper._open
        assert link.port is not None
        assert opened.tamper.link_of(link.port) is link
        writer.close()
        while opened.tamper.link_of(link.port):
            await asyncio.sleep(0)
        assert link.is_over


@on_a_loop
async def test_refusing_lets_the_links_live() -> None:
    """The port is free for somebody else."""
    async with stage() as opened:
        reader, writer = await opened.connect(b"agent 1\n")
        opened.tamper.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", opened.port)
        with closing(listen(opened.port)):
            writer.write(b"on\n")
            assert await reader.readline() == b"on\n"


@on_a_loop
async def test_many_links_at_once() -> None:
    """None is lost while they are accepted."""
    async with stage() as opened:
        lines = [b"agent %d\n" % number for number in range(200)]
        streams = await asyncio.gather(*map(opened.connect, lines))
        assert opened.tamper.cut("fin") == opened.tamper.links == len(lines)
        for reader, _ in streams:
            assert await reader.read() == b""


@on_a_loop
async def test_closing_waits_for_the_last_words_of_the_server() -> None:
    """Not for those of the client, and not for who is stalled."""
    said = asyncio.Event()

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"x" * 1_000_000)
        writer.close()
        said.set()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    tamper = Tamper(server.sockets[0].getsockname()[1])
    listener = listen(0)
    port = listener.getsockname()[1]
    await tamper.listen(listener)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"agent\n")
    await said.wait()
    closing_it = asyncio.create_task(tamper.close(grace=60.0))
    assert len(await reader.read()) == 1_000_000
    await closing_it
    writer.close()

    tamper.stall()
    await tamper.listen(listen(0))
    await tamper.close(grace=60.0)
    server.close()


def test_a_taken_port_is_told() -> None:
    """By its number."""
    with closing(listen(0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)) as caught:
            listen(port)
        assert caught.value.port == port


def test_other_errors_of_listening_stay_what_they_are() -> None:
    """And the socket is closed."""
    with pytest.raises(OverflowError):
        listen(70_000)


def test_frames_do_not_wait_for_each_other() -> None:
    """Nagle's algorithm is off on accepted sockets: asyncio looks at the protocol."""
    with closing(listen(0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_any_address_can_be_listened_on() -> None:
    """Of this machine."""
    with closing(listen(0, "127.0.0.2")) as listener:
        assert listener.getsockname()[0] == "127.0.0.2"
