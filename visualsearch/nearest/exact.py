"""Exact search: the k rows with the largest inner product, over the float16 rows where they lie.

Scores are computed twice. Every row gets a fast float32 score, whose rounding error is bounded. The rows that may belong to
the top k by that bound are scored again in float64 and rounded once. So the answer does not depend on how rows are split
over threads, blocks or files. Equal rows have equal scores; among them the lower position comes first.

One query reads each stored byte once and needs no memory of its own: FAISS's float16 kernels run over the mapped files, one
range per core. Many queries share one conversion of each block to float32 and go through numpy's matrix product.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from visualsearch.resources import cores
from visualsearch.store import Vectors, widened
from visualsearch.types import Bool, Float16, Float32, Int64

from . import ann

Found = tuple[Float32, Int64]
"""(<= k,) float32 scores and (<= k,) int64 positions, best first."""

LENGTH = 1.02
"""Rows are of unit length to within float16; the error bound allows for this much."""
SPARE = 16
"""Fetched beyond k, so that the bound can be met without a second pass."""
MOST = 2048
"""Above this many results, every score is kept rather than a heap."""
PIECE = 8192
"""Rows that are worth a thread."""
FEW = 10
"""Up to this many queries are scanned one by one. A float16 scan costs 27 ns per row and query. A block's conversion costs
190 ns per row, and its product 7 ns per row and query (512 dimensions, both cores of a 2-core AMD EPYC with AVX-512)."""
BLOCK = 2048
LOADING_ROWS = 200_000
"""Rows that numpy scans in the time that importing FAISS takes: 0.35 us a row, 80 ms."""
GATHER_NS, PASS_NS, SCORE_NS = 700.0, 1.5, 450.0
"""Nanoseconds to copy a scattered row out and score it; to pass over a row that is not allowed; to score one that is, in place.
Measured over a million mapped rows: memory decides."""


def scan(
    vectors: Vectors,
    query: Float32,
    k: int,
    start: int = 0,
    stop: int | None = None,
    allowed: Bool | None = None,
) -> Found:
    """Exact top k of positions start .. stop-1 for a (d,) float32 query.

    `allowed`, (len,) bool over all positions, leaves out the rest. Rows are at most 1.02 long.
    """
    stop = len(vectors) if stop is None else stop
    if k <= 0 or stop <= start:
        return _nothing()
    if allowed is not None:
        left = int(np.count_nonzero(allowed[start:stop]))
        if left * GATHER_NS < (stop - start) * PASS_NS + left * SCORE_NS:
            return scan_chosen(vectors, query, k, np.flatnonzero(allowed[start:stop]) + start)
    if not _library_pays(stop - start):
        return _by_numpy(vectors, query, k, start, stop, allowed)
    pieces = list(_pieces(vectors, start, stop))
    fetch = k + SPARE
    while fetch <= MOST:
        found = _each(partial(_searched, query, fetch, allowed), pieces)
        scores = np.concatenate([f[0] for f in found])
        edge = _kth(scores, k) - 2 * _error(query)
        if all(len(f[0]) < fetch or f[0][-1] < edge for f in found):
            positions = np.concatenate([f[1] for f in found])
            return _settled(vectors, query, k, positions[scores >= edge])
        fetch *= 4
    return _by_numpy(vectors, query, k, start, stop, allowed)


def scan_chosen(vectors: Vectors, query: Float32, k: int, positions: Int64) -> Found:
    """Exact top k among the given positions, each at most once, for a (d,) float32 query."""
    if k <= 0 or not len(positions):
        return _nothing()
    parts = np.array_split(positions, min(cores(), 1 + len(positions) // PIECE))

    def scored(part: Int64) -> Float32:
        scores = np.empty(len(part), np.float32)
        for at in range(0, len(part), BLOCK):
            scores[at : at + BLOCK] = vectors.gather(part[at : at + BLOCK]) @ query
        return scores

    scores = np.concatenate(_each(scored, parts))
    return _settled(vectors, query, k, positions[_above(scores, k, query)])


def scan_many(vectors: Vectors, queries: Float32, k: int, allowed: Bool | None = None) -> list[Found]:
    """`scan` of each of (m, d) float32 queries over all positions; for many, the rows are read once for all."""
    if len(queries) <= FEW or k > MOST:
        return [scan(vectors, query, k, allowed=allowed) for query in queries]
    if k <= 0 or not len(vectors):
        return [_nothing() for _ in queries]
    best = _Best(queries, k)
    wide = np.empty(
        (BLOCK, vectors.dim), np.float32
    )  # kept: fresh memory for every block would cost as much as the product
    for at, rows in _halves(vectors):
        chosen = None if allowed is None else np.flatnonzero(allowed[at : at + len(rows)])
        if chosen is not None and len(chosen) < len(rows):
            rows = rows[chosen]  # noqa: PLW2901 - the same block, less what is left out
        if len(rows):
            best.take(_wide(rows, wide[: len(rows)]) @ best.columns, at, chosen)
    return [_settled(vectors, q, k, p) for q, p in zip(queries, best.positions(), strict=True)]


class _Best:
    """What may still be among the top k of each query, as blocks of scores come in."""

    def __init__(self, queries: Float32, k: int) -> None:
        self.columns = np.ascontiguousarray(queries.T)
        self.k = k
        self.margin = np.array([2 * _error(q) for q in queries], np.float32)
        self.floor = np.full(len(queries), -np.inf, np.float32)
        self.parts: list[tuple[Int64, Float32, Int64]] = []
        self.held = 0
        self.limit = 4 * (k + SPARE) * len(queries)

    def take(self, scores: Float32, at: int, chosen: Int64 | None) -> None:
        """(b, m) scores of the rows at, at + 1 ..., or of at + chosen."""
        if len(scores) > self.k and not self.held:
            edge = np.partition(scores, len(scores) - self.k, axis=0)[len(scores) - self.k]
            self.floor = np.asarray(edge - self.margin, np.float32)
        flat = np.flatnonzero(scores >= self.floor)
        row, query = np.divmod(flat, scores.shape[1])
        self.parts.append((query, scores.ravel()[flat], (row if chosen is None else chosen[row]) + at))
        self.held += len(flat)
        if self.held > self.limit:
            self._thin()

    def _thin(self) -> None:
        """Raise each query's floor to its k-th best score so far, and drop what is below."""
        query, scores, positions = (np.concatenate(p) for p in zip(*self.parts, strict=True))
        order = np.lexsort((-scores, query))
        query, scores, positions = query[order], scores[order], positions[order]
        first = np.searchsorted(query, np.arange(len(self.floor)))
        last = np.searchsorted(query, np.arange(len(self.floor)), side="right")
        full = np.flatnonzero(last - first >= self.k)
        self.floor[full] = scores[first[full] + self.k - 1] - self.margin[full]
        kept = scores >= self.floor[query]
        self.parts = [(query[kept], scores[kept], positions[kept])]
        self.held = int(kept.sum())
        self.limit = max(self.limit, 2 * self.held)  # among many equals there is little to drop

    def positions(self) -> Iterator[Int64]:
        """For each query, the positions left."""
        if not self.parts:
            self.parts = [(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))]
        self._thin()
        query, _, positions = self.parts[0]
        ends = np.searchsorted(query, np.arange(len(self.floor) + 1))
        for low, high in pairwise(ends):
            yield positions[low:high]


