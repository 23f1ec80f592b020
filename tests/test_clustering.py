"""Centroids: as good as FAISS's, and sound where points are few, equal or fewer than what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from visualsearch.nearest import ann, clustering

from .test_ann import low_dimensional


def error(points: np.ndarray, found: np.ndarray) -> float:
    index = ann.library().IndexFlatL2(found.shape[1])
    index.add(found)
    return float(index.search(points, 1)[0].mean())


@pytest.mark.parametrize("count", [1, 7, 300, 900])
def test_centroids_quantise_as_well_as_those_of_plain_k_means(count: int) -> None:
    points = low_dimensional(6000)
    plain = ann.library().Kmeans(
        points.shape[1], count, niter=25, seed=7, max_points_per_centroid=1 << 20, min_points_per_centroid=1
    )
    plain.train(points)
    found = clustering.centroids(ann.library(), points, count)
    assert found.shape == (count, points.shape[1])
    assert found.dtype == np.float32
    assert error(points, found) <= 1.01 * error(points, plain.centroids)


def test_more_rounds_make_the_error_no_larger() -> None:
    points = low_dimensional(4000)
    errors = [
        error(points, clustering.centroids(ann.library(), points, 400, rounds=rounds))
        for rounds in (1, 2, 25)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_the_seed_decides() -> None:
    points = low_dimensional(2000)
    first, again, other = (clustering.centroids(ann.library(), points, 50, seed=s) for s in (1, 1, 2))
    assert np.allclose(first, again, atol=1e-5)
    assert not np.allclose(first, other, atol=1e-2)


def test_spherical_centroids_are_of_unit_length() -> None:
    found = clustering.centroids(ann.library(), low_dimensional(2000), 60, spherical=True)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_points_are_left_as_they_are() -> None:
    points = low_dimensional(500)
    before = points.copy()
    clustering.centroids(ann.library(), points, 20, spherical=True)
    assert np.array_equal(points, before)


def test_as_many_centroids_as_points_are_the_points() -> None:
    points = low_dimensional(64)
    assert error(points, clustering.centroids(ann.library(), points, 64)) < 1e-6


def test_equal_points_leave_no_centroid_undefined() -> None:
    points = np.repeat(low_dimensional(3), 100, axis=0)
    found = clustering.centroids(ann.library(), points, 20)
    assert np.isfinite(found).all()
    assert error(points, found) < 1e-3
