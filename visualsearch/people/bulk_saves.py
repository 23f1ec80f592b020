"""Many saves at once: what `people import` uses for rows that name a board by its title."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from visualsearch.errors import UsageError

from .boards import LONGEST_TEXT, LONGEST_TITLE
from .model import BoardKind, ConsentLevel, PinRef
from .persons import Known, check_key, resolved
from .saves import Saves
from .schema import boards, saves
from .store import among, chunks
from .tables import BadRow
from .words import folded, line, plain

ROWS = 5_000
"""Rows of a transaction: others' saves wait as long."""
_ID = re.compile(r"b[0-9a-f]{16}")
_COLUMNS = ("board", "person", "pin", "pin_id", "pin_hash", "note", "at", "gone")
_BOARD = ("board", "owner", "title", "folded", "description", "kind", "ends", "secret", "created")
_BOARDS = "SELECT owner, folded, board FROM boards WHERE owner"
Row = tuple[int, Mapping[str, Any]]


def plain_row(row: Mapping[str, Any]) -> bool:
    """Whether a row needs no more than a board's title: neither a board's id, nor a section, nor a site to count."""
    return not (row.get("site") or row.get("section") or _ID.fullmatch(row["board"]))


class BulkSaves(Saves):
    """`take_saves`."""

    def take_saves(self, rows: Sequence[Row]) -> tuple[int, int, list[BadRow]]:
        """Store rows of person, pin, board, and perhaps note and at. How many are on their boards now, of how many rows the
        index lacks the pin, and the bad rows.
        """
        accepted = unknown = 0
        bad: list[BadRow] = []
        for part in chunks(rows, ROWS):
            good = list(_checked(part, bad))
            refs = self.pins.find(list({row["pin"] for _, row in good}))
            unknown += sum(row["pin"] not in refs for _, row in good)

            def work(db: Connection, good: Sequence[Row] = good, refs: Any = refs) -> list[BadRow]:
                return self._put_saves(db, good, refs)

            worse = self.store.write(work) if good else []
            accepted += len(good) - len(worse)
            bad += worse
        return accepted, unknown, bad

    def _put_saves(self, db: Connection, rows: Sequence[Row], refs: Mapping[str, PinRef]) -> list[BadRow]:
        now = self.now()
        known = resolved(db, self.store, [row["person"] for _, row in rows], now)
        bad = [BadRow(at, why) for at, row in rows if (why := _closed(known.get(row["person"])))]
        out = {each.line for each in bad}
        kept = [(known[row["person"]].number, row) for at, row in rows if at not in out]
        places = self._places(db, {(number, row["board"]) for number, row in kept}, now)
        values = []
        for number, row in kept:
            ref = refs.get(row["pin"]) or PinRef(None, row["pin"])
            at = row.get("at")
            place = places[number, folded(row["board"])]
            note = row.get("note") or ""
            values.append(
                (place, number, ref.number, ref.id, ref.hash, note, now if at is None else at, False)
            )
        self.store.insert(db, saves, values, columns=_COLUMNS)
        return bad

    def _places(
        self, db: Connection, wanted: Iterable[tuple[int, str]], now: int
    ) -> dict[tuple[int, str], str]:
        """The board of each person and title, made where they have none."""
        titles = {(number, folded(title)): title for number, title in sorted(wanted)}
        found = {
            (row[0], row[1]): row[2] for row in among(db, _BOARDS, sorted({number for number, _ in titles}))
        }
        fresh = [
            ("b" + secrets.token_hex(8), number, title, fold, "", BoardKind.INTEREST.value, None, False, now)
            for (number, fold), title in titles.items()
            if (number, fold) not in found
        ]
        self.store.insert(db, boards, fresh, columns=_BOARD)
        return found | {(row[1], row[3]): row[0] for row in fresh}


def _checked(rows: Sequence[Row], bad: list[BadRow]) -> Iterable[Row]:
    """The rows with text as it may be stored; the others are noted."""
    for at, row in rows:
        try:
            check_key(row["person"])
            title = line(row["board"], "title of the board", LONGEST_TITLE)
            note = plain(row.get("note") or "", "note", LONGEST_TEXT)
        except UsageError as error:
            bad.append(BadRow(at, str(error)))
            continue
        yield at, {**row, "board": title, "note": note}


def _closed(known: Known | None) -> str:
    """Why nothing of a person is stored; empty where it is."""
    if known is None:
        return "nobody has that pseudonym"
    return "their consent is off" if known.consent.level == ConsentLevel.OFF else ""
