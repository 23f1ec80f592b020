"""Who comes when, and what they look for: the visits of a day, one for each list that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visualsearch.types import Float64, Int64

from .chance import stream
from .population import Int8
from .scene import Scene
from .tastes import Int32
from .times import WEEKDAYS, moments

SHARES = (0.62, 0.20, 0.11, 0.07)
"""Of sessions: feed, search, related, board (the first of `SURFACES`)."""
AGAIN = 0.4
MOST_PAGES = 8
PAGE_MS = 150_000


@dataclass
class Visits:
    """m lists asked for, by time: who, when (ms), on which surface, in which session, and what the person has in mind.

    `focus` is the interest, -1 where none lives; `page` counts the lists of a session from 0 on.
    """

    person: Int32
    at: Int64
    surface: Int8
    session: Int64
    page: Int64
    focus: Int8

    def __len__(self) -> int:
        return len(self.person)

    def part(self, chosen: slice) -> Visits:
        """Some of them."""
        return Visits(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def visits_of(scene: Scene, day: int) -> Visits:
    """All visits of a day, in the order of their times."""
    settings, people = scene.settings, scene.people
    rng = stream(settings.seed, "visits", day + 1000)
    count = rng.poisson(people.activity * WEEKDAYS[scene.times.weekday(day)])
    who = np.repeat(np.arange(len(people), dtype=np.int32), count)
    began = moments(people.region[who].astype(np.int64), day, settings.begins, rng)
    surface = np.searchsorted(np.cumsum(SHARES), rng.random(len(who))).clip(max=len(SHARES) - 1)
    pages = np.minimum(rng.geometric(1 - AGAIN, len(who)), MOST_PAGES)
    first = np.cumsum(pages) - pages
    session = np.repeat(np.arange(len(who)), pages)
    page = np.arange(len(session)) - first[session]
    at = began[session] + page * PAGE_MS
    person = who[session]
    focus = drawn_interest(scene, person, scene.times.day_of(at), rng.random(len(person)))
    order = np.lexsort((session, at))
    return Visits(
        person[order],
        at[order],
        surface[session][order].astype(np.int8),
        session[order],
        page[order],
        focus[order],
    )


def interest_shares(scene: Scene, person: Int32, day: Float64) -> Float64:
    """(m, 6) summed shares of the interests that live, by strength and by what is asked for now; all 0 where none lives."""
    people = scene.people
    taste = np.maximum(people.taste[person], 0)
    region = np.broadcast_to(people.region[person][:, None], taste.shape)
    floor = np.broadcast_to(np.floor(day)[:, None], taste.shape)
    asked = scene.asked(floor, region, scene.tastes.cluster_of[taste])
    weights = people.strength[person] * people.alive(person, day) * asked
    total = weights.sum(1, keepdims=True)
    shares: Float64 = np.cumsum(weights, 1) / np.where(total > 0, total, 1)
    return shares


def drawn_interest(scene: Scene, person: Int32, day: Float64, uniform: Float64) -> Int8:
    """(m,) an interest for each, -1 where none lives."""
    shares = interest_shares(scene, person, day)
    drawn = (uniform[:, None] * 0.999999 >= shares).sum(1)
    found: Int8 = np.where(shares[:, -1] > 0, drawn, -1).astype(np.int8)
    return found
