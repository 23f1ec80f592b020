"""Search parameters chosen on the user's own vectors: the fastest setting that reaches a recall.

Queries are stored vectors, each left out of its own answer; the truth is the exact scan. Every setting of a small grid is
timed and compared, and the ones that no other beats in both recall and time are the Pareto front.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from .query import Snapshot, held_out

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
    sample = held_out(snapshot, k, samples, seed)
    trials = []
    for values in product(*knobs.values()):
        search = {**generation.search, **dict(zip(knobs, values, strict=True))}
        made = replace(generation, search=search)
        at = replace(snapshot, generation=made, candidates=search["candidates"])
        found, spent = 0, []
        for number in range(len(sample.own)):
            start = time.perf_counter()
            found += sample.found(at, number)
            spent.append(time.perf_counter() - start)
        trials.append(Trial(search, sample.share(found), 1000 * float(np.median(spent))))
    return _front(trials)


def pick(trials: list[Trial], recall: float) -> Trial:
    """The fastest trial that reaches the recall; where none does, the one of the highest recall."""
    reaching = [t for t in trials if t.recall >= recall]
    if reaching:
        return min(reaching, key=lambda t: t.milliseconds)
    return max(trials, key=lambda t: (t.recall, -t.milliseconds))


def _front(trials: list[Trial]) -> list[Trial]:
    """Fastest first, with the trials marked that reach more than every faster one."""
    marked, highest = [], -1.0
    for trial in sorted(trials, key=lambda t: (t.milliseconds, -t.recall)):
        marked.append(replace(trial, best=trial.recall > highest))
        highest = max(highest, trial.recall)
    return marked
