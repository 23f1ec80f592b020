"""Plain FAISS as its documentation starts: Flat, HNSW and IVF-PQ, by their factory strings and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ann_base import blocks, size


class Plain:
    """A contestant of one factory string; `knobs` are FAISS parameter names."""

    NEEDS: Mapping[str, str] = {"faiss": "faiss-cpu"}

    def __init__(self, title: str, factory: str, settings: tuple[dict[str, Any], ...], **built: int) -> None:
        self.TITLE, self.SETTINGS = title, settings
        self._factory, self._built = factory, built

    def build(self, rows: NDArray[np.float16], folder: Path, threads: int) -> None:
        """Train on a sample, add, save."""
        import faiss

        faiss.omp_set_num_threads(threads)
        lists = 2 ** max(0, min(round(np.log2(4 * len(rows) ** 0.5)), int(np.log2(max(1, len(rows) // 39)))))
        index = faiss.index_factory(
            rows.shape[1], self._factory.format(lists=lists), faiss.METRIC_INNER_PRODUCT
        )
        for name, value in self._built.items():
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        if not index.is_trained:
            chosen = np.sort(np.random.default_rng(7).permutation(len(rows))[: max(64 * lists, 100_000)])
            index.train(rows[chosen].astype(np.float32))
        for _, block in blocks(rows):
            index.add(block)
        faiss.write_index(index, str(folder / "index.faiss"))

    def load(self, folder: Path, rows: NDArray[np.float16]) -> _Search:
        """The saved index."""
        return _Search(folder)


class _Search:
    def __init__(self, folder: Path) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self.bytes = size(folder)
        self._index, self._space = faiss.read_index(str(folder / "index.faiss")), faiss.ParameterSpace()

    def use(self, setting: Mapping[str, Any]) -> None:
        for name, value in setting.items():
            self._space.set_index_parameter(self._index, name, value)

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        return self._index.search(query[None], k)[1][0]


FLAT = Plain("FAISS Flat, float32", "Flat", ({},))
HNSW = Plain(
    "FAISS HNSW16, efConstruction 100, float32",
    "HNSW16,Flat",
    tuple({"efSearch": ef} for ef in (16, 32, 48, 64, 96, 128, 192)),
    efConstruction=100,
)
IVFPQ = Plain(
    "FAISS IVF, PQ of 64 bytes, no refinement",
    "IVF{lists},PQ64",
    tuple({"nprobe": n} for n in (8, 16, 32, 64, 128)),
)