def inner_products(rows: Float32, query: Float32) -> Float32:
    """(m, d) rows and (d,) query -> (m,) inner products, summed in float64 row by row and rounded once.

    A matrix product would sum in an order that depends on how many rows there are.
    """
    sums = np.einsum("ij,j->i", rows.astype(np.float64), query.astype(np.float64))
    return np.asarray(sums, np.float32)


# -- parts --------------------------------------------------------------------------------------------------------
def _nothing() -> Found:
    return np.empty(0, np.float32), np.empty(0, np.int64)


def _error(query: Float32) -> float:
    """How far a float32 inner product with a row can be from the true one.

    d products summed in any order: |error| <= d u |row| |query| to first order, u = 2^-24 (Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1).
    """
    return (len(query) + 8) * 2.0**-24 * LENGTH * float(np.linalg.norm(query))


def _kth(scores: Float32, k: int) -> float:
    """The k-th largest, or -inf where there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else -np.inf


def _above(scores: Float32, k: int, query: Float32) -> Int64:
    """Indices of what may be among the top k."""
    edge = max(_kth(scores, k) - 2 * _error(query), float(np.finfo(np.float32).min))
    return np.flatnonzero(scores >= edge)


def _settled(vectors: Vectors, query: Float32, k: int, positions: Int64) -> Found:
    scores = np.empty(len(positions), np.float32)
    for at in range(0, len(positions), BLOCK):
        scores[at : at + BLOCK] = inner_products(vectors.gather(positions[at : at + BLOCK]), query)
    order = np.lexsort((positions, -scores))[:k]
    return scores[order], positions[order]


def _by_numpy(vectors: Vectors, query: Float32, k: int, start: int, stop: int, allowed: Bool | None) -> Found:
    """A scan that keeps every score."""
    scores = np.empty(stop - start, np.float32)
    for at, block in vectors.blocks(start, stop, BLOCK):
        scores[at - start : at - start + len(block)] = block @ query
    if allowed is not None:
        scores[~allowed[start:stop]] = -np.inf
    return _settled(vectors, query, k, _above(scores, k, query) + start)


def _library_pays(rows: int) -> bool:
    """Whether FAISS scans these rows: it does once it is loaded, or once numpy has scanned so many that loading would have paid.

    So a command over a small index never waits for the library, and a server soon has it.
    """
    if not ann.loaded():
        _scanned[0] += rows
    return ann.loaded() or _scanned[0] > LOADING_ROWS


_scanned = [0]


def _searched(query: Float32, fetch: int, allowed: Bool | None, piece: tuple[Float16, int]) -> Found:
    rows, at = piece
    inside = None if allowed is None else allowed[at : at + len(rows)]
    scores, numbers = ann.scan_halves(rows, query, min(fetch, len(rows)), inside)
    return scores, numbers + at


def _pieces(vectors: Vectors, start: int, stop: int) -> Iterator[tuple[Float16, int]]:
    """(rows as they are stored, first position) of ranges that together are start .. stop-1, about one a core."""
    size = max(PIECE, -(-(stop - start) // cores()))
    for base, rows in vectors.stored():
        low, high = max(start, base), min(stop, base + len(rows))
        for at in range(low, high, size):
            yield rows[at - base : min(at + size, high) - base], at


def _halves(vectors: Vectors) -> Iterator[tuple[int, Float16]]:
    """(first position, stored rows) of blocks over all positions."""
    for base, rows in vectors.stored():
        for at in range(0, len(rows), BLOCK):
            yield base + at, rows[at : at + BLOCK]


def _wide(rows: Float16, out: Float32) -> Float32:
    """Rows as float32 in `out`, converted on all cores."""
    parts = zip(np.array_split(rows, cores()), np.array_split(out, cores()), strict=True)
    _each(lambda pair: widened(pair[0], pair[1]), list(parts))
    return out


def _each(work: Callable[[Any], Any], parts: list[Any]) -> list[Any]:
    """`work` of every part, side by side; a single one stays in this thread."""
    return [work(parts[0])] if len(parts) == 1 else list(_pool().map(work, parts))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), "exact-scan")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
