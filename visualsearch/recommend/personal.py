"""A search that knows a person: the same candidates, and a bounded term for their interests and against what they hid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from visualsearch.ranking import BY_COSINE, Candidates, Context, Ranker, Ranking
from visualsearch.types import Evidence, Float32, Hits, Reason

from .asking import RelatedIndex
from .feed_reasons import INTEREST, NAMED
from .habits import NONE, Habits, habits_of
from .ideas import Names, stored
from .interests import Interests, interests_of
from .looks import units

ASKED = "asked"
"""The kind of the reason of a hit that only the query explains."""

STRENGTH = 0.02
"""The most that a person's interests add to a cosine, or take from it.

The best on some simulated searches; see `benchmarks/feed.py`."""
SEVERAL = 3
"""So many hidden pins say that their kind is not wanted."""
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
    habits: Habits = NONE

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates that `base` keeps; `personal` (-1 to 1) is among the signals."""
        first = self.base.rank(candidates, context)
        known = len(self.interests.items) or len(self.interests.hidden) or self.habits
        if len(first.order) < 2 or not known:
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
        """(n,) -1 to 1: how well each fits, against the mean of these candidates; hidden pins are at -1. Prices and
        sizes far off those of saved pins take some of it."""
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
            near = (vectors @ mine.hidden.T).max(1)
            spread = float(near.std())
            if len(mine.hidden) >= SEVERAL and spread > 1e-6:  # one hidden pin says nothing of its kind
                value = value - np.clip((near - near.mean()) / (2 * spread), 0, 1)
            value = np.clip(np.where(near >= EXACT, -1, value), -1, 1)
        if self.habits:
            value = np.clip(value - self.habits.against(candidates.attributes), -1, 1)
        return np.asarray(value, np.float32)


def personal_term(
    index: RelatedIndex, person: str, base: Ranker, strength: float | None = None
) -> Personal | None:
    """The ranker for a person; None for somebody unknown, whose consent is off, or of whom nothing is known."""
    if not index.has_people:
        return None
    found = interests_of(index, person)
    if found is None or not (found.items or len(found.hidden)):
        return None
    saved = [name for name in found.pins if name in found.boards]
    habits = habits_of([pin.attributes for pin in stored(index, saved).values()])
    return Personal(found, STRENGTH if strength is None else strength, base, habits)


def search_for(
    index: RelatedIndex,
    person: str,
    base: Ranker,
    run: Callable[[Ranker], Hits],
    strength: float | None,
    taught: Callable[[Ranker], Ranker] = lambda ranker: ranker,
) -> Hits:
    """A search that a person asked for. Each hit has a reason: what was asked, or the saved pin that lifted it.

    `taught` puts what clicks taught behind the ranker.
    """
    ranker = personal_term(index, person, base, strength)
    if ranker is None:
        return run(base)
    hits = run(taught(ranker))
    names = [hit.id for hit in hits]
    if not names:
        return hits
    mine = ranker.interests
    cosines = units(index.vectors(names)) @ mine.vectors.T if len(mine.pins) else np.zeros((len(names), 0))
    lifted = [row for row, hit in enumerate(hits) if hit.signals.get("personal", 0) > 0 and cosines.shape[1]]
    near = {row: np.argsort(-cosines[row], kind="stable")[:NAMED].tolist() for row in lifted}
    called = Names(index, [mine.pins[places[0]] for places in near.values()])
    told = []
    for row, hit in enumerate(hits):
        if row not in near:
            why = Reason(ASKED, "Fits what was asked for", (Evidence("pin", hit.id, hit.score),))
        else:
            held = tuple(Evidence("pin", mine.pins[at], float(cosines[row, at])) for at in near[row])
            sentence = f"Fits what was asked for, and looks like {called.of(held[0].id)}"
            why = Reason(INTEREST, f"{sentence} (cosine {held[0].weight:.2f})", held)
        told.append(replace(hit, why=why))
    return replace(hits, items=tuple(told))
