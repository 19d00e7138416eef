"""The tea shop with Flask: its page and its agent see the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from examples.flask_app import create_app
from examples.flask_app.models import db
from flask import Flask

from conversimple.integrations.embedding import Embedding
from conversimple.local import Conversation, LocalPlatform
from tests.examples.stage import LIMIT, invalid, refusal
from tests.support.postgres import PostgresServer, postgres  # noqa: F401


@contextmanager
def serving(platform: LocalPlatform, folder: Path, database: str) -> Iterator[Flask]:
    """A shop with full shelves, whose agent is there."""
    app = create_app(
        {
            "SQLALCHEMY_DATABASE_URI": database,
            "CONVERSIMPLE_PLATFORM_URL": platform.url,
            "CONVERSIMPLE_CLAIMS": f"file:{folder}/claims",
        }
    )
    made = app.test_cli_runner().invoke(args=["create-database"])
    assert made.exit_code == 0, made.output
    agents: Embedding = app.extensions["conversimple"]
    agents.start()
    try:
        yield app
    finally:
        agents.stop()
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def app(tmp_path: Path, platform: LocalPlatform) -> Iterator[Flask]:
    """The shop, with a database in a file."""
    with serving(platform, tmp_path, f"sqlite:///{tmp_path}/shop.db") as app:
        yield app


@pytest.fixture
def caller(app: Flask, platform: LocalPlatform) -> Conversation:
    """Somebody on the line."""
    return platform.start_conversation()


def page(app: Flask) -> str:
    """What everybody sees."""
    return app.test_client().get("/").text


def test_what_is_ordered_is_on_the_page(app: Flask, caller: Conversation) -> None:
    """And gone from the shelf."""
    assert "Nobody has called yet" in page(app)
    placed = caller.call("place_order", product="Gyokuro", quantity=2, customer="Ada")
    assert placed == {"order_id": 1}
    assert "2 × Gyokuro" in page(app) and "Ada" in page(app)
    [gyokuro] = [one for one in caller.call("list_products") if one["stock"] < 1000]
    assert gyokuro == {"name": "Gyokuro", "price": 2400, "stock": 1}


def test_an_order_is_placed_once(caller: Conversation) -> None:
    """However often the model asks for the same."""
    wanted: dict[str, Any] = {"product": "Sencha", "quantity": 1, "customer": "Ada"}
    assert caller.call("place_order", **wanted) == caller.call("place_order", **wanted)


def test_what_is_not_there_is_not_sold(caller: Conversation) -> None:
    """Neither too much, nor nothing, nor something else."""
    many = {"quantity": 4, "customer": "Ada"}
    text = refusal(caller, "place_order", product="Gyokuro", **many)
    assert text == "There are not 4 packets of Gyokuro."
    assert refusal(caller, "place_order", product="Coffee", **many)
    none = {"product": "Assam", "quantity": 0, "customer": "Ada"}
    assert "At least one" in refusal(caller, "place_order", **none)
    assert invalid(caller, "place_order", product="Assam", customer="Ada")


def test_an_order_is_cancelled(app: Flask, caller: Conversation) -> None:
    """It is struck through, and back on the shelf; but not twice."""
    caller.call("place_order", product="Gyokuro", quantity=3, customer="Ada")
    assert caller.call("cancel_order", order_id=1) == "Order 1 is cancelled."
    assert 'class="cancelled"' in page(app)
    assert {one["stock"] for one in caller.call("list_products")} == {3, 1000}
    assert "no order 2" in refusal(caller, "cancel_order", order_id=2)


def test_the_database_is_made_once(app: Flask, caller: Conversation) -> None:
    """Whoever asks for it again loses nothing."""
    caller.call("place_order", product="Assam", quantity=1, customer="Ada")
    assert app.test_cli_runner().invoke(args=["create-database"]).exit_code == 0
    assert "Ada" in page(app)
    with app.app_context(), db.engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert (mode, timeout) == ("wal", 10_000)


@pytest.mark.slow
def test_a_database_that_is_restarted(
    tmp_path: Path, platform: LocalPlatform, postgres: PostgresServer  # noqa: F811
) -> None:
    """Connections that it has closed meanwhile are met by no tool and no page."""
    postgres.create_database("tea")
    place = f"postgresql+psycopg://postgres@/tea?host={postgres.folder}"
    with serving(platform, tmp_path, place) as app:
        caller = platform.start_conversation()
        calls = [caller.request("list_products", {}) for _ in range(10)]
        assert all(call.result(LIMIT) for call in calls)
        postgres.restart()
        for number in range(20):
            wanted = {"product": "Assam", "quantity": 1, "customer": f"{number}"}
            assert caller.request("place_order", wanted).result(LIMIT)
            assert "Assam" in page(app)
