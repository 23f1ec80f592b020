"""Signals: one number for each candidate, and the ranker that weighs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.types import Float32

from .base import Candidates, Context, Ranking, Signal, ranked

HALF_LIFE_DAYS = 30.0
"""`freshness` of a pin halves in this time."""
ATTRIBUTE = "attribute:"
"""Before the name of an attribute: the signal of its number."""
MISSING = 0.5
"""The signal of a pin without that number: neither for nor against it."""


def _cosine(candidates: Candidates, _: Context) -> Float32:
    return candidates.cosine


def _region(candidates: Candidates, _: Context) -> Float32:
    """1 where an object inside the picture matched better than the whole picture."""
    boxes = candidates.boxes
    whole = (boxes[:, :2] <= 0).all(1) & (boxes[:, 2:] >= 1).all(1)
    return np.asarray(~whole, np.float32)


def _freshness(candidates: Candidates, context: Context) -> Float32:
    """1 for a pin of this moment, 0.5 after HALF_LIFE_DAYS, towards 0."""
    days = np.maximum(context.now - candidates.added, 0) / 86_400
    return np.asarray(0.5 ** (days / HALF_LIFE_DAYS), np.float32)


def _preferred(candidates: Candidates, context: Context) -> Float32:
    """1 where an attribute has the value that the request prefers: `Context.data["preferred"]` is (attribute, value)."""
    name, value = context.need("preferred")
    return np.array([one.get(name) == value for one in candidates.attributes], np.float32)


SIGNALS: Mapping[str, Signal] = {
    "cosine": _cosine,
    "region": _region,
    "freshness": _freshness,
    "preferred": _preferred,
}
"""By name. `attribute:NAME` is another for every attribute: see `signal`."""


def signal(name: str) -> Signal:
    """The signal of that name. Raises UnknownNameError, which lists the known ones."""
    if name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE):
        return lambda candidates, _: attribute(candidates, name.removeprefix(ATTRIBUTE))
    if name not in SIGNALS:
        raise UnknownNameError("signal", name, [*SIGNALS, f"{ATTRIBUTE}NAME"])
    return SIGNALS[name]


def attribute(candidates: Candidates, name: str) -> Float32:
    """An attribute's numbers from 0 (the lowest of the candidates) to 1 (the highest); MISSING where there is none."""
    found = [float(v) if _number(v) else np.nan for v in candidates.values(name)]
    values = np.array(found, np.float64)
    there = np.isfinite(values)
    scaled = np.full(len(values), MISSING)
    if there.any():
        low, high = values[there].min(), values[there].max()
        if high > low:
            scaled[there] = values[there] / (high - low) - low / (high - low)
    return np.asarray(np.clip(scaled, 0, 1), np.float32)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300


@dataclass(frozen=True)
class Weighted:
    """Orders by the weighted sum of signals.

    >>> Weighted({"cosine": 1.0, "freshness": 0.1})           # new pins first among the nearly alike
    Weighted(weights={'cosine': 1.0, 'freshness': 0.1})
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.weights:
            raise UsageError("cannot rank", "no signal has a weight", "Example: cosine=1,freshness=0.1")
        for name, weight in self.weights.items():
            signal(name)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
                raise UsageError(
                    "cannot rank", f"the weight of the signal {name!r} is {weight!r}", "Give a number"
                )

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates by their sum."""
        signals = {name: signal(name)(candidates, context) for name in self.weights}
        total = np.zeros(len(candidates), np.float32)
        for name, weight in self.weights.items():
            total += np.float32(weight) * signals[name]
        return ranked(total, signals)
