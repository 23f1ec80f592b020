"""What a person may demand: consent, a copy of everything, a pause, and to be forgotten with proof."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, exists, func, or_, select, update

from visualsearch.errors import LockedError, StorageError, UnknownNameError

from . import lookup
from . import parts as disk
from .derived import Deriving
from .judged import appeals, judged_people
from .model import PROFILE, SESSION_MS, SIGNALS, Consent, ConsentLevel, Receipt, pseudonym_text
from .parts import Part
from .persons import LONGEST_KEY, Known, check_key, need, one, renumbered, touch
from .saves import remove_saves
from .schema import (
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
    receipts,
    reports,
    saves,
    sessions,
    sites,
    tokens,
)
from .schema_lists import lists
from .schema_promoted import acts, placements, unwanted
from .social import unmention
from .traces import Trace, traces

_OWN = (
    reports,
    mentions,
    collaborators,
    follows,
    connections,
    comments,
    sites,
    sessions,
    exposures,
    lists,
    events,
    placements,
    acts,
    unwanted,
    planned,
    judged_people,
    appeals,
)
"""Tables whose rows of a person are deleted as they are; saves and boards need more care."""
PENDING = "the files were not searched yet"


def erase(db: Connection, number: int, keep_consent: bool = False) -> dict[str, int]:
    """Delete a person's rows from every table; how many from each. `keep_consent` leaves their key and their choice."""
    removed = {"mentions by others": unmention(db, number)}
    own = select(boards.c.board).where(boards.c.owner == number)
    places = list(db.execute(own).scalars())
    theirs = select(saves.c.save).where(or_(saves.c.person == number, saves.c.board.in_(own)))
    numbers = list(db.execute(theirs).scalars())
    remove_saves(db, numbers)
    removed["saves"] = len(numbers)
    followed = (follows.c.kind == "person") & (follows.c.target == pseudonym_text(number))
    for target in places:
        followed = followed | ((follows.c.kind == "board") & (follows.c.target == target))
    removed["followers"] = db.execute(delete(follows).where(followed)).rowcount
    for table in _OWN:
        removed[table.name] = db.execute(delete(table).where(table.c.person == number)).rowcount
    removed["boards"] = db.execute(delete(boards).where(boards.c.owner == number)).rowcount
    if keep_consent:
        db.execute(update(people).where(people.c.person == number).values(dict.fromkeys(PROFILE)))
    else:
        removed["tokens"] = db.execute(delete(tokens).where(tokens.c.person == number)).rowcount
        removed["consent"] = db.execute(delete(consent).where(consent.c.person == number)).rowcount
        removed["people"] = db.execute(delete(people).where(people.c.person == number)).rowcount
    return {name: count for name, count in removed.items() if count}


