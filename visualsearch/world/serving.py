"""What the simulated site shows by itself: a mix of what fits, what is new, what is popular and a little of everything.

It is the logging policy of the log generator. It sorts by a noisy estimate of relevance, so that what stands on top is better, as
on real sites. A share of the lists is shuffled instead, which tells what a place in the grid is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visualsearch.types import Bool, Float64, Int64

from .reactions import COLUMNS, SURFACES, Lists
from .scene import Scene
from .settings import FRESH_DAYS
from .tastes import Int32
from .times import OLD
from .visits import Visits, interest_shares

MIX = {
    "feed": (0.58, 0.16, 0.14),
    "search": (0.80, 0.05, 0.06),
    "related": (0.74, 0.09, 0.07),
    "board": (0.88, 0.02, 0.0),
}
"""The shares of slots that hold what fits, what is new, and what is popular; the rest is anything."""
NOISE = 0.12
PROMOTED_SLOTS = (4, 11)
BLOCKS = 8
"""Chances of new pins are worked out so often a day."""
FIT_FLOOR = 0.05
"""A new pin that fits nothing still gets a chance."""


@dataclass
class Served:
    """Lists as they were served; `shuffled` (m,) says which were in random order."""

    lists: Lists
    shuffled: Bool


def grid(surface: Int64, width: int) -> tuple[Int64, Int64]:
    """Row and column of each of `width` slots, by the surfaces' layouts: (m, width) each."""
    columns = np.array([COLUMNS[name] for name in SURFACES])[surface][:, None]
    slots = np.arange(width)[None]
    return slots // columns, slots % columns


