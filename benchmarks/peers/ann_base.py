"""The protocol of approximate-search contestants: one file `ann_NAME.py` each, with these names.

TITLE, NEEDS (module -> what pip calls it), SETTINGS (a tuple of dicts, least effort first),
build(rows, folder, threads): rows (n, d) float16 of unit length, memory-mapped; leaves a finished index in the folder;
load(folder, rows) -> Search. An index must find the rows of the highest inner product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 50_000


class Search(Protocol):
    """A loaded index that searches with one thread."""

    bytes: int
    """Bytes of the index that must lie in memory."""

    def use(self, setting: Mapping[str, Any]) -> None:
        """Take one of SETTINGS."""

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """(<= k,) row numbers for a (d,) query, best first."""


def blocks(rows: NDArray[np.float16]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first row, (b, d) float32) over all rows: float32 copies stay small."""
    for at in range(0, len(rows), BLOCK):
        yield at, np.asarray(rows[at : at + BLOCK], dtype=np.float32)


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
