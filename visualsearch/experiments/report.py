"""The report of an experiment: every metric with its interval, what it means in plain words, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError

from .analysis import FEWEST, Estimate, Sample, compare, corrected, p_value, ratio_check
from .interleaving import Preference
from .metrics import BEFORE_DAYS, DAY_MS, KINDS, METRICS, SLACK_MS, Counts, part
from .plan import Experiment, State, Unit
from .rollout import Action, Decision, decide

if TYPE_CHECKING:
    from visualsearch.people import Exposures, People

VIEWS = (1, 14, 28)
"""Days after a unit's first exposure: an early gain can turn."""
UNKNOWN = "(not said)"
Bool = NDArray[np.bool_]
Numbers = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Line:
    """One comparison of an arm with the control. `label` says which: a day, a view, a subgroup; empty for the whole."""

    metric: str
    arm: str
    estimate: Estimate
    label: str = ""
    stands: bool = True

    @property
    def good(self) -> bool | None:
        """Whether more of the metric is better; None where neither is. What has no entry in `METRICS` is a cost."""
        return METRICS[self.metric].good if self.metric in METRICS else False

    def sentence(self, unit: str = "person") -> str:
        """The comparison in plain words."""
        metric = METRICS.get(self.metric)
        what = (metric.what if metric else self.metric).replace("per person", f"per {unit}")
        found = self.estimate
        if not found.enough:
            return f"We cannot tell yet about {what}: each arm needs at least {FEWEST} {unit}s."
        span = f"between {signed(found, found.low)} and {signed(found, found.high)}"
        if not (found.wins or found.loses):
            return f"We cannot tell yet about {what}: the true difference lies {span}."
        way = "more" if found.wins else "fewer"
        verdict = (
            ""
            if self.good is None
            else ", which is better"
            if found.wins == self.good
            else ", which is worse"
        )
        return f"{self.arm} has {way} {what}{verdict}: {span}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a bound that is not known is None."""
        found = {name: _finite(value) for name, value in asdict(self.estimate).items()}
        lift = self.estimate.lift
        return {"metric": self.metric, "arm": self.arm, "label": self.label, **found, "lift": _finite(lift)}


