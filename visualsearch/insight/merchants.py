"""What pins do for a shop: figures over groups of people, each group large enough that nobody in it is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.people import domain_name

from . import audience
from .attribution import ASSUMES, WINDOW_DAYS
from .catalogue import LISTED, coverage, wanted
from .clusters import Collection, read_collection
from .daily import DAY_MS, WEEK, day_name, day_number, today
from .lift import Holdout
from .money import Money, groups_of, money_of
from .shop import TOUCHES, Asked, Pages, deeds_of, pages_of, with_utm
from .telling import covered, told

if TYPE_CHECKING:
    from visualsearch.engine import Index

FEWEST = 10
"""A figure is told where at least so many people are behind it."""
WEEKS = 12


@dataclass(frozen=True)
class MerchantReport:
    """A shop's pins from `first_day` to `last_day`. None stands for a figure with fewer than `fewest` people behind it."""

    domain: str
    first_day: str
    last_day: str
    fewest: int
    pins: int
    funnel: list[dict[str, Any]]
    weeks: list[dict[str, Any]]
    cohorts: list[dict[str, Any]]
    chains: list[dict[str, Any]]
    reach: list[dict[str, Any]]
    boards: list[dict[str, Any]]
    beside: list[dict[str, Any]]
    personas: list[dict[str, Any]]
    money: list[Money]
    never_pinned: list[dict[str, Any]]
    coverage: dict[str, int | None]
    wanted: list[dict[str, Any]]
    wanted_looks: list[dict[str, Any]]
    links: list[dict[str, str]]
    assumes: dict[str, str] = field(default_factory=lambda: dict(ASSUMES))
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def merchant_report(
    index: Index,
    domain: str,
    *,
    weeks: int = WEEKS,
    until: str | None = None,
    fewest: int = FEWEST,
    held_out: Sequence[str] | Holdout = (),
    utm: bool = False,
    pages: Pages | None = None,
    pins: Collection | None = None,
) -> MerchantReport:
    """What the pins of a domain did in whole weeks, up to the last one that is over (or that of `until`).

    `held_out` are the people, keys or pseudonyms, who were kept from seeing the pins, or what `Experiments.held_out` gives: with
    them the report says what the pins caused. `pages` and `pins` may be handed over.
    Raises UsageError for a domain without pins, or fewer than 5 as `fewest`.
    """
    name = domain_name(domain)
    if fewest < 5:
        raise UsageError(
            f"cannot tell of groups of {fewest}", "a group needs 5 people at least", "10 is usual"
        )
    if not 1 <= weeks <= 520:
        raise UsageError(f"cannot look at {weeks} weeks", "it must be 1 to 520", "12 is usual")
    people = index.people
    mine = pages_of(index, name) if pages is None else pages
    if not len(mine.numbers):
        raise UsageError(
            f"there are no pins of {name}",
            "no pin's page lies there, and nobody saved one from there",
            "Index the shop's catalogue with a column url",
        )
    last = last_week(people.now(), until)
    since, end = (last - (weeks - 1) * WEEK) * DAY_MS, (last + WEEK) * DAY_MS
    who = people.counted()
    asked = Asked(who, mine, deeds_of(people, who, mine.numbers, since, end), since, end, fewest)
    looks = read_collection(index) if pins is None else pins
    saves = people.save_columns(0, end)
    seen = audience.audience(saves, who, mine.ids, since)
    notes = _notes(asked)
    groups = groups_of(asked, people, held_out, notes)
    return MerchantReport(
        name,
        day_name(since // DAY_MS),
        day_name(end // DAY_MS - 1),
        fewest,
        len(mine.numbers),
        _funnel(asked),
        _weekly(asked),
        _cohorts(asked),
        audience.chains(seen, fewest),
        audience.reach(seen, fewest),
        audience.boards(seen, people, fewest),
        audience.beside(seen, fewest, LISTED),
        audience.personas(seen, looks, fewest),
        money_of(asked, groups),
        *coverage(asked, seen, looks),
        *wanted(asked, looks),
        [
            {"pin": pin, "link": with_utm(page, campaign=name, content=pin)}
            for pin, page in zip(mine.ids, mine.pages, strict=True)
            if utm and page
        ],
        notes=notes,
    )


def last_week(now: int, until: str | None) -> int:
    """The Monday of the last week that is over: whole weeks only, so that two reports never differ by a single day's people."""
    day = today(now)
    if until is not None:
        try:
            day = min(day, day_number(until) + 1)
        except ValueError as error:
            raise UsageError(f"{until!r} is no day", str(error), "Write it as 2026-11-28") from error
    return day - (day + 3) % WEEK - WEEK


def _notes(asked: Asked) -> list[str]:
    notes = []
    if len(asked.pages.numbers) < 5:
        notes.append(
            f"Only {len(asked.pages.numbers)} pins: most figures will have too few people behind them."
        )
    if not len(asked.deeds):
        notes.append("Nobody did anything with these pins in these weeks.")
    sold = asked.deeds.of("purchase")
    if np.any(sold & (asked.deeds.currency < 0) & (asked.deeds.value != 0)):
        notes.append("Some sales name no currency; they stand apart, as currency ?.")
    if len(np.unique(asked.deeds.currency[sold & (asked.deeds.currency >= 0)])) > 1:
        notes.append("Sales are in several currencies. Each stands apart: no rate is guessed.")
    return notes


def _count(asked: Asked, which: Any) -> tuple[int, int]:
    return int(which.sum()), len(np.unique(asked.deeds.person[which]))


def _funnel(asked: Asked) -> list[dict[str, Any]]:
    found = []
    for name in ("impression", "click", "save", "visit", "purchase"):
        which = asked.deeds.of(name)
        if name == "purchase":
            which = which & (asked.deeds.value >= 0)
        times, people = _count(asked, which)
        found.append(
            {
                "step": name,
                "times": told(times, people, asked.fewest),
                "people": told(people, people, asked.fewest),
            }
        )
    return found


def _weekly(asked: Asked) -> list[dict[str, Any]]:
    found = []
    week = (asked.deeds.at - asked.since) // (WEEK * DAY_MS)
    for number in range((asked.until - asked.since) // (WEEK * DAY_MS)):
        row: dict[str, Any] = {"week": day_name(asked.since // DAY_MS + number * WEEK)}
        for name in ("impression", "click", "save", "visit", "purchase"):
            times, people = _count(asked, asked.deeds.of(name) & (week == number))
            row[name] = told(times, people, asked.fewest) if times else 0
        found.append(row)
    for name in found[0] if found else ():
        if name != "week":
            for row, value in zip(found, covered([row[name] for row in found]), strict=True):
                row[name] = value
    return found


def _cohorts(asked: Asked) -> list[dict[str, Any]]:
    """Of the people whose first touch lay in a week, the share who bought within 0, 1, 2 ... weeks."""
    deeds = asked.deeds
    touch, sold = deeds.of(*TOUCHES), deeds.of("purchase") & (deeds.value > 0)
    weeks = (asked.until - asked.since) // (WEEK * DAY_MS)
    first = np.full(len(asked.who), np.iinfo(np.int64).max)
    np.minimum.at(first, deeds.person[touch], deeds.at[touch])
    bought = np.full(len(asked.who), np.iinfo(np.int64).max)
    after = sold & (deeds.at >= first[deeds.person])
    np.minimum.at(bought, deeds.person[after], deeds.at[after])
    there = first < np.iinfo(np.int64).max
    cohort = np.where(there, (first - asked.since) // (WEEK * DAY_MS), -1)
    took = np.where(bought < np.iinfo(np.int64).max, (bought - first) // (WEEK * DAY_MS), weeks + 1)
    found = []
    for number in range(weeks):
        mine = cohort == number
        size = int(mine.sum())
        shares = []
        for within in range(min(weeks - number, 8)):
            buyers = int((mine & (took <= within)).sum())
            # Few buyers, or few who did not buy, would say of somebody what they did.
            shares.append(round(buyers / size, 4) if min(buyers, size - buyers) >= asked.fewest else None)
        name = day_name(asked.since // DAY_MS + number * WEEK)
        found.append({"week": name, "people": told(size, size, asked.fewest), "bought": shares})
    return found


__all__ = ["WINDOW_DAYS", "MerchantReport", "Money", "merchant_report"]
