"""Flask's extension: how it is configured, when it starts, and what it surrounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
from flask import Flask, current_app, g, has_request_context, request
from flask.cli import run_command, shell_command
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from werkzeug.serving import make_server

from conversimple import ConfigurationError, ConversimpleAgent, tool, tool_async
from conversimple.integrations import flask as module
from conversimple.integrations.embedding import Embedding
from conversimple.integrations.flask import Conversimple
from conversimple.integrations.gunicorn import WITHOUT_HOOKS
from conversimple.local import LocalPlatform
from tests.conftest import Seen, finished, python
from tests.integrations.agents import Clerk
from tests.support.threads import eventually

CLERK = "tests.integrations.agents.Clerk"


class Teller(ConversimpleAgent):
    """It tells what it sees of Flask."""

    @tool("Plain")
    def plain(self) -> list[Any]:
        g.count = g.get("count", 0) + 1
        return [current_app.name, g.count, has_request_context()]

    @tool_async("Async")
    async def asynchronous(self) -> list[Any]:
        return self.plain()

    def on_conversation_started(self, conversation_id: str) -> None:
        current_app.extensions["seen"](current_app.name)


@pytest.fixture
def config(tmp_path: Path, platform: LocalPlatform) -> dict[str, Any]:
    """What an application is told."""
    return {
        "CONVERSIMPLE_API_KEY": "secret-key",
        "CONVERSIMPLE_CUSTOMER_ID": "c1",
        "CONVERSIMPLE_PLATFORM_URL": platform.url,
        "CONVERSIMPLE_CLAIMS": f"file:{tmp_path}/claims",
    }


@pytest.fixture
def make(config: dict[str, Any], seen: Seen) -> Iterator[Any]:
    """Makes applications, whose agents end with the test."""
    made = []

    def make(*agents: Any, **more: Any) -> Flask:
        app = Flask("shop")
        app.config.update(config)
        app.config.update({f"CONVERSIMPLE_{k}": more[k] for k in more if k.isupper()})
        app.extensions["seen"] = seen
        rest = {name: more[name] for name in more if name.islower()}
        Conversimple(app, agents or [Clerk], **rest)
        made.append(app)
        return app

    yield make
    for app in made:
        embedding(app).stop(0.0)


def embedding(app: Flask) -> Embedding:
    """What runs the agents of an application."""
    found: Embedding = app.extensions["conversimple"]
    return found


SERVED = {"SERVER_SOFTWARE": "waitress"}


# Settings.


def test_nothing_starts_by_itself(platform: LocalPlatform, make: Any) -> None:
    """Neither when it is made nor when it is tested."""
    app = make()
    assert app.test_client().get("/healthz").status_code == 503
    assert not embedding(app).begun
    assert platform.handshakes == 0


@pytest.mark.parametrize(
    "agents", [CLERK, f"{CLERK}, tests.integrations.agents:Other", [CLERK], (Clerk,)]
)
def test_agents_are_named(config: dict[str, Any], agents: Any) -> None:
    """By their dotted names, or as they are."""
    app = Flask("shop")
    app.config.update(config, CONVERSIMPLE_AGENTS=agents)
    Conversimple().init_app(app)
    assert embedding(app).check() == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"COLOUR": "red"}, "unknown: CONVERSIMPLE_COLOUR.*CONVERSIMPLE_API_KEY"),
        ({"colour": "red"}, "unknown: CONVERSIMPLE_COLOUR.*CONVERSIMPLE_AGENTS"),
        ({"WORKERS": "all"}, "every worker hears everything"),
        ({"WORKERS": "four"}, "'one' or 'all'"),
        ({"CLAIMS": "nonsense"}, "file:DIRECTORY"),
        ({"DISPATCH": "yes"}, "True or False"),
        ({"TOOL_TIMEOUT": -1}, "tool_timeout"),
        ({"agents": "no.such.Agent"}, "no.such.Agent.*cannot be imported"),
        ({"agents": "tests.integrations.agents.Nobody"}, "cannot be imported"),
        ({"agents": ()}, "there are no agents"),
        ({"agents": [int]}, "not a subclass"),
        ({"agents": "os.path"}, "not a subclass"),
    ],
)
def test_wrong_settings_are_refused(
    config: dict[str, Any], wrong: dict[str, Any], text: str
) -> None:
    """When the application is made, with what is right, and without the key."""
    app = Flask("shop")
    app.config.update(config)
    app.config.update({f"CONVERSIMPLE_{k}": wrong[k] for k in wrong if k.isupper()})
    given = {"agents": [Clerk], **{k: wrong[k] for k in wrong if k.islower()}}
    with pytest.raises(ConfigurationError, match=text) as caught:
        Conversimple(app, **given)
    assert "secret-key" not in str(caught.value)


def test_what_is_set_in_code_wins(make: Any) -> None:
    """Over what is configured."""
    assert embedding(make(WORKERS="nonsense", workers="one")).check() == []


def test_one_per_worker_with_a_journal(make: Any, tmp_path: Path) -> None:
    """It is allowed where nothing can be done twice."""
    assert embedding(make(WORKERS="all", JOURNAL=tmp_path / "calls.db")).check() == []


def test_an_application_has_its_agents_once(make: Any) -> None:
    """Whoever asks again has made a mistake."""
    app = make()
    with pytest.raises(ConfigurationError, match="already"):
        Conversimple(app, [Clerk])


@pytest.mark.parametrize("absent", [None, ""])
def test_a_key_from_the_environment(
    absent: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is missing when the agents start, and not before."""
    app = make(API_KEY=absent)
    assert (
        app.test_client().get("/healthz", environ_overrides=SERVED).status_code == 503
    )
    assert "CONVERSIMPLE_API_KEY" in caplog.text
    monkeypatch.setenv("CONVERSIMPLE_API_KEY", "secret-key")
    embedding(app).start()


