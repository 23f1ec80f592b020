"""What another ranker would have earned, from what people did with lists of the present one.

Of a logged action with chance p and reward r, a new policy that takes it with chance q counts r q / p. IPS takes the mean.
SNIPS divides by the mean weight (Swaminathan and Joachims 2015). DR adds a model's guess and corrects it (Dudik and others 2011).
An estimate that rests on few impressions, or on actions that the log never took, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Float64, Int64

FEWEST = 1000.0
"""Effective impressions that an estimate needs."""
UNSEEN = 0.01
"""At most this share of the new policy may lie on actions that the log never takes."""
Z = 1.959963984540054


@dataclass(frozen=True)
class Logged:
    """n logged actions, (n,) each: the reward, the chance with which the log took it, and that of the new policy.

    `unit` is what is drawn together, a list or a person: rewards of one unit are not independent. `guess` is a model's guess of
    the reward of the action taken, `expected` its guess of what the new policy earns there; both are needed for DR. `unseen`
    is the share of the new policy on actions that the log never takes, where that is known.
    """

    reward: Float64
    logged: Float64
    wanted: Float64
    unit: Int64 | None = None
    guess: Float64 | None = None
    expected: Float64 | None = None
    unseen: float = 0.0


@dataclass(frozen=True)
class Value:
    """An estimate per impression, its 95 % interval, and how many impressions it is worth (Kish's effective sample size)."""

    method: str
    mean: float
    low: float
    high: float
    effective: float


def value_of(logged: Logged, method: str = "snips") -> Value:
    """Estimate the new policy's reward per impression: `ips`, `snips` or `dr`.

    Raises UsageError below FEWEST effective impressions, where support is missing, and for numbers that are no chances.
    """
    if method not in METHODS:
        raise UsageError(f"there is no estimate {method!r}", f"known: {', '.join(METHODS)}")
    weights = _weights(logged)
    total = float(weights.sum())
    effective = total**2 / float((weights * weights).sum()) if total else 0.0
    if logged.unseen > UNSEEN:
        raise UsageError(
            "cannot estimate what the new ranker earns",
            f"{logged.unseen:.0%} of what it would show was never shown by the log",
            "Randomise more lists, or compare them live: visualsearch experiment create",
        )
    if effective < FEWEST:
        raise UsageError(
            "cannot estimate what the new ranker earns",
            f"the {len(weights):,} logged impressions are worth {effective:,.0f}, and {FEWEST:,.0f} are needed",
            "Log more, or compare them live: visualsearch experiment create",
        )
    if abs(total / len(weights) - 1) > max(0.1, 5 * float(weights.std()) / len(weights) ** 0.5):
        raise UsageError(
            "cannot estimate what the new ranker earns",
            f"the mean weight is {total / len(weights):.3f} instead of 1: chances are wrong, or actions were never taken",
            "Check the logged chances",
        )
    terms, mean = METHODS[method](logged, weights)
    low, high = _interval(terms, mean, logged.unit)
    return Value(method, mean, low, high, effective)


def _weights(logged: Logged) -> Float64:
    sizes = {len(logged.reward), len(logged.logged), len(logged.wanted)}
    if len(sizes) != 1 or 0 in sizes:
        raise UsageError("nothing to estimate from", "rewards and chances must be as many, and at least one")
    fine = np.isfinite(logged.reward).all() and (logged.logged > 0).all() and (logged.logged <= 1).all()
    if not fine or not ((logged.wanted >= 0) & (logged.wanted <= 1)).all():
        raise UsageError(
            "cannot estimate from these chances",
            "a logged chance must be above 0 and at most 1, a wanted one from 0 to 1, a reward finite",
            "Log the chance with which each slot was filled",
        )
    return np.asarray(logged.wanted / logged.logged, np.float64)


def _ips(logged: Logged, weights: Float64) -> tuple[Float64, float]:
    terms = weights * logged.reward
    return terms, float(terms.mean())


def _snips(logged: Logged, weights: Float64) -> tuple[Float64, float]:
    mean = float((weights * logged.reward).sum() / weights.sum())
    # The influence of each action on a ratio of means.
    return mean + weights * (logged.reward - mean) / weights.mean(), mean


def _dr(logged: Logged, weights: Float64) -> tuple[Float64, float]:
    if logged.guess is None or logged.expected is None:
        raise UsageError("DR needs a model's guesses", "`guess` and `expected` are missing", "Use snips")
    terms = logged.expected + weights * (logged.reward - logged.guess)
    return terms, float(terms.mean())


METHODS: dict[str, Callable[[Logged, Float64], tuple[Float64, float]]] = {
    "ips": _ips,
    "snips": _snips,
    "dr": _dr,
}


def _interval(terms: Float64, mean: float, unit: Int64 | None) -> tuple[float, float]:
    """The 95 % interval of a mean of terms, of which those of one unit hang together."""
    apart = terms - mean
    if unit is None:
        error = float(apart.std(ddof=1) / len(terms) ** 0.5)
    else:
        sums = np.bincount(np.unique(unit, return_inverse=True)[1].reshape(-1), apart)
        error = float((len(sums) / max(1, len(sums) - 1) * (sums * sums).sum()) ** 0.5 / len(terms))
    return mean - Z * error, mean + Z * error
