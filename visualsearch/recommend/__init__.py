"""Recommendation: what to show a person next, from what people saved and from what the pins look like.

It stands below the engine: it asks for small protocols (`Gallery`), and never for an Index.
"""

from __future__ import annotations

from .base import Gallery
from .builders import BUILDERS
from .learning import Builder, Built, LearnReport, Outcome, learn
from .learnt import Learnt, Part, open_learnt, text_list, texts_arrays, write_learnt
from .why import by_sight, more, on_boards, quoted

__all__ = [
    "BUILDERS",
    "Builder",
    "Built",
    "Gallery",
    "LearnReport",
    "Learnt",
    "Outcome",
    "Part",
    "by_sight",
    "learn",
    "more",
    "on_boards",
    "open_learnt",
    "quoted",
    "text_list",
    "texts_arrays",
    "write_learnt",
]
