"""Related pins: what people saved together, blended with what looks alike.

A walk over the graph of saves gives candidates, and so does the cosine. A pin that nobody saved is walked from through its
look-alikes, and is found as one of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.ranking import check_diversity
from visualsearch.types import WHOLE, Float32, Float64, Hit, Hits, Int64, Reason

from .asking import RelatedIndex, lowered_of, names_of, nearest_of, numbers_of
from .evidence import Evidences, evidence_of, trail_of
from .graph import SaveGraph
from .looks import units
from .variety import mixed
from .view import View
from .walk import RESTART, WALKERS, Start, Visits, degree, walk
from .why import by_sight

if TYPE_CHECKING:
    from visualsearch.store import Pin

MOST_PINS = 100
"""Pins that may be asked for at once."""
MOST_K = 1000
STAND_IN = 4.0
"""Stand-ins of a pin that nobody saved weigh their cosine to this power."""
ROUNDS = 4
"""So often an answer is made anew because something in it was found to count no more."""
LEARN = "Run: visualsearch learn DIR"


@dataclass(frozen=True)
class Blend:
    """How an answer is put together. The figures were chosen on held-out saves; see `benchmarks/recommend.md`.

    `walk` (0..1) is the weight of the walk, the rest is that of sight. Visits are divided by a pin's number of saves to the
    power `popular` (1 - 1 / n), where n pins are walked from: the more there are, the more of them lead to what everybody saves.
    They are raised to `power` as shares of the largest. `lend` is what a pin that looks like a visited one gets of its visits,
    times the cosine to the `sharp`.
    """

    walk: float = 0.9
    popular: float = 0.5
    power: float = 0.7
    lend: float = 0.9
    sharp: float = 2.0
    alikes: int = 10
    candidates: int = 200
    walkers: int = WALKERS
    restart: float = RESTART


BLEND = Blend()


def related(
    index: RelatedIndex,
    pins: str | Sequence[str],
    k: int = 20,
    *,
    weights: Sequence[float] | None = None,
    blend: Blend = BLEND,
    seed: int = 0,
    diversity: float = 0.0,
) -> Hits:
    """The pins related to one pin or several; see `Index.related`."""
    started = time.perf_counter()
    names = [pins] if isinstance(pins, str) else list(dict.fromkeys(pins))
    given = _weights(names, weights, k)
    check_diversity(diversity)
    asked = _asked(index, names)
    graph = graph_for(index)
    view = None if graph is None else graph.view()
    for _ in range(ROUNDS):
        answer = _Answer(index, asked, given, view, blend, seed, diversity)
        page = answer.page(k)
        dead = answer.dead
        if not dead or graph is None or view is None:
            break
        view = graph.bury(view, dead)
    notes = (
        [] if graph is None or not graph.waiting else [f"{graph.waiting:,} saves do not count yet. {LEARN}"]
    )
    return Hits(
        tuple(page), answer.total, answer.plan, time.perf_counter() - started, notes=tuple(notes),
        best=float(max((hit.score for hit in page), default=0.0)) if page else None,
    )  # fmt: skip


_GRAPHS: WeakKeyDictionary[Any, SaveGraph] = WeakKeyDictionary()


def graph_for(index: RelatedIndex) -> SaveGraph | None:
    """The graph of an index's saves; None where there is no record of people, which is not made here."""
    if not index.has_people:
        return None
    if index not in _GRAPHS:
        # The graph must not keep its index alive.
        _GRAPHS[index] = SaveGraph(index.folder, index.people, partial(_vectors_of, ref(index)))
    return _GRAPHS[index]


def _vectors_of(held: Callable[[], RelatedIndex | None], names: Sequence[str]) -> Float32:
    index = held()
    if index is None:
        raise UsageError("cannot read vectors", "the index was closed", "Open it again")
    return index.vectors(names)


