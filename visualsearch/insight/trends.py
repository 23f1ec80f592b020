"""Trends: which looks people turn to, by released counts alone, with pins from public boards to show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import BudgetError, UsageError
from visualsearch.types import Float64, Int64

from .clusters import Collection, read_collection
from .daily import DAY_MS, FEWEST, Releases, Split, data_sets, day_name, day_number, today
from .growth import Growth, Phase, judge, whole_weeks

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.people import People

DAYS = 60
MOST_DAYS = 1200
LEAD_DAYS = 28
LEAD_SAVERS = 3
"""A pin leads where so many people saved it to public boards."""
MOST_LEADERS = 6
SPLIT_WEEKS = 5
POINTS = 3000
"""Pins on the map; of more, so many are drawn."""
NEW_DAYS = 28


class NothingError(UsageError):
    """Nobody did anything in the days that were asked for."""


@dataclass(frozen=True)
class Trend:
    """A cluster and where it stands. `weeks` are people a week, noisy; None where too few to tell. `leaders` are pin ids.

    `returns`: it rose at this time of last year too; None where no year of days is known. `new`: first seen in the last weeks.
    """

    id: int
    name: str
    phase: Phase
    factor: float | None
    low: float | None
    high: float | None
    sureness: float | None
    weeks: list[int | None]
    level: list[float | None] = field(repr=False)
    new: bool
    returns: bool | None
    leaders: list[str]
    place: tuple[float, float]
    pins: int


@dataclass(frozen=True)
class GroupTrend:
    """A cluster's growth among people who declared something: the last week over the median of the weeks before."""

    field: str
    group: str
    id: int
    name: str
    factor: float
    low: float
    high: float


@dataclass(frozen=True)
class TrendReport:
    """What `find_trends` found: trends, strongest first, as of the last of `days`. `weeks` are first days of whole weeks."""

    last_day: str
    days: list[str]
    weeks: list[str]
    trends: list[Trend]
    groups: list[GroupTrend]
    told_of: dict[str, list[str]]
    points: list[tuple[float, float, int]] = field(repr=False)
    epsilon: float
    noise: float
    budgets: list[dict[str, Any]]
    notes: list[str]

    def of(self, *phases: Phase) -> list[Trend]:
        """The trends in those phases."""
        return [trend for trend in self.trends if trend.phase in phases]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        del plain["points"]
        return plain


