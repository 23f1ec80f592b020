"""`bench ranking`: rankers learnt from simulated clicks on lists with graded labels, against what full labels would give.

Each session draws a query and shows its list by one of two weak rankers, as when a ranker was replaced. In a tenth of the lists
two neighbours are swapped. The list stands in a grid. The chance of a click is that of its place to be looked at, times one that
rises with the label. Ours does not know the places' chances: it estimates them from the same clicks.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import SourceError, UsageError
from visualsearch.learn import WAYS, Deeds, fit_places, swapped, train_full, train_ranker
from visualsearch.types import Float32, Float64, Int64

NOISE = 0.1
"""The chance that a candidate of label 0 is clicked once it is looked at."""
SWAPPED = 0.1
QUERIES = 10
"""Queries with labels that a weak ranker is made of."""
RIDGE = 300.0
TOP = 10


@dataclass(frozen=True)
class Labelled:
    """Queries with graded candidates: (n, f) signals, (n,) labels from 0 to 4, (q,) sizes."""

    signals: Float32 = field(repr=False)
    labels: Int64
    sizes: Int64


@dataclass(frozen=True)
class Ranked:
    """NDCG@10 on unseen queries, a list over the seeds for each way, and the share of the gap to full labels that ours closes."""

    clicks: int
    ndcg: Mapping[str, list[float]]
    full: float
    closed: Mapping[str, float]
    against_naive: list[float]


def read_labelled(folder: Path, split: str) -> Labelled:
    """A split (`train`, `test`) in LibSVM's form with `.query` beside it, as in LightGBM's example `lambdarank`; `.gz` too."""
    lines, counts = _lines(folder, f"rank.{split}"), _lines(folder, f"rank.{split}.query")
    try:
        sizes = np.array([int(line) for line in counts], np.int64)
        rows = [line.split() for line in lines]
        labels = np.array([int(float(row[0])) for row in rows], np.int64)
        cells = [[(int(k), float(v)) for k, v in (cell.split(":") for cell in row[1:])] for row in rows]
    except ValueError as error:
        raise SourceError(f"cannot read {folder}/rank.{split}", str(error), "Give LibSVM lines") from error
    if sizes.sum() != len(rows) or not rows:
        raise SourceError(
            f"cannot read {folder}/rank.{split}", f"{len(rows):,} rows for {int(sizes.sum()):,} candidates"
        )
    width = 1 + max((k for row in cells for k, _ in row), default=0)
    signals = np.zeros((len(rows), width), np.float32)
    for at, row in enumerate(cells):
        for k, v in row:
            signals[at, k] = v
    return Labelled(signals, labels, sizes)


def _lines(folder: Path, name: str) -> list[str]:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            data = path.read_bytes()
            return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
    raise SourceError(
        f"cannot read {folder / name}",
        "there is no such file, nor one that ends with .gz",
        "Get LightGBM's examples/lambdarank",
    )


def simulated(data: Labelled, clicks: int, seed: int, columns: int = 1) -> Deeds:
    """What people do with lists until there are so many clicks. The chances of places are estimated from the same clicks.

    With one column the chance of slot k is 1 / (k + 1), as in most of the literature; else it falls by rows and columns.
    """
    rng = np.random.default_rng(seed)
    starts = np.cumsum(data.sizes) - data.sizes
    orders = [_weak(data, starts, rng) for _ in range(2)]
    good = NOISE + (1 - NOISE) * (2.0**data.labels - 1) / (2.0 ** int(data.labels.max()) - 1)
    found: list[list[Any]] = [[], [], [], []]
    done = number = 0
    while done < clicks:
        query = int(rng.integers(len(data.sizes)))
        shown = orders[int(rng.integers(2))][query]
        shown = shown[swapped(len(shown), columns, SWAPPED, rng).order]
        hit = rng.random(len(shown)) < chances(len(shown), columns) * good[shown]
        for column, part in zip(
            found, (shown, np.arange(len(shown)), hit, np.full(len(shown), number)), strict=True
        ):
            column.append(part)
        done, number = done + int(hit.sum()), number + 1
    row, place, clicked, lists = (np.concatenate(column) for column in found)
    places = [("", int(at) // columns, int(at) % columns) for at in range(int(place.max()) + 1)]
    chance = fit_places(row, place, clicked, places).chance
    names = [f"signal {at}" for at in range(data.signals.shape[1])]
    return Deeds(
        names, data.signals, data.sizes, row, lists, chance[place], clicked.astype(np.float64), place
    )


def chances(count: int, columns: int) -> Float64:
    """(count,) the true chances that slots are looked at."""
    slot = np.arange(count)
    return 1 / (slot + 1) if columns == 1 else 0.8 ** (slot // columns) * 0.93 ** (slot % columns)


def _weak(data: Labelled, starts: Int64, rng: np.random.Generator) -> list[Int64]:
    """The order of each query's candidates by a linear ranker that a few labelled queries made."""
    chosen = rng.choice(len(data.sizes), min(QUERIES, len(data.sizes)), replace=False)
    rows = np.concatenate([np.arange(starts[q], starts[q] + data.sizes[q]) for q in chosen])
    scaled = (data.signals - data.signals.mean(0)) / (data.signals.std(0) + 1e-9)
    some, target = scaled[rows], data.labels[rows] - data.labels[rows].mean()
    weights = np.linalg.solve(some.T @ some + RIDGE * np.eye(some.shape[1]), some.T @ target)
    score = scaled @ weights
    return [
        start + np.argsort(-score[start : start + size], kind="stable")
        for start, size in zip(starts, data.sizes, strict=True)
    ]


