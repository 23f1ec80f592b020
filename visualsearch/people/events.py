"""Events in: checked one by one, each with a verdict, stored once whatever is sent again."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select

from visualsearch.errors import UnknownNameError, UsageError

from .billing import bill
from .model import (
    DAY_MS,
    MEANINGS,
    SURFACES,
    ConsentLevel,
    Event,
    PinRef,
    Status,
    Verdict,
    milliseconds,
    pseudonym_text,
)
from .persons import OPEN, Base, Known, check_key, find, need, one
from .schema import EVENT_COLUMNS, events
from .schema_lists import lists
from .store import Store, among, chunks
from .stretches import Sessions

SKEW_MS = 2_000
"""A client's clock that is off by less is taken as it is."""
FUTURE_MS = 10 * 60_000
"""An event at most ten minutes ahead happened now; one further ahead is refused."""
LATE_MS = 30 * DAY_MS
"""Older events are refused by `record`; `people import` takes any."""
LONGEST = 200
REMEMBERED = "s"
"""How the id of a list begins that is remembered: events about it take what is known of its pins."""
_PLACE = {name: at for at, name in enumerate(EVENT_COLUMNS)}
_AT, _SKEW, _PERSON, _SESSION, _KIND, _SITE = (
    _PLACE[name] for name in ("at", "skew", "person", "session", "kind", "site")
)
_RECEIVED, _PIN = _PLACE["received"], _PLACE["pin"]
_ANSWER, _PIN_ID, _VARIANT, _CHANCE = (_PLACE[name] for name in ("answer", "pin_id", "variant", "propensity"))
_TEXTS = ("event_id", "session", "answer", "variant", "board", "currency", "site", "pin")
_WHOLE = ("slot", "row", "column", "dwell_ms")
_REAL = ("propensity", "value")


Marks = dict[str, tuple[int, str, dict[str, tuple[str | None, float | None]]]]


class Checked(NamedTuple):
    """An event that may be stored: a row of `events` still without person and pin number, and whether it named its time."""

    row: list[Any]
    person: str
    timed: bool


def checked(event: Event, received: int, skew: int) -> Checked | str:
    """The event as a row, or why it is refused."""
    fault = _fault(event)
    if fault:
        return fault
    try:
        own = milliseconds(event.at, received)
    except (UsageError, ValueError, OverflowError, TypeError) as error:
        return f"`at` is no time: {error}"
    at = own + skew
    if at > received + FUTURE_MS:
        return "it lies in the future"
    if at < received - LATE_MS:
        return "it is more than 30 days old"
    at = min(at, received)
    row = [
        event.event_id or secrets.token_hex(16),
        at,
        at - own,
        received,
        0,
        event.session or "",
        event.kind,
        None,
        event.pin,
        event.surface,
        event.answer,
        event.slot,
        event.row,
        event.column,
        event.variant,
        event.propensity,
        event.dwell_ms,
        event.board,
        event.value,
        event.currency,
        event.site,
    ]
    return Checked(row, event.person, event.at is not None)


def _fault(event: Event) -> str:
    meaning = MEANINGS.get(event.kind)
    if meaning is None:
        return f"{str(event.kind)[:40]!r} is no kind of event; kinds: {', '.join(MEANINGS)}"
    if meaning.pin and not event.pin:
        return f"a {event.kind} needs a pin"
    if event.surface is not None and event.surface not in SURFACES:
        return f"{str(event.surface)[:40]!r} is no surface; surfaces: {', '.join(SURFACES)}"
    try:
        check_key(event.person)
    except UsageError as error:
        return f"person: {error.why}"
    for name in _TEXTS:
        text = getattr(event, name)
        if text is not None and not (
            isinstance(text, str) and len(text) <= (4096 if name == "pin" else LONGEST) and text.isprintable()
        ):
            return f"`{name}` must be printable text of at most {LONGEST} characters"
    for name in _WHOLE:
        number = getattr(event, name)
        if number is not None and (type(number) is not int or not 0 <= number < 2**31):
            return f"`{name}` must be a whole number from 0 on"
    for name in _REAL:
        number = getattr(event, name)
        if number is not None and not (isinstance(number, (int, float)) and math.isfinite(number)):
            return f"`{name}` must be a finite number"
    if event.propensity is not None and not 0 < event.propensity <= 1:
        return "`propensity` must be above 0 and at most 1"
    return ""


def refusal(known: Known, kind: str) -> str:
    """Why a person's consent keeps a kind of event out; empty where it does not."""
    allows = known.consent
    if allows is OPEN:
        return ""
    if allows.level == ConsentLevel.OFF:
        return "the person's consent is off"
    if allows.paused:
        return "the person paused the recording"
    signal = MEANINGS[kind].signal
    if signal is not None and not getattr(allows, signal):
        return f"the person turned {signal} off"
    return ""


