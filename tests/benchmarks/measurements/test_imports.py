"""Import time and installed size."""

from __future__ import annotations

from benchmarks.measurements.imports import IMPORT

from ..helpers import TINY, measured


def test_an_import_and_a_size() -> None:
    """The interpreter is real, and the size is what was found when installing."""
    figures, rounds = measured(IMPORT)
    assert rounds == TINY.imports
    time = figures.find("import", "module", "conversimple", "time")
    assert time is not None and time.median > 0
    size = figures.find("import", "package and dependencies", "conversimple", "size")
    assert size is not None and size.rounds == (1.0,)
