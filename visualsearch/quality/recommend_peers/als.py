"""Implicit ALS of the package `implicit` (Hu, Koren, Volinsky 2008)."""

from __future__ import annotations

import itertools

from visualsearch.recommend import Matrix

from .base import Peer, Scores, Settings


def learn(matrix: Matrix, settings: Settings, seed: int) -> Scores:
    """Factors of persons and pins."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=settings["factors"],
        regularization=settings["regularization"],
        alpha=settings["alpha"],
        iterations=15,
        random_state=seed,
    )
    model.fit(matrix, show_progress=False)
    return lambda persons: model.user_factors[persons] @ model.item_factors.T


ALS = Peer(
    "implicit-als",
    tuple(
        {"factors": factors, "alpha": alpha, "regularization": regularization}
        for factors, alpha, regularization in itertools.product((128, 256), (10.0, 3.0), (1.0, 10.0))
    ),
    learn,
    package="implicit",
)
