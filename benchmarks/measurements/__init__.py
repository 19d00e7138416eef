"""What is measured, by the names that the command line has for it."""

from __future__ import annotations

from .agents import AGENTS
from .concurrency import CONCURRENT_ASYNC, CONCURRENT_SYNC
from .imports import IMPORT
from .journal import JOURNAL
from .latency import LATENCY
from .measurement import Measurement
from .payload import PAYLOAD
from .pipeline import PIPELINE
from .restart import RESTART
from .throughput import THROUGHPUT

MEASUREMENTS: dict[str, Measurement] = {
    measurement.name: measurement
    for measurement in (
        LATENCY,
        THROUGHPUT,
        CONCURRENT_SYNC,
        CONCURRENT_ASYNC,
        PAYLOAD,
        JOURNAL,
        AGENTS,
        RESTART,
        IMPORT,
        PIPELINE,
    )
}
