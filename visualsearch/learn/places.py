"""How likely each place of a grid is looked at, from randomised slots and from pins that stood in several places.

Some impressions could have traded places: the randomised slots of one list, and one person's meetings with one pin. Within such a
group, clicks fall on places in proportion to how likely each is looked at.
Sources: swaps, Joachims and others 2017; harvesting, Agarwal and others 2019, "Estimating position bias".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Bool, Float64, Int64

from .shown import Shown

FEWEST_CLICKS = 200
"""Clicks in groups that tell anything."""
FEWEST_AT_PLACE = 10
STEPS = 60
RIDGE = 0.5
"""How strongly a place is held to what its row and its column say."""


@dataclass(frozen=True)
class Examined:
    """How likely each place is looked at, (p,) relative to the likeliest of its surface, with (p, 2) 95 % intervals.

    `clicks` counts those that told it. A place that the events say too little of takes what its row and column say.
    """

    places: tuple[tuple[str, int, int], ...]
    chance: Float64
    interval: Float64
    clicks: int

    def of(self, surface: str, row: int, column: int) -> float:
        """The chance of one place; 1 where the surface is unknown. Raises KeyError for an unknown place of it."""
        found = dict(zip(self.places, self.chance.tolist(), strict=True))
        return float(found[surface, row, column])


def examined(shown: Shown, *, harvest: bool = True) -> Examined:
    """Estimate it from the randomised slots, and with `harvest` from pins that one person met in several places.

    Raises UsageError, with the reason, where the events cannot tell.
    """
    drawn = (shown.random < 1) & ~shown.tried
    parts = [(shown.list[drawn], shown.part(drawn))]
    if harvest:
        surface = np.unique([name for name, _, _ in shown.places], return_inverse=True)[1][shown.place]
        keys = np.stack([shown.person, shown.item, surface])[:, ~drawn]
        met = np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)
        parts.append((met + 1 + (shown.list.max() if len(shown) else 0), shown.part(~drawn)))
    group = np.concatenate([part[0] for part in parts])
    place = np.concatenate([part[1].place for part in parts])
    clicked = np.concatenate([part[1].clicked for part in parts])
    return _fitted(group, place, clicked, shown.places)


def fit_places(group: Int64, place: Int64, clicked: Bool, places: Sequence[tuple[str, int, int]]) -> Examined:
    """The same for groups of one's own: impressions of one group could have traded places. Raises UsageError."""
    return _fitted(group, place, clicked, tuple(places))


def _fitted(group: Int64, place: Int64, clicked: Bool, places: tuple[tuple[str, int, int], ...]) -> Examined:
    from scipy.sparse import csr_matrix

    code = np.unique(group, return_inverse=True)[1].reshape(-1)
    count = np.bincount(code) if len(code) else np.zeros(0, np.int64)
    clicks = np.bincount(code, clicked, len(count))
    lowest = np.full(len(count), len(places))
    highest = np.zeros(len(count), np.int64)
    np.minimum.at(lowest, code, place)
    np.maximum.at(highest, code, place)
    tells = (clicks > 0) & (lowest < highest)
    used = tells[code] if len(code) else np.zeros(0, bool)
    told = int(clicked[used].sum())
    if told < FEWEST_CLICKS:
        raise UsageError(
            "position bias cannot be told from these events",
            f"{told:,} clicks are in slots that were randomised, or on pins that stood in several places;"
            f" {FEWEST_CLICKS} are needed",
            "Randomise a share of the lists (swaps among neighbours), or wait for more clicks",
        )
    code = np.unique(code[used], return_inverse=True)[1].reshape(-1)
    shape = (int(code.max()) + 1, len(places))
    there = csr_matrix((np.ones(len(code)), (code, place[used])), shape)
    there.sum_duplicates()
    hits = np.bincount(place[used], clicked[used], len(places)).astype(np.float64)
    total = np.bincount(code, clicked[used], shape[0]).astype(np.float64)
    _check_joined(there, places, hits)
    design = _design(places)
    return _newton(there, total, hits, design, places, told)


def _check_joined(there: Any, places: tuple[tuple[str, int, int], ...], hits: Float64) -> None:
    """Places that no group joins to the others of their surface cannot be compared."""
    from scipy.sparse.csgraph import connected_components

    joined = there.T @ there
    _, label = connected_components(joined, directed=False)
    for surface in sorted({name for name, _, _ in places}):
        mine = [at for at, place in enumerate(places) if place[0] == surface and hits[at] >= FEWEST_AT_PLACE]
        if len({int(label[at]) for at in mine}) > 1:
            raise UsageError(
                f"position bias of {surface or 'these lists'} cannot be told from these events",
                "no pin stood in both of two parts of the grid, so that nothing compares them",
                "Randomise swaps in every part of the grid",
            )


