"""What an index is trained on: samples of the stored rows, and the axes that keep most of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from visualsearch.store import Vectors
from visualsearch.types import Float32, Float64

from .recipes import Preset, lists_for

MAX_TRAIN_BYTES = 2 << 30
MOMENT_ROWS = 50_000
"""Rows that the principal axes are found from."""
BLOCK_ROWS = 16_384
"""Stored rows that are held as float32 in all their dimensions at a time."""


def principal_axes(moments: Float64, share: float) -> Float32 | None:
    """(d', d) orthonormal axes that keep `share` (0..1) of the rows' squared length, strongest first; None where that
    takes nearly all dimensions.

    `moments`, (d, d) float64, is the sum of the rows' outer products. The rows are not centred: in the space of these axes the
    inner product is the one of the rows' projections, and what is cut off is small for every pair. d' is a multiple of 32,
    which packed codes want.
    """
    dim = len(moments)
    values, axes = np.linalg.eigh(moments)
    kept = np.cumsum(values[::-1])
    wanted = int(np.searchsorted(kept, share * kept[-1])) + 1
    wanted = -(-wanted // 32) * 32
    if wanted > 0.6 * dim:
        return None
    return np.ascontiguousarray(axes[:, ::-1][:, :wanted].T, dtype=np.float32)


def moments(vectors: Vectors, seed: int) -> Float64:
    """(d, d) sum of the outer products of a sample of the rows."""
    found = np.zeros((vectors.dim, vectors.dim))
    for block in _sampled(vectors, MOMENT_ROWS, seed):
        found += block.T @ block
    return found


def _sampled(vectors: Vectors, wanted: int, seed: int) -> Iterator[Float32]:
    """A sample of the rows in the order of their positions, (n, d) at a time."""
    count = min(wanted, len(vectors))
    chosen = np.sort(np.random.default_rng(seed).choice(len(vectors), count, replace=False))
    for at in range(0, count, BLOCK_ROWS):
        yield vectors.gather(chosen[at : at + BLOCK_ROWS])


def training_sample(recipe: Preset, vectors: Vectors, seed: int, axes: Float32 | None) -> Float32:
    """(n, d) rows, or (n, d') in the dimensions of the axes."""
    wanted = max(recipe.build.get("train_rows_per_list", 64) * lists_for(recipe, len(vectors)), 100_000)
    wanted = min(wanted, MAX_TRAIN_BYTES // (4 * vectors.dim), len(vectors))
    found = np.empty((wanted, vectors.dim if axes is None else len(axes)), np.float32)
    at = 0
    for block in _sampled(vectors, wanted, seed):
        found[at : at + len(block)] = block if axes is None else block @ axes.T
        at += len(block)
    return found
