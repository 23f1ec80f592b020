"""The compiled loops of the extra `fast`: loaded on demand, then used by every thread."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.compiled import Loops
from visualsearch.types import UInt8

from ._jpeg import Codes, FirstScan, first_scan


def accelerate() -> bool:
    """Decode and resize pictures with compiled loops from now on, in this process; whether they are there.

    They come with the extra `fast` (numba). Loading them takes about half a second, the first time on a machine some more
    for compiling, so this pays from a few hundred pictures on; batch runs call it themselves. A large JPEG that shall
    be shrunk to an eighth or less is then read without its detail, twice as fast as by libjpeg-turbo, and resizing is
    faster and gives Pillow's bytes. Safe to call from many threads, and again.
    """
    return LOOPS.load()


def kernels() -> Any:
    """The compiled loops (`_kernels`) once `accelerate` has loaded them; else None."""
    return LOOPS.ready


def _warm(loops: Any) -> None:
    """Compile for the types that will come, before many threads ask for it at once."""
    out = np.empty((3, 2, 2), np.uint8)
    pixels, turned = _frozen(np.zeros((4, 12), np.uint8)), np.empty((4, 12), np.uint8)
    loops.turn(pixels, turned)
    for rows in (pixels, turned):
        loops.resample(rows, 2, 2, 0, 0, out, True)
    table = (bytes((0, 1)) + bytes(14), bytes(1))
    stream, starts = np.zeros(1 + loops.SPARE, np.uint8), np.zeros(1, np.int64)
    loops.entropy_bytes(_frozen(np.zeros(1, np.uint8)), 0, np.zeros(0, np.int64), stream, starts)
    layout, means = np.array([[1, 1, 0]], np.int64), np.empty(1, np.int16)
    codes, skips = _tables((table,), (table,), loops)
    loops.block_means(stream, 1, starts, 0, (1, 1), layout, codes, skips, 0, means)
    loops.paint(means, layout, np.ones(1, np.int64), (1, 1), np.empty((1, 1, 3), np.uint8))


def _frozen(array: UInt8) -> UInt8:
    array.setflags(write=False)
    return array


LOOPS = Loops("visualsearch.images._kernels", _warm)


def eighth(data: bytes, size: tuple[int, int]) -> UInt8 | None:
    """A JPEG of `size` (width, height) at 1/8 scale, (ceil(h / 8), ceil(w / 8), 3) uint8 in RGB as stored, each pixel the
    mean of a block.

    None where the loops are not loaded, the file is of a kind they do not read (arithmetic coding, CMYK, several first
    scans ...), or damaged: Pillow then reads it, or says what is wrong.
    """
    loops = kernels()
    scan = None if loops is None else first_scan(data)
    if scan is None or (scan.width, scan.height) != size:
        return None
    across, down = scan.grid
    layout, begin = np.empty((len(scan.components), 3), np.int64), 0
    for i, part in enumerate(scan.components):
        layout[i] = part.across, part.down, begin
        begin += across * down * part.across * part.down
    stream = _scratch(len(data) - scan.start + loops.SPARE)
    starts = np.zeros(-(-across * down // scan.restart) if scan.restart else 1, np.int64)
    whole = np.frombuffer(data, np.uint8)
    found = whole[scan.start :] == 255
    if np.count_nonzero(found) > len(found) * _MOST_MARKS:
        return None
    marks = np.flatnonzero(found) + scan.start
    written, intervals = loops.entropy_bytes(whole, scan.start, marks, stream, starts)
    if intervals < 0:
        return None
    stream[written : written + loops.SPARE] = 0
    means = np.empty(begin, np.int16)
    codes, skips = _tables(
        tuple(part.dc for part in scan.components),
        tuple(part.ac for part in scan.components if part.ac is not None),
        loops,
    )
    restarts = (starts[:intervals], scan.restart)
    if not loops.block_means(stream, written, *restarts, scan.grid, layout, codes, skips, scan.shift, means):
        return None
    if scan.shift:
        means += np.int16(1 << (scan.shift - 1))  # the bits still missing, at their mean
    return _painted(scan, means, layout, loops)


_MOST_KEPT = 32 << 20
_MOST_MARKS = 1 / 16
"""Share of bytes 255 in coded pixels: about 1/200 in photographs. A place of 8 bytes is noted for each."""

_own = threading.local()


def _scratch(size: int) -> UInt8:
    """(size or more,) uint8 of this thread, for one call: fresh pages for each file would cost more than filling them."""
    kept: UInt8 | None = getattr(_own, "scratch", None)
    if kept is None or len(kept) < size:
        kept = np.empty(size, np.uint8)
        if size <= _MOST_KEPT:
            _own.scratch = kept
    return kept


def _painted(scan: FirstScan, means: NDArray[Any], layout: NDArray[Any], loops: Any) -> UInt8:
    out: UInt8 = np.empty((-(-scan.height // 8), -(-scan.width // 8), 3), np.uint8)
    quantisers = np.array([part.quantiser for part in scan.components], np.int64)
    loops.paint(means, layout, quantisers, scan.grid, out)
    return out


@lru_cache(maxsize=8)
def _tables(
    dc: tuple[Codes, ...], ac: tuple[Codes, ...], loops: Any
) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """The codes by the 16 bits they begin with, and the skip tables; see `block_means`.

    Kept, since cameras write the same tables into every picture, often those of T.81 annex K.
    """
    codes = np.zeros((2, len(dc), 1 << 16), np.uint16)
    for kind, of_kind in enumerate((dc, ac)):
        for number, (counts, symbols) in enumerate(of_kind):
            at = taken = 0
            for length, count in enumerate(counts, start=1):
                for symbol in symbols[taken : taken + count]:
                    codes[kind, number, at : at + (1 << (16 - length))] = length << 8 | symbol
                    at += 1 << (16 - length)
                taken += count
    skips: NDArray[np.uint32] = np.empty((len(ac), 1 << loops.WINDOW), np.uint32)
    for number in range(len(ac)):
        skips[number] = loops.skip_table(codes[1, number])
    return codes, skips
