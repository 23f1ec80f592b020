"""Who stands in which cell, so that nobody stands in more than a few: what bounds what a person adds to a release."""

from __future__ import annotations

import numpy as np

from visualsearch.types import Int64


def bounded(person: Int64, cell: Int64, most: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
    """Pairs of a person and a cell, each pair once, and of each person at most `most`, drawn evenly. Both (n,) -> (m,).

    What is drawn of one person depends on nobody else, so one person more or less changes at most `most` counts, by 1 each.
    """
    width = int(cell.max(initial=0)) + 1
    pairs = np.unique(person * width + cell)
    who, what = pairs // width, pairs % width
    order = np.lexsort((rng.random(len(who)), who))
    who, what = who[order], what[order]
    first = np.searchsorted(who, who)
    kept = np.arange(len(who)) - first < most
    return who[kept], what[kept]


def counted(person: Int64, cell: Int64, cells: int, most: int, rng: np.random.Generator) -> Int64:
    """(cells,) how many people stand in each cell, each person in at most `most` of them."""
    _, what = bounded(person, cell, most, rng)
    return np.bincount(what, minlength=cells).astype(np.int64)
