"""The compiled loops of the search, and the graphs that they walk through. They come with the extra `fast`."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from visualsearch.types import Bool, Float32, Int64, UInt8

from .loader import Loops

PAYS_AFTER = 5_000
"""Searches after which the loops are loaded unasked: each saves about 0.2 ms, and loading takes about a second."""


def accelerate() -> bool:
    """Walk graphs and rescore with compiled loops from now on, in this process; whether they are there.

    Loading takes about a second, the first time on a machine some more for compiling. The server calls it when it
    starts, `tune` before it measures; other processes get there after 5,000 searches. Results are the same but for
    rounding. Safe to call from many threads, and again.
    """
    return LOOPS.load()


def loops() -> Any:
    """The compiled loops (`search_loops`) once they are loaded; else None."""
    return LOOPS.ready


def _needed() -> Any:
    ready = loops()
    if ready is None:
        raise RuntimeError("the compiled loops are not loaded: call accelerate() first")
    return ready


def count_search() -> None:
    """One more search of an approximate index, which loops make faster: they rescore what it finds."""
    if LOOPS.ready is None:
        _searches[0] += 1
        if _searches[0] == PAYS_AFTER:
            accelerate()


_searches = [0]
_AT_ONCE = 64  # codes asked for before the first is read
_PAGE = 2 << 20  # bytes of a large page
_HUGE, _COLLAPSE = 14, 25  # what madvise is told: from now on in large pages (Linux 2.6.38); now (6.1)


def in_large_pages(arrays: Sequence[Any]) -> None:
    """Have Linux move arrays into pages of 2 MB: reads here and there then wait less for page tables, a walk by a sixth.

    Takes 2 to 3 ms a MB. It is advice only: nothing happens on other systems, on kernels before 6.1 or set to "never", and
    where no such pages are free.
    """
    if sys.platform != "linux":
        return
    advise = ctypes.CDLL(None).madvise
    for array in arrays:
        start: int = array.__array_interface__["data"][0]
        begin, end = -(-start // _PAGE) * _PAGE, (start + array.nbytes) // _PAGE * _PAGE
        if begin < end:
            for advice in (_HUGE, _COLLAPSE):
                advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), advice)


class Graph:
    """A graph of the HNSW kind over 8-bit codes: views of its arrays, and the walk through them.

    codes: (n, d) uint8, where value i of a row is low[i] + (code + 0.5) / 255 * span[i] for some `low`. neighbours, starts
    and levels: see `search_loops.walk`. Safe to search from many threads.
    """

    def __init__(
        self, codes: UInt8, span: Float32, neighbours: Any, starts: Int64, levels: Int64, entry: int
    ) -> None:
        self._count = len(codes)
        self._arrays = (codes.reshape(-1), neighbours, starts, levels, entry)
        self._span, self._width = span, int(levels[1])
        self._spare: list[_Scratch] = []
        self._settled = threading.Lock()  # taken by the first that asks, for good

    def _ready(self) -> Any:
        """The loops; the first time, the arrays start to move into large pages, beside the search."""
        ready = _needed()
        if self._settled.acquire(blocking=False):
            threading.Thread(target=in_large_pages, args=(self._arrays[:3],), daemon=True).start()
        return ready

    def search(self, query: Float32, k: int, beam: int) -> Int64:
        """Positions of about the k largest inner products with a (d,) query, best first.

        `beam` (efSearch, at least k) nodes are kept on the way. Rows are compared by their codes with the query in 15
        bits. Raises RuntimeError before `accelerate` has found the loops.
        """
        ready = self._ready()
        scratch = self._spare.pop() if self._spare else _Scratch(self._count, self._width)
        try:
            keys = np.empty(max(beam, k), np.int64)
            found = ready.walk(
                *self._arrays, query, self._span, scratch.visited, scratch.mark(), keys, scratch.fresh
            )
        finally:
            self._spare.append(scratch)
        nodes: Int64 = keys[: min(found, k)] & ready.NODE
        return nodes

    def scan(self, query: Float32, k: int, allowed: Bool) -> Int64:
        """As `search`, but every position that (n,) `allowed` leaves is compared, and no other."""
        ready = self._ready()
        keys = np.empty(min(k, self._count), np.int64)
        fresh = np.empty(_AT_ONCE, np.int64)
        found = ready.best_codes(self._arrays[0], allowed.view(np.uint8), query, self._span, keys, fresh)
        nodes: Int64 = keys[:found] & ready.NODE
        return nodes


class _Scratch:
    """What a walk writes to, kept for the next one: a mark for every node, so that nothing has to be cleared."""

    def __init__(self, count: int, width: int) -> None:
        self.visited = np.zeros(count, np.uint8)
        self.fresh = np.empty(width, np.int64)
        self._mark = 0

    def mark(self) -> np.uint8:
        """A value that `visited` does not hold."""
        if self._mark == 255:
            self.visited[:] = 0
            self._mark = 0
        self._mark += 1
        return np.uint8(self._mark)


def _warm(ready: Any) -> None:
    """Compile for the types that will come."""
    codes, rows = np.zeros((2, 8), np.uint8), np.zeros((2, 8), np.uint16)
    neighbours, starts = np.array([1, -1, 0, -1], np.int32), np.array([0, 2, 4])
    scratch = _Scratch(2, 2)
    ones, keys = np.ones(8, np.float32), np.empty(2, np.int64)
    graph = (codes.reshape(-1), neighbours, starts, np.array([0, 2]), 0)
    ready.walk(*graph, ones, ones, scratch.visited, scratch.mark(), keys, scratch.fresh)
    for mask in (np.ones(9, np.uint8), _frozen(np.ones(9, np.uint8))):
        ready.best_codes(np.zeros(72, np.uint8), mask, ones, ones, keys, scratch.fresh)
    ready.mark_range(neighbours, 0, 1, np.uint8(1), scratch.visited)
    for array in (rows, _frozen(rows.copy())):
        ready.cosines(array, np.zeros(1, np.int64), ones, np.empty(1, np.float32))


def _frozen(array: Any) -> Any:
    array.setflags(write=False)
    return array


LOOPS = Loops("visualsearch.compiled.search_loops", _warm)
