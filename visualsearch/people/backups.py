"""The record in a backup of its index: copied as one state, and cleaned of who is forgotten later."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlalchemy import select

from visualsearch import copies
from visualsearch.errors import StorageError, UsageError

from . import ids, private
from . import parts as disk
from .derived import ERASERS
from .model import FILE
from .persons import renumbered
from .privacy import Privacy, erase
from .schema import people
from .store import Store, now_ms

BACKUP = "backup"


def copy_record(folder: Path, target: Path) -> int | None:
    """Copy the SQLite record beside an index and the files of its closed days into a folder; how many people it knows.

    None where there is no such record; files of closed days that a record in PostgreSQL names are copied. Nobody is forgotten
    meanwhile: that waits. Events go on arriving. Raises LockedError, StorageError.
    """
    if not (folder / FILE).exists():
        if (folder / disk.FOLDER).is_dir():
            with disk.upkeep(folder):
                copies.copied_tree(folder / disk.FOLDER, target / disk.FOLDER)
        return None
    with disk.upkeep(folder):
        try:
            copies.copied_database(folder / FILE, target / FILE)
            with closing(sqlite3.connect(target / FILE)) as db:
                known: int = db.execute("SELECT count(*) FROM people").fetchone()[0]
                names = [name for (name,) in db.execute("SELECT file FROM parts ORDER BY file")]
            for name in names:
                _copy_part(folder, target, name)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"cannot copy {folder / FILE}", str(error), "Check both disks, then make the backup again"
            ) from error
    return known


def _copy_part(folder: Path, target: Path, name: str) -> None:
    place = (target / name).parent
    private.folder(target / disk.FOLDER)
    private.folder(place)
    copies.copied(folder / name, target / name)
    beside = ids.beside(folder / name)
    if beside.exists():
        copies.copied(beside, ids.beside(target / name))


class Copied(Privacy):
    """A record that is opened to be cleaned, or to name a backup in."""

    def __init__(self, folder: Path) -> None:
        self.store, self.now = Store(folder), now_ms

    def numbers(self) -> set[int]:
        """The pseudonyms' numbers of everybody in it."""
        with self.store.read() as db:
            return set(db.execute(select(people.c.person)).scalars())

    def forget_numbers(self, numbers: Collection[int]) -> int:
        """Take persons out of it, whole; how many it held. The database is written anew, so no byte of them is left."""
        held = sorted(self.numbers() & set(numbers))
        if not held:
            return 0
        with self.upkeep():
            self._forget_files(held)
            for number in held:
                self.store.write(partial(erase, number=number))
            self.store.write(partial(renumbered, store=self.store))
            self._refresh()
            self._erase_bytes(rewrite=True)
        return len(held)


def without(folder: Path, numbers: Collection[int]) -> int:
    """Take persons out of a backup, and bring its sums up to date; how many it held."""
    copied = Copied(folder)
    try:
        count = copied.forget_numbers(numbers)
    finally:
        copied.store.close()
    if count and (folder / copies.MANIFEST).exists():
        manifest = copies.read_manifest(folder)
        copies.write_manifest(folder, {**manifest, "files": copies.summed(folder)})
    return count


def forget_since(folder: Path, now: Path) -> int:
    """Take out of a backup whoever the record beside the index `now` knows no more; how many. A backup without a record is left.

    Raises UsageError where `now` has no record.
    """
    if not (folder / FILE).exists():
        return 0
    if not (now / FILE).exists():
        raise UsageError(
            f"cannot tell who was forgotten since, from {now}",
            f"it has no {FILE}",
            "Name the index as it is today, or leave --after out",
        )
    held, living = Copied(folder), Copied(now)
    try:
        gone = held.numbers() - living.numbers()
    finally:
        held.store.close()
        living.store.close()
    return without(folder, gone)


def follow_backup(folder: Path, place: Path) -> None:
    """Name a new backup in the record, so that `forget` cleans it; take out who was forgotten while it was made."""
    record = Copied(folder)
    try:
        record.track(place, BACKUP)
    finally:
        record.store.close()
    forget_since(place, folder)


def _erased(store: Store, place: Path, numbers: Collection[int]) -> None:
    if (place / FILE).exists():
        without(place, numbers)


ERASERS[BACKUP] = _erased
