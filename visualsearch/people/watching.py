"""What people put up and did lately, as columns: what is judged for spam. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from .judged import Level, judged_people, judged_pins, verdicts
from .model import pseudonym_number
from .persons import Base
from .schema import boards, events, follows, people, saves
from .store import chunks

MOST = 1_000_000
"""Rows that one look reads."""


class Puts(NamedTuple):
    """Pins that people put up or saved, (n,) each, by time: person's number, pin id, when (ms), the site or "", the note.

    A deed that is kept as a save and as an event is here once.
    """

    person: NDArray[np.int64]
    pin: list[str]
    at: NDArray[np.int64]
    site: list[str]
    note: list[str]
    new: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.person)


class Touches(NamedTuple):
    """Events with a pin, (n,) each, by time."""

    person: NDArray[np.int64]
    pin: list[str]
    at: NDArray[np.int64]
    kind: list[str]
    dwell: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.person)


class Account(NamedTuple):
    """An account's counts. `first` is when it was first seen, in milliseconds; `level` what a verdict does to it now."""

    first: int
    saves: int
    pins: int
    sites: int
    noted: int
    boards: int
    follows: int
    followers: int
    level: int = 0


class Watching(Base):
    """Hands out what is judged."""

    def puts(self, after: int, context: int, since: int, received: int) -> tuple[Puts, int]:
        """Saves with a number above `after`, as new; `context` numbers before them; and save events from `since` (ms) on, new
        where they came in after `received`.

        With the number of the newest save that was read.
        """
        chosen = (
            select(saves.c.save, saves.c.person, saves.c.pin_id, saves.c.at, saves.c.site, saves.c.note)
            .where(saves.c.save > max(0, after - context), saves.c.gone.is_(False))
            .order_by(saves.c.save)
            .limit(MOST)
        )
        told = (
            select(events.c.person, events.c.pin_id, events.c.at, events.c.site, events.c.received)
            .where(events.c.at >= since, events.c.kind == "save", events.c.pin_id.is_not(None))
            .order_by(events.c.at)
            .limit(MOST)
        )
        rows: dict[tuple[int, str], tuple[int, str, str, bool]] = {}
        last = after
        with self.store.read() as db:
            for row in db.execute(chosen):
                key, last = (row[1], row[2]), max(last, row[0])
                rows.setdefault(key, (row[3], row[4] or "", row[5], row[0] > after))
            for event in db.execute(told):
                held = rows.get((event[0], event[1]))
                if held is None:
                    rows[event[0], event[1]] = (event[2], event[3] or "", "", event[4] > received)
                elif not held[1] and event[3]:
                    rows[event[0], event[1]] = (held[0], event[3], held[2], held[3])
        ordered = sorted(rows.items(), key=lambda each: (each[1][0], each[0]))
        return (
            Puts(
                np.array([key[0] for key, _ in ordered], np.int64),
                [key[1] for key, _ in ordered],
                np.array([value[0] for _, value in ordered], np.int64),
                [value[1] for _, value in ordered],
                [value[2] for _, value in ordered],
                np.array([value[3] for _, value in ordered], bool),
            ),
            last,
        )

    def new_people(self, since: int) -> float:
        """The share of all persons who are known since then (ms) only."""
        with self.store.read() as db:
            whole = int(db.execute(select(func.count()).select_from(people)).scalar_one())
            new = int(db.execute(select(func.count()).where(people.c.created >= since)).scalar_one())
        return new / whole if whole else 0.0

    def newest_arrival(self) -> int:
        """When the newest event came in, in milliseconds."""
        with self.store.read() as db:
            return int(db.execute(select(func.max(events.c.received))).scalar() or 0)

    def touches(self, kinds: Sequence[str], since: int) -> Touches:
        """The open days' events of these kinds that name a pin, from `since` (ms) on."""
        chosen = (
            select(events.c.person, events.c.pin_id, events.c.at, events.c.kind, events.c.dwell_ms)
            .where(events.c.at >= since, events.c.kind.in_(list(kinds)), events.c.pin_id.is_not(None))
            .order_by(events.c.at)
            .limit(MOST)
        )
        with self.store.read() as db:
            rows = db.execute(chosen).all()
        return Touches(
            np.array([row[0] for row in rows], np.int64),
            [row[1] for row in rows],
            np.array([row[2] for row in rows], np.int64),
            [row[3] for row in rows],
            np.array([-1 if row[4] is None else row[4] for row in rows], np.int64),
        )

    def accounts(self, numbers: Sequence[int]) -> dict[int, Account]:
        """The counts of accounts."""
        found: dict[int, dict[str, int]] = {}
        wanted = list(dict.fromkeys(numbers))
        with self.store.read() as db:
            for part in chunks(wanted):
                for number, made in db.execute(
                    select(people.c.person, people.c.created).where(people.c.person.in_(part))
                ):
                    found[number] = {"first": made}
                counted = select(
                    saves.c.person,
                    func.count(),
                    func.count(saves.c.pin_id.distinct()),
                    func.count(saves.c.site.distinct()),
                    func.count(func.nullif(saves.c.note, "")),
                    func.min(saves.c.at),
                ).where(saves.c.person.in_(part))
                for number, count, pins, sites, noted, first in db.execute(counted.group_by(saves.c.person)):
                    held = found.setdefault(number, {"first": first})
                    held |= {"saves": count, "pins": pins, "sites": sites, "noted": noted}
                    held["first"] = min(held["first"], first)
                for name, column, table in (
                    ("boards", boards.c.owner, boards),
                    ("follows", follows.c.person, follows),
                ):
                    number_of = select(column, func.count()).select_from(table).where(column.in_(part))
                    for number, count in db.execute(number_of.group_by(column)):
                        found.setdefault(number, {"first": 0})[name] = count
                top = select(judged_people.c.person, func.max(judged_people.c.level))
                for number, level in db.execute(
                    top.where(judged_people.c.person.in_(part)).group_by(judged_people.c.person)
                ):
                    found.setdefault(number, {"first": 0})["level"] = level
        names = ("first", "saves", "pins", "sites", "noted", "boards", "follows", "followers", "level")
        return {
            number: Account(**{name: values.get(name, 0) for name in names})
            for number, values in found.items()
        }

    def savers(self, pins: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Who saved each of these pins, and when (ms), the oldest first."""
        found: dict[str, list[tuple[int, int]]] = {}
        with self.store.read() as db:
            for part in chunks(list(dict.fromkeys(pins))):
                chosen = select(saves.c.pin_id, saves.c.person, saves.c.at).where(saves.c.pin_id.in_(part))
                for pin, person, at in db.execute(chosen.order_by(saves.c.at)):
                    found.setdefault(pin, []).append((person, at))
        return found

    def known_sites(self, k: int = 200) -> dict[str, tuple[int, int]]:
        """The sites from which most people in good standing save: how many people, and when first (ms)."""
        shut = select(judged_people.c.person).where(judged_people.c.level >= int(Level.HOLD))
        count = func.count(saves.c.person.distinct()).label("people")
        chosen = (
            select(saves.c.site, count, func.min(saves.c.at))
            .where(saves.c.site.is_not(None), saves.c.person.not_in(shut))
            .group_by(saves.c.site)
            .order_by(count.desc(), saves.c.site)
            .limit(k)
        )
        with self.store.read() as db:
            return {row[0]: (row[1], row[2]) for row in db.execute(chosen)}

    def follow_pairs(self) -> NDArray[np.int64]:
        """(n, 2) who follows whom, by persons' numbers."""
        chosen = select(follows.c.person, follows.c.target).where(follows.c.kind == "person").limit(MOST)
        with self.store.read() as db:
            rows = [(row[0], pseudonym_number(row[1])) for row in db.execute(chosen)]
        found = [(one, other) for one, other in rows if other is not None]
        return np.array(found, np.int64).reshape(-1, 2)

    def site_pairs(self) -> tuple[NDArray[np.int64], list[str]]:
        """Who saved from which site: persons' numbers and sites, (n,) each."""
        chosen = select(saves.c.person, saves.c.site).where(saves.c.site.is_not(None)).distinct().limit(MOST)
        with self.store.read() as db:
            rows = db.execute(chosen).all()
        return np.array([row[0] for row in rows], np.int64), [row[1] for row in rows]

    def long_standing(self, before: int, least: int) -> set[int]:
        """The numbers of persons who first saved before then (ms), saved so often, and are under no verdict."""
        judged = select(judged_people.c.person).where(judged_people.c.level > 0)
        chosen = (
            select(saves.c.person)
            .where(saves.c.person.not_in(judged))
            .group_by(saves.c.person)
            .having(func.min(saves.c.at) < before, func.count() >= least)
            .limit(MOST)
        )
        with self.store.read() as db:
            return set(db.execute(chosen).scalars())

    def impressions_judged(self, since: int, until: int) -> tuple[int, int, int]:
        """Impressions of the open days from `since` to before `until` (ms): all, on pins judged spam, on pins in the queue."""
        seen = (events.c.kind == "impression") & (events.c.at >= since) & (events.c.at < until)
        judged = select(judged_pins.c.pin_id).join(verdicts, verdicts.c.verdict == judged_pins.c.verdict)
        bad = judged.where(judged_pins.c.level >= int(Level.HOLD))
        open_ones = judged.where(judged_pins.c.level < int(Level.HOLD), verdicts.c.state == "waiting")
        count = select(func.count()).select_from(events)
        with self.store.read() as db:
            whole = db.execute(count.where(seen)).scalar_one()
            spam = db.execute(count.where(seen, events.c.pin_id.in_(bad))).scalar_one()
            asked = count.where(seen, events.c.pin_id.in_(open_ones), events.c.pin_id.not_in(bad))
            return int(whole), int(spam), int(db.execute(asked).scalar_one())

    def notes_of(self, persons: Sequence[int], most: int) -> list[str]:
        """The newest notes that these people wrote to their saves."""
        found: list[str] = []
        with self.store.read() as db:
            for part in chunks(list(persons)):
                chosen = select(saves.c.note).where(saves.c.person.in_(part), saves.c.note != "")
                found += db.execute(chosen.order_by(saves.c.save.desc()).limit(most)).scalars()
        return found[:most]

    def labelled(self) -> list[tuple[int, bool, list[str], list[int]]]:
        """Verdicts on which a person gave their word: number, whether it is spam, pin ids and persons' numbers."""
        found: list[Any] = []
        with self.store.read() as db:
            rows = db.execute(
                select(verdicts.c.verdict, verdicts.c.spam).where(verdicts.c.spam.is_not(None))
            ).all()
            for number, spam in rows:
                # Whom an appeal let go is no example of spam.
                least = 1 if spam else 0
                pins = db.execute(
                    select(judged_pins.c.pin_id).where(
                        judged_pins.c.verdict == number, judged_pins.c.level >= least
                    )
                ).scalars()
                who = db.execute(
                    select(judged_people.c.person).where(
                        judged_people.c.verdict == number, judged_people.c.level >= least
                    )
                ).scalars()
                found.append((int(number), bool(spam), list(pins), list(who)))
        return found
