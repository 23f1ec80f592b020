"""The log generator: a world that runs day by day, with the simulated site's own lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visualsearch.types import Bool, Int64

from .bursts import Burst, bursts_of, note_of
from .chance import stream
from .population import OFF, PROJECT, SESSION
from .reactions import Lists, Reactions, met_project, react
from .rows import BASELINE, KINDS, PIN, PROMOTION, Rows, by_time, chosen, count, joined, made_rows
from .saving import FITS, SaveBook, Saves, history
from .scene import Scene
from .serving import serve
from .settings import DAY_MS
from .times import moments
from .visits import visits_of

BLOCK = 20_000
"""Lists that are worked out at once: it bounds the memory of a day."""
_KIND = {name: number for number, name in enumerate(KINDS)}
_DELAY = {"click": 3_000, "save": 6_000, "visit": 5_000, "hide": 4_000, "report": 9_000, "share": 15_000}
"""How long after a slot is seen something happens, in milliseconds; spread by half."""
MOST_DELAY_DAYS = 2.0


@dataclass
class Day:
    """A day's events by time, its saves, and its bursts; `number` is -1 for what came before the first day."""

    number: int
    events: Rows = field(repr=False)
    saves: list[Saves] = field(repr=False)
    bursts: list[Burst] = field(repr=False)


def unseen(scene: Scene, persons: Any) -> Bool:
    """Whose deeds no record keeps: consent off, or for the session only, which is long over."""
    level = scene.people.consent[persons]
    found: Bool = (level == OFF) | (level == SESSION)
    return found


class Generator:
    """Runs a world from before its first day to its last."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.book = SaveBook(scene)
        self._answers = 0
        self._later: list[Rows] = []

    def days(self) -> Iterator[Day]:
        """What came before, then each day. Purchases end projects as the days go by."""
        yield Day(-1, made_rows(0), [history(self.scene, self.book)], [])
        for number in range(self.scene.settings.days):
            yield self.day(number)

    def day(self, number: int) -> Day:
        """One day; they must be asked for in their order."""
        parts, saves = [], []
        visits = visits_of(self.scene, number)
        for block, first in enumerate(range(0, len(visits), BLOCK)):
            some = visits.part(slice(first, first + BLOCK))
            served = serve(self.scene, some, stream(self.scene.settings.seed, "serve", number, block), number)
            reactions = react(self.scene, served.lists)
            made = save_reactions(self.book, served.lists, reactions)
            saves.append(made)
            names = {"session": some.session + (number << 32), "shuffled": served.shuffled}
            parts += self.events(served.lists, reactions, made, **names)
            end_projects(self.scene, served.lists, reactions)
        found = bursts_of(self.scene, number)
        rng = stream(self.scene.settings.seed, "notes", number)
        for burst in found:
            made = self._burst(burst, rng)
            saves.append(made)
            parts.append(_save_rows(made))
        parts += self._baseline(number)
        return Day(number, self._due(parts, number), saves, found)

    def events(
        self, lists: Lists, reactions: Reactions, saves: Saves, session: Any, shuffled: Any
    ) -> list[Rows]:
        """The events of served lists."""
        answer = self._answers + np.arange(len(lists))
        self._answers += len(lists)
        return event_rows(self.scene, lists, reactions, saves, answer, session, shuffled)

    def _burst(self, burst: Burst, rng: np.random.Generator) -> Saves:
        return self.book.take(
            burst.at,
            burst.person,
            burst.pin,
            np.full(len(burst.at), burst.interest),
            np.full(len(burst.at), burst.interest >= 0),
            np.full(len(burst.at), burst.site),
            note_of(burst, rng),
        )

    def _baseline(self, day: int) -> list[Rows]:
        """What fitting people would have bought of merchants in any case."""
        scene, settings = self.scene, self.scene.settings
        rng = stream(settings.seed, "baseline", day)
        parts = []
        clusters = np.where(
            scene.people.alive(np.arange(len(scene.people)), float(day)),
            scene.tastes.cluster_of[np.maximum(scene.people.taste, 0)],
            -1,
        )
        for number, campaign in enumerate(scene.shops.campaigns):
            fitting = np.flatnonzero((clusters == campaign.cluster).any(1) & ~scene.people.spammers)
            amount = int(rng.poisson(len(fitting) * settings.baseline / 30))
            if not amount:
                continue
            who = rng.choice(fitting, amount)
            pin = scene.shops.offers[number][rng.integers(0, len(scene.shops.offers[number]), amount)]
            at = moments(scene.people.region[who].astype(np.int64), day, settings.begins, rng)
            parts.append(bought_rows(scene, at, who, pin, BASELINE))
        return parts

    def _due(self, parts: list[Rows], number: int) -> Rows:
        """The rows of this day by time; what comes later waits."""
        rows = joined([*parts, *self._later, made_rows(0)])
        end = self.scene.settings.begins + (number + 1) * DAY_MS
        waits = (rows["kind"] == _KIND["purchase"]) & (rows["at"] >= end)
        self._later = [chosen(rows, waits)] if waits.any() else []
        return by_time(chosen(rows, ~waits))


def save_reactions(book: SaveBook, lists: Lists, reactions: Reactions) -> Saves:
    """The saves among reactions; their `row` is the slot's place in the flattened lists."""
    where = np.nonzero(reactions.saved)
    at = shown_at(lists)[where] + _after("save", lists.pins[where], lists.person[where[0]])
    made = book.take(
        at,
        lists.person[where[0]],
        lists.pins[where],
        reactions.interest[where],
        reactions.relevance[where] >= FITS,
    )
    flat = np.ravel_multi_index(where, lists.pins.shape)
    made.row = flat[made.row]
    return made


