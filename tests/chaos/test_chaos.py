"""No answer is lost and no effect happens twice, whatever happens to the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from conversimple.core.ledger import Admission, Ledger

from .__main__ import main
from .plan import Mode, Plan
from .run import Figures, run

pytestmark = pytest.mark.slow

#: Seeds are varied by hand and at night; the suite is the same every time.
SEED = 20

each_platform = pytest.mark.parametrize("mode", [Mode.NEVER, Mode.EVERYTHING])
plain_and_tls = pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])


def check(figures: Figures) -> None:
    """Nothing was lost, nothing happened twice, and there was something to lose."""
    assert figures.good, f"\n{figures}"
    plan = figures.plan
    assert figures.cuts >= 0.7 * plan.cuts, figures
    assert figures.reconnects >= 0.7 * plan.cuts, figures
    assert figures.senders >= 4, figures
    if plan.mode is Mode.EVERYTHING:
        assert figures.again >= plan.calls, figures


@plain_and_tls
@each_platform
def test_nothing_is_lost_and_nothing_happens_twice(mode: Mode, tls: bool) -> None:
    """Five hundred calls, and ten cuts at random bytes."""
    check(run(Plan(calls=500, cuts=10, seed=SEED, mode=mode, tls=tls)))


@pytest.mark.chaos
@plain_and_tls
@each_platform
def test_nothing_is_lost_in_the_long_run(
    mode: Mode,
    tls: bool,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twenty thousand calls, and two hundred cuts."""
    figures = run(Plan(calls=20_000, cuts=200, seed=SEED, mode=mode, tls=tls))
    with capsys.disabled():
        print(f"\n{figures}")
    check(figures)


def flawed(mode: Mode, fault: Callable[[Figures], list[int]]) -> bool:
    """Whether a few runs show the fault of a client that is not as it should be."""
    plan = Plan(calls=300, cuts=10, seed=SEED, mode=mode, tls=False, patience=1.0)
    return any(fault(run(replace(plan, seed=SEED + extra))) for extra in range(3))


def test_a_client_that_forgets_to_resend_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answers that were on their way when the connection ended are lost."""
    monkeypatch.setattr(Ledger, "lost", lambda ledger, *_, **__: ledger.handled())
    assert flawed(Mode.NEVER, lambda figures: figures.lost)


def test_a_client_that_takes_read_for_handled_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the platform's channel had not come to is lost."""
    genuine = Ledger.read_up_to

    def read_up_to(ledger: Ledger, ref: int, now: float) -> None:
        genuine(ledger, ref, now - 3600.0)
        ledger.time_passed(now)

    monkeypatch.setattr(Ledger, "read_up_to", read_up_to)
    assert flawed(Mode.NEVER, lambda figures: figures.lost)


def test_a_client_that_runs_duplicates_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls that are asked again have their effect again."""
    genuine = Ledger.admit

    def admit(ledger: Ledger, *arguments: object) -> Admission:
        admission = genuine(ledger, *arguments)  # type: ignore[arg-type]
        return Admission.NEW if admission is Admission.ANSWERED else admission

    monkeypatch.setattr(Ledger, "admit", admit)
    assert flawed(Mode.EVERYTHING, lambda figures: figures.twice)


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints the figures of a run, and its status tells whether they are good."""
    arguments = ["--calls", "50", "--cuts", "1", "--seed", "3", "--mode", "unanswered"]
    assert main(arguments) == 0
    assert "ws unanswered seed=3: 50 calls" in capsys.readouterr().out
