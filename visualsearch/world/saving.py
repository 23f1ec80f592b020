"""Saves: on which board a pin lands, whom it was taken from, and what people had saved before the first day."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visualsearch.types import Bool, Float64, Int64

from .chance import Chance, stream
from .population import ON, PLANNER, Int8
from .scene import Scene
from .settings import DAY_MS, HISTORY_DAYS
from .tastes import Int32
from .times import OLD, moments

FITS = 0.25
"""A pin of less relevance goes to the person's mixed board."""
REPINS = 0.6
FROM_SITE = 0.3
"""So many saves come with the site on which the pin was seen."""
NOTES = ("", "love this", "for later", "this colour", "maybe")
SPAM_NOTES = ("best price now", "free shipping today only", "you will not believe it", "win one here")
NOTED = 0.08


@dataclass
class Saves:
    """m saves by time. `board` is a number in `Boards`; `section` the interest whose section it is in, -1 for none.

    `number` counts all saves of the world. `source` is the number of the save that it was taken from, -1 for none, with its
    person and board. `site` is a number in `Shops.sites`, -1 for none; `note` a number in `NOTES`, from 100 on in `SPAM_NOTES`.
    `row` says from which of the given rows each was made.
    """

    number: Int64
    at: Int64
    person: Int32
    board: Int64
    section: Int8
    pin: Int32
    source: Int64
    source_person: Int32
    source_board: Int64
    site: Int32
    note: Int64
    row: Int64 = field(repr=False)

    def __len__(self) -> int:
        return len(self.at)


class SaveBook:
    """Remembers who saved what, and who saved a pin last where others may see it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.count = 0
        self._known: Int64 = np.empty(0, np.int64)
        self._recent: Int64 = np.empty(0, np.int64)
        self._last: Int64 = np.full(len(scene.pins), -1, np.int64)
        self._last_at: Int64 = np.zeros(len(scene.pins), np.int64)
        self._last_person: Int32 = np.full(len(scene.pins), -1, np.int32)
        self._last_board: Int64 = np.full(len(scene.pins), -1, np.int64)

    def grow(self, scene: Scene) -> None:
        """Take a scene with more pins."""
        more = len(scene.pins) - len(self._last)
        self.scene = scene
        self._last = np.concatenate([self._last, np.full(more, -1, np.int64)])
        self._last_at = np.concatenate([self._last_at, np.zeros(more, np.int64)])
        self._last_person = np.concatenate([self._last_person, np.full(more, -1, np.int32)])
        self._last_board = np.concatenate([self._last_board, np.full(more, -1, np.int64)])

    def new(self, person: Any, pin: Any) -> Bool:
        """Which of those pins those people did not save yet."""
        keys = _keys(person, pin)
        found: Bool = ~(_among(keys, self._known) | _among(keys, self._recent))
        return found

    def take(
        self, at: Any, person: Any, pin: Any, interest: Any, fits: Any, site: Any = None, note: Any = None
    ) -> Saves:
        """Save pins, each once for a person. `interest` and `fits` say which board; `site`, `note` replace what is drawn."""
        at, person, pin = (np.asarray(value) for value in (at, person, pin))
        order = np.argsort(at, kind="stable")
        keys = _keys(person[order], pin[order])
        _, first = np.unique(keys, return_index=True)
        kept = np.zeros(len(at), bool)
        kept[first] = True
        kept &= self.new(person[order], pin[order])
        row = order[kept]
        self._remember(keys[kept])
        at, person, pin = at[row], person[row].astype(np.int32), pin[row].astype(np.int32)
        meets = np.asarray(fits)[row] & (np.asarray(interest)[row] >= 0)
        column = np.where(meets, np.asarray(interest)[row], 0).astype(np.int64)
        people, boards = self.scene.people, self.scene.boards
        board = boards.of(person, np.where(meets, people.board[person, column], -1))
        section = np.where(meets & boards.project[board], column, -1).astype(np.int8)
        chance = Chance(self.scene.settings.seed, person, pin, at)
        number = self.count + np.arange(len(row))
        self.count += len(row)
        source, whose, where = self._sources(number, at, person, pin, board, chance.of("repin"))
        seen = np.where(chance.of("site") < FROM_SITE, self.scene.shops.site[pin], -1)
        said = np.where(chance.of("note") < NOTED, 1 + (chance.of("words") * 4).astype(np.int64), 0)
        seen = seen if site is None else np.where(np.asarray(site)[row] >= 0, np.asarray(site)[row], seen)
        said = said if note is None else np.where(np.asarray(note)[row] >= 0, np.asarray(note)[row], said)
        return Saves(
            number, at, person, board, section, pin, source, whose, where, seen.astype(np.int32), said, row
        )

    def _remember(self, keys: Int64) -> None:
        self._recent = np.sort(np.concatenate([self._recent, keys]))
        if len(self._recent) > max(100_000, len(self._known) // 3):
            self._known = np.sort(np.concatenate([self._known, self._recent]))
            self._recent = self._recent[:0]

    def _sources(
        self, number: Int64, at: Int64, person: Int32, pin: Int32, board: Int64, luck: Float64
    ) -> tuple[Int64, Int32, Int64]:
        """The save before each of the same pin, if others may see it and it is another's; rows are by time."""
        shown = ~self.scene.boards.secret[board] & (self.scene.people.consent[person] == ON)
        order = np.lexsort((number, pin))
        sorted_pin = pin[order]
        # For each row the nearest one before it of the same pin that is shown; else the one remembered.
        place = np.arange(len(order))
        marks = np.where(shown[order], place, -1)
        before = np.concatenate([[-1], np.maximum.accumulate(marks)])[:-1]
        start = np.searchsorted(sorted_pin, sorted_pin)
        inside = before >= start
        near = order[np.maximum(before, 0)]
        found: list[Any] = [np.empty(len(order), kind) for kind in (np.int64, np.int64, np.int32, np.int64)]
        values: list[tuple[Any, Any]] = [
            (number, self._last),
            (at, self._last_at),
            (person, self._last_person),
            (board, self._last_board),
        ]
        for out, (fresh, kept) in zip(found, values, strict=True):
            out[order] = np.where(inside, fresh[near], kept[sorted_pin])
        source, when, whose, where = found
        taken = (source >= 0) & (when <= at) & (whose != person) & (luck < REPINS)
        for fresh, kept in values:
            kept[pin[shown]] = fresh[shown]  # rows are by time: the last one stays
        return (
            np.where(taken, source, -1),
            np.where(taken, whose, -1).astype(np.int32),
            np.where(taken, where, -1),
        )