def test_without_flask() -> None:
    """What is missing is said, and how to get it."""
    code = """
import sys
sys.modules["flask"] = None
import conversimple.integrations.flask
"""
    with python(code) as process:
        _, err = finished(process)
    assert 'pip install "conversimple-sdk[flask]"' in err


def test_flask_is_not_imported_without_need() -> None:
    """Neither by the SDK nor by what is embedded."""
    code = """
import sys, conversimple, conversimple.integrations.embedding as embedding
embedding.Embedding([conversimple.ConversimpleAgent], {})
print({"flask", "django", "redis", "dask"} & set(sys.modules))
"""
    with python(code) as process:
        out, err = finished(process)
    assert out == "set()\n", err


# Life.


def test_the_first_request_starts_it(platform: LocalPlatform, make: Any) -> None:
    """Of a server; its later ones do not start it again, nor once it is stopped."""
    app = make()
    client = app.test_client()
    client.get("/", environ_overrides=SERVED)
    platform.wait_for_agent(5.0)
    eventually(lambda: client.get("/healthz").status_code == 200)
    report = client.get("/healthz").json
    assert report["leading"] and not report["standby"]
    assert report["health"]["state"] == "connected"
    assert "secret-key" not in client.get("/healthz").text
    embedding(app).stop()
    assert client.get("/healthz", environ_overrides=SERVED).status_code == 503
    assert platform.agents == 0


def test_who_stands_by_is_well(make: Any) -> None:
    """A load balancer need not prefer the one that runs the agent."""
    first, second = make(), make()
    embedding(first).start()
    eventually(lambda: embedding(first).ready)
    embedding(second).start()
    client = second.test_client()
    eventually(lambda: client.get("/healthz").status_code == 200)
    assert client.get("/healthz").json["standby"]


def test_tests_start_nothing(make: Any) -> None:
    """Even with a real server."""
    app = make()
    app.testing = True
    app.test_client().get("/", environ_overrides=SERVED)
    assert not embedding(app).begun


