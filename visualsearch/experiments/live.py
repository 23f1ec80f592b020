"""Experiments of a record of people: made, started, met, judged and stopped.

>>> from visualsearch.experiments import open_experiments
>>> experiments = open_experiments(index.people)                    # doctest: +SKIP
>>> experiments.create("warm-feed", people=2000, days=28)           # doctest: +SKIP
>>> experiments.start("warm-feed")                                  # doctest: +SKIP
>>> arm = experiments.assign("warm-feed", "ada") or "control"       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from visualsearch.errors import UsageError

from . import plan as plans
from .assignment import Arm
from .holdout import HeldOut, held_out
from .interleaving import Preference
from .metrics import DAY_MS
from .mixed import BOTH, CREDITED, judge_mixed, preferred
from .plan import Experiment, Kind, Plan, State, Unit
from .report import Report, judge
from .rollout import Action

if TYPE_CHECKING:
    from visualsearch.people import People

FRESH_MS = 5_000
"""What another process changed is seen after so long."""
REMEMBERED_MS = 3_600_000
"""An exposure that was logged is logged again after so long: a person who was forgotten meanwhile is somebody new."""
MOST_REMEMBERED = 500_000
Numbers = Mapping[str, Mapping[str, Sequence[float]]]


class _Met(NamedTuple):
    """The arm of somebody whose exposure was logged, and when that was."""

    arm: str | None
    at: int


def open_experiments(people: People, *, is_bot: Callable[[str], bool] | None = None) -> Experiments:
    """The experiments of a record of people. `is_bot(pseudonym)` leaves people out of every report."""
    return Experiments(people, is_bot=is_bot)


class Experiments:
    """Experiments kept in the record of people. Safe to share between threads; several processes may use one record."""

    def __init__(self, people: People, *, is_bot: Callable[[str], bool] | None = None) -> None:
        self.people, self.is_bot = people, is_bot
        self._known: list[Experiment] = []
        self._running: dict[str, Experiment] = {}
        self._read_at: int | None = None
        self._met: dict[tuple[int, float, str, str], _Met] = {}

    # -- what there is -----------------------------------------------------------------------------------------------
    def all(self) -> list[Experiment]:
        """Every version of every experiment, oldest first."""
        return [Experiment.from_row(row) for row in self.people.experiment_rows()]

    def get(self, name: str, version: int | None = None) -> Experiment:
        """An experiment's newest version, or the one named. Raises UnknownNameError."""
        return plans.newest(self.all(), name, version)

    # -- changing ----------------------------------------------------------------------------------------------------
    def create(
        self,
        name: str,
        plan: Plan | None = None,
        *,
        reason: str = "",
        salt: str = "",
        **changes: Any,
    ) -> Experiment:
        """Keep a new experiment as a draft, or replace a draft. `changes` are fields of `Plan`; arms may be names.

        One that has met people is never changed: with a `reason` a new version begins, and the old one is stopped.
        Raises ConflictError, UsageError.
        """
        arms = changes.get("arms")
        if arms is not None:
            changes["arms"] = tuple(Arm(arm) if isinstance(arm, str) else arm for arm in arms)
        if changes.get("surfaces"):
            changes.setdefault("guardrails", plans.SERVED)
        chosen = Plan(**changes) if plan is None else plan
        return self._change(
            lambda known: plans.created(known, name, chosen, self.people.now(), reason=reason, salt=salt)
        )

    def start(self, name: str, ramp: float | None = None) -> Experiment:
        """Let it meet people: the plan's first share of them, or `ramp`. Raises ConflictError, UnknownNameError, UsageError."""
        return self._next(name, lambda found: plans.started(found, self.people.now(), ramp))

    def ramp(self, name: str, to: float | None = None, reason: str = "") -> Experiment:
        """Let more people in: the plan's next step, or the share `to`. Raises ConflictError, UnknownNameError, UsageError."""
        return self._next(name, lambda found: plans.ramped(found, self.people.now(), to, reason))

    def stop(self, name: str, reason: str = "") -> Experiment:
        """It meets nobody any more; what was seen stays, and can be reported. Raises ConflictError, UnknownNameError."""
        return self._next(name, lambda found: plans.stopped(found, self.people.now(), reason))

    def _next(self, name: str, step: Callable[[Experiment], Experiment]) -> Experiment:
        return self._change(lambda known: [step(plans.newest(known, name))])

    def _change(self, change: Callable[[list[Experiment]], list[Experiment]]) -> Experiment:
        def rows(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [made.to_row() for made in change([Experiment.from_row(row) for row in held])]

        written = self.people.change_experiments(rows)
        self._read_at = None
        return Experiment.from_row(written[-1])

    # -- meeting people ----------------------------------------------------------------------------------------------
    def assign(self, name: str, person: str, session: str | None = None) -> str | None:
        """The person's arm, their exposure being logged: call it where the arm matters, and nowhere else.

        None: they are outside, and get what everybody gets. So is whoever does not allow that impressions are kept, and
        everybody while the experiment does not run. `session` is the client's label, where sessions are assigned.
        The first call for a person waits for the disk, later ones are a look-up. Raises UnknownNameError, UsageError.
        """
        found = self._at(name)
        return None if found is None else self.meet(found, person, session)

    def serving(self, surface: str) -> list[Experiment]:
        """The experiments that run on a surface, the one that was started first in front."""
        self._refresh()
        found = [each for each in self._running.values() if surface in each.plan.surfaces]
        return sorted(found, key=lambda each: (each.started or 0, each.id))

    def meet(
        self, found: Experiment, person: str, session: str | None = None, make: bool = True
    ) -> str | None:
        """`assign` for an experiment at hand. Somebody unknown stays so unless `make`."""
        unit = _unit(found, session)
        now = self.people.now()
        key = (found.id, found.ramp, person, unit)
        met = self._met.get(key)
        if met is not None and 0 <= now - met.at < REMEMBERED_MS:
            return met.arm
        work = self.people.exposing(found.id, person, unit, lambda known: _arm(found, known, unit), make)
        arm: str | None = self.people.store.write(work)
        self._remember(key, _Met(arm, now))
        return arm

    def assign_many(self, name: str, persons: Iterable[str]) -> dict[str, str | None]:
        """The same for many persons, in few commits. For experiments that assign persons."""
        wanted = list(dict.fromkeys(persons))
        found = self._at(name)
        if found is None:
            return dict.fromkeys(wanted)
        _unit(found, None)
        now, arms = self.people.now(), dict[str, str | None]()
        waiting = []
        for person in wanted:
            work = self.people.exposing(found.id, person, "", lambda known: _arm(found, known, ""))
            waiting.append(self.people.store.writer.submit(work))
        for person, future in zip(wanted, waiting, strict=True):
            arms[person] = future.result()
            self._remember((found.id, found.ramp, person, ""), _Met(arms[person], now))
        return arms

    def forgotten(self, person: str) -> None:
        """Nothing of a person is remembered here either."""
        for key in [key for key in list(self._met) if key[2] == person]:
            self._met.pop(key, None)

    def _remember(self, key: tuple[int, float, str, str], met: _Met) -> None:
        if len(self._met) >= MOST_REMEMBERED:
            self._met.clear()
        self._met[key] = met

    def _at(self, name: str) -> Experiment | None:
        """The version that runs, None where none does. Raises UnknownNameError."""
        self._refresh()
        found = self._running.get(name)
        if found is None:
            plans.newest(self._known, name)
        return found

    def _refresh(self) -> None:
        now = self.people.now()
        if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
            self._known = self.all()
            self._running = {each.name: each for each in self._known if each.state is State.RUNNING}
            self._read_at = now

    # -- judging -----------------------------------------------------------------------------------------------------
    def report(self, name: str, version: int | None = None, *, numbers: Numbers | None = None) -> Report:
        """What the experiment says now, and what to do next; see `apply`.

        `numbers` are measurements of your own, such as latency or errors: metric -> arm -> one number per unit. A guardrail
        without an event of its own needs them. Raises UnknownNameError, UsageError.
        """
        found = self.get(name, version)
        if found.plan.kind is Kind.INTERLEAVE:
            return judge_mixed(self.people, found, self.is_bot)
        return judge(self.people, found, numbers or {}, self.is_bot)

    def apply(self, report: Report) -> Experiment:
        """Do what the report decided: ramp, stop, or nothing. A report of a version that changed since does nothing."""
        seen, decision = report.experiment, report.decision

        def change(known: list[Experiment]) -> list[Experiment]:
            found = plans.newest(known, seen.name)
            if (found.id, found.state, found.ramps) != (seen.id, State.RUNNING, seen.ramps):
                return [found]
            now = self.people.now()
            if decision.action is Action.STOP:
                return [plans.stopped(found, now, decision.reason)]
            if decision.action is Action.RAMP:
                return [plans.ramped(found, now, decision.ramp, decision.reason)]
            return [found]

        return self._change(change)

    def held_out(self, name: str, arm: str | None = None, version: int | None = None) -> HeldOut:
        """Whom a running or ended experiment kept out by its holdback, or by an arm, and whom it let in.

        `merchant_report(..., held_out=)` of insight takes it. Raises UnknownNameError, UsageError.
        """
        return held_out(self.people, self.get(name, version), arm)

    # -- two rankers in one list -------------------------------------------------------------------------------------
    def interleaving(self, name: str, kinds: Collection[str] = CREDITED, days: float = 28) -> Preference:
        """Which of two interleaved rankers the sessions of the last days prefer.

        Serve what `team_draft` mixed, and record each pin's events with the variant that `credited(name, team)` gives.
        A session credits a ranker with each of its pins that was clicked or saved, once.
        """
        now = self.people.now()
        return preferred(self.people, name, now - round(days * DAY_MS), now + 1, kinds, self.is_bot)


def _unit(found: Experiment, session: str | None) -> str:
    if found.plan.unit is Unit.SESSION:
        if not session:
            raise UsageError(
                f"experiment {found.name!r} assigns sessions", "no session was named", "Give session=LABEL"
            )
        return session
    return ""


def _arm(found: Experiment, pseudonym: str, unit: str) -> str | None:
    arm = found.design.assign(f"{pseudonym} {unit}" if unit else pseudonym)
    return BOTH if arm is not None and found.plan.kind is Kind.INTERLEAVE else arm
