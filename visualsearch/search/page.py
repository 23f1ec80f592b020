"""From a query vector to a page of hits: shortlist -> ranker -> page.

Without a ranker the shortlist is as long as the page needs. A ranker gets the best `Context.depth` candidates whatever the
page, so that the pages of one query never overlap; what comes after those follows by cosine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from visualsearch.ranking import BY_COSINE, ByCosine, Candidates, Context, Ranker, Ranking
from visualsearch.store import Pin, Reader
from visualsearch.types import WHOLE, Attributes, Box, Float32, Float64, Hit, Hits, Query, Stored

from .query_checks import check_query, unit_rows
from .shortlist import Scope, Shortlist, joined, scope_of, shortlisted
from .snapshot import Snapshot
from .views import Views


def answered(
    reader: Reader,
    snapshot: Snapshot,
    query: Float32,
    wanted: Query,
    seeds: set[int],
    ranker: Ranker = BY_COSINE,
    context: Context | None = None,
    details: bool = True,
) -> Hits:
    """The hits of a (d,) unit query vector in one snapshot; without `details`, those by cosine have ids and scores only."""
    scope = scope_of(reader, snapshot, wanted, seeds)
    need = min(wanted.offset + wanted.k, scope.total)
    if need <= 0:
        return Hits((), max(scope.total, 0), "empty")
    if isinstance(ranker, ByCosine):
        found = shortlisted(snapshot, query, scope, need)
        page = _clear(found, wanted).at(slice(wanted.offset, wanted.offset + wanted.k))
        items = described(page, Loaded(reader, snapshot, page)) if details else named(page, reader)
    else:
        asked = replace(context or Context(), query=query, k=wanted.k, offset=wanted.offset)
        found, items = _ranked(reader, snapshot, query, wanted, scope, ranker, asked)
    plan = f"filtered-{found.way}" if wanted.where else str(found.way)
    best = float(found.scores[0]) if len(found) else None
    return Hits(items, scope.total, plan, best=best)


def answered_each(
    views: Views,
    vectors: Float32,
    wanted: Query,
    ranker: Ranker = BY_COSINE,
    context: Context | None = None,
    details: bool = True,
) -> list[Hits]:
    """The hits of each of (n, d) query vectors of any length, all from one state of the index. Raises UsageError."""
    check_query(wanted)
    units = unit_rows(vectors, views.dim)
    found = []
    with views.open() as (reader, snapshot):
        for vector in units:
            started = time.perf_counter()
            hits = answered(reader, snapshot, vector, wanted, set(), ranker, context, details)
            found.append(replace(hits, seconds=time.perf_counter() - started))
    return found


def _clear(found: Shortlist, wanted: Query) -> Shortlist:
    """Those that reach the minimum score."""
    if wanted.min_score is None or isinstance(wanted.min_score, str):
        return found
    return found.first(int(np.searchsorted(-found.scores, -wanted.min_score, side="right")))


def _ranked(
    reader: Reader,
    snapshot: Snapshot,
    query: Float32,
    wanted: Query,
    scope: Scope,
    ranker: Ranker,
    context: Context,
) -> tuple[Shortlist, tuple[Hit, ...]]:
    """The shortlist, and the hits of the page in the ranker's order."""
    found = shortlisted(snapshot, query, scope, min(context.depth, scope.total)).first(context.depth)
    clear = _clear(found, wanted)
    # Only where the whole depth was clear can there be more below it.
    more = len(clear) == context.depth and scope.total > context.depth
    if len(context.also):
        found = joined(snapshot, query, scope, found, context.also)
        clear = _clear(found, wanted)
    loaded = Loaded(reader, snapshot, clear)
    rows = snapshot.vectors.rows(clear.positions)
    ranking = ranker.rank(Candidates(clear.pins, rows, clear.scores, loaded), context)
    ranking = ranking.checked(len(clear))
    start, stop = wanted.offset, wanted.offset + wanted.k
    chosen = np.asarray(ranking.order[start:stop], np.int64)
    page = clear.at(chosen)
    hits = described(page, loaded if loaded.read else Loaded(reader, snapshot, page))
    items = [_told(hit, ranking, place) for hit, place in zip(hits, chosen.tolist(), strict=True)]
    missing = wanted.k - len(items)
    if missing and more:
        behind = max(0, start - len(ranking.order))
        need = len(found) + behind + missing
        rest = _clear(shortlisted(snapshot, query, scope, min(need, scope.total)), wanted)
        rest = rest.at(~np.isin(rest.shared, found.shared)).at(slice(behind, behind + missing))
        items += described(rest, Loaded(reader, snapshot, rest))
    return found, tuple(items)


