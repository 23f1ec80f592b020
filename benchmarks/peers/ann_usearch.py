"""usearch: HNSW with float32 vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ann_base import blocks, size

TITLE = "usearch, connectivity 16, expansion_add 100, float32"
NEEDS = {"usearch": "usearch"}
SETTINGS = tuple({"expansion_search": ef} for ef in (16, 32, 48, 64, 96, 128, 192))


def _new(dim: int) -> Any:
    from usearch.index import Index

    return Index(ndim=dim, metric="ip", dtype="f32", connectivity=16, expansion_add=100)


def build(rows: NDArray[np.float16], folder: Path, threads: int) -> None:
    """Build and save."""
    index = _new(rows.shape[1])
    for at, block in blocks(rows):
        index.add(np.arange(at, at + len(block)), block, threads=threads)
    index.save(str(folder / "index.usearch"))


class _Search:
    def __init__(self, folder: Path, dim: int) -> None:
        self.bytes = size(folder)
        self._index = _new(dim)
        self._index.load(str(folder / "index.usearch"))

    def use(self, setting: Mapping[str, Any]) -> None:
        self._index.expansion_search = setting["expansion_search"]

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        return self._index.search(query, k, threads=1).keys.astype(np.int64)


def load(folder: Path, rows: NDArray[np.float16]) -> _Search:
    """The saved index."""
    return _Search(folder, rows.shape[1])
