"""The query path: from one unit vector and one snapshot of an index to hits.

Filter to a bitmap -> exact scan or approximate search -> rescore from the stored vectors -> best row of each pin ->
attributes of the pins returned only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import ann
from .catalog import Generation, Reader
from .columns import Columns
from .exact import scan, scan_many
from .filters import parse
from .planner import Plan, Way, choose
from .types import WHOLE, Bool, Float32, Hit, Hits, Int64, Query
from .vectors import Vectors

LEFT_OUT = 0.1
"""So few rows left out, for each row that is not, are taken out after a search; more are left out by it."""


@dataclass(frozen=True)
class Snapshot:
    """What a reader has open: one state of the index."""

    state: int
    vectors: Vectors
    alive: Bool
    generation: Generation | None
    ann: Any
    live: int
    columns: Columns = field(default_factory=Columns, compare=False)
    plans: dict[int, Plan] = field(init=False, default_factory=dict, compare=False)
    """What was chosen for searches without a filter, by the candidates wanted."""

    @property
    def covers(self) -> int:
        """Positions 0 .. covers-1 are in the approximate index; the others are fresh."""
        return self.generation.covers if self.generation else 0

    @property
    def search(self) -> Mapping[str, Any]:
        """The approximate index's own search parameters."""
        return self.generation.search if self.generation else {}

    @property
    def candidates(self) -> int:
        """How many candidates the approximate index is asked for, for each result wanted."""
        return int(self.search.get("candidates", 10))


def find(reader: Reader, snapshot: Snapshot, query: Float32, wanted: Query, seeds: set[int]) -> Hits:
    """The hits of a unit query vector in one snapshot."""
    vectors, alive = snapshot.vectors, snapshot.alive
    allowed: Bool | None = None
    if wanted.where is not None:
        chosen = parse(wanted.where, reader.names())
        allowed, total = snapshot.columns.allowed(reader, chosen, vectors.pins)
    else:
        total = snapshot.columns.count(reader)
    if snapshot.live < len(vectors):
        allowed = alive if allowed is None else allowed & alive
    if seeds:
        left_out = np.isin(vectors.pins, list(seeds))
        total -= len(np.unique(vectors.pins[left_out if allowed is None else left_out & allowed]))
        allowed = ~left_out if allowed is None else allowed & ~left_out
    need = min(wanted.offset + wanted.k, total)
    if need <= 0:
        return Hits((), max(total, 0), "empty")
    left = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
    fetch = need
    while True:
        way, positions = candidates(snapshot, query, fetch, allowed, left)
        scores, positions, pins = rescored(vectors, query, positions)
        if len(pins) >= need or fetch >= left:
            break
        fetch = min(left, 4 * fetch)  # several rows of one pin took the places
    plan = f"filtered-{way}" if wanted.where else way
    if wanted.min_score is not None:
        kept = int(np.searchsorted(-scores, -wanted.min_score, side="right"))
        scores, positions, pins = scores[:kept], positions[:kept], pins[:kept]
    page = slice(wanted.offset, wanted.offset + wanted.k)
    return Hits(described(reader, vectors, scores[page], positions[page], pins[page]), total, plan)


def candidates(
    snapshot: Snapshot, query: Float32, fetch: int, allowed: Bool | None, left: int
) -> tuple[Way, Int64]:
    """(way, positions that hold the top `fetch`) by the cheapest way; `left` positions are allowed.

    An approximate search that comes back with fewer rows than it was asked for has seen all that is allowed around the
    query, so what is missing lies farther off than it looks: a filter may leave out just the query's surroundings. Then
    the cheapest of the other ways is taken.
    """
    vectors, covers = snapshot.vectors, snapshot.covers
    count = min(fetch * snapshot.candidates, covers)
    codes = snapshot.ann is not None and ann.has_codes(snapshot.ann)
    plan = snapshot.plans.get(count) if allowed is None else None
    if plan is None:
        plan = choose(len(vectors), left, vectors.dim, snapshot.generation, count, codes)
        if allowed is None:
            snapshot.plans[count] = plan
    old = None if allowed is None else allowed[:covers]
    found = None
    if plan.way is Way.INDEX:
        found = _asked(snapshot, query, count, plan.search, old, left)
        if found is not None and len(found) < count:
            there = covers if old is None else int(np.count_nonzero(old))
            if len(found) < there:
                found, plan = None, choose(len(vectors), left, vectors.dim, None, count, codes)
    if plan.way is Way.CODES and old is not None:
        found = ann.scan_codes(snapshot.ann, query, count, snapshot.search, old)
    if found is not None:
        return plan.way, _with_fresh(snapshot, query, fetch, allowed, found)
    return Way.SCAN, scan(vectors, query, fetch, allowed=allowed)[1]


