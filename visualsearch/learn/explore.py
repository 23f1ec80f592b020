"""A chance for fresh pins: Thompson sampling on their smoothed saves, with a budget and a floor, and its cost known.

Each fresh pin has a Beta distribution of its saves per look. A draw from each says which are shown. Pins that may be good are
tried, and those that were looked at in vain fade (Thompson 1933; Chapelle and Li 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Float64, Int64


@dataclass(frozen=True)
class Explorer:
    """`budget`: the share of slots that fresh pins may take. `floor`: looks that each gets before it is judged.

    `usual`: the usual saves per look; `weight`: so many looks it is worth.
    """

    usual: float
    budget: float = 0.05
    floor: float = 20.0
    weight: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.budget <= 0.5 or not 0 < self.usual < 1 or self.floor < 0 or self.weight <= 0:
            raise UsageError(
                "cannot explore like that",
                f"budget {self.budget:g}, floor {self.floor:g}, usual {self.usual:g}, weight {self.weight:g}",
                "The budget is 0 to 0.5, the usual saves per look between 0 and 1, the others above 0",
            )

    def slots(self, count: int, rng: np.random.Generator) -> Int64:
        """The slots of a list of `count` that fresh pins take, ascending: on average the budget, and never the first."""
        chosen = rng.random(count) < self.budget
        chosen[:1] = False
        return np.flatnonzero(chosen)

    def chosen(self, looks: Float64, saves: Float64, most: int, rng: np.random.Generator) -> Int64:
        """At most `most` of the fresh pins: those below the floor first, the least looked at first; then by a draw each.

        `looks`, `saves`: (n,) of each pin so far; looks count by the chance of the place.
        """
        looks, saves = np.asarray(looks, np.float64), np.asarray(saves, np.float64)
        if (saves > looks + 1e-9).any() or (saves < 0).any():
            saves = np.clip(saves, 0, looks)  # saved without a look that was recorded
        drawn = rng.beta(
            self.usual * self.weight + saves, (1 - self.usual) * self.weight + looks - saves, len(looks)
        )
        below = looks < self.floor
        order = np.lexsort((-drawn, np.where(below, looks, np.inf), ~below))
        return np.asarray(order[:most], np.int64)

    def cost(self, looks: Float64, saves: Float64) -> Cost:
        """What exploring has cost: the saves that the usual pins would have had in the same looks, less those there were."""
        total, found = float(np.sum(looks)), float(np.sum(saves))
        lost = self.usual * total - found
        error = float(np.sqrt(max(found, 1.0) + self.usual * total * self.usual))
        return Cost(total, lost, (lost - 1.96 * error, lost + 1.96 * error))


@dataclass(frozen=True)
class Cost:
    """Looks that fresh pins got, and the saves that they cost (negative: won) with a 95 % interval."""

    looks: float
    saves: float
    interval: tuple[float, float]
