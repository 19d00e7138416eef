"""What an agent can be told: defaults, validation, environment.

This module is the only reader of ``os.environ``.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypedDict
from urllib.parse import (
    SplitResult,
    parse_qsl,
    quote,
    quote_plus,
    urlencode,
    urlsplit,
    urlunsplit,
)

from .errors import ConfigurationError

DEFAULT_PLATFORM_URL = "ws://localhost:4000/sdk/websocket"

API_KEY = "CONVERSIMPLE_API_KEY"
CUSTOMER_ID = "CONVERSIMPLE_CUSTOMER_ID"
PLATFORM_URL = "CONVERSIMPLE_PLATFORM_URL"
LOG_LEVEL = "CONVERSIMPLE_LOG_LEVEL"

LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
ADDRESSES = ("redis://", "rediss://", "unix://")
LOOPBACK_HOSTS = ("localhost", "::1")
SECRET_PARAMETERS = ("auth_token",)

ExecutorSource = Executor | Callable[[], Executor]

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an agent can be told, checked when it is made.

    Durations are seconds.

    Attributes:
        api_key: authenticates the agent; never shown in a repr or a log.
        customer_id: whose conversations are served; by default derived from the key.
        platform_url: ``ws://`` or ``wss://`` address of the platform's socket.
        max_reconnect_attempts: how often in a row a lost or failed connection is
            dialled again before giving up; None means for ever.
        reconnect_backoff: growth factor of the waits between attempts.
        max_backoff: the longest wait between two attempts.
        total_retry_duration: the longest outage before giving up; None means any.
        enable_circuit_breaker: stop at permanent failures (a wrong key, say);
            False backs off and tries again as after any other failure.
        heartbeat_interval: time between two heartbeats.
        connection_timeout: the longest time for a dial, and for a join.
        tool_timeout: deadline of a call that names none.
        max_message_bytes: the largest message that is sent.
        max_concurrent_calls: synchronous tool calls running at once.
        max_queued_calls: synchronous tool calls waiting for their turn.
        max_abandoned: timed-out tools still running before new calls are refused.
        executor: where synchronous tools run instead of the shared thread pool: any
            `concurrent.futures.Executor`, which stays yours to shut down; or a
            function without arguments that makes one, which is called when the agent
            starts, and again when the executor has broken, and whose executors are
            shut down when the agent has stopped. One that works in other processes
            needs an agent that can be pickled.
        executors: more of them by name, for tools that say ``@tool(executor=name)``.
        error_detail: "safe" hides the text of unexpected exceptions from the
            platform; "full" shows it.
        ssl_context: replaces the default TLS context.
        journal: file in which calls are noted, so that a killed process does nothing
            twice, or ``redis://`` address of a server that does the same for many
            machines; None keeps no journal. Not shown in a repr: an address may carry
            a password.
        journal_synchronous: "normal" survives the death of the process, "full" that
            of the machine, and waits for the disk.
        proxy: ``http://`` address of a proxy to go through, never shown in a repr or
            a log; "" goes through none, None through the one that the environment
            names. No proxy leads to this machine itself.
    """

    api_key: str = field(repr=False)
    customer_id: str = ""
    platform_url: str = DEFAULT_PLATFORM_URL
    max_reconnect_attempts: int | None = None
    reconnect_backoff: float = 2.0
    max_backoff: float = 30.0
    total_retry_duration: float | None = None
    enable_circuit_breaker: bool = True
    heartbeat_interval: float = 30.0
    connection_timeout: float = 10.0
    tool_timeout: float = 30.0
    max_message_bytes: int = 1_000_000
    max_concurrent_calls: int = 128
    max_queued_calls: int = 1000
    max_abandoned: int = 64
    executor: ExecutorSource | None = field(default=None, repr=False)
    executors: Mapping[str, ExecutorSource] = field(
        default_factory=dict, hash=False, repr=False
    )
    error_detail: str = "safe"
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    journal: str | os.PathLike[str] | None = field(default=None, repr=False)
    journal_synchronous: str = "normal"
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_text("api_key", self.api_key)
        if not self.customer_id:
            object.__setattr__(self, "customer_id", default_customer_id(self.api_key))
        check_text("customer_id", self.customer_id)
        _check_url(self.platform_url)
        object.__setattr__(self, "proxy", _proxy_of(self.proxy, self.platform_url))
        _check_numbers(self)
        if not isinstance(self.enable_circuit_breaker, bool):
            raise ConfigurationError("enable_circuit_breaker must be True or False")
        if self.error_detail not in ("safe", "full"):
            raise ConfigurationError(
                f"error_detail must be 'safe' or 'full', not {self.error_detail!r}"
            )
        if self.journal is not None:
            _check_journal(self.journal)
        if self.journal_synchronous not in ("normal", "full"):
            raise ConfigurationError(
                "journal_synchronous must be 'normal' or 'full', "
                f"not {self.journal_synchronous!r}"
            )
        if self.ssl_context is not None and not isinstance(
            self.ssl_context, ssl.SSLContext
        ):
            raise ConfigurationError("ssl_context must be an ssl.SSLContext")
        if self.executor is not None:
            _check_executor("executor", self.executor)
        object.__setattr__(self, "executors", _executors_of(self.executors))

    def __getstate__(self) -> dict[str, Any]:
        """What travels into another process: executors stay where their threads are."""
        state = self.__dict__.copy()
        if isinstance(self.executor, Executor):
            state["executor"] = None
        state["executors"] = {
            name: source
            for name, source in self.executors.items()
            if not isinstance(source, Executor)
        }
        return state

    @property
    def topic(self) -> str:
        """The Phoenix topic of this customer."""
        return f"customer:{self.customer_id}"

    @property
    def dial_url(self) -> str:
        """The full address of the handshake. It carries the key: never log it."""
        parts = urlsplit(self.platform_url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        query.setdefault("vsn", "2.0.0")
        query["auth_token"] = self.api_key
        query["customer_id"] = self.customer_id
        return urlunsplit(
            (parts.scheme, parts.netloc, parts.path, urlencode(query), "")
        )

    def redact(self, text: str) -> str:
        """A text of the platform's without the key, in case it was repeated there."""
        key = self.api_key
        for form in (key, quote(key, safe=""), quote_plus(key)):
            text = text.replace(form, "***")
        return text

    @property
    def public_url(self) -> str:
        """The platform's address without query and credentials, fit for logs."""
        parts = urlsplit(self.platform_url)
        netloc = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, netloc, parts.path, "", ""))

    @property
    def protocol_version(self) -> int:
        """The version of Phoenix's serializer that is asked for: 2, or 1."""
        query = dict(parse_qsl(urlsplit(self.platform_url).query))
        return 1 if query.get("vsn", "").startswith("1.") else 2


