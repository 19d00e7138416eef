"""Where settings come from, and which are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import pickle
import ssl
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from conversimple import ConfigurationError, ConversimpleAgent, Settings
from conversimple.settings import (
    Options,
    default_customer_id,
    is_loopback,
    log_level,
    proxy_from,
    resolve,
)

KEY = "k3y/with+odd chars&more"


def query_of(settings: Settings) -> dict[str, str]:
    """The query of the handshake."""
    return dict(parse_qsl(urlsplit(settings.dial_url).query))


def test_the_defaults() -> None:
    """They are part of the contract."""
    settings = dataclasses.asdict(resolve("key", environ={}))
    assert settings == {
        "api_key": "key",
        "customer_id": hashlib.md5(b"key").hexdigest()[:12],
        "platform_url": "ws://localhost:4000/sdk/websocket",
        "max_reconnect_attempts": None,
        "reconnect_backoff": 2.0,
        "max_backoff": 30.0,
        "total_retry_duration": None,
        "enable_circuit_breaker": True,
        "heartbeat_interval": 30.0,
        "connection_timeout": 10.0,
        "tool_timeout": 30.0,
        "max_message_bytes": 1_000_000,
        "max_concurrent_calls": 128,
        "max_queued_calls": 1000,
        "max_abandoned": 64,
        "executor": None,
        "executors": {},
        "error_detail": "safe",
        "ssl_context": None,
        "journal": None,
        "journal_synchronous": "normal",
        "proxy": "",
    }


def test_every_option_has_a_type() -> None:
    """What the constructor takes by name is what Settings knows."""
    positional = {"api_key", "customer_id", "platform_url"}
    names = {item.name for item in dataclasses.fields(Settings)} - positional
    assert Options.__annotations__.keys() == names


ENVIRON = {
    "CONVERSIMPLE_API_KEY": "env-key",
    "CONVERSIMPLE_CUSTOMER_ID": "env-customer",
    "CONVERSIMPLE_PLATFORM_URL": "ws://env:1/x",
}


def test_the_environment_fills_what_is_missing() -> None:
    """All three, by their published names."""
    settings = resolve(environ=ENVIRON)
    assert settings.api_key == "env-key"
    assert settings.customer_id == "env-customer"
    assert settings.platform_url == "ws://env:1/x"


def test_arguments_win_over_the_environment() -> None:
    """Each of them alone."""
    settings = resolve("a", "b", "ws://c/d", environ=ENVIRON)
    assert settings.api_key == "a"
    assert settings.customer_id == "b"
    assert settings.platform_url == "ws://c/d"
    assert resolve("a", environ=ENVIRON).customer_id == "env-customer"
    assert resolve(customer_id="b", environ=ENVIRON).api_key == "env-key"


def test_the_environment_is_read_when_an_agent_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when the package is imported, and not later."""
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "late")
    agent = ConversimpleAgent()
    monkeypatch.delenv("CONVERSIMPLE_API_KEY")
    assert agent.connection_state == "new"
    with pytest.raises(ConfigurationError):
        ConversimpleAgent()


@pytest.mark.parametrize("arguments", [{}, {"api_key": ""}, {"api_key": None}])
def test_no_key_is_told_with_its_names(arguments: dict[str, Any]) -> None:
    """The argument and the variable."""
    with pytest.raises(ConfigurationError) as caught:
        ConversimpleAgent(**arguments)
    assert "api_key" in str(caught.value)
    assert "CONVERSIMPLE_API_KEY" in str(caught.value)


@pytest.mark.parametrize("name", ["api_key", "customer_id", "platform_url"])
@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\x00", "\t", "\x7f"])
def test_control_characters_are_refused(name: str, bad: str) -> None:
    """A line break in a setting would end a header, or smuggle one."""
    values: dict[str, Any] = {"api_key": "key", name: f"ws://host/secret{bad}X-Evil: 1"}
    with pytest.raises(ConfigurationError, match=name) as caught:
        resolve(environ={}, **values)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", list(ENVIRON))
def test_control_characters_of_the_environment_are_refused(name: str) -> None:
    """A key read from a file ends in a line break."""
    with pytest.raises(ConfigurationError, match="control character"):
        resolve(environ={**ENVIRON, name: ENVIRON[name] + "\n"})


