"""The record of truth: one SQLite file (WAL) with pins, rows, segments and generations.

Every commit of the index is one transaction here; a vector file or a generation exists for readers only once it is named
here. Readers work inside a read transaction, so they see one state throughout. `PRAGMA user_version` numbers the layout.

What changes often does not belong here: every commit makes readers build their filter columns again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from visualsearch.errors import NotAnIndexError, VersionError
from visualsearch.storage import check_links, kept, shown, storage_error
from visualsearch.types import Attributes, Box, EncoderSpec, Failure, Int64

from .connections import Connections, translated
from .values import dumped, loaded, mended, wrong, wrong_name
from .vectors import Segment, flush_folder

FILE = "catalog.sqlite"
LAYOUT = 1
APPLICATION = 0x76697373  # "viss"
_CHUNK = 500

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE sources (source INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, kind TEXT NOT NULL);
CREATE TABLE pins (
  pin INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uri TEXT NOT NULL,
  source INTEGER REFERENCES sources,
  hash BLOB,
  stamp TEXT,
  row INTEGER NOT NULL UNIQUE,
  named INTEGER NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{}',
  added REAL NOT NULL
);
CREATE INDEX pins_uri ON pins (uri);
CREATE INDEX pins_hash ON pins (hash);
CREATE INDEX pins_source ON pins (source);
CREATE TABLE regions (row INTEGER PRIMARY KEY, pin INTEGER NOT NULL, x0 REAL, y0 REAL, x1 REAL, y1 REAL);
CREATE INDEX regions_pin ON regions (pin);
CREATE TABLE dead (row INTEGER PRIMARY KEY);
CREATE TABLE segments (
  segment INTEGER PRIMARY KEY, file TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
  pins BLOB NOT NULL, rows BLOB
);
CREATE TABLE generations (
  generation INTEGER PRIMARY KEY, file TEXT NOT NULL, preset TEXT NOT NULL, factory TEXT NOT NULL,
  search TEXT NOT NULL, covers INTEGER NOT NULL, bytes INTEGER NOT NULL, recall REAL, created REAL NOT NULL
);
CREATE TABLE failures (uri TEXT PRIMARY KEY, id TEXT, source INTEGER, reason TEXT, remedy TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Condition(Protocol):
    """What a query leaves: an SQL expression over `pins p`, and its bound values."""

    @property
    def sql(self) -> str:
        """The expression, with ? for each value."""
        ...

    @property
    def values(self) -> Sequence[Any]:
        """The values, in order."""
        ...


@dataclass(frozen=True)
class Pin:
    """One stored picture. `row` is its whole picture's vector; `hash` the sha256 of its bytes (None for vectors only).

    `named` says that the user chose the id.
    """

    pin: int
    id: str
    uri: str
    source: int | None
    hash: bytes | None
    stamp: str | None
    row: int
    named: bool
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Generation:
    """An approximate index over the positions 0 .. covers-1. `search` holds its search parameters."""

    number: int
    file: str
    preset: str
    factory: str
    search: dict[str, Any]
    covers: int
    bytes: int
    recall: float | None = None


class Catalog:
    """One index's catalog: many readers, each in a transaction of its own, and one writer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self.connections = Connections(self.path)

    # -- opening --------------------------------------------------------------------------------------------------
    @classmethod
    def create(cls, folder: Path, spec: EncoderSpec, preset: str = "auto") -> None:
        """Write a new, empty catalog into an existing folder; it appears complete or not at all."""
        path = folder / FILE
        aside = folder / f".{FILE}.{os.getpid()}.tmp"
        with translated(path):
            aside.unlink(missing_ok=True)
            db = sqlite3.connect(aside, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA user_version = {LAYOUT}; PRAGMA application_id = {APPLICATION};"
                )
                start = {
                    "encoder": spec.to_json(),
                    "preset": preset,
                    "created": time.time(),
                    "state": 0,
                    "next_row": 0,
                    "next_file": 1,
                }
                db.executemany("INSERT INTO meta VALUES (?, ?)", start.items())
                db.execute("COMMIT")
            finally:
                db.close()
            try:
                aside.replace(path)
                flush_folder(folder)
            except OSError as error:
                raise storage_error(path, error) from error

    @classmethod
    def open(cls, folder: Path) -> Catalog:
        """The catalog of an existing index. Raises NotAnIndexError or VersionError."""
        catalog = cls(folder)
        if not folder.exists():
            raise NotAnIndexError(
                f"no index at {folder}",
                "the folder does not exist",
                f"Build one: visualsearch index PICTURES --to {folder}",
            )
        check_links(folder)
        if not catalog.path.is_file():
            raise NotAnIndexError(
                f"{folder} is not an index",
                f"it has no {FILE}",
                f"Name an index folder, or build one: visualsearch index {folder} --to NEW.index",
            )
        with catalog.read() as reader:
            application = reader.db.execute("PRAGMA application_id").fetchone()[0]
            layout = reader.db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            catalog.close()
            raise NotAnIndexError(
                f"{folder} is not an index", f"its {FILE} was made by another program", "Name an index folder"
            )
        if layout > LAYOUT:
            catalog.close()
            raise VersionError(
                f"cannot open {folder}",
                f"it has on-disk layout {layout}, this release reads up to {LAYOUT}",
                "Upgrade: pip install --upgrade visualsearch",
            )
        return catalog

    def close(self) -> None:
        """Close every connection."""
        self.connections.close()

    # -- transactions ---------------------------------------------------------------------------------------------
    @contextmanager
    def read(self) -> Iterator[Reader]:
        """One consistent view of the catalog; nested calls in a thread share it."""
        with translated(self.path), self.connections.reading() as db:
            yield Reader(db, self.folder)

    def writer(self) -> Writer:
        """The writing connection. The caller holds the writer lock and closes it."""
        with translated(self.path):
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=30,
                check_same_thread=False,
            )
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                db.close()
                raise
            return Writer(db, self.path)


