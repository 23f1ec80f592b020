"""Random walk with restart over pins and boards (Pixie, Eksombatchai et al., arXiv 1711.07601).

Walkers go from a pin to a board that holds it, to a pin on that board, and begin anew with a fixed chance. How often they
come to a pin says how related it is. Walkers that stand on one node are handed on together. So the counts scatter far less than
those of single walkers, around the same expectation.
With the extra `fast` the walk is compiled; without it numpy does the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch.compiled import WALKS, Scratch, Side
from visualsearch.errors import UsageError
from visualsearch.types import Bool, Float64, Int64

WALKERS = 15_000
RESTART = 0.4
"""Chance that a walk begins anew after a pin: about 2 / RESTART links are followed."""
WHOLE = 1.0
"""A list of at most walkers / WHOLE links is shared out exactly; from longer ones links are drawn."""
MOST_WALKERS = 1_000_000
TRIES = 8
DEAD_BOARD = 1 << 62


class Start(NamedTuple):
    """A pin's node that is asked for, and how much it counts."""

    node: int
    weight: float = 1.0


@dataclass(frozen=True)
class Walkable:
    """A graph as a walk sees it. `dead` (n,) int64, ascending: links that count no more as pin << 32 | board, and boards as
    DEAD_BOARD | board. `largest` is the number of links of the pin that has most.
    """

    pins: Side
    boards: Side
    shifts: tuple[int, int]
    dead: Int64
    largest: int


@dataclass(frozen=True)
class Visits:
    """What walkers visited. `nodes` (n,) pins with (n,) `scores`, without the pins that were asked for, in no order.

    The log has a row for each visit: (l,) pin, (l,) board through which, (l,) walkers. `plan` says which code walked.
    """

    nodes: Int64
    scores: Float64
    log_pins: NDArray[np.int32]
    log_boards: NDArray[np.int32]
    log_walkers: NDArray[np.float32]
    plan: str

    def through(self, nodes: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
        """For each of these pins: the boards that its visitors came through and the walkers of each, most first."""
        inside = np.isin(self.log_pins, np.asarray(nodes, np.int32))
        pins, boards = self.log_pins[inside].astype(np.int64), self.log_boards[inside].astype(np.int64)
        keys, places = np.unique((pins << 32) | boards, return_inverse=True)
        sums = np.bincount(places, self.log_walkers[inside], len(keys))
        found: dict[int, list[tuple[int, float]]] = {int(node): [] for node in nodes}
        for at in np.lexsort((keys, -sums)).tolist():
            found[int(keys[at]) >> 32].append((int(keys[at]) & 0xFFFFFFFF, float(sums[at])))
        return found


def walk(
    graph: Walkable,
    starts: Sequence[Start],
    *,
    walkers: int = WALKERS,
    restart: float = RESTART,
    whole: float = WHOLE,
    seed: int = 0,
    compiled: bool | None = None,
) -> Visits:
    """Walk from several pins; the score of a pin is (sum of the square roots of its visits from each)^2, which favours pins that
    several starts reach.

    `walkers` are divided among the starts by weight and by d (C - log d), where d is a pin's number of links. The same seed
    gives the same visits. `compiled` None takes the compiled walk where it is loaded. Raises UsageError for a start that is
    no node.
    """
    _check(graph, starts, walkers, restart, whole)
    ready = None if compiled is False else WALKS.ready
    if compiled and ready is None:
        raise UsageError("cannot walk compiled", "the loops are not loaded", "Call WALKS.load() first")
    one = _compiled if ready is not None else _plain
    walked = [
        one(graph, start.node, part, restart, whole, seed + 1000003 * at)
        for at, (start, part) in enumerate(zip(starts, _divided(graph, starts, walkers), strict=True))
        if part > 0
    ]
    walked = walked or [_NOTHING]
    nodes, scores = _boosted(walked, np.array([start.node for start in starts], np.int64))
    return Visits(
        nodes,
        scores,
        np.concatenate([each.pins for each in walked]),
        np.concatenate([each.boards for each in walked]),
        np.concatenate([each.walkers for each in walked]),
        "compiled" if ready is not None else "numpy",
    )


def degree(side: Side, node: int) -> int:
    """How many links a node has."""
    begin, end = (
        (int(side.offsets[node]), int(side.offsets[node + 1])) if node + 1 < len(side.offsets) else (0, 0)
    )
    at = int(np.searchsorted(side.fresh_nodes, node))
    if at < len(side.fresh_nodes) and side.fresh_nodes[at] == node:
        return end - begin + int(side.fresh_offsets[at + 1] - side.fresh_offsets[at])
    return end - begin


def links_of(side: Side, shift: int, node: int) -> Int64:
    """The nodes that a node's links lead to."""
    low, found = (1 << shift) - 1, [np.zeros(0, np.int64)]
    if node + 1 < len(side.offsets):
        found.append(side.links[int(side.offsets[node]) : int(side.offsets[node + 1])].astype(np.int64))
    at = int(np.searchsorted(side.fresh_nodes, node))
    if at < len(side.fresh_nodes) and side.fresh_nodes[at] == node:
        begin, end = int(side.fresh_offsets[at]), int(side.fresh_offsets[at + 1])
        found.append(side.fresh_links[begin:end].astype(np.int64))
    return np.concatenate(found) & low


def _check(graph: Walkable, starts: Sequence[Start], walkers: int, restart: float, whole: float) -> None:
    most = 1 << graph.shifts[0]
    for start in starts:
        if not (0 <= start.node < most and np.isfinite(start.weight) and start.weight > 0):
            raise UsageError(f"cannot walk from {start}", "it is no node of the graph with a weight above 0")
    if not (1 <= walkers <= MOST_WALKERS and 0.05 <= restart <= 1 and 0.1 <= whole <= 100):
        raise UsageError(
            "cannot walk so", f"walkers {walkers}, restart {restart}, whole {whole}", "Leave them as they are"
        )


def _divided(graph: Walkable, starts: Sequence[Start], walkers: int) -> list[float]:
    """Walkers of each start (Pixie, equations 1 and 2): at least one where there are links."""
    degrees = np.array([degree(graph.pins, start.node) for start in starts], float)
    factor = degrees * (np.log(max(2, graph.largest)) + 1 - np.log(np.maximum(degrees, 1)))
    parts = np.array([start.weight for start in starts]) * np.maximum(factor, 0)
    total = parts.sum()
    if not total:
        return [0.0] * len(starts)
    divided: list[float] = np.where(parts > 0, np.maximum(walkers * parts / total, 1.0), 0.0).tolist()
    return divided


class _Walked(NamedTuple):
    """One start's visits: a log as `Visits` has it, and the sum of each pin."""

    pins: NDArray[np.int32]
    boards: NDArray[np.int32]
    walkers: NDArray[np.float32]
    nodes: Int64
    sums: Float64


_NOTHING = _Walked(
    np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0)
)