def resolve(
    api_key: str | None = None,
    customer_id: str | None = None,
    platform_url: str | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Join arguments, environment and defaults; the earlier wins.

    Args:
        api_key: the key, else ``CONVERSIMPLE_API_KEY``.
        customer_id: the customer, else ``CONVERSIMPLE_CUSTOMER_ID``.
        platform_url: the address, else ``CONVERSIMPLE_PLATFORM_URL``.
        options: the other fields of `Settings`, by name; a proxy that is None is
            the environment's.
        environ: replaces ``os.environ``.

    Raises:
        ConfigurationError: a setting is missing, unknown or wrong.
    """
    environ = os.environ if environ is None else environ
    known = {item.name for item in fields(Settings)}
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"unknown setting {name!r}; the settings are {', '.join(sorted(known))}"
            )
    key = api_key if api_key is not None else environ.get(API_KEY)
    if not key:
        raise ConfigurationError(
            "no API key: pass api_key=… or set the environment variable " f"{API_KEY}"
        )
    settings = Settings(
        api_key=key,
        customer_id=customer_id or environ.get(CUSTOMER_ID) or "",
        platform_url=platform_url or environ.get(PLATFORM_URL) or DEFAULT_PLATFORM_URL,
        **options,
    )
    if settings.proxy is None:
        # Not with `replace`, which would check everything a second time.
        proxy = proxy_from(environ, settings.platform_url)
        object.__setattr__(settings, "proxy", proxy)
    return settings


def proxy_from(environ: Mapping[str, str], platform_url: str) -> str:
    """The address of the proxy that the environment names for a platform, or "".

    It is read as curl and urllib read it: ``https_proxy`` for ``wss://``,
    ``http_proxy`` for ``ws://``, else ``all_proxy``; ``no_proxy`` lists exceptions.

    Raises:
        ConfigurationError: it is not the address of an HTTP proxy.
    """
    url = urlsplit(platform_url)
    if _is_exempt(url, _variable(environ, "no_proxy")[1]):
        return ""
    for name in ("https_proxy" if url.scheme == "wss" else "http_proxy", "all_proxy"):
        spelt, address = _variable(environ, name)
        if address:
            return _checked_proxy(spelt, address)
    return ""


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """A variable as it is spelt, and its value; the one in lower case wins."""
    spelt = name if name in environ else name.upper()
    # A web server hands the request's header "Proxy" to a CGI script as HTTP_PROXY.
    forged = spelt == "HTTP_PROXY" and "REQUEST_METHOD" in environ
    return spelt, "" if forged else environ.get(spelt, "").strip()


def _is_exempt(url: SplitResult, no_proxy: str) -> bool:
    # urllib's own function is undocumented, untyped, and slow to import.
    names = [name.strip().lower().lstrip(".") for name in no_proxy.split(",")]
    forms = (url.hostname or "", f"[{url.hostname}]", url.netloc.lower())
    return "*" in names or any(
        form == name or form.endswith(f".{name}")
        for name in names
        if name
        for form in forms
    )


def log_level(environ: Mapping[str, str] | None = None) -> str | None:
    """The level that ``CONVERSIMPLE_LOG_LEVEL`` asks for, or None.

    Raises:
        ConfigurationError: it is not the name of a level.
    """
    wanted = (os.environ if environ is None else environ).get(LOG_LEVEL)
    if not wanted:
        return None
    if wanted.upper() not in LOG_LEVELS:
        raise ConfigurationError(
            f"{LOG_LEVEL} must be one of {', '.join(LOG_LEVELS)}, not {wanted!r}"
        )
    return wanted.upper()


def default_customer_id(api_key: str) -> str:
    """The customer id that belongs to a key: an identifier, not a secret.

    It is the first 12 hex digits of the key's MD5, as the platform's other
    clients have it.
    """
    digest = hashlib.md5(api_key.encode(), usedforsecurity=False)
    return digest.hexdigest()[:12]


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine."""
    return host.lower() in LOOPBACK_HOSTS or _LOOPBACK.fullmatch(host) is not None


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether a journal, or claims, are kept by a Redis server rather than in files."""
    return isinstance(place, str) and place.startswith(ADDRESSES)


def check_text(name: str, value: object) -> None:
    """Raise a `ConfigurationError` if a setting is not a text that can be sent."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a string, not {type(value).__name__}")
    if _CONTROL.search(value):
        raise ConfigurationError(
            f"{name} contains a control character such as a line break; remove it"
        )
    if not value.strip():
        raise ConfigurationError(f"{name} is empty")
    if not value.isascii() and not value.encode("utf-8", "ignore").decode() == value:
        raise ConfigurationError(f"{name} contains characters that are not text")