@dataclass(frozen=True)
class Report:
    """What an experiment says at `at` (ms).

    `units` counts each arm's, `left_out` those of bots. `ratio` is the sample ratio's p-value, `alarm` whether no figure can be
    trusted because of it. `lines` are all metrics, `views` each after a number of days, `days` the first metric from day to day,
    `subgroups` the first metric by declared fields. `notes` say what stands in the way. `preference` is an interleaving's.
    """

    experiment: Experiment
    at: int
    units: Mapping[str, int]
    left_out: int
    ratio: float
    alarm: bool
    decision: Decision
    lines: Sequence[Line]
    views: Sequence[Line] = field(default_factory=tuple)
    days: Sequence[Line] = field(default_factory=tuple)
    subgroups: Sequence[Line] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)
    preference: Preference | None = None

    @property
    def unit(self) -> str:
        """person or session."""
        return self.experiment.plan.unit.value

    def sentences(self) -> list[str]:
        """The report in plain words, the most important first."""
        said = []
        if self.alarm:
            said.append(
                "Trust no figure here: the arms do not hold the planned shares, so exposures are lost or doubled."
            )
        said += [line.sentence(self.unit) for line in self.lines]
        names = {Action.WAIT: "Wait", Action.RAMP: f"Ramp to {self.decision.ramp:.0%}", Action.STOP: "Stop"}
        said.append(f"{names[self.decision.action]}: {self.decision.reason}.")
        return [*said, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.experiment
        return {
            **{name: value for name, value in found.to_row().items() if name != "experiment"},
            "at": self.at,
            "units": dict(self.units),
            "left_out": self.left_out,
            "sample_ratio": {"p_value": self.ratio, "alarm": self.alarm},
            "decision": {**asdict(self.decision), "action": self.decision.action.value},
            "lines": [line.to_dict() for line in self.lines],
            "views": [line.to_dict() for line in self.views],
            "days": [line.to_dict() for line in self.days],
            "subgroups": [{**line.to_dict(), "stands": line.stands} for line in self.subgroups],
            "notes": list(self.notes),
            **({} if self.preference is None else {"preference": _told(self.preference)}),
            "sentences": self.sentences(),
        }


def signed(found: Estimate, value: float) -> str:
    """A difference as a share of the control's figure, or as it is where that is 0."""
    if not found.control:
        return f"{value:+.3g}"
    return f"{100 * value / abs(found.control):+.1f} %"


def _told(found: Preference) -> dict[str, Any]:
    return {**asdict(found), "winner": found.winner}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judge(
    people: People, experiment: Experiment, numbers: Numbers, is_bot: Callable[[str], bool] | None
) -> Report:
    """Read what the exposed did, compare the arms, and decide. Raises UsageError for numbers of no arm."""
    return _Judge(people, experiment, numbers, is_bot).report()


class _Judge:
    def __init__(
        self,
        people: People,
        experiment: Experiment,
        numbers: Numbers,
        is_bot: Callable[[str], bool] | None,
    ) -> None:
        self.people, self.experiment, self.numbers = people, experiment, numbers
        self.plan = experiment.plan
        self.now = people.now()
        self.until = min(self.now, experiment.stopped or self.now) + 1
        met = people.exposures(experiment.id)
        self.units, self.left_out = _without_bots(people, met, is_bot)
        self.by_session = self.plan.unit is Unit.SESSION
        first = int(self.units.at.min()) if len(self.units) else self.now
        since = first - BEFORE_DAYS * DAY_MS if not self.by_session else first - SLACK_MS
        persons = np.unique(self.units.person)
        deeds = people.event_columns(
            since, self.until, persons, () if "sessions" in self.plan.metrics else KINDS, lists=True
        )
        self.counts = Counts(self.units, deeds, self.by_session)
        names = [arm.name for arm in self.plan.arms]
        arms = np.array(self.units.arm, object)
        self.arms: dict[str, Bool] = {name: np.asarray(arms == name, bool) for name in names}
        self.alpha = 0.05 / (len(names) - 1)
        self.everything = np.ones(len(self.counts.at.rows), bool)
        self.notes: list[str] = []

    def report(self) -> Report:
        """Put all of it together."""
        plan = self.plan
        railed = [rail.metric for rail in plan.guardrails if rail.metric in METRICS]
        given = {name for name in self.numbers if name in METRICS and METRICS[name].served}
        names = [
            name
            for name in dict.fromkeys([*plan.metrics, *railed])
            if name not in given and self.counts.measured(name)
        ]
        if "revenue" in names and len(self.counts.currencies) > 1:
            names.remove("revenue")
            paid = ", ".join(code or "none" for code in self.counts.currencies)
            self.notes.append(f"Revenue is left out: purchases are in several currencies ({paid}).")
        ahead = int((self.units.at > self.now).sum())
        if ahead:
            self.notes.append(f"{ahead:,} exposures lie in the future: a server's clock is wrong.")
        whole = self._share(self._unit_days(self.until))
        lines = [line for name in names for line in self._lines(name, self.everything, whole)]
        lines += self._given(whole)
        counted = {name: int(which.sum()) for name, which in self.arms.items()}
        ratio, alarm = ratio_check(counted, {arm.name: arm.weight for arm in plan.arms})
        for name, count in counted.items():
            if not count and len(self.units):
                self.notes.append(f"Nobody is in {name}: there is nothing to compare it by.")
        first = next((name for name in names if name in plan.metrics), None)
        return Report(
            self.experiment,
            self.now,
            counted,
            self.left_out,
            ratio,
            alarm,
            self._decision(lines, alarm),
            lines,
            [] if self.by_session or first is None else self._views(names),
            [] if first is None else self._days(first),
            [] if first is None else self._subgroups(first, whole),
            self.notes,
        )

    # -- comparisons -------------------------------------------------------------------------------------------------
    def _lines(
        self,
        name: str,
        chosen: Bool,
        share: float,
        *,
        units: Bool | None = None,
        label: str = "",
        cuped: bool = True,
    ) -> list[Line]:
        """Every arm against the control over the chosen events, of the chosen units."""
        sample = self.counts.sample(name, chosen, cuped=cuped and not self.by_session)
        inside = {arm: which if units is None else which & units for arm, which in self.arms.items()}
        if min((int(which.sum()) for which in inside.values()), default=0) < 2:
            sample = Sample(sample.value, sample.over)
        control, *others = inside.values()
        base = part(sample, control)
        return [
            Line(name, arm, compare(base, part(sample, which), share=share, alpha=self.alpha), label)
            for arm, which in zip(list(inside)[1:], others, strict=True)
        ]

    def _unit_days(self, until: int) -> float:
        return float(np.maximum(until - self.units.at, 0).sum()) / DAY_MS

    def _share(self, unit_days: float) -> float:
        return max(unit_days, 1e-9) / (self.plan.people * self.plan.days)

    def _given(self, share: float) -> list[Line]:
        """Metrics that came as numbers."""
        lines = []
        for metric, by_arm in self.numbers.items():
            strange = set(by_arm) - set(self.arms)
            if strange or (metric in METRICS and not METRICS[metric].served):
                raise UsageError(
                    f"cannot judge the numbers of {metric!r}",
                    f"arms are {list(self.arms)}" if strange else "the record has that metric itself",
                    "Give metric -> arm -> numbers",
                )
            held = {arm: Sample(np.asarray(by_arm.get(arm, ()), np.float64)) for arm in self.arms}
            control, *others = held.values()
            for arm, sample in zip(list(held)[1:], others, strict=True):
                # Numbers tell of units of their own, which may have been seen before the record's clock says so.
                own = max(share, (len(control.value) + len(sample.value)) / self.plan.people)
                lines.append(Line(metric, arm, compare(control, sample, share=own, alpha=self.alpha)))
        return lines

    def _views(self, names: Sequence[str]) -> list[Line]:
        """The metrics within each of VIEWS days of exposure, of the units that were exposed at least as long ago."""
        lines = []
        for days in VIEWS:
            old = self.units.at <= self.until - days * DAY_MS
            if not old.any():
                continue
            window = self.counts.at.since < days * DAY_MS
            share = max(int(old.sum()), 1) / self.plan.people
            for name in names:
                lines += self._lines(name, window, share, units=old, label=f"day {days}")
        return lines

    def _days(self, name: str) -> list[Line]:
        """The metric as it stood at the end of each day (UTC)."""
        if not len(self.units):
            return []
        lines = []
        first = int(self.units.at.min()) // DAY_MS
        for day in range(first, (self.until - 1) // DAY_MS + 1):
            end = min((day + 1) * DAY_MS, self.until)
            inside = self.units.at < end
            share = self._share(self._unit_days(end))
            label = str(np.datetime64(day, "D"))
            lines += self._lines(name, self.counts.at.at < end, share, units=inside, label=label)
        return lines

    def _subgroups(self, name: str, share: float) -> list[Line]:
        """The metric by what people declared. A difference stands only after correction for all of them together."""
        lines: list[Line] = []
        for field_ in self.plan.subgroups:
            said = np.array(
                [value or UNKNOWN for value in self.people.declared(field_, self.units.person)], object
            )
            for value in sorted(set(said.tolist())):
                which = np.asarray(said == value, bool)
                label = f"{field_} {value}"
                part_share = share * float(which.mean())
                lines += self._lines(name, self.everything, part_share, units=which, label=label)
        kept = corrected([p_value(line.estimate) for line in lines])
        return [
            Line(
                line.metric,
                line.arm,
                line.estimate,
                line.label,
                stands and (line.estimate.wins or line.estimate.loses),
            )
            for line, stands in zip(lines, kept, strict=True)
        ]

    # -- what to do --------------------------------------------------------------------------------------------------
    def _decision(self, lines: Sequence[Line], alarm: bool) -> Decision:
        found = self.experiment
        if found.state is not State.RUNNING:
            reason = (
                f"it was stopped: {found.reason}" if found.state is State.STOPPED else "it was not started"
            )
            return Decision(Action.WAIT, reason, found.ramp)
        hours = (self.now - found.ramps[-1].at) / 3_600_000
        measured = {line.metric for line in lines}
        rails = [rail for rail in self.plan.guardrails if rail.metric in measured]
        missing = [rail.metric for rail in self.plan.guardrails if rail.metric not in measured]
        decisions = [
            decide(
                found.ramp,
                {line.metric: line.estimate for line in lines if line.arm == arm},
                rails,
                hours=hours,
                alarm=alarm,
                steps=self.plan.steps,
                hours_per_step=self.plan.hours_per_step,
            )
            for arm in list(self.arms)[1:]
        ]
        order = (Action.STOP, Action.WAIT, Action.RAMP)
        first = min(decisions, key=lambda each: order.index(each.action))
        if missing:
            said = ", ".join(missing)
            self.notes.append(f"Guardrails that were not measured: {said}. Give their numbers.")
            if first.action is Action.RAMP:
                return Decision(Action.WAIT, f"nothing was measured of {said}", found.ramp)
        return first


def _without_bots(
    people: People, met: Exposures, is_bot: Callable[[str], bool] | None
) -> tuple[Exposures, int]:
    if is_bot is None or not len(met):
        return met, 0
    persons, place = np.unique(met.person, return_inverse=True)
    human = np.array([not is_bot(name) for name in people.pseudonyms(persons)], bool)[place.reshape(-1)]
    kept = np.flatnonzero(human).tolist()
    held = type(met)(
        met.person[human], [met.unit[at] for at in kept], [met.arm[at] for at in kept], met.at[human]
    )
    return held, len(met) - len(kept)
