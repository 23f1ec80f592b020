"""The query path: from one unit vector and one snapshot of an index to hits.

Filter to a bitmap -> exact scan or approximate search -> rescore from the stored vectors -> best row of each pin ->
attributes of the pins returned only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from visualsearch import nearest
from visualsearch.errors import UnknownNameError
from visualsearch.nearest import Rows, scan, with_fresh
from visualsearch.store import Reader, Vectors
from visualsearch.types import WHOLE, Bool, Float32, Hit, Hits, Int64, Query

from .column import Groups
from .columns import Columns
from .filters import parse
from .planner import Plan, Way, choose
from .scales import SAMPLE, Sample

NO_GROUPS = "none"
"""In place of an attribute's name: every pin is a result of its own."""
LEFT_OUT = 0.1
"""So few rows left out, for each row that is not, are taken out after a search; more are left out by it."""


@dataclass(frozen=True)
class Snapshot(Rows):
    """What a reader has open: the rows of one state of the index, and what was kept of its filters and plans."""

    state: int
    columns: Columns = field(default_factory=Columns, compare=False)
    plans: dict[int, Plan] = field(init=False, default_factory=dict, compare=False)
    """The plans of searches without a filter, by the number of candidates wanted."""
    group_by: str | None = None
    """The attribute by which results are grouped where a query does not say."""

    @cached_property
    def sample(self) -> Sample:
        """Live vectors to measure scales on, evenly spread over the index."""
        live = np.flatnonzero(self.alive)
        if len(live) > SAMPLE:
            live = live[np.linspace(0, len(live) - 1, SAMPLE).astype(np.int64)]
        return Sample(self.vectors.gather(live))


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
    groups = _grouped(reader, snapshot, wanted)
    if seeds:
        left_out = np.isin(vectors.pins, list(seeds))
        left_out = left_out if groups is None else groups.of(left_out)
        total -= len(np.unique(vectors.pins[left_out if allowed is None else left_out & allowed]))
        allowed = ~left_out if allowed is None else allowed & ~left_out
    if groups is not None:
        chosen_some = seeds or wanted.where is not None
        total = groups.among(allowed) if allowed is not None and chosen_some else groups.count
    need = min(wanted.offset + wanted.k, total)
    if need <= 0:
        return Hits((), max(total, 0), "empty")
    left = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
    fetch = need if groups is None else min(left, need * -(-left // total))
    while True:
        way, positions = candidates(snapshot, query, fetch, allowed, left)
        scores, positions, pins = rescored(vectors, query, positions, groups)
        if len(pins) >= need or fetch >= left:
            break
        fetch = min(left, 4 * fetch)  # several rows of one pin, or pins of one group, took the places
    plan = f"filtered-{way}" if wanted.where else way
    best = float(scores[0]) if len(scores) else None
    if wanted.min_score is not None and not isinstance(wanted.min_score, str):
        kept = int(np.searchsorted(-scores, -wanted.min_score, side="right"))
        scores, positions, pins = scores[:kept], positions[:kept], pins[:kept]
    page = slice(wanted.offset, wanted.offset + wanted.k)
    return Hits(described(reader, vectors, scores[page], positions[page], pins[page]), total, plan, best=best)


def _grouped(reader: Reader, snapshot: Snapshot, wanted: Query) -> Groups | None:
    """The groups of which each gives one result; None where every pin does. Raises UnknownNameError."""
    name = snapshot.group_by if wanted.group_by is None else wanted.group_by
    if name is None or name == NO_GROUPS:
        return None
    names = reader.names()
    if name not in names:
        if wanted.group_by is None:  # no pin has it yet
            return None
        raise UnknownNameError("attribute to group by", name, [*names, NO_GROUPS])
    return snapshot.columns.groups(reader, name, snapshot.vectors.pins, snapshot.alive)


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
    codes = snapshot.ann is not None and nearest.has_codes(snapshot.ann)
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
        found = nearest.scan_codes(snapshot.ann, query, count, snapshot.search, old)
    if found is not None:
        return plan.way, with_fresh(snapshot, query, fetch, allowed, found)
    return Way.SCAN, scan(vectors, query, fetch, allowed=allowed)[1]


def _asked(
    snapshot: Snapshot, query: Float32, count: int, search: Mapping[str, Any], allowed: Bool | None, left: int
) -> Int64 | None:
    """What the approximate index finds, `left` of all rows being allowed.

    Where nearly all are, as after a few pins were removed, it is asked for some more without a selector, which is faster, and
    what is not allowed is taken out.
    """
    if allowed is not None and len(snapshot.vectors) - left <= LEFT_OUT * left:
        found = nearest.search(snapshot.ann, query, min(count + count // 4 + 8, snapshot.covers), search)
        found = None if found is None else found[allowed[found]]
        if found is None or len(found) >= count:
            return found
    return nearest.search(snapshot.ann, query, count, search, allowed)


def rescored(
    vectors: Vectors, query: Float32, positions: Int64, groups: Groups | None = None
) -> tuple[Float32, Int64, Int64]:
    """True cosines of the candidates, best first, and only the best row of each pin, or of each group of pins."""
    scores = vectors.cosines(positions, query)
    order = np.lexsort((positions, -scores))
    scores, positions = scores[order], positions[order]
    pins = vectors.pins[positions]
    shared = pins if groups is None else groups.numbers[positions]
    if len(set(shared.tolist())) == len(pins):
        return scores, positions, pins
    _, first = np.unique(shared, return_index=True)
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