def measure_ranking(
    folder: Path,
    *,
    clicks: int = 30_000,
    seeds: int = 10,
    ways: Sequence[str] = WAYS,
    columns: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Ranked:
    """Learn from simulated clicks on `train`, and measure NDCG@10 on `test`; see `Ranked`. Raises SourceError, UsageError."""
    if unknown := set(ways) - set(WAYS):
        raise UsageError(f"there is no way {min(unknown)!r} to learn", f"known: {', '.join(WAYS)}")
    train, test = read_labelled(folder, "train"), read_labelled(folder, "test")
    width = max(train.signals.shape[1], test.signals.shape[1])
    train, test = _widened(train, width), _widened(test, width)
    found: dict[str, list[float]] = {way: [] for way in ways}
    full = ndcg(train_full(train.signals, train.sizes, train.labels).scores(test.signals), test)
    for seed in range(seeds):
        deeds = simulated(train, clicks, seed, columns)
        for way in ways:
            found[way].append(ndcg(train_ranker(deeds, way, seed=seed).scores(test.signals), test))
        say(f"seed {seed}: " + ", ".join(f"{way} {values[-1]:.4f}" for way, values in found.items()))
    means = {way: float(np.mean(values)) for way, values in found.items()}
    gap = full - means.get("naive", full)
    closed = {way: (mean - means["naive"]) / gap for way, mean in means.items()} if gap > 0 else {}
    paired = zip(found.get("ours", ()), found.get("naive", ()), strict=False)
    return Ranked(clicks, found, full, closed, [a - b for a, b in paired])


def _widened(data: Labelled, width: int) -> Labelled:
    missing = width - data.signals.shape[1]
    return (
        Labelled(np.pad(data.signals, ((0, 0), (0, missing))), data.labels, data.sizes) if missing else data
    )


def ndcg(scores: Any, data: Labelled, k: int = TOP) -> float:
    """Mean NDCG@k with gains 2^label - 1 over the queries that have a label above 0."""
    values, start = [], 0
    for size in data.sizes.tolist():
        gains = 2.0 ** data.labels[start : start + size] - 1
        order = np.argsort(-scores[start : start + size], kind="stable")[:k]
        falls = 1 / np.log2(np.arange(2, len(order) + 2))
        best = np.sort(gains)[::-1][: len(order)]
        if gains.sum() > 0:
            values.append(float((gains[order] * falls).sum() / (best * falls).sum()))
        start += size
    return float(np.mean(values))
