"""Whom an experiment kept out, and whom it let in: two groups drawn by chance, for figures of what was caused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.types import Int64

from .assignment import HOLDBACK, position
from .plan import Experiment, State, Unit

if TYPE_CHECKING:
    from visualsearch.people import People


@dataclass(frozen=True)
class HeldOut:
    """Numbers of persons who count in figures: `held` were kept out, `treated` were in. Others were not in the experiment yet.

    From `since` to before `until` (ms; None: until now) nobody changed group: `since` is when the last ramp began.
    """

    label: str
    held: Int64 = field(repr=False)
    treated: Int64 = field(repr=False)
    since: int
    until: int | None


def held_out(people: People, experiment: Experiment, arm: str | None = None) -> HeldOut:
    """The groups of a running or ended experiment: its holdback against all arms, or one arm against the others.

    Raises UsageError for a draft, for one that assigns sessions, and where nobody is held out; UnknownNameError for an arm.
    """
    name, plan = experiment.name, experiment.plan
    if experiment.state is State.DRAFT or not experiment.ramps:
        raise UsageError(f"experiment {name!r} held nobody out", "it was not started", "Start it first")
    if plan.unit is not Unit.PERSON:
        raise UsageError(
            f"experiment {name!r} held no person out", "it assigns sessions", "Take one that assigns persons"
        )
    arms = [each.name for each in plan.arms]
    if arm is not None and arm not in arms:
        raise UnknownNameError("arm", arm, arms)
    if arm is None and not plan.holdback:
        raise UsageError(
            f"experiment {name!r} held nobody out",
            "its plan has no holdback",
            f"Name the arm that did not see the pins: {name}:{arms[0]}",
        )
    numbers = people.counted().person
    held, treated = np.zeros(len(numbers), bool), np.zeros(len(numbers), bool)
    for at, pseudonym in enumerate(people.pseudonyms(numbers)):
        chosen = experiment.design.assign(pseudonym)
        treated[at] = chosen is not None and chosen != arm
        held[at] = chosen == arm if arm is not None else position(HOLDBACK, pseudonym) < plan.holdback
    label = name if arm is None else f"{name}:{arm}"
    return HeldOut(label, numbers[held], numbers[treated], experiment.ramps[-1].at, experiment.stopped)
