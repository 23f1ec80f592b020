"""Ramps: how an experiment grows, and when it stops by itself.

The decision is a pure function of what was measured, so that it can be tested, replayed and explained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from visualsearch.errors import UsageError

from .analysis import Estimate

RAMP = (0.01, 0.1, 0.5, 1.0)
"""The usual steps: one person in a hundred first."""


class Action(StrEnum):
    """What to do next."""

    WAIT = "wait"
    RAMP = "ramp"
    STOP = "stop"


@dataclass(frozen=True)
class Guardrail:
    """A metric that may not get worse by more than `tolerance` (relative, 0.02 = 2 %).

    `higher_is_better` is False for latency, errors and hides.
    """

    metric: str
    tolerance: float = 0.0
    higher_is_better: bool = True

    def broken(self, estimate: Estimate) -> bool:
        """Surely worse than tolerated: the whole always-valid interval lies beyond the tolerance."""
        allowed = self.tolerance * abs(estimate.control)
        return estimate.high < -allowed if self.higher_is_better else estimate.low > allowed


@dataclass(frozen=True)
class Decision:
    """What to do, why, and the ramp afterwards."""

    action: Action
    reason: str
    ramp: float


def decide(
    ramp: float,
    estimates: Mapping[str, Estimate],
    guardrails: Sequence[Guardrail],
    *,
    hours: float,
    alarm: bool = False,
    steps: Sequence[float] = RAMP,
    hours_per_step: float = 24.0,
) -> Decision:
    """The next step of an experiment at `ramp` that has been there for `hours`.

    It stops at once when a guardrail is surely broken or the sample ratio raises its alarm. It grows to the next of `steps` after
    `hours_per_step`, if every guardrail could be judged. Raises UsageError for a guardrail that was not measured.
    """
    for guardrail in guardrails:
        if guardrail.metric not in estimates:
            raise UsageError(
                f"guardrail {guardrail.metric!r} cannot be judged",
                f"measured were {sorted(estimates)}",
                "Measure it, or take it off the experiment",
            )
    if alarm:
        return Decision(Action.STOP, "the arms do not hold the planned shares of units", 0.0)
    for guardrail in guardrails:
        found = estimates[guardrail.metric]
        if guardrail.broken(found):
            text = f"{guardrail.metric} went from {found.control:.4g} to {found.treatment:.4g}, beyond its tolerance"
            return Decision(Action.STOP, text, 0.0)
    unjudged = [g.metric for g in guardrails if not estimates[g.metric].enough]
    larger = [step for step in sorted(steps) if step > ramp + 1e-12]
    if not larger:
        return Decision(Action.WAIT, "everybody is in", ramp)
    if unjudged:
        return Decision(Action.WAIT, f"too few units to judge {', '.join(unjudged)}", ramp)
    if hours < hours_per_step:
        return Decision(Action.WAIT, f"{hours_per_step - hours:.0f} more hours at {ramp:.0%}", ramp)
    return Decision(Action.RAMP, f"no guardrail is broken after {hours:.0f} hours", larger[0])
