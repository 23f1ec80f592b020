"""How good a ranking is: pure functions over arrays, numpy only.

Every function takes `scores`, (q, n) float, where higher is better, and what is relevant, (q, n). It gives one number per
query, (q,) float64 in 0..1. The figure of a benchmark is their mean.

Items of equal score have no order of their own. So each function gives the expectation over all orders of the tied items
(McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores",
ECIR 2008). A model that gives every item the same score then earns what chance would.

All raise UsageError for shapes that do not fit, scores that are NaN, and a k outside 1..n.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError

Floats = NDArray[np.floating[Any]]
Float64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


def precision_at_k(scores: Floats, relevant: Flags, k: int) -> Float64:
    """Share of the k best items that are relevant. `relevant` (q, n) bool. P@10 of category search.

    Source: Manning, Raghavan and Schütze, "Introduction to Information Retrieval" (2008), section 8.4.
    """
    _check(scores, relevant, k)
    return _found(scores, relevant, k) / k


def recall_at_k(scores: Floats, relevant: Flags, k: int) -> Float64:
    """Share of the relevant items that are among the k best. `relevant` (q, n) bool, at least one a query.

    Source: Manning, Raghavan and Schütze (2008), section 8.3. With one relevant item a query it equals `hit_rate`.
    """
    _check(scores, relevant, k)
    return _found(scores, relevant, k) / _totals(relevant)


def hit_rate(scores: Floats, relevant: Flags, k: int) -> Float64:
    """Chance that at least one relevant item is among the k best: R@1 and R@10 of matching pairs.

    `relevant` (q, n) bool; a query with none scores 0. This is what the image-text literature calls recall at k
    (Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments", CVPR 2015).
    """
    _check(scores, relevant, k)
    best = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    above, tied = (scores > best).sum(1), scores == best
    sizes, right = tied.sum(1), (tied & relevant).sum(1)
    out = np.zeros(len(scores))
    for row in np.flatnonzero((above < k) & relevant.any(1)):
        size, slots = int(sizes[row]), min(k - int(above[row]), int(sizes[row]))
        out[row] = 1 - comb(size - int(right[row]), slots) / comb(size, slots)
    return out


def pair_recall(scores: Floats, targets: NDArray[np.integer[Any]], k: int) -> Float64:
    """`hit_rate` where query i has the one right answer `targets[i]`, (q,) int in 0..n-1."""
    return hit_rate(scores, one_hot(targets, scores), k)


def zero_shot(scores: Floats, labels: NDArray[np.integer[Any]]) -> Float64:
    """Whether the class of the best score is the true one: zero-shot top-1 accuracy.

    `scores` (q, classes): cosines of pictures and class names; `labels` (q,) int. Source: Radford et al., "Learning
    Transferable Visual Models From Natural Language Supervision", 2021, section 3.1.
    """
    return pair_recall(scores, labels, 1)


def average_precision(scores: Floats, relevant: Flags) -> Float64:
    """Mean of the precisions at the rank of each relevant item; averaged over queries it is mAP.

    `relevant` (q, n) bool, at least one a query. Source: Manning, Raghavan and Schütze (2008), section 8.4; the
    expectation over ties: McSherry and Najork (2008).
    """
    _check(scores, relevant, 1)
    totals = _totals(relevant)
    out = np.zeros(len(scores))
    for row, (start, sizes, order) in enumerate(_groups(scores)):
        hits = np.add.reduceat(relevant[row, order].astype(np.int64), start)
        before = np.cumsum(hits) - hits
        for first, size, right, earlier in zip(start, sizes, hits, before, strict=True):
            if not right:
                continue
            # Given that place j of the group is relevant, each of its j - 1 companions ahead is so with
            # probability (right - 1) / (size - 1).
            ahead = np.arange(size)
            inside = ahead * ((right - 1) / (size - 1)) if size > 1 else np.zeros(1)
            out[row] += float((right / size * (earlier + 1 + inside) / (first + ahead + 1)).sum())
    return out / totals


def ndcg_at_k(scores: Floats, gains: Floats, k: int) -> Float64:
    """Discounted gain of the k best items over that of the best possible order.

    `gains` (q, n) float >= 0, some positive for each query; the item at rank r counts gain / log2(1 + r). Source:
    Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", TOIS 2002, with the discount of
    Burges et al., ICML 2005, and linear gain; tied items share the mean of their gains.
    """
    _check(scores, gains, k)
    if not np.isfinite(gains).all() or (gains < 0).any() or not (gains > 0).any(1).all():
        raise UsageError(
            "these gains cannot be normalised",
            "each must be finite and 0 or more, and every query needs a positive one",
            "Leave out the queries that nothing is relevant to",
        )
    discounts = 1 / np.log2(np.arange(2, k + 2))
    out = np.zeros(len(scores))
    for row, (start, sizes, order) in enumerate(_groups(scores)):
        shared = np.repeat(np.add.reduceat(gains[row, order].astype(np.float64), start) / sizes, sizes)
        ideal = np.sort(gains[row])[::-1]
        out[row] = (shared[:k] * discounts).sum() / (ideal[:k] * discounts).sum()
    return out


def recall_against_exact(exact: Floats, found: Floats, tolerance: float = 1e-6) -> Float64:
    """Share of the exact k nearest that an approximate search found, ties counted fairly.

    `exact` (q, k): true scores of the exact top k; `found` (q, m), m <= k or more: true scores of the distinct
    items that the approximate search returned, padded with -inf. An item as good as the k-th exact one (within
    `tolerance`, the rounding of float32 cosines) counts whichever of the equals it is. Source: Aumüller,
    Bernhardsson and Faithfull, "ANN-Benchmarks", Information Systems 2020, section 2.1 (there with distances).
    """
    if exact.ndim != 2 or found.ndim != 2 or len(exact) != len(found) or exact.shape[1] == 0:
        raise UsageError(
            f"scores of shape {exact.shape} and {found.shape} cannot be compared",
            "they must be (q, k) and (q, m) with k >= 1",
            "Pass one row a query in both",
        )
    if np.isnan(exact).any() or np.isnan(found).any():
        raise UsageError("the scores hold NaN", "they cannot be compared", "Pad missing results with -inf")
    k = exact.shape[1]
    good: Float64 = (found >= exact.min(1, keepdims=True) - tolerance).sum(1).clip(max=k) / k
    return good


def one_hot(targets: NDArray[np.integer[Any]], like: NDArray[Any]) -> Flags:
    """(q,) int -> (q, n) bool with one True a row; n is that of `like`, (q, n)."""
    if like.ndim != 2 or targets.shape != like.shape[:1]:
        raise UsageError(
            f"{targets.shape} targets do not fit scores of shape {like.shape}",
            "there must be one target a query",
            "Pass (q,) and (q, n)",
        )
    if len(targets) and not (targets.min() >= 0 and targets.max() < like.shape[1]):
        raise UsageError(
            "a target is outside the items", f"there are {like.shape[1]} of them", "Count targets from 0"
        )
    found: Flags = np.arange(like.shape[1]) == targets[:, None]
    return found


def _check(scores: NDArray[Any], relevant: NDArray[Any], k: int) -> None:
    if scores.ndim != 2 or scores.shape != relevant.shape or 0 in scores.shape:
        raise UsageError(
            f"scores of shape {scores.shape} and relevance of shape {relevant.shape} do not fit",
            "both must be (q, n) with at least one query and one item",
            "Pass one row a query and one column an item",
        )
    if np.isnan(scores).any():
        raise UsageError("the scores hold NaN", "they cannot be ranked", "Check the vectors they come from")
    if not 1 <= k <= scores.shape[1]:
        raise UsageError(
            f"k is {k}", f"there are {scores.shape[1]} items", "Choose a k from 1 to the number of items"
        )


def _totals(relevant: Flags) -> NDArray[np.int64]:
    totals: NDArray[np.int64] = relevant.sum(1)
    if not totals.all():
        raise UsageError(
            f"nothing is relevant to query {int(np.flatnonzero(totals == 0)[0])}",
            "the measure divides by the number of relevant items",
            "Leave such queries out",
        )
    return totals


def _found(scores: NDArray[Any], relevant: Flags, k: int) -> Float64:
    """Expected number of relevant items among the k best, (q,)."""
    edge = np.partition(scores, -k, axis=1)[:, -k, None]
    above, tied = scores > edge, scores == edge
    share = (k - above.sum(1)) / tied.sum(1)
    found: Float64 = (above & relevant).sum(1) + share * (tied & relevant).sum(1)
    return found


def _groups(scores: NDArray[Any]) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """For each query: where each run of equal scores starts, how long it is, and the order best first."""
    out = []
    for row in scores:
        order = np.argsort(-row, kind="stable")
        ranked = row[order]
        start = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        out.append((start, np.diff(np.r_[start, len(row)]), order))
    return out
