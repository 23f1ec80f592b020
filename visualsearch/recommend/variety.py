"""Variety among what is recommended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visualsearch.ranking import varied

from .base import Gallery
from .looks import units

DEPTH = 4
"""The best 4 k are mixed, where k are wanted."""


def mixed(
    gallery: Gallery, names: Sequence[str], scores: Sequence[float], diversity: float, k: int
) -> list[int]:
    """The places of pins, best first as given, with variety among the first k: see `visualsearch.ranking.varied`.

    Scores of pins that are kept last, those below 0, are left where they are.
    """
    head = min(
        DEPTH * k, len(names), int(np.searchsorted(-np.asarray(scores, np.float64), 0.0, side="right"))
    )
    if not diversity or head < 3:
        return list(range(len(names)))
    vectors = units(gallery.vectors(list(names[:head])))
    first = varied(scores[:head], vectors, diversity, k).tolist()
    chosen = set(first)
    return [*first, *(at for at in range(len(names)) if at not in chosen)]
