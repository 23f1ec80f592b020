"""Counts of people by day and cluster, told once and kept: what trends are made of.

A release is of one day, or of one week of a declared field. Each person adds 1 to a few of its counts. It is
charged to the calendar month of its days (both months of a week that has days of two).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UnknownNameError
from visualsearch.people import DELTA, rho_of
from visualsearch.types import Float64, Int64

from .cells import counted
from .clusters import Collection
from .noise import noisy, scale_of

if TYPE_CHECKING:
    from visualsearch.people import Counted, People

DAY_MS = 86_400_000
KINDS = ("click", "visit", "save", "share", "purchase")
"""Deeds that say that somebody likes a look. What was merely shown says more of who shows it."""
MOST_CELLS, WEEK_CELLS = 4, 10
"""To so many counts of a day, and of a week, a person adds. More would mean more noise, fewer would leave more out."""
FIELDS = {"region": "region", "age": "age_band", "interest": "interests"}
WEEK = 7
FEWEST = 50
"""A declared group of fewer people is not told of. The noise on its size is added to that."""
MOST_GROUPS = 12


@dataclass(frozen=True)
class Days:
    """Released counts: `days` (d,) since 1970, `counts` (d, c) NaN where a day was not told, `noise` the added deviation."""

    days: Int64
    counts: Float64 = field(repr=False)
    noise: float


@dataclass(frozen=True)
class Split:
    """Released counts by a declared field: `weeks` (w,) first days, `counts` (w, groups, c)."""

    name: str
    groups: list[str]
    weeks: Int64
    counts: Float64 = field(repr=False)
    noise: float


def day_name(day: int) -> str:
    """2026-11-28 of a day since 1970."""
    return (date(1970, 1, 1) + timedelta(days=int(day))).isoformat()


def day_number(text: str) -> int:
    """The day since 1970 of 2026-11-28. Raises ValueError."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def data_sets(first: int, last: int) -> list[str]:
    """The names under which days are charged: `people 2026-11`."""
    return sorted({f"people {day_name(day)[:7]}" for day in range(first, last + 1)})


