"""Recall without labels: stored vectors as queries, each left out of its own answer, against the exact scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visualsearch.types import Bool, Float32, Int64

from .exact import scan_many
from .rows import Rows, approximate


@dataclass(frozen=True)
class HeldOut:
    """Stored vectors as queries, each left out of its own answer, and the exact answers to them.

    `queries`: (n, d) float32, `own`: (n,) their positions, `truth`: the other k nearest positions of each.
    """

    queries: Float32
    own: Int64
    truth: tuple[frozenset[int], ...]
    k: int
    allowed: Bool | None

    def found(self, rows: Rows, number: int) -> int:
        """How many of a query's true k nearest the approximate search finds, rescored."""
        query = self.queries[number]
        candidates = approximate(rows, query, self.k + 1, self.allowed)
        if candidates is None:  # the query is scanned for
            return len(self.truth[number])
        scores = rows.vectors.cosines(candidates, query)
        ranked = candidates[np.argsort(-scores, kind="stable")][: self.k + 1]
        return len(_others(ranked, self.own[number], self.k) & self.truth[number])

    def share(self, found: int) -> float:
        """recall@k (0..1) of `found` hits over all queries; 1 where there is nothing to find."""
        wanted = self.k * len(self.own)
        return found / wanted if wanted else 1.0


def held_out(rows: Rows, k: int, samples: int, seed: int) -> HeldOut:
    """At most `samples` live rows as queries, with the exact scan's answers among the live rows."""
    live = np.flatnonzero(rows.alive)
    own = np.random.default_rng(seed).choice(live, min(samples, len(live)), replace=False)
    k = max(0, min(k, len(live) - 1))
    queries = rows.vectors.gather(own)
    allowed = None if len(live) == len(rows.vectors) else rows.alive
    found = scan_many(rows.vectors, queries, k + 1, allowed)
    truth = tuple(_others(f[1], position, k) for f, position in zip(found, own, strict=True))
    return HeldOut(queries, own, truth, k, allowed)


def measured_recall(rows: Rows, k: int = 10, samples: int = 64) -> float:
    """Share of the exact top k that the search finds, over stored vectors as queries (each leaves itself out)."""
    if rows.ann is None:
        return 1.0  # the search is the exact scan itself
    sample = held_out(rows, k, samples, seed=0)
    return sample.share(sum(sample.found(rows, number) for number in range(len(sample.own))))


def _others(positions: Int64, own: int, k: int) -> frozenset[int]:
    return frozenset(positions[positions != own][:k].tolist())
