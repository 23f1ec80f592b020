"""Saves: a pin on a board, whom it was taken from, and what becomes of it when the pin leaves the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, update

from visualsearch.errors import ConflictError, ForbiddenError, UnknownNameError

from .boards import ID, LONGEST_TEXT, made, named, section_of, viewing, visible, working
from .comings import PAGE, dead_pages, held_pages, removed, returned
from .events import deed
from .judged import shown as unjudged
from .model import PinRef, Save, pseudonym_text
from .persons import Base, one, storing
from .schema import boards, marks, saves, sections
from .social import visited
from .store import chunks
from .words import plain

_INDEX = "index"
"""The mark that says how far the index's changes were followed."""
_SAVE = select(saves, sections.c.title.label("section_title")).select_from(
    saves.join(boards, boards.c.board == saves.c.board).outerjoin(
        sections, sections.c.section == saves.c.section
    )
)

# Built once: these run with every save.
_BY_NUMBER = _SAVE.where(saves.c.save == bindparam("number"))
_KEPT = select(saves.c.save).where(
    saves.c.board == bindparam("place"), saves.c.pin_id == bindparam("pin"), saves.c.gone.is_(False)
)
_INSERT = insert(saves).returning(saves.c.save)


def remove_saves(db: Connection, numbers: Sequence[int]) -> None:
    """Delete saves. What was taken from one of them now counts as taken from whom that was taken from."""
    for part in chunks(numbers):
        taken = select(saves.c.save, saves.c.repin_of).where(saves.c.save.in_(part))
        for row in db.execute(taken).all():
            db.execute(update(saves).where(saves.c.repin_of == row.save).values(repin_of=row.repin_of))
            db.execute(delete(saves).where(saves.c.save == row.save))


def _unjudged(viewer: int | None) -> ColumnElement[bool]:
    """The saves that no verdict hides from a viewer."""
    return unjudged(saves.c.pin_id, saves.c.person, viewer)


def _save(row: Any) -> Save:
    return Save(
        row.save,
        row.board,
        pseudonym_text(row.person),
        row.pin_id,
        row.pin,
        row.at,
        row.note,
        row.site,
        row.section_title,
        row.repin_of,
        row.gone,
    )


def by_number(db: Connection, number: int) -> Save:
    """The save of a number that exists."""
    return _save(db.execute(_BY_NUMBER, {"number": number}).one())


def seen(db: Connection, numbers: Sequence[int], viewer: int | None) -> list[Save]:
    """Saves by their numbers, in no order, as a viewer may see them."""
    rows = [row for part in chunks(numbers) for row in db.execute(_SAVE.where(saves.c.save.in_(part))).all()]
    return _seen(db, rows, viewer)


def _seen(db: Connection, rows: Sequence[Any], viewer: int | None) -> list[Save]:
    """Rows as values; a save that the viewer may not see is not named as the one from which a pin was taken."""
    sources = {row.repin_of for row in rows} - {None}
    shown: set[int] = set()
    for part in chunks(list(sources)):
        chosen = select(saves.c.save).join(boards, boards.c.board == saves.c.board)
        shown.update(db.execute(chosen.where(saves.c.save.in_(part), visible(viewer))).scalars())
    plain_values = [_save(row) for row in rows]
    return [each if each.repin_of in shown else replace(each, repin_of=None) for each in plain_values]


def unsaved(pin: str, board: str) -> UnknownNameError:
    """A pin that is not on the board."""
    return UnknownNameError("save", pin, [], f"The board {board!r} does not hold that pin")