def _check_url(url: object) -> None:
    check_text("platform_url", url)
    assert isinstance(url, str)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("ws", "wss") and bool(parts.hostname)
        parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            "platform_url must look like ws://host:port/path or wss://host/path"
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "platform_url must not carry a user name or password; use api_key"
        )
    if any(name in SECRET_PARAMETERS for name, _ in parse_qsl(parts.query)):
        raise ConfigurationError(
            "platform_url must not carry auth_token; pass the key as api_key"
        )


def _proxy_of(proxy: str | None, platform_url: str) -> str | None:
    address = proxy if proxy in (None, "") else _checked_proxy("proxy", proxy)
    return "" if is_loopback(urlsplit(platform_url).hostname or "") else address


def _checked_proxy(name: str, value: object) -> str:
    """The address of a proxy, with its scheme."""
    check_text(name, value)
    assert isinstance(value, str)
    address = value if "://" in value else f"http://{value}"
    if not address.lower().startswith("http://"):
        raise ConfigurationError(
            f"{name} must begin with http://, which is also for wss:// platforms: "
            "proxies that speak SOCKS, or TLS themselves, are not supported; without "
            'a proxy, pass proxy="" or name the platform in no_proxy'
        )
    try:
        parts = urlsplit(address)
        parts.port
        rest = parts.path.strip("/") + parts.query + parts.fragment
        valid = bool(parts.hostname) and not rest
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{name} must look like http://host:port or http://user:password@host:port,"
            " with the special characters of the password percent-encoded"
        )
    return address


