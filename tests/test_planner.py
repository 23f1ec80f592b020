"""The cheaper way is taken; it visits more where a filter leaves less; a search that comes back short is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import visualsearch as vs
from visualsearch import upkeep
from visualsearch.nearest import exact
from visualsearch.search import planner
from visualsearch.search.planner import FAMILIES, Costs, Way, choose
from visualsearch.search.query import Snapshot, candidates
from visualsearch.store import Generation
from visualsearch.types import Bool, Float32

from .fakes import FakeEncoder
from .test_engine import DEAR_SCANS, add_given, clustered

ROWS = 1_000_000
GRAPH = Generation(1, "f", "hnsw", "HNSW32,SQ8", {"efSearch": 64, "candidates": 4}, ROWS, 0)
LISTS = Generation(1, "f", "ivf", "IVF4096,RaBitQfs", {"nprobe": 32, "candidates": 16}, ROWS, 0)
generations = st.sampled_from([GRAPH, LISTS])
FREE_INDEX = Costs(start=1e12)


def of_the_true_ten(
    snapshot: Snapshot, queries: Float32, allowed_for: Callable[[Float32], Bool]
) -> tuple[int, set[Way]]:
    """How many of all queries' ten nearest allowed rows are found, and by which ways."""
    shared, ways = 0, set()
    for query in queries:
        allowed = allowed_for(query)
        way, found = candidates(snapshot, query, 10, allowed, int(allowed.sum()))
        assert allowed[found].all()
        best = exact.scan(snapshot.vectors, query, 10, allowed=allowed)[1]
        shared += len(set(found.tolist()) & set(best.tolist()))
        ways.add(way)
    return shared, ways


def test_without_an_approximate_index_everything_is_scanned() -> None:
    assert choose(ROWS, ROWS, 512, None, 10).way is Way.SCAN


@pytest.mark.parametrize("generation", [GRAPH, LISTS])
def test_a_filter_that_leaves_next_to_nothing_is_scanned_and_none_is_searched(generation: Generation) -> None:
    assert choose(ROWS, 100, 512, generation, 160, True).way is Way.SCAN
    everything = choose(ROWS, ROWS, 512, generation, 160)
    assert everything.way is Way.INDEX
    assert everything.search == generation.search


@given(generations, st.integers(1, ROWS), st.integers(1, 2000))
def test_the_index_visits_enough_rows_that_the_filter_leaves(
    generation: Generation, left: int, wanted: int
) -> None:
    plan = choose(ROWS, left, 512, generation, wanted, costs=FREE_INDEX)
    family = next(f for mark, f in FAMILIES.items() if mark in generation.factory)
    if plan.way is Way.SCAN:  # it would have to visit everything
        assert family.visits(ROWS, ROWS, generation.factory) * left / ROWS < wanted or left < wanted * 10
        return
    value = plan.search[family.knob]
    assert value >= generation.search[family.knob]
    assert left == ROWS or family.visits(value, ROWS, generation.factory) * left / ROWS >= wanted
    assert plan.search["candidates"] == generation.search["candidates"]


@given(generations, st.integers(1, ROWS), st.integers(0, ROWS))
def test_what_leaves_more_rows_never_costs_less_to_scan(generation: Generation, left: int, more: int) -> None:
    few = planner.COSTS.scan(ROWS, left, 512)
    assert few <= planner.COSTS.scan(ROWS, min(ROWS, left + more), 512)
    assert choose(ROWS, left, 512, generation, 160).microseconds <= few


def test_codes_are_compared_where_the_graph_would_visit_much_and_the_rows_are_many() -> None:
    ways = [choose(ROWS, left, 512, GRAPH, 50, True).way for left in (50, 10_000, 500_000, ROWS)]
    assert ways == [Way.SCAN, Way.CODES, Way.INDEX, Way.INDEX]


def test_codes_hold_the_nearest_of_the_rows_that_a_filter_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "COSTS", Costs(start=0, passed=1e9, copied=1e9, code=0))
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 200)
    matrix = clustered(3100)
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset="hnsw")
    add_given(index, matrix[:3000], monkeypatch)
    add_given(index, matrix[3000:], monkeypatch, start=3000)  # beside the graph
    allowed = np.random.default_rng(0).random(3100) < 0.2
    with index._open() as (_, snapshot):
        assert snapshot.covers == 3000
        shared, ways = of_the_true_ten(snapshot, matrix[::155], lambda _: allowed)
    assert ways == {Way.CODES}
    assert shared >= 0.98 * 200


def test_an_index_of_an_unknown_kind_is_asked_as_it_stands() -> None:
    other = Generation(1, "f", "nsg", "NSG32,Flat", {"candidates": 4}, ROWS, 0)
    plan = choose(ROWS, 500_000, 512, other, 40)
    assert plan.way is Way.INDEX
    assert plan.search == other.search


@pytest.mark.parametrize("preset", ["hnsw", "ivf-rabitq"])
def test_a_filter_that_leaves_out_the_surroundings_of_the_query_costs_no_recall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    matrix = clustered(4000)
    query = matrix[7]
    matrix = matrix[np.argsort(matrix @ query)]  # far from the query first
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset=preset)
    add_given(index, matrix, monkeypatch)
    allowed = np.arange(len(matrix)) < 1200
    with index._open() as (_, snapshot):
        way, found = candidates(snapshot, query, 10, allowed, 1200)
    assert allowed[found].all()
    best = np.argsort(-(matrix[:1200].astype(np.float16) @ query), kind="stable")[:10]
    assert len(set(found.tolist()) & set(best.tolist())) >= 9, way


@pytest.mark.parametrize("left_out", [20, 80, 400])
def test_a_filter_that_leaves_out_just_the_nearest_costs_no_recall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: int
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 50)
    matrix = clustered(4000)
    index = vs.create(tmp_path / "x.index", FakeEncoder(), preset="hnsw")
    add_given(index, matrix, monkeypatch)
    with index._open() as (_, snapshot):

        def beyond(query: Float32) -> Bool:
            allowed = np.ones(4000, dtype=bool)
            allowed[exact.scan(snapshot.vectors, query, left_out)[1]] = False
            return allowed

        shared, ways = of_the_true_ten(snapshot, matrix[::200], beyond)
    assert ways == {Way.INDEX}
    assert shared >= 0.98 * 200
