"""Many saves in a short time: spam rings and bulk spammers, and the honest shops and planners that look like them.

A ring's accounts save the same pins within the same minutes. A bulk account saves hundreds of look-alikes within an hour,
all for its own site. A shop puts up pins of its site, and a planner collects for an evening: both are honest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visualsearch.types import Int64

from .chance import stream
from .population import BULK, PLANNER, PROJECT, RING, SHOP
from .saving import SPAM_NOTES
from .scene import Scene
from .settings import DAY_MS
from .times import HOUR_MS, OLD

RING_SIZE = 12
RING_PINS = 15
RING_MS = 6 * 60_000
"""A ring's accounts save a pin within so long."""
BULK_PINS = 400
SHOP_PINS = 200
PLANNER_PINS = 40
SPAM_SITE = 1000
"""Numbers of spammers' sites begin here: cheap-00.example."""


@dataclass(frozen=True)
class Burst:
    """Saves that belong together: who, when, which pins, and the number of a site, -1 for none."""

    kind: str
    person: Int64 = field(repr=False)
    at: Int64 = field(repr=False)
    pin: Int64 = field(repr=False)
    site: int
    interest: int = -1
    """The interest on whose board it lands; -1 for the mixed one."""

    @property
    def spam(self) -> bool:
        """Whether it is spam."""
        return self.kind in ("ring", "bulk")

    def summary(self, scene: Scene, keys: Any) -> dict[str, Any]:
        """Plain values for the truth."""
        return {
            "kind": self.kind,
            "people": [keys(int(who)) for who in np.unique(self.person)],
            "pins": [scene.pins.ids[pin] for pin in np.unique(self.pin)],
            "first": int(self.at.min()),
            "last": int(self.at.max()),
            "saves": len(self.at),
            "site": site_name(scene, self.site),
        }


def site_name(scene: Scene, number: int) -> str | None:
    """The name of a site; spammers' sites have numbers of their own."""
    if number < 0:
        return None
    return scene.shops.sites[number] if number < SPAM_SITE else f"cheap-{number - SPAM_SITE:02d}.example"


def bursts_of(scene: Scene, day: int) -> list[Burst]:
    """The bursts of a day."""
    rng = stream(scene.settings.seed, "bursts", day + 1000)
    days = scene.settings.days
    old = np.flatnonzero(scene.times.published <= OLD)
    if not len(old):
        return []
    found = []
    role = scene.people.role
    rings = np.array_split(np.flatnonzero(role == RING), max(1, round((role == RING).sum() / RING_SIZE)))
    for number, members in enumerate(rings):
        if len(members) and _due(scene, "ring", number, days, 3, day):
            found.append(_ring(scene, rng, members, number, day, old))
    for number, who in enumerate(np.flatnonzero(role == BULK).tolist()):
        if _due(scene, "bulk", number, days, 1, day):
            site = SPAM_SITE + len(rings) + number
            found.append(_alone(scene, rng, who, "bulk", BULK_PINS, HOUR_MS, site, _alike(scene, rng), day))
    for who in np.flatnonzero(role == SHOP).tolist():
        if _due(scene, "shop", who, days, 1, day):
            shop = who % len(scene.shops.sites)
            own = np.flatnonzero(scene.shops.site == shop)
            found.append(_alone(scene, rng, who, "shop", SHOP_PINS, 2 * HOUR_MS, shop, own, day))
    for who in np.flatnonzero(role == PLANNER).tolist():
        if _due(scene, "planner", who, days, 3, day):
            column = _living(scene, who, day)
            if column < 0:
                continue
            taste = int(scene.people.taste[who, column])
            found.append(
                _alone(
                    scene,
                    rng,
                    who,
                    "planner",
                    PLANNER_PINS,
                    3 * HOUR_MS,
                    -1,
                    scene.tastes.candidates[taste],
                    day,
                    column,
                )
            )
    return [burst for burst in found if len(burst.at)]


def _living(scene: Scene, who: int, day: int) -> int:
    """An interest that lives through the day: a project where there is one; -1 for none."""
    alive = scene.people.alive(np.array([who]), float(day))[0] & (scene.people.ends[who] >= day + 1)
    project = alive & (scene.people.kind[who] == PROJECT)
    return int(np.argmax(project)) if project.any() else int(np.argmax(alive)) if alive.any() else -1


def _due(scene: Scene, name: str, number: int, days: int, times: int, day: int) -> bool:
    """Whether this day is one of the few on which something happens."""
    chosen = stream(scene.settings.seed, name, number).choice(days, min(times, days), replace=False)
    return day in chosen.tolist()


def _ring(scene: Scene, rng: np.random.Generator, members: Int64, number: int, day: int, old: Int64) -> Burst:
    pins = stream(scene.settings.seed, "ring pins", number, day).choice(
        old, min(RING_PINS, len(old)), replace=False
    )
    start = scene.settings.begins + day * DAY_MS + int(rng.integers(6, 22)) * HOUR_MS
    person = np.repeat(members, len(pins))
    pin = np.tile(pins, len(members))
    order = np.tile(np.arange(len(pins)), len(members))
    at = start + order * RING_MS // 2 + rng.integers(0, RING_MS, len(person))
    return Burst("ring", person, at, pin, SPAM_SITE + number)


def _alone(
    scene: Scene,
    rng: np.random.Generator,
    who: int,
    kind: str,
    count: int,
    length: int,
    site: int,
    among: Any,
    day: int,
    interest: int = -1,
) -> Burst:
    among = np.asarray(among)
    among = among[scene.times.published[among] <= day]
    pins = rng.choice(among, min(count, len(among)), replace=False)
    start = scene.settings.begins + day * DAY_MS + int(rng.integers(6, 20)) * HOUR_MS
    took = max(1, length * len(pins) // count)  # as fast, however many there are
    at = np.sort(start + rng.integers(0, took, len(pins)))
    return Burst(kind, np.full(len(pins), who, np.int64), at, pins.astype(np.int64), site, interest)


def _alike(scene: Scene, rng: np.random.Generator) -> Int64:
    """Pins that look alike: those of one large cluster."""
    sizes = np.bincount(scene.tastes.cluster)
    large = np.flatnonzero(sizes >= np.sort(sizes)[-min(5, len(sizes))])
    return np.flatnonzero(scene.tastes.cluster == rng.choice(large))


def note_of(burst: Burst, rng: np.random.Generator) -> Int64:
    """Numbers of notes: spam has its own."""
    if not burst.spam:
        return np.zeros(len(burst.at), np.int64)
    return 100 + rng.integers(0, len(SPAM_NOTES), len(burst.at))
