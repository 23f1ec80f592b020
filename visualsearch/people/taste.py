"""What a person did, for recommending to that person: their saves with the boards, their newest events, what they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select, text

from .judged import open_pin
from .live import counts
from .model import BoardKind, Consent, ConsentLevel, pseudonym_number
from .persons import Base, Known, find
from .schema import boards, events, follows, parts, saves

NEWEST_EVENTS = 5000
NEWEST_SAVES = 5000
POPULAR_SAVES = 200_000
"""Popular is what the newest so many saves hold."""
_KINDS = ("impression", "click", "visit", "share", "purchase", "hide", "report")


class OwnBoard(NamedTuple):
    """A board on which the person saved. `last` is their newest save on it, in milliseconds."""

    title: str
    project: bool
    ends: int | None
    secret: bool
    last: int


class Deed(NamedTuple):
    """One thing that the person did with a pin; a save names its board."""

    kind: str
    pin: str
    at: int
    board: str = ""
    dwell_ms: int | None = None
    surface: str = ""


class FollowedSave(NamedTuple):
    """A public save of somebody or something that is followed. `kind` and `target` say what."""

    kind: str
    target: str
    board: str
    title: str
    pin: str
    at: int


@dataclass(frozen=True)
class Deeds:
    """What a person did, newest first in each list. `saved` has every pin they ever saved, and `deeds` the newest saves and
    events. `count` is how many saves there are in all."""

    number: int
    consent: Consent
    deeds: Sequence[Deed]
    saved: frozenset[str]
    boards: Mapping[str, OwnBoard]
    follows: Sequence[tuple[str, str]]
    count: int


class Taste(Base):
    """Hands out one person's deeds, to recommend to that person alone."""

    def deeds_mark(self, person: str) -> tuple[Any, ...] | None:
        """Changes whenever `deeds` may change. None for somebody unknown, and where the consent is off."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None or known.consent.level == ConsentLevel.OFF:
                return None
            mine = events.c.person == known.number
            open_days = db.execute(
                select(func.count(), func.max(events.c.at), func.max(events.c.received)).where(mine)
            ).one()
            closed = select(parts.c.file).where(
                parts.c.lowest <= known.number, parts.c.highest >= known.number
            )
            followed = select(func.count(), func.max(follows.c.at)).where(follows.c.person == known.number)
            return (
                known,
                tuple(tuple(row) for row in _boards(db, known.number)),
                tuple(open_days),
                tuple(sorted(db.execute(closed).scalars())),
                tuple(db.execute(followed).one()),
            )

    def deeds(self, person: str) -> Deeds | None:
        """What a person did. None for somebody unknown, and where the consent is off."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None or known.consent.level == ConsentLevel.OFF:
                return None
            held = _boards(db, known.number)
            mine = (
                select(saves.c.pin_id, saves.c.at, saves.c.board)
                .where(saves.c.person == known.number, saves.c.gone.is_(False))
                .order_by(saves.c.at.desc(), saves.c.save.desc())
            )
            rows = db.execute(mine.limit(NEWEST_SAVES)).all()
            every = select(saves.c.pin_id).where(saves.c.person == known.number)
            saved = frozenset(db.execute(every).scalars())
            followed = select(follows.c.kind, follows.c.target).where(follows.c.person == known.number)
            targets = [(row.kind, row.target) for row in db.execute(followed.order_by(follows.c.at.desc()))]
            happened = self._happened(db, known)
        found = {
            row.board: OwnBoard(
                row.title, row.kind == BoardKind.PROJECT.value, row.ends, row.secret, row.last
            )
            for row in held
        }
        done = [Deed("save", row.pin_id, row.at, row.board) for row in rows]
        count = sum(row.count for row in held)
        return Deeds(known.number, known.consent, [*done, *happened], saved, found, targets, count)

    def _happened(self, db: Connection, known: Known) -> list[Deed]:
        """The newest events with a pin, of open and of closed days."""
        chosen = (
            select(events)
            .where(events.c.person == known.number, events.c.kind.in_(_KINDS))
            .order_by(events.c.at.desc())
            .limit(NEWEST_EVENTS)
        )
        rows: list[Mapping[str, Any]] = [dict(row._mapping) for row in db.execute(chosen)]
        if len(rows) < NEWEST_EVENTS:
            rows += self._events_in_parts(known.number, NEWEST_EVENTS)
        found = [
            Deed(r["kind"], r["pin_id"], r["at"], r["board"] or "", r["dwell_ms"], r["surface"] or "")
            for r in rows
            if r["kind"] in _KINDS and r["pin_id"] is not None
        ]
        if not known.consent.clicks:
            found = [deed for deed in found if deed.kind in ("hide", "report", "purchase")]
        return sorted(found, key=lambda deed: -deed.at)

    def followed_saves(self, targets: Sequence[tuple[str, str]], most: int, each: int) -> list[FollowedSave]:
        """The newest public saves of what is followed, that count for others: at most `each` of one, `most` in all."""
        found: list[FollowedSave] = []
        with self.store.read() as db:
            for kind, target in targets:
                if len(found) >= most:
                    break
                where = _followed(kind, target)
                if where is None:
                    continue
                chosen = (
                    select(saves.c.board, boards.c.title, saves.c.pin_id, saves.c.at)
                    .select_from(saves.join(boards, boards.c.board == saves.c.board))
                    .where(saves.c.gone.is_(False), boards.c.secret.is_(False), where)
                    .where(counts(saves.c.person), counts(boards.c.owner), open_pin(saves.c.pin_id))
                    .order_by(saves.c.at.desc())
                    .limit(each)
                )
                found += [FollowedSave(kind, target, *row) for row in db.execute(chosen)]
        return found[:most]

    def popular(self, most: int) -> dict[str, int]:
        """The pins that stand on most public boards, by the newest saves that count for others."""
        with self.store.read() as db:
            newest = int(db.execute(select(func.max(saves.c.save))).scalar() or 0)
            number = func.count().label("number")
            chosen = (
                select(saves.c.pin_id, number)
                .select_from(saves.join(boards, boards.c.board == saves.c.board))
                .where(saves.c.save > newest - POPULAR_SAVES)
                .where(saves.c.gone.is_(False), boards.c.secret.is_(False))
                .where(counts(saves.c.person), counts(boards.c.owner), open_pin(saves.c.pin_id))
                .group_by(saves.c.pin_id)
                .order_by(number.desc(), saves.c.pin_id)
                .limit(most)
            )
            return {row.pin_id: int(row.number) for row in db.execute(chosen)}

    def _events_in_parts(self, number: int, k: int) -> list[dict[str, Any]]:
        """The newest of closed days (`days`)."""
        raise NotImplementedError


def _boards(db: Connection, number: int) -> Sequence[Any]:
    """The boards on which a person saved, and what they saved there."""
    sql = (
        "SELECT b.board, b.title, b.kind, b.ends, b.secret, s.count, s.last, s.newest FROM (SELECT board,"
        " count(*) AS count, max(at) AS last, max(save) AS newest FROM saves WHERE person = :person AND NOT gone"
        " GROUP BY board) s JOIN boards b ON b.board = s.board ORDER BY b.board"
    )
    return db.execute(text(sql), {"person": number}).all()


def _followed(kind: str, target: str) -> Any:
    """Which saves belong to what is followed; None where nothing can."""
    if kind == "person":
        number = pseudonym_number(target)
        return None if number is None else saves.c.person == number
    if kind == "board":
        return saves.c.board == target
    return or_(boards.c.folded == target, boards.c.folded.like(f"{_literal(target)} %", escape="\\"))


def _literal(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
