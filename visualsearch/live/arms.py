"""What the settings of an arm do to each surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from visualsearch.experiments import LEARNT, PLAIN
from visualsearch.ranking import BY_COSINE
from visualsearch.recommend import Blend, FeedRanker, feed, related, related_for
from visualsearch.search import SearchOptions
from visualsearch.types import Hits

from .asked import Sets

if TYPE_CHECKING:
    from visualsearch.engine import Index

WEIGHTS = ("interest", "together", "walk", "follow", "popular", "fresh")
"""Weights of the hand-made ranker of feeds: an arm that sets one is ordered by it."""
SHAPES = ("diversity", "new")
LEARNTS: Mapping[float | str | None, bool | None] = {LEARNT: True, PLAIN: False, None: None}


def feed_with(index: Index, sets: Sets, person: str, k: int, **options: Any) -> Hits:
    """A page of a feed as an arm has it."""
    changed: dict[str, Any] = {name: sets[name] for name in (*WEIGHTS, *SHAPES) if name in sets}
    learnt = LEARNTS[sets.get("ranker")]
    if not changed:
        return feed(index, person, k, learnt=learnt, **options)
    if learnt is None:
        learnt = not any(name in sets for name in WEIGHTS)
    return feed(index, person, k, ranker=FeedRanker(**changed), learnt=learnt, **options)


def related_with(index: Index, sets: Sets, person: str, pin: str, k: int) -> Hits:
    """Related pins as an arm has them."""
    blend = replace(Blend(), walk=float(sets["walk"])) if "walk" in sets else Blend()
    learnt = LEARNTS[sets.get("ranker")]
    diversity = float(sets.get("diversity", 0.0))

    def plain(most: int) -> Hits:
        return related(index, pin, most, blend=blend, diversity=diversity)

    return related_for(index, person, k, plain, learnt)


def search_with(sets: Sets, asked: SearchOptions) -> SearchOptions:
    """What a search asks for as an arm has it."""
    changed: dict[str, Any] = {name: sets[name] for name in ("personal", "diversity") if name in sets}
    return replace(asked, learnt=LEARNTS[sets.get("ranker")], **changed)


def open_to(asked: SearchOptions) -> bool:
    """Whether who asks left the order open. Whoever chose one gets it."""
    own = asked.ranker not in (BY_COSINE, "cosine") or asked.diversity or asked.context is not None
    return not own and asked.personal is None and asked.learnt is None
