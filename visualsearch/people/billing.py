"""What a promoted pin's events cost: one entry of the ledger for each, in the transaction that stores the event.

An event names the placement that it belongs to in `variant`, as `promoted:PLACEMENT`. What is stored is billed, and what is not
stored is not: a process that is killed leaves both or neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from .judged import Level, judged_people
from .parts import day_of
from .schema import EVENT_COLUMNS
from .schema_promoted import acts, campaigns, charges, placements, tallies
from .store import Store, chunks

PROMOTED = "promoted:"
"""How the `variant` of an event of a promoted pin begins."""
PAYS = ("click", "visit", "save")
LIFE_MS = 24 * 3_600_000
"""An event that comes later after its placement was shown is not billed."""
DISLIKED = ("hide", "report")
VERDICT = "a verdict is on who did it"
"""Why an event is not billed whose person is held, hidden or removed (`settling`)."""
STATES = ("charge", "over", "refund", "credit", "debit")
"""Entries that say whether a placement is paid for: the last of them does."""
ENTRY = ("event", "kind", "campaign", "placement", "amount", "day", "reason", "at")
_PLACE = {name: at for at, name in enumerate(EVENT_COLUMNS)}


class Paid(NamedTuple):
    """An event that would be billed, as the judge of invalid events sees it."""

    event_id: str
    kind: str
    person: int
    pin: str
    at: int
    campaign: str
    placement: str
    price: int


Judge = Callable[[Paid], str]
"""Says why an event is invalid, and nothing where it is valid. It runs in the writing thread: it must be quick."""


def digest(event_id: str) -> str:
    """What stands for an event's id in the ledger. The id is the client's text, and may name somebody."""
    return hashlib.sha256(event_id.encode()).hexdigest()


def bill(db: Connection, store: Store, rows: Sequence[Sequence[Any]]) -> None:
    """Enter what new rows of `events` cost. For the transaction that stores them."""
    found = [_promoted(row) for row in rows if str(row[_PLACE["variant"]] or "").startswith(PROMOTED)]
    if not found:
        return
    held = _placements(db, {event.placement for event in found})
    pairs = [(held[event.placement], event) for event in found if event.placement in held]
    # The same order in every process: two of them never wait for each other.
    for place, event in sorted(pairs, key=lambda pair: pair[0].campaign):
        if event.kind in DISLIKED:
            store.insert(db, acts, [(digest(event.event_id), event.person, place.placement, event.kind)])
            tallied(db, store, place, hidden=1)
        elif event.kind == place.pay:
            _enter(db, store, place, event)


def _promoted(row: Sequence[Any]) -> Paid:
    said = {name: row[_PLACE[name]] for name in ("event_id", "kind", "person", "pin_id", "at", "variant")}
    return Paid(
        said["event_id"],
        said["kind"],
        said["person"],
        said["pin_id"] or "",
        said["at"],
        "",
        said["variant"].removeprefix(PROMOTED),
        0,
    )


def _placements(db: Connection, names: set[str]) -> dict[str, Any]:
    found = {}
    for part in chunks(sorted(names)):
        for row in db.execute(select(placements).where(placements.c.placement.in_(part))):
            found[row.placement] = row
    return found


def _enter(db: Connection, store: Store, place: Any, event: Paid) -> None:
    event = event._replace(campaign=place.campaign, price=place.price)
    mark, day = digest(event.event_id), day_of(event.at)
    known = db.execute(
        select(campaigns).where(campaigns.c.campaign == place.campaign).with_for_update()
    ).first()
    if known is None:
        return
    reason = _fault(place, event) or (store.judge(event) if store.judge is not None else "")
    if not reason:  # it may be valid, now or later
        store.insert(db, acts, [(mark, event.person, place.placement, event.kind)])
        reason = _turned_down(db, place, event)
    amount = 0 if reason else min(place.price, left(db, known, day))
    kind = "invalid" if reason else "charge" if amount == place.price else "over"
    row = (mark, kind, place.campaign, place.placement, amount, day, reason, event.at)
    if not store.insert_new(db, charges, [row], ENTRY):
        return
    if amount:
        spend(db, place.campaign, amount)
    if not reason:
        tallied(db, store, place, acted=1)


def _fault(place: Any, event: Paid) -> str:
    """Why an event is never billed; empty where nothing is wrong."""
    if event.pin != place.pin_id:
        return "it is of another pin"
    if place.person is not None and place.person != event.person:
        return "it is of another person"
    if not -60_000 <= event.at - place.at <= LIFE_MS:
        return "it came too late"
    return ""


def _turned_down(db: Connection, place: Any, event: Paid) -> str:
    """Why an event is not billed as things are; empty where it is."""
    held = select(judged_people.c.person).where(
        judged_people.c.person == event.person, judged_people.c.level >= int(Level.HOLD)
    )
    if db.execute(held.limit(1)).first() is not None:
        return VERDICT
    before = select(charges.c.kind).where(charges.c.placement == place.placement, charges.c.kind.in_(STATES))
    last = db.execute(before.order_by(charges.c.charge.desc()).limit(1)).scalar()
    return "" if last in (None, "credit") else "the placement was paid for"


def left(db: Connection, known: Any, day: str) -> int:
    """How much the campaign may still pay on a day."""
    most = known.budget - known.spent
    if known.daily is not None:
        today = select(func.coalesce(func.sum(charges.c.amount), 0)).where(
            charges.c.campaign == known.campaign, charges.c.day == day
        )
        most = min(most, known.daily - int(db.execute(today).scalar_one()))
    return max(0, int(most))


def spend(db: Connection, campaign: str, amount: int) -> None:
    """Keep the sum of a campaign's charges up to date."""
    chosen = update(campaigns).where(campaigns.c.campaign == campaign)
    db.execute(chosen.values(spent=campaigns.c.spent + amount))


def tallied(db: Connection, store: Store, place: Any, **counts: int | float) -> None:
    """Add to the counts of a campaign in a slot."""
    key = {"campaign": place.campaign, "surface": place.surface, "slot": place.slot}
    none = dict.fromkeys(("shown", "fresh", "acted", "hidden", "predicted"), 0)
    store.insert(db, tallies, [tuple({**key, **none}.values())], tuple({**key, **none}))
    held = update(tallies)
    for name, value in key.items():
        held = held.where(tallies.c[name] == value)
    db.execute(held.values({name: tallies.c[name] + count for name, count in counts.items()}))
