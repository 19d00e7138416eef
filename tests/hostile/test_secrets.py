"""One agent, many failures: its key is held in one place, and shown in none."""

from __future__ import annotations

import gc
import logging
import pickle
import threading
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import websocket
from conversimple import ConfigurationError, ConversimpleAgent, tool, tool_async
from conversimple.settings import Settings
from tests.conftest import WAIT, Seen, stopped_afterwards
from tests.runtime.harness import chain
from tests.support.rawserver import GARBAGE, RawServer, after_handshake, sending, silent
from tests.support.scripted import CHANNEL, ScriptedConnection, ScriptedServer
from tests.support.threads import eventually
from tests.support.tls import client_context, untrusted_server_context

MARKER = "m4rk3r"
KEY = f"{MARKER}/of the+key&"
FORMS = (KEY, quote(KEY, safe=""), quote_plus(KEY), MARKER)

#: What all objects share; functions also know the constants of this test.
SHARED = (type, types.ModuleType, types.FunctionType, types.FrameType)


class Agent(ConversimpleAgent):
    """An agent in which everything fails that can."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(
            KEY,
            "c1",
            url,
            max_backoff=0.01,
            **options,
        )
        self.seen = Seen()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "seen"}

    @tool("Fail")
    def fail(self) -> None:
        raise ValueError(f"no luck for {self!r}")

    @tool_async("Fail")
    async def fail_async(self) -> None:
        raise ValueError(f"no luck for {self!r}")

    @tool("Return what has no JSON form")
    def strange(self) -> Any:
        return self

    def on_conversation_started(self, conversation_id: str) -> None:
        raise RuntimeError(f"{self!r} crashed")

    def on_config_update(self, config: dict[str, Any]) -> None:
        raise SystemExit(repr(self))

    def on_error(self, *what: Any) -> None:
        self.seen(*what)
        raise RuntimeError("also here")


class Collected(logging.Handler):
    """Every record, with the local variables of every traceback in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # The test's own server logs under this name what it is asked.
        if record.name.startswith("websockets"):
            return
        self.texts += [record.getMessage(), repr(record.args), str(record.__dict__)]
        if record.exc_info and record.exc_info[1]:
            self.texts += told_by(record.exc_info[1])


@pytest.fixture(autouse=True)
def records() -> Iterator[Collected]:
    """What is logged at DEBUG by anybody, the library's own tracing included."""
    handler, root = Collected(), logging.getLogger()
    names = ["", "conversimple", "websocket", "tenacity", "asyncio"]
    levels = [
        (logging.getLogger(name), logging.getLogger(name).level) for name in names
    ]
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


def told_by(error: BaseException) -> list[str]:
    """All texts of an exception: its own, and what error trackers record of it."""
    texts = []
    for link in chain(error):
        texts += [str(link), repr(link), repr(link.args), repr(vars(link))]
    for link in chain(error):
        report = traceback.TracebackException.from_exception(link, capture_locals=True)
        texts += ["".join(report.format_exception_only())]
        for frame in report.stack:
            if "hostile" not in frame.filename:
                texts += (frame.locals or {}).values()
    return texts


def reachable(root: Any) -> list[Any]:
    """Every object that an object leads to."""
    seen: dict[int, Any] = {}
    found = [root]
    while found:
        item = found.pop()
        if id(item) not in seen and not isinstance(item, SHARED):
            seen[id(item)] = item
            found += gc.get_referents(item)
    return list(seen.values())


def shown_by(root: Any) -> list[str]:
    """What the objects behind an object show of themselves."""
    texts = []
    for item in reachable(root):
        if type(item) not in (str, bytes, dict, list, tuple, set):
            with suppress(Exception):
                texts += [repr(item), str(item)]
    return texts


def holders(root: Any) -> set[str]:
    """What holds the key itself."""
    settings = [item for item in reachable(root) if isinstance(item, Settings)]
    # Asking for the dictionary may make it, so that it is reached only afterwards.
    ours = {id(vars(item)) for item in settings} | {id(item) for item in settings}
    return {
        "Settings" if id(item) in ours else f"{type(item)}: {item!r}"
        for item in reachable(root)
        for part in gc.get_referents(item)
        if isinstance(part, (str, bytes)) and MARKER in str(part)
    }


def assert_secret(*texts: str) -> None:
    """The key is in none of them, in none of its forms."""
    for text in texts:
        for form in FORMS:
            assert form not in text


