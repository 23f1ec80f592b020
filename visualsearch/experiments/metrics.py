"""Metrics of units: what each exposed person or session did, summed from the record's events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .analysis import Float64, Sample

if TYPE_CHECKING:
    from visualsearch.people import EventColumns, Exposures

DAY_MS = 86_400_000
LONG_VISIT_MS = 30_000
BEFORE_DAYS = 14
"""The days before a person's first exposure that CUPED looks at."""
SLACK_MS = 2_000
"""A client's clock may be off by so much: an event this little ahead of its exposure still follows it."""
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """A figure per unit: a count of events of `kind`, or a sum of their values. `over` makes it `scale` times a ratio of sums.

    `good` says whether more is better, None where neither is. `what` is its name in a sentence. `served`: the server measures
    it, of the lists that it makes.
    """

    what: str
    kind: str = ""
    good: bool | None = True
    over: str = ""
    scale: float = 1.0
    served: bool = False


METRICS: Mapping[str, Metric] = {
    "saves": Metric("saves per person", "save"),
    "saves_per_100": Metric("saves per 100 impressions", "save", over="impressions", scale=100.0),
    "clicks": Metric("clicks per person", "click"),
    "long_visits": Metric("visits of 30 seconds or more per person", "visit"),
    "hides": Metric("hides per person", "hide", good=False),
    "hides_per_100": Metric("hides per 100 impressions", "hide", good=False, over="impressions", scale=100.0),
    "impressions": Metric("impressions per person", "impression", good=None),
    "revenue": Metric("revenue per person", "purchase"),
    "sessions": Metric("sessions per person"),
    "lists": Metric("lists per person", "served", good=None, served=True),
    "latency_ms": Metric("milliseconds per list", "served_ms", good=False, over="lists", served=True),
    "errors": Metric(
        "failed lists per 100", "served_failed", good=False, over="lists", scale=100.0, served=True
    ),
    "diversity": Metric("variety of a list", "served_diversity", over="lists", served=True),
}
"""The metrics that an experiment may have."""
KINDS = tuple(sorted({metric.kind for metric in METRICS.values()} - {""}))


class Joined(NamedTuple):
    """Events with the unit that each belongs to: `unit` (n,) is a place in the exposures; `since` (n,) ms after the exposure."""

    unit: Int64
    since: Int64
    at: Int64
    rows: Int64


def joined(units: Exposures, deeds: EventColumns, by_session: bool) -> Joined:
    """Each event with its unit. Events of people or sessions that were not exposed are left out."""
    if not len(units) or not len(deeds):
        nothing = np.zeros(0, np.int64)
        return Joined(nothing, nothing, nothing, nothing)
    if by_session:
        place = _by_session(units, deeds)
    else:
        found = np.searchsorted(units.person, deeds.person).clip(max=len(units) - 1)
        place = np.where(units.person[found] == deeds.person, found, -1)
    rows = np.flatnonzero(place >= 0)
    unit = place[rows]
    return Joined(unit, deeds.at[rows] - units.at[unit], deeds.at[rows], rows)


def _by_session(units: Exposures, deeds: EventColumns) -> Int64:
    """An event's session is the client's label and when it began; the unit is person and label."""
    labels = [name.rpartition("@")[0] for name in deeds.names["session"]]
    known = {label: at for at, label in enumerate(dict.fromkeys([*labels, *units.unit]))}
    label = np.array([known[each] for each in labels] or [0], np.int64)[deeds.codes["session"]]
    person = np.unique(np.concatenate([units.person, deeds.person]), return_inverse=True)[1].astype(np.int64)
    own = np.array([known[each] for each in units.unit], np.int64)
    key = person[: len(units)] * len(known) + own
    wanted = person[len(units) :] * len(known) + label
    order = np.argsort(key)
    found = np.searchsorted(key[order], wanted).clip(max=len(key) - 1)
    return np.where(key[order][found] == wanted, order[found], -1)


class Counts:
    """Sums per unit over a stretch of time, for every metric."""

    def __init__(self, units: Exposures, deeds: EventColumns, by_session: bool) -> None:
        self.size = len(units)
        self.deeds, self.at = deeds, joined(units, deeds, by_session)
        rows = self.at.rows
        self.kind = deeds.codes["kind"][rows] if len(rows) else rows
        self.dwell, self.value = deeds.dwell[rows], deeds.value[rows]
        self.session = deeds.codes["session"][rows] if len(rows) else rows
        self.after = self.at.since >= -SLACK_MS
        silent = ["exposure", *(metric.kind for metric in METRICS.values() if metric.served)]
        self._silent = [deeds.code("kind", kind) for kind in silent]

    def measured(self, name: str) -> bool:
        """Whether there is anything to measure it by: lists of a server, for what a server measures."""
        kind = METRICS[name].kind
        return not METRICS[name].served or bool((self.kind == self.deeds.code("kind", kind)).any())

    @property
    def currencies(self) -> list[str]:
        """In which currencies was paid."""
        bought = self.at.rows[self.kind == self.deeds.code("kind", "purchase")]
        codes: list[int] = np.unique(self.deeds.codes["currency"][bought]).tolist() if len(bought) else []
        return [self.deeds.names["currency"][code] if code >= 0 else "" for code in codes]

    def sums(self, name: str, chosen: NDArray[np.bool_]) -> Float64:
        """(units,) a metric's sum, without its denominator, over the chosen events."""
        if name == "sessions":
            done = chosen & ~np.isin(self.kind, self._silent)
            pairs = np.unique(np.stack([self.at.unit[done], self.session[done]]), axis=1)
            return np.bincount(pairs[0], minlength=self.size).astype(np.float64)
        held = chosen & (self.kind == self.deeds.code("kind", METRICS[name].kind))
        if name == "long_visits":
            held &= self.dwell >= LONG_VISIT_MS
        weights = self.value[held] if name == "revenue" or METRICS[name].served else None
        return np.bincount(self.at.unit[held], weights, self.size).astype(np.float64)

    def sample(self, name: str, chosen: NDArray[np.bool_], *, cuped: bool = True) -> Sample:
        """All units' sums over the chosen events after exposure, with what was before it."""
        metric = METRICS[name]
        after = chosen & self.after
        value = metric.scale * self.sums(name, after)
        over = self.sums(metric.over, after) if metric.over else None
        return Sample(value, over, self._before(name) if cuped else None)

    def _before(self, name: str) -> Float64:
        """(units,) the metric in the days before exposure. Of a ratio: what a unit has more than the whole's ratio gives it."""
        metric = METRICS[name]
        held = ~self.after & (self.at.since >= -BEFORE_DAYS * DAY_MS)
        value = metric.scale * self.sums(name, held)
        if not metric.over:
            return value
        over = self.sums(metric.over, held)
        total = float(over.sum())
        return value - (float(value.sum()) / total if total else 0.0) * over


def part(sample: Sample, which: NDArray[np.bool_]) -> Sample:
    """Some of the units. What was before counts only where there are two units or more."""
    over = None if sample.over is None else sample.over[which]
    before = None if sample.before is None or which.sum() < 2 else sample.before[which]
    return Sample(sample.value[which], over, before)
