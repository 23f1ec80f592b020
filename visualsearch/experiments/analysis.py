"""What an experiment says: means and ratios per arm, their difference, an interval that may be looked at every day.

The unit is what was assigned (a person or a session): its observations are summed first, because what one person does on two days
is not independent. A ratio of two sums (saves per impression) gets its variance by the delta method (Deng, Knoblich and Lu,
"Applying the delta method in metric analytics", KDD 2018). What was known before the experiment explains part of the noise away
(CUPED: Deng, Xu, Kohavi and Walker, WSDM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError

from .sequential import critical, ratio_alarm

Float64 = NDArray[np.float64]
FEWEST = 30
"""Units an arm must have: below, a mean's distribution is too far from normal for any interval here."""
ALARM = 0.01


@dataclass(frozen=True)
class Sample:
    """One arm's units. Each array is (n,) float64, one row per unit.

    `value` is the metric's sum per unit (saves). `over` is its denominator's (impressions), None for a mean per unit. `before`
    is the metric before the experiment began, for CUPED, or None. Raises UsageError for lengths that differ or NaN.
    """

    value: Float64
    over: Float64 | None = None
    before: Float64 | None = None

    def __post_init__(self) -> None:
        for name in ("over", "before"):
            other = getattr(self, name)
            if other is not None and len(other) != len(self.value):
                raise UsageError(
                    "the arm cannot be read",
                    f"{len(self.value)} values and {len(other)} of {name}",
                    "Give one per unit",
                )
        if not all(np.isfinite(a).all() for a in (self.value, self.over, self.before) if a is not None):
            raise UsageError("the arm cannot be read", "it holds NaN or infinity", "Drop or mend these units")

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Estimate:
    """Treatment against control. `difference` is absolute, `lift` relative to the control (None when that is 0).

    `low`, `high` bound the difference at every look together; `fixed_low`, `fixed_high` at one planned look only.
    `variance_kept` (0..1) is what CUPED left of the variance. `enough` is False with too few units: then no bound is finite.
    """

    control: float
    treatment: float
    difference: float
    error: float
    low: float
    high: float
    fixed_low: float
    fixed_high: float
    units: tuple[int, int]
    variance_kept: float = 1.0
    enough: bool = True

    @property
    def lift(self) -> float | None:
        """The difference as a share of the control's figure."""
        return self.difference / abs(self.control) if self.control else None

    @property
    def wins(self) -> bool:
        """The interval lies above zero: the metric is higher with the treatment."""
        return self.low > 0

    @property
    def loses(self) -> bool:
        """The interval lies below zero."""
        return self.high < 0


def compare(control: Sample, treatment: Sample, *, share: float = 1.0, alpha: float = 0.05) -> Estimate:
    """The difference of the two arms' figures, with an always-valid interval.

    `share` > 0 is how much of the planned unit-days are in (see `sequential.critical`). With `over`, the figure is the ratio
    of sums. With `before` in both arms, CUPED takes out what it explains.
    """
    sides, kept = _sides(control, treatment)
    (mean_c, var_c), (mean_t, var_t) = sides
    difference, error = mean_t - mean_c, math.sqrt(var_c + var_t)
    units = (len(control), len(treatment))
    plain = (_figure(control), _figure(treatment))
    if min(units) < FEWEST:
        wide = math.inf
        return Estimate(*plain, plain[1] - plain[0], error, -wide, wide, -wide, wide, units, kept, False)
    reach, fixed = critical(share, alpha) * error, NormalDist().inv_cdf(1 - alpha / 2) * error
    return Estimate(
        *plain,
        difference,
        error,
        difference - reach,
        difference + reach,
        difference - fixed,
        difference + fixed,
        units,
        kept,
    )


def _figure(sample: Sample) -> float:
    """The arm's plain figure: the ratio of sums, or the mean; 0 of nothing."""
    total = float(sample.over.sum()) if sample.over is not None else float(len(sample))
    return float(sample.value.sum()) / total if total else 0.0


def _linear(sample: Sample) -> Float64:
    """(n,) numbers whose mean is the arm's figure and whose variance is that of the ratio, by the delta method."""
    if sample.over is None:
        return sample.value
    mean = float(sample.over.mean()) if len(sample) else 0.0
    if not mean:
        return np.zeros(len(sample))
    figure = _figure(sample)
    return figure + (sample.value - figure * sample.over) / mean


def _sides(control: Sample, treatment: Sample) -> tuple[list[tuple[float, float]], float]:
    """(mean, variance of the mean) per arm after CUPED, and the share of the variance that is left."""
    lines = [_linear(control), _linear(treatment)]
    raw = [_variance(line) for line in lines]
    kept = 1.0
    if control.before is not None and treatment.before is not None:
        before = [control.before, treatment.before]
        centre = np.concatenate(before).mean()
        together = np.concatenate([b - b.mean() for b in before])
        spread = float(together @ together)
        slope = float(np.concatenate([x - x.mean() for x in lines]) @ together) / spread if spread else 0.0
        lines = [line - slope * (b - centre) for line, b in zip(lines, before, strict=True)]
        if sum(raw):
            kept = sum(_variance(line) for line in lines) / sum(raw)
    return [(float(line.mean()) if len(line) else 0.0, _variance(line)) for line in lines], kept


def _variance(line: Float64) -> float:
    """The variance of the mean of (n,) numbers; infinite when there are fewer than two."""
    return float(line.var(ddof=1)) / len(line) if len(line) > 1 else math.inf


def ratio_check(units: Mapping[str, int], weights: Mapping[str, float]) -> tuple[float, bool]:
    """(p-value, alarm): do the arms hold as many units as the design says? Holds at every look."""
    value = ratio_alarm([units.get(name, 0) for name in weights], list(weights.values()))
    return value, value < ALARM


def corrected(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which of many comparisons stand, so that of those that do about `rate` are false: Benjamini and Hochberg 1995.

    For effects by subgroup, which are looked for in many places at once.
    """
    order = np.argsort(p_values)
    passed = np.asarray(p_values)[order] <= rate * (np.arange(len(order)) + 1) / max(len(order), 1)
    last = int(np.flatnonzero(passed)[-1]) + 1 if passed.any() else 0
    out = [False] * len(order)
    for place in order[:last]:
        out[int(place)] = True
    return out


def p_value(estimate: Estimate) -> float:
    """Two-sided, of one planned look."""
    if not estimate.enough:
        return 1.0
    if not estimate.error:
        return float(estimate.difference == 0)
    return 2 * (1 - NormalDist().cdf(abs(estimate.difference) / estimate.error))