def find_trends(
    index: Index,
    *,
    days: int = DAYS,
    until: str | None = None,
    by: Sequence[str] = (),
    epsilon: float = 1.0,
    seed: int | None = None,
    pins: Collection | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TrendReport:
    """The trends of an index's people, over `days` closed days up to `until` (2026-11-28; None: yesterday).

    `by` names declared fields to tell people apart by: region, age, interest. Days that were told before cost nothing; others
    are charged to the month they lie in. `pins` may be handed over.
    Raises BudgetError where not even one day could be told, UsageError.
    """
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"cannot look at {days} days", f"it must be 1 to {MOST_DAYS}", "60 is usual")
    people = index.people
    last = _last_day(people.now(), until)
    first_at = people.first_event()
    if first_at is None:
        raise NothingError(
            f"there is nothing to see yet in {index.folder}", "nobody did anything", "Record events first"
        )
    first = max(last - days + 1, first_at // DAY_MS)
    if first > last:
        raise NothingError(
            f"there is nothing to see before {day_name(last)}",
            f"the first event is of {day_name(first_at // DAY_MS)}",
            "Choose a later day: --until",
        )
    if pins is None:
        pins = read_collection(index)
    asked = Releases(people, pins, epsilon, seed)
    notes: list[str] = []
    held, numbers = _told_days(asked, first, last, notes, say)
    growth = judge(held, asked.noise)
    weeks, sums, week_noise = _told_weeks(asked, numbers, notes)
    leaders = _leaders(people, pins, (last + 1) * DAY_MS)
    trends = _trends(pins, growth, held, weeks, sums, leaders, week_noise)
    splits = [_split(asked, name, weeks, notes) for name in by]
    groups = [each for split in splits if split is not None for each in _group_trends(split, pins)]
    return TrendReport(
        day_name(last),
        [day_name(day) for day in numbers],
        [day_name(week) for week in weeks],
        trends,
        groups,
        {split.name: split.groups for split in splits if split is not None},
        _points(pins),
        epsilon,
        asked.noise,
        [asdict(people.budget(name)) for name in data_sets(first, last)],
        notes,
    )


def _last_day(now: int, until: str | None) -> int:
    closed = today(now) - 1
    if until is None:
        return closed
    try:
        chosen = day_number(until)
    except ValueError as error:
        raise UsageError(f"{until!r} is no day", str(error), "Write it as 2026-11-28") from error
    if chosen > closed:
        raise UsageError(
            f"cannot tell of {until}",
            f"the last day that is over is {day_name(closed)}",
            "Choose an earlier day",
        )
    return chosen


def _told_days(
    asked: Releases, first: int, last: int, notes: list[str], say: Callable[[str], None]
) -> tuple[Float64, Int64]:
    """Counts (d, c) and days. A month whose budget is spent is left out, with a note."""
    months: dict[str, list[int]] = {}
    for day in range(first, last + 1):
        months.setdefault(day_name(day)[:7], []).append(day)
    rows, days, refused = [], [], None
    for name, some in months.items():
        try:
            rows.append(asked.days(some[0], some[-1], say).counts)
            days += some
        except BudgetError as error:
            refused = error
            told = [day for day in some if asked.told(day)]
            notes.append(f"{name}: {error} {len(some) - len(told)} days are missing.")
            for day in told:
                rows.append(asked.days(day, day).counts)
                days.append(day)
    if refused is not None and not days:
        raise refused
    return np.concatenate(rows), np.array(days, np.int64)


def _told_weeks(asked: Releases, days: Int64, notes: list[str]) -> tuple[Int64, Float64, float]:
    """Whole weeks among the days, how many people turned to each cluster in each (w, c), and the noise."""
    weeks = whole_weeks(days)
    kept: list[int] = []
    for week in weeks.tolist():
        try:
            asked.weeks([week])
            kept.append(week)
        except BudgetError as error:
            notes.append(f"The week of {day_name(week)} is left out: {error}")
    found = asked.weeks(kept)
    return found.days, found.counts, found.noise


def _trends(
    pins: Collection,
    growth: Growth,
    held: Float64,
    weeks: Int64,
    sums: Float64,
    leaders: dict[int, list[str]],
    noise: float,
) -> list[Trend]:
    clusters = pins.clusters
    sizes = np.bincount(pins.cluster, minlength=len(clusters))
    least = max(FEWEST, 3 * noise)
    made = []
    for at, number in enumerate(clusters.ids.tolist()):
        first = np.flatnonzero(np.isfinite(held[:, at]))
        new = bool(clusters.since[at] > 1 and len(first) and len(first) <= NEW_DAYS < len(held))
        made.append(
            Trend(
                number,
                clusters.names[at] or f"look {number}",
                growth.phase[at],
                _plain(growth.factor[at]),
                _plain(growth.low[at]),
                _plain(growth.high[at]),
                _plain(growth.sureness[at], 1),
                [int(value) if value >= least else None for value in sums[:, at].tolist()],
                [_plain(value, 1) for value in growth.level[:, at].tolist()],
                new,
                growth.returns[at],
                leaders.get(at, []),
                (round(float(clusters.map[at, 0]), 4), round(float(clusters.map[at, 1]), 4)),
                int(sizes[at]),
            )
        )
    order = [Phase.RISING, Phase.PEAKING, Phase.FADING, Phase.STEADY, Phase.UNKNOWN]
    return sorted(made, key=lambda trend: (order.index(trend.phase), -(trend.sureness or 0), trend.id))


def _plain(value: float, digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _leaders(people: People, pins: Collection, until: int) -> dict[int, list[str]]:
    """Of each cluster the pins that most people saved to public boards of late; all of it anybody can see on those boards."""
    saves = people.save_columns(until - LEAD_DAYS * DAY_MS, until)
    if not len(saves):
        return {}
    known = {name: at for at, name in enumerate(pins.ids)}
    place = np.array([known.get(name, -1) for name in saves.pin], np.int64)
    held = place >= 0
    pairs = np.unique(np.stack([place[held], saves.person[held]]), axis=1)
    pin, count = np.unique(pairs[0], return_counts=True)
    found: dict[int, list[str]] = {}
    for at in np.lexsort((pin, -count)):
        if count[at] < LEAD_SAVERS:
            break
        listed = found.setdefault(int(pins.cluster[pin[at]]), [])
        if len(listed) < MOST_LEADERS:
            listed.append(pins.ids[pin[at]])
    return found


def _split(asked: Releases, name: str, weeks: Int64, notes: list[str]) -> Split | None:
    if len(weeks) < 2:
        notes.append(f"by {name}: two whole weeks are needed.")
        return None
    try:
        found = asked.split(name, weeks[-SPLIT_WEEKS:].tolist())
    except BudgetError as error:
        notes.append(f"by {name}: {error}")
        return None
    if not found.groups:
        notes.append(f"by {name}: too few people declared it.")
    return found


def _group_trends(split: Split, pins: Collection) -> list[GroupTrend]:
    """What grew in one group more surely than chance would have it."""
    found = []
    for number, group in enumerate(split.groups):
        mine = split.counts[:, number]
        share = mine / np.maximum(np.nansum(mine, axis=1, keepdims=True), 1)
        before, now = np.nanmedian(share[:-1], axis=0), share[-1]
        total = np.maximum(np.nansum(mine, axis=1), 1)
        error = np.sqrt(np.maximum(mine[-1], 1) + split.noise**2) / total[-1]
        usual = np.sqrt(np.maximum(before * total.mean(), 1) + split.noise**2) / total.mean()
        under = np.sqrt(error**2 + usual**2 / max(len(mine) - 1, 1))
        sure = (now - before) / under
        for at in np.flatnonzero((sure > 4) & (before > 3 * under / 4) & (now > 1.3 * before)):
            factor = float(now[at] / before[at])
            stretch = float(np.exp(min(1.96 * np.hypot(error[at] / now[at], usual[at] / before[at]), 5)))
            name = pins.clusters.names[at] or f"look {pins.clusters.ids[at]}"
            found.append(
                GroupTrend(
                    split.name,
                    group,
                    int(pins.clusters.ids[at]),
                    name,
                    round(factor, 2),
                    round(factor / stretch, 2),
                    round(factor * stretch, 2),
                )
            )
    return sorted(found, key=lambda each: -each.low)


def _points(pins: Collection) -> list[tuple[float, float, int]]:
    """Pins on the map, each between its nearest clusters: (x, y, cluster's place)."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(pins), min(len(pins), POINTS), replace=False))
    vectors = pins.vectors[chosen].astype(np.float32)
    cosine = vectors @ pins.clusters.centres.T
    near = np.argsort(-cosine, axis=1)[:, :3]
    pull = np.exp((np.take_along_axis(cosine, near, 1) - cosine.max(1, keepdims=True)) * 25)
    place = (pins.clusters.map[near] * pull[:, :, None]).sum(1) / pull.sum(1)[:, None]
    place = np.clip(place + rng.normal(0, 0.012, place.shape), 0, 1)
    owner = pins.cluster[chosen]
    return [
        (round(x, 3), round(y, 3), int(c)) for (x, y), c in zip(place.tolist(), owner.tolist(), strict=True)
    ]


__all__ = ["GroupTrend", "NothingError", "Trend", "TrendReport", "find_trends"]
