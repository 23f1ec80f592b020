"""What changes with time: hours and weekdays, seasons, planted trends, and when new pins come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from visualsearch.types import Float32, Float64, Int64

from .chance import stream
from .pins import Pins
from .population import REGIONS, ZONES
from .settings import DAY_MS, FRESH_DAYS, WorldSettings
from .tastes import Int32, Tastes

HOUR_MS = 3_600_000
WEEKDAYS = (0.92, 0.88, 0.9, 0.93, 0.97, 1.15, 1.25)
"""How busy Monday to Sunday are; the mean is 1."""
HOURS = (
    0.35, 0.18, 0.10, 0.07, 0.07, 0.12, 0.35, 0.7, 0.9, 0.95, 1.0, 1.05,
    1.2, 1.15, 1.0, 1.0, 1.1, 1.25, 1.45, 1.8, 2.2, 2.4, 1.8, 0.85,
)  # fmt: skip
"""How busy the hours of the local day are."""
OLD = np.float32(-1000.0)
NOVELTY = 0.5
"""A pin that has just come out is liked by so much more; that halves as its views do."""
YEAR = 365.25


@dataclass(frozen=True)
class Trend:
    """A planted trend: a cluster that more and more people like from `day` on, by up to `factor`, reached in about `rise` days.

    `fades` is the day from which it goes as it came, or None. `region` is one of `REGIONS`, or None for all.
    """

    cluster: int
    day: float
    factor: float
    rise: float
    fades: float | None
    region: str | None

    def at(self, day: Float64) -> Float64:
        """The demand's factor at those days."""
        risen = _logistic((day - self.day - self.rise / 2) / (self.rise / 8))
        gone = 0.0 if self.fades is None else _logistic((day - self.fades - self.rise / 2) / (self.rise / 8))
        made: Float64 = 1 + (self.factor - 1) * risen * (1 - gone)
        return made


def _logistic(value: Float64) -> Float64:
    made: Float64 = 1 / (1 + np.exp(-np.clip(value, -40, 40)))
    return made


@dataclass
class Times:
    """The world's calendar. `published` (n,) is the day a pin comes out; OLD for those that always were there.

    `amplitude`, `peak` (c,) are the seasons of clusters: by how much demand swings, and the day of the year of its peak.
    """

    settings: WorldSettings
    published: Float32 = field(repr=False)
    amplitude: Float64 = field(repr=False)
    peak: Float64 = field(repr=False)
    trends: list[Trend]

    def day_of(self, at: Any) -> Float64:
        """Milliseconds since 1970 as days from the first day on."""
        days: Float64 = (np.asarray(at, np.int64) - self.settings.begins) / DAY_MS
        return days

    def demand(self, day: int) -> Float64:
        """(regions, clusters): how much each region asks for each cluster on a day; 1 is usual."""
        first = datetime.fromtimestamp(self.settings.begins / 1000, UTC)
        of_year = (first + timedelta(days=day)).timetuple().tm_yday
        season = 1 + self.amplitude * np.cos(2 * np.pi * (of_year - self.peak) / YEAR)
        asked = np.tile(season, (len(REGIONS), 1))
        for trend in self.trends:
            rows = slice(None) if trend.region is None else REGIONS.index(trend.region)
            asked[rows, trend.cluster] *= trend.at(np.array([day + 0.5]))[0]
        return asked

    def freshness(self, pins: Int32 | Int64, day: Float64) -> Float64:
        """2^(-age / half-life) of pins at those days; 0 for pins that always were there or are not out yet."""
        age = day - self.published[pins]
        made = np.where(age >= 0, np.exp2(-np.maximum(age, 0) / self.settings.half_life_days), 0.0)
        return np.where(self.published[pins] > OLD, made, 0.0)

    def weekday(self, day: int) -> int:
        """0 for Monday."""
        return (datetime.fromtimestamp(self.settings.begins / 1000, UTC) + timedelta(days=day)).weekday()

    def truth(self) -> dict[str, Any]:
        """Plain values for the truth."""
        return {
            "weekdays": WEEKDAYS,
            "hours": HOURS,
            "zones": dict(zip(REGIONS, ZONES, strict=True)),
            "half_life_days": self.settings.half_life_days,
            "novelty": NOVELTY,
            "seasons": {
                "amplitude": [round(float(v), 4) for v in self.amplitude],
                "peak_day_of_year": [round(float(v), 1) for v in self.peak],
            },
        }


def make_times(pins: Pins, tastes: Tastes, settings: WorldSettings) -> Times:
    """The calendar of a seed."""
    rng = stream(settings.seed, "times")
    n, clusters = len(pins), tastes.clusters
    published = np.full(n, OLD, np.float32)
    fresh = rng.random(n) < settings.fresh
    published[fresh] = rng.uniform(-FRESH_DAYS, settings.days, int(fresh.sum()))
    seasonal = rng.random(clusters) < 0.3
    amplitude = np.where(seasonal, rng.uniform(0.25, 0.6, clusters), 0.0)
    trends = _trends(tastes, settings, rng) if settings.trends else []
    return Times(settings, published, amplitude, rng.uniform(1, 366, clusters), trends)


def _trends(tastes: Tastes, settings: WorldSettings, rng: np.random.Generator) -> list[Trend]:
    """A twentieth of the clusters trend, large ones rather than tiny ones; every third in one region only."""
    sizes = np.bincount(tastes.cluster, minlength=tastes.clusters)
    large = np.flatnonzero(sizes >= max(2, np.median(sizes) / 2))
    count = min(len(large), max(1, round(tastes.clusters / 20)))
    chosen = rng.choice(large, count, replace=False)
    trends = []
    for number, cluster in enumerate(chosen.tolist()):
        day = float(rng.uniform(0.2, 0.6) * settings.days)
        rise = float(rng.uniform(3, 6))
        fades = day + float(rng.uniform(8, 14)) if number % 2 else None
        region = REGIONS[number % len(REGIONS)] if number % 3 == 2 else None
        trends.append(Trend(cluster, day, float(rng.uniform(2.5, 4.5)), rise, fades, region))
    return sorted(trends, key=lambda trend: trend.day)


def hour_shares(region: int) -> Float64:
    """(24,) shares of a day's visits by UTC hour in a region."""
    local = np.roll(np.array(HOURS), -ZONES[region])
    shares: Float64 = local / local.sum()
    return shares


def moments(regions: Int64, day: int, begins: int, rng: np.random.Generator) -> Int64:
    """(m,) times in milliseconds within a day, by the hours that are busy in those regions."""
    m = len(regions)
    drawn, hours = rng.random(m), np.empty(m, np.int64)
    for region in range(len(REGIONS)):
        mine = regions == region
        hours[mine] = np.searchsorted(np.cumsum(hour_shares(region)), drawn[mine]).clip(max=23)
    made: Int64 = begins + day * DAY_MS + hours * HOUR_MS + rng.integers(0, HOUR_MS, m)
    return made
