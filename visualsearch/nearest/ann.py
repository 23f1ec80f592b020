"""Approximate nearest neighbours: the only module that imports FAISS.

Vectors are of unit length, so the inner product is the cosine; distances do not leave this module. An index is built over
positions 0 .. covers-1 of the stored vectors and its ids are these positions.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from visualsearch import compiled
from visualsearch.compiled import Graph
from visualsearch.errors import NotAnIndexError, UsageError
from visualsearch.storage import storage_error
from visualsearch.store import Vectors, flush_folder
from visualsearch.types import Bool, Float16, Float32, Int64

from .clustering import centroids
from .recipes import Preset, factory_for
from .training import BLOCK_ROWS, moments, principal_axes, training_sample

FOLDER = "ann"
WIDENED, WIDER = 2, 4
"""How often a walk through a graph is repeated where a filter leaves too little of what it found, and how much wider."""


@cache
def library() -> Any:
    """FAISS, imported at first use, its matrix products with the widest vectors that the processor has.

    The OpenBLAS inside the faiss-cpu wheel (0.3.15) is older than Zen 4 and Zen 5 and takes them for processors without
    AVX-512. It reads OPENBLAS_CORETYPE when it is loaded, so the name of a kernel set that fits is put there for just that
    moment: numpy's own OpenBLAS, loaded before, and child processes see nothing of it. A value that the user set stays.
    """
    variable = "OPENBLAS_CORETYPE"
    with _loading:  # `cache` lets threads that come before the first is done run all of this
        if variable in os.environ or "faiss" in sys.modules or not _has_avx512():
            import faiss

            return faiss
        os.environ[variable] = "SKYLAKEX"
        try:
            import faiss
        finally:
            del os.environ[variable]
        return faiss


_loading = threading.Lock()


def loaded() -> bool:
    """Whether FAISS has been imported, which takes as long as many a search."""
    return "faiss" in sys.modules


def _has_avx512() -> bool:
    """Whether Linux reports the AVX-512 subsets that OpenBLAS's SkylakeX kernels use."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags: set[str] = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    return {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags


def build(recipe: Preset, vectors: Vectors, seed: int = 7) -> tuple[Any, str]:
    """Train and fill an index over all positions of `vectors`: (FAISS index, description).

    Training takes a sample of the rows; memory for it is bounded by 2 GiB. A recipe with `reduce` indexes the rows in the
    fewest dimensions (a multiple of 32) that keep this share of their length: candidates are rescored from the stored rows,
    so what the rest would tell is not lost, and memory and time fall with the dimensions (LeanVec: Tepper et al. 2023,
    https://arxiv.org/abs/2312.16335). Raises UsageError when there are too few rows.
    """
    faiss = library()
    rows, dim = len(vectors), vectors.dim
    factory = factory_for(recipe, rows)
    try:
        axes = None
        if "reduce" in recipe.build:
            axes = principal_axes(moments(vectors, seed), recipe.build["reduce"])
        inner = faiss.index_factory(dim if axes is None else len(axes), factory, faiss.METRIC_INNER_PRODUCT)
        if isinstance(inner, faiss.IndexHNSW):
            inner.hnsw.efConstruction = recipe.build.get("efConstruction", inner.hnsw.efConstruction)
        if not inner.is_trained:
            _train(inner, training_sample(recipe, vectors, seed, axes), seed)
        index = inner if axes is None else _reduced(inner, axes)
        for _, block in vectors.blocks(size=BLOCK_ROWS):
            index.add(block)
    except RuntimeError as error:
        raise UsageError(
            f"cannot build the preset {recipe.name!r} ({factory}) over {rows:,} rows of dimension {dim}",
            str(error).splitlines()[0],
            "Choose a preset meant for fewer rows, or `auto`",
        ) from error
    return index, factory if axes is None else f"Axes{len(axes)},{factory}"


