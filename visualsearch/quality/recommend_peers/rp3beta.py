"""RP3beta: walks of three steps from person to pin to person to pin, divided by popularity^beta (Paudel et al. 2017)."""

from __future__ import annotations

from visualsearch.recommend import Matrix, neighbours

from .base import Peer, Scores, Settings, dense


def learn(matrix: Matrix, settings: Settings, seed: int) -> Scores:
    """The transition matrix of each pin, its k largest entries kept."""
    weights = neighbours(matrix, settings["alpha"], settings["beta"], int(settings["k"]))
    return lambda persons: dense(matrix[persons] @ weights)


RP3BETA = Peer(
    "rp3beta",
    tuple(
        {"alpha": alpha, "beta": beta, "k": k}
        for k in (400, 100)
        for alpha in (1.0, 0.8)
        for beta in (0.4, 0.6, 0.2)
    ),
    learn,
)
