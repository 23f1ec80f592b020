"""The plots of the report: which result each is drawn from, and how its rows become points."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plots import Axis, bars, lines, stacks

Result = Mapping[str, Any]
Row = Mapping[str, Any]
OURS = "visualsearch"
STAGES = ("read", "decode", "embed", "commit")
ENOUGH = 0.95


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


def speeds(result: Result) -> str | None:
    """Pictures a second of each contestant."""
    rows = _rows(result, "per_second")
    ours = [row["name"] for row in rows if row["name"].startswith(OURS)]
    return (
        bars("Speed", [(row["name"], row["per_second"]) for row in rows], "pictures/s", ours)
        if rows
        else None
    )


def stages(result: Result) -> str | None:
    """Where our time goes: seconds of each stage, of those that have one."""
    found = []
    for row in result.get("rows", []):
        parts = {
            stage: row[f"{stage}_s"] for stage in STAGES if isinstance(row.get(f"{stage}_s"), (int, float))
        }
        if any(parts.values()):
            found.append((row["name"], parts))
    return stacks("Stages", found, "s") if found else None


def decoding(result: Result) -> str | None:
    """Milliseconds a picture over megapixels."""
    rows = [row for row in _rows(result, "ms") if re.fullmatch(r"\d+ MP", row["set"])]
    series = {
        name: [(float(r["set"].split()[0]), r["ms"]) for r in rows if r["contestant"] == name]
        for name in sorted(dict.fromkeys(r["contestant"] for r in rows), key=_ours_first)
    }
    return (
        lines("Decode", series, Axis("megapixels"), Axis("ms a picture, one core", log=True))
        if series
        else None
    )


def small_pictures(result: Result) -> str | None:
    """Milliseconds for small pictures as they are."""
    rows = [row for row in _rows(result, "ms") if row["set"] == "as they are"]
    ours = [row["contestant"] for row in rows if row["contestant"].startswith(OURS)]
    return bars("Decode", [(row["contestant"], row["ms"]) for row in rows], "ms", ours) if rows else None


def filtering(result: Result) -> str | None:
    """Milliseconds over the share of rows that a random filter leaves; only settings that reach the recall."""
    rows = [
        row
        for row in _rows(result, "selectivity", "p50_ms", "recall")
        if row.get("filter") == "random" and row["recall"] >= ENOUGH
    ]
    series = {
        name: [(100 * r["selectivity"], r["p50_ms"]) for r in rows if r["contestant"] == name]
        for name in sorted(dict.fromkeys(r["contestant"] for r in rows), key=_ours_first)
    }
    return (
        lines("Filters", series, Axis("% of rows left", log=True), Axis("median ms", log=True))
        if series
        else None
    )


def recall_and_speed(queries: str) -> Callable[[Result], str | None]:
    """Queries a second over recall@10, one line a contestant, from 0.7 on."""

    def draw(result: Result) -> str | None:
        rows = [
            r
            for r in _rows(result, "recall", "per_second")
            if r.get("queries") == queries and r["recall"] > 0.7
        ]
        series = {
            name: sorted((r["recall"], r["per_second"]) for r in rows if r["name"] == name)
            for name in _names(rows)
        }
        return (
            lines("Recall and speed", series, Axis("recall@10"), Axis("queries/s", log=True))
            if series
            else None
        )

    return draw


def overlap(result: Result) -> str | None:
    """Pictures a second of the stages alone and of all together."""
    rows = _rows(result, "per_second")
    ours = [row["name"] for row in rows if row.get("stage") == "end to end"]
    return (
        bars("Pipeline", [(row["name"], row["per_second"]) for row in rows], "pictures/s", ours)
        if rows
        else None
    )


def growth(figure: str, label: str) -> Callable[[Result], str | None]:
    """A figure of our recipes over the number of rows."""

    def draw(result: Result) -> str | None:
        rows = [row for row in _rows(result, "rows", figure) if row.get("queries", "image") == "image"]
        series = {n: sorted((r["rows"], r[figure]) for r in rows if r["name"] == n) for n in _names(rows)}
        return lines(label, series, Axis("rows", log=True), Axis(label, log=True)) if series else None

    return draw


def clustering(result: Result) -> str | None:
    """Seconds of each way to find centroids."""
    rows = _rows(result, "seconds")
    ours = [row["name"] for row in rows if row.get("key") != "plain"]
    return bars("Clustering", [(row["name"], row["seconds"]) for row in rows], "s", ours) if rows else None


def latency_and_memory(result: Result) -> str | None:
    """Median latency over memory at the first setting that reaches recall 0.95 on image queries."""
    rows = [
        row
        for row in _rows(result, "recall", "p50_ms", "bytes_per_vector")
        if row["recall"] >= ENOUGH and row.get("queries", "image") == "image"
    ]
    series = {}
    for name in _names(rows):
        best = min((row for row in rows if row["name"] == name), key=lambda row: row["p50_ms"])
        series[name] = [(best["bytes_per_vector"], best["p50_ms"])]
    axes = Axis("bytes a vector in memory", log=True), Axis("median ms", log=True)
    return lines("Latency and memory", series, *axes, joined=False) if series else None


def _names(rows: Sequence[Row]) -> list[str]:
    """Names in their order, ours first: they take the same colours in all plots."""
    return sorted(dict.fromkeys(row["name"] for row in rows), key=_ours_first)


def _ours_first(name: str) -> bool:
    return not name.startswith(OURS)


VIEWS = (
    View("Large JPEGs to a model's input", "by megapixels; floor: decoding at 1/8 alone", "decode", decoding),
    View("Small JPEGs to a model's input", "milliseconds a picture, one core", "decode", small_pictures),
    View("Image tower", "ViT-B/32, pictures a second", "embed", speeds),
    View("JPEG folder to index, bundled model", "pictures a second", "index_end_to_end", speeds),
    View("JPEG folder to index, ViT-B/32", "pictures a second", "index_end_to_end_vit_b_32", speeds),
    View("Stages, bundled model", "seconds of each stage; they overlap", "index_end_to_end", stages),
    View("Stages, ViT-B/32", "seconds of each stage; they overlap", "index_end_to_end_vit_b_32", stages),
    View("Stages alone, and end to end", "bundled model, pictures a second", "pipeline", overlap),
    View("Recall and speed, image queries", "1M rows, one thread", "search", recall_and_speed("image")),
    View("Recall and speed, text queries", "1M rows, one thread", "search", recall_and_speed("text")),
    View("Growth: latency", "least effort of recall 0.95, median ms", "scale", growth("p50_ms", "median ms")),
    View("Growth: memory", "bytes a vector in memory", "scale", growth("bytes_per_vector", "bytes a vector")),
    View("Growth: build", "seconds", "scale", growth("build_s", "seconds to build")),
    View("Clustering", "seconds for the same rounds over the same points", "kmeans", clustering),
    View(
        "Latency and memory",
        "each at its fastest setting of recall 0.95, image queries",
        "search",
        latency_and_memory,
    ),
    View("Exact scan, one query", "milliseconds", "exact", exact_of(1)),
    View("Exact scan, 64 queries at once", "milliseconds a query", "exact", exact_of(64)),
    View("Filters", "median ms where recall is at least 0.95, random filters", "filtered", filtering),
    View("One cold search", "from the shell's prompt to the answer, seconds", "cold_start", cold_start),
    View("Serving", "latency of one answer by number of clients", "serve_load", serving),
    View("Made-up rows against real ones", "recall of the same index on either", "vectors", likeness),
    View("Searching while pins are added and removed", "latency, ms", "update_while_searching", updating),
)
