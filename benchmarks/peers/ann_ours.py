"""Our own recipes, searched as `visualsearch search` does once the query is a vector: candidates, then rescored rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KNOBS: Mapping[str, tuple[Mapping[str, int], ...]] = {
    "IVF": tuple(
        {"nprobe": n, "candidates": c}
        for n, c in ((8, 4), (12, 4), (16, 4), (16, 5), (20, 5), (24, 6), (16, 16), (32, 16), (32, 32))
    ),
    "HNSW": tuple(
        {"efSearch": ef, "candidates": c}
        for ef, c in ((20, 2), (32, 3), (48, 4), (56, 5), (64, 5), (72, 5), (96, 6), (128, 8), (192, 12))
    ),
}
"""Tried settings by the mark in the factory string, first match first; `candidates` for each result wanted."""


class Ours:
    """A recipe of `indexes/`; `build` takes it as it stands."""

    NEEDS: Mapping[str, str] = {}

    def __init__(self, preset: str) -> None:
        from visualsearch.nearest import recipes

        self.preset = preset
        self.TITLE = f"visualsearch {preset}" + (", extra fast" if find_spec("numba") else "")
        family = next((mark for mark in KNOBS if mark in recipes.preset(preset).factory), None)
        self.SETTINGS = KNOBS[family] if family else ({},)

    def build(self, rows: NDArray[np.float16], folder: Path, threads: int) -> None:
        """Train, add, save."""
        from visualsearch.nearest import ann, recipes

        ann.library().omp_set_num_threads(threads)
        if not recipes.preset(self.preset).exact:
            index, factory = ann.build(recipes.preset(self.preset), _vectors(folder, rows))
            ann.save(index, folder, 0)
            (folder / "factory.json").write_text(json.dumps(factory))

    def load(self, folder: Path, rows: NDArray[np.float16]) -> _Search:
        """The saved index, with the rows mapped beside it, searched by compiled loops where they are there."""
        from visualsearch.compiled import search as fast

        fast.accelerate()
        return _Search(self.preset, folder, rows)


def _vectors(folder: Path, rows: NDArray[np.float16]) -> Any:
    """The rows as the segment of an index folder: the same file under a second name."""
    from visualsearch.store.vectors import Segment, Vectors

    file = folder / "vectors" / "000000.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.hardlink_to(rows.filename)  # type: ignore[attr-defined]
    whole = Segment(0, "vectors/000000.npy", 0, len(rows), np.arange(len(rows), dtype=np.int64))
    return Vectors(folder, [whole], rows.shape[1])


class _Search:
    def __init__(self, preset: str, folder: Path, rows: NDArray[np.float16]) -> None:
        from visualsearch.nearest import ann, recipes
        from visualsearch.search.query import Snapshot
        from visualsearch.store import Generation

        recipe, vectors = recipes.preset(preset), _vectors(folder, rows)
        self.bytes, self.factory, index, self._generation = 0, "exact", None, None
        if not recipe.exact:
            file = folder / ann.FOLDER / "000000.faiss"
            index = ann.load(file)
            self.bytes, self.factory = file.stat().st_size, json.loads((folder / "factory.json").read_text())
            self._generation = Generation(
                0,
                f"{ann.FOLDER}/{file.name}",
                preset,
                self.factory,
                recipe.parameters,
                len(vectors),
                self.bytes,
            )
        ann.library().omp_set_num_threads(1)
        self._snapshot = Snapshot(
            state=0,
            vectors=vectors,
            alive=np.ones(len(vectors), bool),
            generation=self._generation,
            ann=index,
            live=len(vectors),
        )

    def use(self, setting: Mapping[str, Any]) -> None:
        from dataclasses import replace

        if self._generation is not None:
            made = replace(self._generation, search={**self._generation.search, **setting})
            self._snapshot = replace(self._snapshot, generation=made)

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        from visualsearch.search.query import candidates, rescored

        snapshot = self._snapshot
        _, found = candidates(snapshot, query, k, None, len(snapshot.vectors))
        return rescored(snapshot.vectors, query, found)[1][:k]
