"""Many follows at once: what `people import` uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from visualsearch.errors import UnknownNameError, UsageError, VisualSearchError

from .boards import named
from .model import ConsentLevel, pseudonym_text
from .persons import Known, check_key, resolved, unknown
from .schema import follows
from .social import FOLLOWED, Social
from .store import chunks
from .tables import BadRow
from .words import folded, line

ROWS = 5_000
"""Rows of a transaction: others' saves wait as long."""
Row = tuple[int, Mapping[str, Any]]


class BulkFollows(Social):
    """`take_follows`."""

    def take_follows(self, rows: Sequence[Row]) -> tuple[int, list[BadRow]]:
        """Store rows of person, kind, target, and perhaps at. How many are new, and the bad rows.

        Persons of the same 5,000 rows may follow one another in any order. Like imported saves, they leave no events.
        """
        accepted = 0
        bad: list[BadRow] = []
        for part in chunks(rows, ROWS):
            good = list(_checked(part, bad))

            def work(db: Connection, good: Sequence[Row] = good) -> tuple[int, list[BadRow]]:
                return self._put_follows(db, good)

            new, worse = self.store.write(work) if good else (0, [])
            accepted += new
            bad += worse
        return accepted, bad

    def _put_follows(self, db: Connection, rows: Sequence[Row]) -> tuple[int, list[BadRow]]:
        now = self.now()
        bad: list[BadRow] = []
        known = resolved(db, self.store, [row["person"] for _, row in rows], now)
        named_persons = {row["target"] for _, row in rows if row["kind"] == "person"}
        targets = known | resolved(db, None, [name for name in named_persons if name not in known], now)
        places: dict[tuple[int, str], str | VisualSearchError] = {}
        values = []
        for at, row in rows:
            who = known.get(row["person"])
            if who is None or who.consent.level == ConsentLevel.OFF:
                why = "nobody has that pseudonym" if who is None else "their consent is off"
                bad.append(BadRow(at, why))
                continue
            name = _target(db, who, row, targets, places)
            if isinstance(name, VisualSearchError):
                bad.append(BadRow(at, str(name)))
                continue
            when = row.get("at")
            values.append((who.number, row["kind"], name, now if when is None else when))
        return self.store.insert_new(db, follows, values), bad


def _target(
    db: Connection,
    who: Known,
    row: Mapping[str, Any],
    persons: Mapping[str, Known],
    places: dict[tuple[int, str], str | VisualSearchError],
) -> str | VisualSearchError:
    """What a row's person follows, as it is stored; or what is wrong with it. `places` keeps the boards that were met."""
    target = row["target"]
    if row["kind"] == "topic":
        return folded(target)
    if row["kind"] == "person":
        found = persons.get(target)
        return unknown(target) if found is None else pseudonym_text(found.number)
    key = (who.number, target)
    if key not in places:
        try:
            places[key] = str(named(db, target, who.number).board)
        except UnknownNameError as error:
            places[key] = error
    return places[key]


def _checked(rows: Sequence[Row], bad: list[BadRow]) -> Iterator[Row]:
    """The rows with a key, a kind and a topic as they may be stored; the others are noted."""
    for at, row in rows:
        try:
            check_key(row["person"])
            if row["kind"] not in FOLLOWED:
                raise UnknownNameError("kind of follow", row["kind"], FOLLOWED)
            target = line(row["target"], "topic", 200) if row["kind"] == "topic" else row["target"]
        except UsageError as error:
            bad.append(BadRow(at, str(error)))
            continue
        yield at, {**row, "target": target}
