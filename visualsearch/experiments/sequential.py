"""Intervals that stay valid however often one looks.

An experiment's z-score, looked at again and again, crosses 1.96 by chance far more often than once in twenty. The intervals here
hold at all looks together. Two boundaries are joined by a union bound:

- up to the planned end a constant boundary in the scale of the sum, sharpest at the planned end. A Brownian path leaves
  +-c before time 1 with a chance of at most 4 (1 - Phi(c)) (the reflection principle).
- before and after it, a normal mixture, which never ends (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon,
  "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021, equation 14; asymptotic form:
  Waudby-Smith et al., "Time-uniform central limit theory", arXiv:2103.06476).

Time is the share of the planned observations (unit-days) that are in. People who return make z-scores of two days more alike than
a Brownian path's, and by Slepian's inequality that only lowers the chance of leaving the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from visualsearch.errors import UsageError

MIXTURE_SHARE = 0.2
"""The part of alpha for the mixture: what sees large effects early, and lasts beyond the planned end."""
TUNED_AT = 0.15
"""The share of the planned time at which the mixture is about its sharpest: early, where a harm must be seen."""


@lru_cache(maxsize=1024)
def critical(share: float, alpha: float = 0.05) -> float:
    """How many standard errors an interval reaches to each side, when `share` of the planned observations are in.

    `share` > 0; above 1 the experiment has gone on beyond its plan. `alpha` (0..1) is the chance that any look errs.
    Raises UsageError.
    """
    if not (share > 0 and math.isfinite(share)) or not 0 < alpha < 1:
        raise UsageError(
            f"no interval for a share of {share} and alpha {alpha}",
            "the share must be above 0, alpha between 0 and 1",
            "Wait for the first observations, or mend the numbers",
        )
    small = alpha * MIXTURE_SHARE
    rho = _rho(small)
    mixture = math.sqrt((share + rho) / share * (math.log((share + rho) / rho) + 2 * math.log(1 / small)))
    if share > 1:
        return mixture
    planned = NormalDist().inv_cdf(1 - (alpha - small) / 4) / math.sqrt(share)
    return min(planned, mixture)


def _rho(alpha: float) -> float:
    """The mixture's precision that makes it about narrowest at TUNED_AT (Howard et al. 2021, section 3.5, approximately)."""
    return TUNED_AT / (2 * math.log(1 / alpha) + math.log(1 + 2 * math.log(1 / alpha)))


def ratio_alarm(counts: Sequence[int], weights: Sequence[float]) -> float:
    """How surprising the arms' counts are under the planned weights: a p-value that holds at every look.

    `counts` (arms,) units seen; `weights` (arms,) > 0, the design's. Below 0.01 is an alarm: something loses or doubles units,
    and no figure of the experiment can be trusted. Uniform prior over the true shares.
    Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.
    """
    if len(counts) != len(weights) or min(weights) <= 0 or min(counts) < 0:
        raise UsageError(
            "the sample ratio cannot be checked",
            f"{counts} counts, {weights} weights",
            "Give one of each per arm",
        )
    total, mass = sum(counts), sum(weights)
    if not total:
        return 1.0
    observed = sum(c * math.log(w / mass) for c, w in zip(counts, weights, strict=True))
    # The prior is centred on the plan and as wide as a uniform one over as many arms.
    prior = [len(counts) * w / mass for w in weights]
    mixed = math.lgamma(sum(prior)) - math.lgamma(sum(prior) + total)
    mixed += sum(math.lgamma(a + c) - math.lgamma(a) for a, c in zip(prior, counts, strict=True))
    return float(min(1.0, np.exp(min(observed - mixed, 0.0))))
