"""Centroids for inverted lists: k-means that looks only around where a point was.

After the first round a point moves, if at all, to a list near its own. So the centroids are put into groups. The points of a
group are compared only with the centroids nearest to it, after the cluster closures of Wang et al. 2012
(https://doi.org/10.1109/CVPR.2012.6248034). With sqrt(k) groups a round costs a share of Lloyd's that falls as k grows, in
matrix products as large as its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from visualsearch.types import Float32, Int64

ROUNDS = 25
CONVERGED = 1e-4
"""Rounds end when one lowers the mean squared distance by less than this share."""
WIDTH = 16
"""A group's points are compared with this many times as many centroids as the group has."""
BLOCK = 4096


def centroids(
    library: Any, points: Float32, count: int, *, seed: int = 7, rounds: int = ROUNDS, spherical: bool = False
) -> Float32:
    """(count, d) float32 centroids of (n, d) float32 points, n >= count.

    `spherical`: of unit length, for lists that are chosen by inner product. `library` is FAISS. The same seed gives the same
    centroids but for rounding, and starts from the points that FAISS would start from.
    """
    found = points[_start(library, len(points), count, seed)]
    if spherical:
        _to_unit_length(found)
    rng = np.random.default_rng(seed)
    owner = _nearest(library, found, points, 1)[:, 0]
    squares = float(np.einsum("ij,ij->", points, points, dtype=np.float64)) / len(points)
    before = np.inf
    for _ in range(rounds - 1):
        order, ends = _grouped(owner, count)
        _fill(found, points, order, ends, rng, spherical)
        error = squares + _assign(library, points, found, order, ends, owner)
        if error > (1 - CONVERGED) * before:
            break
        before = error
    _fill(found, points, *_grouped(owner, count), rng, spherical)
    return found


def _start(library: Any, rows: int, count: int, seed: int) -> Int64:
    chosen = np.empty(rows, np.int32)
    library.rand_perm(library.swig_ptr(chosen), rows, seed + 1)
    return chosen[:count].astype(np.int64)


def _to_unit_length(rows: Float32) -> None:
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))


def _nearest(library: Any, rows: Float32, queries: Float32, k: int) -> Int64:
    """(m, k) numbers of the rows nearest to each of (m, d) queries, nearest first."""
    index = library.IndexFlatL2(rows.shape[1])
    index.add(rows)
    numbers: Int64 = index.search(queries, k)[1]
    return numbers


def _grouped(owner: Int64, count: int) -> tuple[Int64, Int64]:
    """Members in the order of their owners, and where those of each owner begin and end: (n,), (count + 1,)."""
    order = np.argsort(owner, kind="stable")
    return order, np.searchsorted(owner[order], np.arange(count + 1))


def _fill(
    found: Float32,
    points: Float32,
    order: Int64,
    ends: Int64,
    rng: np.random.Generator,
    spherical: bool,
) -> None:
    """Centroids become the means of their points, of unit length where `spherical`; one without points becomes half of one
    with many."""
    sizes = np.diff(ends)
    for number in np.flatnonzero(sizes):
        points[order[ends[number] : ends[number + 1]]].mean(0, out=found[number])
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        spare = np.maximum(sizes - 1, 0)
        full = rng.choice(len(found), len(empty), p=spare / spare.sum())
        signs = np.where(np.arange(found.shape[1]) % 2, np.float32(1 / 1024), np.float32(-1 / 1024))
        found[empty] = found[full] * (1 + signs)
        found[full] *= 1 - signs
    if spherical:
        _to_unit_length(found)


def _assign(library: Any, points: Float32, found: Float32, order: Int64, ends: Int64, owner: Int64) -> float:
    """Each point's nearest centroid around its former one goes to `owner`; returns the mean of |x - c|^2 - |x|^2."""
    half = 0.5 * np.einsum("ij,ij->i", found, found)
    members, borders, near = _neighbourhoods(library, found)
    total = 0.0
    for group, others in enumerate(near):
        own = members[borders[group] : borders[group + 1]]
        mine = np.concatenate([order[ends[number] : ends[number + 1]] for number in own] or [order[:0]])
        others = np.union1d(others, own)  # noqa: PLW2901 - with what may lie beyond
        turned, lengths = found[others].T, half[others]
        for at in range(0, len(mine), BLOCK):
            part = mine[at : at + BLOCK]
            away = points[part] @ turned
            np.subtract(lengths, away, out=away)
            best = away.argmin(1)
            owner[part] = others[best]
            total += float(away[np.arange(len(part)), best].sum(dtype=np.float64))
    return 2 * total / len(points)


def _neighbourhoods(library: Any, found: Float32) -> tuple[Int64, Int64, Int64]:
    """Centroids in the order of their groups, where each group begins and ends, and (groups, m) the centroids around it."""
    groups = max(1, int(len(found) ** 0.5))
    coarse = library.Kmeans(found.shape[1], groups, niter=4, seed=1, min_points_per_centroid=1)
    coarse.train(found)
    members, borders = _grouped(coarse.index.search(found, 1)[1][:, 0], groups)
    return members, borders, _nearest(library, found, coarse.centroids, min(len(found), WIDTH * groups))
