"""What a walk from a person's saved pins leads to: for a feed, which needs many pins by their worth and few reasons.

The walk of a person is kept until others saved a little. The links behind a reason are looked up anew each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from visualsearch.types import Reason

from .asking import RelatedIndex, names_of, numbers_of
from .evidence import Trail, evidence_of, trail_of
from .links import Links
from .related import BLEND, graph_for, worth_of
from .walk import Start, degree, walk
from .why import NEAR, TOGETHER

MOST = 60
WALK_SAVES = 50
"""A walk is repeated after so many saves of anybody."""
KEPT = 2000


@dataclass(frozen=True)
class Visited:
    """Pins that a walk led to by id, each with its worth (0..1), and what carried it there."""

    worth: dict[str, float]
    nodes: dict[str, int]
    trail: Trail
    starts: dict[int, str]
    base: Links

    def reasons(self, index: RelatedIndex, names: Sequence[str], muted: Collection[str]) -> dict[str, Reason]:
        """Why the walk led to those pins; without pins that boards as they are now do not explain, or that only a board of
        `muted` has a part in.
        """
        nodes = {self.nodes[name]: name for name in names}
        found = evidence_of(index.people, self.trail.to(list(nodes)), nodes, self.starts, {})
        graph = graph_for(index)
        if found.dead and graph is not None:
            graph.bury_of(self.base, found.dead)
        told = {name: found.reason(node) for node, name in nodes.items()}
        return {
            name: why
            for name, why in told.items()
            if why is not None
            and why.kind in (TOGETHER, NEAR)
            and not {each.id for each in why.evidence} & set(muted)
        }


_KEPT: WeakKeyDictionary[Any, OrderedDict[Any, Visited | None]] = WeakKeyDictionary()
_GUARD = threading.Lock()


def visited(index: RelatedIndex, names: tuple[str, ...], weights: Sequence[float]) -> Visited | None:
    """Where a walk from weighted pins leads to; None where no save of theirs is in the graph."""
    people = index.people
    key = (names, people.newest_save() // WALK_SAVES, people.choices())
    with _GUARD:
        kept = _KEPT.setdefault(index, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
    made = _walked(index, names, weights)
    with _GUARD:
        kept[key] = made
        while len(kept) > KEPT:
            kept.popitem(last=False)
    return made


def _walked(index: RelatedIndex, names: Sequence[str], weights: Sequence[float]) -> Visited | None:
    graph = graph_for(index)
    if graph is None:
        return None
    view = graph.view()
    numbers = numbers_of(index, names)
    nodes = dict(zip(numbers, view.pin_nodes(list(numbers.values())), strict=True))
    starts = [
        Start(nodes[name], weight)
        for name, weight in zip(names, weights, strict=True)
        if nodes.get(name, -1) >= 0
        and degree(view.walkable.pins, nodes[name])
        and len(view.boards_of(nodes[name]))
    ]
    if not starts:
        return None
    visits = walk(view.walkable, starts, walkers=BLEND.walkers, restart=BLEND.restart)
    if not len(visits.nodes):
        return None
    best, shares = worth_of(view, visits, MOST + len(names), len(starts))
    held = names_of(index, view.numbers(best))
    own = set(names)
    found = {
        held[number]: (node, share**BLEND.power)
        for node, number, share in zip(best.tolist(), view.numbers(best), shares.tolist(), strict=True)
        if number in held and held[number] not in own
    }
    asked = {start.node: name for name in names for start in starts if nodes.get(name) == start.node}
    return Visited(
        {name: worth for name, (_, worth) in found.items()},
        {name: node for name, (node, _) in found.items()},
        trail_of(view, visits, [node for node, _ in found.values()], list(asked)),
        asked,
        view.base,
    )
