"""Measures recommendation on a table of saves: ours and its peers, on the same split, with paired intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.recommend import (
    FIGURES,
    FOLLOWS,
    PAIRS,
    Matrix,
    Saves,
    figures,
    fit,
    friends_of,
    interval,
    matrix_of,
    positions,
    read_pairs,
    read_saves,
)
from visualsearch.types import Float64, Int64

Say = Callable[[str], None]
BESIDE = "follows.csv.gz"
"""A file of this name beside TRAIN is read where no other is named."""


@dataclass(frozen=True)
class Split:
    """Training saves, and for each tested person the test pins. `wanted` has a column for each training pin; `sizes` also count
    test pins that nobody saved in training, which no method can find. `at` is the person's row in training, -1 for a new one.
    """

    train: Saves
    at: Int64
    wanted: Matrix
    sizes: Int64


@dataclass(frozen=True)
class Measured:
    """What was measured: our figures, the method that was chosen, and each peer's figures with the interval of our gain."""

    figures: Mapping[str, float]
    method: str
    seconds: float
    persons: int
    validation: Mapping[str, float]
    peers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    follows: Mapping[str, Any] | None = None


def read_split(train: Path, test: Path, say: Say) -> Split:
    """Both tables. Test rows that stand in training are left out. Raises SourceError, UsageError."""
    saves = read_saves(train, say)
    rows, columns = read_pairs(test, PAIRS, say)
    people = {name: at for at, name in enumerate(saves.persons)}
    pins = {name: at for at, name in enumerate(saves.pins)}
    pairs = list(dict.fromkeys(zip(rows, columns, strict=True)))
    person = positions([a for a, _ in pairs], people)
    pin = positions([b for _, b in pairs], pins)
    width = saves.matrix.shape[1]
    trained = (
        np.repeat(np.arange(saves.matrix.shape[0]), np.diff(saves.matrix.indptr)) * width
        + saves.matrix.indices
    )
    seen = (person >= 0) & (pin >= 0) & np.isin(person * width + pin, trained)
    if seen.any():
        say(f"{test.name}: {int(seen.sum()):,} rows stand in {train.name} too, and are left out")
    if len(pairs) < len(rows):
        say(f"{test.name}: {len(rows) - len(pairs):,} rows stand twice and count once")
    if (pin < 0).any():
        say(
            f"{test.name}: {int((pin < 0).sum()):,} rows have a pin that is not in {train.name}: nothing can find them"
        )
    kept = [at for at in range(len(pairs)) if not seen[at]]
    if not kept:
        raise UsageError(
            f"nothing is left to test in {test}",
            f"all its rows stand in {train}",
            "Give saves that are not in it",
        )
    names = list(dict.fromkeys(pairs[at][0] for at in kept))
    tested = {name: at for at, name in enumerate(names)}
    row = positions([pairs[at][0] for at in kept], tested)
    column = pin[kept]
    known = column >= 0
    wanted = matrix_of(row[known], column[known], (len(names), len(saves.pins)))
    at = positions(names, people)
    if (at < 0).any():
        say(f"{test.name}: {int((at < 0).sum()):,} persons are not in {train.name}: they get what is popular")
    return Split(saves, at, wanted, np.bincount(row, minlength=len(names)).astype(np.int64))


def follows_file(train: Path, named: Path | None, say: Say) -> Path | None:
    """The file of follows: the one that is named, else `follows.csv.gz` beside TRAIN."""
    if named is not None:
        return named
    beside = train.parent / BESIDE
    if not beside.is_file():
        return None
    say(f"follows read from {beside} (it lies beside {train.name}; --no-follows leaves it out)")
    return beside


