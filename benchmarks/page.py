"""The tables of docs/performance.md, made from what a run has written.

``python -m benchmarks.page`` prints them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import Ratio
from .report import amount, times

RESULTS = Path(__file__).parent / "results.json"


def tables(document: Mapping[str, Any]) -> list[str]:
    """The tables of the page, in their order."""
    return [_bars(document), _contenders(document), _steps(document)]


def made_on(document: Mapping[str, Any]) -> str:
    """What the figures were made on, in a sentence."""
    return (
        f"Measured on {document['date']} with {document['implementation']} "
        f"{document['python']} on {document['cores']} cores of {document['system']}."
    )


def _bars(document: Mapping[str, Any]) -> str:
    rows = (
        (
            bar["what"],
            f"{'≥' if bar['at_least'] else '≤'} {bar['limit']:g} × {bar['against']}",
            times(Ratio(**bar["measured"])) if bar["measured"] else "–",
            bar["verdict"],
        )
        for bar in document["bars"]
    )
    return _table(("what", "goal", "measured", ""), rows)


def _contenders(document: Mapping[str, Any]) -> str:
    """One call and many, of everybody, beside the floor."""
    columns = [
        ("latency", "sync", "p50"),
        ("latency", "sync", "p99"),
        ("throughput", "sync", "rate"),
        ("payload", "100 kB", "p50"),
    ]
    found = {
        (each["measurement"], each["case"], each["quantity"], each["contender"]): each
        for each in document["series"]
    }
    names = dict.fromkeys(key[3] for key in found if key[:3] == columns[0])
    rows = (
        (f"`{name}`", *(_compared(found.get((*each, name))) for each in columns))
        for name in names
        if name != "floor"
    )
    heads = ("× floor", "p50, one in flight", "p99", "calls/s, 64 in flight")
    return _table((*heads, "p50, 100 kB"), rows)


def _compared(series: Mapping[str, Any] | None) -> str:
    return f"{series['ratio']['median']:.2f}" if series and series["ratio"] else "–"


def _steps(document: Mapping[str, Any]) -> str:
    rows = (
        (
            each["case"],
            amount(each["median"], each["unit"]),
            f"{each['ratio']['median']:.2f}",
        )
        for each in document["series"]
        if each["measurement"] == "pipeline" and each["contender"] == "conversimple"
    )
    return _table(("step", "time", "× json.loads of the request"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print everything."""
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    print(made_on(document), *tables(document), sep="\n\n")


if __name__ == "__main__":
    main()
