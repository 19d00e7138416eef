"""Rules are values: nothing passes here, it is only decided."""

from __future__ import annotations

from conversimple.local.rules import Pace, Rules


def test_without_rules_everything_passes() -> None:
    """As much as is wanted, in both directions."""
    rules = Rules()
    assert rules.allowance("up", 1000) == (1000, None)
    assert rules.allowance("down", 0) == (0, None)


def test_a_cut_is_counted_down_once() -> None:
    """Over several portions, in its direction only."""
    rules = Rules()
    rules.cut_after(10, "up", "rst")
    assert rules.allowance("down", 50) == (50, None)
    assert rules.allowance("up", 4) == (4, None)
    assert rules.allowance("up", 50) == (6, "rst")
    assert rules.allowance("up", 50) == (50, None)


def test_a_cut_may_be_due_at_once() -> None:
    """Of what comes next nothing passes."""
    rules = Rules()
    rules.cut_after(0, "down", "fin")
    assert rules.allowance("down", 1) == (0, "fin")


def test_healing_forgets_everything() -> None:
    """Stalls, paces and cuts."""
    rules = Rules()
    rules.stalled.add("up")
    rules.paces["down"] = Pace(1, 0.1)
    rules.cut_after(0, "up", "rst")
    rules.heal()
    assert not rules.stalled and not rules.paces
    assert rules.allowance("up", 1) == (1, None)
