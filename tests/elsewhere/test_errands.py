"""A tool where it was sent to: it comes back with plain values, whatever happens."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from conversimple import ToolCall
from conversimple.core.events import Failure, Success
from conversimple.elsewhere import errands
from conversimple.elsewhere.errands import (
    Errand,
    Parcel,
    Returned,
    Stub,
    invoked_of,
    told,
)
from tests.support.faragent import FarAgent, Point, Surrounded, double, notes

Make = Callable[..., Errand]


@pytest.fixture
def errand(tmp_path: Path) -> Make:
    """Makes errands."""

    def make(attribute: str | None = "multiply", **more: Any) -> Errand:
        arguments: Mapping[str, Any] = more.pop("arguments", {})
        owner = more.pop("owner", FarAgent("ws://127.0.0.1:9/", tmp_path))
        call = ToolCall(
            "call_7", attribute or "f", arguments, "conv_1", 30.0, 0.0, time.monotonic
        )
        told: dict[str, Any] = {
            "until": time.time() + 30.0,
            "function": None,
            "is_surrounded": False,
            "full_detail": False,
            "wants_value": False,
            "token": "token",
        }
        return Errand(
            stub=Stub.of(call),
            owner=owner,
            attribute=attribute,
            arguments=arguments,
            **(told | more),
        )

    return make


def test_a_method(errand: Make) -> None:
    """Its result is text."""
    assert errand(arguments={"n": 2}).run() == Returned(Success("6"))


def test_a_function(errand: Make) -> None:
    """It needs no agent."""
    sent = errand(None, function=double, owner=None, arguments={"n": 4})
    assert sent.run() == Returned(Success("8"))


def test_the_call_is_there(errand: Make) -> None:
    """With the time that is left, by the clock of the process."""
    assert errand("call").run() == Returned(Success('["call_7","conv_1",{},true]'))


def test_the_context_is_there(errand: Make) -> None:
    """Where the tool runs."""
    owner = Surrounded("ws://127.0.0.1:9/")
    around = errand("around", owner=owner, is_surrounded=True)
    assert around.run() == Returned(Success('"call_7"'))


def test_too_late(errand: Make, tmp_path: Path) -> None:
    """Whoever comes too late does nothing."""
    late = errand(arguments={"n": 2}, until=time.time() - 0.1).run()
    assert late.outcome == Failure("tool_timeout", "multiply was not started in time")
    assert notes(tmp_path) == []


def test_once_only(
    errand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else has begun is not begun again, unless that does no harm."""
    asked: list[str] = []

    def never(token: str) -> bool:
        asked.append(token)
        return False

    monkeypatch.setattr(errands, "is_first", never)
    outcome = errand(arguments={"n": 2}).run().outcome
    assert isinstance(outcome, Failure) and outcome.unknown
    assert asked == ["token"] and notes(tmp_path) == []
    assert errand(arguments={"n": 2}, token=None).run().outcome == Success("6")


def test_nobody_can_be_asked(
    errand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not begun, and the cure is told."""

    def fail(token: str) -> bool:
        raise ImportError("no conversimple there")

    monkeypatch.setattr(errands, "is_first", fail)
    back = errand(arguments={"n": 2}).run()
    assert isinstance(back.outcome, Failure) and not back.outcome.unknown
    assert "has to be installed there" in back.outcome.message
    assert "no conversimple there" in (back.log or "")
    assert notes(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("fail", "ValueError"), ("leave", "SystemExit"), ("fail_clingily", "ClingyError")],
)
def test_exceptions_come_back_as_text(errand: Make, name: str, kind: str) -> None:
    """The platform hears their name, our log their traceback."""
    back = errand(name).run()
    text = f"{name} failed with {kind}; reference call_7"
    assert back.outcome == Failure("tool_execution_error", text, unknown=True)
    assert back.log and f"in {name}" in back.log
    detailed = errand("fail", full_detail=True).run().outcome
    assert isinstance(detailed, Failure) and detailed.message.endswith(": secret")


def test_what_a_tool_tells(errand: Make) -> None:
    """A ToolError is for the platform, and for no log."""
    assert errand("refuse").run() == Returned(
        Failure("tool_execution_error", "not today")
    )


def test_a_result_without_json(errand: Make) -> None:
    """It cannot travel anyway."""
    outcome = errand("give_lock").run().outcome
    assert isinstance(outcome, Failure)
    assert outcome.error_type == "tool_result_invalid"


def test_a_promise_is_waited_for(errand: Make) -> None:
    """The thread there has nothing else to do."""
    assert errand("promise").run() == Returned(Success("7"))


def test_the_value_comes_back_if_it_is_wanted(errand: Make) -> None:
    """As it was, or as JSON makes it."""
    assert errand("give_point").run().value is None
    back = errand("give_point", wants_value=True).run()
    assert invoked_of(back).value == Point(1)
    assert invoked_of(back).outcome == Success('{"x":1}')
    clingy = errand("give_clingy", wants_value=True).run()
    assert clingy.value is not None and invoked_of(clingy).value == "clingy"
    failed = errand("fail", wants_value=True).run()
    assert invoked_of(failed).outcome is failed.outcome


def test_a_value_that_cannot_be_pickled(errand: Make) -> None:
    """Is told as JSON makes it."""

    class Local(Point):
        pass

    made = errand(None, function=lambda: Local(2), owner=None, wants_value=True)
    assert invoked_of(made.run()).value == {"x": 2}


def test_a_parcel(errand: Make) -> None:
    """It travels, and is opened where it has arrived."""
    parcel = Parcel(pickle.dumps(errand(arguments={"n": 5})))
    assert pickle.loads(pickle.dumps(parcel))() == Returned(Success("15"))


def test_a_parcel_that_cannot_be_opened() -> None:
    """Nothing was done, and the reason is for our log."""
    back = Parcel(b"nothing").__call__()
    assert isinstance(back.outcome, Failure) and not back.outcome.unknown
    assert "cannot be unpickled" in back.outcome.message
    assert "UnpicklingError" in (back.log or "")


def test_what_comes_back_can_be_pickled(errand: Make) -> None:
    """Always, or a pool would break."""
    for name in ("fail_clingily", "give_clingy", "give_lock", "leave"):
        back = errand(name, wants_value=True).run()
        assert pickle.loads(pickle.dumps(back)) == back


def test_an_exception_without_a_text() -> None:
    """Has at least a name."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "ValueError: why" in told(ValueError("why"))
    assert "Mute" in told(Mute())
