"""How clusters grow, with what every cluster shares (days of the week, busy and slow days) and what returns each year taken out.

The level of a cluster on a day is its count over the day's factor, which is the same for all clusters. Growth is the level of
the newest days against the median of weeks before. Its interval knows the noise that was added, and how much days differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from visualsearch.types import Bool, Float64, Int64

P = ParamSpec("P")
T = TypeVar("T")

NEWEST, BASE, GAP = 3, 28, 7
"""Days of the newest level; days of the usual level; days between them, which may be of the rise."""
YEAR = 364
"""Days after which a season returns, in whole weeks."""
SURE = 4.5
"""So many standard errors count as sure. Counts have long tails: at 4, about one cluster in 20,000 a day rose by chance."""
LEAST = 1.25
"""Growth below this factor is no trend, however sure."""
ROUNDS = 4
Z95 = 1.96


class Phase(StrEnum):
    """Where a trend stands."""

    RISING = "rising"
    PEAKING = "peaking"
    FADING = "fading"
    STEADY = "steady"
    UNKNOWN = "too little is known"


@dataclass(frozen=True)
class Growth:
    """The growth of c clusters to the last of d days, (c,) each; NaN where too little is known.

    `factor` with its 95 % interval `low`..`high` is the newest level over the usual one. `level` (d, c) is what the days would
    be without days of the week and seasons. `returns`: it also rose at this time of last year; None without a year of days.
    """

    phase: list[Phase]
    factor: Float64
    low: Float64
    high: Float64
    sureness: Float64
    level: Float64
    returns: list[bool | None]


def _quiet(function: Callable[P, T]) -> Callable[P, T]:
    """Without NumPy's warnings: days that are not there are NaN on purpose, and what rests on none of them is NaN too."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return function(*args, **kwargs)

    return run