def _boosted(walked: Sequence[_Walked], asked: Int64) -> tuple[Int64, Float64]:
    nodes, scores = walked[0].nodes, walked[0].sums
    if len(walked) > 1:
        nodes, places = np.unique(np.concatenate([each.nodes for each in walked]), return_inverse=True)
        roots = np.concatenate([np.sqrt(each.sums) for each in walked])
        scores = np.square(np.bincount(places, roots, len(nodes))).astype(np.float64)
    others = (nodes[:, None] != asked).all(1) if len(asked) < 4 else ~np.isin(nodes, asked)
    return nodes[others].astype(np.int64), scores[others].astype(np.float64)


# -- compiled ------------------------------------------------------------------------------------------------------
_SPARE: list[Scratch] = []
_GUARD = threading.Lock()


def _room(walkers: float, restart: float) -> int:
    """Visits that a walk has at most, nearly always: its log ends there."""
    return int(2 * walkers / restart) + 4096


def _compiled(graph: Walkable, node: int, walkers: float, restart: float, whole: float, seed: int) -> _Walked:
    size = _room(walkers, restart)
    with _GUARD:
        fitting = next((at for at, each in enumerate(_SPARE) if len(each.log[0]) >= size), None)
        scratch = None if fitting is None else _SPARE.pop(fitting)
    scratch = scratch or Scratch(size)
    shifts = np.array(graph.shifts, np.int64)
    count = WALKS.ready.walk(
        tuple(graph.pins), tuple(graph.boards), shifts, graph.dead, node, walkers, restart, whole, 1.0, seed,
        scratch.parts, scratch.log,
    )  # fmt: skip
    found = WALKS.ready.totals(scratch.log[0], scratch.log[2], count, scratch.parts)
    walked = _Walked(
        scratch.log[0][:count].copy(),
        scratch.log[1][:count].copy(),
        scratch.log[2][:count].copy(),
        scratch.parts[2][:found].astype(np.int64),
        scratch.parts[3][:found].astype(np.float64),
    )
    with _GUARD:
        if len(_SPARE) < 8:
            _SPARE.append(scratch)
    return walked


