"""A catalog copied as one state, for backups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from visualsearch import copies

from .connections import translated
from .schema import FILE


class CopiedState(NamedTuple):
    """What a copied catalog says: its state, its number of pins, the files of vectors and approximate indexes it names."""

    state: int
    pins: int
    files: list[str]


def copy_catalog(folder: Path, target: Path) -> CopiedState:
    """Copy the catalog of an index into another folder; a copy that is there is replaced. Raises StorageError, OSError."""
    place = target / FILE
    place.unlink(missing_ok=True)
    with translated(folder / FILE):
        copies.copied_database(folder / FILE, place)
        with closing(sqlite3.connect(place)) as db:
            state = int(db.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()[0])
            pins = int(db.execute("SELECT count(*) FROM pins").fetchone()[0])
            named = db.execute("SELECT file FROM segments UNION SELECT file FROM generations ORDER BY file")
            return CopiedState(state, pins, [name for (name,) in named])
