"""When people look, how fast new pins fade, and when to publish: all of it from figures over groups of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from visualsearch.errors import UsageError
from visualsearch.people import domain_name
from visualsearch.types import Float64, Int64

from .daily import DAY_MS, WEEK, day_name, today
from .merchants import FEWEST, last_week
from .shop import pages_of

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.people import Counted, People

HOUR_MS = 3_600_000
HOURS = 168
WEEKS = 8
OWN_WEEKS = 4
"""So many weeks of the plain pattern (hour times day) are mixed into what each hour of the week really had."""
QUIET_HOURS = 7 * 24
"""A pin that nobody saw in the first week of the window is new when it is seen."""
AGE_HOURS, BIN_HOURS = 240, 6
NEWEST_PINS = 20
"""Fewer new pins tell no half-life."""
ROUNDS = 200
APART_HOURS = 20
"""Suggested times lie so far apart."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Slot:
    """A suggested hour of the week, UTC. `gain` is what it brings in the first week over a random hour, with its interval."""

    day: str
    hour: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class TimingReport:
    """`activity` (168,) is how busy each hour of the week is, UTC, from Monday 00:00; 1 is usual; None: too few people.

    `half_life_days` of a new pin's views has its 95 % interval, None where too few new pins are known. `curve` has views a
    pin by age, and the fit.
    """

    audience: str
    first_day: str
    last_day: str
    fewest: int
    people: int | None
    activity: list[float | None] = field(repr=False)
    half_life_days: float | None
    half_life_low: float | None
    half_life_high: float | None
    new_pins: int
    curve: list[dict[str, float]] = field(repr=False)
    schedule: list[Slot]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def timing_report(
    index: Index,
    *,
    domain: str | None = None,
    weeks: int = WEEKS,
    until: str | None = None,
    slots: int = 5,
    fewest: int = FEWEST,
    seed: int = 0,
) -> TimingReport:
    """When an index's people look, or those who touched a domain's pins; how fast new pins fade; when to publish.

    Over whole weeks up to the last one that is over. Raises UsageError.
    """
    if not 1 <= weeks <= 520:
        raise UsageError(f"cannot look at {weeks} weeks", "it must be 1 to 520", "8 is usual")
    if fewest < 5:
        raise UsageError(
            f"cannot tell of groups of {fewest}", "a group needs 5 people at least", "10 is usual"
        )
    people = index.people
    last = last_week(people.now(), until)
    first = last - (weeks - 1) * WEEK
    who = people.counted()
    pins = None if domain is None else pages_of(index, domain_name(domain)).numbers
    seen = _seen(people, who, first, last + WEEK, pins)
    notes: list[str] = []
    if not seen.hours.size:
        notes.append("Nobody did anything in these weeks.")
    activity, told = smoothed(seen.weekly), seen.people >= fewest
    shown = _shown(activity, seen, fewest if told else seen.people + 1)
    half, low, high, curve, count = half_life(seen.pins, seen.views, seen.busy, seed)
    if half is None:
        notes.append(f"{count} new pins: too few to tell how fast they fade. The schedule takes 2 days.")
    if not told:
        notes.append(f"Fewer than {fewest} people: nothing is told of when they look.")
    plan = schedule(seen.weekly, half or 2.0, slots, seed) if told else []
    return TimingReport(
        domain or "everybody",
        day_name(first),
        day_name(last + WEEK - 1),
        fewest,
        seen.people if told else None,
        shown,
        half,
        low,
        high,
        count,
        curve,
        plan,
        notes,
    )


@dataclass(frozen=True)
class _Seen:
    """`weekly` (w, 168) people by hour of each week; `hours` distinct hours; (pins, views) by pin and hour; `busy` by hour."""

    weekly: Float64
    hours: Int64
    people: int
    per_hour: Int64
    pins: Int64
    views: Int64
    busy: Float64


