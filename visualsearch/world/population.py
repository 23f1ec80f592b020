"""Who lives in the world: what each person likes and for how long, how active they are, and what they declared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Bool, Float32, Float64, Int64

from .chance import stream
from .settings import HISTORY_DAYS, WorldSettings
from .tastes import STYLE, Int32, Tastes

Int8 = NDArray[np.int8]
INTERESTS = 6
"""Most interests of a person."""
LEISURE, PROJECT, DREAM = range(3)
KINDS = ("leisure", "project", "dream")
"""A project ends. A dream is leisure that only looks like one."""
PERSON, PLANNER, SHOP, RING, BULK = range(5)
ROLES = ("person", "planner", "shop", "ring", "bulk")
"""A planner collects a lot, and a shop puts its own pins up by the hundred: both are honest. Rings and bulk are spam."""
REGIONS = ("north", "south", "east", "west", "islands")
ZONES = (0, 1, 2, -5, 9)
"""Hours by which a region's clocks are ahead of UTC."""
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55+")
OFF, SESSION, ON = range(3)
LEVELS = ("off", "session", "on")
FOREVER = np.float32(1e9)


@dataclass(frozen=True)
class Population:
    """n people with up to 6 interests each, columns 0..5; times are days from the first day on, negative before it.

    `taste` (n, 6) is -1 where there is none. `strength` (n, 6) of a person sums to 1, and `likes` (n, 6) is how much of a pin's
    fit counts, up to 1. `begins`, `ends` (n, 6) say when an interest lives; `ends` changes when a purchase ends a project.
    `board` (n, 6) numbers a person's boards; interests of one project share one, each a section of it. `activity` (n,) is
    the mean number of sessions a day, `style` (n, 8) what a person likes in whatever they look at.
    """

    taste: Int32
    kind: Int8
    strength: Float32
    likes: Float32
    begins: Float32
    ends: Float32
    board: Int8
    activity: Float64
    style: Float32 = field(repr=False)
    role: Int8
    consent: Int8
    region: Int8
    age: Int8

    def __len__(self) -> int:
        return len(self.activity)

    def alive(self, persons: Int64 | Int32, day: Float64 | float) -> Bool:
        """(m, 6): which interests of those people live at that time."""
        at = np.asarray(day, np.float32)
        at = at[:, None] if at.ndim else at
        found: Bool = (self.taste[persons] >= 0) & (self.begins[persons] <= at) & (at < self.ends[persons])
        return found

    @property
    def spammers(self) -> Bool:
        """(n,): whose account is spam."""
        return self.role >= RING


def make_people(tastes: Tastes, settings: WorldSettings) -> Population:
    """The people of a seed."""
    n, rng = settings.people, stream(settings.seed, "people")
    role = _roles(n, settings, rng)
    taste, kind, begins, ends, board = _interests(tastes, settings, role, rng)
    held = taste >= 0
    weights = np.where(held, rng.gamma(1.5, 1.0, taste.shape) + 0.15, 0.0)
    weights *= np.where(kind == PROJECT, 1.6, 1.0)
    strength = weights / weights.sum(1, keepdims=True)
    likes = np.where(held, 0.7 + 0.3 * rng.random(taste.shape), 0.0)
    activity = rng.lognormal(0.0, 1.2, n)
    activity = np.minimum(activity / np.exp(1.2**2 / 2), 40.0) * settings.sessions_per_day
    activity = np.where(role == PLANNER, np.maximum(activity, 3 * settings.sessions_per_day), activity)
    style = rng.normal(size=(n, STYLE)).astype(np.float32)
    style /= np.linalg.norm(style, axis=1, keepdims=True)
    off, session = settings.consent
    drawn = rng.random(n)
    consent = np.where(drawn < off, OFF, np.where(drawn < off + session, SESSION, ON)).astype(np.int8)
    consent[role >= SHOP] = ON
    return Population(
        taste,
        kind,
        strength.astype(np.float32),
        likes.astype(np.float32),
        begins,
        ends,
        board,
        activity,
        style,
        role,
        consent,
        rng.choice(len(REGIONS), n, p=(0.4, 0.25, 0.2, 0.1, 0.05)).astype(np.int8),
        rng.choice(len(AGE_BANDS), n, p=(0.18, 0.3, 0.24, 0.16, 0.12)).astype(np.int8),
    )


