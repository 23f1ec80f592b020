"""What an experiment says that drafts one list from two rankers: whose pins people took."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.errors import UsageError

from .interleaving import Preference, preference
from .plan import Experiment, State
from .report import Report
from .rollout import Action, Decision

if TYPE_CHECKING:
    from visualsearch.people import EventColumns, People

INTERLEAVED = "interleave:"
BOTH = "both"
"""The arm of somebody who sees the lists of two rankers in one."""
CREDITED = ("click", "save")


def credited(name: str, team: int) -> str:
    """The `variant` of events on a pin that ranker 0 or 1 of an interleaving picked."""
    if team not in (0, 1):
        raise UsageError(f"there is no ranker {team}", "an interleaving has the rankers 0 and 1")
    return f"{INTERLEAVED}{name}:{team}"


def preferred(
    people: People,
    name: str,
    since: int,
    until: int,
    kinds: Collection[str] = CREDITED,
    is_bot: Callable[[str], bool] | None = None,
) -> Preference:
    """Which ranker the sessions of a time prefer. A session credits a ranker with each of its pins that was taken, once."""
    start = f"{INTERLEAVED}{name}:"
    deeds = people.event_columns(since, until, variant=start)
    teams = {start + "0": 0, start + "1": 1}
    team = np.array([teams.get(each, -1) for each in deeds.names["variant"]] or [-1], np.int64)
    team = team[deeds.codes["variant"]] if len(deeds) else team[:0]
    if len(deeds) and not (team >= 0).all():
        raise UsageError(
            f"the events of {name!r} cannot be credited",
            f"their variant must end with 0 or 1, and some are {list(deeds.names['variant'])[:3]}",
            "Record them with experiments.credited(name, team)",
        )
    human = _humans(people, deeds, is_bot)
    good = [deeds.code("kind", kind) for kind in kinds]
    pairs = np.stack([deeds.person, deeds.codes["session"]])[:, human]
    _, session = np.unique(pairs, axis=1, return_inverse=True)
    session = np.asarray(session, np.int64).reshape(-1)
    held = np.isin(deeds.codes["kind"][human], good)
    pin = deeds.codes["pin_id"][human]
    once = np.unique(np.stack([session[held], team[human][held], pin[held]]), axis=1)
    sessions = int(session.max()) + 1 if len(session) else 0
    credit = np.bincount(once[0] * 2 + once[1], minlength=2 * sessions).reshape(-1, 2)
    return preference((int(first), int(second)) for first, second in credit)


def _humans(
    people: People, deeds: EventColumns, is_bot: Callable[[str], bool] | None
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if is_bot is None or not len(deeds):
        return np.ones(len(deeds), bool)
    persons, place = np.unique(deeds.person, return_inverse=True)
    human = np.array([not is_bot(name) for name in people.pseudonyms(persons)], bool)
    return np.asarray(human[place.reshape(-1)], bool)


def judge_mixed(people: People, experiment: Experiment, is_bot: Callable[[str], bool] | None) -> Report:
    """The report of an interleaving: a preference with its interval, which may be looked at after every session."""
    now = people.now()
    met = people.exposures(experiment.id)
    units = len(met) if is_bot is None else sum(not is_bot(name) for name in people.pseudonyms(met.person))
    until = min(now, experiment.stopped or now) + 1
    since = experiment.started or experiment.created
    found = preferred(people, experiment.name, since, until, is_bot=is_bot)
    names = [arm.name for arm in experiment.plan.arms]
    if experiment.state is not State.RUNNING:
        said = f"it was stopped: {experiment.reason}" if experiment.stopped else "it was not started"
        decision = Decision(Action.WAIT, said, experiment.ramp)
    elif found.winner is None:
        decision = Decision(Action.WAIT, "more sessions are needed", experiment.ramp)
    else:
        decision = Decision(Action.STOP, f"{names[found.winner]} is preferred", 0.0)
    who = (
        "We cannot tell yet which is preferred"
        if found.winner is None
        else f"{names[found.winner]} is preferred"
    )
    sentence = (
        f"{who}: of {found.decided:,} sessions that took more from one of them, {found.share:.0%} took more from"
        f" {names[1]} ({found.low:.0%} to {found.high:.0%}); {found.sessions - found.decided:,} others say nothing."
    )
    return Report(
        experiment, now, {BOTH: units}, len(met) - units, 1.0, False, decision, (), notes=(sentence,), preference=found
    )  # fmt: skip
