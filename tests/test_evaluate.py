"""Ranking measures: hand-computed values, and brute force over every order of tied items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visualsearch import evaluate
from visualsearch.errors import UsageError

# One query, five items; the relevant ones stand at ranks 1, 3 and 5.
SCORES = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
RELEVANT = np.array([[True, False, True, False, True]])


@pytest.mark.parametrize(
    ("k", "precision", "recall"), [(1, 1, 1 / 3), (2, 1 / 2, 1 / 3), (3, 2 / 3, 2 / 3), (5, 3 / 5, 1)]
)
def test_precision_and_recall_count_the_relevant_among_the_k_best(
    k: int, precision: float, recall: float
) -> None:
    assert evaluate.precision_at_k(SCORES, RELEVANT, k) == pytest.approx([precision])
    assert evaluate.recall_at_k(SCORES, RELEVANT, k) == pytest.approx([recall])


def test_average_precision_is_the_mean_precision_at_the_relevant_ranks() -> None:
    assert evaluate.average_precision(SCORES, RELEVANT) == pytest.approx([(1 + 2 / 3 + 3 / 5) / 3])


def test_ndcg_divides_the_discounted_gain_by_the_best_possible() -> None:
    gains = np.array([[0.0, 3.0, 0.0, 1.0, 2.0]])
    got = 3 / log2(3) + 1 / log2(5)
    best = 3 + 2 / log2(3) + 1 / log2(4)
    assert evaluate.ndcg_at_k(SCORES, gains, 4) == pytest.approx([got / best])


def test_matching_pairs_are_found_by_the_rank_of_the_one_right_answer() -> None:
    scores = np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.5], [0.3, 0.2, 0.1]])
    targets = np.array([1, 2, 2])  # ranks 1, 2, 3
    assert evaluate.pair_recall(scores, targets, 1).tolist() == [1, 0, 0]
    assert evaluate.pair_recall(scores, targets, 2).tolist() == [1, 1, 0]
    assert evaluate.zero_shot(scores, targets).mean() == pytest.approx(1 / 3)


def test_a_model_that_knows_nothing_earns_what_chance_would() -> None:
    same = np.zeros((4, 20))
    targets = np.array([0, 5, 10, 19])  # the place in the store must not matter
    assert evaluate.pair_recall(same, targets, 1) == pytest.approx(np.full(4, 1 / 20))
    assert evaluate.pair_recall(same, targets, 10) == pytest.approx(np.full(4, 1 / 2))


def test_a_query_without_a_relevant_item_hits_nothing_but_has_no_recall() -> None:
    nothing = np.zeros((1, 5), dtype=bool)
    assert evaluate.hit_rate(SCORES, nothing, 5).tolist() == [0]
    assert evaluate.precision_at_k(SCORES, nothing, 5).tolist() == [0]
    for measure in (
        lambda: evaluate.recall_at_k(SCORES, nothing, 1),
        lambda: evaluate.average_precision(SCORES, nothing),
    ):
        with pytest.raises(UsageError, match="nothing is relevant to query 0"):
            measure()
    with pytest.raises(UsageError, match="gains"):
        evaluate.ndcg_at_k(SCORES, np.zeros((1, 5)), 1)


def test_an_approximate_result_is_not_blamed_for_which_of_two_equals_it_found() -> None:
    exact = np.array([[0.9, 0.8, 0.5], [0.9, 0.8, 0.7]])
    # The first found another item that is as good as the third; the second missed one.
    found = np.array([[0.9, 0.8, 0.5 - 1e-8], [0.9, 0.7, -np.inf]])
    assert evaluate.recall_against_exact(exact, found) == pytest.approx([1, 2 / 3])
    assert evaluate.recall_against_exact(exact, np.full((2, 1), 0.95)) == pytest.approx([1 / 3, 1 / 3])
    more_than_k = np.array([[0.9, 0.8, 0.5, 0.5, 0.5], [0.9, 0.8, 0.7, 0.1, 0.1]])
    assert evaluate.recall_against_exact(exact, more_than_k).tolist() == [1, 1]


@pytest.mark.parametrize("k", [0, 6])
def test_a_k_outside_the_items_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match="5 items"):
        evaluate.precision_at_k(SCORES, RELEVANT, k)


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    with pytest.raises(UsageError, match="NaN"):
        evaluate.hit_rate(np.array([[np.nan, 1.0]]), np.array([[True, False]]), 1)
    with pytest.raises(UsageError, match="NaN"):
        evaluate.recall_against_exact(np.array([[1.0]]), np.array([[np.nan]]))
    with pytest.raises(UsageError, match="do not fit"):
        evaluate.hit_rate(SCORES, RELEVANT[:, :4], 1)
    with pytest.raises(UsageError, match="cannot be compared"):
        evaluate.recall_against_exact(np.ones((2, 1)), np.ones((1, 1)))
    for targets in ([5], [-1], [0, 1]):
        with pytest.raises(UsageError, match="target"):
            evaluate.pair_recall(SCORES, np.array(targets), 1)


# Brute force: a plain measure of one order, averaged over all orders that the scores allow.

Measure = Callable[[Sequence[float], int], float]


def plain_precision(ranked: Sequence[float], k: int) -> float:
    return sum(g > 0 for g in ranked[:k]) / k


def plain_recall(ranked: Sequence[float], k: int) -> float:
    return sum(g > 0 for g in ranked[:k]) / sum(g > 0 for g in ranked)


def plain_hit(ranked: Sequence[float], k: int) -> float:
    return float(any(g > 0 for g in ranked[:k]))


def plain_average_precision(ranked: Sequence[float], _: int) -> float:
    at = [plain_precision(ranked, i + 1) for i, g in enumerate(ranked) if g > 0]
    return sum(at) / len(at)


def plain_ndcg(ranked: Sequence[float], k: int) -> float:
    def dcg(gains: Sequence[float]) -> float:
        return sum(g / log2(2 + i) for i, g in enumerate(gains[:k]))

    return dcg(ranked) / dcg(sorted(ranked, reverse=True))


OURS: dict[Measure, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    plain_precision: lambda s, g, k: evaluate.precision_at_k(s, g > 0, k),
    plain_recall: lambda s, g, k: evaluate.recall_at_k(s, g > 0, k),
    plain_hit: lambda s, g, k: evaluate.hit_rate(s, g > 0, k),
    plain_average_precision: lambda s, g, _: evaluate.average_precision(s, g > 0),
    plain_ndcg: evaluate.ndcg_at_k,
}

items = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=5)


@given(items.filter(lambda pairs: any(gain for _, gain in pairs)), st.integers(1, 5))
def test_every_measure_is_its_mean_over_all_orders_of_tied_items(
    pairs: list[tuple[int, int]], k: int
) -> None:
    k = min(k, len(pairs))
    orders = [p for p in permutations(pairs) if all(a[0] >= b[0] for a, b in pairwise(p))]
    scores = np.array([[score for score, _ in pairs]], np.float32)
    gains = np.array([[gain for _, gain in pairs]], np.float64)
    for plain, ours in OURS.items():
        expected = np.mean([plain([gain for _, gain in order], k) for order in orders])
        assert ours(scores, gains, k) == pytest.approx([expected]), plain.__name__


@given(st.integers(1, 6), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_queries_do_not_influence_one_another(queries: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (queries, n)).astype(np.float32)
    gains = rng.integers(0, 2, (queries, n)).astype(np.float64)
    gains[:, 0] = 1
    for ours in OURS.values():
        together = ours(scores, gains, min(n, 3))
        alone = [ours(scores[i : i + 1], gains[i : i + 1], min(n, 3))[0] for i in range(queries)]
        assert together == pytest.approx(alone)
        assert ((together >= 0) & (together <= 1 + 1e-12)).all()