def shown_at(lists: Lists) -> Int64:
    """(m, s) when each slot came into sight."""
    shown: Int64 = lists.at[:, None] + 1500 * lists.row + 150 * lists.column
    return shown


def _after(kind: str, pins: Any, persons: Any) -> Int64:
    """Milliseconds until something is done with a pin: about its usual delay, never twice the same."""
    spread = (np.asarray(pins).astype(np.int64) * 7919 + np.asarray(persons).astype(np.int64) * 104729) % 1000
    made: Int64 = _DELAY[kind] + _DELAY[kind] * spread // 2000
    return made


def event_rows(
    scene: Scene, lists: Lists, reactions: Reactions, saves: Saves, answer: Int64, session: Any, shuffled: Any
) -> list[Rows]:
    """The events that served lists and the reactions to them make."""
    there = lists.pins >= 0
    seen = shown_at(lists)
    width = max(1, lists.pins.shape[1])

    def rows(kind: str, which: Any, **more: Any) -> Rows:
        line, slot = which
        at = seen[which] + (_after(kind, lists.pins[which], lists.person[line]) if kind in _DELAY else 0)
        mixed = np.asarray(shuffled)[line].astype(np.int8)
        given = {
            "at": at,
            "person": lists.person[line],
            "kind": _KIND[kind],
            "pin": lists.pins[which],
            "surface": lists.surface[line],
            "session": np.asarray(session)[line],
            "answer": answer[line],
            "slot": slot,
            "row": lists.row[which],
            "column": lists.column[which],
            "variant": mixed,
            "propensity": np.where(mixed == 1, 1 / width, np.nan),
            "campaign": lists.promoted[which],
        }
        return made_rows(len(line), **(given | more))

    parts = [rows("impression", np.nonzero(there))]
    for kind, mask in (
        ("click", reactions.clicked),
        ("hide", reactions.hidden),
        ("report", reactions.reported),
        ("share", reactions.shared),
    ):
        parts.append(rows(kind, np.nonzero(mask)))
    gone = np.nonzero(reactions.visited)
    parts.append(rows("visit", gone, dwell=reactions.dwell[gone], site=scene.shops.site[lists.pins[gone]]))
    kept = np.unravel_index(saves.row, lists.pins.shape)
    parts.append(rows("save", kept, at=saves.at, site=saves.site, save=saves.number))
    parts += _purchases(scene, lists, reactions, seen)
    return parts


def _purchases(scene: Scene, lists: Lists, reactions: Reactions, seen: Int64) -> list[Rows]:
    bought = np.nonzero(reactions.bought)
    at = seen[bought] + 10_000 + reactions.dwell[bought]
    parts = [
        bought_rows(
            scene,
            at,
            lists.person[bought[0]],
            lists.pins[bought],
            PIN,
            scene.shops.campaign_of(lists.pins[bought]),
        )
    ]
    later = np.nonzero(reactions.converted)
    who, pin = lists.person[later[0]], lists.pins[later]
    spread = (pin.astype(np.int64) * 6007 + who.astype(np.int64) * 3001) % 997 / 997
    at = seen[later] + ((0.02 + MOST_DELAY_DAYS * spread**2) * DAY_MS).astype(np.int64)
    parts.append(bought_rows(scene, at, who, pin, PROMOTION, lists.promoted[later]))
    return parts


def bought_rows(scene: Scene, at: Any, who: Any, pin: Any, cause: int, campaign: Any = None) -> Rows:
    """Purchases: they happen on the pin's own site, outside of any list."""
    return made_rows(
        len(at),
        at=at,
        person=who,
        kind=_KIND["purchase"],
        pin=pin,
        value=scene.shops.price[pin],
        site=scene.shops.site[pin],
        cause=cause,
        campaign=scene.shops.campaign_of(pin) if campaign is None else campaign,
    )


def _save_rows(saves: Saves) -> Rows:
    """Saves that were made away from any list."""
    return made_rows(
        len(saves),
        at=saves.at,
        person=saves.person,
        kind=_KIND["save"],
        pin=saves.pin,
        site=saves.site,
        save=saves.number,
    )


def end_projects(scene: Scene, lists: Lists, reactions: Reactions) -> None:
    """A purchase ends its project, with all that belongs to it, at the end of the day."""
    line = np.nonzero(met_project(scene, lists, reactions))[0]
    who = lists.person[line]
    midnight = np.floor(scene.times.day_of(lists.at[line])).astype(np.float32) + 1
    people = scene.people
    for column in range(people.taste.shape[1]):
        mine = people.kind[who, column] == PROJECT
        np.minimum.at(people.ends, (who[mine], column), midnight[mine])


def totals(rows: Rows) -> dict[str, int]:
    """How many events of each kind."""
    found = np.bincount(rows["kind"], minlength=len(KINDS)) if count(rows) else np.zeros(len(KINDS), int)
    return {name: int(found[number]) for number, name in enumerate(KINDS)}
