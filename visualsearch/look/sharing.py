"""Which hits of which object are shown: twins dropped, each pin to one object, ranked by preference and variety."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from visualsearch.ranking import Candidates, Context, Varied, Weighted
from visualsearch.types import Hit, Hits

from .index import SearchedIndex
from .naming import Name
from .objects import LookObject
from .proposals import covered

TWIN = 0.5
"""Found boxes that share this much of the smaller one and have one best hit show one object."""


def one_each(wanted: Sequence[LookObject], candidates: Sequence[Hits]) -> list[int]:
    """Numbers of the objects without those that are another's once more: they overlap it and have the same best hit.

    The finder is surer of the one that stays.
    """
    places = np.array([one.box for one in wanted])
    twins = covered(places, places) >= TWIN
    best = [hits[0].id if len(hits) else None for hits in candidates]
    kept: list[int] = []
    for at in sorted(range(len(wanted)), key=lambda at: -wanted[at].score):
        if best[at] is None or not any(twins[at, other] and best[other] == best[at] for other in kept):
            kept.append(at)
    return sorted(kept)


def preferring(hits: Hits, name: Name | None, attribute: str, prefer: float) -> list[Hit]:
    """The hits in a new order: those of the category that the neighbours vote for gain `prefer` times its share.

    It was measured not to help: of 559 objects R@10 is 0.864 without, 0.864 with 0.03 and 0.859 with 0.1.
    """
    if name is None or not prefer:
        return list(hits)
    bonus = prefer * name.score
    candidates = Candidates.of(hits.scores, attributes=[hit.attributes for hit in hits])
    context = Context(data={"preferred": (attribute, name.text)})
    ranking = Weighted({"cosine": 1.0, "preferred": bonus}).rank(candidates, context)
    return [
        replace(
            hits[place],
            rank_score=float(ranking.rank_score[place]),
            signals={signal: float(values[place]) for signal, values in ranking.signals.items()},
        )
        for place in ranking.order.tolist()
    ]


def shared_out(ranked: Sequence[Sequence[Hit]], k: int) -> list[list[Hit]]:
    """Each pin to the one object whose hit it is with the highest score, at most k to each object."""
    flat = [
        (hit.score if hit.rank_score is None else hit.rank_score, -number, hit)
        for number, hits in enumerate(ranked)
        for hit in hits
    ]
    flat.sort(key=lambda entry: entry[:2], reverse=True)
    chosen: list[list[Hit]] = [[] for _ in ranked]
    taken = set()
    for _, number, hit in flat:
        if hit.id not in taken and len(chosen[-number]) < k:
            chosen[-number].append(hit)
            taken.add(hit.id)
    return chosen


def various(index: SearchedIndex, hits: Sequence[Hit], k: int, diversity: float) -> list[Hit]:
    """k of the hits, as different from one another as `diversity` asks for."""
    if len(hits) <= 1:
        return list(hits)
    candidates = Candidates.of([hit.score for hit in hits], vectors=index.vectors([hit.id for hit in hits]))
    order = Varied(diversity).rank(candidates, Context()).order[:k]
    return [hits[place] for place in order.tolist()]