def _weights(names: Sequence[str], weights: Sequence[float] | None, k: int) -> list[float]:
    if not 1 <= len(names) <= MOST_PINS:
        raise UsageError("cannot relate", f"{len(names)} pins were given", f"Give 1 to {MOST_PINS} pins")
    if not 1 <= k <= MOST_K:
        raise UsageError(f"k: {k:,} asked for", f"1 to {MOST_K:,} are taken", "Ask for less")
    given = [1.0] * len(names) if weights is None else [float(weight) for weight in weights]
    if len(given) != len(names) or not all(np.isfinite(weight) and weight > 0 for weight in given):
        raise UsageError(
            "cannot use those weights", f"{len(names)} numbers above 0 are needed", "Give one for each pin"
        )
    return given


def _asked(index: RelatedIndex, names: Sequence[str]) -> list[Pin]:
    with index.catalog.read() as reader:
        found = {pin.id: pin for pin in reader.by_ids(names)}
    for name in names:
        if name not in found:
            raise UnknownNameError("pin", name[:200], [], "Search first to learn the ids")
    return [found[name] for name in names]


@dataclass
class _Candidate:
    """A pin that may be shown."""

    number: int
    id: str
    node: int = -1
    cosine: float = 0.0
    walk: float = 0.0
    sight: float = 0.0
    lender: int = -1
    """Position of the visited candidate that it looks like, where its visits are lent."""
    score: float = 0.0


