"""A feed: candidates of several sources -> one ranker -> variety, caps and quotas -> a page, each pin with its reason.

Every page is made from what is known at that moment: a hide, a save or a withdrawn consent counts for the next page.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import log1p
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import ConsentError, UsageError
from visualsearch.people import Event
from visualsearch.ranking import Candidates, Context, Ranking
from visualsearch.types import WHOLE, Float32, Hit, Hits, Reason

from . import cursor as cursors
from .asking import RelatedIndex, added_of, doubted_of
from .feed_reasons import Why, reasons_for
from .ideas import stored
from .interests import Interests, interests_of, of_session
from .items import items_of
from .looks import units
from .mixing import FEED, FeedRanker, Signals
from .sensitive import Topics, allowed, topics_of
from .sources import Pool, gathered, interest_values
from .taught import TaughtRanker, taught_of

if TYPE_CHECKING:
    from visualsearch.people import People
    from visualsearch.store import Pin

MOST_K = 200
ROUNDS = 3
"""So often a page is ranked again because a board behind it counts no more; the last time without the walk."""
MOST_LOOKED = 50
MOST_SEEN = 3
"""A pin that was shown so often and never touched does not come again for a month."""
HIDDEN_NEAR = 0.35
"""Of the span between a hidden pin and an average one, so much counts as near it."""
ANONYMOUS = FeedRanker(popular=0.6, diversity=0.4)
FOLLOWING = FeedRanker(popular=0.2, follow=1.0, diversity=0.4)
"""Of somebody who follows and has no interests yet."""
RANKER = FeedRanker()


def feed(
    index: RelatedIndex,
    person: str | None,
    k: int = 25,
    *,
    cursor: str | None = None,
    looked: Sequence[str] = (),
    ranker: FeedRanker = RANKER,
    learnt: bool | None = None,
) -> Hits:
    """A page of a person's feed; see `Index.feed`. `learnt`: the order that clicks taught; None: unless a ranker is given."""
    started = time.perf_counter()
    if not 1 <= k <= MOST_K:
        raise UsageError(f"k: {k:,} asked for", f"1 to {MOST_K:,} are taken", "Ask for less")
    pages = cursors.read(cursor)
    people = _people(index)
    now = int(time.time() * 1000) if people is None else people.now()
    mine = None if people is None or person is None else interests_of(index, person, now)
    if mine is not None and not (mine.items or mine.follows or mine.without):
        mine = None  # nothing is known yet: the feed that everybody gets
    session = None if mine is not None or not looked else of_session(index, looked[:MOST_LOOKED], now)
    if session is not None and session.items:
        mine = session
    chosen = ANONYMOUS if mine is None else _ranker(index, mine, ranker, learnt) if mine.items else FOLLOWING
    page = _Page(index, mine, k, pages, now, chosen)
    hits = page.made()
    after = cursors.written([*pages, page.numbers]) if len(hits) == k else None
    plan = "anonymous" if mine is None else "session" if mine is session else "personal"
    return Hits(tuple(hits), page.total, plan, time.perf_counter() - started, cursor=after)


def less(index: RelatedIndex, person: str, hit: Hit, name: str | None = None) -> None:
    """Undo the evidence by which a pin of a feed was shown: see `Index.less`."""
    people = index.people
    events = [Event("hide", person, hit.id)]
    for each in hit.why.evidence if hit.why is not None else ():
        if each.kind == "pin" and hit.why is not None and hit.why.kind not in ("popular", "fresh", "other"):
            events.append(Event("hide", person, each.id))
        elif each.kind in ("board", "follow"):
            events.append(Event("hide", person, hit.id, board=each.id))
    # The first names the pin itself; the same pin twice would say the same.
    distinct = list({(event.pin, event.board): event for event in events}.values())
    if name is not None:
        distinct = [replace(event, event_id=f"{name}.{at}") for at, event in enumerate(distinct)]
    refused = [verdict for verdict in people.record(distinct) if verdict.reason]
    if refused:
        raise ConsentError("cannot keep that", refused[0].reason, refused[0].remedy)


def _ranker(index: RelatedIndex, mine: Interests, ranker: FeedRanker, learnt: bool | None) -> FeedRanker:
    """The ranker that clicks taught, where the owner switched it on and it won; else the hand-made one."""
    wanted = ranker is RANKER if learnt is None else learnt
    found = taught_of(index.folder) if wanted else None
    if found is None:
        return ranker
    own = {each.name: getattr(ranker, each.name) for each in fields(FeedRanker)}
    return TaughtRanker(**own, taught=found, saved=mine.newest, hidden_pins=mine.hidden)


def _people(index: RelatedIndex) -> People | None:
    """The record of people, which is not made here."""
    return index.people if index.has_people else None


