"""The ranker of a feed: a weighted sum of what the sources say, then variety, caps, and slots kept for new and other pins."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from visualsearch.ranking import Candidates, Context, Ranking, varied
from visualsearch.types import Bool, Float32, Int64

FEED = "feed"
"""Under this name a feed's signals travel in `Context.data`."""


@dataclass(frozen=True)
class Signals:
    """What is known of n candidates, each (n,): 0 to 1, but `group`, the number of the interest it fits best, -1 for none.

    `hidden` is the cosine to the nearest hidden pin, 0 where none is near. `seen` counts how often it was shown lately.
    `source` is whose pin it is among those that are followed; empty for none.
    """

    interest: Float32
    group: Int64
    together: Float32
    walk: Float32
    follow: Float32
    popular: Float32
    fresh: Float32
    anything: Bool
    hidden: Float32
    seen: Float32
    source: tuple[str, ...] = ()


WEIGHTED = ("interest", "together", "walk", "follow", "popular", "fresh")


@dataclass(frozen=True)
class FeedRanker:
    """Orders the candidates of a feed. The weights are set by hand; `benchmarks/feed.py` measures them in a simulated world.

    `diversity` is that of `visualsearch.ranking.varied`. `most` is the share of a page that one interest may hold, `each` how
    many pins one followed board or person. `new` and `other` are the shares of slots that are kept for new pins and for others.
    """

    interest: float = 1.0
    together: float = 0.5
    walk: float = 0.4
    follow: float = 0.35
    popular: float = 0.15
    fresh: float = 0.15
    hidden: float = 1.5
    seen: float = 0.12
    diversity: float = 0.3
    gamma: float = 0.3
    most: float = 0.4
    each: int = 3
    new: float = 0.12
    other: float = 0.04
    fields: tuple[str, ...] = field(default=WEIGHTED, repr=False)

    def parts(self, signals: Signals) -> dict[str, Float32]:
        """What each source adds to the score, (n,) each."""
        return {
            name: np.asarray(getattr(self, name) * getattr(signals, name), np.float32) for name in self.fields
        }

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates; those after the page's k follow by their score."""
        signals: Signals = context.need(FEED)
        parts = self.parts(signals)
        score = sum(parts.values(), np.zeros(len(candidates), np.float32))
        score = np.asarray(score - self.hidden * signals.hidden - self.seen * signals.seen, np.float32)
        if not len(candidates):
            return Ranking(np.empty(0, np.int64), score, parts)
        first = np.argsort(-score, kind="stable")
        page = self._page(first, score, signals, candidates.vectors, context.k)
        rest = first[~np.isin(first, page)]
        return Ranking(np.concatenate([page, rest]).astype(np.int64), score, parts)

    def _page(self, first: Int64, score: Float32, signals: Signals, vectors: Float32, k: int) -> Int64:
        head = first[: 6 * k]
        order = head[varied(score[head], vectors[head], self.diversity, 2 * k)] if self.diversity else head
        new = _queue(first, (signals.fresh > 0) & (signals.hidden <= 0))
        other = _queue(first, signals.anything & (signals.interest <= np.median(signals.interest)))
        kept = {**_slots(k, self.new, "new"), **_slots(k, self.other, "other")}
        queues = {"new": new, "other": other, "": [*order.tolist(), *first.tolist()]}
        page: list[int] = []
        taken: set[int] = set()
        caps = _Caps(signals, max(1, ceil(self.most * k)), self.each)
        for slot in range(min(k, len(first))):
            for kind in (kept.get(slot, ""), ""):
                found = _next(queues[kind], taken, caps if not kind else None)
                if found is not None:
                    page.append(found)
                    taken.add(found)
                    caps.count(found)
                    break
        if len(page) < k:  # the caps left slots empty: better a fuller page
            page += [at for at in first.tolist() if at not in taken][: k - len(page)]
        return np.array(page, np.int64)


class _Caps:
    """How many of an interest, and of somebody who is followed, a page holds."""

    def __init__(self, signals: Signals, most: int, each: int) -> None:
        groups = len(set(signals.group.tolist()) - {-1})
        # One interest has nothing to leave room for, and two share a page.
        self._signals, self._each = signals, each
        self._most = {0: len(signals.group), 1: len(signals.group), 2: (most * 7) // 4}.get(groups, most)
        self._groups: Counter[int] = Counter()
        self._sources: Counter[str] = Counter()

    def allow(self, at: int) -> bool:
        """Whether another such pin may come."""
        group = int(self._signals.group[at])
        if group >= 0 and self._groups[group] >= self._most:
            return False
        source = self._signals.source[at] if self._signals.source else ""
        return not source or self._sources[source] < self._each

    def count(self, at: int) -> None:
        """Count a pin that came."""
        self._groups[int(self._signals.group[at])] += 1
        if self._signals.source:
            self._sources[self._signals.source[at]] += 1


def _queue(first: Int64, which: Any) -> list[int]:
    return [at for at in first.tolist() if which[at]]


def _slots(k: int, share: float, kind: str) -> dict[int, str]:
    """Slots that are kept, evenly over the lower part of a page."""
    count = round(k * share)
    if not count:
        return {}
    shift = 1 if kind == "other" else 2
    return {k - shift - (at * k) // count: kind for at in range(count) if k - shift - (at * k) // count > 0}


def _next(queue: list[int], taken: set[int], caps: _Caps | None) -> int | None:
    """The first of a queue that was not taken and that the caps allow."""
    for at in queue:
        if at not in taken and (caps is None or caps.allow(at)):
            return at
    return None
