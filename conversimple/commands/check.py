"""``conversimple check``: from the settings to the platform's welcome, step by step."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from ..agent import ConversimpleAgent
from ..errors import ConversimpleError, RetriesExhausted
from ..runtime import dial
from ..runtime.sockets import Waker
from ..runtime.transport import NORMAL, open_transport
from ..settings import Settings, log_level, resolve
from .cures import cure_of
from .failure import CommandFailed, one_line
from .making import SETTINGS

HIDDEN = "***"


def main(arguments: Namespace) -> int:
    """Print each step with its result, up to the first one that fails."""
    typed = {name: getattr(arguments, name) for name in SETTINGS}
    with _step("settings") as say:
        settings = resolve(**typed)
        log_level()
        say(f"{settings.public_url}, customer {settings.customer_id}, an API key")
    with closing(Waker()) as waker:
        if not settings.proxy:  # which does all of this in our place
            _check_network(settings, waker)
        _check_handshake(settings, waker)
    _check_join(settings)
    print("agents can work with this platform")
    return 0


def _check_network(settings: Settings, waker: Waker) -> None:
    url = urlsplit(settings.platform_url)
    host = url.hostname or ""
    port = url.port or dial.PORTS[url.scheme]
    with _step("DNS") as say:
        addresses = dial.resolve(host, port, _patience(settings, waker))
        say(f"{host} is {', '.join(str(address[0]) for _, address in addresses)}")
    with _step("TCP") as say:
        sock = dial.connect(addresses, _patience(settings, waker))
        say(f"{sock.getpeername()[0]} answers on port {port}")
    with _step("TLS") as say:
        if url.scheme == "wss":
            context = settings.ssl_context
            sock = dial.secure(sock, host, _patience(settings, waker), context)
            say(f"the certificate of {host} is trusted")
        else:
            say("not used, because the address begins with ws://")
        sock.close()


def _check_handshake(settings: Settings, waker: Waker) -> None:
    with _step("handshake") as say:
        open_transport(settings, _patience(settings, waker)).close(NORMAL)
        say(f"{settings.public_url} took the API key")


def _check_join(settings: Settings) -> None:
    with _step("join", hide=settings.api_key) as say:
        _join(settings)
        say(f"the agent was let in as customer {settings.customer_id}")


def _join(settings: Settings) -> None:
    agent = ConversimpleAgent(
        settings.api_key,
        settings.customer_id,
        settings.platform_url,
        max_reconnect_attempts=0,
    )
    try:
        # Without a conversation of its own it would answer other agents' calls.
        agent.start(conversation_id=f"check_{uuid4().hex}").result()
    except RetriesExhausted as error:
        raise error.__cause__ or error
    finally:
        agent.stop().result()


def _patience(settings: Settings, waker: Waker) -> dial.Patience:
    deadline = time.monotonic() + settings.connection_timeout
    return dial.Patience(waker, deadline, time.monotonic)


@contextmanager
def _step(name: str, hide: str = "") -> Iterator[Callable[[str], None]]:
    """Do one step, and tell how it went.

    Args:
        name: the step's name.
        hide: what must not be shown, though the platform may have said it.

    Raises:
        CommandFailed: the step failed, which has been told.
    """
    try:
        yield lambda text: print(f"{name:<9}  ok      {text}")
    except (ConversimpleError, OSError) as error:
        text = _text_of(error)
        print(f"{name:<9}  failed  {text.replace(hide, HIDDEN) if hide else text}")
        print(f"{'':<9}  to do   {cure_of(name, error)}")
        raise CommandFailed(f"agents cannot work: the step {name} failed") from error


def _text_of(error: Exception) -> str:
    if isinstance(error, ConversimpleError):
        return one_line(error)
    return dial.describe(error)
