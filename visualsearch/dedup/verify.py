"""From pairs that may be alike to pairs that are, proved on pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image

from visualsearch.errors import PictureError
from visualsearch.resources import cores
from visualsearch.types import Float32

from .align import Padded, Place, bank, cells, glance, places, settle
from .compare import Evidence, compare
from .pictures import Facts, Pictures

WINDOWED = 2
"""Windows are looked for as the picture is and mirrored; a crop that was turned as well is not."""
LEAST_GLANCE, LEAST_WINDOW = 0.82, 0.88
"""Correlation of 12 x 12 cells with the best of a few windows, and of all, below which a neighbour is left alone."""
COARSE = ((32, 2, 0.86), (48, 3, 0.90))
"""(side, steps, correlation that they must reach) on the small copies."""
FINE, LEAST_FINE = (112, 10), 0.90
BATCH = 512

Start = tuple[int, int, Place]
"""The first picture's number, that of the second, and where in the first the second may lie."""


def windows(facts: dict[int, Facts], pairs: Iterable[tuple[int, int]]) -> Iterator[Start]:
    """Where each picture of a pair may lie in the other; nothing where it cannot."""
    partners: dict[int, list[int]] = defaultdict(list)
    for i, j in pairs:
        partners[i].append(j)
        partners[j].append(i)
    if not partners:
        return
    numbers = sorted(partners)
    at = {number: place for place, number in enumerate(numbers)}
    turned = cells(np.stack([facts[number].thumbnail for number in numbers]))[:, :WINDOWED]
    for i in numbers:
        some = np.array(sorted(partners[i]))
        others = turned[[at[j] for j in some]]
        # Either may lie in the other, and only their pixels tell which.
        likely = glance(facts[i].thumbnail, others) >= LEAST_GLANCE
        if likely.any():
            yield from _windows(facts, i, some[likely].tolist(), others[likely])


def verified(
    pictures: Pictures, starts: Iterable[Start], on_pair: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[int, int, Evidence]]:
    """(first, second, evidence) of the pairs whose pixels prove that they show the same picture.

    Pairs with the same first picture should follow one another: few pictures are kept decoded.
    """
    done = 0
    with ThreadPoolExecutor(cores(), "near-duplicates") as pool:
        for some in _batches(starts):
            # Many small steps of numpy: threads would wait for one another.
            kept = [start for start in map(partial(_coarse, pictures), some) if start is not None]
            for (first, second, _), proof in zip(kept, pool.map(partial(_fine, pictures), kept), strict=True):
                if proof is not None:
                    yield first, second, proof
            done += len(some)
            on_pair(done)


# -- parts --------------------------------------------------------------------------------------------------------
def _windows(facts: dict[int, Facts], number: int, others: list[int], turned: Float32) -> Iterator[Start]:
    shapes = np.array([facts[other].shape for other in others], np.float32)
    scores, found = places(bank(facts[number].thumbnail), facts[number].shape, turned, shapes)
    for n, (other, turn) in enumerate(zip(others, scores.argmax(1).tolist(), strict=True)):
        if scores[n, turn] >= LEAST_WINDOW:
            yield number, other, found[n][turn]


def _coarse(pictures: Pictures, start: Start) -> Start | None:
    first, second, place = start
    a, b = pictures.facts[first].small, pictures.facts[second].small.whole()
    for side, steps, least in COARSE:
        found = settle(a, b, place, side, steps)
        if found is None or found[1] < least:
            return None
        place = found[0]
    return first, second, place


def _fine(pictures: Pictures, start: Start) -> Evidence | None:
    first, second, place = start
    try:
        a, b = pictures.working(first), pictures.working(second)
    except PictureError:  # it could be read a moment ago: a picture that went away proves nothing
        return None
    return examine(a, b, place)


def examine(first: Image.Image, second: Image.Image, place: Place) -> Evidence | None:
    """What was done to `second`, which lies in `first` at about `place`; None when they do not show the same picture."""
    side, steps = FINE
    found = settle(Padded(first.convert("L")), second.convert("L"), place, side, steps)
    if found is None or found[1] < LEAST_FINE:
        return None
    return compare(first, second, found[0])


def _batches(starts: Iterable[Start]) -> Iterator[list[Start]]:
    some: list[Start] = []
    for start in starts:
        some.append(start)
        if len(some) == BATCH:
            yield some
            some = []
    if some:
        yield some
