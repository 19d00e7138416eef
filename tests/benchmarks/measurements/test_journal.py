"""A journal on disk."""

from __future__ import annotations

import pytest

from benchmarks.measurements.journal import JOURNAL, WITH_JOURNAL

from ..helpers import measured


@pytest.mark.slow
def test_the_same_agent_is_measured_with_and_without() -> None:
    """For real."""
    figures, _ = measured(JOURNAL)
    for contender in ("conversimple", WITH_JOURNAL):
        assert figures.find("journal", "one in flight", contender, "p50")
        assert figures.find("journal", "64 in flight", contender, "rate")