def _reduced(inner: Any, axes: Float32) -> Any:
    """A trained index over the dimensions that are kept, as one that is given rows in all of theirs."""
    faiss = library()
    turn = faiss.LinearTransform(axes.shape[1], len(axes), False)
    faiss.copy_array_to_vector(axes.ravel(), turn.A)
    turn.is_trained = True
    index = faiss.IndexPreTransform(turn, inner)
    for owned in (turn, inner):
        owned.this.disown()
    index.own_fields = True
    return index


def _train(index: Any, rows: Float32, seed: int) -> None:
    """Train an index on (n, d) rows; lists of an inverted file are found by `clustering`, faster than by FAISS."""
    faiss = library()
    if isinstance(index, faiss.IndexIVF):
        found = centroids(
            faiss, rows, index.nlist, seed=seed, rounds=index.cp.niter, spherical=index.cp.spherical
        )
        index.quantizer.add(found)  # FAISS trains what is left
    index.train(rows)


def save(index: Any, folder: Path, number: int) -> tuple[str, int]:
    """Write an index so that it appears complete or not at all: (name relative to the folder, bytes)."""
    faiss = library()
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
        if isinstance(error, RuntimeError):
            error = OSError(str(error).splitlines()[0])  # which has no number: FAISS keeps it to itself
        told = storage_error(final, error)  # before the file goes, and with it the reason
        with suppress(OSError):
            aside.unlink()
        raise told from error
    return name, size


def load(path: Path) -> Any:
    """Read an index. Raises FileNotFoundError when it is gone, NotAnIndexError when it is damaged."""
    faiss = library()
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        raise NotAnIndexError(
            f"cannot read {path}",
            f"it is damaged ({str(error).splitlines()[0]})",
            f"Run: visualsearch compact {path.parent.parent}",
        ) from error


@dataclass(frozen=True)
class _Shape:
    """What a search needs to know of a FAISS index: looked up once, since asking costs microseconds."""

    inner: Any
    axes: Float32 | None
    family: str
    quantizer_is_graph: bool
    codes: tuple[Any, Any] | None
    graph: Graph | None


_shapes: WeakKeyDictionary[Any, _Shape] = WeakKeyDictionary()


def _shape(index: Any) -> _Shape:
    known = _shapes.get(index)
    if known is not None:
        return known
    faiss = library()
    inner, axes = index, None
    if isinstance(index, faiss.IndexPreTransform):
        inner = faiss.downcast_index(index.index)
        turn = faiss.downcast_VectorTransform(index.chain.at(0))
        axes = faiss.vector_to_array(turn.A).reshape(turn.d_out, turn.d_in)
    graph = False
    if isinstance(inner, faiss.IndexIVF):
        graph = isinstance(faiss.downcast_index(inner.quantizer), faiss.IndexHNSW)
    kinds = {"HNSW": faiss.IndexHNSW, "IVF": faiss.IndexIVF}
    family = next((name for name, kind in kinds.items() if isinstance(inner, kind)), "other")
    codes = _codes(inner)
    found = _Shape(inner, axes, family, graph, codes, _graph(inner, codes))
    _shapes[index] = found
    return found


def _codes(inner: Any) -> tuple[Any, Any] | None:
    """A graph's store of scalar-quantised rows, and a view of their codes, (n, bytes) uint8."""
    faiss = library()
    if not isinstance(inner, faiss.IndexHNSW):
        return None
    storage = faiss.downcast_index(inner.storage)
    if not isinstance(storage, faiss.IndexScalarQuantizer):
        return None
    codes = faiss.rev_swig_ptr(storage.codes.data(), storage.ntotal * storage.code_size)
    return storage, codes.reshape(-1, storage.code_size)


