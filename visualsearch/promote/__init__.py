"""Promotion: campaigns whose pins stand beside what they look like, always labelled, billed by a ledger.

>>> from visualsearch.promote import import_campaigns, open_promotions
>>> import_campaigns(index, "campaigns.csv")                        # doctest: +SKIP
>>> hits = open_promotions(index).search(text="red dress", k=10)    # doctest: +SKIP
>>> [hit.promoted for hit in hits]                                  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .auction import PRICING, Outcome, auction
from .book import Imported, Refused, import_campaigns, put, set_budget, stop
from .campaign import FIELDS, PAYS, Campaign, Target, from_values
from .conversions import convert
from .money import written
from .pages import product_of
from .products import Product
from .rates import Rates
from .refresh import Refreshed, from_feed, from_pages
from .report import lines, report, write_report
from .rules import SURFACES, Rules, Surface, room
from .serving import Promotions

if TYPE_CHECKING:
    from visualsearch.engine import Index


def open_promotions(index: Index, rules: Rules | None = None, *, seed: int | None = None) -> Promotions:
    """The promoted pins of an index. `seed` makes what is explored the same again."""
    return Promotions(index, rules, seed=seed)


__all__ = [
    "FIELDS",
    "PAYS",
    "PRICING",
    "SURFACES",
    "Campaign",
    "Imported",
    "Outcome",
    "Product",
    "Promotions",
    "Rates",
    "Refreshed",
    "Refused",
    "Rules",
    "Surface",
    "Target",
    "auction",
    "convert",
    "from_feed",
    "from_pages",
    "from_values",
    "import_campaigns",
    "lines",
    "open_promotions",
    "product_of",
    "put",
    "report",
    "room",
    "set_budget",
    "stop",
    "write_report",
    "written",
]
