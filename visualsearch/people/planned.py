"""What comes out later: pins that go to a board at a time, and boards that are secret until then."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from visualsearch.errors import ForbiddenError, UnknownNameError, UsageError

from .boards import LONGEST_TEXT, working
from .model import pseudonym_text
from .persons import one, storing
from .saves import Saves
from .schema import boards, planned
from .words import plain

MOST_DAYS = 400
MOST_DUE = 1000
MOST_PLANS = 1000
"""So much of one person may wait."""
DAY_MS = 86_400_000


class Plan(NamedTuple):
    """A pin that goes to a board at `publish_at` (ms), or a board that opens then (`pin` is None). `reason`: why it failed."""

    plan: int
    person: str
    board: str
    pin: str | None
    note: str
    publish_at: int
    reason: str


class Planned(Saves):
    """Keeps what comes out later, and lets it out."""

    def plan_pin(self, person: str, pin: str, *, board: str, publish_at: int, note: str = "") -> Plan:
        """Let a pin go to one of a person's boards later. Raises UnknownNameError, ForbiddenError, UsageError."""
        ref, text = self.pin(pin), plain(note, "note", LONGEST_TEXT)
        return self._planned(person, board, ref.id, text, publish_at)

    def plan_board(self, person: str, board: str, *, publish_at: int) -> Plan:
        """Keep a person's own board secret until a time. Raises UnknownNameError, ForbiddenError, UsageError."""
        return self._planned(person, board, None, "", publish_at)

    def _planned(self, person: str, board: str, pin: str | None, note: str, publish_at: int) -> Plan:
        now = self.now()
        if not now < publish_at <= now + MOST_DAYS * DAY_MS:
            raise UsageError(
                "cannot plan for that time",
                f"it must be ahead, and at most {MOST_DAYS} days",
                "Give milliseconds since 1970, UTC",
            )

        def work(db: Connection) -> Plan:
            known = storing(db, self.store, person, now)
            row = working(db, board, known.number)
            if pin is None:
                if row.owner != known.number:
                    raise ForbiddenError("cannot plan this board", "it is somebody else's", "Its owner may")
                db.execute(update(boards).where(boards.c.board == row.board).values(secret=True))
                same = (planned.c.board == row.board) & planned.c.pin_id.is_(None)
                db.execute(delete(planned).where(same))
            _check_room(db, known.number)
            values = {
                "person": known.number,
                "board": row.board,
                "pin_id": pin,
                "note": note,
                "publish_at": publish_at,
                "reason": "",
            }
            number = db.execute(insert(planned).values(values).returning(planned.c.plan)).scalar_one()
            return Plan(int(number), pseudonym_text(known.number), row.board, pin, note, publish_at, "")

        made: Plan = self.store.write(work)
        return made

    def plans(self, person: str | None = None) -> list[Plan]:
        """What waits, or failed, by time: of everybody or of a person. Raises UnknownNameError."""
        chosen = select(planned).order_by(planned.c.publish_at, planned.c.plan)
        with self.store.read() as db:
            if person is not None:
                chosen = chosen.where(planned.c.person == one(db, person).number)
            return [_plan(row) for row in db.execute(chosen)]

    def unplan(self, person: str, plan: int) -> bool:
        """Drop one of a person's plans; whether there was it. A board that was to open stays secret."""

        def work(db: Connection) -> int:
            mine = (planned.c.plan == plan) & (planned.c.person == one(db, person).number)
            return db.execute(delete(planned).where(mine)).rowcount

        return bool(self.store.write(work))

    def publish_due(self) -> int:
        """Let out what is due; how much came out by this call. What can never come out keeps its reason, and costs no other.

        Where the disk is full or the database is gone, what is left waits for the next call: raises IndexStateError then.
        """
        now = self.now()
        due = select(planned).where(planned.c.publish_at <= now, planned.c.reason == "")
        with self.store.read() as db:
            rows = [_plan(row) for row in db.execute(due.order_by(planned.c.publish_at).limit(MOST_DUE))]
        done = 0
        for plan in rows:
            try:
                done += self.store.write(partial(self._publish, plan=plan))
            except UsageError as error:  # of the plan itself: it would fail again
                self.store.write(partial(_failed, plan=plan, reason=str(error)[:300]))
        return done

    def _publish(self, db: Connection, plan: Plan) -> bool:
        """In one transaction: the pin is on its board, and no longer waits. Whether it still waited."""
        if db.execute(delete(planned).where(planned.c.plan == plan.plan)).rowcount != 1:
            return False  # another server let it out, or its owner cancelled it
        if plan.pin is None:
            db.execute(update(boards).where(boards.c.board == plan.board).values(secret=False))
            return True
        ref = self.pins.find([plan.pin]).get(plan.pin)
        if ref is None:
            raise UnknownNameError("pin", plan.pin[:200], [], "It is not in the index any more")
        self.saving(plan.person, ref, board=plan.board, note=plan.note)(db)
        return True


def _check_room(db: Connection, person: int) -> None:
    held = db.execute(
        select(func.count()).select_from(planned).where(planned.c.person == person)
    ).scalar_one()
    if held >= MOST_PLANS:
        raise UsageError(
            "cannot plan more", f"{MOST_PLANS:,} of this person's plans wait already", "Cancel one, or wait"
        )


def _failed(db: Connection, plan: Plan, reason: str) -> None:
    db.execute(update(planned).where(planned.c.plan == plan.plan).values(reason=reason))


def _plan(row: tuple[int, int, str, str | None, str, int, str]) -> Plan:
    return Plan(row[0], pseudonym_text(row[1]), row[2], row[3], row[4], row[5], row[6])
