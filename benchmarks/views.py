"""The plots of the report: which result each is drawn from, and how its rows become points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plots import Axis, bars, lines

Result = Mapping[str, Any]
Row = Mapping[str, Any]
OURS = "visualsearch"


@dataclass(frozen=True)
class View:
    """A plot of the result of `benchmark`; `draw` gives SVG text, or None where the result has nothing to show."""

    title: str
    about: str
    benchmark: str
    draw: Callable[[Result], str | None]


def drawn(results: Sequence[Result]) -> Iterator[tuple[View, str]]:
    """The plots that the results allow."""
    for view in VIEWS:
        for result in results:
            if result["benchmark"] == view.benchmark:
                svg = view.draw(result)
                if svg is not None:
                    yield view, svg


def _rows(result: Result, *names: str) -> list[Row]:
    """Rows that have all these figures, above 0."""
    return [
        row
        for row in result.get("rows", [])
        if all(isinstance(row.get(name), (int, float)) and row[name] > 0 for name in names)
    ]


def cold_start(result: Result) -> str | None:
    """Seconds of each command."""
    rows = _rows(result, "seconds")
    ours = [row["name"] for row in rows if row["name"].startswith(OURS)]
    return bars("Cold start", [(row["name"], row["seconds"]) for row in rows], "s", ours) if rows else None


def serving(result: Result) -> str | None:
    """Latencies over clients, by kind of query."""
    rows = _rows(result, "clients", "p50_ms", "p99_ms")
    series = {
        f"by {kind}, {name}": [(r["clients"], r[f"{name}_ms"]) for r in rows if r["query"] == kind]
        for kind in dict.fromkeys(row["query"] for row in rows)
        for name in ("p50", "p99")
    }
    return lines("Latency", series, Axis("clients", log=True), Axis("ms", log=True)) if rows else None


def updating(result: Result) -> str | None:
    """Latency alone and beside the writer."""
    rows = _rows(result, "p50_ms", "p99_ms")
    values = [(f"{row['name']}, {part}", row[f"{part}_ms"]) for row in rows for part in ("p50", "p99")]
    ours = [name for name, _ in values if name.startswith("beside")]
    return bars("Latency", values, "ms", ours) if rows else None


def exact_of(queries: int) -> Callable[[Result], str | None]:
    """Milliseconds a query of the exact scans, asked so many at a time."""

    def draw(result: Result) -> str | None:
        rows = [row for row in _rows(result, "ms_per_query") if row.get("queries") == queries]
        ours = [row["name"] for row in rows if row["name"].startswith(OURS)]
        return (
            bars("Exact scan", [(r["name"], r["ms_per_query"]) for r in rows], "ms", ours) if rows else None
        )

    return draw


def likeness(result: Result) -> str | None:
    """Recall of the same indexes on real and on made-up rows."""
    check = result.get("check", {})
    series = {
        f"{family}, {kind} rows": [
            (float(setting.split()[-1]), recall)
            for setting, recall in check[kind]["recall"].items()
            if setting.startswith(family)
        ]
        for family in ("IVF", "HNSW")
        for kind in ("real", "made")
        if kind in check
    }
    return (
        lines("Recall", series, Axis("nprobe or efSearch", log=True), Axis("recall@10")) if series else None
    )


VIEWS = (
    View("Exact scan, one query", "milliseconds", "exact", exact_of(1)),
    View("Exact scan, 64 queries at once", "milliseconds a query", "exact", exact_of(64)),
    View("One cold search", "from the shell's prompt to the answer, seconds", "cold_start", cold_start),
    View("Serving", "latency of one answer by number of clients", "serve_load", serving),
    View("Made-up rows against real ones", "recall of the same index on either", "vectors", likeness),
    View("Searching while pins are added and removed", "latency, ms", "update_while_searching", updating),
)
