"""Verdicts and the ledger: what people under a verdict did costs nothing, and what it had cost is given back; both ways.

A placement is paid for once: by the first event on it that nothing speaks against. Whenever a verdict changes, in the same
transaction, the placements of its people are looked at again. Where the ledger says otherwise, an entry is added: a `credit`
where nobody valid acted any more, a `debit` where somebody did. Entries are never changed, and doing it twice adds none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, union

from .billing import ENTRY, PAYS, STATES, VERDICT, digest, left, spend, tallied
from .judged import Level, judged_people
from .persons import Base
from .schema_promoted import acts, campaigns, charges, placements
from .store import Store, chunks


class Settled(NamedTuple):
    """How many entries verdicts added to the ledger: `credited` gave something back, `charged` took it again."""

    credited: int
    charged: int


def settle_verdicts(db: Connection, store: Store, now: int, numbers: Sequence[int]) -> None:
    """Put right what the people of some verdicts are billed for. For the transaction that changes the verdicts."""
    named: set[int] = set()
    for part in chunks(list(numbers)):
        chosen = select(judged_people.c.person).where(judged_people.c.verdict.in_(part))
        named.update(db.execute(chosen).scalars())
    settle(db, store, now, named)


def settle(db: Connection, store: Store, now: int, persons: Collection[int]) -> Settled:
    """Put right what is billed for the deeds of some people."""
    names: set[str] = set()
    for part in chunks(sorted(persons)):
        chosen = select(acts.c.placement).where(acts.c.person.in_(part), acts.c.kind.in_(PAYS))
        names.update(db.execute(chosen).scalars())
    return settle_placements(db, store, now, names)


def settle_placements(db: Connection, store: Store, now: int, names: Collection[str]) -> Settled:
    """Put right what is billed for some placements."""
    credited = charged = 0
    if names and not store.sqlite:
        # Whoever bills has a row of it locked, and looks at the verdicts after that: none is missed.
        db.exec_driver_sql('LOCK TABLE "campaigns" IN EXCLUSIVE MODE')
    for some in chunks(sorted(names)):
        entries: dict[str, list[Any]] = {}
        for row in db.execute(
            select(charges).where(charges.c.placement.in_(some)).order_by(charges.c.charge)
        ):
            entries.setdefault(row.placement, []).append(row)
        doers = {
            row.event: row.person
            for row in db.execute(select(acts.c.event, acts.c.person).where(acts.c.placement.in_(some)))
        }
        shut = _shut(db, set(doers.values()))
        places = {
            row.placement: row
            for row in db.execute(select(placements).where(placements.c.placement.in_(some)))
        }
        for name in sorted(entries, key=lambda each: int(entries[each][0].charge)):
            step = _step(db, entries[name], doers, shut, places.get(name))
            if step is None:
                continue
            kind = step[0]
            _enter(db, store, now, entries[name], step)
            if name in places:
                tallied(db, store, places[name], acted=1 if kind == "debit" else -1)
            credited, charged = credited + (kind == "credit"), charged + (kind == "debit")
    return Settled(credited, charged)


def _step(
    db: Connection, entries: Sequence[Any], doers: Mapping[str, int], shut: Collection[int], place: Any
) -> tuple[str, int, str] | None:
    """The entry that a placement lacks: kind, amount, day; None where all is right."""
    last = next((entry for entry in reversed(entries) if entry.kind in STATES), None)
    if last is not None and last.kind == "refund":
        return None  # it was found invalid for good
    billed = last is not None and last.kind != "credit"
    valid = next(
        (entry for entry in entries if entry.event in doers and doers[entry.event] not in shut), None
    )
    if billed and valid is None:
        return "credit", -int(last.amount), last.day  # type: ignore[union-attr]
    if billed or valid is None:
        return None
    known = db.execute(select(campaigns).where(campaigns.c.campaign == valid.campaign)).first()
    if known is None:
        return None
    # What was billed comes back as it was; what never was costs its price.
    most = int(valid.amount) if valid.kind in ("charge", "over") else 0 if place is None else int(place.price)
    return "debit", min(most, left(db, known, valid.day)), valid.day


def _enter(
    db: Connection, store: Store, now: int, entries: Sequence[Any], step: tuple[str, int, str]
) -> None:
    kind, amount, day = step
    first = entries[0]
    mark = digest(f"settled {first.placement} {len(entries)}")
    row = (mark, kind, first.campaign, first.placement, amount, day, VERDICT, now)
    store.insert(db, charges, [row], ENTRY)
    if amount:
        spend(db, first.campaign, amount)


def _shut(db: Connection, persons: set[int]) -> set[int]:
    found: set[int] = set()
    for part in chunks(sorted(persons)):
        chosen = select(judged_people.c.person).where(
            judged_people.c.person.in_(part), judged_people.c.level >= int(Level.HOLD)
        )
        found.update(db.execute(chosen).scalars())
    return found


class Settling(Base):
    """Looks at the whole ledger."""

    def settle_charges(self) -> Settled:
        """Put right whatever the ledger says of people who are, or were, under a verdict.

        A change of a verdict does so by itself. This is for a record in which verdicts did not reach the ledger yet.
        """

        def work(db: Connection) -> Settled:
            under = select(judged_people.c.person).where(judged_people.c.level >= int(Level.HOLD))
            held = select(acts.c.placement).where(acts.c.person.in_(under), acts.c.kind.in_(PAYS))
            was = select(charges.c.placement).where(charges.c.reason == VERDICT)
            names = {name for name in db.execute(union(held, was)).scalars() if name is not None}
            return settle_placements(db, self.store, self.now(), names)

        found: Settled = self.store.write(work)
        return found

    def settled_since(self, charge: int) -> Settled:
        """What verdicts added to the ledger after an entry."""
        counted = select(charges.c.kind, func.count()).where(
            charges.c.charge > charge, charges.c.kind.in_(("credit", "debit"))
        )
        with self.store.read() as db:
            found = {row[0]: int(row[1]) for row in db.execute(counted.group_by(charges.c.kind))}
        return Settled(found.get("credit", 0), found.get("debit", 0))
