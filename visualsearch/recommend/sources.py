"""Where the pins of a feed come from: interests, what people saved together, follows, new pins, popular ones, and anything."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from visualsearch.types import Float32

from .asking import RelatedIndex
from .interests import DAY_MS, Interests
from .items import items_of
from .looks import units
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
NEWEST = 400
FRESH_DAYS = 2.0
"""The worth of being new halves in this time: most of a pin's views come in its first two days."""
FRESH_UNTIL = 8.0
SAMPLE = 2000
MOVED = 0.02
"""The sample is drawn anew when so large a share of the pins came or went."""
CLUSTERS = 32
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


@dataclass(frozen=True)
class Shelf:
    """What is the same for everybody: popular and new pins, and a sample that is spread over the collection.

    `sample` goes round the clusters of the collection's map: one pin of each, then the next of each. `keys` say what each was
    made from, and `count` how many pins there were for the sample.
    """

    popular: dict[str, int]
    fresh: dict[str, float]
    sample: tuple[str, ...]
    count: int
    keys: tuple[Any, Any, Any]


_SHELVES: WeakKeyDictionary[Any, Shelf] = WeakKeyDictionary()
_GUARD = threading.Lock()


def shelf_of(index: RelatedIndex, now: int) -> Shelf:
    """The shelf of an index. Each part is made anew when it may have changed, and hourly.

    Popular pins: when much was saved or a consent changed. New pins: when pins came or went. The sample: when many did; a pin
    of it that went meanwhile is left out by whoever shows it.
    """
    with index.catalog.read() as reader:
        state, count = reader.state, reader.count()
    people = index.people if index.has_people else None
    newest = 0 if people is None else people.newest_save()
    hour = now // 3_600_000
    signs = (0, 0) if people is None else (people.choices(), people.verdict_mark())
    keys = ((newest // max(20, newest // 100), *signs, hour), (state, hour), hour)
    with _GUARD:
        held = _SHELVES.get(index)
    if held is not None and held.keys == keys:
        return held
    near = held is not None and abs(count - held.count) <= held.count * MOVED
    popular = held.popular if held is not None and held.keys[0] == keys[0] else None
    fresh = held.fresh if held is not None and held.keys[1] == keys[1] else None
    sample = held.sample if held is not None and near and held.keys[2] == keys[2] else None
    if popular is None:
        popular = {} if people is None else people.popular(10 * POPULAR)
    made = Shelf(
        popular,
        _fresh(index, now) if fresh is None else fresh,
        _spread(index, count) if sample is None else sample,
        held.count if held is not None and sample is not None else count,
        keys,
    )
    with _GUARD:
        _SHELVES[index] = made
    return made


def _drawn(index: RelatedIndex, most: int, seed: int) -> dict[int, str]:
    """Ids of at most so many pins by number, drawn evenly; the same seed draws the same from the same state."""
    with index.catalog.read() as reader:
        mark = reader.mark()
        numbers = reader.numbers() if mark is None or mark.pin <= 2 * most else None
        if numbers is None and mark is not None:
            tried = np.random.default_rng(seed).integers(1, mark.pin + 1, 4 * most)
            found = reader.look_up("id", "pin", np.unique(tried).tolist())
            numbers = np.array(sorted(found), np.int64)
        assert numbers is not None
        if len(numbers) > most:
            numbers = np.sort(np.random.default_rng(seed).choice(numbers, most, replace=False))
        held = reader.look_up("id", "pin", numbers.tolist())
    return {number: held[number] for number in numbers.tolist() if number in held}


def _spread(index: RelatedIndex, count: int) -> tuple[str, ...]:
    """A sample that goes round the clusters of the collection."""
    from scipy.cluster.vq import kmeans2

    if not count:
        return ()
    names = list(_drawn(index, SAMPLE, 0).values())
    vectors = units(index.vectors(names))
    groups = max(1, min(CLUSTERS, len(names) // 4))
    centres, label = kmeans2(vectors.astype(np.float64), groups, minit="++", seed=0, iter=8)
    nearness = (vectors * units(centres.astype(np.float32))[label]).sum(1)
    order = np.lexsort((-nearness, label))
    # The place of each pin in its cluster, nearest to the centre first.
    first = np.searchsorted(label[order], np.arange(groups))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names)) - first[label[order]]
    return tuple(names[at] for at in np.lexsort((label, place)).tolist())


def _fresh(index: RelatedIndex, now: int) -> dict[str, float]:
    """Pins that were added in these days, by how new they are. Where most of the collection is that new, none is."""
    with index.catalog.read() as reader:
        mark = reader.mark()
        top = mark.pin if mark is not None else int(reader.numbers()[-1:].sum())
        added = reader.added(range(max(1, top - NEWEST + 1), top + 1))
    days = {number: (now / 1000 - at) / 86_400 for number, at in added.items()}
    new = {number: 0.5 ** (age / FRESH_DAYS) for number, age in days.items() if 0 <= age <= FRESH_UNTIL}
    if not new:
        return {}
    some = _drawn(index, 200, 1)
    with index.catalog.read() as reader:
        ages = [(now / 1000 - at) / 86_400 for at in reader.added(some).values()]
        if sum(0 <= age <= FRESH_UNTIL for age in ages) > len(ages) / 2:
            return {}
        names = reader.look_up("id", "pin", list(new))
    return {names[number]: worth for number, worth in new.items() if number in names}


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