def _keys(person: Any, pin: Any) -> Int64:
    keys: Int64 = np.asarray(person).astype(np.int64) << 32 | np.asarray(pin).astype(np.int64)
    return keys


def _among(keys: Int64, known: Int64) -> Bool:
    if not len(known):
        return np.zeros(len(keys), bool)
    at = np.searchsorted(known, keys).clip(max=len(known) - 1)
    found: Bool = known[at] == keys
    return found


def history(scene: Scene, book: SaveBook) -> Saves:
    """What people had saved before the first day, within half a year."""
    settings, people = scene.settings, scene.people
    rng = stream(settings.seed, "history")
    level = np.maximum(people.activity, 1e-9) ** 0.6
    usual = people.role <= PLANNER
    level = np.where(usual, level, 0.0)
    mean = level[usual].mean() if usual.any() else 1.0
    factor = np.where(people.role == PLANNER, 4.0, 1.0)
    count = rng.poisson(settings.saves_per_person * factor * level / mean)
    person = np.repeat(np.arange(len(people), dtype=np.int32), count)
    begins = np.maximum(people.begins, -HISTORY_DAYS)
    span = np.clip(np.minimum(people.ends, 0) - begins, 0, None)
    weights = np.cumsum(people.strength * span * (people.taste >= 0), 1)
    u = rng.random(len(person)) * weights[person, -1]
    interest = (u[:, None] >= weights[person]).sum(1)
    there = weights[person, -1] > 0
    person, interest = person[there], np.minimum(interest[there], 5)
    day = begins[person, interest] + rng.random(len(person)) * span[person, interest]
    pins = scene.tastes.draw(people.taste[person, interest], rng.random(len(person)))
    odd = rng.random(len(person)) < 0.08
    pins = np.where(odd, rng.integers(0, len(scene.pins), len(person)), pins)
    at = moments(people.region[person].astype(np.int64), 0, settings.begins, rng)
    at += np.minimum(np.floor(day), -1).astype(np.int64) * DAY_MS
    low, high = begins[person, interest], begins[person, interest] + span[person, interest]
    usual_hour = (scene.times.day_of(at) >= low) & (scene.times.day_of(at) < high)
    at = np.where(usual_hour, at, settings.begins + (day * DAY_MS).astype(np.int64))
    out = scene.times.published[pins] <= OLD
    person, interest, at, pins, odd = person[out], interest[out], at[out], pins[out], odd[out]
    return book.take(at, person, pins, interest, ~odd)
