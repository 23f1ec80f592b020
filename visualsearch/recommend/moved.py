"""A search, or related pins, in the order that clicks taught: bounded, so that what was asked for stays what is answered.

A hit moves by at most REACH places from its plain one. So a list that was logged says what the learnt order would have been, and
its worth can be judged on lists that it never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from visualsearch.ranking import BY_COSINE, Candidates, Context, Ranker, Ranking
from visualsearch.types import Float32, Float64, Hit, Hits, Int64

from .asking import RelatedIndex, added_of
from .interests import Interests, interests_of
from .looks import units
from .personal import EXACT
from .related import MOST_K
from .taught import Taught, taught_of, taught_signals

REACH = 8
"""Places that a hit may gain or lose."""


def moves(scores: Float32) -> Float64:
    """(n,) places that each gains by its learnt score against the mean of these. Two gain and lose REACH / 2 each at most."""
    spread = float(scores.std()) if len(scores) else 0.0
    if spread < 1e-9:
        return np.zeros(len(scores))
    return np.asarray(REACH / 2 * np.clip((scores - scores.mean()) / (2 * spread), -1, 1), np.float64)


def moved(scores: Float32) -> Int64:
    """The order of n that stand in their plain order: each is moved by its learnt score."""
    return np.argsort(np.arange(len(scores)) - moves(scores), kind="stable")


def scores_for(
    taught: Taught, mine: Interests, names: Sequence[str], vectors: Float32, age_days: Float64
) -> Float32:
    """(n,) learnt scores of pins for one person."""
    popular = np.array([taught.popular.get(name, taught.usual) for name in names], np.float64)
    made = taught_signals(vectors, mine.newest, mine.hidden, popular, age_days)
    return taught.trees.scores(made)


@dataclass(frozen=True)
class TaughtOrder:
    """Orders as `base` does, then moves what clicks taught. Hits of a cosine of EXACT or more keep their place."""

    taught: Taught
    interests: Interests
    base: Ranker = BY_COSINE

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates that `base` keeps; `taught`, the places gained, is among the signals."""
        first = self.base.rank(candidates, context)
        gained = np.zeros(len(candidates), np.float32)
        places = first.order
        free = np.flatnonzero(candidates.cosine[places] < EXACT)
        if len(free) < 2:
            return first
        mine = places[free]
        age = (context.now - candidates.added[mine]) / 86_400
        names = [candidates.ids[at] for at in mine.tolist()]
        scores = scores_for(self.taught, self.interests, names, candidates.vectors[mine], age)
        gained[mine] = moves(scores)
        order, values = places.copy(), first.rank_score.copy()
        order[free] = mine[moved(scores)]
        values[order] = first.rank_score[places]  # each has the score of its place
        return Ranking(order, values, {**first.signals, "taught": gained})


def taught_order(index: RelatedIndex, person: str, base: Ranker) -> Ranker:
    """The ranker of a search for a person: with what clicks taught, where that won; else `base`."""
    taught = taught_of(index.folder, "search") if index.has_people else None
    mine = interests_of(index, person) if taught is not None else None
    if taught is None or mine is None or not mine.items:
        return base
    return TaughtOrder(taught, mine, base)


def related_for(
    index: RelatedIndex, person: str | None, k: int, run: Callable[[int], Hits], learnt: bool | None = None
) -> Hits:
    """Related pins for a person, in the order that clicks taught where that won. `run(k)` gives the plain ones.

    `learnt` False leaves them plain. For nobody, and for somebody of whom nothing is known, they are plain too.
    """
    taught = None
    if person is not None and learnt is not False and index.has_people:
        taught = taught_of(index.folder, "related")
    mine = interests_of(index, person) if taught is not None and person is not None else None
    if taught is None or mine is None or not mine.items:
        return run(k)
    hits = run(min(k + REACH, MOST_K))  # nothing that lies behind may come so far
    return replace(hits, items=tuple(_again(index, taught, mine, hits)[:k]))


def _again(index: RelatedIndex, taught: Taught, mine: Interests, hits: Hits) -> list[Hit]:
    names = hits.ids
    if len(names) < 2:
        return list(hits)
    age = (index.people.now() / 1000 - np.array(added_of(index, names))) / 86_400
    scores = scores_for(taught, mine, names, units(index.vectors(names)), age)
    gained = moves(scores)
    return [
        replace(
            hits[at],
            rank_score=hits[place].rank_score,
            signals={**hits[at].signals, "taught": round(float(gained[at]), 6)},
        )
        for place, at in enumerate(moved(scores).tolist())
    ]