def _seen(people: People, who: Counted, first: int, end: int, own: Int64 | None) -> _Seen:
    """Read the events once. `own`: only people who touched these pins count as the audience."""
    since, until = first * DAY_MS, end * DAY_MS
    length = (end - first) * 24
    audience: list[Int64] = []
    shown: dict[str, list[Int64]] = {"key": [], "count": []}
    touched = None if own is None else _touched(people, who, since, until, own)
    busy = np.zeros(length)
    for table in people.event_tables(since, until, ("person", "at", "pin", "kind"), kinds=_LOOKS):
        person = who.places(table.column("person").to_numpy())
        hour = (table.column("at").to_numpy() - since) // HOUR_MS
        looked = _is(table.column("kind"), "impression")
        counts = person >= 0
        mine = counts if touched is None else counts & touched[np.maximum(person, 0)]
        audience.append(np.unique(person[mine] * length + hour[mine]))
        pin = table.column("pin").fill_null(-1).to_numpy()
        which = counts & looked & (pin >= 0)
        busy += np.bincount(hour[which], minlength=length)
        key, count = np.unique(pin[which] * length + hour[which], return_counts=True)
        shown["key"].append(key)
        shown["count"].append(count)
    pairs = np.unique(np.concatenate(audience)) if audience else np.zeros(0, np.int64)
    weekly = np.bincount(pairs % length, minlength=length).reshape(-1, HOURS).astype(float)
    of_week = np.unique(pairs // length * HOURS + pairs % length % HOURS)
    key, views = _summed(shown)
    return _Seen(
        weekly,
        np.unique(pairs % length),
        len(np.unique(pairs // length)),
        np.bincount(of_week % HOURS, minlength=HOURS),
        key,
        views,
        busy,
    )


_LOOKS = ("impression", "click", "visit", "save")


def _is(column: Any, name: str) -> Any:
    import pyarrow.compute as pc

    return pc.fill_null(pc.equal(column.cast("string"), name), False).to_numpy()


def _summed(shown: dict[str, list[Int64]]) -> tuple[Int64, Int64]:
    if not shown["key"]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    key, place = np.unique(np.concatenate(shown["key"]), return_inverse=True)
    return key, np.bincount(place, weights=np.concatenate(shown["count"])).astype(np.int64)


def _touched(people: People, who: Counted, since: int, until: int, own: Int64) -> Any:
    out = np.zeros(max(len(who), 1), bool)
    for table in people.event_tables(since, until, ("person",), kinds=("click", "visit", "save"), pins=own):
        person = who.places(table.column("person").to_numpy())
        out[person[person >= 0]] = True
    return out


def smoothed(weekly: Float64) -> Float64:
    """(168,) how busy each hour of the week is, 1 in the mean, from (w, 168) counts: its own, drawn to hour times day."""
    total = weekly.sum(0)
    if total.sum() == 0:
        return np.ones(HOURS)
    grid = total.reshape(7, 24)
    ring = np.array([0.25, 0.5, 0.25])
    hour = np.convolve(np.concatenate([grid.sum(0)[-1:], grid.sum(0), grid.sum(0)[:1]]), ring, "valid")
    plain = np.outer(grid.sum(1), hour) / grid.sum()
    made = (grid + OWN_WEEKS * plain / max(len(weekly), 1)).reshape(-1)
    result: Float64 = made / made.mean()
    return result


def _shown(activity: Float64, seen: _Seen, fewest: int) -> list[float | None]:
    """Hours with too few people are not told."""
    return [
        round(float(value), 3) if people >= fewest else None
        for value, people in zip(activity, seen.per_hour.tolist(), strict=True)
    ]


# -- fading ----------------------------------------------------------------------------------------------------------
def half_life(
    key: Int64, views: Int64, busy: Float64, seed: int = 0
) -> tuple[float | None, float | None, float | None, list[dict[str, float]], int]:
    """The half-life in days of new pins' views with its interval, the curve, and how many new pins there are.

    `key` is pin * hours + hour with `views` each; `busy` (hours,) are all views by hour. Views by age are a falling part and a
    steady one, A * 2^(-age / half-life) + B, times how busy the hours were; fitted by Poisson likelihood. The interval comes
    from drawing pins again.
    """
    length = len(busy)
    if not len(key) or busy.sum() == 0:
        return None, None, None, [], 0
    pin, hour = key // length, key % length
    begins = np.flatnonzero(np.append(True, pin[1:] != pin[:-1]))
    first = hour[begins]
    new = np.flatnonzero((first >= QUIET_HOURS) & (first < length - 24))
    bins = AGE_HOURS // BIN_HOURS
    seen, due = np.zeros((len(new), bins)), np.zeros((len(new), bins))
    which = np.full(len(begins), -1)
    which[new] = np.arange(len(new))
    owner = which[np.cumsum(np.append(False, pin[1:] != pin[:-1]).astype(np.int64))]
    age = hour - first[np.cumsum(np.append(False, pin[1:] != pin[:-1]).astype(np.int64))]
    kept = (owner >= 0) & (age >= 1) & (age <= AGE_HOURS)  # the first hour is there because it was seen
    np.add.at(seen, (owner[kept], (age[kept] - 1) // BIN_HOURS), views[kept])
    usual = busy / busy.mean()
    summed = np.concatenate([[0.0], np.cumsum(usual)])
    for number in range(bins):
        low = np.minimum(first[new] + 1 + number * BIN_HOURS, length)
        high = np.minimum(low + BIN_HOURS, length)
        due[:, number] = summed[high] - summed[low]
    if len(new) < NEWEST_PINS or seen.sum() < 100:
        return None, None, None, [], len(new)
    found = _fit(seen.sum(0), due.sum(0))
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(ROUNDS // 2):
        weight = rng.multinomial(len(new), np.full(len(new), 1 / len(new))).astype(float)
        again.append(_fit(weight @ seen, weight @ due)[0])
    low_end, high_end = np.quantile(again, [0.025, 0.975])
    curve = [
        {
            "age_days": round((number + 0.5) * BIN_HOURS / 24, 3),
            "views": round(float(total / max(hours, 1e-9)), 5),
            "fit": round(float(fitted), 5),
        }
        for number, (total, hours, fitted) in enumerate(zip(seen.sum(0), due.sum(0), found[1], strict=True))
        if hours > 0
    ]
    return round(found[0], 3), round(float(low_end), 3), round(float(high_end), 3), curve, len(new)


def _fit(seen: Float64, due: Float64) -> tuple[float, Float64]:
    """The half-life in days, and the fitted rate of each bin of age."""
    age = (np.arange(len(seen)) + 0.5) * BIN_HOURS / 24 + 0.5 / 24
    there = due > 0
    rate = np.divide(seen, due, out=np.zeros_like(seen), where=there)
    error = np.sqrt(np.maximum(seen, 1)) / np.maximum(due, 1e-9)

    def parts(half: float) -> Float64:
        basis = np.stack([np.exp2(-age / half), np.ones_like(age)], axis=1)
        weight = np.where(there, 1 / error, 0)
        height = nnls(basis * weight[:, None], rate * weight)[0]
        made: Float64 = basis @ height
        return made

    def cost(log_half: float) -> float:
        expected = np.maximum(parts(float(np.exp(log_half))) * due, 1e-9)
        return float((expected - seen * np.log(expected))[there].sum())

    grid = np.log(np.geomspace(0.1, 20, 25))
    best = grid[int(np.argmin([cost(each) for each in grid]))]
    found = minimize_scalar(cost, bounds=(best - 0.3, best + 0.3), method="bounded")
    half = float(np.exp(found.x))
    return half, parts(half)


# -- publishing ------------------------------------------------------------------------------------------------------
def first_week(activity: Float64, half: float) -> Float64:
    """(168,) what a pin that comes out in each hour of the week meets in its first week: busy hours, as it fades."""
    kernel = np.exp2(-(np.arange(HOURS) + 0.5) / 24 / half)
    ahead = np.fft.ifft(np.fft.fft(activity) * np.conj(np.fft.fft(kernel))).real
    made: Float64 = ahead / ahead.mean()
    return made


def schedule(weekly: Float64, half: float, slots: int, seed: int = 0) -> list[Slot]:
    """The best hours of the week, some hours apart, with what each gains over a random hour. Weeks are drawn again for the
    interval; with fewer than three of them it comes from counting alone.
    """
    brings = first_week(smoothed(weekly), half)
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(ROUNDS):
        several = len(weekly) >= 3
        drawn = (
            weekly[rng.integers(0, len(weekly), len(weekly))]
            if several
            else rng.poisson(weekly).astype(np.float64)
        )
        again.append(first_week(smoothed(drawn), half))
    spread = np.quantile(np.array(again), [0.025, 0.975], axis=0)
    chosen: list[int] = []
    for at in np.argsort(-brings, kind="stable").tolist():
        if all(min((at - other) % HOURS, (other - at) % HOURS) >= APART_HOURS for other in chosen):
            chosen.append(at)
        if len(chosen) == slots:
            break
    return [
        Slot(
            DAYS[at // 24],
            at % 24,
            round(float(brings[at] - 1), 4),
            round(float(spread[0, at] - 1), 4),
            round(float(spread[1, at] - 1), 4),
        )
        for at in chosen
        if brings[at] > 1
    ]


def next_times(slots: Sequence[Slot], now: int) -> list[int]:
    """When each suggested hour comes next, in milliseconds: what `people.plan_pin(..., publish_at=)` takes."""
    monday = (today(now) - (today(now) + 3) % WEEK) * DAY_MS
    found = []
    for slot in slots:
        at = monday + (DAYS.index(slot.day) * 24 + slot.hour) * HOUR_MS
        found.append(at if at > now else at + WEEK * DAY_MS)
    return found