class Saves(Base):
    """Put pins on boards and find them there."""

    def pin(self, name: str) -> PinRef:
        """A pin of the index by id. Raises UnknownNameError."""
        found = self.pins.find([name]).get(name)
        if found is None:
            raise UnknownNameError("pin", name[:200], [], "Search first to learn the ids")
        return found

    def save(
        self,
        person: str,
        pin: str | PinRef,
        *,
        board: str,
        section: str | None = None,
        note: str = "",
        site: str | None = None,
        repin_of: int | None = None,
        **seen: Any,
    ) -> Save:
        """Put a pin on a board: one by id, or by title, which is made if the person has none of it.

        A pin that is on the board stays as it is. `repin_of` is the save it was taken from. `seen` says where the pin was
        shown: surface, answer, slot, row, column, variant, session. Raises ConsentError, ForbiddenError, UnknownNameError.
        """
        ref = pin if isinstance(pin, PinRef) else self.pin(pin)
        work = self.saving(
            person, ref, board=board, section=section, note=note, site=site, repin_of=repin_of, **seen
        )
        made: Save = self.store.write(lambda db: _save(db.execute(_BY_NUMBER, {"number": work(db)}).one()))
        return made

    def saving(
        self,
        person: str,
        ref: PinRef,
        *,
        board: str,
        section: str | None = None,
        note: str = "",
        site: str | None = None,
        repin_of: int | None = None,
        at: int | None = None,
        record: bool = True,
        **seen: Any,
    ) -> Callable[[Connection], int]:
        """The work of `save`, for the writing thread; its result is the save's number. `record` also stores an event."""
        text = plain(note, "note", LONGEST_TEXT)

        def work(db: Connection) -> int:
            now = self.now()
            known = storing(db, self.store, person, now)
            try:
                place = str(working(db, board, known.number).board)
            except UnknownNameError:
                if ID.fullmatch(board):  # it was not meant as a title
                    raise
                try:
                    place = made(db, known.number, board, now)
                except ConflictError:  # another server made it between the two questions
                    place = str(working(db, board, known.number).board)
            found = db.execute(_KEPT, {"place": place, "pin": ref.id}).scalar()
            if found is not None:
                return int(found)
            if repin_of is not None:
                self._see(db, repin_of, known.number)
            source = visited(db, self.store, known, site, now)
            values = {
                "board": place,
                "section": section_of(db, place, section),
                "person": known.number,
                "pin": ref.number,
                "pin_id": ref.id,
                "pin_hash": ref.hash,
                "note": text,
                "site": source,
                "repin_of": repin_of,
                "at": now if at is None else at,
                "gone": False,
            }
            number = db.execute(_INSERT, values).scalar_one()
            if record:
                deed(db, self.store, known, "save", now, ref, board=place, site=source, **seen)
            return int(number)

        return work

    def unsave(self, person: str, pin: str, *, board: str) -> bool:
        """Take a pin off a board. Who saved it may, and the board's owner. Whether it was there."""

        def work(db: Connection) -> bool:
            known = one(db, person)
            row = working(db, board, known.number)
            found = db.execute(select(saves).where(saves.c.board == row.board, saves.c.pin_id == pin)).all()
            for each in found:
                if known.number not in (each.person, row.owner):
                    raise ForbiddenError(
                        f"cannot take {pin!r} off the board", "somebody else saved it", "Its owner may"
                    )
                remove_saves(db, [each.save])
                ref = PinRef(each.pin, each.pin_id, each.pin_hash)
                deed(db, self.store, known, "unsave", self.now(), ref, board=row.board)
            return bool(found)

        removed: bool = self.store.write(work)
        return removed

    def move(self, person: str, pin: str, *, board: str, to: str, section: str | None = None) -> Save:
        """Move a save to another board of the person, or to a section of the same. Raises UnknownNameError, ForbiddenError."""

        def work(db: Connection) -> Save:
            known = storing(db, self.store, person, self.now())
            source, target = working(db, board, known.number), working(db, to, known.number)
            held = select(saves).where(saves.c.pin_id == pin, saves.c.gone.is_(False))
            row = db.execute(held.where(saves.c.board == source.board)).first()
            if row is None:
                raise unsaved(pin, board)
            if known.number not in (row.person, source.owner):
                raise ForbiddenError(
                    f"cannot move {pin!r}", "somebody else saved it", "Save it again instead"
                )
            there = db.execute(held.where(saves.c.board == target.board, saves.c.save != row.save)).first()
            if there is not None:
                remove_saves(db, [there.save])
            place = section_of(db, target.board, section)
            moved = (
                update(saves)
                .where(saves.c.save == row.save)
                .values(
                    board=target.board,
                    section=place,
                    **({} if target.board == source.board else {"position": None}),
                )
            )
            db.execute(moved)
            return _save(db.execute(_SAVE.where(saves.c.save == row.save)).one())

        kept: Save = self.store.write(work)
        return kept

    def pins_of(
        self,
        board: str,
        *,
        viewer: str | None = None,
        section: str | None = None,
        k: int = 100,
        after: int | None = None,
        gone: bool = False,
        oldest: bool = False,
    ) -> list[Save]:
        """A board's saves, newest (or `oldest`) first; `after` is the number of the last one of the page before. `gone`: also
        of pins that left the index. Raises UnknownNameError, also where the viewer may not see the board.
        """
        with self.store.read() as db:
            asking = viewing(db, viewer)
            row = named(db, board, asking)
            chosen = _SAVE.where(saves.c.board == row.board, _unjudged(asking))
            chosen = chosen if gone else chosen.where(saves.c.gone.is_(False))
            chosen = chosen if section is None else chosen.where(sections.c.title == section)
            if after is not None:
                chosen = chosen.where(saves.c.save > after if oldest else saves.c.save < after)
            ordered = chosen.order_by(saves.c.save if oldest else saves.c.save.desc()).limit(k)
            return _seen(db, db.execute(ordered).all(), asking)

    def saves_by(
        self, person: str, *, viewer: str | None = None, k: int = 100, after: int | None = None
    ) -> list[Save]:
        """What a person saved on boards that the viewer may see; newest first."""
        with self.store.read() as db:
            number, asking = one(db, person).number, viewing(db, viewer)
            chosen = _SAVE.where(saves.c.person == number, visible(asking), _unjudged(asking))
            chosen = chosen if after is None else chosen.where(saves.c.save < after)
            return _seen(db, db.execute(chosen.order_by(saves.c.save.desc()).limit(k)).all(), asking)

    def saves_of(
        self, pin: str, *, viewer: str | None = None, k: int = 100, after: int | None = None
    ) -> list[Save]:
        """Who saved a pin, on boards that the viewer may see; newest first."""
        with self.store.read() as db:
            asking = viewing(db, viewer)
            chosen = _SAVE.where(saves.c.pin_id == pin, visible(asking), _unjudged(asking))
            chosen = chosen if after is None else chosen.where(saves.c.save < after)
            return _seen(db, db.execute(chosen.order_by(saves.c.save.desc()).limit(k)).all(), asking)

    def save_counts(self, pins: Sequence[str]) -> dict[str, int]:
        """How often pins were saved to public boards. Secret boards, and what a verdict hides, are in no count."""
        counts = dict.fromkeys(pins, 0)
        with self.store.read() as db:
            for part in chunks(list(counts)):
                counted = (
                    select(saves.c.pin_id, func.count())
                    .select_from(saves.join(boards, boards.c.board == saves.c.board))
                    .where(saves.c.pin_id.in_(part), visible(None), _unjudged(None))
                )
                counts.update({row[0]: row[1] for row in db.execute(counted.group_by(saves.c.pin_id))})
        return counts

    def chain(self, save: int, *, viewer: str | None = None) -> list[Save]:
        """From the first save to this one, each taken from the one before it. Saves on boards that the viewer may not see are
        left out.
        """
        with self.store.read() as db:
            asking = viewing(db, viewer)
            self._see(db, save, asking)
            link = select(saves.c.save, saves.c.repin_of).where(saves.c.save == save).cte(recursive=True)
            link = link.union(
                select(saves.c.save, saves.c.repin_of).join(link, saves.c.save == link.c.repin_of)
            )
            chosen = _SAVE.where(saves.c.save.in_(select(link.c.save)), visible(asking), _unjudged(asking))
            return _seen(db, db.execute(chosen.order_by(saves.c.save)).all(), asking)

    def _see(self, db: Connection, save: int, viewer: int | None) -> None:
        """Raise UnknownNameError unless the viewer may see that save."""
        if db.execute(_SAVE.where(saves.c.save == save, visible(viewer))).first() is None:
            raise UnknownNameError("save", str(save), [], "The number is that of a save one may see")

    # -- pins that leave and come back -----------------------------------------------------------------------------
    def pins_removed(self, pins: Iterable[PinRef]) -> int:
        """Pins have left the index: their saves are kept, marked gone, and a tombstone keeps id and hash. How many saves."""
        marked = 0
        for part in chunks(list(pins), PAGE):
            marked += self.store.write(partial(removed, store=self.store, refs=part, now=self.now()))
        return marked

    def pins_returned(self, pins: Iterable[PinRef]) -> int:
        """Pins have come into the index: saves of the same picture that were gone are back, under its new id. How many."""
        restored = 0
        for part in chunks(list(pins)):
            restored += self.store.write(partial(returned, refs=part, remove=remove_saves))
        return restored

    def follow_index(
        self, before: int, after: int, changed: Sequence[tuple[str, bytes | None]] | None
    ) -> Mapping[str, int]:
        """The index went from one count of changes to another: reconcile the changed pins, given as (id, hash) before and
        after their change; all saved pins where the record had not followed to `before`, or `changed` is None.
        """
        with self.store.read() as db:
            mark = db.execute(select(marks.c.value).where(marks.c.name == _INDEX)).scalar()
        if mark == before == after:
            return {"gone": 0, "restored": 0}
        counts = self.reconcile(changed if mark == before else None)
        self.store.write(lambda db: self.store.upsert(db, marks, {"name": _INDEX, "value": after}))
        return counts

    def reconcile(self, changed: Sequence[tuple[str, bytes | None]] | None = None) -> Mapping[str, int]:
        """Compare saved pins with the index: what left it is marked gone, what came back is restored. Counts of saves.

        `changed` are pins as (id, hash) that may have changed; None compares all, a page of saved pins at a time.
        """
        gone = restored = 0
        for lost in dead_pages(self.store, changed):  # before new ones are lost, which are looked for below
            restored += self.pins_returned(self._back(lost))
        for held in held_pages(self.store, changed):
            alive = self.pins.find([ref.id for ref in held])
            lost = [ref for ref in held if ref.id not in alive]
            gone += self.pins_removed(lost)
            restored += self.pins_returned(self._back(lost))
        return {"gone": gone, "restored": restored}

    def _back(self, dead: Sequence[PinRef]) -> list[PinRef]:
        """The pins that the index holds now for pictures that had left it."""
        pictures = self.pins.find_pictures([ref.hash for ref in dead if ref.hash is not None])
        ids = self.pins.find([ref.id for ref in dead if ref.hash is None])
        return [*pictures.values(), *ids.values()]
