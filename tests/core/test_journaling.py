"""The values that travel between a session and a journal."""

from __future__ import annotations

from conversimple.core.journaling import Answer, Entry, Recovered, Verdict
from conversimple.core.keys import Key

KEY = Key("conv_1", "call_1")


def test_a_call_may_run_once_at_most_unless_told() -> None:
    """What is not said to be idempotent is not, and other ids are other calls."""
    entry = Entry(KEY, b"digest", "charge")
    assert not entry.idempotent
    assert entry.once is None


def test_an_answer_counts_unless_told() -> None:
    """A repeat under another id gets it."""
    assert Answer(KEY, "tool_call_response", "{}").counts


def test_values_are_equal_by_content() -> None:
    """What comes back from a disk is what was written."""
    entry = Entry(KEY, b"digest", "charge", b"once", True)
    answer = Answer(KEY, "tool_call_response", "{}", False)
    assert Recovered(entry, answer) == Recovered(Entry(*entry), Answer(*answer))


def test_every_verdict_says_why() -> None:
    """In words of its own."""
    reasons = {verdict.value for verdict in Verdict}
    assert len(reasons) == len(Verdict) == 6
    assert all(reasons)
