"""The system check: what ``manage.py check`` says about the settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import ERROR, WARNING, run_checks
from django.test import override_settings

from .stock.agents import Clerk

SECRET = "s3cret-key"
CLERK = f"{Clerk.__module__}.Clerk"


def told() -> list[str]:
    """What the check says, by the level, the id and the text of each message."""
    messages = run_checks(tags=["conversimple"])
    assert all(each.hint for each in messages)
    return [
        f"{'E' if each.level == ERROR else 'W'} {each.id} {each.msg}"
        for each in messages
        if each.level in (ERROR, WARNING)
    ]


def test_all_is_well(configure: Any) -> None:
    """With a key, and without anything else."""
    configure(API_KEY=SECRET)
    assert told() == []


def test_each_wrong_setting_is_one_error(configure: Any) -> None:
    """All are told, and the key never is."""
    configure(API_KEY=SECRET, TOOL_TIMEOUT=0, WORKER="one", AGENTS=None)
    first, second = told()
    assert first.startswith("E conversimple.E001 CONVERSIMPLE['TOOL_TIMEOUT']: ")
    assert second.startswith("E conversimple.E001 CONVERSIMPLE['WORKER']: ")
    assert "START_IN_WEB_WORKERS" in second
    assert SECRET not in first + second


def test_the_settings_are_no_dictionary() -> None:
    """That is an error as well."""
    with override_settings(CONVERSIMPLE=SECRET):
        (only,) = told()
    assert "must be a dictionary, not str" in only


def test_without_a_key(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning: to migrate, or to test, nobody needs one."""
    monkeypatch.delenv("CONVERSIMPLE_API_KEY", raising=False)
    configure(START_IN_WEB_WORKERS=True, AGENTS=[CLERK])
    (only,) = told()
    assert only.startswith("W conversimple.W001 no API key")


def test_an_agent_that_is_not_there(configure: Any) -> None:
    """Its name is told, and so is where it is written."""
    configure(API_KEY=SECRET, AGENTS=["nowhere.agents.Clerk"])
    (only,) = told()
    assert only.startswith("E conversimple.E002 cannot import the agent nowhere.")


def test_every_worker_hears_everything(configure: Any) -> None:
    """So all of them may only run agents that know of each other."""
    web = {"API_KEY": SECRET, "START_IN_WEB_WORKERS": True, "AGENTS": [CLERK]}
    configure(**web, WORKERS="all")
    (only,) = told()
    assert only.startswith("E conversimple.E003 ")
    assert "every worker hears" in only
    configure(**web, WORKERS="all", JOURNAL="redis://localhost/0")
    assert told() == []
    configure(**web, WORKERS="all", DISPATCH=True, CLAIMS="file:/tmp/claims")
    assert told() == []


def test_agents_are_not_imported_without_need(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that runs none does not pay for them."""
    configure(API_KEY=SECRET)
    monkeypatch.setattr("conversimple.integrations.django.checks.chosen", None)
    assert told() == []
