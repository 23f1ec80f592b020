"""Where pins come from and what is sold: sites, prices, merchants with campaigns and their holdouts, and the spammers' sites."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from visualsearch.types import Bool, Float64, Int64

from .chance import Chance, stream
from .pins import Pins
from .settings import WorldSettings
from .tastes import Int32, Tastes
from .times import OLD, Times

CURRENCY = "EUR"
SOLD = 0.5
"""The share of pins that can be bought, where the index knows no prices."""
MOST_SITES = 40
CAMPAIGN_PINS = 40


@dataclass(frozen=True)
class Campaign:
    """A promoted campaign as plain data. `holdout` is the share of people who see none of the merchant's pins."""

    name: str
    site: str
    pins: tuple[str, ...]
    cluster: int
    bid: float
    budget: float
    currency: str
    first_day: int
    last_day: int
    holdout: float


@dataclass(frozen=True)
class Shops:
    """`site` (n,) is the number of a pin's site in `sites`; `price` (n,) is NaN for what is not sold.

    `merchant` (sites,) is the number of the site's campaign, -1 for none; `offers` (k, m) are the pins of campaign k.
    """

    settings: WorldSettings
    sites: list[str]
    site: Int32 = field(repr=False)
    price: Float64 = field(repr=False)
    appeal: Float64 = field(repr=False)
    merchant: Int32 = field(repr=False)
    campaigns: list[Campaign] = field(repr=False)
    offers: list[Int64] = field(repr=False)

    def campaign_of(self, pins: Int32 | Int64) -> Int32:
        """The campaign whose merchant a pin belongs to; -1 for none."""
        found: Int32 = self.merchant[self.site[pins]]
        return found

    def held_out(self, persons: Any, campaigns: Any) -> Bool:
        """Whether those people are in the holdout of those campaigns; never of campaign -1."""
        drawn = Chance(self.settings.seed, persons, np.asarray(campaigns) + 1).of("holdout")
        found: Bool = (drawn < self.settings.holdout) & (np.asarray(campaigns) >= 0)
        return found

    def truth(self) -> list[dict[str, Any]]:
        """The campaigns as plain values."""
        return [{**asdict(each), "pins": list(each.pins)} for each in self.campaigns]


def make_shops(pins: Pins, tastes: Tastes, settings: WorldSettings, times: Times) -> Shops:
    """Sites over the pins, each at home in a few clusters, and a campaign of pins that always were there for every third."""
    rng = stream(settings.seed, "shops")
    n, clusters = len(pins), tastes.clusters
    count = int(np.clip(n // 30, 3, MOST_SITES))
    sites = [f"shop-{number:02d}.example" for number in range(count)]
    homes = rng.integers(0, count, (clusters, 3))
    site = homes[tastes.cluster, rng.integers(0, 3, n)].astype(np.int32)
    price = pins.prices.copy()
    if np.isnan(price).all():
        level = np.exp(rng.normal(3.2, 0.8, clusters))
        made = np.round(level[tastes.cluster] * np.exp(rng.normal(0, 0.35, n)), 2)
        price = np.where(rng.random(n) < SOLD, np.maximum(made, 0.5), np.nan)
    appeal = np.clip(rng.lognormal(-0.08, 0.4, n), 0.3, 3.0)
    merchant = np.full(count, -1, np.int32)
    campaigns: list[Campaign] = []
    offers: list[Int64] = []
    for number in rng.permutation(count)[: max(1, count // 3)].tolist():
        own = np.flatnonzero((site == number) & ~np.isnan(price) & (times.published <= OLD))
        if not len(own):
            continue
        cluster = int(np.bincount(tastes.cluster[own]).argmax())
        best = own[tastes.cluster[own] == cluster]
        best = best[np.argsort(-appeal[best], kind="stable")][:CAMPAIGN_PINS]
        merchant[number] = len(campaigns)
        first = int(rng.integers(0, max(1, settings.days // 4)))
        campaigns.append(
            Campaign(
                f"{_NAME}{len(campaigns):02d}",
                sites[number],
                tuple(pins.ids[at] for at in best),
                cluster,
                round(float(rng.uniform(0.05, 0.6)), 2),
                round(float(rng.uniform(50, 2000)), 2),
                CURRENCY,
                first,
                settings.days - 1,
                settings.holdout,
            )
        )
        offers.append(best)
    return Shops(settings, sites, site, price, appeal, merchant, campaigns, offers)


_NAME = "sim-campaign-"
