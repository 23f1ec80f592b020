"""How likely somebody acts on a promoted pin: counts, smoothed towards what all campaigns see, and put right by what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from visualsearch.types import Float64

USUAL = 0.02
"""The rate before anything was shown."""
USUAL_WEIGHT = 100.0
"""So many pages' worth of belief in it."""
OWN_WEIGHT = 200.0
"""A campaign's own rate counts as much as everybody's after so many pages."""
SLOT_WEIGHT = 500.0
FALL = 0.85
"""Each slot is taken to be seen so often as the one before it, until counts say otherwise."""
DISLIKED = 10.0
"""A hide or a report takes from the quality as much as so many lost clicks."""


class Rates:
    """What the tallies of a record foretell. Rows have campaign, surface, slot, shown, acted, hidden and predicted."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rows = list(rows)
        shown, acted = self._sum("shown"), self._sum("acted")
        self.usual = (acted + USUAL * USUAL_WEIGHT) / (shown + USUAL_WEIGHT)
        self._seen: dict[tuple[str, int], Float64] = {}
        self._own: dict[str, tuple[float, float, float]] = {}
        self._surfaces: dict[str, tuple[float, float]] = {}
        for row in self._rows:
            seen = self.seen(row["surface"], row["slot"] + 1)[row["slot"]]
            looks, acts, hides = self._own.get(row["campaign"], (0.0, 0.0, 0.0))
            self._own[row["campaign"]] = (
                looks + row["shown"] * seen,
                acts + row["acted"],
                hides + row["hidden"],
            )
            foretold, came = self._surfaces.get(row["surface"], (0.0, 0.0))
            self._surfaces[row["surface"]] = (foretold + row["predicted"], came + row["acted"])

    def _sum(self, name: str) -> float:
        return float(sum(row[name] for row in self._rows))

    def seen(self, surface: str, slots: int) -> Float64:
        """(slots,) how often each slot is acted on, the first being 1; it never rises."""
        key = (surface, slots)
        if key not in self._seen:
            shown, acted = np.zeros(slots), np.zeros(slots)
            for row in self._rows:
                if row["surface"] == surface and row["slot"] < slots:
                    shown[row["slot"]] += row["shown"]
                    acted[row["slot"]] += row["acted"]
            prior = self.usual * FALL ** np.arange(slots)
            rate = (acted + SLOT_WEIGHT * prior) / (shown + SLOT_WEIGHT)
            self._seen[key] = np.minimum.accumulate(rate / rate[0])
        return self._seen[key]

    def of(self, campaigns: Sequence[str], surface: str) -> Float64:
        """(n,) the probability of each campaign's event in the first slot."""
        held = [self._own.get(name, (0.0, 0.0, 0.0)) for name in campaigns]
        looks, acts = np.array([h[0] for h in held]), np.array([h[1] for h in held])
        rate = (acts + OWN_WEIGHT * self.usual) / (looks + OWN_WEIGHT)
        made: Float64 = np.clip(rate * self.correction(surface), 1e-6, 1.0)
        return made

    def correction(self, surface: str) -> float:
        """What came on a surface, divided by what was foretold; 1 until something did."""
        foretold, came = self._surfaces.get(surface, (0.0, 0.0))
        weight = self.usual * USUAL_WEIGHT
        return float(np.clip((came + weight) / (foretold + weight), 0.5, 2.0))

    def liked(self, campaigns: Sequence[str]) -> Float64:
        """(n,) 1 for a campaign that nobody hid, less for one that people hide or report."""
        held = [self._own.get(name, (0.0, 0.0, 0.0)) for name in campaigns]
        made: Float64 = np.array(
            [1 / (1 + DISLIKED * hides / (looks + OWN_WEIGHT)) for looks, _, hides in held]
        )
        return made

    def looks(self, campaigns: Sequence[str]) -> Float64:
        """(n,) how often each campaign was seen, in looks at the first slot."""
        return np.array([self._own.get(name, (0.0, 0.0, 0.0))[0] for name in campaigns])
