"""What a set of pins looks like: their mean, and the medoids of their groups (PinnerSage, arXiv 2007.03634)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Float32, Float64, Int64

from .base import Gallery

MOST = 300
"""Of more pins, the newest so many are looked at: Ward's method takes the square of them."""
GROUPS = 5
EACH = 4
"""A group for each so many pins, up to GROUPS."""


@dataclass(frozen=True)
class Looks:
    """`vectors` (n, d) float32 of unit length: the mean first, then the medoids. `medoids` are the pins that these are."""

    vectors: Float32
    medoids: Sequence[str]


def units(vectors: Float32) -> Float32:
    """Rows of unit length; a zero row stays zero."""
    made: Float32 = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return made


def looks_of(gallery: Gallery, pins: Sequence[str]) -> Looks:
    """The looks of pins, which are newest first and in the index."""
    some = list(pins[:MOST])
    vectors = units(gallery.vectors(some))
    mean = units(vectors.mean(axis=0, keepdims=True))
    groups = grouped(vectors, min(GROUPS, max(1, len(some) // EACH)))
    chosen = [medoid(vectors, np.flatnonzero(groups == group)) for group in np.unique(groups)]
    if len(some) == 1:
        return Looks(mean, [])
    return Looks(np.concatenate([mean, vectors[chosen]]), [some[at] for at in chosen])


def grouped(vectors: Float32, most: int) -> Int64:
    """The group of each row by Ward's method, at most `most` groups; numbers from 0."""
    if most < 2 or len(vectors) < 3:
        return np.zeros(len(vectors), dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(_distances(vectors), method="ward")
    groups: Int64 = (fcluster(tree, most, criterion="maxclust") - 1).astype(np.int64)
    return groups


def _distances(vectors: Float32) -> Float64:
    """The Euclidean distances of each pair of unit rows, as SciPy lists them: one product instead of a loop over pairs."""
    squares = 2.0 - 2.0 * (vectors @ vectors.T).astype(np.float64)
    pairs: Float64 = squares[np.triu_indices(len(vectors), 1)]
    return np.sqrt(np.maximum(pairs, 0.0, out=pairs), out=pairs)


def medoid(vectors: Float32, members: Int64) -> int:
    """The member that is nearest to all others of its group."""
    mine = vectors[members]
    return int(members[int((mine @ mine.sum(axis=0)).argmax())])
