"""Appeals: what somebody says against a verdict on them, what was decided of it, and whom a verdict lets go because of it.

A verdict is often about many accounts. An appeal that is granted lets one of them go, with the pins that they put up; the others
stay under it. Everything is told in the verdict's history, which names nobody.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, update

from visualsearch.errors import ConflictError, UnknownNameError

from .judged import appeals, judged_people, judged_pins, verdicts
from .persons import Base, find
from .schema import saves
from .store import chunks

MOST_APPEALS = 3
"""So often somebody may appeal against one verdict."""
WAITING, GRANTED, REFUSED = "waiting", "granted", "refused"


class Appeal(NamedTuple):
    """What a person, by number, says against a verdict. `outcome`: waiting, granted or refused; `why` is the answer."""

    verdict: int
    person: int
    at: int
    text: str
    outcome: str
    decided: int | None
    why: str


def appeal(db: Connection, store: Any, now: int, number: int, person: int, text: str) -> None:
    """Keep an appeal. Raises UnknownNameError, ConflictError."""
    held = select(judged_people.c.person).where(
        judged_people.c.verdict == number, judged_people.c.person == person
    )
    if db.execute(held).first() is None:
        raise UnknownNameError("verdict", str(number), [], "It is about somebody else")
    before = db.execute(select(appeals).where(_own(number, person))).first()
    if before is not None and before.outcome == GRANTED:
        raise ConflictError(f"cannot appeal against verdict {number}", "an appeal was granted already", "")
    times = 1 if before is None else before.times + (before.outcome != WAITING)
    if times > MOST_APPEALS:
        raise ConflictError(
            f"cannot appeal against verdict {number}", f"{MOST_APPEALS} appeals were decided", "Write to us"
        )
    row = {
        "verdict": number, "person": person, "at": now, "text": text, "outcome": WAITING, "times": times,
        "decided": None, "why": "", "pins": "[]",
    }  # fmt: skip
    store.upsert(db, appeals, row)
    told(db, number)


def answer(db: Connection, now: int, number: int, person: int, granted: bool, why: str) -> int:
    """Keep what was decided of an appeal; how many pins the verdict lets go. Raises UnknownNameError."""
    if db.execute(select(appeals.c.person).where(_own(number, person))).first() is None:
        raise UnknownNameError("appeal", str(number), [], "That person did not appeal against this verdict")
    pins = _put_up(db, number, person) if granted else []
    values = {
        "outcome": GRANTED if granted else REFUSED,
        "decided": now,
        "why": why,
        "pins": json.dumps(pins),
    }
    db.execute(update(appeals).where(_own(number, person)).values(**values))
    told(db, number)
    return len(pins)


def answer_all(db: Connection, now: int, number: int, granted: bool, why: str) -> int:
    """A person's word on a whole verdict answers the appeals that wait; how many."""
    waiting = (appeals.c.verdict == number) & (appeals.c.outcome == WAITING)
    values = {"outcome": GRANTED if granted else REFUSED, "decided": now, "why": why}
    return db.execute(update(appeals).where(waiting).values(**values)).rowcount


def told(db: Connection, number: int) -> None:
    """Let the verdict's row have the text of what waits."""
    waiting = select(appeals.c.text).where(appeals.c.verdict == number, appeals.c.outcome == WAITING)
    texts = list(db.execute(waiting.order_by(appeals.c.at, appeals.c.person)).scalars())
    db.execute(update(verdicts).where(verdicts.c.verdict == number).values(appeal="\n".join(texts)[:4000]))


def let_go(db: Connection, number: int) -> None:
    """Take a verdict's action off those whose appeal was granted, and off their pins."""
    granted = select(appeals.c.person, appeals.c.pins).where(
        appeals.c.verdict == number, appeals.c.outcome == GRANTED
    )
    rows = db.execute(granted).all()
    names = [pin for row in rows for pin in json.loads(row.pins)]
    for table, column, values in (
        (judged_people, judged_people.c.person, [row.person for row in rows]),
        (judged_pins, judged_pins.c.pin_id, names),
    ):
        for part in chunks(values):
            db.execute(update(table).where(table.c.verdict == number, column.in_(part)).values(level=0))


def _own(number: int, person: int) -> ColumnElement[bool]:
    return (appeals.c.verdict == number) & (appeals.c.person == person)


def _put_up(db: Connection, number: int, person: int) -> list[str]:
    """Those of a verdict's pins that a person saved first."""
    held = select(judged_pins.c.pin_id).where(judged_pins.c.verdict == number)
    first = select(func.min(saves.c.save)).where(saves.c.pin_id.in_(held)).group_by(saves.c.pin_id)
    mine = select(saves.c.pin_id).where(saves.c.save.in_(first), saves.c.person == person)
    return sorted(set(db.execute(mine).scalars()))


class Appeals(Base):
    """Reads appeals."""

    def appeals(self, number: int) -> list[Appeal]:
        """The appeals against a verdict, the oldest first."""
        names = ("verdict", "person", "at", "text", "outcome", "decided", "why")
        chosen = select(*(appeals.c[name] for name in names)).where(appeals.c.verdict == number)
        with self.store.read() as db:
            return [Appeal(*row) for row in db.execute(chosen.order_by(appeals.c.at, appeals.c.person))]

    def excused(self, since: int) -> tuple[set[int], set[str]]:
        """Persons and pins that verdicts let go, by an appeal that was granted since then (ms)."""
        chosen = select(appeals.c.person, appeals.c.pins).where(
            appeals.c.outcome == GRANTED, appeals.c.decided >= since
        )
        with self.store.read() as db:
            rows = db.execute(chosen).all()
        return {row.person for row in rows}, {pin for row in rows for pin in json.loads(row.pins)}

    def own_outcomes(self, person: str, numbers: Sequence[int]) -> dict[int, str]:
        """What became of a person's appeals against these verdicts."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            mine = select(appeals.c.verdict, appeals.c.outcome).where(
                appeals.c.person == (-1 if known is None else known.number),
                appeals.c.verdict.in_(list(numbers)),
            )
            return {row.verdict: row.outcome for row in db.execute(mine)}
