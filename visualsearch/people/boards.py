"""Boards and what is on them: sections, collaborators. A secret board exists for its owner and collaborators alone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from visualsearch.errors import ConflictError, ForbiddenError, UnknownNameError, UsageError

from .judged import honest
from .model import Board, BoardKind, pseudonym_text
from .persons import Base, find, need, one, storing
from .schema import boards, collaborators, follows, saves, sections
from .words import folded, line, plain

LONGEST_TITLE = 200
ID = re.compile(r"b[0-9a-f]{16}")
"""The form of a board's id."""
LONGEST_TEXT = 5000


def visible(viewer: int | BindParameter[int] | None) -> ColumnElement[bool]:
    """The boards that a viewer may see: public ones of people whom no verdict hides, their own, and those they work on."""
    shown: ColumnElement[bool] = boards.c.secret.is_(False) & honest(boards.c.owner)
    if viewer is None:
        return shown
    shares = exists().where(collaborators.c.board == boards.c.board, collaborators.c.person == viewer)
    return or_(shown, boards.c.owner == viewer, shares)


_VIEWER: BindParameter[int] = bindparam("viewer", type_=BigInteger)
_NAME: BindParameter[str] = bindparam("name", type_=Text)
_NAMED = (
    select(boards)
    .where(
        or_(boards.c.board == _NAME, (boards.c.owner == _VIEWER) & (boards.c.folded == bindparam("title"))),
        visible(_VIEWER),
    )
    .order_by(boards.c.board != _NAME)
    .limit(1)
)
"""Built once: it is asked with every save."""


def viewing(db: Connection, viewer: str | None) -> int | None:
    """The number of who looks; None for a stranger."""
    known = None if viewer is None else find(db, [viewer]).get(viewer)
    return None if known is None else known.number


def named(db: Connection, name: str, viewer: int | None) -> Any:
    """The board of an id, or of a title of the viewer's own; a row. Raises UnknownNameError, also for a secret one."""
    row = db.execute(_NAMED, {"name": name, "title": folded(name), "viewer": viewer}).first()
    if row is None:
        raise unknown_board(name)
    return row


def unknown_board(name: str) -> UnknownNameError:
    """No such board, as far as the asker may know."""
    return UnknownNameError(
        "board", name[:80], [], "Name a board's id, or the title of one of the person's own"
    )


def working(db: Connection, name: str, person: int) -> Any:
    """A board that a person may change: their own, or one they work on. Raises ForbiddenError, UnknownNameError."""
    row = named(db, name, person)
    if row.owner == person:
        return row
    shares = select(collaborators.c.board).where(
        collaborators.c.board == row.board, collaborators.c.person == person
    )
    if db.execute(shares).first() is None:
        raise not_theirs(row.title)
    return row


def owned(db: Connection, name: str, person: int) -> Any:
    """A board of the person's own. Raises ForbiddenError, UnknownNameError."""
    row = named(db, name, person)
    if row.owner != person:
        raise not_theirs(row.title)
    return row


def not_theirs(title: str) -> ForbiddenError:
    """A board of somebody else."""
    return ForbiddenError(
        f"cannot change the board {title!r}",
        "it belongs to somebody else",
        "Use a board of one's own, or ask its owner to invite this person",
    )


def made(db: Connection, owner: int, title: str, now: int, **values: Any) -> str:
    """A new board's id. Raises ConflictError where the owner has one of that title."""
    kept = line(title, "title of the board", LONGEST_TITLE)
    same = select(boards.c.board).where(boards.c.owner == owner, boards.c.folded == folded(kept))
    if db.execute(same).first() is not None:
        raise ConflictError(
            f"there is a board {kept!r} already", "this person has one of that title", "Choose another title"
        )
    name = "b" + secrets.token_hex(8)
    row = {"description": "", "kind": BoardKind.INTEREST.value, "ends": None, "secret": False, **values}
    db.execute(
        insert(boards).values(
            board=name, owner=owner, title=kept, folded=folded(kept), created=now, **_checked(row)
        )
    )
    return name