def deed(
    db: Connection, store: Store, known: Known, kind: str, now: int, pin: PinRef | None, **seen: Any
) -> None:
    """Store the event of a deed, such as a save, in the deed's own transaction; nothing where recording is paused."""
    if store.quiet or refusal(known, kind):
        return
    event = Event(kind, "-", None if pin is None else pin.id, **seen)
    made = checked(event, now, 0)
    if isinstance(made, str):
        raise UsageError(f"cannot record the {kind}", made, "Correct what says where the pin was seen")
    made.row[_PERSON], made.row[_PIN] = known.number, None if pin is None else pin.number
    cut = Sessions(db, store, [known.number])
    made.row[_SESSION] = cut.of(known.number, made.row[_SESSION], now)
    cut.keep()
    _mark(db, [made.row])
    store.insert(db, events, [made.row])
    bill(db, store, [made.row])


def _marks(db: Connection, rows: Iterable[Sequence[Any]]) -> Marks:
    """What is remembered of the lists that rows name: by answer, whose it was, its variant and its pins' marks."""
    named = {row[_ANSWER] for row in rows if row[_ANSWER] and row[_ANSWER].startswith(REMEMBERED)}
    if not named:
        return {}
    found: Marks = {}
    columns = (lists.c.answer, lists.c.person, lists.c.variant, lists.c.marks)
    for part in chunks(list(named)):
        for answer, person, variant, marks in db.execute(select(*columns).where(lists.c.answer.in_(part))):
            found[answer] = (person, variant, json.loads(marks))
    return found


def _mark(db: Connection, rows: Sequence[list[Any]], known: Marks | None = None) -> None:
    """Give rows the variant and the propensity that their list remembers, where they have none of their own."""
    held = _marks(db, rows) if known is None else known
    for row in rows:
        found = held.get(row[_ANSWER] or "")
        if found is None or found[0] != row[_PERSON]:
            continue
        variant, chance = found[2].get(row[_PIN_ID]) or (None, None)
        row[_VARIANT] = row[_VARIANT] or variant or found[1] or None
        row[_CHANCE] = chance if row[_CHANCE] is None else row[_CHANCE]


def same(row: Sequence[Any], stored: Sequence[Any], timed: bool) -> bool:
    """Whether two rows of one id say the same: all but when they came, the session, the pin's number and the correction."""
    if timed and row[_AT] - row[_SKEW] != stored[_AT] - stored[_SKEW]:
        return False
    skipped = {_AT, _SKEW, _RECEIVED, _SESSION, _PIN}
    return all(a == b for at, (a, b) in enumerate(zip(row, stored, strict=True)) if at not in skipped)


