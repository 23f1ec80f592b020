"""Exact search gives what brute force gives, whatever the split over threads, blocks, files and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visualsearch.nearest import exact
from visualsearch.store.vectors import Segment, Vectors, widened, write_segment
from visualsearch.types import Bool, Float32


@pytest.fixture(autouse=True, scope="module")
def library() -> None:
    """FAISS is loaded, so that its scans are what is tested."""
    exact.ann.library()


SLOW_DISK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def stored(folder: Path, matrix: Any, cuts: list[int]) -> Vectors:
    """Vectors in files that end at `cuts`."""
    segments, at = [], 0
    for number, part in enumerate(np.split(matrix, cuts)):
        if len(part):
            name = write_segment(folder, number, part)
            segments.append(Segment(number, name, at, len(part), np.arange(at, at + len(part))))
            at += len(part)
    return Vectors(folder, segments, matrix.shape[1])


def brute(
    matrix: Any, query: Float32, k: int, allowed: Bool, start: int = 0, stop: int | None = None
) -> exact.Found:
    """float32 brute force over the float16 rows: exactly summed, rounded once, ties by position."""
    rows = matrix.astype(np.float16).astype(np.float64)
    scores = np.array([np.sum(row * query.astype(np.float64)) for row in rows], np.float32)
    left = [p for p in range(start, len(rows) if stop is None else stop) if allowed[p]]
    best = sorted(left, key=lambda p: (-scores[p], p))[:k]
    return scores[best], np.array(best, np.int64)


def same(found: exact.Found, wanted: exact.Found) -> None:
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[0], wanted[0])


@st.composite
def collections(draw: st.DrawFn) -> tuple[Any, Float32, Bool, list[int], int]:
    """A few rows, many of them alike, zero or subnormal; a query; a mask; cuts; k."""
    dim = draw(st.sampled_from([1, 3, 8, 17]))
    kinds = draw(st.lists(st.integers(0, 5), min_size=1, max_size=60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    some = [unit(rng, dim), unit(rng, dim), np.zeros(dim), unit(rng, dim) * 3e-6]
    rows = np.array([some[kind] if kind < len(some) else unit(rng, dim) for kind in kinds])
    query = unit(rng, dim).astype(np.float32)
    masked = draw(st.sampled_from([0.0, 0.3, 0.95]))
    allowed = rng.random(len(rows)) >= masked
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return rows, query, allowed, cuts, draw(st.integers(1, 70))


def unit(rng: np.random.Generator, dim: int) -> Any:
    row = rng.standard_normal(dim)
    return row / np.linalg.norm(row)


def test_the_library_is_loaded_only_once_so_much_was_scanned_that_it_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = np.array([unit(rng, 16) for _ in range(500)])
    vectors, query = stored(tmp_path, rows, [300]), unit(rng, 16).astype(np.float32)
    wanted = brute(rows, query, 10, np.ones(500, bool))
    used: list[int] = []
    halves = exact.ann.scan_halves
    monkeypatch.setattr(exact.ann, "loaded", lambda: False)
    monkeypatch.setattr(exact.ann, "scan_halves", lambda *a: used.append(1) or halves(*a))
    monkeypatch.setattr(exact, "_scanned", [0])
    monkeypatch.setattr(exact, "LOADING_ROWS", 1200)
    for _ in range(2):
        same(exact.scan(vectors, query, 10), wanted)
    assert not used
    same(exact.scan(vectors, query, 10), wanted)
    assert used


@given(collections())
@SLOW_DISK
def test_a_scan_is_brute_force_in_float32(tmp_path: Path, case: Any) -> None:
    rows, query, allowed, cuts, k = case
    vectors = stored(tmp_path, rows, cuts)
    everything = np.ones(len(rows), bool)
    same(exact.scan(vectors, query, k), brute(rows, query, k, everything))
    same(exact.scan(vectors, query, k, allowed=allowed), brute(rows, query, k, allowed))
    start, stop = sorted((cuts[0] if cuts else 0, len(rows) // 2))
    wanted = brute(rows, query, k, allowed, start, stop)
    same(exact.scan(vectors, query, k, start, stop, allowed), wanted)
    chosen = np.flatnonzero(allowed)[::-1]
    same(exact.scan_chosen(vectors, query, k, chosen), brute(rows, query, k, allowed))


@given(collections(), st.integers(25, 40))
@SLOW_DISK
def test_many_queries_at_once_are_answered_as_one_by_one(tmp_path: Path, case: Any, many: int) -> None:
    rows, query, allowed, cuts, k = case
    vectors = stored(tmp_path, rows, cuts)
    rng = np.random.default_rng(len(rows))
    queries = np.array([query, *(unit(rng, rows.shape[1]) for _ in range(many - 1))], np.float32)
    for mask in (None, allowed):
        found = exact.scan_many(vectors, queries, k, mask)
        assert len(found) == many
        for one, answer in zip(queries, found, strict=True):
            same(answer, exact.scan(vectors, one, k, allowed=mask))


@pytest.mark.parametrize("alike", [1, 40, 6000])
def test_more_equal_rows_than_results_come_in_the_order_of_their_positions(
    tmp_path: Path, alike: int
) -> None:
    rng = np.random.default_rng(alike)
    rows = rng.standard_normal((20_000 // alike + 1, 24)).astype(np.float32)
    rows = np.tile(rows / np.linalg.norm(rows, axis=1, keepdims=True), (alike, 1))[:20_000]
    vectors = stored(tmp_path, rows, [7000])
    queries = rows[:30] + np.float32(0.01)
    for allowed in (np.ones(len(rows), bool), rng.random(len(rows)) < 0.4, rng.random(len(rows)) < 0.004):
        for query, answer in zip(queries, exact.scan_many(vectors, queries, 10, allowed), strict=True):
            one = exact.scan(vectors, query, 10, allowed=allowed)
            same(answer, one)
        same(one, brute(rows, queries[-1], 10, allowed))


def test_as_many_results_as_there_are_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.array([unit(rng, 16) for _ in range(3000)])
    vectors = stored(tmp_path, rows, [])
    query = unit(rng, 16).astype(np.float32)
    allowed = np.arange(3000) != 5
    wanted = brute(rows, query, 3000, allowed)
    same(exact.scan(vectors, query, 3000, allowed=allowed), wanted)
    same(exact.scan_many(vectors, np.tile(query, (30, 1)), 3000, allowed)[-1], wanted)


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    empty, query = Vectors(tmp_path, [], 4), np.ones(4, np.float32)
    few = stored(tmp_path, np.eye(4), [])
    none = np.zeros(4, bool)
    for found in (
        exact.scan(empty, query, 3),
        exact.scan(few, query, 0),
        exact.scan(few, query, 3, allowed=none),
        exact.scan_chosen(few, query, 3, np.empty(0, np.int64)),
        *exact.scan_many(empty, np.ones((30, 4), np.float32), 3),
        *exact.scan_many(few, np.ones((30, 4), np.float32), 3, none),
    ):
        assert found[0].shape == found[1].shape == (0,)


def test_every_finite_half_is_widened_to_its_very_value() -> None:
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 32)
    wanted = halves.astype(np.float32).view(np.uint32)
    np.testing.assert_array_equal(widened(halves).view(np.uint32), wanted)
    every_other = widened(halves[::2, ::2])
    np.testing.assert_array_equal(every_other.view(np.uint32), wanted[::2, ::2])


def test_infinities_and_nan_do_not_pass_for_values_of_a_unit_vector() -> None:
    strange = np.array([[np.inf, -np.inf, np.nan]], np.float16)
    assert (np.abs(widened(strange)) >= 65_536).all()