def assert_kept(agent: Agent, records: Collected) -> None:
    """The key is where it belongs, and nowhere else."""
    assert_secret(str(records.texts), *map(repr, agent.seen.items))
    assert_secret(repr(agent), str(vars(agent)), repr(agent.health()))
    assert_secret(*shown_by(agent))
    assert holders(agent) == {"Settings"}
    assert_secret(*(repr(thread) for thread in threading.enumerate()))


def failure_of(agent: Agent) -> BaseException:
    """Why an agent never joined."""
    with pytest.raises(Exception) as caught:
        agent.start("conv_1").result(WAIT)
    return caught.value


# Before the join ----------------------------------------------------------------------


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """A server that refuses, and repeats what it was told."""
    with ScriptedServer() as server:
        headers = {"X-Key": MARKER, "Location": f"ws://127.0.0.1:9/{MARKER}"}
        server.refuse(status, headers, KEY.encode(), times=9)
        yield server.url


@contextmanager
def raw(answer: bytes) -> Iterator[str]:
    """A server that answers the handshake with these bytes."""
    with RawServer(sending(answer)) as server:
        yield server.url


@contextmanager
def untrusted() -> Iterator[str]:
    """A server whose certificate nobody signed."""
    with ScriptedServer(tls=untrusted_server_context()) as server:
        yield server.url


@contextmanager
def never_joining() -> Iterator[str]:
    """A server that is silent to the join."""
    with RawServer(after_handshake(silent)) as server:
        yield server.url


@contextmanager
def unfriendly() -> Iterator[str]:
    """A server that refuses the join."""
    with ScriptedServer(auto=CHANNEL - {"phx_join"}) as server:

        def refuse() -> None:
            peer = server.accept()
            peer.reply(peer.expect("phx_join"), "error", {"reason": "unauthorized"})

        thread = threading.Thread(target=refuse, name="test-refuse")
        thread.start()
        yield server.url
        thread.join(WAIT)


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    yield "ws://127.0.0.1:9/"


