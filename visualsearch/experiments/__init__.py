"""Experiments: who sees which arm, and what the difference is, with intervals that may be looked at every day."""

from __future__ import annotations

from .analysis import Estimate, Sample, compare, corrected, p_value, ratio_check
from .assignment import Arm, Design, free_segment, position
from .holdout import HeldOut
from .interleaving import Draft, Preference, preference, team_draft
from .live import Experiments, open_experiments
from .metrics import METRICS, Metric
from .mixed import BOTH, INTERLEAVED, credited
from .page import write_report
from .plan import SERVED, Experiment, Kind, State, Unit
from .plan import Plan as ExperimentPlan
from .report import Line, Report
from .rollout import RAMP, Action, Decision, Guardrail, decide
from .sequential import critical, ratio_alarm
from .simulate import Plan, Rates, looked_at
from .variants import LEARNT, PLAIN, SETTINGS, SURFACES, Sets, of_surface

__all__ = [
    "BOTH",
    "INTERLEAVED",
    "LEARNT",
    "METRICS",
    "PLAIN",
    "RAMP",
    "SERVED",
    "SETTINGS",
    "SURFACES",
    "Action",
    "Arm",
    "Decision",
    "Design",
    "Draft",
    "Estimate",
    "Experiment",
    "ExperimentPlan",
    "Experiments",
    "Guardrail",
    "HeldOut",
    "Kind",
    "Line",
    "Metric",
    "Plan",
    "Preference",
    "Rates",
    "Report",
    "Sample",
    "Sets",
    "State",
    "Unit",
    "compare",
    "corrected",
    "credited",
    "critical",
    "decide",
    "free_segment",
    "looked_at",
    "of_surface",
    "open_experiments",
    "p_value",
    "position",
    "preference",
    "ratio_alarm",
    "ratio_check",
    "team_draft",
    "write_report",
]
