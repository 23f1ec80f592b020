"""The prices and sizes of what a person saved, for the order of what they search: pins far off the band come a little later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visualsearch.types import Float32

PRICE, SIZE = "price", "size"
LEAST = 5
"""Of fewer saved pins with a price, or a size, nothing is concluded."""
BAND = (10, 90)
"""Percentiles of the saved prices that the band lies between."""
MOST = 0.5
"""The most that price and size together take from the term of interests, which is -1 to 1. Set by hand."""


@dataclass(frozen=True)
class Habits:
    """`low` and `high`: the band of saved prices, None where too few are known. `sizes`: those of most saved pins."""

    low: float | None = None
    high: float | None = None
    sizes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.low is not None or bool(self.sizes)

    def against(self, attributes: Sequence[Mapping[str, Any]]) -> Float32:
        """(n,) 0 to MOST: how far each is off. A price counts by its ratio to the band, fully from the double or the half on; a
        pin without price or size is not off.
        """
        off = np.zeros((2, len(attributes)), np.float32)
        for at, held in enumerate(attributes):
            price, size = _price(held), held.get(SIZE)
            if self.low is not None and self.high is not None and price is not None:
                off[0, at] = min(1.0, max(0.0, np.log2(self.low / price), np.log2(price / self.high)))
            if self.sizes and size is not None and str(size).casefold() not in self.sizes:
                off[1, at] = 1.0
        found: Float32 = MOST * off.max(0)
        return found


NONE = Habits()
"""Nothing is known."""


def habits_of(attributes: Sequence[Mapping[str, Any]]) -> Habits:
    """The habits that the attributes of saved pins show."""
    prices = [price for held in attributes if (price := _price(held)) is not None]
    sizes = Counter(str(held[SIZE]).casefold() for held in attributes if held.get(SIZE) is not None)
    low = high = None
    if len(prices) >= LEAST:
        low, high = (float(each) for each in np.percentile(prices, BAND))
    common = {size for size, count in sizes.items() if count * 4 >= sizes.total()}
    known = sizes.total() >= LEAST and 2 * sum(sizes[size] for size in common) >= sizes.total()
    return Habits(low, high, frozenset(common) if known else frozenset())


def _price(held: Mapping[str, Any]) -> float | None:
    value = held.get(PRICE)
    number = (
        isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value) and value > 0
    )
    return float(value) if number and value is not None else None
