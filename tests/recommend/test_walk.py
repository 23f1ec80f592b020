"""The walk over pins and boards: compiled and numpy give the exact expectation; what is dead is never visited."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from visualsearch.compiled import WALKS
from visualsearch.errors import UsageError
from visualsearch.recommend.links import Links, build, from_arrays
from visualsearch.recommend.walk import DEAD_BOARD, Start, Walkable, degree, links_of, walk

COMPILED = [False, pytest.param(True, marks=pytest.mark.skipif(not WALKS.load(), reason="needs numba"))]
PINS, BOARDS = 60, 25


def saves(seed: int = 0) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, PINS, 400) * BOARDS + rng.integers(0, BOARDS, 400))
    weights = np.power(0.5, rng.integers(0, 4, len(pairs))).astype(np.float32)
    return (pairs // BOARDS).astype(np.int32), (pairs % BOARDS).astype(np.int32), weights


def graph(
    pin: NDArray[np.int32], board: NDArray[np.int32], weights: NDArray[np.float32] | None = None
) -> Links:
    names = [f"b{at:03d}" for at in range(BOARDS)]
    return build(pin, board, np.arange(PINS, dtype=np.int64), names, weights=weights)


def walkable(links: Links, dead: list[int] | None = None) -> Walkable:
    keys = np.array(sorted(dead or []), np.int64)
    return Walkable(links.pins, links.boards, links.shifts, keys, int(links.values["largest"]))


def exact(matrix: NDArray[np.float64], query: int, walkers: float, restart: float) -> NDArray[np.float64]:
    """(pins,) expected visits; `matrix` (pins, boards) of weights."""
    by_pin = matrix / np.maximum(matrix.max(1, keepdims=True), 1e-12)
    by_pin /= np.maximum(by_pin.sum(1, keepdims=True), 1e-12)
    by_board = matrix / np.maximum(matrix.sum(0, keepdims=True), 1e-12)
    step = by_pin @ by_board.T
    at, total = np.eye(len(matrix))[query] * walkers, np.zeros(len(matrix))
    while at.sum() >= 1:
        at = at @ step
        total += at
        at = at * (1 - restart)
    return total


def dense(
    pin: NDArray[np.int32], board: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    matrix = np.zeros((PINS, BOARDS))
    matrix[pin, board] = weights
    return matrix


@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("walkers", [40, 3_000])
def test_visits_are_those_of_a_random_walk_with_restart(compiled: bool, walkers: int) -> None:
    pin, board, weights = saves()
    links = graph(pin, board, weights)
    expected = exact(dense(pin, board, weights), 7, walkers, 0.4)
    total = np.zeros(PINS)
    runs = 60_000 // walkers
    for seed in range(runs):
        visits = walk(walkable(links), [Start(7)], walkers=walkers, restart=0.4, seed=seed, compiled=compiled)
        total[visits.nodes] += visits.scores / runs
    expected[7] = total[7] = 0
    assert np.abs(total - expected).sum() < 0.06 * expected.sum()
    assert np.abs(total.sum() - expected.sum()) < 0.06 * expected.sum()


@pytest.mark.parametrize("compiled", COMPILED)
def test_saves_that_came_since_count_like_built_ones(compiled: bool) -> None:
    pin, board, _ = saves()
    whole, half = graph(pin, board), len(pin) // 2
    base = graph(pin[:half], board[:half])
    assert (len(base.numbers), len(base.guests)) != (PINS, BOARDS)
    new_pins = {int(p): i for i, p in enumerate(sorted(set(pin.tolist()) - set(base.numbers.tolist())))}
    pins = np.array([_node(base, int(p), new_pins) for p in pin[half:]])
    boards = np.array([base.board_node(f"b{b:03d}") for b in board[half:]])
    kept = boards >= 0
    from visualsearch.recommend.graph import _with_fresh

    joined = walkable(base)
    joined = Walkable(
        _with_fresh(base.pins, pins[kept], boards[kept], base.shifts[1]),
        _with_fresh(base.boards, boards[kept], pins[kept], base.shifts[0]),
        base.shifts,
        joined.dead,
        whole.values["largest"],
    )
    matrix = np.zeros((PINS, BOARDS))
    rows = np.concatenate([np.ones(half, bool), kept])
    matrix[pin[rows], board[rows]] = 1
    start = int(base.numbers[3])
    expected = exact(matrix, start, 20_000, 0.5)
    visits = walk(joined, [Start(3)], walkers=20_000, restart=0.5, compiled=compiled)
    back = {node: number for number, node in ((n, len(base.numbers) + i) for n, i in new_pins.items())}
    found = np.zeros(PINS)
    for node, score in zip(visits.nodes.tolist(), visits.scores.tolist(), strict=True):
        found[int(base.numbers[node]) if node < len(base.numbers) else back[node]] = score
    expected[start] = 0
    assert np.abs(found - expected).sum() < 0.05 * expected.sum()
    assert (
        degree(joined.pins, 3) == int(matrix[start].sum()) == len(links_of(joined.pins, joined.shifts[1], 3))
    )


def _node(base: Links, number: int, new: dict[int, int]) -> int:
    node = int(base.pin_nodes([number])[0])
    return len(base.numbers) + new[number] if node < 0 else node


@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("walkers", [5, 5_000])
def test_links_and_boards_that_count_no_more_are_never_walked(compiled: bool, walkers: int) -> None:
    pin, board, _ = saves()
    links = graph(pin, board)
    start = links_of(links.boards, links.shifts[0], 4)[0]
    gone = [
        (int(start) << 32) | 2,
        (int(links_of(links.boards, links.shifts[0], 3)[0]) << 32) | 3,
        DEAD_BOARD | 4,
    ]
    for seed in range(20):
        visits = walk(
            walkable(links, gone), [Start(int(start))], walkers=walkers, seed=seed, compiled=compiled
        )
        keys = (visits.log_pins.astype(np.int64) << 32) | visits.log_boards
        assert 4 not in visits.log_boards
        assert not set(keys.tolist()) & set(gone)


@pytest.mark.parametrize("compiled", COMPILED)
def test_the_same_seed_walks_the_same_way_and_what_is_written_to_is_left_clean(compiled: bool) -> None:
    links = graph(*saves()[:2])
    one = walk(walkable(links), [Start(1), Start(9, 3.0)], walkers=500, seed=4, compiled=compiled)
    walk(walkable(links), [Start(2)], walkers=90_000, seed=5, compiled=compiled)
    two = walk(walkable(links), [Start(1), Start(9, 3.0)], walkers=500, seed=4, compiled=compiled)
    assert np.array_equal(one.nodes, two.nodes)
    assert np.array_equal(one.scores, two.scores)
    assert not np.isin([1, 9], one.nodes).any()


@pytest.mark.parametrize("compiled", COMPILED)
def test_pins_that_several_starts_reach_are_favoured(compiled: bool) -> None:
    # pins 0 and 1 are asked for; 2 stands with both, 3 and 4 with one each, as often in sum
    pin = np.array([0, 2, 1, 2, 0, 3, 0, 3, 1, 4, 1, 4], np.int32)
    board = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], np.int32)
    visits = walk(
        walkable(graph(pin, board)), [Start(0), Start(1)], walkers=30_000, restart=1, compiled=compiled
    )
    score = dict(zip(visits.nodes.tolist(), visits.scores.tolist(), strict=True))
    assert score[2] == pytest.approx((2 * np.sqrt(15_000 / 3 / 2)) ** 2, rel=0.05)
    assert score[3] == pytest.approx(15_000 * 2 / 3 / 2, rel=0.05)


@pytest.mark.parametrize("compiled", COMPILED)
def test_a_start_that_weighs_next_to_nothing_still_walks(compiled: bool) -> None:
    visits = walk(
        walkable(graph(*saves()[:2])), [Start(1), Start(9, 1e-9)], walkers=50, restart=1, compiled=compiled
    )
    assert float(visits.log_walkers.sum()) == pytest.approx(51, abs=3)


@pytest.mark.parametrize("compiled", COMPILED)
def test_a_graph_of_one_link_leads_nowhere_and_a_pin_without_links_too(compiled: bool) -> None:
    links = graph(np.array([5], np.int32), np.array([2], np.int32))
    visits = walk(walkable(links), [Start(0)], compiled=compiled)
    assert len(visits.nodes) == 0
    assert set(visits.log_pins.tolist()) == {0}
    assert len(walk(walkable(links), [Start(1000)], compiled=compiled).nodes) == 0


@pytest.mark.parametrize("compiled", COMPILED)
def test_a_board_of_everything_does_not_outgrow_its_room(compiled: bool) -> None:
    pin = np.concatenate([np.arange(50_000), [0, 1]]).astype(np.int32)
    board = np.concatenate([np.zeros(50_000), [1, 1]]).astype(np.int32)
    links = build(pin, board, np.arange(50_000, dtype=np.int64), ["a", "b"])
    visits = walk(walkable(links), [Start(0)], walkers=2_000, compiled=compiled)
    assert int(visits.nodes[visits.scores.argmax()]) == 1
    assert len(visits.log_pins) <= 4 * 2_000 + 4096


def test_through_says_which_boards_carried_the_visits() -> None:
    links = graph(*saves()[:2])
    visits = walk(walkable(links), [Start(7)], walkers=5_000, compiled=False)
    node = int(visits.nodes[visits.scores.argmax()])
    boards = visits.through([node])[node]
    assert sum(mass for _, mass in boards) == pytest.approx(float(visits.scores.max()), rel=1e-4)
    assert {at for at, _ in boards} <= set(links_of(links.pins, links.shifts[1], node).tolist())
    assert [mass for _, mass in boards] == sorted((mass for _, mass in boards), reverse=True)


@pytest.mark.parametrize(
    ("start", "options"),
    [
        (Start(-1), {}),
        (Start(1 << 26), {}),
        (Start(1, 0.0), {}),
        (Start(1, float("nan")), {}),
        (Start(1), {"walkers": 0}),
        (Start(1), {"walkers": 10**9}),
        (Start(1), {"restart": 0.0}),
    ],
)
def test_starts_and_settings_out_of_bounds_are_refused(start: Start, options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        walk(walkable(graph(*saves()[:2])), [start], **options)  # type: ignore[arg-type]


def test_a_built_graph_reads_back_and_names_its_nodes() -> None:
    links = graph(*saves())
    back = from_arrays(links.arrays(), links.values)
    for name, array in links.arrays().items():
        assert np.array_equal(array, back.arrays()[name]), name
    assert [back.board_node(back.board_name(at)) for at in range(len(back.guests))] == list(
        range(len(back.guests))
    )
    assert back.board_node("zzz") == back.board_node("") == -1
    assert back.pin_nodes([10**6, -5]).tolist() == [-1, -1]


@pytest.mark.parametrize(
    "name", ["pin_links", "board_links", "pin_offsets", "board_offsets", "ends", "guests"]
)
def test_arrays_that_do_not_fit_together_are_refused(name: str) -> None:
    links = graph(*saves())
    arrays = links.arrays()
    broken = arrays[name].copy()
    broken[-1] = broken[-1] + 100 if "links" in name or "offsets" in name or name == "ends" else 0
    arrays[name] = broken[:-1] if name == "guests" else broken
    with pytest.raises(UsageError, match="visualsearch learn"):
        from_arrays(arrays, links.values)


def test_weights_are_kept_in_steps_of_the_largest_of_a_list() -> None:
    pin, board = np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32)
    links = build(
        pin, board, np.arange(2, dtype=np.int64), ["a", "b"], weights=np.array([1, 0.25, 0.001], np.float32)
    )
    shift = links.shifts[1]
    assert sorted((links.pins.links[:2] >> shift).tolist()) == [7, 31]
    assert (links.pins.links[2:] >> shift).tolist() == [31]  # the only link of a pin weighs all