def measure(
    train: Path,
    test: Path,
    *,
    follows: Path | None = None,
    peers: Sequence[str] = (),
    seconds: float = 240.0,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Measured:
    """Learn from `train` alone, then measure on `test`: recall@10, recall@20, NDCG@10 (see `visualsearch.recommend.figures`).

    `seconds` is the budget of tuning and learning, for ours and for each peer. `peers` are names of PEERS; one that is not
    installed is named with its `pip install`. Raises SourceError, UsageError, UnknownNameError.
    """
    from .recommend_peers import PEERS

    for name in peers:
        if name not in PEERS:
            raise UnknownNameError("peer", name, PEERS)
    started = time.perf_counter()
    split = read_split(train, test, say)
    friends = None if follows is None else _friends(follows, split.train, say)
    matrix = split.train.matrix
    say(
        f"{matrix.nnz:,} saves of {matrix.shape[1]:,} pins by {matrix.shape[0]:,} persons; {len(split.at):,} are tested"
    )
    fitted = fit(matrix, friends=friends, seconds=seconds, seed=seed, say=say)
    ours = _figures(split, lambda persons: fitted.lists(matrix, persons, 20, friends))
    spent = time.perf_counter() - started
    gain = None
    if friends is not None:
        alone = _figures(split, lambda persons: fitted.alone().lists(matrix, persons, 20))
        gain = {"weights": fitted.follow._asdict(), "without": _means(alone), "gain": _gains(ours - alone)}
    measured = {name: _peer(name, split, ours, seconds, seed, say) for name in peers}
    return Measured(_means(ours), fitted.method, spent, len(split.at), fitted.figures, measured, gain)


def _friends(path: Path, train: Saves, say: Say) -> Matrix:
    rows, columns = read_pairs(path, FOLLOWS, say)
    known = {name: at for at, name in enumerate(train.persons)}
    pairs = np.stack([positions(rows, known), positions(columns, known)], axis=1)
    inside = pairs[(pairs >= 0).all(axis=1)]
    say(f"{path.name}: {len(inside):,} of {len(pairs):,} follows are between persons of the training saves")
    return friends_of(inside, len(known))


def _figures(split: Split, lists: Callable[[Int64], Int64]) -> Float64:
    """(tested persons, 3); who is not in training gets the most popular pins."""
    found = np.full((len(split.at), 20), -1, dtype=np.int64)
    known = split.at >= 0
    made = lists(split.at[known])
    found[known, : made.shape[1]] = made
    popular = np.argsort(
        -np.bincount(split.train.matrix.indices, minlength=len(split.train.pins)), kind="stable"
    )
    found[~known, : len(popular)] = popular[:20]
    return figures(found, split.wanted, split.sizes)


def _peer(name: str, split: Split, ours: Float64, seconds: float, seed: int, say: Say) -> dict[str, Any]:
    from .recommend_peers import PEERS, missing, tuned

    peer = PEERS[name]
    lacking = missing(peer)
    if lacking:
        say(f"{name}: not installed. Run: {lacking}")
        return {"missing": lacking}
    say(f"{name} ...")
    made = tuned(peer, split.train.matrix, seconds, seed)
    found = _figures(split, lambda persons: made.lists[persons])
    say(f"{name}: recall@20 {found[:, 1].mean():.4f}, {made.seconds:,.0f} s, settings {dict(made.settings)}")
    return {
        **_means(found),
        "gain": _gains(ours - found),
        "settings": dict(made.settings),
        "tried": made.tried,
        "of": made.of,
        "seconds": round(made.seconds, 1),
    }


def _means(found: Float64) -> dict[str, float]:
    return {name: round(float(value), 5) for name, value in zip(FIGURES, found.mean(axis=0), strict=True)}


def _gains(differences: Float64) -> dict[str, Any]:
    """Our mean gain and its 95 % paired bootstrap interval, for each figure."""
    found = {}
    for at, name in enumerate(FIGURES):
        low, high = interval(differences[:, at])
        found[name] = {
            "mean": round(float(differences[:, at].mean()), 5),
            "interval": [round(low, 5), round(high, 5)],
        }
    return found
