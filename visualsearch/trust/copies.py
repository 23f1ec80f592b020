"""Copies that vectors miss: pictures saved anew at a low quality, cropped a little, turned, or with a text laid on.

Some pins are compared with their nearest by vector, pixel by pixel, as `visualsearch dedup` does. From how many of those are the
same picture follows how many pins each picture has. Another colour or another photograph of the same thing is no copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache

from visualsearch.dedup import same_pictures
from visualsearch.types import Float32, Int64

ANCHORS, NEIGHBOURS = 8, 10
"""So many pins are compared with so many neighbours each: about a second for pictures that were not compared before."""
LIKELY = 0.75
"""Copies have more than this cosine; a neighbour with less is not compared."""
LOOSE = 0.85
"""Pins that may be copies of one picture lie within this cosine of one of them."""
MOST_BURSTS, MOST_GROUPS = 6, 3
"""So many bursts of a round are looked at so, and so many groups of look-alikes that may be one; the largest first."""
KEPT = 50_000


class Copied(NamedTuple):
    """`each`: pins per picture; `compared`: pins that were compared with their neighbours, `proved`: those with a copy there."""

    each: float
    compared: int
    proved: int


_PROVED: LRUCache[tuple[str, str], bool] = LRUCache(KEPT)
_GUARD = Lock()


@dataclass
class Copies:
    """Compares pictures in one round of judging. Pictures on the web are not fetched for this."""

    left: int = MOST_BURSTS

    def of(self, uris: Sequence[str], vectors: Float32) -> Copied | None:
        """How many pins show each picture, of (n,) pins by where their pictures are and their (n, d) unit vectors.

        None where too few can be read, or where the round had its share.
        """
        if self.left <= 0:
            return None
        local = [at for at, uri in enumerate(uris) if _local(uri)]
        if len(local) < NEIGHBOURS:
            return None
        names, rows = [uris[at] for at in local], vectors[local]
        # The same anchors as long as the burst grows: what was compared is not compared again.
        order = sorted(range(len(names)), key=lambda at: hashlib.sha256(names[at].encode()).digest())
        anchors = order[:ANCHORS]
        cosines = rows[anchors] @ rows.T
        cosines[np.arange(len(anchors)), anchors] = -1
        near: Int64 = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
        pairs = [
            (anchor, other)
            for at, anchor in enumerate(anchors)
            for other in near[at].tolist()
            if cosines[at, other] >= LIKELY
        ]
        if not pairs:
            return Copied(1.0, len(anchors), 0)
        self.left -= 1
        same = _same([(names[i], names[j]) for i, j in pairs])
        copies = dict.fromkeys(anchors, 1)
        for (anchor, _), proved in zip(pairs, same, strict=True):
            copies[anchor] += proved
        counts = np.array(list(copies.values()), np.float64)
        # A picture of many pins is drawn as often as it has pins: the mean of 1 / count makes up for it.
        return Copied(float(1 / (1 / counts).mean()), len(anchors), int((counts > 1).sum()))


def _same(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether each pair of addresses shows the same picture; a picture that cannot be read is no copy."""
    keys = [(min(pair), max(pair)) for pair in pairs]
    with _GUARD:
        known = {key: _PROVED[key] for key in keys if key in _PROVED}
    asked = [key for key in dict.fromkeys(keys) if key not in known and key[0] != key[1]]
    if asked:
        names = sorted({name for key in asked for name in key})
        place = {name: at for at, name in enumerate(names)}
        wanted = {(place[one], place[other]): (one, other) for one, other in asked}
        proved, read = same_pictures(names, set(wanted))
        found = {key: at in proved for at, key in wanted.items() if at[0] in read and at[1] in read}
        with _GUARD:
            _PROVED.update(found)
        known |= found
    return [key[0] == key[1] or known.get(key, False) for key in keys]


def _local(uri: str) -> bool:
    if not uri or ("://" in uri and not uri.startswith("file:")):
        return False
    return Path(uri.removeprefix("file://")).is_file()