class Events(Base):
    """Record events and read them back."""

    def record(self, given: Iterable[Event], *, sent: int | datetime | None = None) -> list[Verdict]:
        """Store events; when this returns, each accepted one is on disk. One verdict an event, in order.

        `sent` is the client's time when it sent them: a clock that is off by more than two seconds is corrected by it.
        An event whose `event_id` is stored already is a duplicate; one with other content under that id is refused. Events of
        more than 10 minutes ahead or 30 days ago are refused. A bad event costs no other. Raises StorageError when nothing
        could be written.
        """
        batch = list(given)
        received = self.now()
        skew = 0 if sent is None else received - milliseconds(sent, received)
        skew = skew if abs(skew) > SKEW_MS else 0
        rows: list[Checked | str] = [checked(event, received, skew) for event in batch]
        self._find_pins(rows)
        good = [made for made in rows if not isinstance(made, str)]
        kept = iter(self.store.write(lambda db: self._store(db, good)) if good else ())
        return [
            _verdict(event, next(kept) if not isinstance(made, str) else (Status.REFUSED, made), made)
            for event, made in zip(batch, rows, strict=True)
        ]

    def take_back(self, person: str, name: str) -> int:
        """Delete the person's hides whose ids begin with `name` and a dot; how many there were. Those of closed days stay.

        See `Index.less`, which gives such ids.
        """

        def work(db: Connection) -> int:
            known = find(db, [person]).get(person)
            if known is None:
                return 0
            mine = (events.c.person == known.number) & (events.c.kind == "hide")
            ended = delete(events).where(mine, events.c.event_id.startswith(f"{name}.", autoescape=True))
            return db.execute(ended).rowcount

        return int(self.store.write(work))

    def _find_pins(self, rows: list[Checked | str]) -> None:
        """Give each row its pin's number; refuse those whose pin the index never held."""
        column = _PLACE["pin_id"]
        wanted = {made.row[column] for made in rows if not isinstance(made, str)} - {None}
        found = self.pins.find(list(wanted)) if wanted else {}
        lost = self._tombstones(wanted - found.keys())
        for at, made in enumerate(rows):
            if isinstance(made, str) or made.row[column] is None:
                continue
            ref = found.get(made.row[column]) or lost.get(made.row[column])
            if ref is None:
                rows[at] = f"the index has no pin {made.row[column][:60]!r}"
            else:
                made.row[_PIN] = ref.number

    def _tombstones(self, ids: Iterable[str]) -> Mapping[str, PinRef]:
        from .schema import tombstones

        names, found = list(ids), {}
        if names:
            with self.store.read() as db:
                for part in chunks(names):
                    chosen = select(tombstones).where(tombstones.c.pin_id.in_(part))
                    for row in db.execute(chosen):
                        found[row.pin_id] = PinRef(row.pin, row.pin_id, row.pin_hash)
        return found

    def _store(self, db: Connection, good: Sequence[Checked]) -> list[tuple[Status, str]]:
        """Write checked events in a transaction; what became of each."""
        known, unknown = _persons(db, self.store, good, self.now())
        stored = self._stored(db, [made.row for made in good])
        cut = Sessions(db, self.store, {each.number for each in known.values()})
        outcomes: list[tuple[Status, str]] = []
        fresh: dict[str, list[Any]] = {}
        marks = _marks(db, [made.row for made in good])
        for made in good:
            person = known.get(made.person)
            row = list(made.row)  # the work may run twice
            why = unknown.get(made.person, "") if person is None else refusal(person, row[_KIND])
            if person is None or why:
                outcomes.append((Status.REFUSED, why))
                continue
            row[_PERSON] = person.number
            row[_SITE] = row[_SITE] if person.consent.sites else None
            _mark(db, [row], marks)
            old = fresh.get(row[0]) or stored.get(row[0])
            if old is not None:
                outcomes.append(_again(row, old, made.timed))
                continue
            row[_SESSION] = cut.of(person.number, row[_SESSION], row[_AT])
            fresh[row[0]] = row
            outcomes.append((Status.ACCEPTED, ""))
        self.store.insert(db, events, list(fresh.values()))
        bill(db, self.store, list(fresh.values()))
        cut.keep()
        return outcomes

    def _stored(self, db: Connection, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The rows that are stored under the ids of these."""
        found: dict[str, Sequence[Any]] = {}
        for row in among(db, _BY_IDS, [row[0] for row in rows], plain=False):
            found[row[0]] = row
        return found | self._stored_in_parts(db, rows)

    def _stored_in_parts(self, db: Connection, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """The same of closed days (`days`)."""
        return {}

    def events_of(self, person: str, k: int = 100) -> list[dict[str, Any]]:
        """A person's newest events, as plain values; newest first."""
        with self.store.read() as db:
            number = one(db, person).number
            chosen = select(events).where(events.c.person == number).order_by(events.c.at.desc()).limit(k)
            rows = [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in db.execute(chosen)]
        if len(rows) < k:
            rows += self._events_in_parts(number, k - len(rows))
        rows = sorted(rows, key=lambda row: -row["at"])[:k]
        name = pseudonym_text(number)
        return [{**row, "person": name} for row in rows]

    def _events_in_parts(self, number: int, k: int) -> list[dict[str, Any]]:
        """The newest of closed days (`days`)."""
        return []

    def event_counts(self) -> dict[str, int]:
        """How many events of the open days there are, by kind."""
        with self.store.read() as db:
            counted = select(events.c.kind, func.count()).group_by(events.c.kind)
            return {row[0]: row[1] for row in db.execute(counted)}


_BY_IDS = f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE event_id"


def _persons(
    db: Connection, store: Store, good: Sequence[Checked], now: int
) -> tuple[dict[str, Known], dict[str, str]]:
    """The persons of a batch, made where new; and pseudonyms that nobody has, each with the reason."""
    names = {made.person for made in good}
    try:
        return need(db, store, names, now), {}
    except UnknownNameError:
        from .model import pseudonym_number
        from .persons import find

        known = find(db, names)
        lost = {n for n in names - known.keys() if pseudonym_number(n) is not None}
        reasons = dict.fromkeys(lost, "nobody has that pseudonym")
        return need(db, store, names - lost, now), reasons


def _again(row: Sequence[Any], old: Sequence[Any], timed: bool) -> tuple[Status, str]:
    if same(row, old, timed):
        return Status.DUPLICATE, ""
    return Status.REFUSED, f"event_id {row[0]!r} is the name of another event"


_REMEDIES = {
    "it lies": "Send the client's time as `sent`, so that its clock is corrected",
    "it is more": "Import it: visualsearch people import",
    "event_id": "Give each event an id of its own",
    "the index": "Search first to learn the ids",
    "the person": "They can change it: people.consent(person, ...)",
}


def _verdict(event: Event, outcome: tuple[Status, str], made: Checked | str) -> Verdict:
    status, reason = outcome
    name = made.row[0] if not isinstance(made, str) else str(event.event_id or "")[:LONGEST]
    if not reason:
        return Verdict(name, status)
    remedy = next((text for start, text in _REMEDIES.items() if reason.startswith(start)), "")
    return Verdict(name, status, reason, remedy or "Correct the event")
