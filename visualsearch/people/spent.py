"""What was spent of each privacy budget, kept beside the record: a record that is replaced by an older one wins nothing back."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from visualsearch.errors import StorageError

from . import private

MARK = ".spent.sqlite"
"""Hidden, so that no backup takes it along: a backup would bring an older one back."""
_TABLE = "CREATE TABLE IF NOT EXISTS spent (data_set TEXT PRIMARY KEY, rho REAL NOT NULL)"
_RAISE = (
    "INSERT INTO spent VALUES (?, ?) ON CONFLICT (data_set) DO UPDATE SET rho = max(rho, excluded.rho)"
    " WHERE excluded.rho > rho"
)


class Mark:
    """The most that was ever spent of each data set, as rho. It only rises."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MARK

    def of(self, data_sets: Collection[str] | None = None) -> dict[str, float]:
        """Data set -> rho, of those that have a mark; None: of all. Raises StorageError."""
        if not self.path.exists():
            return {}
        try:
            with closing(sqlite3.connect(self.path, timeout=30)) as db:
                if data_sets is None:
                    return dict(db.execute("SELECT data_set, rho FROM spent"))
                asked = "SELECT data_set, rho FROM spent WHERE data_set = ?"
                return dict(row for name in data_sets for row in db.execute(asked, (name,)))
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def rise(self, totals: Mapping[str, float]) -> None:
        """Raise marks to at least these totals; on disk when this returns. Raises StorageError."""
        try:
            private.touched(self.path)
            with closing(sqlite3.connect(self.path, timeout=30)) as db:
                db.execute("PRAGMA synchronous = FULL")
                with db:
                    db.execute(_TABLE)
                    db.executemany(_RAISE, sorted(totals.items()))
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StorageError:
        return StorageError(
            f"cannot use {self.path}",
            str(error),
            "Check the disk. Without this file nobody can tell whether the record is an older one",
        )
