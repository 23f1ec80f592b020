"""Recommendation: what to show a person next, from what people saved and from what the pins look like.

It stands below the engine: it asks for small protocols (`Gallery`), and never for an Index.
"""

from __future__ import annotations

from .base import Gallery
from .builders import BUILDERS
from .learning import Builder, Built, LearnReport, Outcome, learn
from .learnt import Learnt, Part, open_learnt, text_list, texts_arrays, write_learnt
from .related import Blend, graph_for, related
from .why import by_sight, more, quoted

__all__ = [
    "BUILDERS",
    "Blend",
    "Builder",
    "Built",
    "Gallery",
    "LearnReport",
    "Learnt",
    "Outcome",
    "Part",
    "by_sight",
    "graph_for",
    "learn",
    "more",
    "open_learnt",
    "quoted",
    "related",
    "text_list",
    "texts_arrays",
    "write_learnt",
]