def _asked(
    snapshot: Snapshot, query: Float32, count: int, search: Mapping[str, Any], allowed: Bool | None, left: int
) -> Int64 | None:
    """What the approximate index finds, `left` of all rows being allowed.

    Where nearly all are, as after a few pins were removed, it is asked for some more without a selector, which is faster, and
    what is not allowed is taken out.
    """
    if allowed is not None and len(snapshot.vectors) - left <= LEFT_OUT * left:
        found = ann.search(snapshot.ann, query, min(count + count // 4 + 8, snapshot.covers), search)
        found = None if found is None else found[allowed[found]]
        if found is None or len(found) >= count:
            return found
    return ann.search(snapshot.ann, query, count, search, allowed)


def approximate(snapshot: Snapshot, query: Float32, fetch: int, allowed: Bool | None) -> Int64 | None:
    """Candidates of the approximate index, whatever it costs, and of the fresh rows, which are searched exactly.

    None where the query is foreign to the index.
    """
    covers = snapshot.covers
    old = None if allowed is None else allowed[:covers]
    count = min(fetch * snapshot.candidates, covers)
    found = ann.search(snapshot.ann, query, count, snapshot.search, old)
    return None if found is None else _with_fresh(snapshot, query, fetch, allowed, found)


def _with_fresh(snapshot: Snapshot, query: Float32, fetch: int, allowed: Bool | None, found: Int64) -> Int64:
    """Candidates of the approximate index and those of the rows that it does not hold yet."""
    if snapshot.covers == len(snapshot.vectors):
        return found
    fresh = scan(snapshot.vectors, query, fetch, snapshot.covers, None, allowed)[1]
    return np.concatenate([found, fresh])


def rescored(vectors: Vectors, query: Float32, positions: Int64) -> tuple[Float32, Int64, Int64]:
    """True cosines of the candidates, best first, and only the best row of each pin."""
    scores = vectors.cosines(positions, query)
    order = np.lexsort((positions, -scores))
    scores, positions = scores[order], positions[order]
    pins = vectors.pins[positions]
    if len(set(pins.tolist())) == len(pins):
        return scores, positions, pins
    _, first = np.unique(pins, return_index=True)
    first.sort()
    return scores[first], positions[first], pins[first]


def described(
    reader: Reader, vectors: Vectors, scores: Float32, positions: Int64, pins: Int64
) -> tuple[Hit, ...]:
    """Hits of (k,) scores, positions and pins, with ids, boxes and attributes."""
    known = reader.pins(int(p) for p in pins)
    rows = [int(r) for r in vectors.rows(positions)]
    boxes = reader.boxes(rows)
    return tuple(
        Hit(
            known[pin].id,
            known[pin].uri,
            float(min(1.0, max(-1.0, score))),
            boxes.get(row, WHOLE),
            known[pin].attributes,
            {"visual": float(score)},
        )
        for pin, row, score in zip((int(p) for p in pins), rows, scores, strict=True)
    )


def alive_rows(vectors: Vectors, dead: Int64) -> Bool:
    """(n,) bool over positions: which rows are not dead."""
    alive = np.ones(len(vectors), dtype=bool)
    alive[vectors.positions(dead)] = False
    return alive


@dataclass(frozen=True)
class HeldOut:
    """Stored vectors as queries, each left out of its own answer, and the exact answers to them.

    `queries`: (n, d) float32, `own`: (n,) their positions, `truth`: the other k nearest positions of each.
    """

    queries: Float32
    own: Int64
    truth: tuple[frozenset[int], ...]
    k: int
    allowed: Bool | None

    def found(self, snapshot: Snapshot, number: int) -> int:
        """How many of a query's true k nearest the approximate search finds, rescored."""
        query = self.queries[number]
        candidates = approximate(snapshot, query, self.k + 1, self.allowed)
        if candidates is None:  # the query is scanned for
            return len(self.truth[number])
        scores = snapshot.vectors.cosines(candidates, query)
        ranked = candidates[np.argsort(-scores, kind="stable")][: self.k + 1]
        return len(_others(ranked, self.own[number], self.k) & self.truth[number])

    def share(self, found: int) -> float:
        """recall@k (0..1) of `found` hits over all queries; 1 where there is nothing to find."""
        wanted = self.k * len(self.own)
        return found / wanted if wanted else 1.0


def held_out(snapshot: Snapshot, k: int, samples: int, seed: int) -> HeldOut:
    """At most `samples` live rows as queries, with the exact scan's answers among the live rows."""
    live = np.flatnonzero(snapshot.alive)
    own = np.random.default_rng(seed).choice(live, min(samples, len(live)), replace=False)
    k = max(0, min(k, len(live) - 1))
    queries = snapshot.vectors.gather(own)
    allowed = None if len(live) == len(snapshot.vectors) else snapshot.alive
    found = scan_many(snapshot.vectors, queries, k + 1, allowed)
    truth = tuple(_others(f[1], position, k) for f, position in zip(found, own, strict=True))
    return HeldOut(queries, own, truth, k, allowed)


def measured_recall(snapshot: Snapshot, k: int = 10, samples: int = 64) -> float:
    """Share of the exact top k that the search finds, over stored vectors as queries (each leaves itself out)."""
    if snapshot.ann is None:
        return 1.0  # the search is the exact scan itself
    sample = held_out(snapshot, k, samples, seed=0)
    return sample.share(sum(sample.found(snapshot, number) for number in range(len(sample.own))))


def _others(positions: Int64, own: int, k: int) -> frozenset[int]:
    return frozenset(positions[positions != own][:k].tolist())
