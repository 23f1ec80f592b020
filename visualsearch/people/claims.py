"""Visitors: known for one session at most where they ask for it, and claimed by the person they turn out to be."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection, Table, delete, insert, select, update

from visualsearch.errors import UsageError

from .judged import appeals, judged_people
from .model import PROFILE, ConsentLevel, pseudonym_text
from .persons import check_key, find, need, one, renumbered, storing
from .schema import (
    EVENT_COLUMNS,
    boards,
    collaborators,
    comments,
    connections,
    consent,
    events,
    exposures,
    follows,
    mentions,
    people,
    planned,
    reports,
    saves,
    sessions,
    sites,
)
from .schema_lists import lists
from .schema_promoted import acts, placements, unwanted
from .settling import settle
from .store import chunks
from .tokens import Tokens
from .words import folded

GUEST = "guest:"
"""How the key of somebody begins of whom only a session is kept."""
_MOVED = (saves, comments, events, placements, acts, planned, lists)
_JOINED = (
    *(collaborators, connections, mentions, reports, sites, sessions, follows, exposures, unwanted),
    judged_people,
    appeals,
)
"""Tables in which the person may have the same row already."""


class Claims(Tokens):
    """What is kept of those who did not say who they are."""

    def unrecorded(self) -> Self:
        """The same record, in which deeds leave no event and no visited site: what is saved stays, and how is not told."""
        quiet = copy.copy(self)
        quiet.store = copy.copy(self.store)
        quiet.store.quiet = True
        return quiet

    def for_session(self, name: str) -> ConsentLevel:
        """What a person allows; one who is new is known for the session only, as a browser's `Sec-GPC` asks for."""
        with self.store.read() as db:
            known = find(db, [check_key(name)]).get(name)
        if known is not None:
            return known.consent.level
        level: ConsentLevel = self.store.write(self._limiting(name))
        return level

    def guest(self) -> str:
        """Somebody new of whom all is forgotten when the session ends; their pseudonym."""
        name = GUEST + secrets.token_hex(12)
        self.store.write(self._limiting(name))
        return self.pseudonym(name)

    def pseudonym(self, name: str) -> str:
        """The pseudonym of a person. Raises UnknownNameError."""
        with self.store.read() as db:
            return pseudonym_text(one(db, name).number)

    def key_of(self, name: str) -> str | None:
        """The application's key for a person, if it was not dropped. Raises UnknownNameError."""
        with self.store.read() as db:
            number = one(db, name).number
            key: str | None = db.execute(select(people.c.key).where(people.c.person == number)).scalar()
        return key

    def _limiting(self, name: str) -> Callable[[Connection], ConsentLevel]:
        def work(db: Connection) -> ConsentLevel:
            known = find(db, [name]).get(name)
            if known is not None:
                return known.consent.level
            now = self.now()
            number = need(db, self.store, [name], now)[name].number
            switches = dict.fromkeys(("searches", "clicks", "profile", "sites"), True)
            values = {
                "level": ConsentLevel.SESSION.value,
                "paused": False,
                "at": 0,
                **switches,
            }  # at 0: not chosen
            db.execute(insert(consent).values(person=number, **values))
            storing(db, self.store, name, now)
            return ConsentLevel.SESSION

        return work

    # -- claiming --------------------------------------------------------------------------------------------------
    def claim(self, visitor: str, person: str) -> dict[str, int]:
        """Make all that is kept of a visitor a person's own: rows moved by table. The visitor is known no more.

        A board whose title the person has already gets a number. Stopped at any instant, it can be run again.
        Raises UnknownNameError, ConsentError.
        """
        with self.upkeep():
            with self.store.read() as db:
                old = one(db, visitor).number
                same = find(db, [person]).get(person)
            if same is not None and same.number == old:
                raise UsageError(
                    "cannot claim a visitor", "it is the same person", "Name the person that the visitor is"
                )
            self.store.write(lambda db: storing(db, self.store, person, self.now()))
            with self.store.read() as db:
                new = one(db, person).number
            count = self._claim_parts(old, new)
            moved: dict[str, int] = self.store.write(lambda db: self._claimed(db, visitor, person))
        moved["events"] = moved.get("events", 0) + count
        return {name: number for name, number in moved.items() if number}

    def _claim_parts(self, old: int, new: int) -> int:
        """Events of closed days become the person's, as if they had come late; how many. They are rolled again later."""
        rows = self._events_in_parts(old, 1 << 62)
        moved = [[new if name == "person" else row[name] for name in EVENT_COLUMNS] for row in rows]
        for some in chunks(moved):
            self.store.write(partial(self._late, rows=some))
        if rows:
            self._forget_parts(old)
        return len(rows)

    def _late(self, db: Connection, rows: Sequence[Sequence[Any]]) -> None:
        self.store.insert(db, events, rows)

    def _claimed(self, db: Connection, visitor: str, person: str) -> dict[str, int]:
        old, new = one(db, visitor).number, storing(db, self.store, person, self.now()).number
        moved = {"boards": _boards(db, old, new)}
        for table in _MOVED:
            moved[table.name] = db.execute(
                update(table).where(table.c.person == old).values(person=new)
            ).rowcount
        own = select(boards.c.board).where(boards.c.owner == new)
        db.execute(
            delete(collaborators).where(
                collaborators.c.board.in_(own), collaborators.c.person.in_([old, new])
            )
        )
        for table in _JOINED:
            moved[table.name] = self._joined(db, table, old, new)
        self._followers(db, old, new)
        _profile(db, old, new)
        db.execute(delete(consent).where(consent.c.person == old))
        db.execute(delete(people).where(people.c.person == old))
        settle(db, self.store, self.now(), [new])  # a verdict on one of the two is now on what both did
        renumbered(db, self.store)
        return moved

    def _joined(self, db: Connection, table: Table, old: int, new: int) -> int:
        """Give rows to a person that they may have already."""
        rows = db.execute(select(table).where(table.c.person == old)).all()
        names = [column.name for column in table.columns]
        at = names.index("person")
        self.store.insert(db, table, [(*row[:at], new, *row[at + 1 :]) for row in rows])
        return db.execute(delete(table).where(table.c.person == old)).rowcount

    def _followers(self, db: Connection, old: int, new: int) -> None:
        """Who followed the visitor follows the person; nobody follows themselves."""
        before, after = pseudonym_text(old), pseudonym_text(new)
        aimed = (follows.c.kind == "person") & (follows.c.target == before)
        rows = db.execute(select(follows.c.person, follows.c.at).where(aimed)).all()
        self.store.insert(db, follows, [(row.person, "person", after, row.at) for row in rows])
        own = (follows.c.kind == "person") & (follows.c.target == after) & (follows.c.person == new)
        db.execute(delete(follows).where(aimed | own))


def _boards(db: Connection, old: int, new: int) -> int:
    """Give the visitor's boards to the person, under titles that they have not."""
    taken = set(db.execute(select(boards.c.folded).where(boards.c.owner == new)).scalars())
    rows = db.execute(select(boards.c.board, boards.c.title).where(boards.c.owner == old)).all()
    for row in rows:
        title, number = row.title, 1
        while folded(title) in taken:
            number += 1
            title = f"{row.title[:190]} {number}"
        taken.add(folded(title))
        values = {"owner": new, "title": title, "folded": folded(title)}
        db.execute(update(boards).where(boards.c.board == row.board).values(**values))
    return len(rows)


def _profile(db: Connection, old: int, new: int) -> None:
    """What the visitor declared counts where the person declared nothing."""
    said, known = (
        db.execute(select(*(people.c[name] for name in PROFILE)).where(people.c.person == number)).one()
        for number in (old, new)
    )
    values = {name: said[at] for at, name in enumerate(PROFILE) if known[at] is None and said[at] is not None}
    allows = db.execute(select(consent.c.profile).where(consent.c.person == new)).scalar()
    if values and allows is not False:
        db.execute(update(people).where(people.c.person == new).values(**values))