def _graph(inner: Any, codes: tuple[Any, Any] | None) -> Graph | None:
    """A graph's arrays for the compiled walk, where its codes are bytes; they stay the index's."""
    faiss = library()
    if codes is None or codes[0].sq.qtype != faiss.ScalarQuantizer.QT_8bit or not inner.ntotal:
        return None
    hnsw = inner.hnsw
    _, span = np.split(faiss.vector_to_array(codes[0].sq.trained), 2)
    starts = faiss.rev_swig_ptr(hnsw.offsets.data(), hnsw.offsets.size()).view(np.int64)
    neighbours = faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size())
    levels = np.array([hnsw.cum_nb_neighbors(level) for level in range(hnsw.max_level + 2)], np.int64)
    return Graph(codes[1], span, neighbours, starts, levels, hnsw.entry_point)


def search(
    index: Any, query: Float32, k: int, params: Mapping[str, Any], allowed: Bool | None = None
) -> Int64 | None:
    """Positions of about the k nearest to a (d,) unit query, best first; fewer when the index finds fewer.

    None where the query is foreign to the index: it lies mostly outside the axes that are kept of the rows, so the index
    cannot rank for it. `params` are search parameters by FAISS name (`efSearch`, `nprobe`, `quantizer_efSearch`),
    `foreign_below` and `widened`. `allowed`, (covers,) bool, leaves out positions: lists pass them over inside the search,
    a graph is asked for as many more as are then taken out. Graphs are walked through by compiled loops once they are
    loaded (`fast.accelerate`).
    """
    shape = _shape(index)
    inside = _inside(shape, query, params)
    if inside is None:
        return None
    compiled.count_search()
    if shape.family == "HNSW" and allowed is not None:
        return _left_of(shape, inside, k, params, allowed)
    return _nearest(shape, inside, k, params, _selector(allowed))


def _nearest(
    shape: _Shape, inside: Float32, k: int, params: Mapping[str, Any], selector: Any = None
) -> Int64:
    if shape.graph is not None and compiled.loops() is not None:
        return shape.graph.search(inside, k, _beam(params, k))
    options = _PARAMETERS[shape.family](shape, params, selector, k)
    _, found = shape.inner.search(inside[None], k, params=options)
    positions: Int64 = found[0]
    return positions[positions >= 0]


def _left_of(shape: _Shape, inside: Float32, k: int, params: Mapping[str, Any], allowed: Bool) -> Int64:
    """The k nearest that `allowed` leaves of the graph's nearest; fewer where these are not enough.

    A walk holds the nearest of all, so what is left of them is the nearest that is left, wherever the filter cuts. (Given a
    selector, FAISS loses its way where a filter leaves out more of the surroundings than its beam holds.) A filter may leave
    out just these: then the walk is repeated, `WIDER` times as wide, as often as `widened` of `params` allows, and gives as many
    times more positions than k, since far rows differ less and their codes tell them apart less well.
    """
    beam, most = _beam(params, k), k
    for _ in range(1 + params.get("widened", WIDENED)):
        found = _nearest(shape, inside, beam, {**params, "efSearch": beam})
        kept = found[allowed[found]]
        if len(kept) >= k or beam >= len(allowed):
            break
        beam, most = min(WIDER * beam, len(allowed)), WIDER * most
    return kept[:most]


def _inside(shape: _Shape, query: Float32, params: Mapping[str, Any]) -> Float32 | None:
    """A (d,) unit query in the dimensions that the index keeps of the rows; None where it lies mostly outside them.

    The words of a text tower are such queries: rows that differ little for the index differ much for them, so it cannot
    rank for them. `foreign_below` of `params` is the least share of a query's squared length inside the axes.
    """
    if shape.axes is None:
        return query
    inside = shape.axes @ query
    return inside if inside @ inside >= params.get("foreign_below", 0.0) else None


def _selector(allowed: Bool | None) -> Any:
    """FAISS's form of a mask over positions; None where all are allowed."""
    return None if allowed is None else library().IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _graph_parameters(shape: _Shape, params: Mapping[str, Any], selector: Any, k: int) -> Any:
    return library().SearchParametersHNSW(sel=selector, efSearch=_beam(params, k))


