"""A feed ordered by what people's clicks taught: the signals that it rests on, and the ranker.

The same function makes the signals when a ranker is learnt and when it serves, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.ranking import Candidates, Context, Ranking, Trees
from visualsearch.types import Float32, Float64

from .learnt import Learnt, Part, current, open_learnt, text_list, texts_arrays
from .mixing import FEED, FeedRanker, Signals

TAUGHT = "ranker"
"""The part of what `learn` builds for feeds."""
TAUGHT_PARTS: Mapping[str, str] = {
    "feed": TAUGHT,
    "search": "ranker_search",
    "related": "ranker_related",
}
"""The part for each surface."""
SIGNAL_NAMES = ("closest", "close", "hidden", "popular", "fresh")
NEWEST = 50
"""Of the saved pins, so many are compared with a candidate."""
HALF_LIFE_DAYS = 14.0
SPAN = 1.5
"""The span of scores on a page, that of a hand-made one: variety is traded against it."""


def taught_signals(
    vectors: Float32, saved: Float32, hidden: Float32, popular: Float64, age_days: Float64
) -> Float32:
    """(n, 5) signals of candidates, (n, d) unit `vectors`, for somebody with (s, d) `saved` and (h, d) `hidden` pins.

    `closest` is the highest cosine to a saved pin, `close` the mean of the three highest, `hidden` the highest to a hidden one;
    `popular` the deeds per look; `fresh` falls to a half in HALF_LIFE_DAYS.
    """
    made = np.zeros((len(vectors), len(SIGNAL_NAMES)), np.float32)
    if len(saved) and len(vectors):
        near = np.sort(vectors @ saved[:NEWEST].T, axis=1)
        made[:, 0], made[:, 1] = near[:, -1], near[:, -3:].mean(1)
    if len(hidden) and len(vectors):
        made[:, 2] = (vectors @ hidden[:NEWEST].T).max(1)
    made[:, 3] = popular
    made[:, 4] = 0.5 ** (np.maximum(age_days, 0) / HALF_LIFE_DAYS)
    return made


@dataclass(frozen=True)
class Taught:
    """A learnt ranker: trees, and the deeds per look of each pin that was shown. `usual` is that of a pin never shown."""

    trees: Trees
    popular: Mapping[str, float] = field(repr=False)
    usual: float
    number: int = 0

    def part(self, inputs: str, values: Mapping[str, Any], surface: str = "feed") -> Part:
        """The form in which it is kept."""
        trees, ends = texts_arrays(self.trees.texts)
        pins, pin_ends = texts_arrays(list(self.popular))
        rates = np.array(list(self.popular.values()), np.float64)
        arrays: dict[str, NDArray[Any]] = {
            "trees": trees,
            "ends": ends,
            "pins": pins,
            "pin_ends": pin_ends,
            "rates": rates,
        }
        kept = {"names": list(self.trees.names), "gains": dict(self.trees.gains), "usual": self.usual}
        return Part(TAUGHT_PARTS[surface], inputs, arrays, {**values, **kept})


_KEPT: dict[tuple[Path, str], tuple[int, Taught | None]] = {}


def taught_of(folder: Path, surface: str = "feed") -> Taught | None:
    """The learnt ranker of an index for a surface; None where none counts. Raises StorageError for a damaged one."""
    number = current(folder)
    if number is None:
        return None
    key = (folder, surface)
    known = _KEPT.get(key)
    if known is None or known[0] != number:
        learnt = open_learnt(folder)
        known = _KEPT[key] = (number, None if learnt is None else _read(learnt, surface))
    return known[1]


def _read(learnt: Learnt, surface: str) -> Taught | None:
    part = learnt.part(TAUGHT_PARTS[surface])
    if part is None:
        return None
    arrays, values = part.arrays, part.values
    trees = Trees(tuple(values["names"]), tuple(text_list(arrays["trees"], arrays["ends"])), values["gains"])
    pins = text_list(arrays["pins"], arrays["pin_ends"])
    return Taught(
        trees, dict(zip(pins, arrays["rates"].tolist(), strict=True)), values["usual"], learnt.number
    )


@dataclass(frozen=True)
class TaughtRanker(FeedRanker):
    """Orders a feed by learnt trees; variety, caps and slots for new pins are those of `FeedRanker`.

    `saved` and `hidden` are the person's pins, (s, d) and (h, d). What a person has seen often still counts against a pin.
    """

    taught: Taught | None = None
    saved: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)
    hidden_pins: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False)

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates; `taught` and what each signal added are among the signals."""
        if self.taught is None or not len(candidates):
            return super().rank(candidates, context)
        found: Signals = context.need(FEED)
        rates = self.taught.popular
        popular = np.array([rates.get(name, self.taught.usual) for name in candidates.ids])
        made = taught_signals(
            candidates.vectors, self.saved, self.hidden_pins, popular, self._age(candidates, context)
        )
        raw = self.taught.trees.scores(made)
        span = max(float(raw.max() - raw.min()), 1e-9)
        score = np.asarray((raw - raw.min()) / span * SPAN - self.seen * found.seen, np.float32)
        first = np.argsort(-score, kind="stable")
        page = self._page(first, score, found, candidates.vectors, context.k)
        rest = first[~np.isin(first, page)]
        added = np.zeros_like(made)
        added[page] = self.taught.trees.contributions(made[page])
        told = {f"taught {name}": added[:, at] for at, name in enumerate(self.taught.trees.names)}
        parts = {**self.parts(found), "taught": np.asarray(raw, np.float32), **told}
        return Ranking(np.concatenate([page, rest]).astype(np.int64), score, parts)

    @staticmethod
    def _age(candidates: Candidates, context: Context) -> Float64:
        return (context.now - candidates.added) / 86_400