def today(now: int) -> int:
    """The day since 1970 of a time in milliseconds."""
    return int(datetime.fromtimestamp(now / 1000, UTC).timestamp() // 86_400)


class Releases:
    """Asks a record for counts over a collection, at one epsilon."""

    def __init__(
        self, people: People, pins: Collection, epsilon: float = 1.0, seed: int | None = None
    ) -> None:
        self.people, self.pins, self.epsilon = people, pins, epsilon
        self._rng = np.random.default_rng(seed)
        self._counted: Counted | None = None

    def days(self, first: int, last: int, say: Any = lambda _: None) -> Days:
        """The counts of the days from `first` to `last`, both told. What was told before is told again and costs nothing.

        Raises BudgetError at the first day that a budget has no room for; the days before it are told, and kept.
        """
        wanted = range(first, last + 1)
        told = {day: self.people.released(self._of_day(day)) for day in wanted}
        missing = [day for day in wanted if told[day] is None]
        if missing:
            who = self._who()
            say(f"counting {len(missing)} new days")
            held = self._cells(who, missing)
            for at, day in enumerate(missing):
                make = partial(self._answer, *held[at], len(self.pins.clusters))
                told[day] = self.people.release(self._of_day(day), data_sets(day, day), self.epsilon, make)
        counts = np.stack([self._columns(told[day]) for day in wanted])
        return Days(np.arange(first, last + 1), counts, self._noise())

    def weeks(self, weeks: Sequence[int]) -> Days:
        """How many people turned to each cluster in whole weeks, by first days. Raises BudgetError."""
        told: dict[int, Any] = {week: self.people.released(self._of_week("", week)) for week in weeks}
        missing = [week for week in weeks if told[week] is None]
        if missing:
            who = self._who()
            for week in missing:
                make = partial(self._answer, *self._week(who, week), len(self.pins.clusters), most=WEEK_CELLS)
                months = data_sets(week, week + WEEK - 1)
                told[week] = self.people.release(self._of_week("", week), months, self.epsilon, make)
        counts = [self._columns(told[week]) for week in weeks]
        shape = (len(weeks), len(self.pins.clusters))
        return Days(np.array(weeks, np.int64), np.array(counts).reshape(shape), self._noise(1.0, WEEK_CELLS))

    def split(self, name: str, weeks: Sequence[int]) -> Split:
        """The counts of whole weeks by a declared field: region, age or interest. Raises UnknownNameError, BudgetError."""
        if name not in FIELDS:
            raise UnknownNameError("field", name, FIELDS)
        told: dict[int, Any] = {week: self.people.released(self._of_week(name, week)) for week in weeks}
        missing = [week for week in weeks if told[week] is None]
        if missing:
            who = self.people.counted([FIELDS[name]])
            groups, member = _groups(who, FIELDS[name])
            for week in missing:
                make = partial(self._split, groups, member, *self._week(who, week))
                months = data_sets(week, week + WEEK - 1)
                told[week] = self.people.release(self._of_week(name, week), months, self.epsilon, make)
        names = sorted({group for week in weeks for group in told[week]["groups"]})
        counts = (
            np.stack([self._grouped(told[week], names) for week in weeks])
            if weeks
            else np.zeros((0, len(names), len(self.pins.clusters)))
        )
        return Split(name, names, np.array(weeks, np.int64), counts, self._noise(0.5, WEEK_CELLS))

    @property
    def noise(self) -> float:
        """The deviation of what is added to a day's counts."""
        return self._noise()

    def told(self, day: int) -> bool:
        """Whether a day was told before."""
        return self.people.released(self._of_day(day)) is not None

    # -- asking ----------------------------------------------------------------------------------------------------
    def _of_day(self, day: int) -> dict[str, Any]:
        return {
            "what": "people by cluster",
            "day": day_name(day),
            "cells": MOST_CELLS,
            "epsilon": self.epsilon,
        }

    def _of_week(self, name: str, week: int) -> dict[str, Any]:
        return {
            "what": f"people by cluster and {name}" if name else "people by cluster",
            "week": day_name(week),
            "cells": WEEK_CELLS,
            "epsilon": self.epsilon,
        }

    def _who(self) -> Counted:
        """Everybody who counts, as it was when first asked for."""
        if self._counted is None:
            self._counted = self.people.counted()
        return self._counted

    def _answer(
        self, person: Int64, cell: Int64, cells: int, rho: float, most: int = MOST_CELLS
    ) -> dict[str, Any]:
        made = noisy(counted(person, cell, cells, most, self._rng), most, rho)
        return {"ids": self.pins.clusters.ids.tolist(), "counts": made.tolist()}

    def _split(
        self, groups: Sequence[str], member: Any, person: Int64, cluster: Int64, rho: float
    ) -> dict[str, Any]:
        """An answer by group. Half of its cost goes into which groups are told of: those with enough people, by noisy sizes."""
        who, group = np.nonzero(member)
        sizes = noisy(counted(who, group, len(groups), MOST_CELLS, self._rng), MOST_CELLS, rho / 2)
        enough = FEWEST + 6 * scale_of(MOST_CELLS, rho / 2)
        told = [at for at in np.argsort(-sizes, kind="stable")[:MOST_GROUPS].tolist() if sizes[at] >= enough]
        told.sort()
        clusters = len(self.pins.clusters)
        # A person of several interests stands in a cell of each: `bounded` then lets them stand in few.
        rows = [np.flatnonzero(member[person, at]) for at in told]
        nobody = np.zeros(0, np.int64)
        people = np.concatenate([nobody, *(person[each] for each in rows)])
        cells = np.concatenate(
            [nobody, *(number * clusters + cluster[each] for number, each in enumerate(rows))]
        )
        answer = self._answer(people, cells, len(told) * clusters, rho / 2, WEEK_CELLS)
        return {"groups": [groups[at] for at in told], **answer}

    def _noise(self, share: float = 1.0, most: int = MOST_CELLS) -> float:
        return scale_of(most, share * rho_of(self.epsilon, DELTA))

    def _columns(self, told: Any) -> Float64:
        known = dict(zip(told["ids"], told["counts"], strict=True))
        return np.array([known.get(each, np.nan) for each in self.pins.clusters.ids.tolist()], float)

    def _grouped(self, told: Any, names: Sequence[str]) -> Float64:
        rows = np.array(told["counts"], float).reshape(len(told["groups"]), len(told["ids"]))
        held = {
            group: self._columns({"ids": told["ids"], "counts": row})
            for group, row in zip(told["groups"], rows, strict=True)
        }
        nothing = np.full(len(self.pins.clusters), np.nan)
        return np.stack([held.get(name, nothing) for name in names]) if names else np.zeros((0, len(nothing)))

    # -- counting --------------------------------------------------------------------------------------------------
    def _cells(self, who: Counted, days: Sequence[int]) -> list[tuple[Int64, Int64]]:
        """Of each day: (person, cluster) of its deeds, each pair once."""
        pairs = self._pairs(who, min(days), max(days))
        clusters = len(self.pins.clusters)
        day = pairs // (clusters * max(len(who), 1))
        found = []
        for each in days:
            mine = pairs[
                np.searchsorted(day, each - min(days)) : np.searchsorted(day, each - min(days), "right")
            ]
            rest = mine % (clusters * max(len(who), 1))
            found.append((rest // clusters, rest % clusters))
        return found

    def _pairs(self, who: Counted, first: int, last: int) -> Int64:
        """Sorted numbers (day, person, cluster), each once, of the deeds from one day to another, days counted from `first`."""
        clusters, persons = len(self.pins.clusters), max(len(who), 1)
        found: list[Int64] = []
        tables = self.people.event_tables(
            first * DAY_MS, (last + 1) * DAY_MS, ("person", "at", "pin"), kinds=KINDS
        )
        for table in tables:
            pin = table.column("pin").fill_null(-1).to_numpy()
            place = self.pins.places(pin)
            person = who.places(table.column("person").to_numpy())
            day = table.column("at").to_numpy() // DAY_MS - first
            kept = (place >= 0) & (person >= 0)
            cluster = self.pins.cluster[place[kept]]
            found.append(np.unique((day[kept] * persons + person[kept]) * clusters + cluster))
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)

    def _week(self, who: Counted, week: int) -> tuple[Int64, Int64]:
        clusters, persons = len(self.pins.clusters), max(len(who), 1)
        rest = np.unique(self._pairs(who, week, week + WEEK - 1) % (clusters * persons))
        return rest // clusters, rest % clusters


def _groups(who: Counted, column: str) -> tuple[list[str], Any]:
    """The groups of a declared field and (n, groups) who belongs to which. Interests are a list of words in JSON."""
    said, names = who.declared[column], who.names[column]
    words = [set(json.loads(name)) if column == "interests" else {name} for name in names]
    groups = sorted({word for each in words for word in each})
    member = np.zeros((len(who), len(groups)), bool)
    for number, group in enumerate(groups):
        fits = np.array([group in each for each in words], bool)
        member[:, number] = (said >= 0) & fits[np.maximum(said, 0)] if len(fits) else False
    return groups, member
