"""Recommendation: what to show a person next, from what people saved and from what the pins look like.

It stands below the engine: it asks for small protocols (`Gallery`), and never for an Index.
"""

from __future__ import annotations

from .base import Gallery
from .builders import BUILDERS
from .collaborative import Fitted, Weights, fit, friends_of
from .learning import Builder, Built, LearnReport, Outcome, learn
from .learnt import Learnt, Part, open_learnt, text_list, texts_arrays, write_learnt
from .linear import ease, neighbours, strongest
from .matrix import (
    FIGURES,
    FOLLOWS,
    PAIRS,
    Matrix,
    Saves,
    best,
    cut,
    figures,
    forbid,
    interval,
    matrix_batches,
    matrix_of,
    positions,
    read_pairs,
    read_saves,
)

__all__ = [
    "BUILDERS",
    "FIGURES",
    "FOLLOWS",
    "PAIRS",
    "Builder",
    "Built",
    "Fitted",
    "Gallery",
    "LearnReport",
    "Learnt",
    "Matrix",
    "Outcome",
    "Part",
    "Saves",
    "Weights",
    "best",
    "cut",
    "ease",
    "figures",
    "fit",
    "forbid",
    "friends_of",
    "interval",
    "learn",
    "matrix_batches",
    "matrix_of",
    "neighbours",
    "open_learnt",
    "positions",
    "read_pairs",
    "read_saves",
    "strongest",
    "text_list",
    "texts_arrays",
    "write_learnt",
]
