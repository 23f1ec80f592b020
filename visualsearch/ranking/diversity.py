"""Variety: hits that differ from one another, and at most so many of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Float32, Int64

from .base import BY_COSINE, Candidates, Context, Ranker, Ranking

SOURCE = "source"
"""Cap by where the pictures come from: a web address's host, a file's folder."""


def check_diversity(diversity: float) -> None:
    """Raises UsageError unless it is 0 to 1."""
    if isinstance(diversity, bool) or not 0 <= diversity <= 1:
        raise UsageError("diversity cannot be that", "it must be between 0 and 1", "Example: 0.3")


def varied(scores: Any, vectors: Float32, diversity: float, most: int | None = None) -> Int64:
    """Places of at most `most` of n candidates, each the best by (1 - d) * score - d * its highest cosine with those before.

    `scores`: (n,), the first is the best and comes first. `vectors`: (n, d) float32 of unit length. Maximal marginal relevance:
    Carbonell and Goldstein 1998, "The Use of MMR, Diversity-Based Reranking".
    """
    count = len(vectors) if most is None else min(most, len(vectors))
    if not count:
        return np.empty(0, np.int64)
    alike = vectors @ vectors.T
    worth = (1 - diversity) * np.asarray(scores, np.float64)
    nearest = alike[0].copy()
    left = np.ones(len(vectors), bool)
    taken = [0]
    left[0] = False
    while len(taken) < count:
        marginal = np.where(left, worth - diversity * nearest, -np.inf)
        best = int(marginal.argmax())
        taken.append(best)
        left[best] = False
        np.maximum(nearest, alike[best], out=nearest)
    return np.array(taken, np.int64)


def capped(kinds: Sequence[Hashable], most: int) -> Int64:
    """Places, in order, of those that are among the first `most` of their kind. None is no kind and has no cap."""
    seen: Counter[Hashable] = Counter()
    kept = []
    for place, kind in enumerate(kinds):
        seen[kind] += 1
        if kind is None or seen[kind] <= most:
            kept.append(place)
    return np.array(kept, np.int64)


@dataclass(frozen=True)
class Varied:
    """Orders as `base` does, less what comes alike: see `varied`. 0 changes nothing, towards 1 is the most variety."""

    diversity: float = 0.3
    base: Ranker = BY_COSINE

    def __post_init__(self) -> None:
        check_diversity(self.diversity)

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates that `base` keeps, in a more varied order. `rank_score` falls from 1 to 0 along it."""
        first = self.base.rank(candidates, context)
        if not self.diversity or len(first.order) < 2:
            return first
        scores = first.rank_score[first.order]
        span = float(scores[0] - scores[-1])
        # What other rankers order by has any scale: here it is brought to that of the cosines.
        if self.base != BY_COSINE and span > 0:
            cosine = candidates.cosine
            scores = (scores - scores[-1]) / span * max(float(cosine.max() - cosine.min()), 1e-6)
        order = first.order[varied(scores, candidates.vectors[first.order], self.diversity)]
        signals = {**first.signals, "relevance": first.rank_score}
        return replace(_by_place(order, len(candidates)), signals=signals)


@dataclass(frozen=True)
class Capped:
    """Orders as `base` does, but no more than `most` of a kind come first; the rest of each kind follows behind all.

    A kind is a value of the attribute `by`, or with `source` where the picture comes from.
    """

    most: int
    by: str = SOURCE
    base: Ranker = field(default=BY_COSINE)

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise UsageError("the cap cannot be that", f"it is {self.most!r}", "Give a number of at least 1")

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates with the rest of each kind moved behind. `rank_score` falls from 1 to 0."""
        first = self.base.rank(candidates, context)
        kinds = self._kinds(candidates)
        kept = capped([kinds[place] for place in first.order.tolist()], self.most)
        behind = np.ones(len(first.order), bool)
        behind[kept] = False
        order = np.concatenate([first.order[kept], first.order[behind]])
        return replace(_by_place(order, len(candidates)), signals=first.signals)

    def _kinds(self, candidates: Candidates) -> list[Hashable]:
        if self.by == SOURCE:
            return [source_of(uri) for uri in candidates.uris]
        return [
            value if isinstance(value, str | int | float) else None for value in candidates.values(self.by)
        ]


def source_of(uri: str) -> str:
    """The host of a web address, the folder of a file."""
    parts = urlsplit(uri) if "://" in uri else None
    return parts.netloc if parts is not None and parts.netloc else uri.replace("\\", "/").rpartition("/")[0]


def _by_place(order: Int64, count: int) -> Ranking:
    """A ranking whose score says only which place a candidate has."""
    scores = np.zeros(count, np.float32)
    scores[order] = 1 - np.arange(len(order), dtype=np.float32) / max(1, len(order))
    return Ranking(order, scores)
