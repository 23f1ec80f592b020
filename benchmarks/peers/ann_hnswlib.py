"""hnswlib: the HNSW authors' own library, float32 vectors in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ann_base import blocks, size

TITLE = "hnswlib, M 16, efConstruction 100, float32"
NEEDS = {"hnswlib": "hnswlib"}
SETTINGS = tuple({"ef": ef} for ef in (16, 32, 48, 64, 96, 128, 192))


def build(rows: NDArray[np.float16], folder: Path, threads: int) -> None:
    """Build and save."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=16, ef_construction=100, random_seed=7)
    index.set_num_threads(threads)
    for at, block in blocks(rows):
        index.add_items(block, np.arange(at, at + len(block)))
    index.save_index(str(folder / "index.bin"))


class _Search:
    def __init__(self, folder: Path, dim: int) -> None:
        import hnswlib

        self.bytes = size(folder)
        self._index = hnswlib.Index(space="ip", dim=dim)
        self._index.load_index(str(folder / "index.bin"))
        self._index.set_num_threads(1)

    def use(self, setting: Mapping[str, Any]) -> None:
        self._index.set_ef(setting["ef"])

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        return self._index.knn_query(query, k=k)[0][0].astype(np.int64)


def load(folder: Path, rows: NDArray[np.float16]) -> _Search:
    """The saved index."""
    return _Search(folder, rows.shape[1])
