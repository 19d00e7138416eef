"""The platform on your own machine, for tests, demonstrations and development."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .calls import ConversationRecord
from .console.guard import guard_of
from .conversation import Conversation
from .errors import (
    NoAgent,
    PlatformExtraMissing,
    PlatformStateError,
    ProtocolViolated,
)
from .faultpanel import FaultPanel
from .faults import Faults, HandshakeRefusal
from .history import History, Violation, Violations, WireEntry
from .life import Life
from .loop import Changes
from .phoenix import json_copy
from .switchboard import Switchboard
from .tamper import Tamper

if TYPE_CHECKING:
    from .app import SocketEndpoint
    from .connection import Connection
    from .console.console import Console
    from .server import ServerThread

T = TypeVar("T")

PATH = "/sdk/websocket"
AGENT_PATHS = (b"/sdk/websocket", b"/customer_sdk/websocket")
RESTARTING = 1012


class LocalPlatform:
    """The server side of the platform, on 127.0.0.1, in a thread of its own.

    ::

        with LocalPlatform() as platform:
            ...  # start an agent with platform_url=platform.url
            conversation = platform.start_conversation()
            assert conversation.call("get_weather", location="Oslo") == {...}

    It speaks to agents as a Phoenix server does and is strict about what they send:
    whatever is wrong is kept in `violations`, and leaving the block raises it. All
    methods and attributes may be used from any thread; times are seconds.

    Args:
        port: the port to listen on; 0 means any free one.
        api_keys: the keys that are let in; None means any key that is not empty.
        strict: whether leaving the block raises when there were violations.
        idle_timeout: how long a client may be silent before its socket is closed.
        history_size: how many frames `history` keeps.
        console: whether a page at ``/`` shows what goes on, and calls tools; see
            `console`.
        host: the address to listen on. On other addresses than this machine's own,
            everybody there can call the tools: that needs a token.
        token: what the console asks for, and then also the only API key that is let
            in; None asks for nothing.

    Attributes:
        console: the console, or None.

    Raises:
        ConfigurationError: a host that others reach, and no token.
        PlatformExtraMissing: the packages of the extra ``platform`` are missing.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        api_keys: Collection[str] | None = None,
        strict: bool = True,
        idle_timeout: float = 60.0,
        history_size: int = 10_000,
        console: bool = False,
        host: str = "127.0.0.1",
        token: str | None = None,
    ) -> None:
        self._strict = strict
        self._faults = Faults()
        self._switchboard = Switchboard(self._faults)
        self._history = History(history_size)
        self._violations = Violations()
        self._changes = Changes()
        self._tamper = Tamper(judge=is_agent, changed=self._links_changed)
        self._guard = guard_of(host, token)
        self.console: Console | None = None
        keys = api_keys if token is None else {token}
        self._endpoint, self._server = self._build(keys, idle_timeout, console)
        self._life = Life(self._server, port, host)
        self._panel = FaultPanel(
            self._server, self._life, self._tamper, self._faults, self._switchboard
        )

    # Life

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            PlatformStateError: it was never started.
        """
        if self._life.port is None:
            raise PlatformStateError("the port is chosen by start()")
        return self._life.port

    @property
    def url(self) -> str:
        """The ``platform_url`` for agents.

        Raises:
            PlatformStateError: it was never started.
        """
        return f"ws://127.0.0.1:{self.port}{PATH}"

    def start(self) -> LocalPlatform:
        """Listens and serves; returns when agents can connect.

        After `stop` it listens on the same port again and remembers its conversations.

        Raises:
            PortInUse: another program listens on the port.
            PlatformStateError: it runs already.
        """
        self._life.start()
        return self

    def stop(self) -> None:
        """Closes every connection and ends the thread; calls and conversations stay."""
        self._life.stop()

    def serve_forever(self) -> None:
        """Starts if need be, and returns when it is stopped, at the latest by Ctrl-C.

        Raises:
            PortInUse: another program listens on the port.
            KeyboardInterrupt: on Ctrl-C, after it was stopped.
        """
        if not self._life.is_running:
            self.start()
        try:
            self._life.join()
        finally:
            self.stop()

    def __enter__(self) -> LocalPlatform:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if kind is None and self._strict:
            self.check()

    # What agents did

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._switchboard.connections)

    @property
    def agents(self) -> int:
        """How many channels are joined."""
        return len(self._switchboard.channels)

    @property
    def handshakes(self) -> int:
        """How many connections were asked for, refused ones included."""
        return self._endpoint.handshakes

    @property
    def history(self) -> list[WireEntry]:
        """The latest frames that crossed the wire, oldest first: a snapshot."""
        return self._history.snapshot()

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Everything that agents sent and must not send: a snapshot."""
        return self._violations.snapshot()

    def check(self) -> None:
        """Raises when an agent broke the protocol.

        Raises:
            ProtocolViolated: with all violations.
        """
        violations = self.violations
        if violations:
            raise ProtocolViolated([str(violation) for violation in violations])

    def wait_until(
        self, condition: Callable[[], bool], timeout: float = 10.0, what: str = ""
    ) -> None:
        """Waits for anything that can be read off the platform.

        Args:
            condition: asked on the server's thread after each change there; it must be
                quick and must not wait.
            timeout: in seconds.
            what: what is waited for, for the error's text.

        Raises:
            TimeoutError: it did not become true in time.
            PlatformStateError: the platform does not run, or was stopped meanwhile.
        """
        if not self._server.wait(condition, timeout):
            raise TimeoutError(f"not within {timeout:g} s: {what or condition}")

    def wait_for_agent(
        self, timeout: float = 10.0, *, customer_id: str | None = None
    ) -> None:
        """Waits until an agent has joined.

        Args:
            timeout: in seconds.
            customer_id: whose agent; None means anybody's.

        Raises:
            NoAgent: none joined in time.
            PlatformStateError: the platform does not run, or was stopped meanwhile.
        """
        if not self._server.wait(lambda: self._is_there(customer_id), timeout):
            raise NoAgent(
                f"no agent has joined within {timeout:g} s; connections: "
                f"{self.connections}, handshakes so far: {self.handshakes}"
            )

    # The caller's side

    def start_conversation(
        self,
        conversation_id: str | None = None,
        customer_id: str | None = None,
        *,
        timeout: float = 10.0,
    ) -> Conversation:
        """Waits for an agent, starts a conversation, and waits for its tools.

        All sockets of the customer are told once; who joins later is not told again.

        Args:
            conversation_id: None chooses a new one.
            customer_id: whose conversation; None means the only customer with agents.
            timeout: for both waits together, in seconds.

        Raises:
            NoAgent: none joined, or none registered tools, in time.
            PlatformStateError: several customers have agents and none was named.
        """
        deadline = time.monotonic() + timeout
        self.wait_for_agent(timeout, customer_id=customer_id)
        conversation = self.conversation(conversation_id, customer_id)
        conversation.start()
        conversation.wait_until_registered(max(0.0, deadline - time.monotonic()))
        return conversation

    def conversation(
        self, conversation_id: str | None = None, customer_id: str | None = None
    ) -> Conversation:
        """Gives a handle on a conversation without telling anybody of it.

        Args:
            conversation_id: a known one or a new one; None chooses a new one.
            customer_id: whose it is if it is new; None means the only customer with
                agents.

        Raises:
            PlatformStateError: no customer was named, and there is not exactly one.
        """
        wanted = conversation_id or f"conv_{secrets.token_hex(4)}"
        record = self._server.perform(lambda: self._record(wanted, customer_id))
        return Conversation(self._server, self._switchboard, record)

    def announce_ready(
        self, conversation_id: str, agent_id: str, customer_id: str | None = None
    ) -> Conversation:
        """Sends ``conversation_ready``; does not wait for the tools.

        Args:
            conversation_id: a known one or a new one.
            agent_id: the platform's name for the agent.
            customer_id: as for `conversation`.

        Raises:
            PlatformStateError: no customer was named, and there is not exactly one.
        """
        conversation = self.conversation(conversation_id, customer_id)
        payload = {
            "conversation_id": conversation_id,
            "agent_id": agent_id,
            "customer_id": conversation.customer_id,
        }
        self.send("conversation_ready", payload, conversation.customer_id)
        return conversation

    def send(self, event: str, payload: Any, customer_id: str | None = None) -> int:
        """Broadcasts any event, a known or an unknown one, with any payload.

        Args:
            event: such as ``config_update``, ``error_notification``, ``hook_event``.
            payload: anything that has a JSON form.
            customer_id: whose agents hear it; None means everybody's.

        Returns:
            How many channels it was sent to.

        Raises:
            ValueError, TypeError: the payload has no JSON form.
            PlatformStateError: the platform does not run.
        """
        wanted = json_copy(payload)
        return self._server.perform(
            lambda: self._switchboard.broadcast(customer_id, event, wanted)
        )

    def send_raw(self, data: str | bytes) -> int:
        """Sends garbage, or anything else, to every socket as one text or binary frame.

        Returns:
            How many sockets it was sent to.

        Raises:
            ValueError: half a surrogate pair in the text.
            PlatformStateError: the platform does not run.
        """
        if isinstance(data, str):
            data.encode()
        return self._each_connection(lambda connection: connection.send_raw(data))

    # Faults

    @property
    def faults(self) -> FaultPanel:
        """Everything that can go wrong, as methods."""
        return self._panel

    @property
    def replies(self) -> bool:
        """Whether pushes get a ``phx_reply``; joins, leaves, heartbeats always do."""
        return self._faults.replies

    @replies.setter
    def replies(self, value: bool) -> None:
        self._faults.replies = value

    @property
    def redelivery(self) -> bool:
        """Whether unanswered requests are asked again of an agent that comes back."""
        return self._faults.redelivery

    @redelivery.setter
    def redelivery(self, value: bool) -> None:
        self._faults.redelivery = value

    @property
    def broadcasts(self) -> bool:
        """Whether requests go to all the customer's sockets, as on the platform.

        Otherwise they go to those which have registered the conversation's tools.
        """
        return self._faults.broadcasts

    @broadcasts.setter
    def broadcasts(self, value: bool) -> None:
        self._faults.broadcasts = value

    def refuse_join(self, reason: str = "unauthorized", times: int = 1) -> None:
        """Answers the next joins with an error of this reason."""
        self._faults.refuse_join(reason, times)

    def refuse_handshake(
        self, status: int = 403, times: int = 1, retry_after: float | None = None
    ) -> None:
        """Answers the next handshakes with an HTTP status.

        Args:
            status: such as 403 or 503.
            times: how many handshakes.
            retry_after: for the header of that name, in seconds.
        """
        self._faults.refuse_handshake(HandshakeRefusal(status, retry_after), times)

    def drop_connections(self, code: int = RESTARTING) -> int:
        """Closes every socket with this close code, and tells how many there were.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self._each_connection(lambda connection: connection.close(code))

    def crash_channel(self, customer_id: str | None = None) -> int:
        """Crashes the joined channels (``phx_error``), and tells how many.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self.faults.crash_channel(customer_id)

    def close_channel(self, customer_id: str | None = None) -> int:
        """Closes the joined channels (``phx_close``), and tells how many.

        Raises:
            PlatformStateError: the platform does not run.
        """
        return self.faults.close_channel(customer_id)

    # Inside

    def _build(
        self, api_keys: Collection[str] | None, idle_timeout: float, console: bool
    ) -> tuple[SocketEndpoint, ServerThread]:
        try:
            from . import app, connection, server
            from .console.console import Console
        except ModuleNotFoundError as error:
            raise PlatformExtraMissing(
                f"the local platform needs {error.name}: "
                'pip install "conversimple-sdk[platform]"'
            ) from error
        changes = self._changes
        surroundings = connection.Surroundings(
            self._switchboard,
            self._faults,
            self._history,
            self._violations,
            self._tamper.link_of,
        )
        endpoint = app.SocketEndpoint(
            surroundings, changes, api_keys, idle_timeout, self._guard
        )
        if console:
            self.console = Console(
                self, surroundings, changes, self._guard, lambda do: self._perform(do)
            )
        pages = [] if self.console is None else self.console.routes()
        served = app.build(endpoint, self._guard, pages)
        return endpoint, server.ServerThread(served, changes, self._tamper)

    def _perform(self, action: Callable[[], T]) -> T:
        return self._server.perform(action)

    def _is_there(self, customer_id: str | None) -> bool:
        return bool(self._switchboard.channels_of(customer_id))

    def _record(
        self, conversation_id: str, customer_id: str | None
    ) -> ConversationRecord:
        known = self._switchboard.conversations.get(conversation_id)
        if known is not None and customer_id in (None, known.customer_id):
            return known
        owner = customer_id or self._only_customer()
        return self._switchboard.conversation(conversation_id, owner)

    def _only_customer(self) -> str:
        customers = self._switchboard.customers()
        if len(customers) != 1:
            there = ", ".join(customers) or "none"
            raise PlatformStateError(
                f"say customer_id=: not exactly one customer has agents ({there})"
            )
        return customers[0]

    def _each_connection(self, action: Callable[[Connection], None]) -> int:
        return self._server.perform(lambda: self._switchboard.each(action))

    def _links_changed(self) -> None:
        self._switchboard.forget_cut()
        self._changes.announce()


def is_agent(first_line: bytes) -> bool:
    """Tells from its first line whether a client is an agent, by the path it asks for.

    The line comes from anybody, and need not be HTTP.
    """
    method, _, rest = first_line.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    return method == b"GET" and path in AGENT_PATHS
