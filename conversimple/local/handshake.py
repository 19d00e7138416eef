"""Who is let in: the HTTP request before there is a WebSocket."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .phoenix import DEFAULT_VERSION, SERIALIZERS, Serializer

MAX_REQUEST_LINE_BYTES = 8_000


@dataclass(frozen=True)
class Handshake:
    """What a client asks with.

    Attributes:
        request_line_bytes: the length of path and query as they came.
        query: the decoded query.
        origin: the header of that name, which agents do not send.
        subprotocols: what is asked for in that header.
    """

    request_line_bytes: int
    query: Mapping[str, str]
    origin: str | None = None
    subprotocols: Sequence[str] = ()

    @property
    def customer_id(self) -> str:
        return self.query.get("customer_id", "")

    @property
    def serializer(self) -> Serializer | None:
        """None for a version that the server does not speak, or no version at all."""
        return SERIALIZERS.get(self.query.get("vsn", DEFAULT_VERSION))

    def refusal(self, api_keys: Collection[str] | None) -> int | None:
        """The HTTP status to refuse it with, or None. No keys: any key will do."""
        if self.request_line_bytes > MAX_REQUEST_LINE_BYTES:
            return 414
        if self.serializer is None or not self.customer_id:
            return 403
        return None if self._is_key_good(api_keys) else 403

    def problems(self) -> list[str]:
        """What the client should not have sent although it is let in."""
        problems = []
        if self.origin is not None:
            problems.append("the handshake has an Origin")
        if self.subprotocols:
            problems.append("the handshake asks for a subprotocol")
        return problems

    def _is_key_good(self, api_keys: Collection[str] | None) -> bool:
        key = self.query.get("auth_token", "")
        return bool(key) if api_keys is None else key in api_keys