@pytest.mark.parametrize("name", ["api_key", "customer_id", "platform_url"])
def test_text_that_is_no_text_is_refused(name: str) -> None:
    """Bytes that are not UTF-8 reach us from the environment as half pairs."""
    values: dict[str, Any] = {"api_key": "key", name: "ws://host/secret\udcff"}
    with pytest.raises(ConfigurationError) as caught:
        resolve(environ={}, **values)
    cause = caught.value.__cause__ or caught.value.__context__
    assert not isinstance(cause, UnicodeError), "it holds the whole text"


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": b"bytes"},
        {"api_key": 5},
        {"api_key": "  "},
        {"api_key": "key", "customer_id": 5},
        {"api_key": "key", "customer_id": " "},
        {"api_key": "key", "platform_url": b"ws://host"},
    ],
    ids=repr,
)
def test_wrong_texts_are_refused(values: dict[str, Any]) -> None:
    """Only strings with something in them."""
    with pytest.raises(ConfigurationError):
        resolve(environ={}, **values)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/sdk",
        "https://host/sdk",
        "localhost:4000",
        "ws://",
        "ws:///path",
        "ws://host:99999/x",
        "ws://host:port/x",
        "ws://[::1/x",
        "ws://user:hunter2@host/x",
        "ws://hunter2@host/x",
        "ws://host/x?auth_token=hunter2",
    ],
)
def test_wrong_addresses_are_refused(url: str) -> None:
    """With what is wrong, but without a secret that may be in them."""
    with pytest.raises(ConfigurationError, match="platform_url") as caught:
        resolve("key", platform_url=url, environ={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_reconnect_attempts", -1),
        ("max_reconnect_attempts", 1.5),
        ("max_reconnect_attempts", True),
        ("reconnect_backoff", 0.5),
        ("reconnect_backoff", "2"),
        ("max_backoff", 0),
        ("max_backoff", float("nan")),
        ("max_backoff", float("inf")),
        ("total_retry_duration", 0),
        ("heartbeat_interval", -1),
        ("heartbeat_interval", None),
        ("connection_timeout", 0),
        ("tool_timeout", 0),
        ("max_message_bytes", 0),
        ("max_message_bytes", 1.0),
        ("max_concurrent_calls", 0),
        ("max_queued_calls", -1),
        ("max_abandoned", -1),
        ("error_detail", "loud"),
        ("error_detail", None),
        ("enable_circuit_breaker", "no"),
        ("ssl_context", True),
        ("journal", 5),
        ("journal", ""),
        ("journal", "calls\n.db"),
        ("journal_synchronous", "off"),
        ("journal_synchronous", None),
        ("proxy", 5),
        ("proxy", False),
        ("proxy", b"http://proxy:1"),
        ("proxy", " "),
        ("executor", 4),
        ("executors", 4),
        ("executors", {"heavy": 4}),
        ("executors", {5: ThreadPoolExecutor}),
        ("executors", {"": ThreadPoolExecutor}),
    ],
)
def test_wrong_options_are_refused(name: str, value: Any) -> None:
    """By name, so that the user finds it."""
    with pytest.raises(ConfigurationError, match=name):
        ConversimpleAgent("key", **{name: value})


@pytest.mark.parametrize("name", ["retries", "environ", "Api_Key"])
def test_unknown_options_are_refused(name: str) -> None:
    """A typing error is not passed over in silence."""
    unknown: dict[str, Any] = {name: {}}
    with pytest.raises(ConfigurationError, match="unknown setting") as caught:
        ConversimpleAgent("key", **unknown)
    assert "max_reconnect_attempts" in str(caught.value)


def test_what_may_be_absent_may_be_absent() -> None:
    """The ends of the ranges."""
    with ThreadPoolExecutor(1) as pool:
        settings = resolve(
            "key",
            environ={},
            options={
                "max_reconnect_attempts": 0,
                "max_queued_calls": 0,
                "max_abandoned": 0,
                "reconnect_backoff": 1,
                "total_retry_duration": None,
                "executor": pool,
                "ssl_context": ssl.create_default_context(),
            },
        )
    assert settings.max_reconnect_attempts == 0


