"""A shop's revenue: by currency, by four models of credit, and what the pins caused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from visualsearch.people import People
from visualsearch.types import Bool, Float64, Int64

from .attribution import credited, journeys, removal
from .daily import DAY_MS, day_name
from .lift import Holdout, Lift, incremental
from .shop import TOUCHES, Asked
from .telling import covered, told

LEAST_BEFORE_MS = 7 * DAY_MS
"""So much time before the groups were drawn must lie in the report, for what differed then to be taken out."""


@dataclass(frozen=True)
class Money:
    """Revenue in one currency; None where too few people are behind it. Refunds are negative sales, and are in `net`."""

    currency: str
    sales: int | None
    net: float | None
    refunded: float | None
    models: dict[str, dict[str, float | None]]
    untouched: float | None
    lift: Lift | None


@dataclass(frozen=True)
class Groups:
    """(people,) who was held out and who could see the pins, from `since` to before `until` (ms). `by`: who drew them."""

    held: Bool
    treated: Bool
    since: int
    until: int
    by: str


def groups_of(
    asked: Asked, people: People, given: Sequence[str] | Holdout, notes: list[str]
) -> Groups | None:
    """The two groups, of a list of those who were held out or of an experiment; None where nobody was."""
    held = np.zeros(len(asked.who), bool)
    if isinstance(given, Sequence):
        held[_places(asked, people.numbers_of(given))] = True
        return Groups(held, ~held, asked.since, asked.until, "") if held.any() else None
    treated = held.copy()
    held[_places(asked, given.held)] = True
    treated[_places(asked, given.treated)] = True
    since, until = max(asked.since, given.since), min(asked.until, given.until or asked.until)
    if since >= until:
        notes.append(
            f"The experiment {given.label} did not run with these groups in these weeks: nothing is told of causes."
        )
        return None
    notes.append(
        f"Who was held out, the experiment {given.label} drew; revenue from {day_name(since // DAY_MS)}"
        f" to {day_name((until - 1) // DAY_MS)} counts for what was caused."
    )
    return Groups(held, treated, since, until, given.label)


def _places(asked: Asked, numbers: Int64) -> Int64:
    found = asked.who.places(numbers)
    return found[found >= 0]


def money_of(asked: Asked, groups: Groups | None) -> list[Money]:
    """Revenue by currency, the one with most sales first."""
    deeds = asked.deeds
    sold = deeds.of("purchase") & (deeds.value != 0)
    codes = np.unique(deeds.currency[sold])
    made = [_of_currency(asked, groups, int(code)) for code in codes]
    return sorted(made, key=lambda each: -(each.sales or 0))


def _of_currency(asked: Asked, groups: Groups | None, code: int) -> Money:
    deeds, fewest = asked.deeds, asked.fewest
    sold = deeds.of("purchase") & (deeds.value != 0) & (deeds.currency == code)
    name = deeds.currencies[code] if code >= 0 else "?"
    buyers = len(np.unique(deeds.person[sold]))
    plus, minus = sold & (deeds.value > 0), sold & (deeds.value < 0)
    refunders = len(np.unique(deeds.person[minus]))
    models, untouched = _models(asked, sold)
    return Money(
        name,
        told(int(plus.sum()), buyers, fewest),
        told(round(float(deeds.value[sold].sum()), 2), buyers, fewest),
        told(round(float(-deeds.value[minus].sum()), 2), refunders, fewest) if minus.any() else 0.0,
        models,
        untouched,
        None if groups is None else _lift(asked, groups, sold),
    )


def _lift(asked: Asked, groups: Groups, sold: Bool) -> Lift:
    """What the pins caused among the treated, from revenue while the groups stood; what differed before is taken out."""
    deeds = asked.deeds
    within = sold & (deeds.at >= groups.since) & (deeds.at < groups.until)
    outcome = _spent(asked, within)
    claimed = _claimed(asked, within & groups.treated[deeds.person])
    treated_before = held_before = None
    if groups.since - asked.since >= LEAST_BEFORE_MS:
        before = _spent(asked, sold & (deeds.at < groups.since))
        treated_before, held_before = before[groups.treated], before[groups.held]
    found = incremental(
        outcome[groups.treated], outcome[groups.held], treated_before, held_before, claimed, asked.fewest
    )
    return _rounded(replace(found, by=groups.by))


def _spent(asked: Asked, which: Bool) -> Float64:
    """(people,) what each spent by the deeds that are chosen."""
    deeds = asked.deeds
    found = np.bincount(deeds.person[which], weights=deeds.value[which], minlength=len(asked.who))
    return found.astype(np.float64)


def _rounded(lift: Lift) -> Lift:
    def two(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return replace(
        lift, caused=two(lift.caused), low=two(lift.low), high=two(lift.high), last_touch=two(lift.last_touch)
    )


def _models(asked: Asked, sold: Bool) -> tuple[dict[str, dict[str, float | None]], float | None]:
    """Model -> surface -> revenue; and the revenue without a touch before it."""
    deeds, fewest = asked.deeds, asked.fewest
    touch = np.flatnonzero(deeds.of(*TOUCHES))
    purchases = np.flatnonzero(sold)
    surfaces = [*deeds.surfaces, "elsewhere"]
    channel = np.where(deeds.surface[touch] >= 0, deeds.surface[touch], len(surfaces) - 1)
    held = journeys(deeds.person[touch], deeds.at[touch], deeds.person[purchases], deeds.at[purchases])
    value = deeds.value[purchases]
    shares: dict[str, Float64] = credited(held, channel, len(surfaces), value)
    touched = np.zeros(len(purchases), bool)
    touched[held.purchase] = True
    ends = np.zeros(len(touch), np.int64)
    good = (held.rank == held.length - 1) & (value[held.purchase] > 0)
    ends[held.touch[good]] = 1
    shares["removal"] = removal(
        deeds.person[touch], channel, len(surfaces), ends, float(value[touched].sum())
    )
    behind = [
        len(np.unique(deeds.person[purchases][held.purchase[channel[held.touch] == number]]))
        for number in range(len(surfaces))
    ]
    models = {}
    for model, row in shares.items():
        shown = [number for number in range(len(surfaces)) if behind[number]]
        figures = covered([told(round(float(row[number]), 2), behind[number], fewest) for number in shown])
        models[model] = dict(zip([surfaces[number] for number in shown], figures, strict=True))
    alone = len(np.unique(deeds.person[purchases][~touched]))
    return models, told(round(float(value[~touched].sum()), 2), alone, fewest)


def _claimed(asked: Asked, sold: Bool) -> float | None:
    """What last touch claims of these sales: all that came after a touch. None where too few people are behind it."""
    deeds = asked.deeds
    touch, purchases = np.flatnonzero(deeds.of(*TOUCHES)), np.flatnonzero(sold)
    held = journeys(deeds.person[touch], deeds.at[touch], deeds.person[purchases], deeds.at[purchases])
    after = purchases[np.unique(held.purchase)]
    behind = len(np.unique(deeds.person[after]))
    found: float | None = told(float(deeds.value[after].sum()), behind, asked.fewest)
    return found
