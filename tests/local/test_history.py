"""What is kept, and how much of it."""

from __future__ import annotations

from conversimple.local.history import EXCERPT_LENGTH, History, Violations
from conversimple.local.phoenix import Frame


def test_the_history_keeps_the_latest() -> None:
    """Older frames go."""
    history = History(2)
    for number in range(3):
        history.add("client", number, Frame(None, str(number), "t", "e", {}))
    assert [entry.ref for entry in history.snapshot()] == ["1", "2"]


def test_a_snapshot_is_a_copy() -> None:
    """What comes later is not in it."""
    history, violations = History(2), Violations()
    before = history.snapshot(), violations.snapshot()
    history.add("server", 1, Frame(None, None, "t", "e", {}))
    violations.add("wrong", "text")
    assert before == ([], ())
    assert str(violations.snapshot()[0]) == "wrong: text"


def test_a_violation_is_told_in_short() -> None:
    """Neither the problem nor the excerpt becomes a page."""
    violations = Violations()
    violations.add("p" * 10_000, "x" * 10_000)
    (violation,) = violations.snapshot()
    assert len(violation.excerpt) == len(violation.problem) == EXCERPT_LENGTH + 1


def test_frames_are_numbered() -> None:
    """Whoever knows one by its number gets what came after it, a part at a time."""
    history = History(3)
    assert (history.count, history.size, history.after(0, 10)) == (0, 3, [])
    for number in range(1, 6):
        history.add("client", 1, Frame(None, str(number), "t", "e", {}))

    def after(number: int, most: int = 10) -> list[tuple[int, object]]:
        return [(n, entry.ref) for n, entry in history.after(number, most)]

    assert history.count == 5
    assert after(0) == [(3, "3"), (4, "4"), (5, "5")]
    assert after(3, most=1) == [(4, "4")]
    assert after(5) == after(99) == []
