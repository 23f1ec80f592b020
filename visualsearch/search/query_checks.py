"""What a query may ask: weights, counts, scores and vectors that came from outside, checked before anything is computed."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Float32, Query

MOST_WEIGHT = 100.0
"""Weights are compared with one another: far beyond this one part alone would count."""

ROUNDING = 1e-5
"""How far a float32 vector of unit length may be from it."""


def check_weight(what: str, weight: Any) -> None:
    """Raise UsageError for what is no weight of a query's part."""
    if not _is_number(weight) or not abs(weight) <= MOST_WEIGHT:  # NaN is not
        raise UsageError(
            f"{what} cannot be used",
            f"it is {weight!r}",
            f"Give a number from {-MOST_WEIGHT:g} to {MOST_WEIGHT:g}; only weights beside one another matter",
        )


def _is_number(value: Any) -> bool:
    """A real number, numpy's included; no boolean."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_query(query: Query) -> None:
    """Raise UsageError for a query that no index can answer."""
    asked: tuple[tuple[str, Any, int], ...] = (("k", query.k, 1), ("offset", query.offset, 0))
    for name, value, lowest in asked:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
            raise UsageError(
                "cannot search",
                f"{name} is {value!r}",
                "k is a whole number of at least 1, offset one of at least 0",
            )
    least = query.min_score
    if least is not None and least != "auto" and not (_is_number(least) and isfinite(least)):
        raise UsageError(
            "cannot search",
            f"the minimum score is {least!r}",
            "Give a cosine, from -1 to 1, or 'auto', or leave it out",
        )
    for part in query.parts:
        check_weight("the weight of a part", part.weight)


def unit_rows(vectors: object, dim: int, what: str = "the query vectors") -> Float32:
    """Vectors that came from outside, (n, dim) of any length, as float32 of unit length.

    Raises UsageError where the dimension is another, or one of them is zero or not finite.
    """
    try:
        rows = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{what} cannot be used", "they are no array of numbers", f"Give (n, {dim}) numbers"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise UsageError(
            f"{what} cannot be used",
            f"their shape is {rows.shape}, and the vectors of this index are of dimension {dim}",
            f"Give an array of shape (n, {dim}), one row a vector, made by the index's own encoder",
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        why = "zero" if lengths[wrong[0]] == 0 else "not finite"
        raise UsageError(
            f"{what} cannot be used", f"number {wrong[0]} is {why}", "Leave it out, or compute it again"
        )
    lengths[np.abs(lengths - 1) < ROUNDING] = 1  # the very numbers that came, where they are right
    return np.asarray(rows / lengths, np.float32)
