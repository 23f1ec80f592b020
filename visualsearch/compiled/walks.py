"""The compiled walk over pins and boards: loaded on demand, with what it writes to kept for the next walk."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Int64

from .loader import Loops


class Side(NamedTuple):
    """The links of pins, or of boards. offsets (n + 1,) uint32 or uint64 and links int32: what was built. fresh_nodes (m,) int64
    ascending, fresh_offsets (m + 1,) int64, fresh_links int32: what came since. A link is weight << shift | node.
    """

    offsets: NDArray[Any]
    links: NDArray[np.int32]
    fresh_nodes: Int64
    fresh_offsets: Int64
    fresh_links: NDArray[np.int32]


class Scratch:
    """What a walk of at most `size` visits writes to."""

    def __init__(self, size: int) -> None:
        table = 1 << (2 * size - 1).bit_length()
        self.parts = (
            np.full(table, -1, np.int64),
            np.empty(table, np.int64),
            np.empty(size, np.int32),
            np.empty(size, np.float32),
            np.empty(size, np.int32),
            np.empty(size, np.int32),
            np.empty(size, np.float32),
        )
        self.log = (np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written to, as memory-mapped arrays are: loops are compiled for those alone."""
    view = np.asarray(array).view()
    view.setflags(write=False)
    return view


def _warm(ready: Any) -> None:
    links = frozen(np.zeros(1, np.int32))
    nodes, none = frozen(np.zeros(0, np.int64)), frozen(np.zeros(1, np.int64))
    scratch = Scratch(64)
    for kind in (np.uint32, np.uint64):
        side = tuple(Side(frozen(np.array([0, 1], kind)), links, nodes, none, links[:0]))
        shifts = np.array([30, 30])
        args = (side, side, shifts, nodes, 0, 8.0, 0.5, 1.0, 1.0, 1)
        n = ready.walk(*args, scratch.parts, scratch.log)
    ready.totals(scratch.log[0], scratch.log[2], n, scratch.parts)


WALKS = Loops("visualsearch.compiled.walk_loops", _warm)
"""The compiled walk; `WALKS.load()` says whether the extra `fast` is there."""