def test_gunicorn_without_hooks(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once what is better."""
    app = make()
    for _ in range(2):
        named = {"SERVER_SOFTWARE": "gunicorn/27"}
        app.test_client().get("/", environ_overrides=named)
    assert [record.getMessage() for record in caplog.records].count(WITHOUT_HOOKS) == 1


def test_gunicorn_with_hooks(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing has to be said."""
    app = make()
    embedding(app).start()
    named = {"SERVER_SOFTWARE": "gunicorn/27"}
    app.test_client().get("/", environ_overrides=named)
    assert WITHOUT_HOOKS not in caplog.text


def test_health_has_an_address(make: Any) -> None:
    """Of the user's choice, or none."""
    elsewhere = make(HEALTHZ="/agents").test_client()
    assert elsewhere.get("/agents").status_code == 503
    assert elsewhere.get("/healthz").status_code == 404
    assert make(HEALTHZ=None).test_client().get("/healthz").status_code == 404


@pytest.mark.parametrize(
    ("command", "reload", "child", "starts"),
    [
        (run_command, False, False, True),
        (run_command, True, False, False),
        (run_command, True, True, True),
        (run_command, None, False, True),
        (shell_command, None, False, False),
    ],
)
def test_flask_run_starts_it(
    platform: LocalPlatform,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
    command: click.Command,
    reload: bool | None,
    child: bool,
    starts: bool,
) -> None:
    """In the process that serves, and before anybody looks at a page."""
    monkeypatch.setattr(module, "APPLICATION_IS_MADE", 0.0)
    if child:
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    with click.Context(command) as context:
        context.params["reload"] = reload
        app = make()
    assert embedding(app).begun is starts


# Tools.


@pytest.mark.parametrize("name", ["plain", "asynchronous"])
def test_tools_have_a_context(
    platform: LocalPlatform, make: Any, seen: Seen, name: str
) -> None:
    """Each its own, and never that of the request that has started it all."""
    app = make(Teller)

    def page() -> str:
        embedding(app).start()
        return request.path

    app.add_url_rule("/", view_func=page)
    torn_down: list[Any] = []
    app.teardown_appcontext(torn_down.append)
    app.test_client().get("/")
    conversation = platform.start_conversation()
    seen.wait_for("shop")
    for _ in range(3):
        assert conversation.call(name) == ["shop", 1, False]
    # The page, the agent's constructor, its callback and its tools.
    eventually(lambda: len(torn_down) == 1 + 1 + 1 + 3)


class Built(ConversimpleAgent):
    """Its constructor needs the application."""

    agent_id = "built"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.home = current_app.name

    @tool("Where")
    def where(self) -> list[str]:
        return [self.home, current_app.name]


@pytest.mark.parametrize("dispatch", [False, True])
def test_constructors_have_a_context(
    platform: LocalPlatform, make: Any, dispatch: bool
) -> None:
    """Of the one agent, and of those of a dispatcher."""
    app = make(Built, DISPATCH=dispatch)
    embedding(app).start()
    platform.wait_for_agent(5.0)
    conversation = platform.announce_ready("conv_1", "built", "c1")
    assert conversation.request("where", {}).result(5.0) == ["shop", "shop"]


class Keeper(ConversimpleAgent):
    """It uses a database."""

    @tool("Ask the database")
    def ask(self, number: int) -> int:
        db: SQLAlchemy = current_app.extensions["sqlalchemy"]
        found: int = db.session.execute(text("select :n"), {"n": number}).scalar_one()
        if number % 10 == 0:
            raise ValueError("after the session was used")
        return found


@pytest.mark.slow
def test_connections_are_given_back(
    tmp_path: Path, platform: LocalPlatform, make: Any
) -> None:
    """Of 1,000 calls that use ``db.session``, in many threads, some of which fail."""
    app = make(Keeper)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/data.db"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 5, "max_overflow": 20}
    db = SQLAlchemy(app)
    counted = dict.fromkeys(("checkout", "checkin", "connect", "close"), 0)
    torn_down: list[Any] = []
    app.teardown_appcontext(torn_down.append)
    lock = threading.Lock()

    def counts(name: str) -> Any:
        def count(*_: Any) -> None:
            with lock:
                counted[name] += 1

        return count

    with app.app_context():
        engine = db.engine
    for name in counted:
        event.listen(engine, name, counts(name))
    embedding(app).start()
    conversation = platform.start_conversation()
    assert conversation.call("ask", number=1) == 1
    torn_down.clear()
    calls = [conversation.request("ask", {"number": n}) for n in range(1000)]
    answers = [call.first_answer.result(30.0) for call in calls]
    assert sum(answer.error_type is None for answer in answers) == 900
    embedding(app).stop()
    engine.dispose()
    assert counted["checkout"] == counted["checkin"] == 1 + len(torn_down) == 1001
    assert 0 < counted["connect"] == counted["close"] <= 25


def test_a_real_server(platform: LocalPlatform, make: Any) -> None:
    """Werkzeug's, for one: the first request starts the agents."""
    app = make()
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.port}/healthz"
        with pytest.raises(Exception, match="503"):
            urlopen(url)
        platform.wait_for_agent(5.0)
        eventually(lambda: embedding(app).ready)
        with urlopen(url) as page:
            assert page.status == 200
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
