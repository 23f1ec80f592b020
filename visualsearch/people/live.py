"""What changed since something was learnt, and what still counts now: for what stands beside a learnt graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, exists, func, select, text

from .judged import Level, honest, open_pin
from .model import ConsentLevel
from .persons import Base
from .schema import boards, consent, saves
from .store import chunks

ROWS = 50_000


class FreshSave(NamedTuple):
    """A save that counts for everybody. `guest`: somebody else than the board's owner made it."""

    save: int
    board: str
    pin: str
    at: int
    guest: bool


class Withdrawn(NamedTuple):
    """Boards and links (board, pin id) that count no more. `erased`: others were deleted, so all have to be compared."""

    boards: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    erased: bool


def counts(person: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a person's saves may count for others: their consent is `on`, or was never chosen, they did not pause, and no
    verdict is in the way.
    """
    refused = (consent.c.level != ConsentLevel.ON.value) | consent.c.paused
    return ~exists().where(consent.c.person == person, refused) & honest(person)


OPEN = (
    saves.c.gone.is_(False)
    & boards.c.secret.is_(False)
    & counts(saves.c.person)
    & counts(boards.c.owner)
    & open_pin(saves.c.pin_id)
)
_JOINED = saves.join(boards, boards.c.board == saves.c.board)
_FRESH = select(
    saves.c.save, saves.c.board, saves.c.pin_id, saves.c.at, (saves.c.person != boards.c.owner).label("guest")
).select_from(_JOINED)


class Live(Base):
    """Saves as they are now, of public boards and of people who allow it. Nothing here names a person."""

    def fresh_saves(self, after: int, most: int) -> list[FreshSave]:
        """Saves with a number above `after`, oldest first, at most `most`."""
        found: list[FreshSave] = []
        with self.store.read() as db:
            while len(found) < most:
                chosen = _FRESH.where(OPEN, saves.c.save > after).order_by(saves.c.save)
                rows = db.execute(chosen.limit(min(ROWS, most - len(found)))).all()
                if not rows:
                    break
                found += [FreshSave(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]
                after = rows[-1][0]
        return found

    def newest_save(self) -> int:
        """The number of the newest save, whosever it is."""
        with self.store.read() as db:
            return int(db.execute(select(func.max(saves.c.save))).scalar() or 0)

    def live_links(self, links: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those pairs of a board and a pin id that are saves which count now."""
        if not links:
            return set()
        if self.store.sqlite:
            named = (
                "json_each(:links) j CROSS JOIN saves s ON s.board = json_extract(j.value, '$[0]')"
                " AND s.pin_id = json_extract(j.value, '$[1]')"
            )
            given = {"links": json.dumps([list(link) for link in links])}
        else:
            named = (
                "(SELECT value->>0 AS board, value->>1 AS pin FROM json_array_elements(CAST(:links AS json)) value) j"
                " JOIN saves s ON s.board = j.board AND s.pin_id = j.pin"
            )
            given = {"links": json.dumps([list(link) for link in links])}
        hold = f"j.level >= {int(Level.HOLD)}"
        refused = (
            "EXISTS (SELECT 1 FROM consent c WHERE c.person = {0} AND (c.level <> 'on' OR c.paused))"
            f" AND NOT EXISTS (SELECT 1 FROM judged_people j WHERE j.person = {{0}} AND {hold})"
        )
        judged = f"EXISTS (SELECT 1 FROM judged_pins j WHERE j.pin_id = s.pin_id AND {hold})"
        sql = (
            f"SELECT s.board, s.pin_id FROM {named} JOIN boards b ON b.board = s.board WHERE NOT s.gone"
            f" AND NOT b.secret AND NOT {refused.format('s.person')} AND NOT {refused.format('b.owner')}"
            f" AND NOT {judged}"
        )
        with self.store.read() as db:
            return {(row[0], row[1]) for row in db.execute(text(sql), given)}

    def board_titles(self, names: Sequence[str]) -> dict[str, str]:
        """The titles of public boards by id; others are left out."""
        found: dict[str, str] = {}
        with self.store.read() as db:
            for part in chunks(list(names)):
                chosen = select(boards.c.board, boards.c.title)
                chosen = chosen.where(boards.c.board.in_(part), boards.c.secret.is_(False))
                found.update({row[0]: row[1] for row in db.execute(chosen)})
        return found

    def board_links(self, names: Sequence[str]) -> dict[str, set[str]]:
        """The pin ids whose saves to these boards count now."""
        found: dict[str, set[str]] = {name: set() for name in names}
        with self.store.read() as db:
            for part in chunks(list(names)):
                chosen = select(saves.c.board, saves.c.pin_id).select_from(_JOINED)
                for row in db.execute(chosen.where(saves.c.board.in_(part), OPEN)):
                    found[row[0]].add(row[1])
        return found

    def open_boards(self) -> Iterator[str]:
        """The ids of all public boards whose owners allow that they count."""
        after = ""
        chosen = select(boards.c.board).where(boards.c.secret.is_(False), counts(boards.c.owner))
        while True:
            with self.store.read() as db:
                page = chosen.where(boards.c.board > bindparam("after")).order_by(boards.c.board).limit(ROWS)
                names = list(db.execute(page, {"after": after}).scalars())
            if not names:
                return
            yield from names
            after = names[-1]

    def withdrawn(self, since: int) -> Withdrawn:
        """What no longer counts because its owner or saver chose so at `since` (milliseconds) or later."""
        refused = (consent.c.level != ConsentLevel.ON.value) | consent.c.paused
        who = select(consent.c.person).where(consent.c.at >= since, refused)
        gone = select(consent.c.person).where(
            consent.c.at >= since, consent.c.level == ConsentLevel.OFF.value
        )
        with self.store.read() as db:
            names = tuple(db.execute(select(boards.c.board).where(boards.c.owner.in_(who))).scalars())
            links = db.execute(select(saves.c.board, saves.c.pin_id).where(saves.c.person.in_(who)))
            pairs = tuple((row[0], row[1]) for row in links)
            erased = db.execute(gone.limit(1)).first() is not None
        return Withdrawn(names, pairs, erased)

    def choices(self) -> int:
        """When somebody last chose what they allow, in milliseconds; 0 where nobody did. A sign that links may have gone."""
        with self.store.read() as db:
            return int(db.execute(select(func.max(consent.c.at))).scalar() or 0)
