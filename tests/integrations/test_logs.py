"""What goes wrong is read by somebody, whatever the application does with its log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conversimple.integrations import logs
from conversimple.integrations.logs import LastResort, is_heard, keep_warnings
from tests.conftest import python

LOGGER = logging.getLogger("conversimple.integrations.of_a_test")


@contextmanager
def nobody_listens() -> Iterator[None]:
    """As in an application that has not configured its log; pytest listens else."""
    sdk = logging.getLogger(logs.SDK)
    handlers, propagate = list(sdk.handlers), sdk.propagate
    sdk.handlers[:] = [logging.NullHandler()]
    sdk.propagate = False
    try:
        yield
    finally:
        sdk.handlers[:] = handlers
        sdk.propagate = propagate


def test_warnings_reach_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Once each, and nothing below."""
    with nobody_listens():
        keep_warnings()
        keep_warnings()
        LOGGER.warning("the %s is missing", "key")
        LOGGER.info("all is well")
    written = capsys.readouterr().err
    assert written.count("the key is missing") == 1
    assert "WARNING conversimple.integrations.of_a_test" in written
    assert "all is well" not in written


@pytest.mark.parametrize("name", ["conversimple", LOGGER.name])
def test_a_handler_of_the_application_wins(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever it is added, and wherever."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    with nobody_listens():
        keep_warnings()
        assert not is_heard(name)
        logging.getLogger(name).addHandler(handler)
        assert is_heard(name)
        LOGGER.warning("once")
        logging.getLogger(name).removeHandler(handler)
    assert stream.getvalue() == "once\n"
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the handler's trouble, not the agent's."""
    told: list[Any] = []
    monkeypatch.setattr(LastResort, "handleError", lambda _, each: told.append(each))
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with nobody_listens():
        keep_warnings()
        LOGGER.warning("nobody reads this")
    assert len(told) == 1


def test_an_application_without_a_log() -> None:
    """It reads on standard error that it has no key."""
    program = (
        "from conversimple import ConversimpleAgent\n"
        "from conversimple.integrations.embedding import Embedding\n"
        "Embedding([ConversimpleAgent], {}).start_or_say()\n"
    )
    with python(program) as process:
        _, written = process.communicate()
    assert process.returncode == 0
    assert "ERROR" in written and "CONVERSIMPLE_API_KEY" in written
