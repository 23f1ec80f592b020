"""Fresh pins that a feed tries, by Thompson sampling: how often each was looked at and saved, and which slots they take."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.learn import Explorer
from visualsearch.recommend import new_hits, new_pins
from visualsearch.types import Float64, Hit

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.people import People

DAYS_MS = 8 * 86_400_000
COUNTED_MS = 300_000
"""Looks and saves are counted anew after so long."""
DRAWS = 64
"""So many draws tell the chance with which a pin is tried."""
USUAL, SMOOTH = 0.02, 50.0
"""Saves per look where nothing is known, and how many looks that is worth."""


@dataclass(frozen=True)
class Tallies:
    """Looks and saves of pins in these days, and the usual saves per look."""

    looks: dict[str, int] = field(default_factory=dict)
    saves: dict[str, int] = field(default_factory=dict)
    usual: float = USUAL

    def of(self, names: Sequence[str]) -> tuple[Float64, Float64]:
        """(n,) looks and saves of pins."""
        looks = [self.looks.get(name, 0) for name in names]
        return np.array(looks, np.float64), np.array([self.saves.get(name, 0) for name in names], np.float64)


def tallies_of(people: People, now: int) -> Tallies:
    """Count the looks and saves of the last days."""
    events = people.event_columns(now - DAYS_MS, now + 1, kinds=("impression", "save"))
    pins, names = events.codes["pin_id"], events.names["pin_id"]
    counted = {}
    for kind in ("impression", "save"):
        mine = pins[(events.codes["kind"] == events.code("kind", kind)) & (pins >= 0)]
        held = np.bincount(mine, minlength=len(names)).tolist()
        counted[kind] = {name: count for name, count in zip(names, held, strict=True) if count}
    looks, saves = sum(counted["impression"].values()), sum(counted["save"].values())
    usual = (saves + USUAL * SMOOTH) / (looks + SMOOTH)
    return Tallies(counted["impression"], counted["save"], min(max(usual, 1e-4), 0.9))


class Exploring:
    """The tallies of one record, kept for a while. Safe to share between threads."""

    def __init__(self, index: Index, floor: float) -> None:
        self.index, self.floor = index, floor
        self._guard = threading.Lock()
        self._counted: tuple[int, Tallies] | None = None

    def tallies(self) -> Tallies:
        """Looks and saves as they were a moment ago. While one thread counts, the others take what was counted before."""
        now = self.index.people.now()
        held = self._counted
        fresh = held is not None and 0 <= now - held[0] < COUNTED_MS
        if not fresh and self._guard.acquire(blocking=False):
            try:
                held = self._counted = (now, tallies_of(self.index.people, now))
            finally:
                self._guard.release()
        return Tallies() if held is None else held[1]

    def tried(
        self,
        hits: Sequence[Hit],
        person: str,
        cursor: str | None,
        budget: float,
        rng: np.random.Generator,
    ) -> tuple[list[Hit], dict[str, float]]:
        """A page with fresh pins in some of its slots, and the chance of each pin that was tried. Others move down.

        On average a share `budget` of the slots tries one, and never the first slot.
        """
        tallies = self.tallies()
        explorer = Explorer(tallies.usual, budget, self.floor)
        slots = explorer.slots(len(hits), rng).tolist()
        held = {hit.id for hit in hits}
        names = [name for name in new_pins(self.index, person, cursor) if name not in held] if slots else []
        if not names:
            return list(hits), {}
        looks, saves = tallies.of(names)
        chosen = explorer.chosen(looks, saves, len(slots), rng)
        often = np.zeros(len(chosen))
        for _ in range(DRAWS):
            often += explorer.chosen(looks, saves, len(slots), rng) == chosen
        # The slot is drawn, and then the pin for it.
        chance = budget * (often + 1) / (DRAWS + 1)
        made = new_hits(self.index, [names[at] for at in chosen.tolist()])
        page = list(hits)
        for slot, hit in zip(slots, made, strict=False):
            page.insert(slot, hit)
        page = page[: len(hits)]
        kept = {hit.id for hit in page}
        told = {
            names[at]: float(value)
            for at, value in zip(chosen.tolist(), chance.tolist(), strict=True)
            if names[at] in kept
        }
        return page, told
