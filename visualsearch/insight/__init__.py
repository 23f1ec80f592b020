"""Insight: what people turn to, what a shop's pins do for it, and when to publish; no figure tells of one person.

>>> import visualsearch as vs
>>> from visualsearch.insight import find_trends
>>> report = find_trends(vs.open("pins.index"), by=["region"])     # doctest: +SKIP
>>> [(trend.name, trend.phase) for trend in report.trends]         # doctest: +SKIP
"""

from __future__ import annotations

from .growth import Growth, Phase, judge
from .trends import GroupTrend, Trend, TrendReport, find_trends

__all__ = ["GroupTrend", "Growth", "Phase", "Trend", "TrendReport", "find_trends", "judge"]
