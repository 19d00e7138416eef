"""What is wrong with what is to be embedded is said before anything starts."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent
from conversimple.integrations.plan import EVERYBODY_HEARS, NO_AGENTS, Plan
from conversimple.runtime.claims import Alone
from tests.integrations.agents import Clerk, Demanding, Other

OPTIONS = {"api_key": "secret-key"}


class Abstract(ConversimpleAgent):
    """It is built upon."""

    @abstractmethod
    def build(self) -> None:
        """To be done by others."""


class Nameless(ConversimpleAgent):
    """The platform has no name for it."""


class Nameless2(ConversimpleAgent):
    """Nor for this."""


def plan(*agents: Any, **kwargs: Any) -> Plan:
    """A plan, with a key unless it is given."""
    return Plan(agents or (Clerk,), kwargs.pop("options", OPTIONS), **kwargs)


def test_nothing_is_wrong_with_an_agent() -> None:
    """One class and a key are enough."""
    assert plan().problems() == []


def test_everything_that_is_wrong_is_told() -> None:
    """All at once, without the key."""
    wrong = plan(
        Demanding,
        options={"api_key": "secret-key", "colour": "red"},
        workers="some",
        claims="nonsense",
    ).problems()
    assert [text.split(" ")[0] for text in wrong] == [
        "cannot",
        "workers",
        "unknown",
        "claims",
    ]
    assert "secret-key" not in repr(wrong)


@pytest.mark.parametrize(
    ("agents", "text"),
    [
        ((), NO_AGENTS),
        ((int,), "<class 'int'> is not a subclass of ConversimpleAgent"),
    ],
)
def test_what_is_no_agent(agents: Any, text: str) -> None:
    """Something has to run."""
    assert Plan(agents, OPTIONS).problems() == [text]


def test_a_key_may_come_later() -> None:
    """Not everything that is done with an application needs one."""
    without = plan(options={})
    assert without.problems(key=False) == []
    assert "CONVERSIMPLE_API_KEY" in without.problems()[0]


@pytest.mark.parametrize(
    ("kwargs", "fine"),
    [
        ({}, False),
        ({"claims": "file:/tmp/x"}, False),
        ({"dispatch": True}, False),
        ({"dispatch": True, "claims": "file:/tmp/x"}, True),
        ({"options": {**OPTIONS, "journal": "calls.db"}}, True),
    ],
)
def test_one_agent_for_each_worker(kwargs: Any, fine: bool) -> None:
    """Only where a call cannot run in two of them."""
    problems = plan(workers="all", **kwargs).problems()
    assert problems == ([] if fine else [EVERYBODY_HEARS])


def test_what_a_dispatcher_is_told() -> None:
    """It is told more than an agent, and it needs to know which agent is which."""
    options = {**OPTIONS, "max_conversations": 5}
    assert plan(dispatch=True, options=options).problems() == []
    [unfit] = plan(options=options).problems()
    assert unfit.startswith("max_conversations: only a dispatcher")
    wrong = {**OPTIONS, "max_conversations": 0}
    [problem] = plan(dispatch=True, options=wrong).problems(key=False)
    assert "max_conversations must be" in problem
    [nameless] = plan(Nameless, Nameless2).problems()
    assert "agent_id" in nameless
    assert len(plan(int, Clerk).problems()) == 1


def test_several_agents_are_dispatched() -> None:
    """Each conversation is for one of them."""
    assert plan(Clerk, Other).dispatches
    assert plan(Clerk, dispatch=True).dispatches
    assert not plan(Clerk).dispatches


def test_no_secret_is_shown() -> None:
    """Neither the key nor the password of a server."""
    shown = repr(plan(claims="redis://:secret@host"))
    assert "secret" not in shown


def test_claims_are_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default they are in a folder that nobody else can enter."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    claims = plan().open_claims()
    assert claims.take("leader", "leader")
    claims.close()
    [folder] = tmp_path.iterdir()
    assert folder.name == f"conversimple-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a link that was laid there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"conversimple-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="somebody else"):
        plan().open_claims()


def test_agents_of_different_kinds_do_not_compete(tmp_path: Path) -> None:
    """Nor do those of other customers, or of another platform."""
    place = f"file:{tmp_path}"
    others = [
        plan(Other, claims=place),
        plan(options={**OPTIONS, "customer_id": "other"}, claims=place),
        plan(options={**OPTIONS, "platform_url": "ws://other/"}, claims=place),
    ]
    opened = [each.open_claims() for each in (plan(claims=place), *others)]
    assert all(claims.take("leader", "leader") for claims in opened)
    again = plan(claims=place).open_claims()
    assert not again.take("leader", "leader")
    for claims in (*opened, again):
        claims.close()


def test_dispatchers_of_all_workers_have_claims_of_their_own(tmp_path: Path) -> None:
    """Nothing else has to be agreed upon."""
    told = {"workers": "all", "dispatch": True, "claims": f"file:{tmp_path}"}
    assert isinstance(plan(**told).open_claims(), Alone)
