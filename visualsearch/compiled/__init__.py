"""Compiled loops (extra `fast`): loaded at first use, with plain numpy beside them."""

from .loader import Loops, loop
from .search import Graph, accelerate, count_search, loops
from .walks import WALKS, Scratch, Side, frozen

__all__ = [
    "WALKS",
    "Graph",
    "Loops",
    "Scratch",
    "Side",
    "accelerate",
    "count_search",
    "frozen",
    "loop",
    "loops",
]
