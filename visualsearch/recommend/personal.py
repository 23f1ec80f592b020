"""A search that knows a person: the same candidates, and a bounded term for their interests and against what they hid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visualsearch.ranking import BY_COSINE, Candidates, Context, Ranker, Ranking
from visualsearch.types import Float32

from .interests import Interests, interests_of
from .related import RelatedIndex

STRENGTH = 0.02
"""The most that a person's interests add to a cosine, or take from it. Chosen on held-out clicks; see `benchmarks/feed.py`."""
EXACT = 0.98
"""A hit of at least this cosine is what was asked for: it keeps its place."""


@dataclass(frozen=True)
class Personal:
    """Orders as `base` does, with a bounded term of one person added. `interests` says what is known of them.

    Hits of a cosine of EXACT or more stay first, in the order that `base` gives.
    """

    interests: Interests
    strength: float = STRENGTH
    base: Ranker = BY_COSINE

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates that `base` keeps; `personal` (-1 to 1) is among the signals."""
        first = self.base.rank(candidates, context)
        if len(first.order) < 2 or not (len(self.interests.items) or len(self.interests.hidden)):
            return first
        term = self.term(candidates)
        exact = candidates.cosine >= EXACT
        scores = np.asarray(
            first.rank_score + np.float32(self.strength) * np.where(exact, 0, term), np.float32
        )
        # What is exact keeps its place before all that `base` put behind it.
        places = first.order
        ahead = np.flatnonzero(exact[places])
        moved = np.flatnonzero(~exact[places])
        again = places[moved][np.argsort(-scores[places[moved]], kind="stable")]
        order = np.empty(len(places), np.int64)
        order[ahead] = places[ahead]
        order[moved] = again
        return Ranking(order, scores, {**first.signals, "personal": term})

    def term(self, candidates: Candidates) -> Float32:
        """(n,) -1 to 1: how well each fits, against the mean of these candidates; hidden pins are at -1."""
        mine = self.interests
        vectors = candidates.vectors
        value = np.zeros(len(vectors), np.float32)
        if mine.items:
            units = np.stack([item.vector for item in mine.items])
            share = np.array([item.importance for item in mine.items], np.float32)
            fit = (vectors @ units.T * (share / share.max()) ** 0.3).max(1)
            spread = float(fit.std())
            value = np.clip((fit - fit.mean()) / (2 * spread), -1, 1) if spread > 1e-6 else value
        if len(mine.hidden):
            value = np.where((vectors @ mine.hidden.T).max(1) >= EXACT, -1, value)
        return np.asarray(value, np.float32)


def personal_term(index: RelatedIndex, person: str, base: Ranker, strength: float = STRENGTH) -> Ranker:
    """The ranker for a person: `base` itself for somebody unknown, whose consent is off, or of whom nothing is known."""
    found = interests_of(index, person)
    if found is None or not strength or not (found.items or len(found.hidden)):
        return base
    return Personal(found, strength, base)
