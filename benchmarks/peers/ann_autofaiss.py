"""autofaiss: the index that it chooses when nothing is asked for but inner products, and the search parameters it then sets.

It chooses a graph of 32 links while the memory it is given by default holds one, product codes beyond (autofaiss 2.18 makes
these with FAISS versions before 1.15 only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TITLE = "autofaiss's choice"
NEEDS = {"autofaiss": "autofaiss"}
SETTINGS: tuple[dict[str, Any], ...] = tuple({"max_ms": ms} for ms in (0.1, 0.2, 0.3, 0.5, 1, 2, 5))
"""autofaiss sets an index's own parameters for the most recall within a time."""


def build(rows: NDArray[np.float16], folder: Path, threads: int) -> None:
    """Choose, build and save."""
    import faiss
    from autofaiss import build_index

    # Saved here: with numpy 2 autofaiss 2.18 fails on writing its own notes.
    index, infos = build_index(
        rows.astype(np.float32), save_on_disk=False, metric_type="ip", nb_cores=threads, verbose=30
    )
    faiss.write_index(index, str(folder / "index.faiss"))
    (folder / "key.json").write_text(json.dumps(infos["index_key"]))


class _Search:
    def __init__(self, folder: Path) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self.bytes = (folder / "index.faiss").stat().st_size
        self.factory = json.loads((folder / "key.json").read_text())
        self._index = faiss.read_index(str(folder / "index.faiss"))

    def use(self, setting: Mapping[str, Any]) -> None:
        from autofaiss.external.optimize import get_optimal_hyperparameters

        self._chosen = get_optimal_hyperparameters(
            self._index, self.factory, max_speed_ms=float(setting["max_ms"]), use_gpu=False
        )
        import faiss

        faiss.ParameterSpace().set_index_parameters(self._index, self._chosen)

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        return self._index.search(query[None], k)[1][0]


def load(folder: Path, rows: NDArray[np.float16]) -> _Search:
    """The saved index."""
    return _Search(folder)