def test_settings_do_not_change() -> None:
    """Two agents can share them."""
    settings = resolve("key", environ={})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.api_key = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_key_is_in_no_repr() -> None:
    """A repr ends up in a log."""
    settings = resolve(KEY, environ={})
    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert KEY not in settings.public_url


def test_the_address_of_the_handshake() -> None:
    """Key and customer are encoded, the version is the second."""
    settings = resolve(KEY, "c 1/2", environ={})
    assert query_of(settings) == {
        "vsn": "2.0.0",
        "auth_token": KEY,
        "customer_id": "c 1/2",
    }
    assert KEY not in settings.dial_url, "not encoded"
    assert settings.dial_url.startswith("ws://localhost:4000/sdk/websocket?")
    assert settings.topic == "customer:c 1/2"


@pytest.mark.parametrize(
    ("vsn", "version"), [("1.0.0", 1), ("2.0.0", 2), ("", 2), ("2.1.0", 2)]
)
def test_the_query_of_the_address_is_kept(vsn: str, version: int) -> None:
    """A version that stands in it wins."""
    url = f"wss://host/sdk?region=eu&vsn={vsn}&flag="
    settings = resolve("key", platform_url=url, environ={})
    query = dict(parse_qsl(urlsplit(settings.dial_url).query, keep_blank_values=True))
    assert (query["region"], query["flag"], query["vsn"]) == ("eu", "", vsn)
    assert settings.protocol_version == version
    assert settings.public_url == "wss://host/sdk"


