"""Recommendation: what to show a person next, from what people saved and from what the pins look like.

It stands below the engine: it asks for small protocols (`Gallery`), and never for an Index.
"""

from __future__ import annotations

from .asking import doubted_of
from .base import Gallery
from .boards_like import BoardHit, boards_like
from .builders import BUILDERS
from .collaborative import Fitted, Weights, fit, friends_of
from .cursor import check as check_cursor
from .feed import FeedRanker, feed, less
from .ideas import ideas
from .interests import Interest, Interests, Kind, interests_of
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
from .moved import REACH, TaughtOrder, moved, related_for, taught_order
from .personal import EXACT, Personal, personal_term, search_for
from .related import Blend, graph_for, related
from .sensitive import Topics, allowed, topics_of
from .taught import SIGNAL_NAMES, TAUGHT, TAUGHT_PARTS, Taught, TaughtRanker, taught_of, taught_signals
from .trying import cursor_after, new_hits, new_pins
from .why import by_sight, more, quoted

__all__ = [
    "BUILDERS",
    "EXACT",
    "FIGURES",
    "FOLLOWS",
    "PAIRS",
    "REACH",
    "SIGNAL_NAMES",
    "TAUGHT",
    "TAUGHT_PARTS",
    "Blend",
    "BoardHit",
    "Builder",
    "Built",
    "FeedRanker",
    "Fitted",
    "Gallery",
    "Interest",
    "Interests",
    "Kind",
    "LearnReport",
    "Learnt",
    "Matrix",
    "Outcome",
    "Part",
    "Personal",
    "Saves",
    "Taught",
    "TaughtOrder",
    "TaughtRanker",
    "Topics",
    "Weights",
    "allowed",
    "best",
    "boards_like",
    "by_sight",
    "check_cursor",
    "cursor_after",
    "cut",
    "doubted_of",
    "ease",
    "feed",
    "figures",
    "fit",
    "forbid",
    "friends_of",
    "graph_for",
    "ideas",
    "interests_of",
    "interval",
    "learn",
    "less",
    "matrix_batches",
    "matrix_of",
    "more",
    "moved",
    "neighbours",
    "new_hits",
    "new_pins",
    "open_learnt",
    "personal_term",
    "positions",
    "quoted",
    "read_pairs",
    "read_saves",
    "related",
    "related_for",
    "search_for",
    "strongest",
    "taught_of",
    "taught_order",
    "taught_signals",
    "text_list",
    "texts_arrays",
    "topics_of",
    "write_learnt",
]
