"""A learnt map over the vectors of an index: likeness is measured behind the map, and nothing is embedded again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from visualsearch.types import Float32

from .base import Candidates, Context, Ranking, ranked

ADAPTED_DEPTH = 500
"""Candidates by cosine that are ordered by their likeness behind the map; later hits follow by cosine."""


@dataclass(frozen=True)
class Head:
    """A linear map of vectors: (x - `mean`) @ `turn`. `turn`: (d, r) float32, `mean`: (d,) float32.

    `share`, 0 to 1, is how much of the score is the likeness behind the map; the rest is the plain cosine.
    """

    turn: Float32 = field(repr=False)
    mean: Float32 = field(repr=False)
    share: float = 1.0

    def mapped(self, vectors: Float32) -> Float32:
        """(n, d) -> (n, r) unit vectors behind the map."""
        made = (np.asarray(vectors, np.float32) - self.mean) @ self.turn
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        return np.asarray(made / np.maximum(lengths, np.float32(1e-12)), np.float32)

    def likeness(self, queries: Float32, vectors: Float32, cosine: Float32) -> Float32:
        """(q, n) scores of (n, d) vectors for (q, d) queries; `cosine` (q, n) are their plain cosines."""
        behind = self.mapped(queries) @ self.mapped(vectors).T
        return np.asarray(self.share * behind + (1 - self.share) * cosine, np.float32)


@dataclass(frozen=True)
class Adapted:
    """Orders by the likeness behind a `Head`. `score` of a hit stays the cosine; `adapted` among the signals has the likeness."""

    head: Head

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates by their likeness to the query behind the map."""
        if context.query is None or not len(candidates):
            return ranked(candidates.cosine, {"cosine": candidates.cosine})
        scores = self.head.likeness(context.query[None], candidates.vectors, candidates.cosine[None])[0]
        return ranked(scores, {"cosine": candidates.cosine, "adapted": scores})