def _check_journal(journal: object) -> None:
    if not isinstance(journal, (str, os.PathLike)):
        kind = type(journal).__name__
        raise ConfigurationError(f"journal must be the path of a file, not {kind}")
    check_text("journal", os.fspath(journal))


def _executors_of(executors: object) -> dict[str, ExecutorSource]:
    if not isinstance(executors, Mapping):
        kind = type(executors).__name__
        raise ConfigurationError(
            f'executors must be a mapping such as {{"heavy": pool}}, not {kind}'
        )
    for name, source in executors.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"executors: {name!r} is not a name that a tool can say"
            )
        _check_executor(f"executors[{name!r}]", source)
    return dict(executors)


def _check_executor(name: str, source: object) -> None:
    if not isinstance(source, Executor) and not callable(source):
        raise ConfigurationError(
            f"{name} must be a concurrent.futures.Executor, or a function without "
            f"arguments that makes one, not {type(source).__name__}"
        )


_POSITIVE = (
    "max_backoff",
    "total_retry_duration",
    "heartbeat_interval",
    "connection_timeout",
    "tool_timeout",
    "max_message_bytes",
    "max_concurrent_calls",
)
_NOT_NEGATIVE = ("max_reconnect_attempts", "max_queued_calls", "max_abandoned")
_MAY_BE_NONE = ("max_reconnect_attempts", "total_retry_duration")
_WHOLE = (
    "max_reconnect_attempts",
    "max_message_bytes",
    "max_concurrent_calls",
    "max_queued_calls",
    "max_abandoned",
)


def _check_numbers(settings: Settings) -> None:
    for name in (*_POSITIVE, *_NOT_NEGATIVE, "reconnect_backoff"):
        value = getattr(settings, name)
        if value is None and name in _MAY_BE_NONE:
            continue
        wanted = int if name in _WHOLE else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = "a whole number" if name in _WHOLE else "a number"
            raise ConfigurationError(f"{name} must be {kind}, not {value!r}")
        if not _in_range(name, value):
            floor = {"reconnect_backoff": "at least 1"}.get(
                name, "at least 0" if name in _NOT_NEGATIVE else "greater than 0"
            )
            raise ConfigurationError(f"{name} must be {floor}, not {value!r}")


def _in_range(name: str, value: float) -> bool:
    if value != value or value == float("inf"):
        return False
    if name == "reconnect_backoff":
        return value >= 1
    return value >= 0 if name in _NOT_NEGATIVE else value > 0


class Options(TypedDict, total=False):
    """The settings that are passed by name; `Settings` says what they mean."""

    max_reconnect_attempts: int | None
    reconnect_backoff: float
    max_backoff: float
    total_retry_duration: float | None
    enable_circuit_breaker: bool
    heartbeat_interval: float
    connection_timeout: float
    tool_timeout: float
    max_message_bytes: int
    max_concurrent_calls: int
    max_queued_calls: int
    max_abandoned: int
    executor: ExecutorSource | None
    executors: Mapping[str, ExecutorSource]
    error_detail: str
    ssl_context: ssl.SSLContext | None
    journal: str | os.PathLike[str] | None
    journal_synchronous: str
    proxy: str | None
