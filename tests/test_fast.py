"""The compiled search: the same answers as without, from any thread, any number of times."""

from __future__ import annotations

import mmap
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from visualsearch.compiled import search as fast
from visualsearch.nearest import ann, recipes
from visualsearch.search import planner
from visualsearch.search.column import TRUE, UNKNOWN, Column
from visualsearch.search.query import Snapshot, candidates
from visualsearch.store import Generation
from visualsearch.store.vectors import Segment, Vectors, write_segment

from .test_ann import DIM, low_dimensional, stored


@pytest.fixture
def rows(tmp_path: Path) -> Vectors:
    return stored(tmp_path, low_dimensional(4000))


def found(index: object, queries: np.ndarray, k: int, beam: int) -> list[list[int]]:
    answers = [ann.search(index, query, k, {"efSearch": beam}) for query in queries]
    return [answer.tolist() for answer in answers if answer is not None]


@pytest.mark.parametrize(("k", "beam"), [(1, 1), (10, 40), (50, 20), (200, 200)])
def test_the_walk_finds_what_faiss_finds(
    rows: Vectors, k: int, beam: int, request: pytest.FixtureRequest
) -> None:
    index, _ = ann.build(recipes.preset("hnsw"), rows)
    queries = rows.gather(np.arange(0, 4000, 40))
    plain = found(index, queries, k, beam)
    request.getfixturevalue("compiled")
    quick = found(index, queries, k, beam)
    assert [len(answer) for answer in quick] == [len(answer) for answer in plain] == [k] * 100
    assert all(len(set(answer)) == k for answer in quick)
    # FAISS weighs codes in float32, the walk in 15 bits: near ties may fall out differently.
    same = np.mean([len(set(a) & set(b)) / k for a, b in zip(plain, quick, strict=True)])
    assert same >= (0.95 if beam < k else 0.98)
    assert np.mean([a[0] == b[0] for a, b in zip(plain, quick, strict=True)]) >= 0.97


def test_many_searches_from_many_threads_find_the_same(rows: Vectors, compiled: None) -> None:
    index, _ = ann.build(recipes.preset("hnsw"), rows)
    queries = rows.gather(np.arange(30))
    first = found(index, queries, 10, 50)
    with ThreadPoolExecutor(8) as pool:
        # Over 255 searches on one scratch, so that its marks begin anew.
        again = list(pool.map(lambda _: found(index, queries, 10, 50), range(40)))
    assert all(answers == first for answers in again)


def test_a_graph_of_one_row_and_an_empty_query(tmp_path: Path, compiled: None) -> None:
    matrix = low_dimensional(1)
    index, _ = ann.build(recipes.preset("hnsw"), stored(tmp_path, matrix))
    assert found(index, matrix, 5, 20) == [[0]]
    assert found(index, np.zeros((1, DIM), np.float32), 5, 20) == [[0]]


def test_a_filtered_walk_finds_what_faiss_finds(rows: Vectors, request: pytest.FixtureRequest) -> None:
    index, _ = ann.build(recipes.preset("hnsw"), rows)
    allowed = np.arange(4000) % 5 == 0
    queries = rows.gather(np.arange(5, 4000, 400))
    plain = [ann.search(index, query, 20, {"efSearch": 400}, allowed) for query in queries]
    request.getfixturevalue("compiled")
    quick = [ann.search(index, query, 20, {"efSearch": 400}, allowed) for query in queries]
    shared = 0
    for one, other in zip(plain, quick, strict=True):
        assert one is not None
        assert other is not None
        assert len(one) == len(other) == 20
        assert allowed[one].all()
        assert allowed[other].all()
        shared += len(np.intersect1d(one, other))
    assert shared >= 0.98 * 200


@pytest.mark.parametrize("files", [1, 3])
def test_cosines_are_those_of_numpy(tmp_path: Path, files: int, request: pytest.FixtureRequest) -> None:
    matrix = np.random.default_rng(3).normal(size=(60, DIM)).astype(np.float32)
    matrix[7] = 0.0
    matrix[8] = 1e-6  # subnormal as float16
    segments, at = [], 0
    for number, part in enumerate(np.array_split(matrix, files)):
        file = write_segment(tmp_path, number, part)
        pins = np.arange(at, at + len(part), dtype=np.int64)
        segments.append(Segment(number, file, at, len(part), pins))
        at += len(part)
    vectors = Vectors(tmp_path, segments, DIM)
    positions = np.random.default_rng(4).permutation(60)
    query = matrix[3] / np.linalg.norm(matrix[3])
    plain = vectors.cosines(positions, query)
    request.getfixturevalue("compiled")
    np.testing.assert_allclose(vectors.cosines(positions, query), plain, atol=2e-6)
    assert vectors.cosines(np.array([7]), query)[0] == 0.0
    assert vectors.cosines(np.array([3]), query)[0] == pytest.approx(1.0, abs=1e-3)
    assert vectors.cosines(np.empty(0, np.int64), query).shape == (0,)


