"""EASE: the closed form of a linear autoencoder without self-loops (Steck, arXiv 1905.03375)."""

from __future__ import annotations

import numpy as np

from visualsearch.recommend import Matrix, ease

from .base import Peer, Scores, Settings, dense


def learn(matrix: Matrix, settings: Settings, seed: int) -> Scores:
    """B of the ridge `l2`."""
    mean = float(np.bincount(matrix.indices, minlength=matrix.shape[1]).mean())
    weights = ease(matrix, 0.0, settings["l2"] / mean)
    return lambda persons: dense(matrix[persons] @ weights)


EASE = Peer("ease", tuple({"l2": l2} for l2 in (500, 250, 1000, 100, 2000)), learn)
