"""A failure names the contender."""

from __future__ import annotations

from benchmarks.errors import BenchmarkError, ContenderFailed


def test_a_failure_says_who_and_why() -> None:
    """In one line."""
    error = ContenderFailed("slack", "it ended")
    assert str(error) == "slack: it ended"
    assert isinstance(error, BenchmarkError)