def section_of(db: Connection, board: str, title: str | None) -> int | None:
    """The section of that title, made if it is new."""
    if title is None:
        return None
    kept = line(title, "title of the section", LONGEST_TITLE)
    same = select(sections.c.section).where(sections.c.board == board, sections.c.folded == folded(kept))
    found = db.execute(same).scalar()
    if found is None:
        made = insert(sections).values(board=board, title=kept, folded=folded(kept))
        found = db.execute(made.returning(sections.c.section)).scalar_one()
    return int(found)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    kept = dict(values)
    if "title" in kept:
        kept["title"] = line(kept["title"], "title of the board", LONGEST_TITLE)
        kept["folded"] = folded(kept["title"])
    if "description" in kept:
        kept["description"] = plain(kept["description"], "description of the board", LONGEST_TEXT)
    if "kind" in kept:
        if kept["kind"] not in list(BoardKind):
            raise UnknownNameError("kind of board", str(kept["kind"]), BoardKind)
        kept["kind"] = BoardKind(kept["kind"]).value
    if kept.get("ends") is not None and kept.get("kind", BoardKind.PROJECT) != BoardKind.PROJECT:
        raise UsageError(
            "an interest has no end", "only a board of kind 'project' ends", "Leave `ends` out, or choose it"
        )
    return kept


def described(db: Connection, rows: Sequence[Any]) -> list[Board]:
    """Rows of `boards` as values, with sections, collaborators and the number of pins."""
    names = [row.board for row in rows]
    titles: dict[str, list[str]] = {}
    for row in db.execute(select(sections).where(sections.c.board.in_(names)).order_by(sections.c.section)):
        titles.setdefault(row.board, []).append(row.title)
    shared: dict[str, list[str]] = {}
    for row in db.execute(select(collaborators).where(collaborators.c.board.in_(names))):
        shared.setdefault(row.board, []).append(pseudonym_text(row.person))
    alive = select(saves.c.board, func.count()).where(saves.c.board.in_(names), saves.c.gone.is_(False))
    counts = {row[0]: row[1] for row in db.execute(alive.group_by(saves.c.board))}
    return [
        Board(
            row.board,
            pseudonym_text(row.owner),
            row.title,
            row.description,
            BoardKind(row.kind),
            row.ends,
            row.secret,
            tuple(titles.get(row.board, ())),
            tuple(sorted(shared.get(row.board, ()))),
            counts.get(row.board, 0),
        )
        for row in rows
    ]


