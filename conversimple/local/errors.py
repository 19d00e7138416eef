"""What can go wrong between a caller and the local platform.

::

    ConversimpleError
    └── LocalPlatformError
        ├── PlatformExtraMissing (ImportError)   the extra ``platform`` is not installed
        ├── PortInUse (OSError)                  another program listens on the port
        ├── PlatformStateError (RuntimeError)    called at a moment when it cannot work
        ├── NoAgent (TimeoutError)               nobody joined or registered in time
        ├── CallUnanswered (TimeoutError)        no answer came in time
        └── ProtocolViolated (AssertionError)    an agent sent what it must not send
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConversimpleError


class LocalPlatformError(ConversimpleError):
    """The base of the local platform's own errors."""


class PlatformExtraMissing(LocalPlatformError, ImportError):
    """The packages that the local platform is built on are not installed."""


class PortInUse(LocalPlatformError, OSError):
    """Another program listens on the wanted port.

    Attributes:
        port: the port that was asked for.
    """

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 is in use: stop the program that listens there, "
            "or choose another port (0 means any free one)"
        )
        self.port = port

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return type(self), (self.port,)


class PlatformStateError(LocalPlatformError, RuntimeError):
    """The platform cannot do this now; the message says why."""


class NoAgent(LocalPlatformError, TimeoutError):
    """No agent joined, or none registered its tools, in the given time."""

    retryable = True


class CallUnanswered(LocalPlatformError, TimeoutError):
    """No answer to a tool call came in the given time; it may still come."""

    retryable = True


class ProtocolViolated(LocalPlatformError, AssertionError):
    """One or more agents sent something that the protocol does not allow.

    Attributes:
        violations: one text for each, in the order in which they were seen.
    """

    def __init__(self, violations: Sequence[str]) -> None:
        self.violations = tuple(violations)
        lines = "".join(f"\n  - {violation}" for violation in self.violations)
        super().__init__(f"the agent's side broke the protocol:{lines}")

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.violations,)
