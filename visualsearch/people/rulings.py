"""Verdicts: kept with their evidence, changed, ended, and what they keep from whom right now."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from visualsearch.errors import UnknownNameError

from .appeals import answer, answer_all, appeal, let_go
from .judged import Level, judged_people, judged_pins, judged_sites, verdicts
from .model import pseudonym_text
from .persons import find
from .schema import marks
from .settling import settle, settle_verdicts
from .shutting import GUARD, MARK, NOTHING, Shut, Shutting, mark_of
from .store import chunks

_MEMBERS: Mapping[str, tuple[Table, str]] = {
    "pins": (judged_pins, "pin_id"),
    "people": (judged_people, "person"),
    "sites": (judged_sites, "site"),
}


@dataclass(frozen=True)
class Ruling:
    """One verdict. `evidence` and `history` are plain values; `members` are pin ids, persons' numbers, sites.

    `state`: waiting (for a person's word), decided, undone. `until`: when it ends by itself. `spam`: what a person said.
    """

    kind: str
    title: str
    action: Level
    score: float
    evidence: Sequence[Mapping[str, Any]] = ()
    pins: Sequence[str] = field(default=(), repr=False)
    people: Sequence[int] = field(default=(), repr=False)
    sites: Sequence[str] = ()
    state: str = "waiting"
    number: int = 0
    at: int = 0
    decided: int | None = None
    until: int | None = None
    spam: bool | None = None
    appeal: str = ""
    history: Sequence[Mapping[str, Any]] = ()


class Rulings(Shutting):
    """Keeps verdicts. Every change is one transaction, and raises the mark that readers look at."""

    # -- changing --------------------------------------------------------------------------------------------------
    def rule(self, made: Sequence[Ruling]) -> list[int]:
        """Keep new verdicts with their members; their numbers."""

        def work(db: Connection) -> list[int]:
            now = self.now()
            numbers = []
            for each in made:
                entry = {"at": now, "action": each.action.name.lower(), "by": "rules", "state": each.state}
                values = {
                    "kind": each.kind,
                    "title": each.title,
                    "action": each.action.name.lower(),
                    "state": each.state,
                    "score": each.score,
                    "evidence": json.dumps(list(each.evidence), ensure_ascii=False),
                    "history": json.dumps([entry]),
                    "at": now,
                    "until": each.until,
                    "appeal": "",
                }
                made_row = insert(verdicts).values(**values).returning(verdicts.c.verdict)
                number = int(db.execute(made_row).scalar_one())
                self._add(db, number, each)
                numbers.append(number)
            self._changed(db, numbers)
            return numbers

        return list(self._ruled(work))

    def extend_ruling(self, number: int, more: Ruling) -> bool:
        """Add members to a verdict, and take the score and the evidence of `more`; a stronger action of rules takes over."""

        def work(db: Connection) -> bool:
            row = _row(db, number)
            values: dict[str, Any] = {"title": more.title, "score": more.score}
            values["evidence"] = json.dumps(list(more.evidence), ensure_ascii=False)
            level = Level[row.action.upper()]
            if row.state == "waiting" and more.action > level:
                values |= {"action": more.action.name.lower(), "until": more.until}
                values["history"] = _told(row, self.now(), more.action, "rules", row.state)
                level = more.action
            db.execute(update(verdicts).where(verdicts.c.verdict == number).values(**values))
            self._add(db, number, more, level)
            self._level(db, number, level)
            self._changed(db, [number])
            return True

        return bool(self._ruled(work))

    def change_ruling(
        self, number: int, action: Level, *, state: str, by: str, spam: bool | None = None, why: str = ""
    ) -> Ruling:
        """Let a verdict do something else. Raises UnknownNameError."""

        def work(db: Connection) -> bool:
            row = _row(db, number)
            values: dict[str, Any] = {"action": action.name.lower(), "state": state, "until": None}
            values["decided"] = self.now() if by == "person" else row.decided
            values["spam"] = spam
            more: dict[str, Any] = {}
            if by == "person":  # their word answers the appeals that wait
                values["appeal"] = ""
                count = answer_all(db, self.now(), number, action < Level.HOLD, why)
                more = {"appeals": count, "appeal": "granted" if action < Level.HOLD else "refused"}
            values["history"] = _told(
                row, self.now(), action, by, state, why, more if more.get("appeals") else {}
            )
            db.execute(update(verdicts).where(verdicts.c.verdict == number).values(**values))
            self._level(db, number, action)
            self._changed(db, [number])
            return True

        self._ruled(work)
        return self.ruling(number)

    def appeal_ruling(self, number: int, person: str, text: str) -> Ruling:
        """Keep what somebody says against a verdict on them. Raises UnknownNameError where it is not on them, ConflictError."""

        def work(db: Connection) -> None:
            row = _row(db, number)
            known = find(db, [person]).get(person)
            appeal(db, self.store, self.now(), number, -1 if known is None else known.number, text)
            history = _told(row, self.now(), None, "appeal", row.state, text)
            db.execute(update(verdicts).where(verdicts.c.verdict == number).values(history=history))

        self._ruled(work)
        return self.ruling(number)

    def answer_appeal(self, number: int, person: str, granted: bool, why: str = "") -> Ruling:
        """Decide an appeal: where it is granted, the verdict lets its author go, and the pins that they put up.

        Raises UnknownNameError.
        """

        def work(db: Connection) -> None:
            row = _row(db, number)
            known = find(db, [person]).get(person)
            pins = answer(db, self.now(), number, -1 if known is None else known.number, granted, why)
            more = {"appeal": "granted" if granted else "refused", "pins": pins}
            history = _told(row, self.now(), None, "person", row.state, why, more)
            db.execute(update(verdicts).where(verdicts.c.verdict == number).values(history=history))
            self._level(db, number, Level[row.action.upper()])
            self._changed(db, [number])

        self._ruled(work)
        return self.ruling(number)

    # -- reading ---------------------------------------------------------------------------------------------------
    def ruling(self, number: int) -> Ruling:
        """One verdict with its members. Raises UnknownNameError."""
        with self.store.read() as db:
            return _rulings(db, [_row(db, number)])[0]

    def rulings(
        self,
        states: Collection[str] = (),
        *,
        appealed: bool = False,
        about: str | None = None,
        since: int = 0,
        k: int = 1000,
    ) -> list[Ruling]:
        """Verdicts with their members, the newest first: of these states, appealed ones, those about a person."""
        chosen = select(verdicts).where(verdicts.c.at >= since)
        if states:
            held = verdicts.c.state.in_(list(states))
            chosen = chosen.where(held | (verdicts.c.appeal != "") if appealed else held)
        with self.store.read() as db:
            if about is not None:
                known = find(db, [about]).get(about)
                number = -1 if known is None else known.number
                mine = select(judged_people.c.verdict).where(judged_people.c.person == number)
                chosen = chosen.where(verdicts.c.verdict.in_(mine))
            return _rulings(db, db.execute(chosen.order_by(verdicts.c.verdict.desc()).limit(k)).all())

    def names_of_people(self, numbers: Sequence[int]) -> list[str]:
        """Pseudonyms of persons' numbers."""
        return [pseudonym_text(number) for number in numbers]

    # -- inside ----------------------------------------------------------------------------------------------------
    def _ruled(self, work: Callable[[Connection], Any]) -> Any:
        found = self.store.write(work)
        with GUARD:
            self.store.shut = None
        return found

    def _add(self, db: Connection, number: int, more: Ruling, level: Level | None = None) -> None:
        known = set(more.people)
        if known:  # who was forgotten meanwhile is in no verdict
            from .schema import people

            held: set[int] = set()
            for part in chunks(list(known)):
                held.update(db.execute(select(people.c.person).where(people.c.person.in_(part))).scalars())
            known = held
        values: Mapping[str, Collection[Any]] = {"pins": more.pins, "people": known, "sites": more.sites}
        reached = int(more.action if level is None else level)
        for name, (table, _) in _MEMBERS.items():
            rows = [(number, value, reached) for value in dict.fromkeys(values[name])]
            self.store.insert(db, table, rows)

    def _level(self, db: Connection, number: int, action: Level) -> None:
        for table, _ in _MEMBERS.values():
            db.execute(update(table).where(table.c.verdict == number).values(level=int(action)))
        let_go(db, number)

    def _changed(self, db: Connection, numbers: Sequence[int]) -> None:
        settle_verdicts(db, self.store, self.now(), numbers)
        self.store.upsert(db, marks, {"name": MARK, "value": mark_of(db) + 1})

    def trust_mark(self, name: str) -> int:
        """How far the judging came: a number kept under a name, 0 where it never began."""
        with self.store.read() as db:
            return int(db.execute(select(marks.c.value).where(marks.c.name == f"trust {name}")).scalar() or 0)

    def set_trust_marks(self, values: Mapping[str, int]) -> None:
        """Keep how far the judging came."""

        def work(db: Connection) -> None:
            for name, value in values.items():
                self.store.upsert(db, marks, {"name": f"trust {name}", "value": value})

        self.store.write(work)

    def drop_rulings(self) -> int:
        """Delete every verdict; how many there were."""

        def work(db: Connection) -> int:
            theirs = set(db.execute(select(judged_people.c.person)).scalars())
            count = db.execute(delete(verdicts)).rowcount
            settle(db, self.store, self.now(), theirs)
            self._changed(db, [])
            return count

        return int(self._ruled(work))


def _row(db: Connection, number: int) -> Any:
    row = db.execute(select(verdicts).where(verdicts.c.verdict == number)).first()
    if row is None:
        raise UnknownNameError("verdict", str(number), [], "visualsearch trust review DIR lists them")
    return row


def _told(
    row: Any,
    now: int,
    action: Level | None,
    by: str,
    state: str,
    why: str = "",
    more: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    entry = {
        "at": now,
        "action": row.action if action is None else action.name.lower(),
        "by": by,
        "state": state,
    }
    return json.dumps(
        [*json.loads(row.history), {**entry, **({"why": why} if why else {}), **more}], ensure_ascii=False
    )


def _rulings(db: Connection, rows: Sequence[Any]) -> list[Ruling]:
    numbers = [row.verdict for row in rows]
    members: dict[str, dict[int, list[Any]]] = {}
    for name, (table, column) in _MEMBERS.items():
        found: dict[int, list[Any]] = {}
        for part in chunks(numbers):
            chosen = select(table.c.verdict, table.c[column]).where(table.c.verdict.in_(part))
            for verdict, value in db.execute(chosen.order_by(table.c.verdict, table.c[column])):
                found.setdefault(verdict, []).append(value)
        members[name] = found
    return [
        Ruling(
            row.kind,
            row.title,
            Level[row.action.upper()],
            row.score,
            json.loads(row.evidence),
            tuple(members["pins"].get(row.verdict, ())),
            tuple(members["people"].get(row.verdict, ())),
            tuple(members["sites"].get(row.verdict, ())),
            row.state,
            row.verdict,
            row.at,
            row.decided,
            row.until,
            row.spam,
            row.appeal,
            json.loads(row.history),
        )
        for row in rows
    ]


__all__ = ["NOTHING", "Ruling", "Rulings", "Shut"]