def serve(scene: Scene, visits: Visits, rng: np.random.Generator, day: int) -> Served:
    """A list for each visit of a day."""
    m, width = len(visits), min(scene.settings.page, max(1, len(scene.pins) // 2))
    policy = _Policy(scene, visits, rng, day, (m, width))
    pins, taste = policy.chosen()
    held = scene.shops.held_out(visits.person[:, None], scene.shops.campaign_of(np.maximum(pins, 0)))
    pins = np.where(held, -1, _once(pins))
    order, shuffled = policy.order(pins, taste)
    pins = np.take_along_axis(pins, order, 1)
    promoted = np.full((m, width), -1, np.int32)
    policy.promote(pins, promoted)
    row, column = grid(visits.surface.astype(np.int64), width)
    return Served(Lists(visits.person, visits.at, visits.surface, pins, row, column, promoted), shuffled)


def fresh_mass(scene: Scene) -> Float64:
    """(g,) the greatest sum over all days of freshness times fit, by taste."""
    if scene.fresh_mass is None:
        published = scene.times.published
        new = np.flatnonzero(published > OLD)
        mass = np.zeros((len(scene.tastes), scene.settings.days + 1))
        for at in range(0, len(new), 20_000):
            some = new[at : at + 20_000]
            fit = FIT_FLOOR + scene.tastes.fit[:, some] / 255
            days = [
                scene.times.freshness(some, np.array(day + 1.0)) for day in range(-1, scene.settings.days)
            ]
            mass += fit @ np.stack(days, 1)
        scene.fresh_mass = mass.max(1) + 1e-6
    return scene.fresh_mass


class _Policy:
    """One block of lists in the making."""

    def __init__(
        self, scene: Scene, visits: Visits, rng: np.random.Generator, day: int, shape: tuple[int, int]
    ) -> None:
        self.scene, self.visits, self.rng, self.day, self.shape = scene, visits, rng, day, shape
        published = scene.times.published
        seasoned = (published <= OLD) | (day - published >= FRESH_DAYS)
        self.known = np.flatnonzero(seasoned) if seasoned.any() else np.flatnonzero(published <= day)
        self.known = self.known if len(self.known) else np.arange(len(published))
        self.seasoned = np.zeros(len(published), bool)
        self.seasoned[self.known] = True
        self.when = scene.times.day_of(visits.at)

    def chosen(self) -> tuple[Int32, Int32]:
        """(m, s) pins, and the taste that each was to meet."""
        u = self.rng.random(self.shape)
        mix = np.array([np.cumsum(MIX[name]) for name in MIX])[self.visits.surface]
        taste = self._tastes()
        fitting = (u < mix[:, :1]) & (taste >= 0)
        fresh = (u >= mix[:, :1]) & (u < mix[:, 1:2])
        popular = (u >= mix[:, 1:2]) & (u < mix[:, 2:3])
        pins = self._anything(self.shape)
        wanted = np.maximum(taste, 0)
        drawn = self.scene.tastes.draw(wanted[fitting], self.rng.random(int(fitting.sum())))
        pins[fitting] = np.where(self.seasoned[drawn], drawn, pins[fitting])
        pins[popular] = self._popular(int(popular.sum()))
        pins[fresh] = self._fresh(fresh, wanted, pins[fresh])
        return self._without_twins(pins), wanted.astype(np.int32)

    def _tastes(self) -> Int32:
        """The taste that each slot is to meet: one for the whole list, or in a feed one for each slot."""
        scene, visits = self.scene, self.visits
        person = visits.person
        focus = np.repeat(visits.focus[:, None].astype(np.int64), self.shape[1], 1)
        feed = np.flatnonzero(visits.surface == SURFACES.index("feed"))
        shares = interest_shares(scene, person[feed], self.when[feed]) if len(feed) else np.zeros((0, 6))
        u = self.rng.random((len(feed), self.shape[1])) * 0.999999
        focus[feed] = (u[:, :, None] >= shares[:, None, :]).sum(2)
        focus[visits.focus < 0] = -1
        found = scene.people.taste[person[:, None], np.clip(focus, 0, 5)]
        made: Int32 = np.where(focus < 0, -1, found)
        return made

    def _anything(self, shape: tuple[int, ...]) -> Int32:
        found: Int32 = self.known[self.rng.integers(0, len(self.known), shape)].astype(np.int32)
        return found

    def _popular(self, count: int) -> Int32:
        scene = self.scene
        asked = scene.times.demand(self.day).mean(0)
        weights = scene.shops.appeal[self.known] ** 2 * asked[scene.tastes.cluster[self.known]] ** 2
        total = np.cumsum(weights)
        at = np.searchsorted(total, self.rng.random(count) * total[-1]).clip(max=len(total) - 1)
        found: Int32 = self.known[at].astype(np.int32)
        return found

    def _fresh(self, which: Bool, taste: Int32, otherwise: Int32) -> Int32:
        """New pins by their freshness and fit; a slot that draws none holds what it would hold otherwise.

        The chance of a pin is its own weight over the greatest sum of all days, so that its views fall as its freshness does,
        whatever else is new.
        """
        scene = self.scene
        rows = np.nonzero(which)[0]
        day, wanted = self.when[rows], taste[which]
        out = otherwise.copy()
        block = np.floor((day - self.day) * BLOCKS).clip(0, BLOCKS - 1)
        most = fresh_mass(scene)
        for number in range(BLOCKS):
            mine = np.flatnonzero(block == number)
            weights = scene.times.freshness(np.arange(len(scene.pins)), np.array(self.day + number / BLOCKS))
            new = np.flatnonzero((weights > 2.0**-10) & ~self.seasoned)
            if not len(new) or not len(mine):
                continue
            chance = (FIT_FLOOR + scene.tastes.fit[:, new] / 255) * (weights[new] / most[:, None])
            summed = np.minimum(np.cumsum(chance, 1), 1 - 1e-9) + np.arange(len(chance))[:, None]
            at = np.searchsorted(summed.reshape(-1), wanted[mine] + self.rng.random(len(mine)), side="right")
            drawn = at < (wanted[mine] + 1) * len(new)
            out[mine[drawn]] = new[at[drawn] % len(new)]
        return out

    def _without_twins(self, pins: Int32) -> Int32:
        twins = _again(pins)
        return np.where(twins, self._anything(self.shape), pins)

    def order(self, pins: Int32, taste: Int32) -> tuple[Int64, Bool]:
        """(m, s) the order of the slots, and which lists are shuffled."""
        known = self.scene.tastes.fit[taste, np.maximum(pins, 0)] / 255
        score = known + NOISE * self.rng.normal(size=self.shape)
        shuffled = self.rng.random(len(pins)) < self.scene.settings.randomised
        score = np.where(shuffled[:, None], self.rng.random(self.shape), score)
        score = np.where(pins < 0, -np.inf, score)
        return np.argsort(-score, axis=1, kind="stable"), shuffled

    def promote(self, pins: Int32, promoted: Int32) -> None:
        """Put promoted pins into their slots of feeds, for people who like that kind and are not in the holdout."""
        scene, visits = self.scene, self.visits
        feed = visits.surface == SURFACES.index("feed")
        people = scene.people
        alive = people.alive(visits.person, self.when)
        clusters = np.where(alive, scene.tastes.cluster_of[np.maximum(people.taste[visits.person], 0)], -1)
        best, chosen = np.zeros(len(visits)), np.full(len(visits), -1)
        for number, campaign in enumerate(scene.shops.campaigns):
            luck = self.rng.random(len(visits))
            wanted = feed & (clusters == campaign.cluster).any(1) & (luck > best)
            if campaign.first_day <= self.day <= campaign.last_day:
                chosen = np.where(wanted, number, chosen)
                best = np.where(wanted, luck, best)
        chosen = np.where(scene.shops.held_out(visits.person, chosen), -1, chosen)
        for slot in PROMOTED_SLOTS:
            if slot >= self.shape[1]:
                continue
            for number, offers in enumerate(scene.shops.offers):
                mine = np.flatnonzero(chosen == number)
                pin = offers[self.rng.integers(0, len(offers), len(mine))]
                free = ~(pins[mine] == pin[:, None]).any(1)
                pins[mine[free], slot] = pin[free]
                promoted[mine[free], slot] = number


def _again(pins: Int32) -> Bool:
    """(m, s) which slots repeat an earlier one of their list."""
    order = np.argsort(pins, axis=1, kind="stable")
    ordered = np.take_along_axis(pins, order, 1)
    same = np.zeros(pins.shape, bool)
    same[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    out = np.zeros(pins.shape, bool)
    np.put_along_axis(out, order, same, 1)
    return out


def _once(pins: Int32) -> Int32:
    made: Int32 = np.where(_again(pins), -1, pins)
    return made