@dataclass
class _Answer:
    """One try at an answer, over one view of the graph. `dead`: what was found to count no more."""

    index: RelatedIndex
    asked: Sequence[Pin]
    weights: Sequence[float]
    view: View | None
    blend: Blend
    seed: int
    diversity: float
    plan: str = "sight"
    total: int = 0
    share: float = 0.0
    """The weight of the walk in this answer."""
    starts: int = 1
    dead: list[int] = field(default_factory=list)
    alikes: dict[int, tuple[str, str, float]] = field(default_factory=dict)
    """Nodes that stand for an asked pin without saves: its id, their own id, and the cosine."""

    def page(self, k: int) -> list[Hit]:
        vectors = self.index.vectors([pin.id for pin in self.asked])
        mean = (vectors * np.array(self.weights, np.float32)[:, None]).sum(0)
        query: Float32 = mean / max(float(np.linalg.norm(mean)), 1e-12)
        visits = self._walked(vectors)
        candidates = self._candidates(visits, query, k)
        self.total = len(candidates)
        ordered = sorted(candidates, key=lambda c: (-c.score, c.number))
        places = mixed(self.index, [c.id for c in ordered], [c.score for c in ordered], self.diversity, k)
        chosen = self._distinct([ordered[at] for at in places], k)
        reasons = self._reasons(chosen, candidates, visits, vectors)
        with self.index.catalog.read() as reader:
            held = reader.pins([c.number for c in chosen])
        return [
            Hit(
                c.id,
                held[c.number].uri,
                c.cosine,
                WHOLE,
                held[c.number].attributes,
                {"walk": round(c.walk, 6), "sight": round(c.sight, 6), "related": round(c.score, 6)},
                round(c.score, 6),
                why,
            )
            for c, why in zip(chosen, reasons, strict=True)
            if c.number in held
        ]

    def _walked(self, vectors: Float32) -> Visits | None:
        """The walk from the asked pins that have saves, and from the look-alikes of those that have none."""
        if self.view is None:
            return None
        view, starts = self.view, []
        nodes = view.pin_nodes([pin.pin for pin in self.asked])
        for at, node in enumerate(nodes):
            if node >= 0 and len(view.boards_of(node)):
                starts.append(Start(node, self.weights[at]))
                continue
            starts += self._stand_ins(self.asked[at], vectors[at], self.weights[at])
        if not starts:
            return None
        visits = walk(
            view.walkable,
            _merged(starts),
            walkers=self.blend.walkers,
            restart=self.blend.restart,
            seed=self.seed,
        )
        self.plan = f"walk-{visits.plan}"
        self.share, self.starts = self.blend.walk, len(starts)
        return visits

    def _stand_ins(self, pin: Pin, vector: Float32, weight: float) -> list[Start]:
        """Saved pins that look like one that nobody saved."""
        assert self.view is not None
        near = nearest_of(self.index, vector, 5 * self.blend.alikes)
        held = numbers_of(self.index, [hit.id for hit in near])
        found: list[Start] = []
        for hit in near:
            if hit.id == pin.id or hit.id not in held or len(found) == self.blend.alikes:
                continue
            node = self.view.pin_nodes([held[hit.id]])[0]
            if node >= 0 and hit.score > 0 and degree(self.view.walkable.pins, node):
                found.append(Start(node, weight * hit.score**STAND_IN))
                self.alikes[node] = (pin.id, hit.id, hit.score)
        return found

    def _candidates(self, visits: Visits | None, query: Float32, k: int) -> list[_Candidate]:
        most = max(self.blend.candidates, 3 * k)
        own = {pin.pin for pin in self.asked}
        found: dict[int, _Candidate] = {}
        if visits is not None and self.view is not None and len(visits.nodes):
            nodes, shares = worth_of(self.view, visits, most, self.starts, self.blend)
            numbers = self.view.numbers(nodes)
            held = names_of(self.index, numbers)
            for node, number, share in zip(nodes.tolist(), numbers, shares.tolist(), strict=True):
                if number in held and number not in own:
                    found[number] = _Candidate(number, held[number], node, walk=share**self.blend.power)
        near = nearest_of(self.index, query, most + len(own))
        for name, number in numbers_of(self.index, [hit.id for hit in near]).items():
            if number not in own:
                found.setdefault(number, _Candidate(number, name))
        candidates = list(found.values())
        self._score(candidates, query, [hit.score for hit in near])
        lowered = lowered_of(self.index)
        for c in candidates:
            c.score = min(c.score, 0.0) - 1.0 if c.id in lowered else c.score
        return candidates

    def _score(self, candidates: Sequence[_Candidate], query: Float32, near: Sequence[float]) -> None:
        """Sight is the cosine on the scale of this pin's own neighbours: 1 the nearest, 0 the last that was looked at."""
        if not candidates:
            return
        vectors = self.index.vectors([c.id for c in candidates])
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
        cosines = vectors @ query / lengths
        scale = sorted(near, reverse=True)[len(self.asked) :] or [1.0]
        low, high = scale[-1], max(scale[0], scale[-1] + 1e-6)
        self._lend(candidates, vectors / lengths[:, None])
        for c, cosine in zip(candidates, cosines.tolist(), strict=True):
            c.cosine = float(cosine)
            c.sight = float(np.clip((cosine - low) / (high - low), -1.0, 1.0))
            c.score = self.share * c.walk + (1 - self.share) * c.sight

    def _lend(self, candidates: Sequence[_Candidate], vectors: Float32) -> None:
        """A pin that nobody saved gets a part of the visits of the pin that it looks like most."""
        if self.view is None or self.blend.lend <= 0:
            return
        lenders = [at for at, c in enumerate(candidates) if c.walk > 0]
        nodes = self.view.pin_nodes([c.number for c in candidates])
        cold = [at for at, node in enumerate(nodes) if node < 0]
        if not lenders or not cold:
            return
        alike = np.clip(vectors[cold] @ vectors[lenders].T, 0, 1) ** self.blend.sharp
        worth: Float64 = alike * np.array([candidates[at].walk for at in lenders])
        for row, at in enumerate(cold):
            best = int(worth[row].argmax())
            candidates[at].walk = self.blend.lend * float(worth[row, best])
            candidates[at].lender = lenders[best]

    def _distinct(self, ordered: Sequence[_Candidate], k: int) -> list[_Candidate]:
        """The first k; of pins that share what the index groups by, such as the pictures of a product, the first."""
        with self.index.catalog.read() as reader:
            group = reader.meta("group_by")
        if not group or group == "none":
            return list(ordered[:k])
        with self.index.catalog.read() as reader:
            held = reader.pins([c.number for c in ordered])
        seen = {str(pin.attributes[group]) for pin in self.asked if pin.attributes.get(group) is not None}
        chosen: list[_Candidate] = []
        for c in ordered:
            value = held[c.number].attributes.get(group) if c.number in held else None
            if len(chosen) < k and (value is None or str(value) not in seen):
                chosen.append(c)
                seen |= set() if value is None else {str(value)}
        return chosen

    # -- reasons ---------------------------------------------------------------------------------------------------
    def _reasons(
        self,
        chosen: Sequence[_Candidate],
        candidates: Sequence[_Candidate],
        visits: Visits | None,
        vectors: Float32,
    ) -> list[Reason]:
        """Why each is shown: boards where the walk weighs more than sight, else sight."""
        carriers: dict[int, tuple[int, str, float]] = {}
        for at, c in enumerate(chosen):
            lender = candidates[c.lender] if c.lender >= 0 else None
            if self.share * c.walk > (1 - self.share) * max(c.sight, 0.0):
                carriers[at] = (c.node, "", 0.0) if lender is None else (lender.node, lender.id, 0.0)
        evidences = Evidences({}, [])
        if visits is not None and self.view is not None and carriers:
            pins = {c.node: c.id for c in candidates if c.node >= 0}
            own = dict(zip(self.view.pin_nodes([pin.pin for pin in self.asked]), self.asked, strict=True))
            asked = {node: pin.id for node, pin in own.items() if node >= 0}
            trail = trail_of(
                self.view, visits, [node for node, _, _ in carriers.values()], [*asked, *self.alikes]
            )
            evidences = evidence_of(self.index.people, trail, pins, asked, self.alikes)
            self.dead = evidences.dead
        looks = self._looks(chosen, vectors)
        reasons = []
        for at, c in enumerate(chosen):
            reason = None
            if at in carriers:
                node, lender_id, _ = carriers[at]
                between = None
                if lender_id:
                    between = (lender_id, self._cosine(c.id, lender_id))
                reason = evidences.reason(node, between)
            reasons.append(reason or by_sight(*looks[at]))
        return reasons

    def _looks(self, chosen: Sequence[_Candidate], vectors: Float32) -> list[tuple[str, float]]:
        """The asked pin that each looks like most, and the cosine."""
        if not chosen:
            return []
        mine = self.index.vectors([c.id for c in chosen])
        cosines = units(mine) @ units(vectors).T
        best = cosines.argmax(1)
        return [(self.asked[at].id, float(cosines[row, at])) for row, at in enumerate(best.tolist())]

    def _cosine(self, one: str, other: str) -> float:
        a, b = units(self.index.vectors([one, other]))
        return float(a @ b)


def worth_of(
    view: View, visits: Visits, most: int, starts: int, blend: Blend = BLEND
) -> tuple[Int64, Float64]:
    """The nodes that a walk from so many starts says most for, and how much as a share of the largest."""
    best = np.lexsort((visits.nodes, -visits.scores))[: 2 * most]
    nodes = visits.nodes[best]
    saves = np.array([max(1, degree(view.walkable.pins, node)) for node in nodes.tolist()], float)
    worth = visits.scores[best] / saves ** (blend.popular * (1 - 1 / starts))
    order = np.lexsort((nodes, -worth))[:most]
    return nodes[order], worth[order] / worth[order[0]]


def _merged(starts: Sequence[Start]) -> list[Start]:
    """Each node once, with the sum of its weights."""
    sums: dict[int, float] = {}
    for start in starts:
        sums[start.node] = sums.get(start.node, 0.0) + start.weight
    return [Start(node, weight) for node, weight in sums.items()]
