"""Insight: what people turn to, what a shop's pins do for it, and when to publish; no figure tells of one person.

>>> import visualsearch as vs
>>> from visualsearch.insight import find_trends
>>> report = find_trends(vs.open("pins.index"), by=["region"])     # doctest: +SKIP
>>> [(trend.name, trend.phase) for trend in report.trends]         # doctest: +SKIP
"""

from __future__ import annotations

from .atlas import SCRIPT, Atlas, make_map, map_page, write_map
from .attribution import MODELS, credited, journeys, removal
from .cells import bounded, counted
from .claims import claim, dns_texts, instructions, verify
from .clusters import Clusters, Collection, make_clusters, read_collection
from .daily import FIELDS, MOST_CELLS, WEEK_CELLS, Releases
from .growth import Growth, Phase, judge
from .lift import Holdout, Lift, incremental
from .merchants import FEWEST, MerchantReport, merchant_report
from .money import Money
from .noise import noisy, scale_of
from .page import report_page, sentences, write_report
from .shop import Pages, with_utm
from .tiles import Look, Tiles, tiled
from .timing import Slot, TimingReport, first_week, half_life, next_times, schedule, smoothed, timing_report
from .trends import GroupTrend, Trend, TrendReport, find_trends

__all__ = [
    "FEWEST",
    "FIELDS",
    "MODELS",
    "MOST_CELLS",
    "SCRIPT",
    "WEEK_CELLS",
    "Atlas",
    "Clusters",
    "Collection",
    "GroupTrend",
    "Growth",
    "Holdout",
    "Lift",
    "Look",
    "MerchantReport",
    "Money",
    "Pages",
    "Phase",
    "Releases",
    "Slot",
    "Tiles",
    "TimingReport",
    "Trend",
    "TrendReport",
    "bounded",
    "claim",
    "counted",
    "credited",
    "dns_texts",
    "find_trends",
    "first_week",
    "half_life",
    "incremental",
    "instructions",
    "journeys",
    "judge",
    "make_clusters",
    "make_map",
    "map_page",
    "merchant_report",
    "next_times",
    "noisy",
    "read_collection",
    "removal",
    "report_page",
    "scale_of",
    "schedule",
    "sentences",
    "smoothed",
    "tiled",
    "timing_report",
    "verify",
    "with_utm",
    "write_map",
    "write_report",
]
