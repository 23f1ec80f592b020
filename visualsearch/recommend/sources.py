"""Where the pins of a feed come from: interests, what people saved together, follows, new pins, popular ones, and anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.types import Float32

from .asking import RelatedIndex
from .interests import DAY_MS, Interests
from .items import items_of
from .shelf import shelf_of
from .visited import Visited, visited

if TYPE_CHECKING:
    from visualsearch.people import FollowedSave

MOST_INTERESTS = 8
"""Interests that one page is made from."""
NEAR = 60
WALKED_FROM = 8
TOGETHER = 150
FOLLOWED, FOLLOWED_EACH = 120, 20
POPULAR = 600
ANYTHING = 40


@dataclass
class Pool:
    """Candidates by pin id, each with what one source says of it; values are 0 to 1 but for the counts of `popular`."""

    near: dict[str, float] = field(default_factory=dict)
    scales: list[tuple[float, float]] = field(default_factory=list)
    """For each interest the cosine of the first and of the last pin that was looked at."""
    together: dict[str, float] = field(default_factory=dict)
    walk: dict[str, float] = field(default_factory=dict)
    visited: Visited | None = None
    follow: dict[str, tuple[float, FollowedSave]] = field(default_factory=dict)
    fresh: dict[str, float] = field(default_factory=dict)
    popular: dict[str, int] = field(default_factory=dict)
    anything: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Every candidate once."""
        sources: Sequence[Any] = (
            self.near, self.together, self.walk, self.follow, self.fresh, self.popular, self.anything
        )  # fmt: skip
        return list(dict.fromkeys(name for source in sources for name in source))


def gathered(index: RelatedIndex, mine: Interests | None, behind: int, page: int, now: int) -> Pool:
    """The candidates of a page for a person, or for nobody (None). `behind` is how many pins were shown before."""
    pool = Pool()
    shelf = shelf_of(index, now)
    if mine is not None and mine.items:
        _near(index, mine, behind, pool)
        _together(index, mine, behind, pool)
        _walk(index, mine, pool)
    if mine is not None and mine.follows:
        _followed(index, mine, now, pool)
    personal = mine is not None and bool(mine.items)
    most = (POPULAR // 4 if personal else POPULAR) + behind
    pool.popular = dict(islice(shelf.popular.items(), most))
    pool.fresh = dict(shelf.fresh)
    some = len(shelf.sample) if not personal else ANYTHING
    rng = np.random.default_rng(page)
    chosen = rng.permutation(len(shelf.sample))[:some] if personal else np.arange(len(shelf.sample))
    pool.anything = [shelf.sample[at] for at in chosen.tolist()]
    return pool


def _near(index: RelatedIndex, mine: Interests, behind: int, pool: Pool) -> None:
    """What looks like the medoids."""
    items = mine.items[:MOST_INTERESTS]
    k = NEAR + behind // len(items) + min(200, len(mine.without) // len(items))
    vectors = np.stack([item.vector for item in items])
    for hits in index.nearest(vectors, k=k, details=False):
        pool.scales.append((hits[0].score, hits[-1].score) if len(hits) else (1.0, 0.0))
        for hit in hits:
            pool.near[hit.id] = max(pool.near.get(hit.id, -1.0), hit.score)


def _together(index: RelatedIndex, mine: Interests, behind: int, pool: Pool) -> None:
    """What was learnt to go with the pins of the interests, each by its weight."""
    items = items_of(index)
    if items is None:
        return
    rows, known = items.scores(mine.pins)
    if not known:
        return
    weights = dict(zip(mine.pins, mine.weights.tolist(), strict=True))
    sums = np.asarray(rows.T @ np.array([weights[name] for name in known])).ravel()
    order = np.argsort(-sums, kind="stable")[: TOGETHER + behind]
    top = float(sums[order[0]]) or 1.0
    pool.together = {items.pins[at]: float(sums[at]) / top for at in order.tolist() if sums[at] > 0}


def _walk(index: RelatedIndex, mine: Interests, pool: Pool) -> None:
    """Pins to which a walk from the weightiest saved ones leads."""
    if not index.has_people:
        return
    saved = [at for at, name in enumerate(mine.pins) if name in mine.boards]
    best = sorted(saved, key=lambda at: (-mine.weights[at], mine.pins[at]))[:WALKED_FROM]
    if not best:
        return
    names = tuple(mine.pins[at] for at in best)
    pool.visited = visited(index, names, [float(mine.weights[at]) for at in best])
    pool.walk = {} if pool.visited is None else dict(pool.visited.worth)


def _followed(index: RelatedIndex, mine: Interests, now: int, pool: Pool) -> None:
    """The newest public saves of what is followed."""
    for save in index.people.followed_saves(mine.follows, FOLLOWED, FOLLOWED_EACH):
        if save.board in mine.muted:
            continue
        worth = 0.5 ** (max(0, now - save.at) / DAY_MS / 14.0)
        if worth > pool.follow.get(save.pin, (0.0, save))[0]:
            pool.follow[save.pin] = (worth, save)


def interest_values(mine: Interests, pool: Pool, vectors: Float32, gamma: float) -> tuple[Float32, Any]:
    """(n,) how well each candidate fits the interest that it fits best, 0 to 1; and which that is, -1 for none.

    A cosine is told on the scale of the interest's own neighbours; less important interests reach less.
    """
    items = mine.items[:MOST_INTERESTS]
    if not items:
        return np.zeros(len(vectors), np.float32), np.full(len(vectors), -1)
    cosines = vectors @ np.stack([item.vector for item in items]).T
    low = np.array([scale[1] for scale in pool.scales], np.float32)
    high = np.maximum(np.array([scale[0] for scale in pool.scales], np.float32), low + 1e-6)
    part = np.clip((cosines - low) / (high - low), -1, 1) / 2 + 0.5
    top = max(item.importance for item in items) or 1.0
    share = np.array([(item.importance / top) ** gamma for item in items], np.float32)
    worth = part * share
    best = worth.argmax(1)
    return worth[np.arange(len(vectors)), best].astype(np.float32), best
