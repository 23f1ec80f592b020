"""The shortlist: which rows may answer a query, and the best of them with true scores, one row for each pin.

Filter to a bitmap -> exact scan or approximate search -> rescore from the stored vectors -> best row of each pin or group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visualsearch import nearest
from visualsearch.errors import UnknownNameError
from visualsearch.nearest import scan, with_fresh
from visualsearch.store import Reader, Vectors
from visualsearch.types import Bool, Float32, Int64, Query

from .column import Groups
from .filters import parse
from .hidden import Hidden
from .planner import Way, choose
from .snapshot import Snapshot

NO_GROUPS = "none"
"""In place of an attribute's name: every pin is a result of its own."""
LEFT_OUT = 0.1
"""If the rows left out are at most 10 % of the rows left, search first and drop them. Otherwise pass FAISS a selector."""


@dataclass(frozen=True)
class Scope:
    """What a query may find. `allowed`: (rows,) bool, None for all; `left` of them are. `total`: pins, or groups of pins."""

    allowed: Bool | None
    left: int
    groups: Groups | None
    total: int


@dataclass(frozen=True)
class Shortlist:
    """The best rows, the highest cosine first, one for each pin or group.

    `scores`: (n,) float32 cosines. `positions`, `pins`: (n,) int64. `shared`: (n,) the group's number, or the pin's.
    """

    way: Way
    scores: Float32
    positions: Int64
    pins: Int64
    shared: Int64

    def __len__(self) -> int:
        return len(self.pins)

    def first(self, count: int) -> Shortlist:
        """The first `count` of them."""
        return self.at(slice(count))

    def at(self, places: slice | Int64 | Bool) -> Shortlist:
        """Those at these places."""
        return Shortlist(
            self.way, self.scores[places], self.positions[places], self.pins[places], self.shared[places]
        )


def scope_of(
    reader: Reader, snapshot: Snapshot, wanted: Query, seeds: set[int], hidden: Hidden | None = None
) -> Scope:
    """What is left by the filter, by deletions, by the stored pins of the query itself, and by what is hidden."""
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
    theirs = None if hidden is None else hidden.rows(reader, snapshot)[1]
    if theirs is not None:
        total -= len(np.unique(vectors.pins[theirs if allowed is None else theirs & allowed]))
        allowed = ~theirs if allowed is None else allowed & ~theirs
    if groups is not None:
        chosen_some = seeds or wanted.where is not None or theirs is not None
        total = groups.among(allowed) if allowed is not None and chosen_some else groups.count
    left = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
    return Scope(allowed, left, groups, total)


def shortlisted(snapshot: Snapshot, query: Float32, scope: Scope, need: int) -> Shortlist:
    """At least `need` pins or groups, where the scope has so many. `need` is at least 1 and at most `scope.total`."""
    left = scope.left
    fetch = need if scope.groups is None else min(left, need * -(-left // scope.total))
    while True:
        way, positions = candidates(snapshot, query, fetch, scope.allowed, left)
        found = _shortlist(snapshot, query, scope, way, positions)
        if len(found) >= need or fetch >= left:
            return found
        fetch = min(left, 4 * fetch)  # several rows of one pin, or pins of one group, took the places


def joined(
    snapshot: Snapshot, query: Float32, scope: Scope, found: Shortlist, also: Sequence[int]
) -> Shortlist:
    """The shortlist and the best row of each of these pins that the scope allows, again the highest cosine first."""
    wanted = np.isin(snapshot.vectors.pins, np.asarray(also, np.int64)) & snapshot.alive
    wanted = wanted if scope.allowed is None else wanted & scope.allowed
    positions = np.union1d(found.positions, np.flatnonzero(wanted))
    return _shortlist(snapshot, query, scope, found.way, positions)


def _shortlist(snapshot: Snapshot, query: Float32, scope: Scope, way: Way, positions: Int64) -> Shortlist:
    scores, positions, pins = rescored(snapshot.vectors, query, positions, scope.groups)
    shared = pins if scope.groups is None else np.asarray(scope.groups.numbers[positions], np.int64)
    return Shortlist(way, scores, positions, pins, shared)


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
