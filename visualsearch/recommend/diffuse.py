"""Boards about everything say little about any pin. They are found by how widely their pins look, and left out of the graph.

Pixie leaves out boards whose topics have a large entropy (arXiv 1711.07601, section 3.2). Here a topic is a cluster of looks. A
board is diffuse when its pins are spread nearly as widely as the same number of random pins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Float32, Float64, Int64

CLUSTERS = 64
SAMPLE = 20_000
ROUNDS = 10
SMALLEST = 20
"""Boards of fewer pins are kept: their entropy tells little."""
DIFFUSE = 0.9
"""A board is left out whose entropy is above this share of what random pins have."""
_BLOCK = 5000
_DRAWS = 20


def diffuse_boards(board: NDArray[np.int32], pin: NDArray[np.int32], cluster: NDArray[np.int32]) -> Int64:
    """The boards to leave out: (n,) saves, and the cluster of each pin (-1: unknown)."""
    known = cluster[pin] >= 0
    board, of = board[known].astype(np.int64), cluster[pin[known]].astype(np.int64)
    if not len(board):
        return np.zeros(0, np.int64)
    count = int(of.max()) + 1
    cells, times = np.unique(board * count + of, return_counts=True)
    sizes = np.bincount(board)
    share = times / sizes[cells // count]
    entropy = np.bincount(cells // count, -share * np.log(share), len(sizes))
    usual = _random_entropy(np.bincount(of, minlength=count) / len(of), sizes)
    return np.flatnonzero((sizes >= SMALLEST) & (entropy > DIFFUSE * usual))


def _random_entropy(shares: Float64, sizes: Int64) -> Float64:
    """(n,) mean entropies of as many random pins, from draws at some sizes and by interpolation between them."""
    rng = np.random.default_rng(0)
    most = int(sizes.max(initial=1))
    at = np.unique(np.geomspace(1, max(2, min(most, 100_000)), 40).astype(np.int64))
    drawn = rng.multinomial(at, shares, (_DRAWS, len(at))) / at[None, :, None]
    entropy = -(drawn * np.log(np.where(drawn > 0, drawn, 1))).sum(2).mean(0)
    usual: Float64 = np.interp(sizes, at, entropy)
    return usual


def clusters(count: int, vectors: Callable[[Int64], Float32], seed: int = 0) -> NDArray[np.int32]:
    """The cluster of each of `count` pins; `vectors` gives the unit vectors of positions. Spherical k-means on a sample."""
    if count < 2 * CLUSTERS:
        return np.full(count, -1, np.int32)
    rng = np.random.default_rng(seed)
    sample = vectors(np.sort(rng.choice(count, min(count, SAMPLE), replace=False)))
    centres = sample[rng.choice(len(sample), CLUSTERS, replace=False)].copy()
    for _ in range(ROUNDS):
        owner = (sample @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, sample)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres)
    found = [
        (vectors(np.arange(at, min(count, at + _BLOCK))) @ centres.T).argmax(1)
        for at in range(0, count, _BLOCK)
    ]
    return np.concatenate(found).astype(np.int32)
