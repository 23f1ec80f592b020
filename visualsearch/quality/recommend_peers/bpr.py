"""Bayesian personalised ranking of the package `implicit` (Rendle et al. 2009)."""

from __future__ import annotations

import itertools

from visualsearch.recommend import Matrix

from .base import Peer, Scores, Settings


def learn(matrix: Matrix, settings: Settings, seed: int) -> Scores:
    """Factors of persons and pins."""
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=128,
        learning_rate=settings["learning_rate"],
        regularization=settings["regularization"],
        iterations=100,
        random_state=seed,
    )
    model.fit(matrix, show_progress=False)
    return lambda persons: model.user_factors[persons] @ model.item_factors.T


BPR = Peer(
    "implicit-bpr",
    tuple(
        {"learning_rate": rate, "regularization": regularization}
        for rate, regularization in itertools.product((0.05, 0.1), (0.01, 0.001))
    ),
    learn,
    package="implicit",
)
