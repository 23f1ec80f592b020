"""Experiments with a known truth: does the interval keep its promise, and what does that cost in power?

Everything is simulated. People differ in how often they come and how much they save; each day some arrive, and who came stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .analysis import Sample, compare


@dataclass(frozen=True)
class Plan:
    """One simulated experiment: `people` (both arms together) within `days`, and a relative `effect` on saves per visit."""

    people: int = 600
    days: int = 30
    effect: float = 0.0
    visits: float = 0.4
    saves: float = 0.8


@dataclass(frozen=True)
class Rates:
    """Shares (0..1) of `experiments` that named a difference: by the daily z-test, by ours, by one look at the end."""

    experiments: int
    daily_z: float
    always_valid: float
    fixed: float


def totals(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cumulative saves (people, days), people in by each day (days,), and arms (people,) bool."""
    treated = rng.random(plan.people) < 0.5
    arrives = np.minimum(rng.geometric(3 / plan.days, plan.people) - 1, plan.days - 1)
    habit = rng.gamma(1.0, plan.visits, plan.people)
    taste = rng.gamma(2.0, plan.saves / 2, plan.people) * np.where(treated, 1 + plan.effect, 1.0)
    there = np.arange(plan.days)[None, :] >= arrives[:, None]
    visits = rng.poisson(habit[:, None], (plan.people, plan.days)) * there
    saves = rng.poisson(visits * taste[:, None])
    return saves.cumsum(1), there, treated


def looked_at(plan: Plan, experiments: int, seed: int, alpha: float = 0.05) -> Rates:
    """Run `experiments` of the plan, each looked at on every day."""
    rng = np.random.default_rng(seed)
    daily = always = fixed = 0
    for _ in range(experiments):
        saves, there, treated = totals(plan, rng)
        planned = there.sum()
        seen = [False, False]
        for day in range(plan.days):
            inside = there[:, day]
            arms = [Sample(saves[inside & side, day].astype(np.float64)) for side in (~treated, treated)]
            found = compare(arms[0], arms[1], share=float(there[:, : day + 1].sum() / planned), alpha=alpha)
            seen[0] |= found.enough and (found.fixed_low > 0 or found.fixed_high < 0)
            seen[1] |= found.wins or found.loses
        daily, always = daily + seen[0], always + seen[1]
        fixed += found.fixed_low > 0 or found.fixed_high < 0
    return Rates(experiments, daily / experiments, always / experiments, fixed / experiments)
