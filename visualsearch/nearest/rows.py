"""The open rows of an index: vectors, which of them are alive, and the approximate index over them. It knows no catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from visualsearch.store import Generation, Vectors
from visualsearch.types import Bool, Float32, Int64

from . import ann
from .exact import scan


@dataclass(frozen=True)
class Rows:
    """All rows of one state of an index, with its approximate index.

    `alive` is (n,) bool over positions, `live` how many are alive. `ann` is the loaded index of `generation`, or None.
    """

    vectors: Vectors
    alive: Bool
    generation: Generation | None
    ann: Any
    live: int

    @property
    def covers(self) -> int:
        """Positions 0 .. covers-1 are in the approximate index; the others are fresh."""
        return self.generation.covers if self.generation else 0

    @property
    def search(self) -> Mapping[str, Any]:
        """The approximate index's own search parameters."""
        return self.generation.search if self.generation else {}

    @property
    def candidates(self) -> int:
        """How many candidates the approximate index is asked for, for each result wanted."""
        return int(self.search.get("candidates", 10))


def approximate(rows: Rows, query: Float32, fetch: int, allowed: Bool | None) -> Int64 | None:
    """Candidates of the approximate index, whatever it costs, and of the fresh rows, which are searched exactly.

    None where the query is foreign to the index.
    """
    covers = rows.covers
    old = None if allowed is None else allowed[:covers]
    count = min(fetch * rows.candidates, covers)
    found = ann.search(rows.ann, query, count, rows.search, old)
    return None if found is None else with_fresh(rows, query, fetch, allowed, found)


def with_fresh(rows: Rows, query: Float32, fetch: int, allowed: Bool | None, found: Int64) -> Int64:
    """Candidates of the approximate index and those of the rows that it does not hold yet."""
    if rows.covers == len(rows.vectors):
        return found
    fresh = scan(rows.vectors, query, fetch, rows.covers, None, allowed)[1]
    return np.concatenate([found, fresh])
