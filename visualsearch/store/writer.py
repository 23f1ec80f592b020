"""Changes to the catalog: the one writing connection, a transaction a commit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from visualsearch.storage import kept
from visualsearch.types import Attributes, Box, Failure

from .connections import translated
from .followed import IDENTITIES, Followed, Identities
from .reader import Generation, Reader
from .values import dumped, mended, wrong_name
from .vectors import Segment

KEPT_CHANGES = 65_536
"""Entries of the log of changes. A reader that knows a state before them reads all pins anew."""


class Writer(Reader):
    """The one writing connection; every change happens inside `commit()`."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        super().__init__(db, path.parent)
        self.path = path
        self.followed = Followed(db)

    def identities(self) -> Identities:
        """Which pins this connection has added, removed, renamed or given another picture."""
        return self.followed.changes(int(self.meta(IDENTITIES) or 0))

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One transaction: all of it is kept, or none. The state number grows by one."""
        with translated(self.path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                seen = self.followed.latest()
                yield
                if self.followed.latest() != seen:
                    self.set_meta(IDENTITIES, int(self.meta(IDENTITIES) or 0) + 1)
                    self.followed.committing()
                self.db.execute(
                    "DELETE FROM changes WHERE number <= (SELECT max(number) FROM changes) - ?",
                    (KEPT_CHANGES,),
                )
                self.db.execute("UPDATE meta SET value = value + 1 WHERE key = 'state'")
                self.db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Fold the log into the database where no reader holds it, and close."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a value in the `meta` table."""
        self.db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def take(self, counter: str, count: int = 1) -> int:
        """Reserve `count` numbers of a counter that never goes back; the first of them."""
        first = int(self.meta(counter))
        self.set_meta(counter, first + count)
        return first

    def source(self, uri: str, kind: str) -> int:
        """The number of a source, made when it is new."""
        self.db.execute(
            "INSERT INTO sources (uri, kind) VALUES (?, ?) ON CONFLICT (uri) DO NOTHING", (uri, kind)
        )
        return int(self.db.execute("SELECT source FROM sources WHERE uri = ?", (uri,)).fetchone()[0])

    def add_segment(self, segment: Segment) -> None:
        """Name a vector file that is already complete on disk."""
        rows = None if segment.rows is None else segment.rows.astype("<i8").tobytes()
        self.db.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)",
            (
                segment.number,
                segment.file,
                segment.first,
                segment.count,
                segment.pins.astype("<i8").tobytes(),
                rows,
            ),
        )

    def drop_segments(self, numbers: Iterable[int]) -> None:
        """Forget segments; their files are deleted by the caller after the commit."""
        self.db.executemany("DELETE FROM segments WHERE segment = ?", [(n,) for n in numbers])

    def set_generation(self, generation: Generation | None) -> None:
        """Name a complete generation, or none; older ones are forgotten."""
        self.db.execute("DELETE FROM generations")
        if generation is None:
            return
        self.db.execute(
            "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                generation.number,
                generation.file,
                generation.preset,
                generation.factory,
                json.dumps(generation.search),
                generation.covers,
                generation.bytes,
                generation.recall,
                time.time(),
            ),
        )

    def put_pin(
        self,
        name: str,
        uri: str,
        source: int | None,
        digest: bytes | None,
        stamp: str | None,
        row: int,
        attributes: Attributes,
        named: bool = False,
        pin: int | None = None,
    ) -> int:
        """Add a pin, or give an existing one new content: its old rows become dead. Returns its number."""
        text = self._attributes(attributes)
        if pin is None:
            cursor = self.db.execute(
                "INSERT INTO pins (id, uri, source, hash, stamp, row, named, attributes, added)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, kept(self.folder, uri), source, digest, stamp, row, named, text, time.time()),
            )
            return int(cursor.lastrowid or 0)
        self._bury(pin)
        self.db.execute(
            "UPDATE pins SET id = ?, uri = ?, source = ?, hash = ?, stamp = ?, row = ?, named = ?, attributes = ?"
            " WHERE pin = ?",
            (name, kept(self.folder, uri), source, digest, stamp, row, named, text, pin),
        )
        return pin

    def touch_pin(
        self,
        pin: int,
        name: str,
        uri: str,
        source: int | None,
        stamp: str | None,
        attributes: Attributes,
        named: bool,
    ) -> None:
        """Change what is known of a pin whose content stays."""
        self.db.execute(
            "UPDATE pins SET id = ?, uri = ?, source = ?, stamp = ?, named = ?, attributes = ? WHERE pin = ?",
            (name, kept(self.folder, uri), source, stamp, named, self._attributes(attributes), pin),
        )

    def add_region(self, row: int, pin: int, box: Box) -> None:
        """Say that a row is a part of a pin's picture."""
        self.db.execute("INSERT INTO regions VALUES (?, ?, ?, ?, ?, ?)", (row, pin, *box))

    def delete_pins(self, numbers: Iterable[int]) -> int:
        """Remove pins; their rows become dead until `compact`. Returns how many there were."""
        gone = 0
        for number in numbers:
            self._bury(number)
            gone += self.db.execute("DELETE FROM pins WHERE pin = ?", (number,)).rowcount
        return gone

    def forget_dead(self) -> None:
        """Say that no dead row is left in the vector files."""
        self.db.execute("DELETE FROM dead")

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk; outside a commit. Where that fails, the catalog is whole as it is."""
        with suppress(sqlite3.Error):
            self.db.execute("VACUUM")

    def _bury(self, pin: int) -> None:
        self.db.execute("INSERT OR IGNORE INTO dead SELECT row FROM pins WHERE pin = ?", (pin,))
        self.db.execute("INSERT OR IGNORE INTO dead SELECT row FROM regions WHERE pin = ?", (pin,))
        self.db.execute("DELETE FROM regions WHERE pin = ?", (pin,))

    def _attributes(self, attributes: Attributes) -> str:
        self.db.executemany("INSERT OR IGNORE INTO names VALUES (?)", [(n,) for n in attributes])
        return dumped(attributes)

    def mend(self) -> int:
        """Make the attributes that `wrong_pins` finds usable, and keep of them what can be; returns how many pins these are."""
        found = [number for number, _, _ in self.wrong_pins()]
        for number in found:
            (text,) = self.db.execute("SELECT attributes FROM pins WHERE pin = ?", (number,)).fetchone()
            clean = self._attributes(mended(text))
            self.db.execute("UPDATE pins SET attributes = ? WHERE pin = ?", (clean, number))
        held = [(name,) for name in self.names() if wrong_name(name)]
        self.db.executemany("DELETE FROM names WHERE name = ?", held)
        return len(found)

    def fail(self, failure: Failure, source: int | None) -> None:
        """Record why a picture was not indexed."""
        self.db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)",
            (failure.uri, failure.id, source, failure.reason, failure.remedy, time.time()),
        )

    def forget_failures(self, source: int) -> None:
        """Clear a source's failures before it is read again."""
        self.db.execute("DELETE FROM failures WHERE source = ?", (source,))
