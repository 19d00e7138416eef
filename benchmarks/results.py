"""What was measured, as a file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .bars import BARS, Bar
from .environments import Installed
from .figures import Figures, Series
from .measurements import MEASUREMENTS
from .report import verdict


def document(
    figures: Figures, installed: Mapping[str, Installed], quick: bool
) -> dict[str, Any]:
    """All that is known after a run."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "quick": quick,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: each.versions for name, each in installed.items()},
        "bars": [_bar(bar, figures) for bar in BARS],
        "series": [_series(each, figures) for each in figures.series],
        "left_out": [asdict(each) for each in figures.left_out],
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a document where people can read it as well."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def missed(bars: Sequence[Bar], figures: Figures) -> list[Bar]:
    """The bars that were measured and not met."""
    return [bar for bar in bars if verdict(bar, bar.measured(figures)) == "missed"]


def _bar(bar: Bar, figures: Figures) -> dict[str, Any]:
    ratio = bar.measured(figures)
    measured = asdict(ratio) if ratio else None
    return {**asdict(bar), "measured": measured, "verdict": verdict(bar, ratio)}


def _series(series: Series, figures: Figures) -> dict[str, Any]:
    reference = MEASUREMENTS[series.measurement].reference
    ratio = figures.beside(series, reference)
    compared = {"against": reference, **asdict(ratio)} if ratio else None
    return {**asdict(series), "median": series.median, "ratio": compared}
