"""Which pairs of pictures are worth comparing: neighbours by vector, and look-alikes by thumbnail in any turn or mirror.

Vectors alone do not find everything: a quarter-turn may leave a cosine of 0.24.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from visualsearch.nearest import Rows, approximate, scan, scan_many
from visualsearch.types import Float32, Int64, UInt8

from .align import cells

NEIGHBOURS = 16
"""Nearest by vector that each picture is compared with, and look-alikes by thumbnail."""
LEAST_COSINE = 0.55
"""Crops and borders keep more than this with every encoder that was tried."""
LEAST_THUMBNAIL = 0.90
"""Normalised correlation of thumbnails: a text laid over a picture keeps 0.90, other edits but crops and borders 0.96."""
EXACT_ROWS = 300_000
"""Up to this many rows, neighbours are found exactly, so that the order of indexing cannot matter."""
BLOCK = 256
CELLS_BLOCK = 64


def by_vector(snapshot: Rows, positions: Int64, least: float) -> Iterator[tuple[int, int, float]]:
    """(i, j, cosine), i < j, each once: positions[i] and positions[j] are neighbours with at least that cosine."""
    vectors = snapshot.vectors
    place = np.full(len(vectors), -1, np.int64)
    place[positions] = np.arange(len(positions))
    allowed = place >= 0
    some = None if allowed.all() else allowed
    seen: set[tuple[int, int]] = set()
    for at in range(0, len(positions), BLOCK):
        part = positions[at : at + BLOCK]
        queries = vectors.gather(part)
        for own, query, found in zip(part, queries, _nearest(snapshot, queries, some), strict=True):
            scores: Float32 = vectors.gather(found) @ query
            for other, score in zip(found, scores, strict=True):
                i, j = sorted((int(place[own]), int(place[other])))
                if i != j and score >= least and (i, j) not in seen:
                    seen.add((i, j))
                    yield i, j, min(1.0, float(score))


def by_thumbnail(thumbnails: UInt8) -> Iterator[tuple[int, int, int]]:
    """(i, j, turn), i < j, each pair once: thumbnail j in that turn looks like thumbnail i. (n, side, side) -> pairs."""
    if not len(thumbnails):
        return
    turned = cells(thumbnails)
    count, turns, size = turned.shape
    flat = turned.reshape(-1, size)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for at in range(0, count, CELLS_BLOCK):
        scores = (turned[at : at + CELLS_BLOCK, 0] @ flat.T).reshape(-1, count, turns)
        turn = scores.argmax(2)
        top = np.take_along_axis(scores, turn[..., None], 2)[..., 0]
        top[np.arange(len(top)), at + np.arange(len(top))] = 0
        for row, likeness in enumerate(top):
            chosen = np.flatnonzero(likeness >= LEAST_THUMBNAIL)
            if len(chosen) > NEIGHBOURS:
                chosen = chosen[np.argsort(-likeness[chosen], kind="stable")[:NEIGHBOURS]]
            for j in chosen.tolist():
                i = at + row
                # the pair's turn is told from the lower number, so each pair is kept as it is seen from there
                key, how = (
                    ((i, int(j)), int(turn[row, j])) if i < j else ((int(j), i), _BACK[int(turn[row, j])])
                )
                if key not in best or likeness[j] > best[key][0]:
                    best[key] = (float(likeness[j]), how)
    for (i, j), (_, how) in sorted(best.items()):
        yield i, j, how


# A quarter-turn is undone by the other one; every other symmetry undoes itself.
_BACK = (0, 1, 2, 3, 5, 4, 6, 7)


def _nearest(snapshot: Rows, queries: Float32, some: np.ndarray | None) -> list[Int64]:
    vectors = snapshot.vectors
    if snapshot.ann is None or len(vectors) <= EXACT_ROWS:
        return [found for _, found in scan_many(vectors, queries, NEIGHBOURS + 1, some)]
    return [
        found
        if (found := approximate(snapshot, query, NEIGHBOURS + 1, some)) is not None
        else scan(vectors, query, NEIGHBOURS + 1, allowed=some)[1]
        for query in queries
    ]
