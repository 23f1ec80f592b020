"""Boards of simulated people, with titles and sections made of plain words, and whom they follow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from visualsearch.types import Bool, Float32, Int64

from .chance import stream
from .population import DREAM, FOREVER, INTERESTS, PROJECT, Int8, Population
from .settings import WorldSettings
from .tastes import Int32, Tastes
from .words import DREAMS, GENERAL, NAMELESS, PLAIN, PROJECTS, titled

SECRET = 0.05
TOGETHER = 0.6
"""So many follows go to somebody who shares an interest; the others to anybody, the active first."""


@dataclass(frozen=True)
class Boards:
    """b boards by owner. A person's board `local` stands at `first[person] + local`; the last one is for whatever fits none.

    `begins` and `ends` are days. `sections` (n, 6) are titles of the sections of interests, empty where the board has none.
    """

    owner: Int32
    title: list[str] = field(repr=False)
    project: Bool
    begins: Float32
    ends: Float32
    secret: Bool
    first: Int64 = field(repr=False)
    sections: list[list[str]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.owner)

    def of(self, persons: Int64 | Int32, local: Int8 | Int64) -> Int64:
        """The boards of those people with those local numbers; -1 is the last one."""
        found: Int64 = np.where(
            local < 0, self.first[np.asarray(persons) + 1] - 1, self.first[persons] + local
        )
        return found


def make_boards(people: Population, tastes: Tastes, settings: WorldSettings) -> Boards:
    """Every person's boards: one an interest, one a project, and one for the rest."""
    n, rng = len(people), stream(settings.seed, "boards")
    held = people.taste >= 0
    most = np.where(held, people.board, -1).max(1)
    count = most.astype(np.int64) + 2
    first = np.concatenate([[0], np.cumsum(count)])
    owner = np.repeat(np.arange(n, dtype=np.int32), count)
    place = first[:-1, None] + people.board
    project, ends = np.zeros(len(owner), bool), np.full(len(owner), FOREVER, np.float32)
    begins = np.zeros(len(owner), np.float32)
    about = np.full(len(owner), -1)
    dream = np.zeros(len(owner), bool)
    for column in reversed(range(INTERESTS)):  # the first interest of a board names it
        mine = held[:, column]
        at = place[mine, column]
        about[at] = people.taste[mine, column]
        project[at] = people.kind[mine, column] == PROJECT
        dream[at] = people.kind[mine, column] == DREAM
        begins[at], ends[at] = people.begins[mine, column], people.ends[mine, column]
    begins[first[1:] - 1] = -180
    luck = rng.integers(0, 1 << 30, len(owner))
    title = _titles(owner, about, project, dream, luck, tastes)
    secret = rng.random(len(owner)) < SECRET
    return Boards(owner, title, project, begins, ends, secret, first, _sections(people, tastes))


def _titles(owner: Int32, about: Int64, project: Bool, dream: Bool, luck: Int64, tastes: Tastes) -> list[str]:
    titles: list[str] = []
    taken: set[str] = set()
    last = -1
    for who, taste, planned, dreamt, number in zip(
        owner.tolist(), about.tolist(), project.tolist(), dream.tolist(), luck.tolist(), strict=True
    ):
        if who != last:
            taken, last = set(), who
        name = tastes.names[taste] if taste >= 0 else ""
        patterns: tuple[str, ...] = PROJECTS if planned else DREAMS if dreamt else PLAIN
        if taste < 0:
            text = GENERAL[number % len(GENERAL)]
        else:
            patterns = NAMELESS if not name and not planned and not dreamt else patterns
            turned = number % len(patterns)
            named = (titled(pattern, name or "things") for pattern in patterns[turned:] + patterns[:turned])
            free = (each for each in named if each.casefold() not in taken)
            text = next(free, None) or titled(patterns[turned], name or "things")
        whole, again = text, 2
        while whole.casefold() in taken:
            whole, again = f"{text} {again}", again + 1
        taken.add(whole.casefold())
        titles.append(whole)
    return titles


def _sections(people: Population, tastes: Tastes) -> list[list[str]]:
    """Titles by interest of projects with two tastes and more; other boards have none."""
    project = (people.kind == PROJECT) & (people.taste >= 0)
    several = project.sum(1) > 1
    sections: list[list[str]] = [[] for _ in range(len(people))]
    for person in np.flatnonzero(several).tolist():
        row = []
        for column in range(INTERESTS):
            name = ""
            if project[person, column]:
                name = titled("{}", tastes.names[people.taste[person, column]] or f"part {column + 1}")
                name = name if name not in row else f"{name} {column + 1}"
            row.append(name)
        sections[person] = row
    return sections


@dataclass(frozen=True)
class Follows:
    """(m,) follows in the order of their days: who, whom (-1 for a topic), the topic's cluster (-1 for a person), and the day."""

    person: Int32
    whom: Int32
    topic: Int32
    day: Float32


def make_follows(people: Population, tastes: Tastes, settings: WorldSettings) -> Follows:
    """Whom people follow: mostly those who like what they like."""
    n, rng = len(people), stream(settings.seed, "follows")
    count = np.minimum(rng.geometric(1 / 5.0, n) - 1, 200)
    person = np.repeat(np.arange(n, dtype=np.int32), count)
    m = len(person)
    sharing = people.taste.astype(np.int64)[person, 0]
    fame = np.cumsum(people.activity + 1e-9)
    anybody = np.searchsorted(fame / fame[-1], rng.random(m)).clip(max=n - 1)
    order = np.lexsort((-people.activity, people.taste[:, 0]))  # by first taste, the most active first
    sizes = np.bincount(people.taste[:, 0], minlength=len(tastes))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    within = (rng.random(m) ** 2 * sizes[sharing]).astype(np.int64)
    alike = order[starts[sharing] + within]
    whom = np.where(rng.random(m) < TOGETHER, alike, anybody).astype(np.int32)
    topic = np.where(rng.random(m) < 0.1, tastes.cluster_of[sharing], -1).astype(np.int32)
    topic = np.where([not tastes.cluster_names[c] for c in topic.tolist()], -1, topic).astype(np.int32)
    whom = np.where(topic >= 0, -1, whom).astype(np.int32)
    day = rng.uniform(-180, settings.days, m).astype(np.float32)
    _, kept = np.unique(
        person.astype(np.int64) * (2 * n + len(tastes) + 2) + np.where(topic >= 0, n + 1 + topic, whom),
        return_index=True,
    )
    keep = np.zeros(m, bool)
    keep[kept] = True
    keep &= whom != person
    chosen = np.flatnonzero(keep)
    chosen = chosen[np.argsort(day[chosen], kind="stable")]
    return Follows(person[chosen], whom[chosen], topic[chosen], day[chosen])