def test_a_process_that_searches_much_loads_the_loops_unasked(
    rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(fast, "LOOPS", SimpleNamespace(load=lambda: loaded.append(True), ready=None))
    monkeypatch.setattr(fast, "_searches", [0])
    monkeypatch.setattr(fast, "PAYS_AFTER", 5)
    index, _ = ann.build(recipes.preset("hnsw"), rows)
    found(index, rows.gather(np.arange(4)), 5, 20)
    assert not loaded
    found(index, rows.gather(np.arange(4)), 5, 20)
    assert loaded == [True]


def test_a_walk_without_loops_says_what_to_do() -> None:
    graph = fast.Graph(
        np.zeros((1, 8), np.uint8), np.ones(8, np.float32), np.array([-1], np.int32), np.array([0, 1]),
        np.array([0, 1]), 0,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="accelerate"):
        graph.search(np.ones(8, np.float32), 1, 1)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.3, 1.0])
def test_comparing_codes_finds_what_faiss_finds(
    rows: Vectors, share: float, request: pytest.FixtureRequest
) -> None:
    index, _ = ann.build(recipes.preset("hnsw"), rows)
    queries = rows.gather(np.arange(0, 4000, 80))
    allowed = np.random.default_rng(9).random(4000) < share
    wanted = min(50, int(allowed.sum()))
    plain = [ann.scan_codes(index, query, 50, {}, allowed) for query in queries] if wanted else []
    request.getfixturevalue("compiled")
    for number, query in enumerate(queries):
        quick = ann.scan_codes(index, query, 50, {}, allowed)
        assert quick is not None
        assert len(quick) == len(set(quick.tolist())) == wanted
        assert allowed[quick].all()
        if wanted:
            scores = (rows.gather(quick) @ query).tolist()
            assert scores[0] >= max(scores) - 0.02
            assert len(set(quick.tolist()) & set(plain[number].tolist())) >= 0.9 * wanted


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("around", [False, True])
def test_rows_that_were_removed_are_not_found_and_cost_no_recall(
    rows: Vectors, loops: bool, around: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if loops:
        request.getfixturevalue("compiled")
    # The index is asked, however few the rows.
    monkeypatch.setattr(planner, "COSTS", planner.Costs(start=1e9))
    index, factory = ann.build(recipes.preset("hnsw"), rows)
    generation = Generation(0, "f", "hnsw", factory, recipes.preset("hnsw").parameters, len(rows), 0)
    queries = rows.gather(np.arange(0, 4000, 100))
    hits = 0
    for query in queries:
        near = np.argsort(-(rows.gather(np.arange(4000)) @ query), kind="stable")
        alive = np.ones(4000, bool)
        alive[near[:20] if around else near[::15]] = False
        left = int(alive.sum())
        snapshot = Snapshot(rows, alive, generation, index, left, state=0)
        way, found = candidates(snapshot, query, 10, alive, left)
        assert way is planner.Way.INDEX
        assert alive[found].all()
        best = near[alive[near]][:10]
        hits += len(set(best.tolist()) & set(found.tolist()))
    assert hits / (10 * len(queries)) >= 0.95


@pytest.mark.parametrize(
    "true", [[], [0], [1, 2, 3], [4, 5, 9], list(range(12)), [0, 2, 4, 6, 8, 10]], ids=str
)
def test_compiled_and_plain_filters_judge_the_same(true: list[int], compiled: None) -> None:
    codes = np.random.default_rng(3).integers(0, 12, 1001).astype(np.int32)
    table = np.array([TRUE if value in true else UNKNOWN * (value == 11) for value in range(12)], np.uint8)
    column = Column(codes, tuple(range(11)), ())
    with fast.LOOPS.aside():
        plain = column.spread(table)
    assert plain.tolist() == column.spread(table).tolist() == table[codes].tolist()


def test_arrays_move_into_large_pages_and_stay_what_they_are() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    kernel = tuple(int(n) for n in platform.release().split(".")[:2]) if sys.platform == "linux" else (0, 0)
    if kernel < (6, 1) or not setting.exists() or "[madvise]" not in setting.read_text():
        pytest.skip("this system gives large pages to all or to none, or not at once")
    # Not NumPy's own memory, for which it asks for large pages itself.
    memory = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array = np.frombuffer(memory, np.int64)
    array[:] = np.arange(len(array))
    assert large_bytes(array) == 0
    fast.in_large_pages((array, np.arange(100)))
    assert (array == np.arange(len(array))).all()
    assert large_bytes(array) >= array.nbytes - 2 * (2 << 20)


def large_bytes(array: np.ndarray) -> int:
    """Bytes in large pages of the mappings that hold an array."""
    place, inside, found = array.__array_interface__["data"][0], False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(part, 16) for part in head.split("-"))
            inside = low < place + array.nbytes and place < high
        elif inside and head == "AnonHugePages:":
            found += 1024 * int(line.split()[1])
    return found
