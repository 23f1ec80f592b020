"""ScaNN: partitions, anisotropic 4-bit product quantisation, re-ranking with float32 vectors held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ann_base import size

TITLE = "ScaNN, 2 sqrt(n) leaves, AH, re-ranking in float32"
NEEDS = {"scann": "scann"}
TRIED = "10/50 14/30 14/50 16/30 16/50 20/30 20/50 40/100 80/100 160/200"
SETTINGS = tuple(
    {"leaves": int(leaves), "rerank": int(rerank)}
    for leaves, rerank in (words.split("/") for words in TRIED.split())
)


def build(rows: NDArray[np.float16], folder: Path, threads: int) -> None:
    """Build and save, as ScaNN's documentation advises: about 2 sqrt(n) leaves, 2 dimensions a block, threshold 0.2."""
    import scann

    leaves = max(2, round(2 * len(rows) ** 0.5))
    builder = scann.scann_ops_pybind.builder(rows.astype(np.float32), 10, "dot_product")
    builder = builder.tree(
        num_leaves=leaves,
        num_leaves_to_search=max(1, leaves // 20),
        training_sample_size=min(len(rows), 250_000),
    )
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)
    builder.set_n_training_threads(threads)
    builder.build().serialize(str(folder))


class _Search:
    def __init__(self, folder: Path) -> None:
        import scann

        self.bytes = size(folder)
        self._searcher = scann.scann_ops_pybind.load_searcher(str(folder))
        self._searcher.set_num_threads(1)
        self._setting: Mapping[str, Any] = SETTINGS[0]

    def use(self, setting: Mapping[str, Any]) -> None:
        self._setting = setting

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        found = self._searcher.search(
            query,
            final_num_neighbors=k,
            leaves_to_search=self._setting["leaves"],
            pre_reorder_num_neighbors=self._setting["rerank"],
        )[0]
        return found.astype(np.int64)


def load(folder: Path, rows: NDArray[np.float16]) -> _Search:
    """The saved index."""
    return _Search(folder)
