"""Bringing a catalog of an older release to the present layout, in one transaction.

Until it ends, the older release can read and write the catalog. A kill in between leaves it as it was. A catalog of a layout
from READABLE on is read as it is, so opening and searching change nothing. The first command that writes migrates it.

| layout | what it brought |
| --- | --- |
| 0 | the first one; it calls itself 1 |
| 1 | `pins.named`: whether the user chose the id |
| 2 | `changes`: which pins were altered or removed, for readers that know an earlier state |
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from visualsearch.errors import NotAnIndexError, VersionError

from .schema import APPLICATION, CHANGES, FILE, LAYOUT, PINS

READABLE = 1
"""The oldest layout that readers understand."""


def layout_of(db: sqlite3.Connection, folder: Path) -> int:
    """The layout of an index's catalog. Raises NotAnIndexError, or VersionError for one of a later release."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise NotAnIndexError(
            f"{folder} is not an index", f"its {FILE} was made by another program", "Name an index folder"
        )
    layout = int(db.execute("PRAGMA user_version").fetchone()[0])
    if layout > LAYOUT:
        raise VersionError(
            f"cannot open {folder}",
            f"it has on-disk layout {layout}, this release reads up to {LAYOUT}",
            "Upgrade: pip install --upgrade visualsearch",
        )
    named = db.execute("SELECT 1 FROM pragma_table_info('pins') WHERE name = 'named'").fetchone()
    return layout if named else 0


def migrate(db: sqlite3.Connection, folder: Path) -> None:
    """Bring a catalog to the present layout. The caller holds the writer lock. Raises VersionError, NotAnIndexError."""
    if layout_of(db, folder) == LAYOUT:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for layout in range(layout_of(db, folder), LAYOUT):
            _STEPS[layout](db)
        db.execute(f"PRAGMA user_version = {LAYOUT}")
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def statements(script: str) -> Iterator[str]:
    """The statements of a script, for a connection that is in a transaction: `executescript` would end it."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _name_pins(db: sqlite3.Connection) -> None:
    """Only a source that names its pictures gives them attributes, so a pin with some has an id that the user chose."""
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'pins'").fetchone()
    db.execute("ALTER TABLE pins RENAME TO old_pins")
    for index in ("pins_uri", "pins_hash", "pins_source"):
        db.execute(f"DROP INDEX {index}")
    for statement in statements(PINS):
        db.execute(statement)
    db.execute(
        "INSERT INTO pins (pin, id, uri, source, hash, stamp, row, named, attributes, added)"
        " SELECT pin, id, uri, source, hash, stamp, row, attributes <> '{}', attributes, added FROM old_pins"
    )
    db.execute("DROP TABLE old_pins")
    if last is not None:  # numbers of removed pins are not given again
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'pins'")
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('pins', ?)", last)


def _log_changes(db: sqlite3.Connection) -> None:
    for statement in statements(CHANGES):
        db.execute(statement)


_STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {0: _name_pins, 1: _log_changes}
"""What brings a catalog of a layout to the next one."""