def _told(hit: Hit, ranking: Ranking, place: int) -> Hit:
    """The hit with what the ranker ordered it by."""
    signals = {name: float(values[place]) for name, values in ranking.signals.items()}
    return replace(hit, rank_score=float(ranking.rank_score[place]), signals=signals)


@dataclass(frozen=True)
class Loaded:
    """Details of a shortlist, read from one state of the index when they are asked for."""

    reader: Reader
    snapshot: Snapshot
    found: Shortlist

    @property
    def read(self) -> bool:
        """Whether the pins were read already."""
        return "pins" in self.__dict__

    @cached_property
    def pins(self) -> Mapping[int, Pin]:
        """Pins by number."""
        return self.reader.pins(self.found.pins.tolist())

    @cached_property
    def parts(self) -> Sequence[Box]:
        """The part of each picture that matched."""
        rows = [int(row) for row in self.snapshot.vectors.rows(self.found.positions)]
        boxes = self.reader.boxes(rows)
        return [boxes.get(row, WHOLE) for row in rows]

    def _each(self) -> list[Pin]:
        return [self.pins[number] for number in self.found.pins.tolist()]

    def vectors(self) -> Float32:
        """See `ranking.Details`."""
        rows = self.snapshot.vectors.gather(self.found.positions)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, np.float32(1e-12)), np.float32)

    def boxes(self) -> Float32:
        """See `ranking.Details`."""
        return np.array(self.parts, np.float32).reshape(-1, 4)

    def ids(self) -> Sequence[str]:
        """See `ranking.Details`."""
        return [pin.id for pin in self._each()]

    def uris(self) -> Sequence[str]:
        """See `ranking.Details`."""
        return [pin.uri for pin in self._each()]

    def attributes(self) -> Sequence[Attributes]:
        """See `ranking.Details`."""
        return [pin.attributes for pin in self._each()]

    def names(self) -> Sequence[str]:
        """See `ranking.Details`."""
        return self.reader.names()

    def added(self) -> Float64:
        """See `ranking.Details`."""
        times = self.reader.added(self.found.pins.tolist())
        return np.array([times[number] for number in self.found.pins.tolist()], np.float64)


def described(page: Shortlist, loaded: Loaded) -> tuple[Hit, ...]:
    """Hits of a page, with ids, boxes and attributes; `loaded` knows its pins."""
    known: Mapping[int, Pin] = loaded.pins
    rows = [int(row) for row in loaded.snapshot.vectors.rows(page.positions)]
    boxes = loaded.reader.boxes(rows)
    return tuple(
        Hit(
            known[pin].id,
            known[pin].uri,
            float(min(1.0, max(-1.0, score))),
            boxes.get(row, WHOLE),
            known[pin].attributes,
            {"cosine": float(score)},
        )
        for pin, row, score in zip((int(p) for p in page.pins), rows, page.scores, strict=True)
    )


def named(page: Shortlist, reader: Reader) -> tuple[Hit, ...]:
    """Hits of a page that have ids and scores only."""
    numbers = page.pins.tolist()
    known = reader.look_up("id", "pin", numbers)
    scores = np.clip(page.scores, -1, 1).tolist()
    return tuple(Hit(known[n], "", score, WHOLE, {}) for n, score in zip(numbers, scores, strict=True))


def stored_rows(reader: Reader, snapshot: Snapshot, size: int) -> Iterator[list[Stored]]:
    """See `Index.rows`."""
    live = np.flatnonzero(snapshot.alive)
    for at in range(0, len(live), size):
        positions = live[at : at + size]
        rows = snapshot.vectors.rows(positions).tolist()
        numbers = snapshot.vectors.pins[positions].tolist()
        pins, boxes = reader.pins(set(numbers)), reader.boxes(rows)
        yield [
            Stored(row, n, pins[n].id, pins[n].uri, boxes.get(row), pins[n].attributes, vector)
            for row, n, vector in zip(rows, numbers, snapshot.vectors.gather(positions), strict=True)
        ]
