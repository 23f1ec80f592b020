"""Each part of a mixed query on its own scale, and of what is not wanted only what tells it apart.

Words and pictures score differently: in many CLIPs a fitting word reaches a cosine of 0.3, a fitting picture 0.8 (the
"modality gap", Liang et al. 2022, arXiv 2203.02053). So a plain sum of both is the picture, nearly unchanged. Here a part
counts by how far its scores spread over the index. With C the covariance of a sample of stored vectors, the scores of a part v
have the standard deviation s(v) = sqrt(v' C v). Then v / s(v) gives scores that spread by one. What is wanted is

    w = sum of weight_i * v_i / s(v_i)

The mean of each part's scores moves all pins alike, so it is left out, and the query stays one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from visualsearch.types import Float32

SAMPLE = 2048
"""The most stored vectors that are measured on."""
FEWEST = 8
"""Among fewer stored vectors no spread is measured: every part counts with its own length, which is one."""
LIKE = 30
"""Pins that the rest of the query finds, with which an unwanted part is compared; at most an eighth of the sample."""
FLAT = 1e-3
"""A spread below this is rounding, not a scale: then all parts count with their own length too."""
SAME = 1e-3
"""Where less than this is left of a part not wanted, it asks away just what is wanted."""


class Sample:
    """Stored vectors, (n, d), that scales are measured on; made once for each state of an index."""

    def __init__(self, rows: Float32) -> None:
        self.rows = np.asarray(rows, np.float32)

    @cached_property
    def covariance(self) -> Float32:
        """(d, d): v' C v is the variance of the scores of v."""
        centred = self.rows - self.rows.mean(0)
        return np.asarray(centred.T @ centred / np.float32(len(self.rows)), np.float32)

    def spread(self, vector: Float32) -> float:
        """How far the scores of a vector spread over the sample, as a standard deviation; 0 for fewer than FEWEST pins."""
        if len(self.rows) < FEWEST:
            return 0.0
        return float(np.sqrt(max(float(vector @ self.covariance @ vector), 0.0)))


def blended(
    wanted: Sequence[tuple[float, Float32]], unwanted: Sequence[tuple[float, Float32]], sample: Sample
) -> Float32:
    """The (d,) query, of any length, of several (weight > 0, unit vector) parts; one of them at least.

    From w each unwanted part u takes away weight * r / s(r), where r is u without what it shares with w and with c, the mean
    of those pins of the sample that w finds first. So "shoe" minus one running shoe moves away from running shoes and keeps
    to shoes. Where nothing is wanted, the unwanted parts are just turned round. A zero vector says that the parts cancel out.
    """
    measured = all(sample.spread(vector) >= FLAT for _, vector in (*wanted, *unwanted))

    def spread(vector: Float32) -> float:
        return max(sample.spread(vector), FLAT) if measured else 1.0

    if not wanted:
        return _sum([(-weight, v / spread(v)) for weight, v in unwanted])
    wish = _sum([(weight, v / spread(v)) for weight, v in wanted])
    length = float(np.linalg.norm(wish))
    if not unwanted or length < FLAT:
        return wish
    axes = _axes([_found(wish, sample.rows), wish])
    total = wish
    for weight, part in unwanted:
        rest = part - axes.T @ (axes @ part)
        if float(np.linalg.norm(rest)) < SAME:
            # Only as much as is asked away: a word minus half of itself is still the word.
            total = total - weight * part / spread(part)
        else:
            total = total - weight * rest / spread(rest)
    return np.asarray(total, np.float32)


def _found(wish: Float32, rows: Float32) -> Float32:
    """The mean (d,) of the rows that a query finds first; zero where the sample is too small to say."""
    count = min(LIKE, len(rows) // 8)
    if count < 1:
        return np.zeros_like(wish)
    best = np.argsort(-(rows @ wish), kind="stable")[:count]
    return np.asarray(rows[best].mean(0), np.float32)


def _axes(directions: Sequence[Float32]) -> Float32:
    """(m, d) orthonormal rows that span the directions which are not zero (Gram and Schmidt)."""
    axes: list[Float32] = []
    for direction in directions:
        rest = direction / max(float(np.linalg.norm(direction)), FLAT)
        for axis in axes:
            rest = rest - (axis @ rest) * axis
        if (length := float(np.linalg.norm(rest))) >= SAME:
            axes.append(np.asarray(rest / length, np.float32))
    return np.stack(axes)


def _sum(parts: Sequence[tuple[float, Float32]]) -> Float32:
    return np.asarray(sum(np.float32(weight) * vector for weight, vector in parts), np.float32)