class Reader:
    """Questions to the catalog within one transaction."""

    def __init__(self, db: sqlite3.Connection, folder: Path) -> None:
        self.db, self.folder = db, folder

    def meta(self, key: str, default: Any = None) -> Any:
        """A value of the `meta` table."""
        found = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return found[0] if found else default

    @property
    def state(self) -> int:
        """Grows by one with every commit."""
        return int(self.meta("state", 0))

    def spec(self) -> EncoderSpec:
        """The encoder the index was built with."""
        return EncoderSpec.from_json(self.meta("encoder"))

    def count(self, table: str = "pins") -> int:
        """Rows of one of the catalog's tables."""
        return int(self.db.execute(f"SELECT count(*) FROM {_TABLES[table]}").fetchone()[0])

    def segments(self) -> list[Segment]:
        """All segments, in the order of their rows."""
        found = self.db.execute("SELECT segment, file, first, count, pins, rows FROM segments ORDER BY first")
        return [
            Segment(number, file, first, count, _ints(pins), None if rows is None else _ints(rows))
            for number, file, first, count, pins, rows in found
        ]

    def generation(self) -> Generation | None:
        """The newest approximate index, if any."""
        found = self.db.execute(
            "SELECT generation, file, preset, factory, search, covers, bytes, recall FROM generations"
            " ORDER BY generation DESC LIMIT 1"
        ).fetchone()
        if found is None:
            return None
        number, file, preset, factory, search, covers, size, recall = found
        return Generation(number, file, preset, factory, json.loads(search), covers, size, recall)

    def dead(self) -> Int64:
        """Row numbers that were deleted or replaced and not yet compacted away."""
        return np.array([r[0] for r in self.db.execute("SELECT row FROM dead ORDER BY row")], dtype=np.int64)

    def files(self) -> set[str]:
        """Names of all vector and generation files that this state uses."""
        return {r[0] for r in self.db.execute("SELECT file FROM segments UNION SELECT file FROM generations")}

    # -- pins -----------------------------------------------------------------------------------------------------
    PINS = "SELECT pin, id, uri, source, hash, stamp, row, named, attributes FROM pins p"

    def pins(self, numbers: Iterable[int]) -> dict[int, Pin]:
        """Pins by number; numbers that are gone are left out."""
        return {pin.pin: pin for pin in self._chosen("pin", list(numbers))}

    def by_id(self, name: str) -> Pin | None:
        """The pin of that id."""
        return next(self._chosen("id", [name]), None)

    def by_ids(self, names: Iterable[str]) -> list[Pin]:
        """The pins of those ids; ids that are not there are left out."""
        return list(self._chosen("id", list(names)))

    def look_up(self, wanted: str, by: str, keys: Sequence[Any]) -> dict[Any, Any]:
        """One column of pins (`pin`, `id` or `row`) by another, without their attributes; what is not there is left out."""
        if not {wanted, by} <= {"pin", "id", "row"}:
            raise ValueError(f"no such columns: {wanted}, {by}")
        sql = f"SELECT {by}, {wanted} FROM pins WHERE {by} IN (SELECT value FROM json_each(?))"
        return dict(self.db.execute(sql, (json.dumps(list(keys)),)))

    def by_uri(self, uri: str) -> Pin | None:
        """The pin of that place."""
        return next(self._chosen("uri", [kept(self.folder, uri), uri]), None)

    def by_hash(self, digest: bytes) -> list[Pin]:
        """At most a few pins whose file had these bytes."""
        return [self.pin(r) for r in self.db.execute(f"{self.PINS} WHERE hash = ? LIMIT 16", (digest,))]

    def each_pin(self) -> Iterator[Pin]:
        """All pins, by number."""
        for found in self.db.execute(f"{self.PINS} ORDER BY pin"):
            yield self.pin(found)

    def _chosen(self, column: str, keys: Sequence[Any]) -> Iterator[Pin]:
        for at in range(0, len(keys), _CHUNK):
            part = keys[at : at + _CHUNK]
            marks = ",".join("?" * len(part))
            for found in self.db.execute(f"{self.PINS} WHERE {column} IN ({marks})", part):
                yield self.pin(found)

    def pin(self, found: Sequence[Any]) -> Pin:
        """A row of PINS as a Pin."""
        pin, name, uri, source, digest, stamp, row, named, attributes = found
        place = shown(self.folder, uri)
        return Pin(pin, name, place, source, digest, stamp, row, bool(named), loaded(attributes))

    def rows_of(self, pin: Pin) -> tuple[tuple[int, Box | None], ...]:
        """A pin's rows: the whole picture's first with None, then its regions' with their boxes."""
        found = self.db.execute(
            "SELECT row, x0, y0, x1, y1 FROM regions WHERE pin = ? ORDER BY row", (pin.pin,)
        )
        return ((pin.row, None), *((row, Box(*box)) for row, *box in found))

    def matching(self, chosen: Condition) -> Int64:
        """Numbers of the pins that a filter leaves, ascending."""
        found = self.db.execute(f"SELECT p.pin FROM pins p WHERE {chosen.sql}", chosen.values)
        numbers = np.fromiter((r[0] for r in found), dtype=np.int64)
        numbers.sort()
        return numbers

    def boxes(self, rows: Iterable[int]) -> dict[int, Box]:
        """Boxes of region rows; rows of whole pictures are left out."""
        keys, boxes = list(rows), {}
        for at in range(0, len(keys), _CHUNK):
            part = keys[at : at + _CHUNK]
            marks = ",".join("?" * len(part))
            for row, *box in self.db.execute(
                f"SELECT row, x0, y0, x1, y1 FROM regions WHERE row IN ({marks})", part
            ):
                boxes[row] = Box(*box)
        return boxes

    def names(self) -> list[str]:
        """Names of all attributes that some pin had."""
        return [r[0] for r in self.db.execute("SELECT name FROM names ORDER BY name")]

    def wrong_pins(self) -> Iterator[tuple[int, str, str]]:
        """(number, id, why) of the pins whose stored attributes or id cannot be used as they are."""
        for number, name, text in self.db.execute("SELECT pin, id, attributes FROM pins ORDER BY pin"):
            if why := wrong(text):
                yield number, name, why

    def failures(self, limit: int | None = None) -> list[Failure]:
        """Pictures that the last run over their source could not index."""
        found = self.db.execute(
            "SELECT uri, id, reason, remedy FROM failures ORDER BY uri LIMIT ?",
            (-1 if limit is None else limit,),
        )
        return [Failure(*r) for r in found]


_TABLES = {t: t for t in ("pins", "regions", "dead", "segments", "generations", "failures", "sources")}


class Writer(Reader):
    """The one writing connection; every change happens inside `commit()`."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        super().__init__(db, path.parent)
        self.path = path

    @contextmanager
    def commit(self) -> Iterator[None]:
        """One transaction: all of it is kept, or none. The state number grows by one."""
        with translated(self.path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
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


def _ints(blob: bytes) -> Int64:
    return np.frombuffer(blob, dtype="<i8").astype(np.int64, copy=False)