class Boards(Base):
    """Make, change and list boards."""

    def create_board(
        self,
        person: str,
        title: str,
        *,
        description: str = "",
        kind: BoardKind | str = BoardKind.INTEREST,
        ends: int | None = None,
        secret: bool = False,
        sections: Iterable[str] = (),
    ) -> Board:
        """A new board of a person; `ends` (milliseconds since 1970) belongs to a `project`.

        Raises ConflictError where they have one of that title, UsageError, ConsentError.
        """
        options = {"description": description, "kind": kind, "ends": ends, "secret": secret}
        work = self.boarding(person, title, sections=list(sections), **options)
        return self.board(self.store.write(work), viewer=person)

    def boarding(
        self, person: str, title: str, *, sections: Sequence[str] = (), **options: Any
    ) -> Callable[[Connection], str]:
        """The work of `create_board`, for the writing thread; its result is the board's id."""

        def work(db: Connection) -> str:
            owner = storing(db, self.store, person, self.now()).number
            name = made(db, owner, title, self.now(), **options)
            for each in sections:
                section_of(db, name, each)
            return name

        return work

    def board(self, board: str, *, viewer: str | None = None) -> Board:
        """A board by id, or by title of the viewer's own. Raises UnknownNameError, also where the viewer may not see it."""
        with self.store.read() as db:
            return described(db, [named(db, board, viewing(db, viewer))])[0]

    def boards(
        self, owner: str, *, viewer: str | None = None, k: int = 100, after: str | None = None
    ) -> list[Board]:
        """A person's boards that the viewer may see, by id; `after` is the id of the last one of the page before."""
        with self.store.read() as db:
            chosen = select(boards).where(
                boards.c.owner == one(db, owner).number, visible(viewing(db, viewer))
            )
            if after is not None:
                chosen = chosen.where(boards.c.board > after)
            return described(db, db.execute(chosen.order_by(boards.c.board).limit(k)).all())

    def change_board(self, person: str, board: str, **changes: Any) -> Board:
        """Change title, description, kind, ends or secret of a person's own board. Raises ForbiddenError, UnknownNameError."""
        allowed = ("title", "description", "kind", "ends", "secret")
        for name in changes:
            if name not in allowed:
                raise UnknownNameError("field of a board", name, allowed)

        def work(db: Connection) -> str:
            owner = storing(db, self.store, person, self.now()).number
            row = owned(db, board, owner)
            values = _checked({"kind": row.kind, **changes})
            if values.get("folded", row.folded) != row.folded:
                same = select(boards.c.board).where(
                    boards.c.owner == owner, boards.c.folded == values["folded"]
                )
                if db.execute(same).first() is not None:
                    raise ConflictError(
                        f"there is a board {values['title']!r} already",
                        "this person has one of that title",
                        "Choose another title",
                    )
            db.execute(update(boards).where(boards.c.board == row.board).values(**values))
            return str(row.board)

        return self.board(self.store.write(work), viewer=person)

    def delete_board(self, person: str, board: str) -> int:
        """Delete a person's own board with its saves, and say how many. Repins of them keep the chain before them."""
        from .saves import remove_saves

        def work(db: Connection) -> int:
            row = owned(db, board, one(db, person).number)
            numbers = list(db.execute(select(saves.c.save).where(saves.c.board == row.board)).scalars())
            remove_saves(db, numbers)
            db.execute(delete(follows).where(follows.c.kind == "board", follows.c.target == row.board))
            db.execute(delete(boards).where(boards.c.board == row.board))
            return len(numbers)

        deleted: int = self.store.write(work)
        return deleted

    def add_section(self, person: str, board: str, title: str) -> Board:
        """Give a board a section; one of that title that exists stays as it is."""

        def work(db: Connection) -> str:
            row = working(db, board, storing(db, self.store, person, self.now()).number)
            section_of(db, row.board, title)
            return str(row.board)

        return self.board(self.store.write(work), viewer=person)

    def remove_section(self, person: str, board: str, title: str) -> Board:
        """Take a section away; its pins stay on the board. Raises UnknownNameError."""

        def work(db: Connection) -> str:
            row = working(db, board, one(db, person).number)
            gone = delete(sections).where(
                sections.c.board == row.board, sections.c.folded == folded(title.strip())
            )
            if not db.execute(gone).rowcount:
                known = db.execute(select(sections.c.title).where(sections.c.board == row.board)).scalars()
                raise UnknownNameError("section", title[:80], known)
            return str(row.board)

        return self.board(self.store.write(work), viewer=person)

    def invite(self, person: str, board: str, collaborator: str) -> Board:
        """Let another person see a board, save to it and take from it. Only its owner may."""

        def work(db: Connection) -> str:
            now = self.now()
            owner = storing(db, self.store, person, now).number
            row = owned(db, board, owner)
            other = need(db, self.store, [collaborator], now)[collaborator].number
            if other != owner:
                self.store.insert(db, collaborators, [(row.board, other, now)])
            return str(row.board)

        return self.board(self.store.write(work), viewer=person)

    def dismiss(self, person: str, board: str, collaborator: str) -> bool:
        """End a collaboration: the owner may, and the collaborator themselves. Whether there was one."""

        def work(db: Connection) -> bool:
            asking, other = one(db, person).number, one(db, collaborator).number
            row = named(db, board, asking)
            if asking not in (row.owner, other):
                raise not_theirs(row.title)
            ended = delete(collaborators).where(
                collaborators.c.board == row.board, collaborators.c.person == other
            )
            return bool(db.execute(ended).rowcount)

        ended: bool = self.store.write(work)
        return ended