# -- numpy ---------------------------------------------------------------------------------------------------------
def _plain(graph: Walkable, node: int, walkers: float, restart: float, whole: float, seed: int) -> _Walked:
    rng = np.random.default_rng(seed)
    nodes, masses = np.array([node], np.int64), np.array([walkers])
    logs: list[tuple[Int64, Int64, Float64]] = []
    room, alive = _room(walkers, restart), walkers
    while len(nodes) and alive >= 1.0 and room > 0:
        to, _, parts = _hand_on(
            graph.pins, graph.shifts[1], graph.dead, False, whole, nodes, masses, rng, room
        )
        boards, masses = _meet(to, parts)
        to, froms, parts = _hand_on(
            graph.boards, graph.shifts[0], graph.dead, True, whole, boards, masses, rng, room
        )
        room -= len(to)
        logs.append((to, froms, parts))
        nodes, masses = _meet(to, parts)
        masses = masses * (1 - restart)
        alive = float(masses.sum())
    pins, through, parts = (np.concatenate(each) for each in zip(*logs, strict=True))
    nodes, sums = _meet(pins, parts)
    return _Walked(pins.astype(np.int32), through.astype(np.int32), parts.astype(np.float32), nodes, sums)


def _meet(to: Int64, parts: Float64) -> tuple[Int64, Float64]:
    nodes, places = np.unique(to, return_inverse=True)
    return nodes, np.bincount(places, parts, len(nodes)).astype(np.float64)


def _hand_on(
    side: Side, shift: int, dead: Int64, from_board: bool, whole: float, nodes: Int64, masses: Float64,
    rng: np.random.Generator, room: int,
) -> tuple[Int64, Int64, Float64]:  # fmt: skip
    """Walkers wait at nodes; each goes on to a neighbour: to, from, walkers. As `_hand_on` of the compiled walk."""
    lists = _Lists(side, nodes)
    shared = lists.sizes * whole <= masses
    drawn = np.floor(masses) + (rng.random(len(nodes)) < masses - np.floor(masses))
    counts = np.where(shared, lists.sizes, drawn).astype(np.int64) * (lists.sizes > 0)
    counts[np.cumsum(counts) > room] = 0
    owner = np.repeat(np.arange(len(nodes)), counts)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    whole_list = shared[owner]
    top, low = (1 << (31 - shift)) - 1, (1 << shift) - 1
    word = np.zeros(len(owner), np.int64)
    fine = np.zeros(len(owner), bool)
    for attempt in range(TRIES):
        again = np.flatnonzero(~fine)
        if not len(again):
            break
        mine = owner[again]
        spread = rng.random(len(again))
        if attempt == 0:  # spread evenly over each list; what is refused is drawn from the whole of it
            spread = (inside[again] + spread) / np.maximum(counts[mine], 1)
        drawn_at = (spread * lists.sizes[mine]).astype(np.int64)
        place = np.where(whole_list[again], inside[again], drawn_at)
        word[again] = lists.at(mine, np.minimum(place, lists.sizes[mine] - 1))
        good = whole_list[again] | (rng.integers(0, top + 1, len(again)) <= word[again] >> shift)
        fine[again] = good & ~_dead(dead, nodes[mine], word[again] & low, from_board)
    weights = np.where(fine, (word >> shift) + 1.0, 0.0)
    total = np.bincount(owner, weights, len(nodes))[owner]
    each = np.maximum(masses, 1.0)[owner] / np.maximum(counts[owner], 1)
    parts = np.where(whole_list, weights * masses[owner] / np.maximum(total, 1e-12), each)
    return (word & low)[fine], nodes[owner][fine], parts[fine]


class _Lists:
    """The links of some nodes: how many each has, and the one at a position."""

    def __init__(self, side: Side, nodes: Int64) -> None:
        self._side = side
        base = len(side.offsets) - 1
        inside = nodes < base
        held = np.where(inside, nodes, 0)
        self._begin = side.offsets[held].astype(np.int64)
        last = side.offsets[np.minimum(held + 1, base)].astype(np.int64)
        self._built = np.where(inside, last - self._begin, 0)
        self._first = more = np.zeros(len(nodes), np.int64)
        if len(side.fresh_nodes):
            at = np.minimum(np.searchsorted(side.fresh_nodes, nodes), len(side.fresh_nodes) - 1)
            fresh = side.fresh_nodes[at] == nodes
            self._first = side.fresh_offsets[at]
            more = np.where(fresh, side.fresh_offsets[at + 1] - self._first, 0)
        self.sizes: Int64 = self._built + more

    def at(self, which: Int64, place: Int64) -> Int64:
        """The links of the lists `which` at `place`."""
        built = place < self._built[which]
        out = np.zeros(len(which), np.int64)
        out[built] = self._side.links[(self._begin[which] + place)[built]]
        fresh = ~built
        out[fresh] = self._side.fresh_links[(self._first[which] + place - self._built[which])[fresh]]
        return out


def _dead(dead: Int64, nodes: Int64, others: Int64, from_board: bool) -> Bool:
    if not len(dead):
        return np.zeros(len(nodes), bool)
    pins, boards = (others, nodes) if from_board else (nodes, others)
    gone: Bool = np.isin((pins << 32) | boards, dead) | np.isin(DEAD_BOARD | boards, dead)
    return gone
