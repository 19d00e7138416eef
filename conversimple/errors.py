"""Every exception that the SDK raises, in one tree.

::

    ConversimpleError
    ├── ConfigurationError (ValueError)      a setting is missing or wrong
    ├── ToolDefinitionError (TypeError)      a tool cannot be described
    ├── AgentStateError (RuntimeError)       called at a moment when it cannot work
    ├── JournalError                         the journal cannot be read or written
    ├── ClaimsError                          it cannot be agreed who serves what
    ├── ConnectionFailed (ConnectionError)   no working connection to the platform
    │   ├── PlatformUnreachable              DNS, TCP, TLS, a time-out: nobody answered
    │   ├── HandshakeRefused                 an HTTP status instead of a WebSocket
    │   ├── CertificateRejected              the server's certificate is not trusted
    │   ├── JoinRefused                      the channel said no
    │   ├── RegistrationFailed               the tools bring the platform down
    │   ├── ConnectionLost                   an open connection ended
    │   └── RetriesExhausted                 the configured attempts are used up
    ├── ToolError                            raised by tools; the model may hear it
    └── ToolCallFailed                       a tool call was answered with an error

``retryable`` says whether trying the same again can help.
"""

from __future__ import annotations

from collections.abc import Sequence


class ConversimpleError(Exception):
    """The base of every exception of this package."""

    retryable: bool = False


class ConfigurationError(ConversimpleError, ValueError):
    """A setting is missing or wrong; the message names it and the cure."""


class ToolDefinitionError(ConversimpleError, TypeError):
    """One or more tools cannot be described to the platform.

    Attributes:
        problems: one sentence for each problem, each naming the cure.
    """

    def __init__(self, owner: str, problems: Sequence[str]) -> None:
        self.owner = owner
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{owner} has tools that cannot be offered:{lines}")

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (self.owner, self.problems)


class AgentStateError(ConversimpleError, RuntimeError):
    """The agent is in a state in which this cannot work; the message says which."""


class JournalError(ConversimpleError):
    """The journal cannot be read or written; the message says why.

    Attributes:
        path: the journal's file.
    """

    retryable = True

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"the journal {path} cannot be used: {problem}")
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.problem)


class ClaimsError(ConversimpleError):
    """Workers cannot agree who serves which conversation; the message says why.

    Attributes:
        place: where the claims are kept, without a password.
    """

    retryable = True

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"the claims in {place} cannot be used: {problem}")
        self.place = place
        self.problem = problem

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.place, self.problem)


class ConnectionFailed(ConversimpleError, ConnectionError):
    """There is no working connection to the platform.

    Attributes:
        retryable: whether another attempt can succeed without a change of settings.
    """

    retryable = True


class PlatformUnreachable(ConnectionFailed):
    """Nobody answered: DNS, TCP, TLS, or a time-out on the way."""


class HandshakeRefused(ConnectionFailed):
    """The server answered the WebSocket handshake with an HTTP status.

    Attributes:
        status: the HTTP status code.
        retry_after: seconds the server asked to wait, or None.
    """

    def __init__(
        self, message: str, status: int, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type, tuple[str, int, float | None]]:
        return type(self), (str(self), self.status, self.retry_after)


class CertificateRejected(ConnectionFailed):
    """The server's certificate is not trusted, or is for another host."""

    retryable = False


class JoinRefused(ConnectionFailed):
    """The platform answered the channel join with an error.

    Attributes:
        reason: the platform's own word for it.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.reason)


class RegistrationFailed(ConnectionFailed):
    """The platform fails each time that the agent's tools are registered."""

    retryable = False


class ConnectionLost(ConnectionFailed):
    """An open connection ended.

    Attributes:
        code: the WebSocket close code, or None when there was none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, int | None]]:
        return type(self), (str(self), self.code)


class RetriesExhausted(ConnectionFailed):
    """The configured attempts or the configured time are used up.

    The last failure is the ``__cause__``.
    """

    retryable = False


class ToolError(ConversimpleError):
    """Raise it in a tool: its text is sent to the platform and the model may hear it.

    Any other exception is answered without its text, which can hold secrets.
    """


class ToolCallFailed(ConversimpleError):
    """A tool call was answered with an error.

    Attributes:
        error_type: the wire's error type, such as ``invalid_parameters``.
        message: the text that the platform was given.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.error_type, self.message)
