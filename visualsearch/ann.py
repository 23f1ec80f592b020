"""Approximate nearest neighbours: the only module that imports FAISS.

Vectors are of unit length, so the inner product is the cosine; distances do not leave this module. An index is built over
positions 0 .. covers-1 of the stored vectors and its ids are these positions.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .errors import NotAnIndexError, UnknownNameError, UsageError
from .resources import indexes_dir
from .types import Bool, Float16, Float32, Int64
from .vectors import Vectors, flush_folder, storage_error

FOLDER = "ann"
MAX_TRAIN_BYTES = 2 << 30


@dataclass(frozen=True)
class Preset:
    """An index recipe, read from `indexes/NAME.toml`. An empty factory means exact search: nothing is built."""

    name: str
    factory: str
    from_rows: int
    to_rows: int | None
    candidates: int
    note: str
    source: str
    build: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """True when every row is compared."""
        return not self.factory


@cache
def presets() -> dict[str, Preset]:
    """All recipes by name, smallest sizes first."""
    found = []
    for path in indexes_dir().glob("*.toml"):
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        values.setdefault("to_rows", None)
        found.append(Preset(**values))
    return {p.name: p for p in sorted(found, key=lambda p: p.from_rows)}


def preset(name: str) -> Preset:
    """The recipe of that name. Raises UnknownNameError."""
    if name not in presets():
        raise UnknownNameError("preset", name, presets(), "Or `auto`, which goes by the number of rows")
    return presets()[name]


def choose(rows: int) -> Preset:
    """The recipe meant for that many rows."""
    return next(p for p in reversed(presets().values()) if rows >= p.from_rows)


def lists_for(recipe: Preset, rows: int) -> int:
    """Number of inverted lists: a power of two near `lists_per_sqrt_row` * sqrt(rows), at most rows / 39.

    39 training points a centroid is the least that FAISS accepts without a warning.
    """
    wanted = recipe.build.get("lists_per_sqrt_row", 4) * math.sqrt(rows)
    most = max(1, rows // 39)
    return int(max(1, min(2 ** round(math.log2(max(1.0, wanted))), 2 ** int(math.log2(most)))))


def factory_for(recipe: Preset, rows: int, dim: int) -> str:
    """The recipe's factory string for that many rows of that dimension."""
    return recipe.factory.format(dim=dim, half=dim // 2, lists=lists_for(recipe, rows))


def build(recipe: Preset, vectors: Vectors, seed: int = 7) -> tuple[Any, str]:
    """Train and fill an index over all positions of `vectors`: (FAISS index, factory string).

    Training takes a sample of the rows; memory for it is bounded by 2 GiB. Raises UsageError when there are too few rows.
    """
    import faiss

    rows, dim = len(vectors), vectors.dim
    factory = factory_for(recipe, rows, dim)
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        space = faiss.ParameterSpace()
        for key in ("efConstruction",):
            if key in recipe.build:
                space.set_index_parameter(index, key, recipe.build[key])
        if not index.is_trained:
            index.train(_training_sample(recipe, vectors, seed))
        for _, block in vectors.blocks(size=65_536):
            index.add(block)
    except RuntimeError as error:
        raise UsageError(
            f"cannot build the preset {recipe.name!r} ({factory}) over {rows:,} rows of dimension {dim}",
            str(error).splitlines()[0],
            "Choose a preset meant for fewer rows, or `auto`",
        ) from error
    return index, factory


def _training_sample(recipe: Preset, vectors: Vectors, seed: int) -> Float32:
    wanted = max(recipe.build.get("train_rows_per_list", 64) * lists_for(recipe, len(vectors)), 100_000)
    wanted = min(wanted, len(vectors), MAX_TRAIN_BYTES // (4 * vectors.dim))
    chosen = np.random.default_rng(seed).choice(len(vectors), wanted, replace=False)
    return vectors.gather(np.sort(chosen))


def save(index: Any, folder: Path, number: int) -> tuple[str, int]:
    """Write an index so that it appears complete or not at all: (name relative to the folder, bytes)."""
    import faiss

    name = f"{FOLDER}/{number:06d}.faiss"
    final = folder / name
    aside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        final.parent.mkdir(exist_ok=True)
        faiss.write_index(index, str(aside))
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        size = aside.stat().st_size
        aside.replace(final)
        flush_folder(final.parent)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, RuntimeError):
            error = OSError(None, str(error).splitlines()[0])
        raise storage_error(final, error) from error
    return name, size


def load(path: Path) -> Any:
    """Read an index. Raises FileNotFoundError when it is gone, NotAnIndexError when it is damaged."""
    import faiss

    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise NotAnIndexError(
            f"cannot read {path}",
            f"it is damaged ({str(error).splitlines()[0]})",
            "Run: visualsearch compact DIR",
        ) from error


def search(
    index: Any, query: Float32, k: int, params: Mapping[str, Any], allowed: Bool | None = None
) -> Int64:
    """Positions of about the k nearest to a (d,) unit query, best first; fewer when the index finds fewer.

    `params` are search parameters by FAISS name (`efSearch`, `nprobe`, `quantizer_efSearch`). `allowed`, (covers,) bool,
    leaves out positions inside the search.
    """
    import faiss

    selector = None
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
    inner, chain = index, None
    if isinstance(index, faiss.IndexPreTransform):
        inner, chain = faiss.downcast_index(index.index), index.chain
    options = _parameters(inner, params, selector, k)
    if chain is not None:
        options = faiss.SearchParametersPreTransform(index_params=options)
    _, found = index.search(query[None], k, params=options)
    positions: Int64 = found[0]
    return positions[positions >= 0]


def scan_halves(rows: Float16, query: Float32, k: int, allowed: Bool | None = None) -> tuple[Float32, Int64]:
    """The k largest float32 inner products of a (d,) query with (n, d) contiguous float16 rows, and their numbers.

    Best first; fewer than k where `allowed`, (n,) bool, leaves fewer. The rows are read where they are, a mapped file
    included: FAISS's half-precision index stores just such rows, so it is given a view in place of a copy.
    """
    import faiss

    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes, place = index.codes, faiss.swig_ptr(rows.view(np.uint8).reshape(-1))
    codes.is_owned, codes.view_data, codes.c_ptr = False, place, place
    codes.view_size = codes.c_size = rows.nbytes
    index.ntotal = len(rows)
    selector = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    params = None if selector is None else faiss.SearchParameters(sel=selector)
    scores, numbers = index.search(query[None], k, params=params)
    found = numbers[0] >= 0
    return scores[0][found], numbers[0][found]


def one_thread() -> None:
    """Let FAISS use only the calling thread for what this thread asks of it."""
    import faiss

    faiss.omp_set_num_threads(1)


def _parameters(index: Any, params: Mapping[str, Any], selector: Any, k: int) -> Any:
    import faiss

    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=max(int(params.get("efSearch", 64)), k))
    if isinstance(index, faiss.IndexIVF):
        extra = {}
        if "quantizer_efSearch" in params and isinstance(
            faiss.downcast_index(index.quantizer), faiss.IndexHNSW
        ):
            extra["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=int(params["quantizer_efSearch"]))
        return faiss.SearchParametersIVF(sel=selector, nprobe=int(params.get("nprobe", 32)), **extra)
    return faiss.SearchParameters(sel=selector)