STATUS = f"HTTP/1.1 401 {MARKER}\r\nX-A: {MARKER}\r\n\r\n{MARKER}".encode()
REFUSALS: dict[str, Callable[[], Any]] = {
    "401": lambda: refusing(401),
    "302": lambda: refusing(302),
    "503": lambda: refusing(503),
    "a reason in the status line": lambda: raw(STATUS),
    "a status that is none": lambda: raw(f"HTTP/1.1 {MARKER}\r\n\r\n".encode()),
    "a wrong accept": lambda: raw(
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + MARKER.encode() + b"\r\n\r\n"
    ),
    "garbage": lambda: raw(GARBAGE + KEY.encode()),
    "an untrusted certificate": untrusted,
    "a silent join": never_joining,
    "a refused join": unfriendly,
    "nobody": nobody,
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_start_that_fails(refusal: Callable[[], Any], records: Collected) -> None:
    """The failure, its causes, its tracebacks with their variables, and the log."""
    with refusal() as url:
        agent = Agent(url, max_reconnect_attempts=0, connection_timeout=0.3)
        with stopped_afterwards(agent):
            error = failure_of(agent)
            assert_secret(*told_by(error))
            agent.stop().result(WAIT)
            assert_kept(agent, records)
            assert_secret(repr(agent.start), repr(agent.stop()))


def test_an_agent_that_cannot_be_made() -> None:
    """What is wrong is told without the text that is wrong."""
    wrong: list[dict[str, Any]] = [
        {"api_key": f"{KEY}\r\n"},
        {"api_key": f"{KEY}\ud800"},
        {"api_key": KEY, "platform_url": f"ws://host/?auth_token={MARKER}"},
        {"api_key": KEY, "platform_url": f"ws://{MARKER}:{MARKER}@host/"},
        {"api_key": KEY, "platform_url": f"http://host/{MARKER}"},
        {"api_key": KEY, "tool_timeout": 0},
        {"api_key": KEY, "customer_id": "a\nb"},
        {"api_key": [KEY]},
    ]
    for arguments in wrong:
        with pytest.raises(ConfigurationError) as caught:
            ConversimpleAgent(**arguments)
        assert_secret(str(caught.value), repr(caught.value), repr(vars(caught.value)))


# After the join -----------------------------------------------------------------------


def fail_in_every_way(peer: ScriptedConnection, seen: Seen) -> None:
    """Have callbacks crash, and tools fail, all of whom show their agent."""
    peer.push(
        "conversation_lifecycle", {"event": "started", "conversation_id": "conv_1"}
    )
    peer.push("config_update", {})
    for name in ("fail", "fail_async", "strange", "missing"):
        request = {"call_id": name, "tool_name": name, "conversation_id": "conv_1"}
        peer.push("tool_call_request", request)
    for _ in range(4):
        while (frame := peer.receive())[3] != "tool_call_error":
            pass
        assert_secret(str(frame))
    peer.send_text("garbage")
    seen.wait(lambda items: len(items) >= 6)


def test_a_life_full_of_failures(
    records: Collected, capfd: pytest.CaptureFixture[str]
) -> None:
    """Crashes, losses, refusals on the way back, and a stop."""
    with ScriptedServer(auto=CHANNEL) as server:
        agent = Agent(server.url, error_detail="full")
        with stopped_afterwards(agent):
            agent.start("conv_1").result(WAIT)
            peer = server.accept()
            fail_in_every_way(peer, agent.seen)
            assert_kept(agent, records)
            server.refuse(503, {"X": MARKER}, KEY.encode(), times=2)
            peer.close(1011, MARKER)
            peer = server.accept()
            peer.wait_joined()
            assert_kept(agent, records)
            peer.abort()
            server.accept().wait_joined()
            agent.stop().result(WAIT)
        assert_kept(agent, records)
    assert len(records.texts) > 50
    assert_secret("\n".join(capfd.readouterr()))


def test_a_permanent_failure_after_a_life(records: Collected) -> None:
    """The failure that ends the agent is kept, and holds nothing."""
    with ScriptedServer(auto=CHANNEL) as server:
        agent = Agent(server.url, max_reconnect_attempts=1)
        with stopped_afterwards(agent):
            agent.start("conv_1").result(WAIT)
            server.refuse(500, {"X": MARKER}, KEY.encode(), times=9)
            server.accept().abort()
            eventually(lambda: str(agent.connection_state) == "failed")
            agent.stop().result(WAIT)
            assert_kept(agent, records)


def test_the_tracing_of_the_library(records: Collected) -> None:
    """Somebody may have asked for it, for connections of their own."""
    websocket.enableTrace(True, logging.NullHandler())
    try:
        with ScriptedServer(auto=CHANNEL) as server:
            agent = Agent(server.url)
            with stopped_afterwards(agent):
                agent.start("conv_1").result(WAIT)
                agent.stop().result(WAIT)
    finally:
        websocket.enableTrace(False)
    assert_kept(agent, records)


def test_a_copy_holds_it_in_the_same_place(records: Collected) -> None:
    """An agent takes its key along, as a secret."""
    copy = pickle.loads(pickle.dumps(Agent("ws://127.0.0.1:9/")))
    copy.seen = Seen()
    assert_kept(copy, records)
    unfit = Agent("ws://127.0.0.1:9/", ssl_context=client_context())
    with pytest.raises(TypeError) as caught:
        pickle.dumps(unfit)
    assert_secret(*told_by(caught.value))


def test_a_platform_that_repeats_the_key(records: Collected) -> None:
    """It is in no record, however the platform puts it; nor are lines of its own."""
    events = {
        "connection_warning": {"message": KEY},
        "hook_event": {"event_type": f"{KEY}\nCRITICAL forged"},
        f"unknown {KEY}": {},
        "x" * 1_000_000: {},
    }
    with ScriptedServer(auto=CHANNEL) as server:
        agent = Agent(server.url)
        with stopped_afterwards(agent):
            agent.start("conv_1").result(WAIT)
            peer = server.accept()
            for event, payload in events.items():
                peer.push(event, payload)
            eventually(lambda: "xxx" in str(records.texts))
            agent.stop().result(WAIT)
    assert_secret(str(records.texts))
    assert all(len(text) < 10_000 and "\nCRIT" not in text for text in records.texts)


def test_a_refusal_that_repeats_the_key(records: Collected) -> None:
    """Neither the failure nor its record shows it, or has lines of its own."""
    with ScriptedServer(auto=CHANNEL - {"phx_join"}) as server:
        agent = Agent(server.url, max_reconnect_attempts=0)
        with stopped_afterwards(agent):
            started = agent.start("conv_1")
            peer = server.accept()
            reason = f"{KEY}\nCRITICAL forged" + "x" * 100_000
            peer.reply(peer.expect("phx_join"), "error", {"reason": reason})
            with pytest.raises(Exception) as caught:
                started.result(WAIT)
            assert_secret(*told_by(caught.value))
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
            agent.stop().result(WAIT)
    assert_secret(str(records.texts))
