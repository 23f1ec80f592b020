"""Plain FAISS as its documentation starts: Flat, HNSW, IVF-PQ, NSG and Panorama, by their factory strings and little more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ann_base import blocks, size


class Plain:
    """A contestant of one factory string; settings and `built` are FAISS parameter names.

    `l2`: the factory knows that metric only, which orders unit vectors as the inner product does.
    """

    NEEDS: Mapping[str, str] = {"faiss": "faiss-cpu"}

    def __init__(
        self, title: str, factory: str, settings: tuple[dict[str, Any], ...], l2: bool = False, **built: int
    ) -> None:
        self.TITLE, self.SETTINGS = title, settings
        self._factory, self._l2, self._built = factory, l2, built

    def build(self, rows: NDArray[np.float16], folder: Path, threads: int) -> None:
        """Train on a sample, add, save."""
        import faiss

        faiss.omp_set_num_threads(threads)
        lists = 2 ** max(0, min(round(np.log2(4 * len(rows) ** 0.5)), int(np.log2(max(1, len(rows) // 39)))))
        metric = faiss.METRIC_L2 if self._l2 else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(
            rows.shape[1], self._factory.format(lists=lists, dim=rows.shape[1]), metric
        )
        for name, value in self._built.items():
            faiss.ParameterSpace().set_index_parameter(index, name, value)
        if not index.is_trained:
            chosen = np.sort(np.random.default_rng(7).permutation(len(rows))[: max(64 * lists, 100_000)])
            index.train(rows[chosen].astype(np.float32))
        whole = isinstance(index, faiss.IndexNSG)  # it takes all rows at once
        for _, block in [(0, rows.astype(np.float32))] if whole else blocks(rows):
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
            if name == "search_L":  # of NSG, which the parameter space does not know
                self._index.nsg.search_L = value
            else:
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
NSG = Plain(
    "FAISS NSG32, float32", "NSG32,Flat", tuple({"search_L": n} for n in (16, 32, 48, 64, 96, 128, 192))
)
PANORAMA = Plain("FAISS Flat with Panorama's bounds, float32", "PCA{dim},FlatL2Panorama8", ({},), l2=True)
HNSW_PANORAMA = Plain(
    "FAISS HNSW16 with Panorama's bounds, efConstruction 100, float32",
    "PCA{dim},HNSW16_FlatPanorama8",
    tuple({"efSearch": ef} for ef in (16, 32, 48, 64, 96, 128, 192)),
    l2=True,
    efConstruction=100,
)
