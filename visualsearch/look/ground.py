"""What parts of pictures that hold nothing reach: below it, neither a name nor a row of results means anything.

The parts are cut from the sample scenes beside their objects: walls, skies, floors, leaves.
They are encoded once for each open index.
"""

from __future__ import annotations

import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch import samples
from visualsearch.images import load, view
from visualsearch.search import Level
from visualsearch.types import Box, Encoder, Float32

if TYPE_CHECKING:
    from .index import SearchedIndex
    from .naming import Words

SHARE = 0.9
"""A row of results is shown where its best score is above that of this share of the empty parts.

Measured on 60 composed scenes in an index of 2,083 pins, when it was chosen: it keeps 99 % of the rows that hold the object, and
drops 81 % of the rows of boxes that lie on no object.
"""
NAMED = 6.0
"""A word of the general vocabulary is told where its cosine is this many standard deviations above its mean over the empty parts.

Measured on the 197 hand-drawn boxes held back of `visualsearch bench look --tasks photos`: a seventh get a word, right for 59 %.
The best word of every box would be right for 22 %.
"""
PARTS = 6
"""Parts of a scene."""
TRIES = 400
"""How often a part of a scene is drawn by chance, to find them."""
COVERED = 0.1
"""How much of a part an object may cover."""
SMALLEST, LARGEST = 0.12, 0.5  # shares of the scene's sides


class Ground:
    """The empty parts in one index."""

    def __init__(self, encoder: Encoder) -> None:
        pixels = [encoder.preprocess(part) for part in empty_parts()]
        self.vectors: Float32 = encoder.encode_images(np.stack(pixels))
        self._level = Level()

    def level(self, index: SearchedIndex) -> float | None:
        """The score that a row's best hit must reach; None where the index has too few pins to say."""

        def measured() -> float:
            best = [hits[0].score for hits in index.nearest(self.vectors, k=1) if len(hits)]
            return float(np.quantile(best, SHARE)) if best else -1.0

        return self._level.of((len(index),), measured)

    def word(self, words: Words, vector: Float32, given: bool) -> int | None:
        """The number of the word nearest to a unit vector (d,), or None where it is no clear case.

        A word of a vocabulary that the caller gave needs only to be nearer than to any empty part: the caller said what there is.
        """
        scores = words.vectors @ vector
        best = int(scores.argmax())
        empty = self.vectors @ words.vectors[best]
        bound = empty.max() if given else empty.mean() + NAMED * empty.std()
        return best if scores[best] > bound else None


_KNOWN: weakref.WeakKeyDictionary[Any, Ground] = weakref.WeakKeyDictionary()


def ground_of(index: SearchedIndex) -> Ground:
    """The empty parts in an open index, encoded at the first call."""
    found = _KNOWN.get(index)
    if found is None:
        found = _KNOWN[index] = Ground(index.encoder)
    return found


@lru_cache(maxsize=1)
def empty_parts() -> tuple[Any, ...]:
    """Parts of the sample scenes beside their objects, RGB, as `crops.view` shows parts; always the same ones."""
    rng = np.random.default_rng(0)
    parts = []
    for scene in samples.scenes():
        picture = load(scene.image)
        objects = np.array([one.box for one in scene.objects])
        left = PARTS
        for _ in range(TRIES):
            width, height = rng.uniform(SMALLEST, LARGEST, 2)
            x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            sides = np.minimum(objects[:, 2:], (x + width, y + height)) - np.maximum(objects[:, :2], (x, y))
            if np.clip(sides, 0, None).prod(1).sum() > COVERED * width * height:
                continue
            parts.append(view(picture, Box(x, y, x + width, y + height)))
            left -= 1
            if not left:
                break
    return tuple(parts)
