"""Promotion in the record: campaigns, where they were shown, the ledger, conversions. What it means is not decided here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, delete, func, select, update

from visualsearch.errors import UnknownNameError

from .billing import DISLIKED, ENTRY, PROMOTED, Judge, Paid, digest, spend, tallied
from .events import refusal
from .judged import Level, judged_people
from .model import DAY_MS, pseudonym_text
from .parts import day_of
from .persons import Base, find, need
from .schema import events, marks
from .schema_promoted import acts, campaigns, charges, conversions, placements, tallies, unwanted
from .store import among

Row = dict[str, Any]
_MARK = "campaigns"
_SHOWN = ("shown", "fresh", "predicted")


class Placement(NamedTuple):
    """A promoted pin that is shown: what its campaign pays if the event `pay` comes. `person` is a number, or None."""

    id: str
    campaign: str
    person: int | None
    pin: str
    surface: str
    slot: int
    pay: str
    price: int
    predicted: float
    fresh: bool
    at: int


class Viewer(NamedTuple):
    """What counts of somebody who is shown promoted pins: how often each campaign was shown them since a time."""

    number: int
    shown: dict[str, int]
    unwanted: frozenset[str]


class Rebuilt(NamedTuple):
    """What came of adding up the ledger anew: how many entries, and campaigns whose sum was another than the kept one."""

    entries: int
    wrong: dict[str, tuple[int, int]]


class Promoted(Base):
    """Campaigns and what becomes of them."""

    def judged_by(self, judge: Judge | None) -> None:
        """Let `judge` say why an event of a promoted pin is invalid: it is then stored, and not billed. None: no judge.

        Events of people under a verdict are not billed either, whatever it says (`settling`).
        """
        self.store.judge = judge

    # -- campaigns -------------------------------------------------------------------------------------------------
    def campaign_rows(self) -> list[Row]:
        """All campaigns, oldest first."""
        with self.store.read() as db:
            return _campaigns(db)

    def change_campaigns(self, change: Callable[[list[Row]], Sequence[Row]]) -> list[Row]:
        """Change campaigns in one transaction that no other change or charge overlaps: `change(all rows)` gives rows to write.

        What `change` raises, the caller gets, and nothing is written. It may run twice.
        """

        def work(db: Connection) -> list[Row]:
            if not self.store.sqlite:
                db.exec_driver_sql('LOCK TABLE "campaigns" IN SHARE ROW EXCLUSIVE MODE')
            made = [dict(row) for row in change(_campaigns(db))]
            for row in made:
                plan = json.dumps(row["plan"], ensure_ascii=False)
                self.store.upsert(db, campaigns, {**row, "plan": plan})
            if made:
                last = db.execute(select(marks.c.value).where(marks.c.name == _MARK)).scalar() or 0
                self.store.upsert(db, marks, {"name": _MARK, "value": last + 1})
            return made

        changed: list[Row] = self.store.write(work)
        return changed

    def campaigns_mark(self) -> tuple[int, int]:
        """Grows when a campaign changes, and when something is charged."""
        with self.store.read() as db:
            changed = db.execute(select(marks.c.value).where(marks.c.name == _MARK)).scalar() or 0
            return int(changed), int(db.execute(select(func.max(charges.c.charge))).scalar() or 0)

    def spent_on(self, day: str) -> dict[str, int]:
        """What each campaign was charged on a UTC day, such as 2026-11-28."""
        sums = select(charges.c.campaign, func.sum(charges.c.amount)).where(charges.c.day == day)
        with self.store.read() as db:
            return {row[0]: int(row[1]) for row in db.execute(sums.group_by(charges.c.campaign))}

    def spending(self) -> dict[str, int]:
        """What each campaign was charged in all."""
        with self.store.read() as db:
            return {row[0]: row[1] for row in db.execute(select(campaigns.c.campaign, campaigns.c.spent))}

    def tally_rows(self) -> list[Row]:
        """Counts of every campaign in every slot, without what people under a verdict saw and did."""
        key = ("campaign", "surface", "slot")
        with self.store.read() as db:
            rows = {
                (row.campaign, row.surface, row.slot): dict(row._mapping)
                for row in db.execute(select(tallies))
            }
            for taken in (*db.execute(_SEEN_BY_JUDGED), *db.execute(_DISLIKED_BY_JUDGED)):
                values = dict(taken._mapping)
                held = rows.get(tuple(values.pop(name) for name in key))
                for name, value in values.items() if held is not None else ():
                    held[name] -= type(held[name])(value)  # type: ignore[index]
        return list(rows.values())

    # -- who is shown what -----------------------------------------------------------------------------------------
    def viewer(self, person: str, since: int, coming: Sequence[Placement] = ()) -> Viewer | None:
        """What was shown to somebody since a time (ms), and what of `coming` is theirs, whether it is on disk yet or not.

        None for somebody unknown, or whose consent keeps impressions out.
        """
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None or refusal(known, "impression"):
                return None
            seen = (
                select(placements.c.campaign, func.count())
                .where(placements.c.person == known.number, placements.c.at >= since)
                .group_by(placements.c.campaign)
            )
            own = [each for each in coming if each.person == known.number]
            if own:
                seen = seen.where(placements.c.placement.not_in([each.id for each in own]))
            shown = {row[0]: int(row[1]) for row in db.execute(seen)}
            for each in own:
                shown[each.campaign] = shown.get(each.campaign, 0) + 1
            held = select(unwanted.c.advertiser).where(unwanted.c.person == known.number)
            return Viewer(known.number, shown, frozenset(db.execute(held).scalars()))

    def unwanted_by(self, person: str) -> frozenset[str]:
        """The advertisers that somebody hid, whatever their consent; none for somebody unknown."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None:
                return frozenset()
            held = select(unwanted.c.advertiser).where(unwanted.c.person == known.number)
            return frozenset(db.execute(held).scalars())

    def hide_advertiser(self, person: str, advertiser: str, hidden: bool = True) -> None:
        """Never show somebody an advertiser's pins as promoted ones again; `hidden=False` takes it back."""

        def work(db: Connection) -> None:
            number = need(db, self.store, [person], self.now())[person].number
            if hidden:
                self.store.insert(db, unwanted, [(number, advertiser, self.now())])
            else:
                own = (unwanted.c.person == number) & (unwanted.c.advertiser == advertiser)
                db.execute(delete(unwanted).where(own))

        self.store.write(work)

    def place(self, shown: Sequence[Placement]) -> Future[Any]:
        """Keep what is shown. It does not wait: the answer may go out before it is on disk."""
        return self.store.writer.submit(partial(self._place, shown=list(shown)))

    def _place(self, db: Connection, shown: Sequence[Placement]) -> None:
        numbers = {each.person for each in shown} - {None}
        known = {row[0] for row in among(db, "SELECT person FROM people WHERE person", list(numbers))}
        # Who was forgotten meanwhile is nobody.
        rows = [each if each.person in known else each._replace(person=None) for each in shown]
        self.store.insert(db, placements, rows)
        for each in rows:
            tallied(db, self.store, each, shown=1, fresh=int(each.fresh), predicted=each.predicted)

    def placement(self, name: str) -> Row | None:
        """A placement by its id."""
        with self.store.read() as db:
            row = db.execute(select(placements).where(placements.c.placement == name)).first()
            return None if row is None else dict(row._mapping)

    # -- the ledger ------------------------------------------------------------------------------------------------
    def ledger(self, campaign: str | None = None) -> list[Row]:
        """The entries, oldest first. `amount` is in minor units; that of a `refund` or a verdict's `credit` is negative."""
        chosen = select(charges).order_by(charges.c.charge)
        if campaign is not None:
            chosen = chosen.where(charges.c.campaign == campaign)
        with self.store.read() as db:
            return [dict(row._mapping) for row in db.execute(chosen)]

    def refund(self, event_ids: Iterable[str], reason: str) -> int:
        """Give back what events cost that were found invalid; how many. The same event is given back once."""
        wanted = [digest(each) for each in event_ids]

        def work(db: Connection) -> int:
            found = among(
                db, "SELECT event, campaign, placement, amount, day FROM charges WHERE event", wanted
            )
            count = 0
            for mark, campaign, placement, amount, day in sorted(found, key=lambda row: str(row[1])):
                # A verdict may have given it back already.
                held = select(func.coalesce(func.sum(charges.c.amount), 0))
                back = min(amount, int(db.execute(held.where(charges.c.placement == placement)).scalar_one()))
                row = (
                    digest(f"refund {mark}"), "refund", campaign, placement, -back, day, reason, self.now(),
                )  # fmt: skip
                if amount > 0 and self.store.insert_new(db, charges, [row], ENTRY):
                    spend(db, campaign, -back)
                    count += back > 0
            return count

        done: int = self.store.write(work)
        return done

    def review_charges(self, judge: Judge, since: int = 0) -> int:
        """Let a judge look again at what was charged since a time (ms), and refund what it finds invalid; how many.

        It sees events of the open days. For verdicts that come after the event.
        """
        chosen = (
            select(
                *(charges.c[name] for name in ("event", "campaign", "placement", "amount")),
                *(events.c[name] for name in ("event_id", "person", "pin_id")),
                events.c.kind.label("did"),
                events.c.at.label("happened"),
            )
            .join(events, events.c.variant == PROMOTED + charges.c.placement)
            .where(charges.c.at >= since, charges.c.kind.in_(("charge", "over")), charges.c.amount > 0)
        )
        bad: dict[str, list[str]] = {}
        with self.store.read() as db:
            for row in db.execute(chosen):
                paid = Paid(
                    row.event_id, row.did, row.person, row.pin_id or "", row.happened,
                    row.campaign, row.placement, row.amount,
                )  # fmt: skip
                if digest(paid.event_id) == row.event and (why := judge(paid)):
                    bad.setdefault(why, []).append(paid.event_id)
        return sum(self.refund(names, why) for why, names in bad.items())

    def rebuild_ledger(self) -> Rebuilt:
        """Add up every campaign's entries anew, and put what was kept right where it differs."""

        def work(db: Connection) -> Rebuilt:
            if not self.store.sqlite:
                db.exec_driver_sql('LOCK TABLE "campaigns" IN SHARE ROW EXCLUSIVE MODE')
            sums = select(charges.c.campaign, func.sum(charges.c.amount)).group_by(charges.c.campaign)
            added = {row[0]: int(row[1]) for row in db.execute(sums)}
            wrong = {}
            for name, kept in db.execute(select(campaigns.c.campaign, campaigns.c.spent)).all():
                if kept != added.get(name, 0):
                    wrong[name] = (kept, added.get(name, 0))
                    changed = update(campaigns).where(campaigns.c.campaign == name)
                    db.execute(changed.values(spent=added.get(name, 0)))
            return Rebuilt(int(db.execute(select(func.count()).select_from(charges)).scalar_one()), wrong)

        rebuilt: Rebuilt = self.store.write(work)
        return rebuilt

    # -- what came of it -------------------------------------------------------------------------------------------
    def shown_by_day(self) -> list[Row]:
        """How often each campaign was shown, by UTC day and surface; placements of people who were forgotten are not counted."""
        day = (placements.c.at - placements.c.at % DAY_MS).label("day")
        counted = select(
            placements.c.campaign, placements.c.surface, day, func.count().label("shown")
        ).group_by(placements.c.campaign, placements.c.surface, day)
        with self.store.read() as db:
            return [{**row._mapping, "day": day_of(row.day)} for row in db.execute(counted)]

    def charged_by_day(self) -> list[Row]:
        """Entries of the ledger by campaign, UTC day and kind: how many, and their sum in minor units."""
        names = (charges.c.campaign, charges.c.day, charges.c.kind)
        counted = select(*names, func.count().label("count"), func.sum(charges.c.amount).label("amount"))
        with self.store.read() as db:
            rows = db.execute(counted.group_by(*names)).all()
        return [{**row._mapping, "amount": int(row.amount)} for row in rows]

    def converted(
        self, placement: str, event_id: str, value: float, currency: str, at: int | None = None
    ) -> tuple[bool, str | None]:
        """Keep what somebody bought after a promoted pin: whether it is new, and the buyer's pseudonym where that is known.

        Raises UnknownNameError.
        """
        now = self.now() if at is None else at

        def work(db: Connection) -> tuple[bool, str | None]:
            place = db.execute(select(placements).where(placements.c.placement == placement)).first()
            if place is None:
                raise UnknownNameError(
                    "placement", placement[:40], [], "Send the one that the pin was shown with"
                )
            row = (digest(event_id), placement, place.campaign, value, currency, now)
            new = self.store.insert_new(db, conversions, [row])
            return bool(new), None if place.person is None else pseudonym_text(place.person)

        kept: tuple[bool, str | None] = self.store.write(work)
        return kept

    def conversion_rows(self) -> list[Row]:
        """What was bought after promoted pins, by campaign and currency: how often, and for how much."""
        names = (conversions.c.campaign, conversions.c.currency)
        counted = select(*names, func.count().label("count"), func.sum(conversions.c.value).label("value"))
        with self.store.read() as db:
            return [dict(row._mapping) for row in db.execute(counted.group_by(*names))]


_UNDER = select(judged_people.c.person).where(judged_people.c.level >= int(Level.HOLD))
_SLOT = (placements.c.campaign, placements.c.surface, placements.c.slot)
_SEEN_BY_JUDGED = (
    select(
        *_SLOT,
        func.count().label("shown"),
        func.sum(case((placements.c.fresh, 1), else_=0)).label("fresh"),
        func.sum(placements.c.predicted).label("predicted"),
    )
    .where(placements.c.person.in_(_UNDER))
    .group_by(*_SLOT)
)
_DISLIKED_BY_JUDGED = (
    select(*_SLOT, func.count().label("hidden"))
    .join(acts, acts.c.placement == placements.c.placement)
    .where(acts.c.person.in_(_UNDER), acts.c.kind.in_(DISLIKED))
    .group_by(*_SLOT)
)


def _campaigns(db: Connection) -> list[Row]:
    found = []
    for row in db.execute(select(campaigns).order_by(campaigns.c.created, campaigns.c.campaign)):
        values = dict(row._mapping)
        found.append({**values, "plan": json.loads(values["plan"])})
    return found
