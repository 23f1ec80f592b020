"""Recommendation: what to show a person next, from what people saved and from what the pins look like.

It stands below the engine: it asks for small protocols (`Gallery`), and never for an Index.
"""

from __future__ import annotations

from .base import Gallery
from .boards_like import BoardHit, boards_like
from .builders import BUILDERS
from .collaborative import Fitted, Weights, fit, friends_of
from .ideas import ideas
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
from .related import Blend, graph_for, related
from .why import by_sight, more, quoted

__all__ = [
    "BUILDERS",
    "FIGURES",
    "FOLLOWS",
    "PAIRS",
    "Blend",
    "BoardHit",
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
    "boards_like",
    "by_sight",
    "cut",
    "ease",
    "figures",
    "fit",
    "forbid",
    "friends_of",
    "graph_for",
    "ideas",
    "interval",
    "learn",
    "matrix_batches",
    "matrix_of",
    "more",
    "neighbours",
    "open_learnt",
    "positions",
    "quoted",
    "read_pairs",
    "read_saves",
    "related",
    "strongest",
    "text_list",
    "texts_arrays",
    "write_learnt",
]
