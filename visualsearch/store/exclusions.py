"""Pins that were removed on purpose, so that the next run over their source does not bring them back.

They are a table of the catalog that is made when the first pin is removed. An index without it has the same layout. Older
releases do not look for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from visualsearch.sources import gone
from visualsearch.types import Record

from .reader import Pin

_TABLE = (
    "CREATE TABLE IF NOT EXISTS excluded"
    " (id TEXT NOT NULL, uri TEXT NOT NULL, source TEXT, hash BLOB, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS excluded_id ON excluded (id)",
    "CREATE INDEX IF NOT EXISTS excluded_uri ON excluded (uri)",
    "CREATE INDEX IF NOT EXISTS excluded_hash ON excluded (hash)",
)


@dataclass(frozen=True)
class Excluded:
    """A removed pin: its id, its place, the uri of its source, and the sha256 of its content."""

    id: str
    uri: str
    source: str | None
    hash: bytes | None


class Exclusions:
    """The list, through a connection to the catalog; changes belong into one of its commits."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def exist(self) -> bool:
        """Whether a pin was ever removed."""
        found = self.db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'excluded'")
        return found.fetchone() is not None

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM excluded").fetchone()[0]) if self.exist() else 0

    def __iter__(self) -> Iterator[Excluded]:
        yield from self._where("1 ORDER BY id, uri")

    def add(self, pins: Iterable[Pin]) -> None:
        """Keep removed pins out of later runs. What a person or a program handed over is in no source that could bring
        it back unasked.
        """
        found = self.db.execute("SELECT source FROM sources WHERE kind IN ('upload', 'given', 'table')")
        handed = {row[0] for row in found}
        chosen = [pin for pin in pins if pin.source not in handed]
        if not chosen:
            return
        for statement in _TABLE:
            self.db.execute(statement)
        self.db.executemany(
            "DELETE FROM excluded WHERE id = ? AND uri = ?", [(pin.id, pin.uri) for pin in chosen]
        )
        self.db.executemany(
            "INSERT INTO excluded VALUES (?, ?, (SELECT uri FROM sources WHERE source = ?), ?, ?)",
            [(pin.id, pin.uri, pin.source, pin.hash, time.time()) for pin in chosen],
        )

    def lift(self, names: Iterable[str]) -> list[str]:
        """Take removed pins, by id or place, off the list; the names that are not on it."""
        missing, known = [], self.exist()
        for name in dict.fromkeys(names):
            if not (
                known
                and self.db.execute("DELETE FROM excluded WHERE id = ? OR uri = ?", (name, name)).rowcount
            ):
                missing.append(name)
        return missing

    def holds(self, record: Record, source: str, digest: bytes | None = None) -> bool:
        """Whether a record of a source is of a removed pin: by its place; by the id that the user gave it in that
        source; or, once its content is known, because the removed pin's file was moved to here.
        """
        same_place = "uri = ?" if not record.named else "uri = ? AND id = ?"
        values = (record.uri,) if not record.named else (record.uri, record.id)
        if self._where(same_place, *values):
            return True
        if record.named:
            return bool(self._where("id = ? AND source = ?", record.id, source))
        if digest is None:
            return False
        return any(gone(each.uri) for each in self._where("hash = ? LIMIT 16", digest))

    def _where(self, condition: str, *values: Any) -> list[Excluded]:
        if not self.exist():
            return []
        found = self.db.execute(f"SELECT id, uri, source, hash FROM excluded WHERE {condition}", values)
        return [Excluded(*row) for row in found]
