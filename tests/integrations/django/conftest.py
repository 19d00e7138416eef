"""A Django project of the tests' own: one app, a database on disk."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test import override_settings

from conversimple.local import Call, Conversation

#: How many calls run at once, and how long each may take.
AT_ONCE = 40
PATIENCE = 20.0

#: Its name is part of what the settings say.
FOLDER = tempfile.mkdtemp(prefix="conversimple-django-")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=[
            "conversimple.integrations.django",
            "tests.integrations.django.stock",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(FOLDER, "db.sqlite3"),
                "OPTIONS": {"timeout": 20},
            }
        },
        ROOT_URLCONF="conversimple.integrations.django.urls",
        LOGGING_CONFIG=None,
        USE_TZ=True,
        SECRET_KEY="of the tests",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


@pytest.fixture(scope="session")
def tables() -> Iterator[None]:
    """The tables are there."""
    from .stock.models import Thing

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode=WAL")
    with connection.schema_editor() as editor:
        editor.create_model(Thing)
    connections.close_all()
    yield
    connections.close_all()


@pytest.fixture
def database(tables: None) -> Iterator[None]:
    """An empty database; this thread's connection ends with the test."""
    from .stock.models import Thing

    Thing.objects.all().delete()
    yield
    connections.close_all()


class Counted:
    """The connections that were opened and closed, of all threads."""

    def __init__(self) -> None:
        self.last: Any = None
        self.opened = 0
        self.closed = 0

    @property
    def balance(self) -> int:
        """How many are open."""
        return self.opened - self.closed


@pytest.fixture
def counted(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Counts from here on; this thread has no connection at first."""
    counted = Counted()
    connections.close_all()
    close = BaseDatabaseWrapper.close

    def count_opened(connection: Any, **_: Any) -> None:
        counted.last = connection
        counted.opened += 1

    def count_closed(self: Any) -> None:
        counted.closed += self.connection is not None
        close(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "close", count_closed)
    connection_created.connect(count_opened)
    yield counted
    connection_created.disconnect(count_opened)


def call_often(
    caller: Conversation, names: tuple[str, ...], number: int, **arguments: Any
) -> list[Any]:
    """Call tools by turns, some at once; what all of them returned."""
    running: deque[Call] = deque()
    answers: list[Any] = []
    for i in range(number):
        running.append(caller.request(names[i % len(names)], arguments))
        if len(running) == AT_ONCE:
            answers.append(running.popleft().result(PATIENCE))
    return answers + [call.result(PATIENCE) for call in running]


@pytest.fixture
def configure() -> Iterator[Any]:
    """Has ``CONVERSIMPLE`` be what it is called with, until the test is over."""
    overriding: list[Any] = []

    def configure(**given: Any) -> None:
        override = override_settings(CONVERSIMPLE=given)
        override.enable()
        overriding.append(override)

    yield configure
    for override in reversed(overriding):
        override.disable()
