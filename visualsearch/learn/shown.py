"""What was shown, slot by slot: the columns that position bias, rankers and off-policy estimates are learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.people import MEANINGS, weight
from visualsearch.types import Bool, Float64, Int64

if TYPE_CHECKING:
    from visualsearch.people import EventColumns

EXPLORED = "explore"
"""The variant of events on a fresh pin that was tried."""
GOOD = ("click", "visit", "save", "share", "purchase")
"""Deeds that only somebody who looked at the slot can do, and that speak for the pin."""


@dataclass(frozen=True)
class Shown:
    """n impressions, (n,) each. `list` numbers the served list, `item` the pin, `place` the slot's number among `places`.

    `clicked`: whether a deed of GOOD followed. `value`: the sum of the deeds' weights (`people.MEANINGS`). `random` is the chance
    with which a randomised slot got this pin, 1 where nothing was drawn. `explored`: which
    are fresh pins that were tried. `places` names each place: surface, row, column.
    """

    list: Int64
    item: Int64
    place: Int64
    clicked: Bool
    value: Float64
    random: Float64
    person: Int64
    at: Int64
    places: tuple[tuple[str, int, int], ...]
    items: tuple[str, ...] = field(repr=False, default=())
    explored: Bool | None = field(repr=False, default=None)

    def __len__(self) -> int:
        return len(self.list)

    @property
    def tried(self) -> Bool:
        """(n,) which are fresh pins that were tried: drawn by chance, but not against their neighbours."""
        return np.zeros(len(self), bool) if self.explored is None else self.explored

    def part(self, chosen: Bool | Int64) -> Shown:
        """Some of the impressions."""
        names = ("list", "item", "place", "clicked", "value", "random", "person", "at")
        changed: dict[str, Any] = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, **changed, explored=self.tried[chosen])


def shown_of(events: EventColumns) -> Shown:
    """The impressions of a record's events and what followed each. Events without answer, slot or pin cannot be placed.

    Raises UsageError where no impression can be placed.
    """
    answer, pin = events.codes["answer"], events.codes["pin_id"]
    numbers = events.numbers
    kind = events.codes["kind"]
    seen = (kind == events.code("kind", "impression")) & (answer >= 0) & (pin >= 0) & (numbers["slot"] >= 0)
    if not seen.any():
        raise UsageError(
            "what people saw cannot be placed",
            f"of {len(events):,} events none is an impression that names its answer, its slot and its pin",
            "Record impressions with the `answer` and `slot` of the served list",
        )
    key = answer * (pin.max() + 1) + pin
    first, place_of = np.unique(key[seen], return_index=True)
    rows = np.flatnonzero(seen)[place_of]
    deeds = np.flatnonzero((answer >= 0) & (pin >= 0) & ~seen & (kind != events.code("kind", "impression")))
    at = np.searchsorted(first, key[deeds])
    known = (at < len(first)) & (first[np.minimum(at, len(first) - 1)] == key[deeds])
    deeds, at = deeds[known], at[known]
    names = events.names["kind"]
    worth = np.array([MEANINGS[name].weight if name in MEANINGS else 0.0 for name in names])[kind[deeds]]
    visits = np.flatnonzero(kind[deeds] == events.code("kind", "visit"))
    for each in visits[events.dwell[deeds[visits]] >= 0]:
        worth[each] = weight("visit", int(events.dwell[deeds[each]]))
    value = np.bincount(at, worth, len(rows)) + MEANINGS["impression"].weight
    good = np.isin(kind[deeds], [events.code("kind", name) for name in GOOD])
    clicked = np.bincount(at, good, len(rows)) > 0
    surface = events.codes["surface"][rows]
    stacked = np.stack(
        [surface, numbers["slot_row"][rows], numbers["slot_column"][rows], numbers["slot"][rows]], 1
    )
    places, place = _places(stacked, events.names["surface"])
    chance = numbers["propensity"][rows]
    return Shown(
        np.unique(answer[rows], return_inverse=True)[1],
        pin[rows],
        place,
        clicked,
        np.asarray(value, np.float64),
        np.where(np.isnan(chance), 1.0, chance),
        events.person[rows],
        events.at[rows],
        places,
        tuple(events.names["pin_id"]),
        events.codes["variant"][rows] == events.code("variant", EXPLORED),
    )


def _places(stacked: Int64, surfaces: Sequence[str]) -> tuple[tuple[tuple[str, int, int], ...], Int64]:
    """Places by surface, row and column; where the grid is not told, a list of one column."""
    told = (stacked[:, 1] >= 0) & (stacked[:, 2] >= 0)
    row = np.where(told, stacked[:, 1], stacked[:, 3])
    column = np.where(told, stacked[:, 2], 0)
    found, place = np.unique(np.stack([stacked[:, 0], row, column], 1), axis=0, return_inverse=True)
    names = tuple((surfaces[s] if s >= 0 else "", int(r), int(c)) for s, r, c in found)
    return names, np.asarray(place, np.int64).reshape(-1)
