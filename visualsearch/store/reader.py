"""Questions to the catalog within one read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.storage import kept, shown
from visualsearch.types import Box, EncoderSpec, Failure, Int64

from .attributes import ATTRIBUTES, AttributeReader, Condition, condition_of, json_path
from .values import loaded, wrong
from .vectors import Segment

_CHUNK = 500
_MIX = 2_654_435_761  # Knuth, TAOCP 6.4: multiplication by it scatters consecutive numbers


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


@dataclass(frozen=True)
class Mark:
    """A state as the log of changes knows it: its last entry, and the highest pin number that was ever given."""

    change: int
    pin: int


@dataclass(frozen=True)
class Changes:
    """What happened to the pins after a mark: their numbers, ascending. A pin that came and went is nowhere."""

    removed: Int64
    altered: Int64
    added: Int64

    def __len__(self) -> int:
        return len(self.removed) + len(self.altered) + len(self.added)


class Reader(AttributeReader):
    """Questions to the catalog within one transaction."""

    def __init__(self, db: sqlite3.Connection, folder: Path) -> None:
        super().__init__(db)
        self.folder = folder

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
    _PINS = "SELECT pin, id, uri, source, hash, stamp, row, named, attributes FROM pins p"

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

    def texts(self, names: Iterable[str]) -> dict[str, str]:
        """The attributes of the pins of those ids as they are stored, JSON that was not read."""
        sql = "SELECT id, attributes FROM pins WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self.db.execute(sql, (json.dumps(list(names)),)))

    def known(self, names: Iterable[str]) -> list[tuple[int, str, bytes | None]]:
        """Number, id and picture's hash of the pins of those ids: many times quicker than whole pins."""
        sql = "SELECT pin, id, hash FROM pins WHERE id IN (SELECT value FROM json_each(?))"
        return list(self.db.execute(sql, (json.dumps(list(names)),)))

    def by_uri(self, uri: str) -> Pin | None:
        """The pin of that place."""
        return next(self._chosen("uri", [kept(self.folder, uri), uri]), None)

    def by_hash(self, digest: bytes) -> list[Pin]:
        """At most a few pins whose file had these bytes."""
        return [self._pin(r) for r in self.db.execute(f"{self._PINS} WHERE hash = ? LIMIT 16", (digest,))]

    def numbers(self) -> Int64:
        """Numbers of all pins, ascending."""
        return self._numbers("SELECT pin FROM pins ORDER BY pin")

    def whole_rows(self) -> list[tuple[int, int, str]]:
        """(row of the whole picture, number, id) of all pins, by row; without their attributes."""
        return list(self.db.execute("SELECT row, pin, id FROM pins ORDER BY row"))

    def some_ids(self, most: int) -> Iterator[str]:
        """Ids of at most so many pins, in no particular order."""
        return (r[0] for r in self.db.execute("SELECT id FROM pins LIMIT ?", (most,)))

    def each_pin(self) -> Iterator[Pin]:
        """All pins, by number."""
        for found in self.db.execute(f"{self._PINS} ORDER BY pin"):
            yield self._pin(found)

    def mentioning(self, text: str) -> Iterator[Pin]:
        """The pins, by number, whose attributes or place hold a text of ASCII letters, digits, dots and hyphens, in any case."""
        held = "instr(lower(attributes), ?) OR instr(lower(uri), ?)"
        for found in self.db.execute(f"{self._PINS} WHERE {held} ORDER BY pin", (text.lower(), text.lower())):
            yield self._pin(found)

    def page(
        self, chosen: Condition | None, k: int, offset: int = 0, sort: str | None = None, down: bool = False
    ) -> list[Pin]:
        """`k` of the pins that a filter leaves, `offset` of them passed over.

        `sort` is an attribute, `down` from high to low; pins without it come last. Without one, pins come well mixed.
        """
        condition, values = condition_of(chosen)
        if sort is None:
            order, keys = f"(p.pin * {_MIX}) % 4294967296, p.pin", []
        else:
            value = f"json_extract({ATTRIBUTES}, ?)"
            order = f"{value} IS NULL, {value} {'DESC' if down else 'ASC'}, p.pin"
            keys = [json_path(sort)] * 2
        question = f"{self._PINS} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"
        return [self._pin(row) for row in self.db.execute(question, (*values, *keys, k, offset))]

    def places_of(self, source: int) -> Iterator[tuple[int, str]]:
        """(number, stored place) of the pins of a source."""
        return self.db.execute("SELECT pin, uri FROM pins WHERE source = ?", (source,))

    def _numbers(self, question: str, values: Sequence[Any] = ()) -> Int64:
        return np.fromiter((r[0] for r in self.db.execute(question, values)), dtype=np.int64)

    def _chosen(self, column: str, keys: Sequence[Any]) -> Iterator[Pin]:
        for at in range(0, len(keys), _CHUNK):
            part = keys[at : at + _CHUNK]
            marks = ",".join("?" * len(part))
            for found in self.db.execute(f"{self._PINS} WHERE {column} IN ({marks})", part):
                yield self._pin(found)

    def _pin(self, found: Sequence[Any]) -> Pin:
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

    def has_regions(self) -> bool:
        """Whether a pin has regions."""
        return self.db.execute("SELECT 1 FROM regions LIMIT 1").fetchone() is not None

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

    def added(self, numbers: Iterable[int]) -> dict[int, float]:
        """When pins were added, by pin number: Unix seconds."""
        keys = list(numbers)
        times: dict[int, float] = {}
        for at in range(0, len(keys), _CHUNK):
            part = keys[at : at + _CHUNK]
            marks = ",".join("?" * len(part))
            times.update(self.db.execute(f"SELECT pin, added FROM pins WHERE pin IN ({marks})", part))
        return times

    def damage(self) -> list[str]:
        """What SQLite's own check of the catalog's file finds, the first ten; [] when it is whole."""
        return [r[0] for r in self.db.execute("PRAGMA integrity_check(10)") if r[0] != "ok"]

    def named_rows(self) -> Int64:
        """(n, 2) row and pin number of every row that a pin or a region has, by row."""
        found = self.db.execute(
            "SELECT row, pin FROM pins UNION ALL SELECT row, pin FROM regions ORDER BY row"
        )
        return np.array(found.fetchall(), dtype=np.int64).reshape(-1, 2)

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

    # -- sources --------------------------------------------------------------------------------------------------
    def sources(self) -> list[str]:
        """Uris of all sources."""
        return [r[0] for r in self.db.execute("SELECT uri FROM sources ORDER BY uri")]

    def source_uri(self, source: int) -> str:
        """The uri of a source; "" for a number that none has."""
        found = self.db.execute("SELECT uri FROM sources WHERE source = ?", (source,)).fetchone()
        return str(found[0]) if found else ""

    # -- what changed ---------------------------------------------------------------------------------------------
    def mark(self) -> Mark | None:
        """Where this state stands, for `changes_since`; None where an older release made the catalog, which kept no log."""
        if not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'changes'").fetchone():
            return None
        last = dict(self.db.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        return Mark(last.get("changes", 0), last.get("pins", 0))

    def changes_since(self, mark: Mark) -> Changes | None:
        """What happened to the pins since an earlier state; None where the log does not reach back to it."""
        now = self.mark()
        if now is None or now.change < mark.change or now.pin < mark.pin:
            return None
        oldest = self.db.execute("SELECT min(number) FROM changes").fetchone()[0]
        if mark.change < (now.change if oldest is None else oldest - 1):
            return None
        logged = "SELECT DISTINCT pin FROM changes WHERE number > ? AND pin <= ?"
        since = (mark.change, mark.pin)
        touched = self._numbers(f"{logged} ORDER BY pin", since)
        altered = self._numbers(f"SELECT pin FROM pins WHERE pin IN ({logged}) ORDER BY pin", since)
        added = self._numbers("SELECT pin FROM pins WHERE pin > ? ORDER BY pin", (mark.pin,))
        return Changes(np.setdiff1d(touched, altered, assume_unique=True), altered, added)


_TABLES = {t: t for t in ("pins", "regions", "dead", "segments", "generations", "failures", "sources")}


def _ints(blob: bytes) -> Int64:
    return np.frombuffer(blob, dtype="<i8").astype(np.int64, copy=False)