@_quiet
def judge(counts: Float64, noise: float = 0.0) -> Growth:
    """The growth of (d, c) counts, one row a day, NaN where a day is missing. `noise` is the deviation of what was added."""
    days, clusters = counts.shape
    factor, _ = day_factors(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = counts / factor[:, None]
    season = _season(level)
    level = level / season
    recent, usual = (
        level[max(0, days - NEWEST) :],
        level[max(0, days - NEWEST - GAP - BASE) : max(0, days - NEWEST - GAP)],
    )
    if not clusters or np.isfinite(usual).any(1).sum() < 7:
        empty = np.full(clusters, np.nan)
        return Growth([Phase.UNKNOWN] * clusters, empty, empty, empty, empty, level, [None] * clusters)
    typical = np.nanmedian(usual, axis=0)
    spread = _spread(usual, typical, float(np.nanmean(factor)), noise)
    now, now_error = np.nanmean(recent, axis=0), spread / np.sqrt(np.maximum(np.isfinite(recent).sum(0), 1))
    typical_error = 1.25 * spread / np.sqrt(np.isfinite(usual).sum(0))
    # From next to nothing, growth would be without bounds.
    small = np.maximum(typical, np.maximum(2 * typical_error, 1e-9))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.maximum(now, 1e-9) / small
        relative = np.sqrt((now_error / np.maximum(now, 1e-9)) ** 2 + (typical_error / small) ** 2)
        under = np.sqrt(now_error**2 + typical_error**2)
        sureness = (now - typical) / np.maximum(under, 1e-9)
    known = np.isfinite(found) & ((typical > spread / 2) | (sureness >= SURE))
    phases = _phases(level, typical, spread, found, sureness, known)
    stretch = np.exp(Z95 * np.minimum(relative, 5))
    return Growth(
        phases,
        np.where(known, found, np.nan),
        np.where(known, found / stretch, np.nan),
        np.where(known, found * stretch, np.nan),
        np.where(known, sureness, np.nan),
        level,
        _returns(counts),
    )


@_quiet
def day_factors(counts: Float64) -> tuple[Float64, Float64]:
    """(d,) how busy each day is for all clusters alike, 1 in the mean, and (c,) the usual count of each cluster.

    The clusters that are furthest above or below their usual share on a day do not speak for that day.
    """
    there = np.isfinite(counts).any(1)
    factor = np.where(there, np.nansum(counts, axis=1), np.nan)
    factor = _scaled(factor)
    base = np.ones(counts.shape[1])
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore", invalid="ignore"):
            base = np.maximum(_median(counts / factor[:, None]), 1e-9)
            ratio = counts / base
        spoken = np.isfinite(ratio) & (ratio >= _quantile(ratio, 0.1)) & (ratio <= _quantile(ratio, 0.9))
        said = np.where(spoken, counts, 0).sum(1) / np.maximum(np.where(spoken, base, 0).sum(1), 1e-9)
        factor = np.where(there & (said > 1e-3), said, np.nan)  # a day on which nothing happened says nothing
        factor = _scaled(factor)
    return factor, base


def _scaled(factor: Float64) -> Float64:
    held = np.isfinite(factor)
    made: Float64 = factor / max(float(factor[held].mean()) if held.any() else 1.0, 1e-9)
    return made


def _median(values: Float64) -> Float64:
    """(c,) of the days that are there; a cluster of which none is has 0."""
    made: Float64 = np.nan_to_num(np.nanmedian(values, axis=0))
    return made


def _quantile(ratio: Float64, share: float) -> Float64:
    """(d, 1) of the clusters that are there."""
    usual = (
        np.nanmedian(ratio, axis=1, keepdims=True) if np.isfinite(ratio).any() else np.ones((len(ratio), 1))
    )
    filled = np.where(np.isfinite(ratio), ratio, usual)
    made: Float64 = np.quantile(np.nan_to_num(filled), share, axis=1)[:, None]
    return made


def _season(level: Float64) -> Float64:
    """(d, c) what a cluster's level was at this time of the years before, over that year's mean; 1 without a year of days."""
    days = len(level)
    season = np.ones_like(level)
    if days < YEAR + BASE:
        return season
    smooth = _smoothed(level, 15)
    for day in range(YEAR, days):
        before = smooth[day - YEAR]
        whole = np.nanmean(level[max(0, day - YEAR - 182) : day - YEAR + 183], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            season[day] = before / whole
    return np.clip(np.nan_to_num(season, nan=1.0), 0.2, 5.0)


def _smoothed(level: Float64, width: int) -> Float64:
    """Medians of the days around each."""
    half = width // 2
    out = np.empty_like(level)
    for day in range(len(level)):
        out[day] = np.nanmedian(level[max(0, day - half) : day + half + 1], axis=0)
    return out


def _spread(usual: Float64, typical: Float64, factor: float, noise: float) -> Float64:
    """(c,) the deviation of a day's level: what counting and the noise make, times how much more the days really differ."""
    expected = np.sqrt(np.maximum(typical, 1) + noise**2) / max(factor, 1e-9)
    away = np.abs(usual - typical)
    seen = 1.4826 * np.nanmedian(away, axis=0)
    more = float(np.clip(np.nanmedian(seen / expected), 1.0, 10.0))
    made: Float64 = np.maximum(expected * more, 0.7 * seen)
    return made


def _phases(
    level: Float64, typical: Float64, spread: Float64, found: Float64, sureness: Float64, known: Bool
) -> list[Phase]:
    days = len(level)
    newest = np.nanmean(level[-NEWEST:], axis=0)
    before = np.nanmean(level[-2 * NEWEST : -NEWEST], axis=0)
    of_three = spread / np.sqrt(NEWEST)
    with np.errstate(invalid="ignore"):
        climbs = newest - before > 2.5 * np.sqrt(2) * of_three
    tops = [
        np.nanmean(level[at : at + NEWEST], axis=0) for at in range(max(0, days - BASE), days - NEWEST + 1)
    ]
    top = np.max(tops, axis=0)
    with np.errstate(invalid="ignore"):
        was_high = (top - typical > SURE * np.sqrt(2) * of_three) & (top > LEAST * typical)
        fell = top - newest > SURE * np.sqrt(2) * of_three
        high = (sureness >= SURE) & (found >= LEAST)
        low = (sureness <= -SURE) & (found <= 1 / LEAST)
    phases = []
    for number in range(level.shape[1]):
        if not known[number]:
            phases.append(Phase.UNKNOWN)
        elif (was_high[number] and fell[number]) or low[number]:
            phases.append(Phase.FADING)
        elif high[number]:
            phases.append(Phase.RISING if climbs[number] else Phase.PEAKING)
        else:
            phases.append(Phase.STEADY)
    return phases


def _returns(counts: Float64) -> list[bool | None]:
    """Whether each cluster also rose at this time of last year; None without the days to tell."""
    days, clusters = counts.shape
    end = days - YEAR + 21
    if end < NEWEST + GAP + BASE + 7:
        return [None] * clusters
    seen = np.zeros(clusters, bool)
    for last in range(max(end - 42, NEWEST + GAP + 7), end + 1, 3):
        part = judge(counts[max(0, last - NEWEST - GAP - BASE) : last])
        with np.errstate(invalid="ignore"):
            seen |= (part.sureness >= SURE) & (part.factor >= LEAST)
    return [bool(each) for each in seen]


def whole_weeks(days: Int64) -> Int64:
    """(w,) first days, Mondays, of the weeks of which all days are there."""
    week, count = np.unique(days - (days + 3) % 7, return_counts=True)
    found: Int64 = week[count == 7]
    return found
