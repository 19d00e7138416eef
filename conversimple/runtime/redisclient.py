"""A Redis server: how it is reached, within which time, and what its errors mean.

Whatever is said of it names its place without user and password.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import ConfigurationError

try:
    import redis
    from redis import exceptions
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as missing:
    raise ConfigurationError(
        "a redis:// address needs a package that is not installed: "
        'pip install "conversimple-sdk[redis]"'
    ) from missing

#: Seconds for one connection, and for one answer.
TIMEOUT = 2.0
#: Connections at most, of a process to an address; threads wait for each other's, and
#: so many seconds: a server that is asked much at once is not away.
CONNECTIONS = 16
PATIENCE = 10.0

_FORM = (
    "the address of Redis must look like redis://user:password@host:6379/0, "
    "rediss://… for TLS, or unix:///path/redis.sock?db=0, with the special characters "
    "of the password percent-encoded"
)


def connect(address: str) -> redis.Redis:
    """A client that connects when it is first used; may be used from any thread.

    It does nothing twice by itself: only its user knows what may be done twice. After
    a fork the child needs one of its own.

    Raises:
        ConfigurationError: the address is none; the text does not repeat it.
    """
    place_of(address)
    try:
        pool = redis.BlockingConnectionPool.from_url(
            address,
            max_connections=CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            protocol=2,
        )
        # Refuses what it does not know of the address; connects nowhere.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError):
        # Not as the cause: it may show a part of the password.
        pool = None
    if pool is None:
        raise ConfigurationError(_FORM)
    # Whatever the address says: replies are bytes, and commands are sent once.
    pool.connection_kwargs.update(decode_responses=False, retry=Retry(NoBackoff(), 0))
    return redis.Redis(connection_pool=pool)


def place_of(address: str) -> str:
    """An address without user and password, for logs and errors.

    Raises:
        ConfigurationError: it is no address; the text does not repeat it.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
        database = parse_qs(parts.query).get("db", [""])[0]
    except ValueError:
        parts = None
    # A password that is not encoded is cut in two at a slash, and this is its end.
    if parts is None or "@" in parts.path + parts.query + parts.fragment:
        raise ConfigurationError(_FORM)
    if parts.scheme == "unix":
        host, port = "", ""
    host = f"[{host}]" if ":" in host else host
    query = f"?db={database}" if database else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{query}"


def password_of(address: str) -> str:
    """The password in an address, or nothing."""
    parts = urlsplit(address)
    asked = parse_qs(parts.query).get("password", [""])[0]
    return asked or unquote(parts.password or "")


def problem_of(error: exceptions.RedisError, address: str) -> str:
    """What went wrong, and the cure, as a part of a sentence."""
    password = password_of(address)
    text = " ".join(str(error).split()).rstrip(".")
    if password and password in text:
        text = "it refuses a command that carries the password"
    for kind, cure in _CURES:
        if isinstance(error, kind):
            return f"{text or type(error).__name__}: {cure}"
    return text


def is_unheard(error: exceptions.RedisError) -> bool:
    """Whether the command may have been done, though no answer came."""
    refused = (exceptions.AuthenticationError, exceptions.BusyLoadingError)
    lost = (exceptions.ConnectionError, exceptions.TimeoutError)
    return isinstance(error, lost) and not isinstance(error, refused)


#: The first that fits.
_CURES: tuple[tuple[Any, str], ...] = (
    (exceptions.AuthenticationError, "check user and password in the address"),
    (exceptions.BusyLoadingError, "wait until it has loaded its data"),
    (exceptions.NoPermissionError, "give the address's user the right to do so"),
    (exceptions.OutOfMemoryError, "make room, or raise its maxmemory"),
    (exceptions.ReadOnlyError, "name the server that may be written, not a replica"),
    (
        (exceptions.AskError, exceptions.ClusterDownError),
        "it is of a cluster, and has not this customer's keys: name the node that has",
    ),
    (
        exceptions.TimeoutError,
        "see whether it is overloaded, or a firewall is in between",
    ),
    (
        exceptions.ConnectionError,
        "see whether it runs, and whether the address is right",
    ),
)