def test_the_customer_of_a_key() -> None:
    """As the platform's other clients have it."""
    assert default_customer_id("your-api-key") == "446713d9afdb"
    assert resolve("k", customer_id="", environ={}).customer_id == (
        default_customer_id("k")
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only what cannot be another machine."""
    assert is_loopback(host) is expected


PLATFORM = "wss://platform.test/sdk"
PROXY = "http://proxy:3128"


def proxy_with(url: str = PLATFORM, **environ: str) -> str | None:
    """The proxy that an agent with these variables goes through."""
    return resolve("key", platform_url=url, environ=environ).proxy


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("wss://platform.test/", {"https_proxy": "http://a"}, "http://a"),
        ("wss://platform.test/", {"http_proxy": "http://a"}, ""),
        ("ws://platform.test/", {"http_proxy": "http://a"}, "http://a"),
        ("ws://platform.test/", {"https_proxy": "http://a"}, ""),
        (PLATFORM, {"HTTPS_PROXY": "http://a"}, "http://a"),
        (PLATFORM, {"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "http://a"),
        (PLATFORM, {"https_proxy": "", "HTTPS_PROXY": "http://b"}, ""),
        (PLATFORM, {"all_proxy": "http://a", "ALL_PROXY": "http://b"}, "http://a"),
        (PLATFORM, {"ALL_PROXY": "http://b"}, "http://b"),
        (PLATFORM, {"HTTPS_PROXY": "http://a", "all_proxy": "http://b"}, "http://a"),
        (PLATFORM, {"https_proxy": "", "ALL_PROXY": "http://b"}, "http://b"),
        (PLATFORM, {"https_proxy": "proxy:3128"}, PROXY),
        (PLATFORM, {"https_proxy": " u:p@proxy:3128\n"}, "http://u:p@proxy:3128"),
        (PLATFORM, {"https_proxy": "HTTP://proxy/"}, "HTTP://proxy/"),
        (PLATFORM, {"https_proxy": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        (PLATFORM, {"https_proxy": PROXY, "all_proxy": "socks5://proxy"}, PROXY),
    ],
)
def test_the_environment_names_a_proxy(
    url: str, environ: dict[str, str], expected: str
) -> None:
    """By the scheme, lower case first, with or without a scheme of its own."""
    assert proxy_with(url, **environ) == expected


def test_a_request_cannot_name_a_proxy() -> None:
    """In a CGI script HTTP_PROXY is a header of whoever calls it."""
    cgi = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil"}
    assert proxy_with("ws://platform.test/", **cgi) == ""
    assert proxy_with("ws://platform.test/", **cgi, http_proxy=PROXY) == PROXY
    assert proxy_with("ws://platform.test/", **cgi, ALL_PROXY=PROXY) == PROXY


EXCEPTIONS = [
    ("wss://platform.test/", "platform.test", True),
    ("wss://platform.test/", "PLATFORM.Test", True),
    ("wss://Platform.Test/", "platform.test", True),
    ("wss://eu.platform.test/", "platform.test", True),
    ("wss://eu.platform.test/", ".platform.test", True),
    ("wss://platform.test/", ".platform.test", True),
    ("wss://platform.test/", "test", True),
    ("wss://platform.test/", "other, platform.test ,", True),
    ("wss://platform.test/", "*", True),
    ("wss://platform.test:8443/", "platform.test", True),
    ("wss://platform.test:8443/", "platform.test:8443", True),
    ("wss://eu.platform.test:8443/", "platform.test:8443", True),
    ("wss://platform.test:8443/", "platform.test:443", False),
    ("wss://contest/", ".test", False),
    ("wss://contest/", "test", False),
    ("wss://platform.test.evil/", "platform.test", False),
    ("wss://platform.test/", "eu.platform.test", False),
    ("wss://platform.test/", ",., ", False),
    ("wss://platform.test/", "", False),
    ("wss://10.1.2.3/", "10.1.2.3", True),
    ("wss://[fd00::1]:8443/", "[fd00::1]", True),
    ("wss://[fd00::1]:8443/", "[fd00::1]:8443", True),
]


@pytest.mark.parametrize(("url", "no_proxy", "expected"), EXCEPTIONS)
def test_the_environment_lists_exceptions(
    url: str, no_proxy: str, expected: bool
) -> None:
    """Names and what is below them, and not what merely ends like them."""
    found = proxy_with(url, https_proxy=PROXY, NO_PROXY=no_proxy)
    assert (found == "") is expected
    theirs: Any = urllib.request
    netloc = urlsplit(url).netloc
    assert bool(theirs.proxy_bypass_environment(netloc, {"no": no_proxy})) is expected


@pytest.mark.parametrize("no_proxy", ["fd00::1", "elsewhere, *"])
def test_exceptions_that_others_pass_over(no_proxy: str) -> None:
    """An IPv6 address without brackets, and a star among names."""
    url = "wss://[fd00::1]/"
    assert proxy_with(url, https_proxy=PROXY, no_proxy=no_proxy) == ""


def test_lower_case_exceptions_win() -> None:
    """As all variables of proxies in lower case do."""
    environ = {"https_proxy": PROXY, "no_proxy": "other", "NO_PROXY": "*"}
    assert proxy_with(**environ) == PROXY


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_this_machine_needs_no_proxy(host: str) -> None:
    """Not from the environment, however wrong, and not from an argument."""
    url = f"ws://{host}:4000/"
    assert proxy_with(url, http_proxy="socks5://proxy") == ""
    settings = resolve("key", platform_url=url, options={"proxy": PROXY}, environ={})
    assert settings.proxy == ""


def test_the_argument_wins_over_the_environment() -> None:
    """An empty one goes through no proxy, None asks the environment."""

    def made(proxy: str | None) -> str | None:
        environ = {"https_proxy": PROXY, "no_proxy": "other.test"}
        options = {"proxy": proxy}
        return resolve("k", None, PLATFORM, options, environ=environ).proxy

    assert made(None) == PROXY
    assert made("") == ""
    assert made("mine:1") == "http://mine:1"
    exempt = {"https_proxy": "socks5://x", "no_proxy": "*"}
    assert resolve("k", None, PLATFORM, {"proxy": PROXY}, environ=exempt).proxy == PROXY


def test_an_agent_takes_its_proxy_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When it is made, as all the rest."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        ConversimpleAgent("key", platform_url=PLATFORM)
    ConversimpleAgent("key", platform_url=PLATFORM, proxy="")


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("socks5://user:hunter2@proxy:1080", "SOCKS"),
        ("socks5h://user:hunter2@proxy", "SOCKS"),
        ("https://user:hunter2@proxy:3128", "TLS"),
        ("ws://user:hunter2@proxy", "http://"),
        ("://hunter2", "http://"),
        ("http://", "http://host:port"),
        ("http://user:hunter2@", "http://host:port"),
        ("http://user:hunter2@proxy:port", "http://host:port"),
        ("http://user:hunter2@proxy:99999", "http://host:port"),
        ("http://user:99/hunter2@proxy:1", "percent-encoded"),
        ("http://user:99#hunter2@proxy:1", "percent-encoded"),
        ("http://user:99?hunter2@proxy:1", "percent-encoded"),
        ("http://user:hunter2/99@proxy:1", "percent-encoded"),
        ("user:hunter2@[::1", "http://host:port"),
        ("http://user:hunter2@proxy\r\nX-Evil: 1", "control character"),
        ("http://user:hunter2@proxy\udcff", "not text"),
    ],
)
def test_wrong_proxies_are_refused(address: str, word: str) -> None:
    """With the name under which it was given, and without the password."""
    for name, options, environ in (
        ("proxy", {"proxy": address}, {}),
        ("https_proxy", {}, {"https_proxy": address}),
        ("ALL_PROXY", {}, {"ALL_PROXY": address}),
    ):
        with pytest.raises(ConfigurationError, match=f"^{name} .*{word}") as caught:
            resolve("key", None, PLATFORM, options, environ)
        text = "".join(traceback.format_exception(caught.value))
        assert "hunter2" not in text.replace(repr(address), "")


def test_the_proxy_is_in_no_repr() -> None:
    """Its address can hold a password."""
    options = {"proxy": "http://user:hunter2@proxy:1"}
    settings = resolve("key", None, PLATFORM, options, environ={})
    assert settings.proxy == options["proxy"]
    assert "hunter2" not in f"{settings!r} {settings} {settings.public_url}"
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_proxy_is_found_without_settings() -> None:
    """The decision is a function of the variables and the address."""
    assert proxy_from({"https_proxy": "proxy:3128"}, PLATFORM) == PROXY
    assert proxy_from({}, PLATFORM) == ""


@pytest.mark.parametrize("text", ["DEBUG", "debug", "Info", "WARNING", "critical"])
def test_levels(text: str) -> None:
    """In any case."""
    assert log_level({"CONVERSIMPLE_LOG_LEVEL": text}) == text.upper()


@pytest.mark.parametrize("environ", [{}, {"CONVERSIMPLE_LOG_LEVEL": ""}])
def test_no_level(environ: dict[str, str]) -> None:
    """Then the application decides."""
    assert log_level(environ) is None


def test_a_level_that_is_none() -> None:
    """It is told with the variable's name."""
    with pytest.raises(ConfigurationError, match="CONVERSIMPLE_LOG_LEVEL"):
        log_level({"CONVERSIMPLE_LOG_LEVEL": "loud"})


def test_the_level_is_that_of_one_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own loggers are left alone."""
    root, others = logging.getLogger(), logging.getLogger("application")
    before = (root.level, list(root.handlers), others.level)
    monkeypatch.setenv("CONVERSIMPLE_LOG_LEVEL", "DEBUG")
    ConversimpleAgent("key")
    assert logging.getLogger("conversimple").level == logging.DEBUG
    assert logging.getLogger("conversimple.core").level == logging.NOTSET
    assert (root.level, list(root.handlers), others.level) == before


def test_without_the_variable_the_level_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application's choice survives the making of an agent."""
    logging.getLogger("conversimple").setLevel(logging.ERROR)
    ConversimpleAgent("key")
    assert logging.getLogger("conversimple").level == logging.ERROR


def make_pool() -> ThreadPoolExecutor:
    """A factory that other processes can find."""
    return ThreadPoolExecutor(1)


def test_executors_are_taken_as_they_are() -> None:
    """Or as functions that make them; the mapping is the user's no longer."""
    with ThreadPoolExecutor(1) as pool:
        executors = {"heavy": pool, "made": make_pool}
        options = {"executor": make_pool, "executors": executors}
        settings = resolve("key", environ={}, options=options)
        executors.clear()
    assert settings.executor is make_pool
    assert settings.executors == {"heavy": pool, "made": make_pool}


def test_executors_stay_where_their_threads_are() -> None:
    """What makes them travels."""
    with ThreadPoolExecutor(1) as pool:
        executors = {"heavy": pool, "made": make_pool}
        options = {"executor": pool, "executors": executors}
        copy = pickle.loads(pickle.dumps(resolve("key", environ={}, options=options)))
        assert copy.executor is None
        assert copy.executors == {"made": make_pool}
        options = {"executor": make_pool}
        copy = pickle.loads(pickle.dumps(resolve("key", environ={}, options=options)))
        assert copy.executor is make_pool
