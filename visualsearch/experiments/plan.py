"""An experiment as it is kept: its plan, its state, and how one becomes the next. Pure: nothing here reads or writes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from visualsearch.errors import ConflictError, UnknownNameError, UsageError

from .assignment import Arm, Design, free_segment
from .metrics import METRICS
from .rollout import RAMP, Guardrail
from .variants import PRESETS, SURFACES, checked_sets

FIELDS = ("locale", "region", "age_band", "gender", "device")
"""What people declare of themselves, and a report may tell apart."""
LONGEST = 80
GUARDED = (Guardrail("hides", 0.1, False), Guardrail("saves", 0.1))
SERVED = (
    *GUARDED,
    Guardrail("latency_ms", 0.5, False),
    Guardrail("errors", 0.0, False),
    Guardrail("diversity", 0.1),
)
"""The guardrails of an experiment that the server runs: it measures the last three itself."""


class State(StrEnum):
    """A draft meets nobody. A stopped experiment is never started again: a new version is."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"


class Kind(StrEnum):
    """Whether each person sees one arm, or one list is drafted from two."""

    SPLIT = "split"
    INTERLEAVE = "interleave"


class Unit(StrEnum):
    """What is assigned."""

    PERSON = "person"
    SESSION = "session"


@dataclass(frozen=True)
class Ramp:
    """From `at` (ms) on, `share` (0..1) of the eligible units were in."""

    at: int
    share: float
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What is fixed before the first exposure.

    `arms` has the control first. `share` (0..1) is the experiment's part of its exclusion `group`; a person is in one experiment
    of a group at most. `holdback` (0..1) is the share of all people who stay out. `metrics` are names of `METRICS`, the one that
    decides first. `people` are those whom it shall meet, `days` how long each of them is watched: together they say when the
    intervals are sharpest. `subgroups` are declared fields.

    On `surfaces` the server gives each arm's people what the arm sets; without one, the application does that. `kind` interleave
    mixes the lists of two arms in one, by team draft. Raises UsageError.
    """

    arms: tuple[Arm, ...] = (Arm("control"), Arm("treatment"))
    unit: Unit = Unit.PERSON
    group: str = ""
    share: float = 1.0
    holdback: float = 0.0
    metrics: tuple[str, ...] = ("saves_per_100", "saves", "long_visits", "hides", "sessions")
    guardrails: tuple[Guardrail, ...] = GUARDED
    people: int = 10_000
    days: float = 28.0
    subgroups: tuple[str, ...] = ()
    steps: tuple[float, ...] = RAMP
    hours_per_step: float = 24.0
    surfaces: tuple[str, ...] = ()
    kind: Kind = Kind.SPLIT

    def __post_init__(self) -> None:
        if self.unit not in list(Unit):
            raise UnknownNameError("unit", str(self.unit), Unit)
        object.__setattr__(self, "unit", Unit(self.unit))
        if not self.metrics:
            raise UsageError(
                "an experiment needs a metric", "none was given", f"Metrics: {', '.join(METRICS)}"
            )
        for name in self.metrics:
            if name not in METRICS:
                raise UnknownNameError("metric", name, METRICS)
        for field in self.subgroups:
            if field not in FIELDS:
                raise UnknownNameError("field", field, FIELDS)
        if self.people < 1 or not self.days > 0 or not self.hours_per_step >= 0:
            raise UsageError(
                "the plan cannot be kept",
                f"it is for {self.people} people, {self.days} days and {self.hours_per_step} hours a step",
                "Give numbers above 0",
            )
        if not self.steps or not all(0 < step <= 1 for step in self.steps):
            raise UsageError(
                "the ramp cannot be kept", f"its steps are {self.steps}", "Give shares above 0, at most 1"
            )
        if not self.group and self.share < 1:
            raise UsageError(
                "a share needs a group", f"share is {self.share}", "Name the group, or take a smaller ramp"
            )
        Design("plan", self.arms, holdback=self.holdback)  # says what is wrong with the arms
        self._check_served()

    def _check_served(self) -> None:
        """What a server needs to know."""
        for surface in self.surfaces:
            if surface not in SURFACES:
                raise UnknownNameError("surface", surface, SURFACES)
        if self.kind not in list(Kind):
            raise UnknownNameError("kind", str(self.kind), Kind)
        object.__setattr__(self, "kind", Kind(self.kind))
        if not self.surfaces:
            if self.kind is Kind.INTERLEAVE or any(arm.sets for arm in self.arms):
                raise UsageError(
                    "an arm sets nothing without a surface",
                    "no surface was named on which the server shall act",
                    f"Name one: {', '.join(SURFACES)}",
                )
            return
        arms = tuple(
            replace(arm, sets=checked_sets(arm.name, arm.sets or PRESETS.get(arm.name, {}), self.surfaces))
            for arm in self.arms
        )
        object.__setattr__(self, "arms", arms)
        if len({tuple(sorted(arm.sets.items())) for arm in arms}) < len(arms):
            raise UsageError(
                "the arms cannot be told apart",
                "two of them set the same",
                "Give each arm but one something of its own to set",
            )
        if self.kind is Kind.INTERLEAVE and (len(arms) != 2 or self.unit is not Unit.PERSON):
            raise UsageError(
                "these arms cannot be interleaved",
                f"there are {len(arms)}, and {self.unit}s are assigned",
                "Give two arms, and assign persons: each sees both",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "unit": self.unit.value, "kind": self.kind.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The plan that `to_dict` gave."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        given["arms"] = tuple(Arm(**arm) for arm in given["arms"])
        given["guardrails"] = tuple(Guardrail(**rail) for rail in given["guardrails"])
        given["unit"] = Unit(given["unit"])
        return cls(**given)


@dataclass(frozen=True)
class Experiment:
    """One version of an experiment. Times are in milliseconds; `reason` is why it was stopped, or why this version was made."""

    id: int
    name: str
    version: int
    state: State
    plan: Plan
    salt: str
    segment: tuple[float, float]
    ramps: tuple[Ramp, ...] = ()
    created: int = 0
    started: int | None = None
    stopped: int | None = None
    reason: str = ""

    @property
    def ramp(self) -> float:
        """The share of eligible units that are in now."""
        return self.ramps[-1].share if self.ramps else 0.0

    @property
    def control(self) -> str:
        """The first arm's name."""
        return self.plan.arms[0].name

    @cached_property
    def design(self) -> Design:
        """What decides an assignment."""
        plan = self.plan
        return Design(self.name, plan.arms, self.ramp, plan.group, self.segment, plan.holdback, self.salt)

    def to_row(self) -> dict[str, Any]:
        """A row of the record."""
        return {
            "experiment": self.id,
            "name": self.name,
            "version": self.version,
            "state": self.state.value,
            "plan": {**self.plan.to_dict(), "salt": self.salt, "segment": list(self.segment)},
            "ramps": [asdict(ramp) for ramp in self.ramps],
            "created": self.created,
            "started": self.started,
            "stopped": self.stopped,
            "reason": self.reason,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Experiment:
        """The experiment of such a row."""
        plan = dict(row["plan"])
        salt, segment = plan.pop("salt"), plan.pop("segment")
        return cls(
            row["experiment"],
            row["name"],
            row["version"],
            State(row["state"]),
            Plan.from_dict(plan),
            salt,
            (segment[0], segment[1]),
            tuple(Ramp(**ramp) for ramp in row["ramps"]),
            row["created"],
            row["started"],
            row["stopped"],
            row["reason"],
        )


def newest(known: Sequence[Experiment], name: str, version: int | None = None) -> Experiment:
    """An experiment's newest version, or the one named. Raises UnknownNameError."""
    found = [each for each in known if each.name == name and version in (None, each.version)]
    if not found:
        names = {each.name for each in known}
        what = "experiment" if version is None or name not in names else f"version {version} of experiment"
        raise UnknownNameError(what, name, names, "Make it: visualsearch experiment create")
    return max(found, key=lambda each: each.version)


def created(
    known: Sequence[Experiment], name: str, plan: Plan, now: int, *, reason: str = "", salt: str = ""
) -> list[Experiment]:
    """The rows to write for a new experiment, a changed draft, or a new version.

    An experiment that has met people is never changed: with a `reason` it is stopped, and a new version begins with people
    assigned anew. Raises ConflictError without one, UsageError for a name or where the group has no room.
    """
    if (
        not isinstance(name, str)
        or not name.strip()
        or len(name) > LONGEST
        or not name.isprintable()
        or ":" in name
    ):
        raise UsageError(
            f"{str(name)[:60]!r} cannot name an experiment",
            f"a name is printable text of 1 to {LONGEST} characters without a colon",
            "Give it another name",
        )
    versions = [each for each in known if each.name == name]
    last = versions[-1] if versions else None
    if last is not None and last.state is State.DRAFT:
        others = [each for each in known if each.id != last.id]
        return [replace(last, plan=plan, segment=_segment(others, plan), created=now)]
    written: list[Experiment] = []
    if last is not None:
        if not reason:
            raise ConflictError(
                f"experiment {name!r} is not changed",
                f"version {last.version} is {last.state} and has met people: the figures of two plans would mix",
                "Give a reason to begin a new version, or another name",
            )
        if last.state is State.RUNNING:
            written.append(stopped(last, now, f"a new version: {reason}"))
    ended = {each.id for each in written}
    segment = _segment([each for each in known if each.id not in ended], plan)
    number = 1 + max((each.id for each in known), default=0)
    version = 1 if last is None else last.version + 1
    chosen = salt or secrets.token_hex(8)
    made = Experiment(number, name, version, State.DRAFT, plan, chosen, segment, created=now, reason=reason)
    return [*written, made]


def _segment(known: Sequence[Experiment], plan: Plan) -> tuple[float, float]:
    if not plan.group:
        return (0.0, 1.0)
    living = [each.design for each in known if each.state is not State.STOPPED]
    return free_segment(living, plan.group, plan.share)


def started(experiment: Experiment, now: int, ramp: float | None = None) -> Experiment:
    """It meets people from now on. Raises ConflictError where it is no draft."""
    if experiment.state is not State.DRAFT:
        remedy = "Begin a new version: create it again with a reason"
        raise ConflictError(
            f"experiment {experiment.name!r} is not started", f"it is {experiment.state}", remedy
        )
    share = _share(experiment.plan.steps[0] if ramp is None else ramp)
    first = Ramp(now, share, "started")
    return replace(experiment, state=State.RUNNING, started=now, ramps=(first,))


def ramped(experiment: Experiment, now: int, to: float | None = None, reason: str = "") -> Experiment:
    """More people are in: the next step of the plan, or the share `to`. Raises ConflictError, UsageError."""
    if experiment.state is not State.RUNNING:
        raise ConflictError(
            f"experiment {experiment.name!r} does not ramp", f"it is {experiment.state}", "Start it first"
        )
    larger = [step for step in sorted(experiment.plan.steps) if step > experiment.ramp + 1e-12]
    share = _share(to if to is not None else larger[0] if larger else 1.0)
    if share <= experiment.ramp:
        raise UsageError(
            f"experiment {experiment.name!r} does not ramp to {share:.0%}",
            f"it is at {experiment.ramp:.0%}, and whoever is in stays in",
            "Ramp up, or stop it",
        )
    return replace(experiment, ramps=(*experiment.ramps, Ramp(now, share, reason or "by hand")))


def stopped(experiment: Experiment, now: int, reason: str) -> Experiment:
    """It meets nobody any more; what was seen stays. Raises ConflictError where it is stopped already."""
    if experiment.state is State.STOPPED:
        raise ConflictError(
            f"experiment {experiment.name!r} is not stopped again", f"it ended: {experiment.reason}", ""
        )
    return replace(experiment, state=State.STOPPED, stopped=now, reason=reason or "by hand")


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise UsageError(f"no ramp of {share}", "it is no share", "Give a share above 0, at most 1")
    return float(share)