def _design(places: tuple[tuple[str, int, int], ...]) -> tuple[Float64, Float64]:
    """(p, q) design of rows, columns and places, and (q,) how strongly each is held to zero."""
    rows = {key: at for at, key in enumerate(sorted({(s, "row", r) for s, r, _ in places}))}
    columns = {key: len(rows) + at for at, key in enumerate(sorted({(s, "column", c) for s, _, c in places}))}
    width = len(rows) + len(columns) + len(places)
    made = np.zeros((len(places), width))
    held = np.full(width, 1e-3)
    for at, (surface, row, column) in enumerate(places):
        made[at, rows[surface, "row", row]] = made[at, columns[surface, "column", column]] = 1
        made[at, len(rows) + len(columns) + at] = 1
    held[len(rows) + len(columns) :] = 1 / RIDGE**2 * 4
    return made, held


def _newton(
    there: Any,
    total: Float64,
    hits: Float64,
    design: tuple[Float64, Float64],
    places: tuple[tuple[str, int, int], ...],
    told: int,
) -> Examined:
    """The most likely places' chances: a convex problem in their logarithms."""
    from scipy.sparse import diags

    made, held = design
    weights = np.zeros(made.shape[1])
    for _ in range(STEPS):
        chance = np.exp(made @ weights)
        share = total / (there @ chance)
        flow = there.multiply(chance[None, :]).tocsr()
        expected = np.asarray(flow.T @ share).reshape(-1)
        parts = diags(np.sqrt(total) * share / np.maximum(total, 1)) @ flow
        curve = np.diag(expected) - np.asarray((parts.T @ parts).todense())
        slope = made.T @ (hits - expected) - held * weights
        bend = made.T @ curve @ made + np.diag(held)
        step = np.linalg.solve(bend, slope)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        weights = weights + step
        if float(np.abs(step).max()) < 1e-8:
            break
    level = made @ weights
    spread = made @ np.linalg.inv(bend) @ made.T
    chance, low, high = np.empty(len(places)), np.empty(len(places)), np.empty(len(places))
    for surface in {name for name, _, _ in places}:
        mine = np.array([at for at, place in enumerate(places) if place[0] == surface])
        seen = hits[mine]
        base = mine[int(np.argmax(np.where(seen >= FEWEST_AT_PLACE, level[mine], -np.inf)))]
        apart = level[mine] - level[base]
        error = np.sqrt(np.maximum(np.diag(spread)[mine] + spread[base, base] - 2 * spread[mine, base], 0))
        chance[mine], low[mine], high[mine] = (
            np.exp(apart),
            np.exp(apart - 1.96 * error),
            np.exp(apart + 1.96 * error),
        )
    return Examined(places, np.minimum(chance, 1.0), np.stack([low, high], 1), told)


@dataclass(frozen=True)
class Swap:
    """A list with two neighbours drawn by a coin: the order that is served, and the chance of each slot (1, or 0.5 for two)."""

    order: Int64
    random: Float64


def swapped(count: int, columns: int, share: float, rng: np.random.Generator) -> Swap:
    """For a `share` of lists, draw one pair of neighbours of the grid, beside or below, and trade them by a coin.

    Record the slots' `random` as the events' `propensity`. A share of 0 randomises nothing.
    """
    if not 0 <= share <= 1:
        raise UsageError(
            f"cannot randomise a share of {share:g}", "it must be between 0 and 1", "Example: 0.02"
        )
    order, chance = np.arange(count), np.ones(count)
    if count < 2 or rng.random() >= share:
        return Swap(order, chance)
    first = int(rng.integers(count))
    near = _near(first, columns, count) or [first - columns if first >= columns else first - 1]
    other = int(near[int(rng.integers(len(near)))])
    chance[[first, other]] = 0.5
    if rng.random() < 0.5:
        order[[first, other]] = order[[other, first]]
    return Swap(order, chance)


def _near(at: int, columns: int, count: int) -> list[int]:
    """The neighbours of a slot that follow it: beside it in its row, and below it."""
    beside = [at + 1] if (at + 1) % columns else []
    return [other for other in (*beside, at + columns) if other < count]


def swap_cost(found: Examined, surface: str, columns: int, share: float, count: int) -> float:
    """What the swaps cost at most, as a share of the clicks: as if pins fell off as fast as places are looked at."""
    chance = np.array([found.of(surface, at // columns, at % columns) for at in range(count)])
    total = float((chance * chance).sum())
    lost = [(chance[a] - chance[b]) ** 2 for a in range(count) for b in _near(a, columns, count)]
    return share * 0.5 * float(np.mean(lost)) / total if lost else 0.0
