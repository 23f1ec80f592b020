"""What verdicts keep from whom right now."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from .judged import Level, dishonest, judged_people, judged_pins, judged_sites
from .persons import Base, find
from .schema import boards, marks, saves

MARK = "verdicts"
"""The mark that grows with every change of a verdict."""
FRESH_SECONDS = 0.3
"""Verdicts of other processes count within this time."""


@dataclass(frozen=True)
class Shut:
    """What verdicts do at one moment: ids of pins kept from others, of pins ranked lower, and of pins kept from everybody."""

    mark: int
    hidden: frozenset[str]
    lowered: frozenset[str]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.hidden or self.lowered)


NOTHING = Shut(0, frozenset(), frozenset(), frozenset())


class Shutting(Base):
    """Tells what verdicts do now."""

    # -- what counts now -------------------------------------------------------------------------------------------
    def verdict_mark(self) -> int:
        """Grows with every change of a verdict."""
        with self.store.read() as db:
            return mark_of(db)

    def shut(self) -> Shut:
        """What verdicts keep from whom now; of other processes' verdicts, as of a moment ago."""
        with GUARD:
            held: tuple[float, Shut] | None = getattr(self.store, "shut", None)
        now = time.monotonic()
        if held is not None and now - held[0] < FRESH_SECONDS:
            return held[1]
        with self.store.read() as db:
            mark = mark_of(db)
            found = held[1] if held is not None and held[1].mark == mark else _shut(db, mark)
        with GUARD:
            self.store.shut = (now, found)
        return found

    def own_judged(self, person: str) -> frozenset[str]:
        """The judged pins that a person put up themselves and may still see."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None:
                return frozenset()
            mine = select(judged_people.c.verdict).where(judged_people.c.person == known.number)
            chosen = select(judged_pins.c.pin_id).where(
                judged_pins.c.verdict.in_(mine), judged_pins.c.level < int(Level.REMOVE)
            )
            return frozenset(db.execute(chosen).scalars())

    def shut_people(self) -> set[int]:
        """The numbers of persons whose deeds count for nobody."""
        with self.store.read() as db:
            return set(db.execute(dishonest()).scalars())

    def shut_sites(self) -> dict[str, Level]:
        """The sites under a verdict, and what it does."""
        with self.store.read() as db:
            top = select(judged_sites.c.site, func.max(judged_sites.c.level)).where(judged_sites.c.level > 0)
            return {row[0]: Level(row[1]) for row in db.execute(top.group_by(judged_sites.c.site))}

    def shut_links(self) -> list[tuple[str, str]]:
        """The saves, as (board, pin id), on public boards that verdicts keep from counting now."""
        people = select(judged_people.c.person).where(judged_people.c.level >= int(Level.HOLD))
        pins = select(judged_pins.c.pin_id).where(judged_pins.c.level >= int(Level.HOLD))
        theirs = saves.c.person.in_(people) | boards.c.owner.in_(people) | saves.c.pin_id.in_(pins)
        return self._links(theirs)

    def freed_links(self) -> list[tuple[str, str]]:
        """The saves, as (board, pin id), that a verdict kept from counting at some time and that none does now."""
        people = select(judged_people.c.person).where(judged_people.c.level < int(Level.HOLD))
        pins = select(judged_pins.c.pin_id).where(judged_pins.c.level < int(Level.HOLD))
        return self._links(
            saves.c.person.in_(people) | boards.c.owner.in_(people) | saves.c.pin_id.in_(pins), live=True
        )

    def _links(self, chosen: Any, live: bool = False) -> list[tuple[str, str]]:
        from .live import OPEN

        joined = select(saves.c.board, saves.c.pin_id).join(boards, boards.c.board == saves.c.board)
        wanted = joined.where(chosen, boards.c.secret.is_(False), saves.c.gone.is_(False))
        with self.store.read() as db:
            return [(row[0], row[1]) for row in db.execute(wanted.where(OPEN) if live else wanted)]


GUARD = threading.Lock()


def mark_of(db: Connection) -> int:
    """The mark, in a transaction."""
    return int(db.execute(select(marks.c.value).where(marks.c.name == MARK)).scalar() or 0)


def _shut(db: Connection, mark: int) -> Shut:
    top = select(judged_pins.c.pin_id, func.max(judged_pins.c.level)).where(judged_pins.c.level > 0)
    held = {row[0]: row[1] for row in db.execute(top.group_by(judged_pins.c.pin_id))}
    if not held:
        return Shut(mark, frozenset(), frozenset(), frozenset())
    return Shut(
        mark,
        frozenset(name for name, level in held.items() if level >= Level.HOLD),
        frozenset(name for name, level in held.items() if level == Level.LOWER),
        frozenset(name for name, level in held.items() if level >= Level.REMOVE),
    )
