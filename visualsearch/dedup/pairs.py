"""Pairs of pictures that show the same, proved on pixels: where one may lie in the other, and a short way for a few pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from visualsearch.sources import read as read_uri

from .align import WHOLE, Place
from .candidates import by_thumbnail
from .pictures import Facts, Pictures
from .verify import Start, verified, windows


def starts_of(facts: dict[int, Facts], near: Iterable[tuple[int, int]]) -> list[Start]:
    """What to prove: the pairs of `near` where one may lie in the other, and all look-alikes by thumbnail."""
    readable = np.array(sorted(facts), dtype=np.int64)
    starts = {}
    for i, j, place in windows(facts, ((i, j) for i, j in near if i in facts and j in facts)):
        starts[i, j, place.turn] = place
    if len(readable):
        thumbnails = np.stack([facts[int(n)].thumbnail for n in readable])
        for i, j, turn in by_thumbnail(thumbnails):
            starts.setdefault((int(readable[i]), int(readable[j]), turn), Place(turn, WHOLE))
    return [(i, j, place) for (i, j, _), place in sorted(starts.items(), key=lambda s: s[0])]


def same_pictures(
    uris: Sequence[str], pairs: Collection[tuple[int, int]], *, read: Callable[[str], bytes] = read_uri
) -> tuple[set[tuple[int, int]], set[int]]:
    """Those of some pairs of places in `uris` whose pictures are the same: saved anew, cropped, turned, with a text laid on.

    With the places of all pictures that could be read. Every pair is (i, j), i < j.
    """
    pictures = Pictures(uris, read)
    pictures.look_at_all()
    asked = set(pairs)
    wanted = [
        start
        for start in starts_of(pictures.facts, asked)
        if (start[0], start[1]) in asked or (start[1], start[0]) in asked
    ]
    proved = {(min(i, j), max(i, j)) for i, j, _ in verified(pictures, wanted)}
    return proved, set(pictures.facts)
