"""The order that a person gives the pins of a board, notes on them, and what a board shows of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Float, cast, func, select, tuple_, update

from visualsearch.errors import ForbiddenError

from .boards import LONGEST_TEXT, named, viewing, visible, working
from .model import Save
from .persons import Base, storing
from .saves import by_number, seen, unsaved
from .schema import boards, saves, sections
from .words import plain

COVERS = 4
_PLACE = func.coalesce(saves.c.position, cast(saves.c.save, Float))
"""Where a pin stands, the highest first: where it was put, else by its save."""


class Arranging(Base):
    """Put pins in order, write on them, and show boards."""

    def arrange(self, person: str, pin: str, *, board: str, before: str | None = None) -> Save:
        """Put a pin of a board directly before another of its pins; None: behind all. Later saves come first, as they do on
        a board that nobody put in order. Raises ForbiddenError, UnknownNameError.
        """

        def work(db: Connection) -> int:
            known = storing(db, self.store, person, self.now())
            place = str(working(db, board, known.number).board)
            number = _number(db, place, pin, board)
            if before == pin:
                return number
            mark = None if before is None else _number(db, place, before, board)
            position = _between(db, place, number, mark)
            if position is None:
                _spread(db, place)
                position = _between(db, place, number, mark)
            db.execute(update(saves).where(saves.c.save == number).values(position=position))
            return number

        return self._written(work)

    def annotate(self, person: str, pin: str, *, board: str, note: str) -> Save:
        """Change the note of a pin on a board: who saved it may, and the board's owner.

        Raises ForbiddenError, UnknownNameError.
        """
        text = plain(note, "note", LONGEST_TEXT)

        def work(db: Connection) -> int:
            known = storing(db, self.store, person, self.now())
            row = working(db, board, known.number)
            number = _number(db, row.board, pin, board)
            writer = db.execute(select(saves.c.person).where(saves.c.save == number)).scalar_one()
            if known.number not in (writer, row.owner):
                raise ForbiddenError("cannot change this note", "somebody else saved the pin", "Save it anew")
            db.execute(update(saves).where(saves.c.save == number).values(note=text))
            return number

        return self._written(work)

    def _written(self, work: Callable[[Connection], int]) -> Save:
        made: Save = self.store.write(lambda db: by_number(db, work(db)))
        return made

    def arranged(
        self,
        board: str,
        *,
        viewer: str | None = None,
        section: str | None = None,
        k: int = 100,
        after: tuple[float, int] | None = None,
        gone: bool = False,
    ) -> list[tuple[float, Save]]:
        """A board's saves in the order that was given to them, each with where it stands; `after` is that place and the
        number of the last one of the page before. Raises UnknownNameError, also where the viewer may not see the board.
        """
        with self.store.read() as db:
            asking = viewing(db, viewer)
            row = named(db, board, asking)
            chosen = select(saves.c.save, _PLACE.label("place")).where(saves.c.board == row.board)
            chosen = chosen if gone else chosen.where(saves.c.gone.is_(False))
            if section is not None:
                chosen = chosen.join(sections, sections.c.section == saves.c.section)
                chosen = chosen.where(sections.c.title == section)
            if after is not None:
                place, number = after
                chosen = chosen.where(tuple_(_PLACE, saves.c.save) < tuple_(place, number))
            found = db.execute(chosen.order_by(_PLACE.desc(), saves.c.save.desc()).limit(k)).all()
            places = {each.save: float(each.place) for each in found}
            shown = {save.id: save for save in seen(db, list(places), asking)}
            return [(place, shown[number]) for number, place in places.items()]

    def set_cover(self, person: str, board: str, pin: str | None) -> None:
        """Choose the pin that stands for a board; None: the newest. Raises ForbiddenError, UnknownNameError."""

        def work(db: Connection) -> None:
            row = working(db, board, storing(db, self.store, person, self.now()).number)
            if pin is not None:
                _number(db, row.board, pin, board)
            db.execute(update(boards).where(boards.c.board == row.board).values(cover=pin))

        self.store.write(work)

    def covers(self, names: Sequence[str], *, viewer: str | None = None) -> dict[str, list[str]]:
        """The pins that stand for boards, up to four each: the chosen one first, then the newest."""
        found: dict[str, list[str]] = {}
        with self.store.read() as db:
            chosen = select(boards.c.board, boards.c.cover).where(boards.c.board.in_(names))
            for row in db.execute(chosen.where(visible(viewing(db, viewer)))).all():
                here = (saves.c.board == row.board) & saves.c.gone.is_(False)
                newest = select(saves.c.pin_id).where(here).order_by(saves.c.save.desc()).limit(COVERS)
                pins = list(db.execute(newest).scalars())
                if row.cover is not None and row.cover not in pins:
                    still = select(saves.c.save).where(here, saves.c.pin_id == row.cover)
                    pins = [row.cover, *pins] if db.execute(still).first() else pins
                elif row.cover is not None:
                    pins = [row.cover, *(pin for pin in pins if pin != row.cover)]
                found[row.board] = pins[:COVERS]
        return found


def _number(db: Connection, place: str, pin: str, board: str) -> int:
    """The save of a pin on a board. Raises UnknownNameError."""
    held = select(saves.c.save).where(saves.c.board == place, saves.c.pin_id == pin, saves.c.gone.is_(False))
    number = db.execute(held).scalar()
    if number is None:
        raise unsaved(pin, board)
    return int(number)


def _between(db: Connection, place: str, number: int, mark: int | None) -> float | None:
    """A place directly before the save `mark`, behind all for None; None where two neighbours leave no room."""
    others = (saves.c.board == place) & (saves.c.save != number)
    if mark is None:
        least = db.execute(select(func.min(_PLACE)).where(others)).scalar()
        return 0.0 if least is None else float(least) - 1.0
    low: Any = db.execute(select(_PLACE).where(saves.c.save == mark)).scalar_one()
    above = tuple_(_PLACE, saves.c.save) > tuple_(low, mark)
    high: Any = db.execute(select(func.min(_PLACE)).where(others, above)).scalar()
    # At the top it stays below the next whole number, which the next save will have.
    high = float(int(low // 1) + 1) if high is None else float(high)
    middle = (float(low) + high) / 2
    return middle if low < middle < high else None


def _spread(db: Connection, place: str) -> None:
    """Give the pins of a board whole numbers again, in the same order; at most as high as the newest save's."""
    ordered = select(saves.c.save).where(saves.c.board == place)
    numbers = list(db.execute(ordered.order_by(_PLACE, saves.c.save)).scalars())
    top = max(numbers)
    for at, number in enumerate(reversed(numbers)):
        db.execute(update(saves).where(saves.c.save == number).values(position=float(top - at)))
