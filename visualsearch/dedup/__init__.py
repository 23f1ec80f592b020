"""Groups of pins that show the same thing: exact copies, near copies, and merely similar pictures.

Exact: the same bytes (sha256). Near: the same picture saved anew (other size, format, quality, light edits): close vectors
and a close perceptual hash. Similar: close vectors only. Groups are connected components, so a chain of near copies is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from . import images
from .errors import PictureError
from .exact import scan, scan_many
from .rows import Rows, approximate
from .types import Float32, Int64

if TYPE_CHECKING:
    from .engine import Index

NEIGHBOURS = 16
NEAR_SCORE = 0.93
"""Vectors at least this close are compared by perceptual hash too."""
NEAR_BITS = 10
"""Near copies differ in at most this many of the 64 bits of the hash (Zauner 2010 uses thresholds of this order)."""


class Likeness(StrEnum):
    """How alike the pins of a group are."""

    EXACT = "exact"
    NEAR = "near"
    SIMILAR = "similar"


@dataclass(frozen=True)
class Group:
    """Pins that belong together; `score` is the lowest cosine of a pair that joined them. The oldest pin comes first."""

    likeness: Likeness
    ids: tuple[str, ...]
    uris: tuple[str, ...]
    score: float


def find(index: Index, similar: float = 0.97, near_bits: int = NEAR_BITS) -> list[Group]:
    """Groups of alike pins, exact ones first, larger groups first.

    `similar`: pairs with at least this cosine are similar. Pictures that can no longer be read are compared by their vectors
    only. Each pin is compared with its 16 nearest.
    """
    with index._open() as (reader, snapshot):
        pins = {p.pin: p for p in reader.each_pin()}
    hashes: dict[bytes, list[int]] = defaultdict(list)
    for number, pin in pins.items():
        if pin.hash is not None:
            hashes[pin.hash].append(number)
    exact = [[(a, b, 1.0) for a, b in pairwise(same)] for same in hashes.values() if len(same) > 1]
    pairs = {Likeness.EXACT: [p for same in exact for p in same], Likeness.NEAR: [], Likeness.SIMILAR: []}

    @cache
    def looks(number: int) -> Int64 | None:
        try:
            return perceptual_hash(images.load(pins[number].uri, target=64))
        except PictureError:
            return None

    whole = {p.row: number for number, p in pins.items()}
    for a, b, score in _close_pairs(snapshot, whole, min(similar, NEAR_SCORE)):
        if pins[a].hash is not None and pins[a].hash == pins[b].hash:
            continue
        kind = _kind(score, similar, near_bits, looks, a, b)
        if kind is not None:
            pairs[kind].append((a, b, score))
    groups = [
        Group(kind, tuple(pins[m].id for m in members), tuple(pins[m].uri for m in members), score)
        for kind, found in pairs.items()
        for members, score in _components(found)
    ]
    order = list(Likeness)
    return sorted(groups, key=lambda g: (order.index(g.likeness), -len(g.ids), g.ids))


def _kind(
    score: float, similar: float, near_bits: int, looks: Callable[[int], Int64 | None], a: int, b: int
) -> Likeness | None:
    if score >= NEAR_SCORE:
        first, second = looks(a), looks(b)
        if first is not None and second is not None and int((first != second).sum()) <= near_bits:
            return Likeness.NEAR
    return Likeness.SIMILAR if score >= similar else None


def _close_pairs(snapshot: Rows, whole: dict[int, int], least: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of pins (a < b) whose whole pictures' cosine is at least `least`, each once."""
    vectors = snapshot.vectors
    rows = np.array(sorted(whole), dtype=np.int64)
    positions = vectors.positions(rows)
    allowed = np.zeros(len(vectors), dtype=bool)
    allowed[positions] = True
    some = None if len(positions) == len(vectors) else allowed
    for at in range(0, len(positions), 256):
        part = positions[at : at + 256]
        queries = vectors.gather(part)
        if snapshot.ann is None:
            near = [found for _, found in scan_many(vectors, queries, NEIGHBOURS + 1, some)]
        else:
            near = [
                found
                if (found := approximate(snapshot, query, NEIGHBOURS + 1, some)) is not None
                else scan(vectors, query, NEIGHBOURS + 1, allowed=some)[1]
                for query in queries
            ]
        for position, query, found in zip(part, queries, near, strict=True):
            scores: Float32 = vectors.gather(found) @ query
            for other, score in zip(found, scores, strict=True):
                if other > position and score >= least:
                    first, second = (int(vectors.pins[p]) for p in (position, other))
                    yield first, second, min(1.0, float(score))


def _components(pairs: list[tuple[int, int, float]]) -> list[tuple[list[int], float]]:
    """Connected components of the pairs, members ascending, with the lowest score of each."""
    parent: dict[int, int] = {}

    def root(x: int) -> int:
        while parent.setdefault(x, x) != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for a, b, _ in pairs:
        parent[root(b)] = root(a)
    members: dict[int, set[int]] = defaultdict(set)
    lowest: dict[int, float] = defaultdict(lambda: 1.0)
    for a, b, score in pairs:
        members[root(a)] |= {a, b}
        lowest[root(a)] = min(lowest[root(a)], score)
    return [(sorted(group), lowest[key]) for key, group in members.items()]


def perceptual_hash(picture: Any) -> Int64:
    """(64,) 0/1: the signs of the 8 x 8 lowest frequencies of the 32 x 32 grey picture against their median.

    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010 (pHash).
    """
    grey = np.asarray(picture.convert("L").resize((32, 32)), dtype=np.float64)
    n = np.arange(32)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:8, None] / 64)
    low = (basis @ grey @ basis.T).ravel()
    return (low > np.median(low[1:])).astype(np.int64)
