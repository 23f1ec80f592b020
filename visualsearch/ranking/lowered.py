"""Some pins after all others: what is in doubt is still found, and leads no page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Float32

from .base import BY_COSINE, Candidates, Context, Ranker, Ranking


@dataclass(frozen=True)
class Lowered:
    """Orders as `base` does, and puts the pins named in `ids` behind the other candidates. `lowered` (0 or 1) is a signal."""

    base: Ranker = BY_COSINE
    ids: Collection[str] = frozenset()

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates that `base` keeps."""
        first = self.base.rank(candidates, context)
        low = np.fromiter((name in self.ids for name in candidates.ids), bool, len(candidates))
        behind = low[first.order]
        order = np.concatenate([first.order[~behind], first.order[behind]])
        lowered: Float32 = low.astype(np.float32)
        return Ranking(order, first.rank_score, {**first.signals, "lowered": lowered})