class Privacy(Deriving):
    """Consent, export, forgetting."""

    def consent(self, person: str, level: ConsentLevel | str | None = None, **switches: bool) -> Consent:
        """What a person allows; with arguments, change it: `off`, `session` or `on`, and switches such as searches=False.

        `off` deletes at once what was kept, but the refusal itself. Raises UnknownNameError.
        """
        for name in switches:
            if name not in (*SIGNALS, "paused"):
                raise UnknownNameError("switch", name, (*SIGNALS, "paused"))
        if level is not None and level not in list(ConsentLevel):
            raise UnknownNameError("consent", str(level)[:40], ConsentLevel)
        if level is None and not switches:
            with self.store.read() as db:
                return one(db, person).consent

        def work(db: Connection) -> Known:
            known = need(db, self.store, [check_key(person)], self.now())[person]
            chosen = replace(known.consent, level=ConsentLevel(level or known.consent.level), **switches)
            values = {**asdict(chosen), "level": chosen.level.value, "at": self.now()}
            self.store.upsert(db, consent, {"person": known.number, **values})
            if chosen.level == ConsentLevel.SESSION:
                touch(db, self.store, known.number, self.now())
            return Known(known.number, chosen)

        known: Known = self.store.write(work)
        if known.consent.level == ConsentLevel.OFF:
            with self.upkeep():
                self._forget_files([known.number])
                self.store.write(lambda db: erase(db, known.number, keep_consent=True))
                self._refresh()
            self._erase_bytes()
        return known.consent

    def pause(self, person: str, paused: bool = True) -> Consent:
        """Stop recording a person's events, or go on. What was kept stays, and they can still save."""
        return self.consent(person, paused=paused)

    def end_sessions(self) -> int:
        """Forget what was kept for a session that has ended, of people whose consent is `session`; how many people.

        Those who did not choose it themselves, as a browser did for them, are known no more at all.
        """
        limit = self.now() - SESSION_MS
        last = (
            select(func.coalesce(func.max(sessions.c.last), 0))
            .where(sessions.c.person == consent.c.person)
            .scalar_subquery()
        )
        held = [
            exists().where(column == consent.c.person)
            for column in (boards.c.owner, saves.c.person, *(table.c.person for table in _OWN))
        ]
        ended = select(consent.c.person, consent.c.at).where(
            consent.c.level == ConsentLevel.SESSION.value, last < limit, or_(consent.c.at == 0, *held)
        )
        with self.upkeep():
            with self.store.read() as db:
                over = db.execute(ended).all()
            forgotten = 0
            self._forget_files([number for number, _ in over])
            for number, chosen in over:
                work = partial(erase, number=number, keep_consent=chosen != 0)
                forgotten += bool(self.store.write(work))
            if any(chosen == 0 for _, chosen in over):
                self.store.write(partial(renumbered, store=self.store))
            if forgotten:
                self._refresh()
        if forgotten:
            self._erase_bytes()
        return forgotten

    # -- a copy of everything --------------------------------------------------------------------------------------
    def export(self, person: str) -> dict[str, Any]:
        """Everything that is held of a person, as plain values for JSON."""
        with self.store.read() as db:
            number = one(db, person).number
            held: dict[str, Any] = {"pseudonym": pseudonym_text(number)}
            held["person"] = _plain(db, select(people).where(people.c.person == number))
            for name, table in (("consent", consent), *((t.name, t) for t in _OWN)):
                held[name] = _plain(db, select(table).where(table.c.person == number))
            held["tokens"] = _plain(
                db, select(tokens.c.created, tokens.c.expires).where(tokens.c.person == number)
            )
            held["boards"] = _plain(db, select(boards).where(boards.c.owner == number))
            held["saves"] = _plain(db, select(saves).where(saves.c.person == number))
        held["events"] += self._events_in_parts(number, 1 << 62)
        held["events"].sort(key=lambda row: row["at"])
        for rows in held.values():
            for row in rows if isinstance(rows, list) else ():
                for column in ("person", "owner"):
                    if column in row:
                        row[column] = pseudonym_text(row[column])
        return held

    # -- forgetting ------------------------------------------------------------------------------------------------
    def forget(self, person: str) -> Receipt:
        """Remove a person from every table, every Parquet file, the database's free pages and the derived files that `track`
        named, and search all files for them.

        Returns a receipt without their name. Raises UnknownNameError; StorageError where something of them was found after all.
        """
        with self.upkeep():
            with self.store.read() as db:
                number = one(db, person).number
                key = db.execute(select(people.c.key).where(people.c.person == number)).scalar()
            self._sweep()
            count = self._forget_files([number])
            receipt = secrets.token_hex(8)

            def work(db: Connection) -> dict[str, int]:
                removed = erase(db, number)
                renumbered(db, self.store)
                removed["events"] = removed.get("events", 0) + count
                row = (receipt, self.now(), json.dumps(removed, sort_keys=True), PENDING)
                self.store.insert(db, receipts, [row])
                return removed

            removed = self.store.write(work)
            self._refresh()
            found, proof = self._proved(key, number)
            if found:
                raise StorageError(
                    "a person was forgotten, but traces are left",
                    "; ".join(f"{trace.what} in {trace.where}" for trace in found[:5]),
                    "Close other programs that have the index open, then run: people.tidy()",
                )
            self._prove(receipt, proof)
        return Receipt(receipt, self.now(), removed, proof)

    def traces(self, person: str, pseudonym: int) -> list[Trace]:
        """Where a key or the number of a pseudonym is still found, in tables and in the bytes of all files."""
        return traces(self.store, person[:LONGEST_KEY], pseudonym)

    def receipts(self) -> list[Receipt]:
        """The receipts of those who were forgotten, oldest first."""
        with self.store.read() as db:
            rows = db.execute(select(receipts).order_by(receipts.c.at)).all()
        return [Receipt(row.receipt, row.at, json.loads(row.removed), row.proof) for row in rows]

    def tidy(self) -> None:
        """Write the database anew, so that nothing deleted is left in its files; also what an interrupted `forget` left."""
        with self.upkeep():
            self._refresh()
        self._erase_bytes(rewrite=True)
        for receipt in self.receipts():
            if receipt.proof == PENDING:
                self._prove(receipt.id, "the database was written anew after an interruption")

    def _prove(self, receipt: str, proof: str) -> None:
        chosen = update(receipts).where(receipts.c.receipt == receipt).values(proof=proof)
        self.store.write(lambda db: db.execute(chosen))

    def _proved(self, key: str | None, number: int) -> tuple[list[Trace], str]:
        self._erase_bytes()
        found = traces(self.store, key, number)
        short = key is not None and len(key.encode()) < 5
        if self.store.sqlite and (found or short):
            # Freed pages were zeroed; what a page kept between its cells goes when the database is written anew.
            self._erase_bytes(rewrite=True)
            found = traces(self.store, key, number)
        proof = "no trace in the tables and the bytes of all files"
        return found, proof if self.store.sqlite else "no trace in the tables and the Parquet files"

    def _forget_files(self, numbers: Sequence[int]) -> int:
        """Take persons out of the parts and of the derived files; how many events. The caller holds the lock."""
        count = sum(self._forget_parts(number) for number in numbers)
        if numbers:
            self._clean(numbers)
        return count

    def _forget_parts(self, number: int) -> int:
        """Write the parts that hold a person's events anew without them, two at a time; how many events."""
        import pyarrow.compute as pc

        def work(part: Part) -> int:
            if not len(lookup.between(self.store.folder / part.file, number, number)):
                return 0
            table = disk.read_part(self.store.folder, part.file)
            return self._keep(part, table, pc.not_equal(table.column("person"), number))

        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(work, self.part_files(number)))

    def _erase_bytes(self, rewrite: bool = False) -> None:
        """Deleted rows leave the files. SQLite zeroes what it frees; its log is written back and emptied."""
        if not self.store.sqlite:
            tables = ", ".join(f'"{t.name}"' for t in (people, consent, boards, saves, *_OWN))
            self.store.alone(f"VACUUM {tables}")
            return
        steps = ("VACUUM",) if rewrite else ()
        busy = self.store.alone(*steps, "PRAGMA wal_checkpoint(TRUNCATE)")[-1]
        if busy is not None and busy[0]:
            raise LockedError(
                "cannot empty the database's log",
                "a reader holds an old state of it",
                "Close the programs that read it, then run: people.tidy()",
            )


def _plain(db: Connection, chosen: Any) -> list[dict[str, Any]]:
    """Rows as plain values: bytes are written as hexadecimal digits."""
    return [
        {name: value.hex() if isinstance(value, bytes) else value for name, value in row._mapping.items()}
        for row in db.execute(chosen)
    ]
