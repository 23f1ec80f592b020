"""Experiments: who sees which arm, and what the difference is, with intervals that may be looked at every day."""

from __future__ import annotations

from .analysis import Estimate, Sample, compare, corrected, p_value, ratio_check
from .assignment import Arm, Design, free_segment, position
from .interleaving import Draft, Preference, preference, team_draft
from .rollout import RAMP, Action, Decision, Guardrail, decide
from .sequential import critical, ratio_alarm
from .simulate import Plan, Rates, looked_at

__all__ = [
    "RAMP",
    "Action",
    "Arm",
    "Decision",
    "Design",
    "Draft",
    "Estimate",
    "Guardrail",
    "Plan",
    "Preference",
    "Rates",
    "Sample",
    "compare",
    "corrected",
    "critical",
    "decide",
    "free_segment",
    "looked_at",
    "p_value",
    "position",
    "preference",
    "ratio_alarm",
    "ratio_check",
    "team_draft",
]