def _roles(n: int, settings: WorldSettings, rng: np.random.Generator) -> Int8:
    """Spam accounts, shops and planners among the people; a small world has fewer kinds."""
    role = np.zeros(n, np.int8)
    spam = round(n * settings.spam)
    if settings.spam and n >= 50:
        spam = max(spam, 6)
    bulk = max(spam // 8, min(spam, 1))
    counts = {BULK: bulk, RING: spam - bulk, SHOP: round(n * 0.005) + (n >= 50), PLANNER: round(n * 0.01)}
    order = rng.permutation(n)
    at = 0
    for number, count in counts.items():
        role[order[at : at + count]] = number
        at += count
    return role


def _interests(
    tastes: Tastes, settings: WorldSettings, role: Int8, rng: np.random.Generator
) -> tuple[Int32, Int8, Float32, Float32, Int8]:
    n = settings.people
    shape = (n, INTERESTS)
    taste = _tastes_of(tastes, n, rng)
    count = np.clip(1 + rng.poisson(1.9, n), 1, INTERESTS)
    columns = np.arange(INTERESTS)
    projects = np.where(rng.random(n) < 0.35, rng.integers(1, 4, n), 0)
    projects = np.where(role == PLANNER, 3, projects)
    projects = np.minimum(projects, count)
    projects = np.where((projects == count) & (count > 1), count - 1, projects)
    projects = np.where(count == 1, np.where(rng.random(n) < 0.2, projects, 0), projects)
    kind = np.where(columns < projects[:, None], PROJECT, LEISURE)
    kind = np.where((kind == LEISURE) & (rng.random(shape) < 0.12), DREAM, kind).astype(np.int8)
    taken = (taste[:, :, None] == taste[:, None, :]) & (columns[None, :, None] > columns[None, None, :])
    taste = np.where((columns >= count[:, None]) | taken.any(2), -1, taste)
    start = rng.uniform(-40, max(0.7 * settings.days, 1), n)[:, None]
    length = np.clip(rng.lognormal(np.log(25), 0.5, n), 7, 120)[:, None]
    early = -rng.uniform(20, 2 * HISTORY_DAYS, shape)
    late = rng.uniform(0, settings.days, shape)
    leisure = np.where(rng.random(shape) < 0.1, late, early)
    leisure[np.arange(n), np.minimum(projects, INTERESTS - 1)] = early[
        :, 0
    ]  # there is always something to look at
    begins = np.where(kind == PROJECT, start, leisure).astype(np.float32)
    ends = np.where(kind == PROJECT, start + length, FOREVER).astype(np.float32)
    board = np.where(kind == PROJECT, 0, columns - np.maximum(projects - 1, 0)[:, None]).astype(np.int8)
    return taste.astype(np.int32), kind, begins, ends, board


def _tastes_of(tastes: Tastes, n: int, rng: np.random.Generator) -> Int64:
    """(n, 6) tastes: a long tail of clusters; each further one goes with the one before, lies near it, or is another."""
    clusters = tastes.clusters
    popular = 1 / (np.arange(clusters) + 3.0) ** 0.8
    order = stream(0, "popular clusters").permutation(clusters)
    share = np.empty(clusters)
    share[order] = popular / popular.sum()
    filled = np.bincount(tastes.cluster, minlength=clusters) > 0
    share = np.where(filled, share * tastes.coherence**2, 0.0)  # people rather like what hangs together
    total = np.cumsum(share / share.sum())
    first = np.searchsorted(total, rng.random((n, INTERESTS))).clip(max=clusters - 1)
    chosen = first.copy()
    near = tastes.near if tastes.near.shape[1] else tastes.goes_with
    for column in range(1, INTERESTS):
        how, before = rng.random(n), chosen[:, column - 1]
        partner = tastes.goes_with[before, rng.integers(0, 3, n)]
        close = near[before, rng.integers(0, near.shape[1], n)]
        chosen[:, column] = np.where(how < 0.45, partner, np.where(how < 0.65, close, first[:, column]))
    starts = np.searchsorted(tastes.cluster_of, np.arange(clusters))
    sizes = np.bincount(tastes.cluster_of, minlength=clusters)
    within = (rng.random((n, INTERESTS)) * sizes[chosen]).astype(np.int64)
    return np.asarray(starts[chosen] + within)
