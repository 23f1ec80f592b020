"""The compiled resize of the extra `fast`: loaded on demand, then used by every thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from visualsearch.compiled import Loops
from visualsearch.types import UInt8


def accelerate() -> bool:
    """Resize pictures with compiled loops from now on, in this process; whether they are there.

    They come with the extra `fast` (numba). Loading them takes about half a second. The first time on a machine, compiling
    takes some seconds more. So this pays from a few hundred pictures on; batch runs call it themselves. From its file to a
    model's input, a picture of 400 x 533 then takes 1.8 ms instead of 3.3, and the bytes are Pillow's. Safe to call from many
    threads, and again.
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


def _frozen(array: UInt8) -> UInt8:
    array.setflags(write=False)
    return array


LOOPS = Loops("visualsearch.images._kernels", _warm)
