"""Whether an index holds anything like what was asked for: told by what queries that mean nothing reach in it.

A search ranks whatever there is, so its best score alone says little. Here it is compared with the noise of this very index:

- words: the best scores of UNRELATED, words that mean nothing. A query's words are alike to something where their best
  score is above that of WORDS_SHARE of them;
- pictures: two bounds, and the lower one counts. PINS_SHARE of the index's own pins have no nearer neighbour, and no plain
  picture (one colour, a ramp, a blur) comes nearer. The second spares queries that come from another camera than
  the pins; the first spares an index of plain things, such as plaster and paper.

A mix is alike where one of its wanted parts is. Queries by stored pins are not judged: they are in the index.
"""

from __future__ import annotations

import colorsys
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visualsearch.encoders import BaseEncoder, cache_key, keep_in_cache
from visualsearch.errors import EncoderError
from visualsearch.nearest import Rows, approximate, scan_many
from visualsearch.types import Encoder, Float32, Hits, Int64, Query

WORDS_SHARE = 0.95
PINS_SHARE = 0.02
FEWEST = 16
"""Among fewer pins nothing is judged."""
OWN = 128
"""Pins, evenly spread, that are asked for their nearest neighbour."""
TWICE = 0.999
"""A neighbour above this is the same picture once more and says nothing about what is alike."""
AGAIN = 0.1
"""The noise is measured anew when the index has grown or shrunk by more than this share."""
NOT_JUDGED = (
    "the minimum score is not known here: stored pins and queries of unwanted parts alone are not judged, nor is anything in an"
    f" index of fewer than {FEWEST} pins"
)
log = logging.getLogger("visualsearch.search.alike")

UNRELATED = (
    "wa mirfvakwib gollyshbrub", "nnntkfzc", "alirdz ahcpe nmeol", "grabcash", "xam ajtmtrlkf", "manog",
    "plamkyzun paxbryznog mosh", "yttui", "aeskren teltur", "vexciz rertrutmu quog", "vkq xcfcbqvz",
    "etalp ebdaokry sorcisss", "vaz perfhushjom", "rtiylvd", "traakeodsb", "traglarxel demfish",
    "kjututgwr rzpnsi elpfxdhba", "abectin maearc", "plib zehesh", "pnlp", "odareabtks hseep chrai",
    "dolturf zor", "fmdbigcp gnklnp", "creubmuc", "gug tyrfbiz cervymbit", "udw hbw", "thrsi lopatp ioapn",
    "kel sylrijyk", "pjdjjjpdx mzfzdk fwqagsdqw", "knlcceea", "fluz tashdish", "alcq",
    "rhask rcheyr nsohxepoa", "xyflin tymmyn", "tnmr gfnrng ewzbhho", "nherwc attues", "fletmash",
    "zvcnrp igebhk", "crihraam lsrudepkoea", "nenby gog", "wncmem jel bznlmxel", "estaewr itgrau imrrro",
    "brez grexfar flirmexplil", "vepfc wapxsz vcqhktkhr", "trshso ccklo", "sirf rash", "qchuyq cfllvrrt",
    "acdooav", "zekvez regfin vumverf", "rxvsdpi jsydbb mmvl", "onsop kshra agssl", "flush myrfplyl",
    "gvjgyafn", "lutrfebyt usohe potalp", "cuk tryrkul", "rishyai", "naaanb", "xun",
    "vizpru epjrj ieumosjjk", "ktcur buytfeltr", "hibcan vukymzot", "glvf cbrawxqw", "etastu ekenlcca",
    "futkysh",
)  # fmt: skip
"""Syllables, letters and English words with their letters shuffled, drawn once; they are no words of any query."""


class Level:
    """A number measured in an index, and measured anew when the index has grown or shrunk by more than AGAIN."""

    def __init__(self) -> None:
        self._known: tuple[tuple[int, ...], float] | None = None  # one value: threads never see half a change

    def of(self, sizes: tuple[int, ...], measure: Callable[[], float]) -> float | None:
        """The number for an index of these sizes; None where the smallest is below FEWEST."""
        if min(sizes) < FEWEST:
            return None
        known = self._known
        if known is None or any(abs(n - was) > AGAIN * was for n, was in zip(sizes, known[0], strict=True)):
            known = self._known = (sizes, measure())
        return known[1]


class Noise:
    """What queries that mean nothing reach in one index: measured when first asked for, and again when its size changed."""

    def __init__(self) -> None:
        self._vectors: dict[str, Float32] = {}
        self._known: dict[str, Level] = {}

    def level(self, kind: str, rows: Rows, encoder: Encoder) -> float | None:
        """The score that a query of this kind ("words", "pictures") must reach; None where there are too few pins to say."""

        def measured() -> float:
            if kind not in self._vectors:
                self._vectors[kind] = _meaningless(kind, encoder)
            return _MEASURES[kind](rows, self._vectors[kind])

        return self._known.setdefault(kind, Level()).of((len(rows.vectors), rows.live), measured)


