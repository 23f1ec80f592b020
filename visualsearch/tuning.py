"""Search parameters chosen on the user's own vectors: the fastest setting that reaches a recall.

Queries are stored vectors, each left out of its own answer; the truth is the exact scan. Every setting of a small grid is
timed and compared, and the ones that no other beats in both recall and time are the Pareto front.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from .query import Snapshot, approximate
from .types import Float32, Int64

KNOBS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "HNSW": {"efSearch": (16, 32, 64, 128, 256, 512), "candidates": (2, 4, 8)},
    "IVF": {"nprobe": (1, 2, 4, 8, 16, 32, 64, 128, 256), "candidates": (4, 8, 16, 32)},
}
"""For each kind of index, by the mark in its factory string, the values that are tried."""


@dataclass(frozen=True)
class Trial:
    """A setting and what it gave: recall@k (0..1) and the median milliseconds of a query, rescoring included."""

    search: Mapping[str, int]
    recall: float
    milliseconds: float
    best: bool = False


def tune(snapshot: Snapshot, k: int, samples: int, seed: int = 1) -> list[Trial]:
    """Every setting's trial, fastest first; `best` marks the Pareto front. [] when the search is exact."""
    generation = snapshot.generation
    if generation is None:
        return []
    family = "IVF" if "IVF" in generation.factory else "HNSW"
    knobs = KNOBS[family]
    live = np.flatnonzero(snapshot.alive)
    chosen = np.random.default_rng(seed).choice(live, min(samples, len(live)), replace=False)
    queries = snapshot.vectors.gather(chosen)
    allowed = None if len(live) == len(snapshot.vectors) else snapshot.alive
    k = min(k, len(live) - 1)
    truth = [
        _others(snapshot.vectors.scan(q, k + 1, allowed=allowed)[1], own, k)
        for q, own in zip(queries, chosen, strict=True)
    ]
    trials = []
    for values in product(*knobs.values()):
        search = {**generation.search, **dict(zip(knobs, values, strict=True))}
        made = replace(generation, search=search)
        at = replace(snapshot, generation=made, candidates=search["candidates"])
        found, spent = 0, []
        for query, own, want in zip(queries, chosen, truth, strict=True):
            start = time.perf_counter()
            got = _ranked(at, query, k, allowed)
            spent.append(time.perf_counter() - start)
            found += len(set(_others(got, own, k)) & set(want))
        trials.append(Trial(search, found / max(1, k * len(chosen)), 1000 * float(np.median(spent))))
    return _front(trials)


def pick(trials: list[Trial], recall: float) -> Trial:
    """The fastest trial that reaches the recall; where none does, the one of the highest recall."""
    reaching = [t for t in trials if t.recall >= recall]
    if reaching:
        return min(reaching, key=lambda t: t.milliseconds)
    return max(trials, key=lambda t: (t.recall, -t.milliseconds))


def _ranked(snapshot: Snapshot, query: Float32, k: int, allowed: Any) -> Int64:
    candidates = approximate(snapshot, query, k + 1, allowed)
    scores = snapshot.vectors.gather(candidates) @ query
    return candidates[np.argsort(-scores, kind="stable")][: k + 1]


def _others(positions: Int64, own: int, k: int) -> list[int]:
    return [int(p) for p in positions if p != own][:k]


def _front(trials: list[Trial]) -> list[Trial]:
    """Fastest first, with the trials marked that reach more than every faster one."""
    marked, highest = [], -1.0
    for trial in sorted(trials, key=lambda t: (t.milliseconds, -t.recall)):
        marked.append(replace(trial, best=trial.recall > highest))
        highest = max(highest, trial.recall)
    return marked