def _beam(params: Mapping[str, Any], k: int) -> int:
    return max(int(params.get("efSearch", 64)), k)


def _list_parameters(shape: _Shape, params: Mapping[str, Any], selector: Any, k: int) -> Any:
    faiss = library()
    extra = {}
    if shape.quantizer_is_graph and "quantizer_efSearch" in params:
        extra["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=int(params["quantizer_efSearch"]))
    return faiss.SearchParametersIVF(sel=selector, nprobe=int(params.get("nprobe", 32)), **extra)


def _plain_parameters(shape: _Shape, params: Mapping[str, Any], selector: Any, k: int) -> Any:
    return library().SearchParameters(sel=selector)


_PARAMETERS: Mapping[str, Callable[[_Shape, Mapping[str, Any], Any, int], Any]] = {
    "HNSW": _graph_parameters,
    "IVF": _list_parameters,
    "other": _plain_parameters,
}


def scan_halves(rows: Float16, query: Float32, k: int, allowed: Bool | None = None) -> tuple[Float32, Int64]:
    """The k largest float32 inner products of a (d,) query with (n, d) contiguous float16 rows, and their numbers.

    Best first; fewer than k where `allowed`, (n,) bool, leaves fewer. The rows are read where they are, a mapped file
    included: FAISS's half-precision index stores just such rows, so it is given a view in place of a copy.
    """
    faiss = library()
    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    return _scan_view(index, rows.view(np.uint8), query, k, allowed)


def has_codes(index: Any) -> bool:
    """Whether the index keeps a code of every row in the order of the rows, as a graph does: see `scan_codes`."""
    return _shape(index).codes is not None


def scan_codes(index: Any, query: Float32, k: int, params: Mapping[str, Any], allowed: Bool) -> Int64 | None:
    """The k positions that (covers,) `allowed` leaves whose codes score best for a (d,) unit query, best first.

    A code is a small part of a row and lies in memory, so where a filter leaves too many rows to fetch and too few for the graph
    to meet, comparing their codes costs least. None where the query is foreign, as in `search`. Raises UsageError where the
    index has no codes (`has_codes`).
    """
    faiss = library()
    shape = _shape(index)
    if shape.codes is None:
        raise UsageError("cannot compare codes", "this index keeps none in the order of the rows")
    inside = _inside(shape, query, params)
    if inside is None:
        return None
    if shape.graph is not None and compiled.loops() is not None:
        return shape.graph.scan(inside, k, np.ascontiguousarray(allowed))
    storage, codes = shape.codes
    chosen = np.flatnonzero(allowed)
    view = faiss.IndexScalarQuantizer(storage.d, storage.sq.qtype, faiss.METRIC_INNER_PRODUCT)
    view.sq, view.is_trained = storage.sq, True
    _, numbers = _scan_view(view, codes[chosen], inside, min(k, len(chosen)))
    positions: Int64 = chosen[numbers]
    return positions


def _scan_view(
    index: Any, codes: Any, query: Float32, k: int, allowed: Bool | None = None
) -> tuple[Float32, Int64]:
    """Search an empty scalar-quantiser index as if it held (n, bytes) uint8 contiguous codes, which stay where they are."""
    faiss = library()
    held, place = index.codes, faiss.swig_ptr(codes.reshape(-1))
    held.is_owned, held.view_data, held.c_ptr = False, place, place
    held.view_size = held.c_size = codes.nbytes
    index.ntotal = len(codes)
    params = None if allowed is None else faiss.SearchParameters(sel=_selector(allowed))
    # One query is work for one thread: a team would only wait at its barrier, for long on a busy machine.
    team = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        scores, numbers = index.search(query[None], k, params=params)
    finally:
        faiss.omp_set_num_threads(team)
    found = numbers[0] >= 0
    return scores[0][found], numbers[0][found]
