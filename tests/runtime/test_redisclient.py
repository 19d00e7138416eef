"""How a Redis server is reached, and what is said of it: never a password."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from redis import exceptions

from conversimple.errors import ConfigurationError
from conversimple.runtime import redisclient
from tests.conftest import finished, python
from tests.support.redis import RedisServer

SECRET = "tops/ecret"
ENCODED = "tops%2Fecret"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("redis://localhost", "redis://localhost"),
        (f"redis://me:{ENCODED}@h:6380/2", "redis://h:6380/2"),
        (f"rediss://:{ENCODED}@h/0?ssl_cert_reqs=none", "rediss://h/0"),
        (f"redis://h?db=3&password={ENCODED}", "redis://h?db=3"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        (f"unix://me@/run/redis.sock?password={ENCODED}", "unix:///run/redis.sock"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
    ],
)
def test_a_place_is_an_address_without_its_secrets(address: str, place: str) -> None:
    """Nor is the user in it."""
    assert redisclient.place_of(address) == place


@pytest.mark.parametrize(
    "address",
    [
        f"redis://me:{SECRET}@host/0",
        "redis://me:1/ecret@host/0",
        "redis://:1?tops@host",
        "redis://:1#tops@host",
        "redis://h:tops/0",
        "redis://[tops/0",
        "redis://h/0?socket_timeout=tops",
        "redis://h/0?tops=ecret",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Without repeating any of it, in the chain of errors either."""
    with pytest.raises(ConfigurationError, match="percent-encoded") as refused:
        redisclient.connect(address)
    assert refused.value.__cause__ is None and refused.value.__context__ is None
    assert "tops" not in str(refused.value) and "ecret" not in str(refused.value)


def test_replies_are_bytes_whatever_the_address_says() -> None:
    """And nothing is sent twice, nor waited for endlessly."""
    asked = "redis://h/1?decode_responses=yes&retry_on_timeout=yes"
    with closing(redisclient.connect(asked)) as client:
        kwargs = client.connection_pool.connection_kwargs
        assert kwargs["decode_responses"] is False
        assert kwargs["retry"]._retries == 0
        assert kwargs["socket_timeout"] == redisclient.TIMEOUT


@pytest.mark.parametrize(
    ("error", "cure", "unheard"),
    [
        (exceptions.ConnectionError("refused"), "refused: see whether it runs", True),
        (exceptions.TimeoutError("slow"), "overloaded", True),
        (exceptions.AuthenticationError("no"), "user and password", False),
        (exceptions.BusyLoadingError("loading"), "wait", False),
        (exceptions.ReadOnlyError("replica"), "not a replica", False),
        (exceptions.OutOfMemoryError("full"), "maxmemory", False),
        (exceptions.NoPermissionError("eval"), "the right", False),
        (exceptions.ResponseError("odd"), "odd", False),
    ],
)
def test_errors_name_their_cures(
    error: exceptions.RedisError, cure: str, unheard: bool
) -> None:
    """And tell what was certainly not done from what may have been."""
    problem = redisclient.problem_of(error, "redis://h/0")
    assert problem.startswith(str(error)) and cure in problem
    assert redisclient.is_unheard(error) is unheard


def test_a_server_that_repeats_a_password_is_not_repeated() -> None:
    """As one does that knows no AUTH."""
    error = exceptions.ResponseError(f"unknown command AUTH, beginning with: {SECRET}")
    problem = redisclient.problem_of(error, f"redis://:{ENCODED}@h/0")
    assert SECRET not in problem and "refuses" in problem


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_silent_server_is_not_waited_for(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than the time of one answer."""
    monkeypatch.setattr(redisclient, "TIMEOUT", 0.05)
    with closing(redisclient.connect(silent)) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()


@pytest.mark.slow
def test_it_reaches_a_server_by_tcp_and_by_socket(redis_server: RedisServer) -> None:
    """It is the same one."""
    with closing(redisclient.connect(redis_server.address)) as client:
        client.set("a", "1")
    with closing(redisclient.connect(redis_server.unix_address)) as client:
        assert client.get("a") == b"1"


def test_a_missing_package_is_named() -> None:
    """With the command that installs it."""
    code = """
import sys
sys.modules["redis"] = None
from conversimple.errors import ConfigurationError
try:
    import conversimple.runtime.redisclient
except ConfigurationError as error:
    print(error)
"""
    with python(code) as process:
        output, errors = finished(process)
    assert 'pip install "conversimple-sdk[redis]"' in output and not errors
    assert "conversimple.runtime.redisclient" in sys.modules