@dataclass
class _Page:
    """One page in the making. `numbers` are the pin numbers that it shows."""

    index: RelatedIndex
    mine: Interests | None
    k: int
    pages: Sequence[Sequence[int]]
    now: int
    ranker: FeedRanker
    total: int = 0

    def __post_init__(self) -> None:
        self.numbers: list[int] = []

    def made(self) -> list[Hit]:
        shown = cursors.shown(self.pages)
        topics = topics_of(self.index.folder)
        pool = gathered(self.index, self.mine, len(shown), len(self.pages), self.now)
        held, vectors = self._held(pool, shown, topics)
        self.total = len(held)
        if not held:
            return []
        names = [name for name, _ in held]
        ranking, chosen, reasons, why = self._explained(pool, names, vectors)
        self.numbers = [held[at][1] for at in chosen]
        pins = stored(self.index, [names[at] for at in chosen])
        return [
            _hit(pins[names[at]], ranking.rank_score[at], ranking.signals, at, reason, why)
            for at, reason in zip(chosen, reasons, strict=True)
            if names[at] in pins  # it left the index while this was computed
        ]

    def _explained(
        self, pool: Pool, names: Sequence[str], vectors: Float32
    ) -> tuple[Ranking, list[int], list[Reason], Why]:
        """The ranking, the page's candidates and their reasons. What no reason can be given for loses what brought it."""
        details: dict[str, Any] = {"vectors": vectors, "ids": names}
        if isinstance(self.ranker, TaughtRanker):
            details["added"] = added_of(self.index, names)
        candidates = Candidates.of(np.zeros(len(names), np.float32), **details)
        for left in reversed(range(ROUNDS)):
            signals = self._signals(pool, names, vectors)
            context = Context(k=self.k, now=self.now / 1000, data={FEED: signals})
            ranking = self.ranker.rank(candidates, context).checked(len(names))
            chosen = [int(at) for at in ranking.order[: self.k]]
            why = self._why(pool, names, signals, vectors)
            told = reasons_for(self.index, why, chosen, {n: p[chosen] for n, p in ranking.signals.items()})
            reasons = [each for each in told if each is not None]
            if len(reasons) == len(told):
                break
            gone = {names[at] for at, each in zip(chosen, told, strict=True) if each is None}
            pool.walk = {n: worth for n, worth in pool.walk.items() if n not in gone and left > 1}
        return ranking, chosen, reasons, why

    def _held(self, pool: Pool, shown: set[int], topics: Topics) -> tuple[list[tuple[str, int]], Float32]:
        """The candidates that may be shown, and their unit vectors: no sensitive topic, nothing known or seen too often."""
        mine = self.mine
        without = mine.without if mine is not None else frozenset()
        seen = mine.seen if mine is not None else {}
        kept = doubted_of(self.index)
        names = [n for n in pool.names() if n not in without and n not in kept and seen.get(n, 0) < MOST_SEEN]
        numbers = allowed(self.index, topics, names)
        held = [(name, number) for name, number in numbers.items() if number not in shown]
        if not held:
            return [], np.zeros((0, 0), np.float32)
        return held, units(self.index.vectors([name for name, _ in held]))

    def _signals(self, pool: Pool, names: Sequence[str], vectors: Float32) -> Signals:
        def listed(values: Mapping[str, float]) -> Float32:
            return np.array([values.get(name, 0.0) for name in names], np.float32)

        mine = self.mine
        n = len(names)
        interest, group = np.zeros(n, np.float32), np.full(n, -1)
        hidden, seen = np.zeros(n, np.float32), np.zeros(n, np.float32)
        if mine is not None:
            interest, group = interest_values(mine, pool, vectors, self.ranker.gamma)
            seen = listed(mine.seen)
            if len(mine.hidden):
                # Cosines of pictures never reach 0: what is nearer than most counts from there on.
                nearest = (vectors @ mine.hidden.T).max(1)
                middle = float(np.median(nearest))
                hidden = np.clip((nearest - middle) / max(1 - middle, 1e-6) - 1 + HIDDEN_NEAR, 0, 1)
        top = log1p(max(pool.popular.values(), default=1))
        return Signals(
            interest,
            np.asarray(group, np.int64),
            listed(pool.together),
            listed(pool.walk),
            listed({name: worth for name, (worth, _) in pool.follow.items()}),
            listed({name: log1p(count) / top for name, count in pool.popular.items()}),
            listed(pool.fresh),
            np.isin(names, pool.anything),
            np.asarray(hidden, np.float32),
            seen,
            tuple(pool.follow[name][1].target if name in pool.follow else "" for name in names),
        )

    def _why(self, pool: Pool, names: Sequence[str], signals: Signals, vectors: Float32) -> Why:
        mine = self.mine or Interests()
        return Why(pool, mine, names, signals, vectors, items_of(self.index), self.now)


def _hit(pin: Pin, score: Any, parts: Mapping[str, Float32], at: int, reason: Reason, why: Why) -> Hit:
    signals = {name: round(float(values[at]), 6) for name, values in parts.items()}
    return Hit(
        pin.id, pin.uri, why.cosine(at), WHOLE, pin.attributes, signals, round(float(score), 6), reason
    )


__all__ = ["FeedRanker", "feed", "less"]
