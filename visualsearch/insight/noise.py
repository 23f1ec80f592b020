"""Noise on counts of people, exact on integers: the discrete Gaussian of OpenDP (Canonne, Kamath and Steinke 2020, 2004.00010).

No floating-point number takes part in drawing it, so the low bits of a figure tell nothing (Mironov 2012).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from visualsearch.errors import MissingExtraError
from visualsearch.types import Int64


def scale_of(most_cells: int, rho: float) -> float:
    """The standard deviation of the noise on each count, where each person adds at most 1 to at most so many of them."""
    return math.sqrt(most_cells / (2 * rho)) * (1 + 1e-9)


def noisy(counts: Int64, most_cells: int, rho: float) -> Int64:
    """Counts with noise, so that the whole array costs rho. Figures may be negative. Raises MissingExtraError."""
    if not len(counts):
        return counts.astype(np.int64)
    measure = _mechanism(scale_of(most_cells, rho))
    assert measure.map(math.sqrt(most_cells)) <= rho * (1 + 1e-6)
    return np.array(measure(counts.astype(np.int64).tolist()), np.int64)


def _mechanism(scale: float) -> Any:
    try:
        import opendp.prelude as dp
    except ModuleNotFoundError as error:
        raise MissingExtraError("figures about people need noise", "insight") from error
    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    return dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), scale=scale, MO="ZeroConcentratedDivergence")
