"""The parts of a world together: pins, tastes, people, boards, shops, calendar."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from visualsearch.types import Bool, Float64

from .boards import Boards, make_boards
from .pins import Pins
from .population import Population, make_people
from .settings import HISTORY_DAYS, WorldSettings
from .shops import Shops, make_shops
from .tastes import Tastes, make_tastes
from .times import Times, make_times


@dataclass
class Scene:
    """Everything that a world is made of, before anybody does anything. `spam` (n,) says which pins are spam."""

    settings: WorldSettings
    pins: Pins
    tastes: Tastes
    people: Population
    boards: Boards
    times: Times
    shops: Shops
    spam: Bool = field(repr=False)
    fresh_mass: Float64 | None = field(default=None, repr=False)
    _demand: dict[int, Float64] = field(default_factory=dict, repr=False)

    def asked(self, day: Any, region: Any, cluster: Any) -> Float64:
        """The demand for clusters in regions on whole days; arrays of one shape."""
        days = np.clip(np.asarray(day), -HISTORY_DAYS, self.settings.days + 400).astype(np.int64)
        low, high = (int(days.min()), int(days.max())) if days.size else (0, 0)
        if high - low > 3:
            names, at = np.unique(days, return_inverse=True)
            table = np.stack([self._of_day(int(name)) for name in names])
            found: Float64 = table[at.reshape(days.shape), region, cluster]
            return found
        table = np.stack([self._of_day(number) for number in range(low, high + 1)])
        asked: Float64 = table[days - low, region, cluster]
        return asked

    def _of_day(self, day: int) -> Float64:
        if day not in self._demand:
            self._demand[day] = self.times.demand(day)
        return self._demand[day]


def make_scene(pins: Pins, settings: WorldSettings, tastes: Tastes | None = None) -> Scene:
    """The world of those settings; `tastes` of the same pins may be handed over, for they do not depend on the seed."""
    found = make_tastes(pins) if tastes is None else tastes
    people, times = make_people(found, settings), make_times(pins, found, settings)
    return Scene(
        settings,
        pins,
        found,
        people,
        make_boards(people, found, settings),
        times,
        make_shops(pins, found, settings, times),
        np.zeros(len(pins), bool),
    )


def with_look_alikes(scene: Scene, ids: list[str], sources: list[int], site: str, day: float) -> Scene:
    """The scene with more pins that look like those at `sources`: spam that comes out on a day, from a site of its own."""
    at = np.array(sources, np.int64)
    pins, tastes, shops = scene.pins, scene.tastes, scene.shops
    more = len(at)
    return replace(
        scene,
        pins=Pins(
            [*pins.ids, *ids],
            np.concatenate([pins.vectors, pins.vectors[at]]),
            [*pins.words, *(pins.words[number] for number in sources)],
            np.concatenate([pins.prices, pins.prices[at]]),
            pins.fingerprint,
        ),
        tastes=replace(
            tastes,
            cluster=np.concatenate([tastes.cluster, tastes.cluster[at]]),
            taste=np.concatenate([tastes.taste, tastes.taste[at]]),
            fit=np.concatenate([tastes.fit, tastes.fit[:, at]], axis=1),
            style=np.concatenate([tastes.style, tastes.style[at]]),
        ),
        times=replace(
            scene.times,
            published=np.concatenate([scene.times.published, np.full(more, day, np.float32)]),
        ),
        shops=replace(
            shops,
            sites=[*shops.sites, site],
            site=np.concatenate([shops.site, np.full(more, len(shops.sites), np.int32)]),
            price=np.concatenate([shops.price, np.full(more, np.nan)]),
            appeal=np.concatenate([shops.appeal, shops.appeal[at]]),
            merchant=np.concatenate([shops.merchant, np.full(1, -1, np.int32)]),
        ),
        spam=np.concatenate([scene.spam, np.ones(more, bool)]),
    )