class Judge:
    """Judges one query in one state of an index, before its search (`settled`) and after it (`said`).

    `made` are the vectors of the query's parts by their number, as `mixing.encoded` gives them.
    """

    def __init__(
        self,
        query: Query,
        made: Mapping[int, Float32],
        rows: Rows,
        noise: Noise,
        encoder: Callable[[], Encoder],
    ) -> None:
        counted = [(number, part) for number, part in enumerate(query.parts) if part.weight]
        wanted = [(number, part) for number, part in counted if part.weight > 0]
        self._auto = query.min_score == "auto"
        self._level: float | None = None
        self._alike: bool | None = None
        if not wanted or any(part.like is not None for _, part in wanted):
            return
        levels = [noise.level("pictures" if p.text is None else "words", rows, encoder()) for _, p in wanted]
        if len(counted) == 1:
            self._level = levels[0]
        elif None not in levels:
            best = best_scores(rows, np.stack([made[number] for number, _ in wanted]), 1)
            pairs = zip(best, levels, strict=True)
            self._alike = any(len(s) > 0 and level is not None and s[0] >= level for (s, _), level in pairs)

    def settled(self, query: Query) -> Query:
        """The query with "auto" as a number. Of a mix that is not alike nothing is left; else all of it."""
        if not self._auto:
            return query
        return replace(query, min_score=2.0 if self._alike is False else self._level)

    def said(self, hits: Hits) -> Hits:
        """The hits with what was judged."""
        alike = self._alike
        if self._level is not None and hits.best is not None:
            alike = hits.best >= self._level
        silent = self._auto and self._level is None and self._alike is None
        return replace(
            hits, alike=alike, noise=self._level, notes=(*hits.notes, NOT_JUDGED) if silent else hits.notes
        )


def best_scores(rows: Rows, queries: Float32, k: int) -> list[tuple[Float32, Int64]]:
    """(scores, positions) of at most k rows for each query, best first: by the approximate index where there is one."""
    alive = None if rows.live == len(rows.vectors) else rows.alive
    if rows.ann is None:
        return scan_many(rows.vectors, queries, k, alive)
    found = []
    for query in queries:
        positions = approximate(rows, query, k, alive)
        if positions is None:  # far from all that is stored
            found += scan_many(rows.vectors, query[None], k, alive)
            continue
        scores = rows.vectors.cosines(positions, query)
        order = np.lexsort((positions, -scores))[:k]
        found.append((scores[order], positions[order]))
    return found


def plain_pictures() -> list[Image.Image]:
    """32 pictures that show nothing: one colour, a ramp, and blurs of coarse to fine noise."""
    rng = np.random.default_rng(20261128)
    ramp = np.linspace(0, 1, 128)
    greys = [(255,) * 3, (128,) * 3, (0,) * 3, (200, 180, 160)]
    hues = [tuple(int(255 * c) for c in colorsys.hsv_to_rgb(n / 12, 0.8, 0.85)) for n in range(12)]
    made: list[NDArray[np.generic]] = [np.broadcast_to(np.array(c), (128, 128, 3)) for c in (*greys, *hues)]
    for _ in range(8):
        slope = np.add.outer(ramp * rng.random(), ramp * rng.random())
        made.append(slope[..., None] * rng.integers(60, 256, 3) / 2)
    pictures = [Image.fromarray(np.asarray(one, np.uint8)) for one in made]
    for cells in (2, 3, 4, 6, 8, 12, 16, 24):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pictures.append(noise.resize((128, 128), Image.Resampling.BICUBIC))
    return pictures


def _words_level(rows: Rows, unrelated: Float32) -> float:
    best = [scores[0] for scores, _ in best_scores(rows, unrelated, 1)]
    return float(np.quantile(best, WORDS_SHARE))


def _pictures_level(rows: Rows, plain: Float32) -> float:
    best = [scores[0] for scores, _ in best_scores(rows, plain, 1)]
    level = float(max(best))
    live = np.flatnonzero(rows.alive)
    own = live[np.linspace(0, len(live) - 1, min(OWN, len(live))).astype(np.int64)]
    queries = rows.vectors.gather(own)
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.float32(1e-12))
    pins = rows.vectors.pins
    nearest = []
    for position, (scores, found) in zip(own, best_scores(rows, queries, 10), strict=True):
        others = scores[(pins[found] != pins[position]) & (scores < TWICE)]
        if len(others):
            nearest.append(others[0])
    return min(level, float(np.quantile(nearest, PINS_SHARE))) if nearest else level


_MEASURES = {"words": _words_level, "pictures": _pictures_level}


def _meaningless(kind: str, encoder: Encoder) -> Float32:
    """Vectors of queries that mean nothing; of a model known by name they are kept in the user's cache folder."""
    if not isinstance(encoder, BaseEncoder):
        return _encoded(kind, encoder)
    spec = encoder.spec
    name = "noise-" + cache_key(
        {"model": spec.fingerprint, "words": spec.words, "kind": kind, "of": UNRELATED}
    )
    file = "vectors.npy"

    def make(folder: Path) -> None:
        np.save(folder / file, _encoded(kind, encoder))

    try:
        return np.asarray(np.load(keep_in_cache(name, make) / file), np.float32)
    except (
        EncoderError,
        OSError,
        ValueError,
    ) as error:  # a cache that cannot be written is no reason to fail
        log.debug("the vectors of %s that mean nothing are not kept: %s", kind, error)
        return _encoded(kind, encoder)


def _encoded(kind: str, encoder: Encoder) -> Float32:
    if kind == "words":
        return encoder.encode_texts(list(UNRELATED))
    return encoder.encode_images(np.stack([encoder.preprocess(one) for one in plain_pictures()]))
