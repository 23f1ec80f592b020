"""Compiled loops (extra `fast`): loaded at first use, with plain numpy beside them."""

from .loader import Loops, loop
from .search import Graph, accelerate, count_search, loops

__all__ = ["Graph", "Loops", "accelerate", "count_search", "loop", "loops"]
