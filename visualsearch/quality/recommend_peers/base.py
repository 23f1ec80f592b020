"""A peer is a name, a grid of settings, and a function that learns. All are tuned in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from visualsearch.recommend import Matrix, best, cut, figures, forbid, matrix_batches
from visualsearch.types import Float32, Int64

Settings = Mapping[str, Any]
Scores = Callable[[Int64], Float32]
"""Positions of persons -> (n, pins) float32."""
SAMPLE = 4000


@dataclass(frozen=True)
class Peer:
    """`learn(matrix, settings, seed)` gives a function from persons to scores. `grid` is tried in order. `package` is what
    must be installed."""

    name: str
    grid: Sequence[Settings]
    learn: Callable[[Matrix, Settings, int], Scores]
    package: str = ""


@dataclass(frozen=True)
class Tuned:
    """A peer's lists for all persons, the settings that were chosen, how many of the grid were tried, and the time."""

    lists: Int64
    settings: Settings
    tried: int
    of: int
    seconds: float


def missing(peer: Peer) -> str:
    """The command that installs what a peer needs; empty where it is there."""
    return f"pip install {peer.package}" if peer.package and find_spec(peer.package) is None else ""


def tuned(peer: Peer, matrix: Matrix, seconds: float, seed: int) -> Tuned:
    """Choose settings by recall@20 on a fifth of each person's saves, then learn from all of them.

    A setting is not begun when the last one's time no longer fits into the budget, twice.
    """
    started = time.perf_counter()
    chosen, value, tried, step = peer.grid[0], -1.0, 0, 0.0
    if len(peer.grid) > 1:
        kept, aside = cut(matrix, 0.2, seed)
        some = np.flatnonzero(np.diff(aside.indptr) > 0)
        persons = np.sort(np.random.default_rng(seed).permutation(some)[:SAMPLE])
        for settings in peer.grid:
            began = time.perf_counter()
            if tried and began - started + 2.5 * step > seconds:
                break
            lists = listed(peer.learn(kept, settings, seed), kept, persons)
            got = float(figures(lists, aside[persons])[:, 1].mean())
            chosen, value = (settings, got) if got > value else (chosen, value)
            tried, step = tried + 1, time.perf_counter() - began
    lists = listed(peer.learn(matrix, chosen, seed), matrix, np.arange(matrix.shape[0]))
    return Tuned(lists, chosen, max(tried, 1), len(peer.grid), time.perf_counter() - started)


def listed(scores: Scores, matrix: Matrix, persons: Int64, k: int = 20) -> Int64:
    """The k best pins of each person that they have not saved."""
    parts = []
    for part in matrix_batches(persons):
        made = np.array(scores(part), dtype=np.float32)
        forbid(made, matrix[part])
        parts.append(best(made, k))
    return np.concatenate(parts)


def dense(product: Any) -> Float32:
    """A product of matrices as an array."""
    made: Float32 = product.toarray() if hasattr(product, "toarray") else np.asarray(product)
    return made
