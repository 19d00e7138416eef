"""Who may talk to the platform: the developer, and no page of somebody else.

A page on the internet that a developer looks at can send requests to this machine,
under a name of its own that it has pointed here (DNS rebinding). What it cannot do is
choose the headers ``Host`` and ``Origin``, which its browser writes.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from ...errors import ConfigurationError
from ...settings import is_loopback

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Decides by the headers of a request.

    Attributes:
        host: the address that the platform listens on.
        token: what whoever uses the console has to know; None asks for nothing.
    """

    host: str = "127.0.0.1"
    token: str | None = None

    def problem(self, headers: Mapping[str, str]) -> str | None:
        """What is wrong with the headers of a request, in words, or None."""
        host = headers.get("host", "")
        if not self._is_mine(host):
            return f"the Host {host!r} is not this machine: use 127.0.0.1 or localhost"
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host:
            return f"a page of {origin!r} may not use this platform"
        return None

    def knows_token(self, token: str | None) -> bool:
        """Whether somebody may use the console."""
        if self.token is None:
            return True
        return hmac.compare_digest((token or "").encode(), self.token.encode())

    def _is_mine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return self._is_open and name == socket.gethostname().lower()
        # A number cannot be pointed at another machine by whoever owns a name.
        return address.is_loopback or self._is_open

    @property
    def _is_open(self) -> bool:
        return not is_loopback(self.host)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def guard_of(host: str, token: str | None) -> Guard:
    """The guard for an address.

    Raises:
        ConfigurationError: others reach it, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            f"everybody who reaches {host} could call the tools: pass token=, or "
            "listen on 127.0.0.1"
        )
    return Guard(host, token)
