"""Spam accounts by whom they know: a few labels, some of them wrong, spread over the graph of who follows whom.

Label spreading (Zhou, Bousquet, Lal, Weston and Schölkopf, "Learning with local and global consistency", NIPS 2003) with a weak
pull to the labels. Each label is averaged with those of a whole neighbourhood, so that wrong ones drown. SybilSCAR (Wang, Zhang
and Gong, INFOCOM 2017) keeps each label's own prior, and so keeps the wrong ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError

PULL = 0.01
"""How much of each step a label keeps of itself."""
STEPS = 200
ENOUGH = 1e-6


def spread_labels(
    edges: NDArray[np.int64], people: int, labelled: NDArray[np.int64], spam: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(people,) float64, higher for spam, 0 for who is connected to no labelled person.

    `edges` (m, 2) int64 pairs of people 0..people-1; direction and repeats are ignored. `labelled` (l,) int64 people, `spam`
    (l,) bool. Raises UsageError for a number outside the graph, or labels of one kind only.
    """
    from scipy import sparse

    for name, numbers in (("an edge", edges), ("a label", labelled)):
        if len(numbers) and not (int(numbers.min()) >= 0 and int(numbers.max()) < people):
            raise UsageError(
                f"{name} names a person outside the graph",
                f"there are {people:,} people",
                "Number them from 0",
            )
    if len(spam) != len(labelled) or spam.all() or not spam.any():
        raise UsageError(
            "labels cannot be spread",
            f"{int(spam.sum())} of {len(spam)} are spam",
            "Label at least one of each kind",
        )
    pairs = edges[edges[:, 0] != edges[:, 1]]
    one = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(people, people))
    graph = ((one + one.T) > 0).astype(np.float64)
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1.0)
    scale = sparse.diags(degree**-0.5)
    step = scale @ graph @ scale
    start = np.zeros(people)
    # Each kind's labels weigh the same together, so that the rarer kind is not outvoted.
    start[labelled] = np.where(spam, 1 / spam.sum(), -1 / (~spam).sum())
    found = start.copy()
    for _ in range(STEPS):
        moved = (1 - PULL) * (step @ found) + PULL * start
        change = float(np.abs(moved - found).max())
        found = moved
        if change < ENOUGH * PULL * float(np.abs(start).max()):
            break
    out: NDArray[np.float64] = found / np.sqrt(degree)
    return out
