"""What all measurements have in common."""

from __future__ import annotations

import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.figures import Figures
from benchmarks.measurements import MEASUREMENTS
from benchmarks.measurements.measurement import Measurement

from ..helpers import TINY, measured

REFERENCES = {*CONTENDERS, "ideal", "expected", "json.loads"}


@pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)
def test_a_measurement_is_complete(measurement: Measurement) -> None:
    """It has contenders, a reference and rounds."""
    assert measurement.title
    assert set(measurement.contenders) <= CONTENDERS.keys()
    assert measurement.reference in REFERENCES
    assert measurement.rounds(TINY) >= 1


@pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=MEASUREMENTS)
def test_nobody_may_take_part(measurement: Measurement) -> None:
    """When only others were chosen."""
    assert measured(measurement, installed={})[0] == Figures()
