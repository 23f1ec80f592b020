"""Item-kNN: pins that the same people saved, by cosine with shrinkage; each pin keeps its k nearest."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from visualsearch.recommend import Matrix, strongest

from .base import Peer, Scores, Settings, dense


def learn(matrix: Matrix, settings: Settings, seed: int) -> Scores:
    """Cosine c / (|i| |j| + shrink), then scores by the row of saves."""
    norms = np.sqrt(np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)).astype(np.float32)
    turned = matrix.T.tocsr()
    parts = []
    for at in range(0, matrix.shape[1], 1024):
        block = (turned[at : at + 1024] @ matrix).tocsr()
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        block.data /= norms[at + rows] * norms[block.indices] + np.float32(settings["shrink"])
        block.data[at + rows == block.indices] = 0.0
        parts.append(strongest(block, int(settings["k"])))
    # Each pin's neighbours stand in its column: a pin is scored by those of its own neighbours that the person saved.
    weights = sparse.vstack(parts).tocsr().T.tocsr()
    return lambda persons: dense(matrix[persons] @ weights)


ITEM_KNN = Peer(
    "item-knn", tuple({"k": k, "shrink": shrink} for k in (100, 400, 50) for shrink in (0, 10)), learn
)
