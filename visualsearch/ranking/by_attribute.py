"""Sorting by an attribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Candidates, Context, Ranking


@dataclass(frozen=True)
class ByAttribute:
    """Orders by an attribute's values: numbers before texts, upwards, or downwards where `down`.

    Candidates without such a value come last, by cosine. `rank_score` falls from 1 to 0 along the order: texts have no number.
    """

    name: str
    down: bool = False

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates by that attribute."""
        values = candidates.values(self.name)
        having = [place for place, value in enumerate(values) if isinstance(value, str | int | float)]
        rest = [place for place, value in enumerate(values) if not isinstance(value, str | int | float)]
        having.sort(key=lambda place: _key(values[place]), reverse=self.down)
        order = np.array([*having, *rest], np.int64)
        scores = np.zeros(len(order), np.float32)
        scores[order] = 1 - np.arange(len(order), dtype=np.float32) / max(1, len(order))
        return Ranking(order, scores, {"cosine": candidates.cosine})


def _key(value: Any) -> tuple[bool, Any]:
    """Numbers before texts, each in their own order; texts without regard to case."""
    return (isinstance(value, str), value.casefold() if isinstance(value, str) else value)
