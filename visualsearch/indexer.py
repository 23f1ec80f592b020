"""From a source to the catalog and the vectors: incremental, resumable, in bounded memory.

Identity is the content (sha256). An unchanged place (same stamp) is not read; an unchanged content is not embedded, also
under another name; a changed content replaces its rows. A commit is one transaction after its vectors are on disk, so a
kill at any instant loses at most what was not yet reported as committed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import images
from .catalog import Catalog, Pin, Writer
from .crops import view
from .errors import ODD, VisualSearchError
from .pipeline import Clock, Embedded, Prepared, embed, failed, look_ahead
from .resources import cores
from .types import Box, Encoder, Failure, Float32, IndexReport, Record
from .vectors import Segment, Vectors, write_segment

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT_FAILURES = 1000
"""A report holds at most this many failures; the catalog has them all."""


@dataclass(frozen=True)
class Settings:
    """How to run the indexer.

    `batch`: pictures embedded at once. `workers`: threads that read and decode (default: one a processor).
    `commit_rows` / `commit_seconds`: a commit follows whichever comes first. `prune`: remove pins of this source that are gone
    from it. `check_content`: read every file even where size and time are unchanged. `max_pixels`: larger pictures fail.
    """

    batch: int = 64
    workers: int | None = None
    commit_rows: int = 4096
    commit_seconds: float = 10.0
    prune: bool = False
    check_content: bool = False
    max_pixels: int = images.MAX_PIXELS


@dataclass(frozen=True)
class Progress:
    """A moment of a run: pictures seen and committed, the expected number if known, and busy seconds by stage."""

    seen: int
    committed: int
    failed: int
    total: int | None
    seconds: float
    stages: dict[str, float]


@dataclass
class _Tally:
    seen: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    embedded: int = 0
    failures: list[Failure] = field(default_factory=list)

    def fail(self, failure: Failure) -> None:
        self.failed += 1
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(failure)

    def merge(self, other: _Tally) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        del self.failures[KEPT_FAILURES:]


@dataclass(frozen=True)
class _Known:
    """A record and the pin that it is about, if there is one yet."""

    record: Record
    pin: Pin | None


class Indexer:
    """One run over one source. The caller holds the writer lock.

    `propose(picture)` names the object regions to index beside the whole picture; None indexes whole pictures only. Pins with
    a row below `since` were indexed before regions were asked for, and are embedded again.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        writer: Writer,
        encoder: Encoder,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
        propose: Callable[[Image], list[Box]] | None = None,
        since: int = 0,
    ) -> None:
        self.folder, self.catalog, self.writer = folder, catalog, writer
        self.encoder, self.settings = encoder, settings
        self.progress, self.propose, self.since = progress, propose, since
        self.workers = settings.workers or cores()
        self.clock = Clock()
        self.tally = _Tally()
        self.committed = 0
        self.started = time.perf_counter()
        self.total: int | None = None
        self.source = 0
        self._visited: list[int] = []

    def run(
        self, items: Iterable[Record | Failure], uri: str, kind: str, total: int | None = None
    ) -> IndexReport:
        """Index every record of a source; `uri` is the source's identity."""
        self.total = total
        with self.writer.commit():
            self.source = self.writer.source(uri, kind)
            self.writer.forget_failures(self.source)
        self.writer.db.execute("DROP TABLE IF EXISTS temp.visited")
        self.writer.db.execute("CREATE TEMP TABLE visited (pin INTEGER PRIMARY KEY)")
        window = 2 * self.settings.batch + 2 * self.workers
        done: list[Embedded[Prepared]] = []
        last = time.perf_counter()
        prepared = look_ahead(self._changed(items), self._prepare, self.workers, window)
        try:
            with closing(prepared):
                for group in embed(
                    prepared, lambda p: p.pixels, self.encoder, self.settings.batch, self.clock
                ):
                    # The squares have done their work: kept until the commit, they would be most of the memory.
                    done += (Embedded(replace(one.item, pixels=None), one.vectors) for one in group)
                    now = time.perf_counter()
                    if len(done) >= self.settings.commit_rows or now - last > self.settings.commit_seconds:
                        self._commit(done)
                        done, last = [], now
                    self._tell(len(done))
        except (KeyboardInterrupt, VisualSearchError):
            self._commit(done)  # what is embedded is paid for: keep it before leaving
            raise
        self._commit(done)
        if self.settings.prune:
            self._prune()
        self._tell()
        return self._report()

    # -- workers --------------------------------------------------------------------------------------------------
    def _changed(self, items: Iterable[Record | Failure]) -> Iterator[_Known | Failure]:
        """All but what is known to be as it was; that is counted here and costs one look-up."""
        for item in items:
            if isinstance(item, Failure):
                yield item
                continue
            pin = self._pin_of(item)
            if pin is not None and self._as_it_was(item, pin):
                self.tally.seen += 1
                self.tally.unchanged += 1
                self._visit(pin.pin)
                if self.tally.seen % 512 == 0:
                    self._tell()
            else:
                yield _Known(item, pin)

    def _as_it_was(self, record: Record, pin: Pin) -> bool:
        return (
            not self.settings.check_content
            and pin.row >= self.since
            and record.stamp is not None
            and record.stamp == pin.stamp
            and record.uri == pin.uri
            and (not record.named or (pin.named and dict(record.attributes) == pin.attributes))
        )

    def _pin_of(self, record: Record) -> Pin | None:
        """The pin a record is about: by its id where the user named it, else by its place.

        A named record takes over the pin that its place got before it had a name.
        """
        if not record.named:
            return self.writer.by_uri(record.uri)
        pin = self.writer.by_id(record.id)
        if pin is None:
            unnamed = self.writer.by_uri(record.uri)
            pin = unnamed if unnamed is not None and not unnamed.named else None
        return pin

    def _prepare(self, known: _Known | Failure) -> Prepared:
        if isinstance(known, Failure):
            return Prepared(Record(known.id, known.uri, bytes), failure=known)
        record, pin = known.record, known.pin
        if record.vector is not None:
            return Prepared(record, hashlib.sha256(record.vector.tobytes()).digest())
        try:
            with self.clock.stage("read", self.workers):
                data = record.read()
                digest = hashlib.sha256(data).digest()
                if pin is not None and pin.hash == digest and pin.row >= self.since:
                    return Prepared(record, digest)
                if rows := self._stored(digest):
                    return Prepared(record, digest, twin=rows)
            with self.clock.stage("decode", self.workers):
                return self._decoded(record, data, digest)
        except ODD as error:
            return Prepared(record, failure=failed(record, error))

    def _stored(self, digest: bytes) -> tuple[tuple[int, Box | None], ...]:
        """Rows (and boxes) that a pin of the same content has."""
        with self.catalog.read() as reader:
            twin = next((pin for pin in reader.by_hash(digest) if pin.row >= self.since), None)
            return reader.rows_of(twin) if twin is not None else ()

    def _decoded(self, record: Record, data: bytes, digest: bytes) -> Prepared:
        images.accelerate()
        # Regions are cut from the full picture; without them a JPEG may be decoded at the model's scale.
        target = None if self.propose else self.encoder.spec.preprocessing.size
        picture = images.decode(data, name=record.uri, max_pixels=self.settings.max_pixels, target=target)
        boxes = tuple(self.propose(picture)) if self.propose else ()
        parts = [self.encoder.preprocess(picture)]
        parts += [self.encoder.preprocess(view(picture, box)) for box in boxes]
        return Prepared(record, digest, np.stack(parts), boxes)

    # -- the committing thread ------------------------------------------------------------------------------------
    def _commit(self, done: list[Embedded[Prepared]]) -> None:
        """All of `done` in one transaction, its vectors on the disk before the transaction ends."""
        if not done:
            return
        with self.clock.stage("commit"):
            batch = _Batch(self)
            with self.writer.commit():
                for entry in done:
                    batch.place(entry)
                batch.write()
        self.tally.merge(batch.tally)
        self.committed += len(done)
        for pin in batch.visited:
            self._visit(pin)

    def _visit(self, pin: int) -> None:
        if self.settings.prune:
            self._visited.append(pin)
            if len(self._visited) >= 50_000:
                self._keep_visited()

    def _keep_visited(self) -> None:
        self.writer.db.execute("BEGIN")
        self.writer.db.executemany(
            "INSERT OR IGNORE INTO temp.visited VALUES (?)", [(p,) for p in self._visited]
        )
        self.writer.db.execute("COMMIT")
        self._visited.clear()

    def _prune(self) -> None:
        """Remove this source's pins that it no longer has. Pins below a folder that could not be read are kept."""
        self._keep_visited()
        with self.clock.stage("commit"), self.writer.commit():
            gone = self.writer.db.execute(
                "SELECT pin FROM pins p WHERE source = ? AND pin NOT IN (SELECT pin FROM temp.visited) AND NOT EXISTS"
                " (SELECT 1 FROM failures f WHERE f.source = p.source"
                "  AND (p.uri = f.uri OR substr(p.uri, 1, length(f.uri) + 1) = f.uri || '/'))",
                (self.source,),
            ).fetchall()
            self.tally.removed += self.writer.delete_pins(r[0] for r in gone)

    def _tell(self, waiting: int = 0) -> None:
        if self.progress:
            seconds = time.perf_counter() - self.started
            t = self.tally
            self.progress(
                Progress(t.seen + waiting, self.committed, t.failed, self.total, seconds, self.clock.stages())
            )

    def _report(self) -> IndexReport:
        values = {each.name: getattr(self.tally, each.name) for each in fields(self.tally)}
        values["failures"] = tuple(self.tally.failures)
        return IndexReport(**values, seconds=time.perf_counter() - self.started, stages=self.clock.stages())


class _Batch:
    """One commit in the making: decides for each entry what it is, and collects the rows that are new."""

    def __init__(self, run: Indexer) -> None:
        self.run, self.writer = run, run.writer
        self.tally = _Tally()
        self.visited: list[int] = []
        self.vectors: list[Float32] = []
        self.pins: list[int] = []
        self.first = int(self.writer.meta("next_row"))
        self._store: Vectors | None = None

    def place(self, entry: Embedded[Prepared]) -> None:
        """Put one entry into the catalog."""
        self.tally.seen += 1
        prepared, record = entry.item, entry.item.record
        pin = self.run._pin_of(record)
        if pin is not None:
            self.visited.append(pin.pin)
        if prepared.failure is not None:
            self.tally.fail(prepared.failure)
            self.writer.fail(prepared.failure, self.run.source)
        elif pin is not None and pin.hash == prepared.digest and pin.row >= self.run.since:
            self._same_content(record, pin)
        elif (gone := self._renamed(prepared, pin)) is not None:
            self._touch(record, gone, self._free_id(record, gone))
            self.visited.append(gone.pin)
            self.tally.moved += 1
        else:
            self._new_content(entry, pin)

    def write(self) -> None:
        """Write the collected vectors as one segment and name it."""
        if not self.vectors:
            return
        matrix = np.stack(self.vectors)
        number = self.writer.take("next_file")
        file = write_segment(self.run.folder, number, matrix)
        first = self.writer.take("next_row", len(matrix))
        self.writer.add_segment(
            Segment(number, file, first, len(matrix), np.array(self.pins, dtype=np.int64))
        )

    def _same_content(self, record: Record, pin: Pin) -> None:
        changed = record.named and (not pin.named or dict(record.attributes) != pin.attributes)
        if changed or pin.stamp != record.stamp or pin.uri != record.uri:
            self._touch(record, pin, record.id if record.named else pin.id)
        if changed:
            self.tally.updated += 1
        else:
            self.tally.unchanged += 1

    def _touch(self, record: Record, pin: Pin, name: str) -> None:
        # A picture that has a name and attributes keeps them when its folder is indexed too.
        keep = pin.named and not record.named
        attributes = pin.attributes if keep else record.attributes
        source = pin.source if keep else self.run.source
        named = pin.named or record.named
        self.writer.touch_pin(pin.pin, name, record.uri, source, record.stamp, attributes, named)

    def _renamed(self, prepared: Prepared, pin: Pin | None) -> Pin | None:
        """The pin of the same content whose file is gone: the file was moved here."""
        record = prepared.record
        if pin is not None or record.named or record.vector is not None or prepared.digest is None:
            return None
        for twin in self.writer.by_hash(prepared.digest):
            local = Path(twin.uri)
            if not twin.named and local.is_absolute() and not local.exists():
                return twin
        return None

    def _new_content(self, entry: Embedded[Prepared], pin: Pin | None) -> None:
        prepared, record = entry.item, entry.item.record
        vectors, boxes = self._vectors_of(entry)
        row = self.first + len(self.vectors)
        if pin is not None and pin.named and not record.named:
            record = Record(pin.id, record.uri, record.read, pin.attributes, True, record.stamp)
        name = record.id if record.named else (pin.id if pin is not None else self._free_id(record, None))
        number = self.writer.put_pin(
            name,
            record.uri,
            self.run.source if pin is None or pin.named == entry.item.record.named else pin.source,
            prepared.digest,
            record.stamp,
            row,
            record.attributes,
            record.named,
            pin.pin if pin is not None else None,
        )
        for offset, box in enumerate(boxes, start=1):
            self.writer.add_region(row + offset, number, box)
        self.vectors += list(vectors)
        self.pins += [number] * len(vectors)
        self.visited.append(number)
        if pin is None:
            self.tally.added += 1
        else:
            self.tally.updated += 1

    def _vectors_of(self, entry: Embedded[Prepared]) -> tuple[Float32, tuple[Box, ...]]:
        """(m, d) vectors, the whole picture's first, and the boxes of the others."""
        prepared = entry.item
        if prepared.record.vector is not None:
            return prepared.record.vector[None], ()
        if entry.vectors is not None:
            self.tally.embedded += 1
            return entry.vectors, prepared.boxes
        # The content is stored under another pin: its rows stay readable until a compaction, so they are copied.
        if self._store is None:
            self._store = Vectors(self.run.folder, self.writer.segments(), self.run.encoder.spec.dim)
        rows = np.array([row for row, _ in prepared.twin], dtype=np.int64)
        return self._store.gather(self._store.positions(rows)), tuple(
            b for _, b in prepared.twin if b is not None
        )

    def _free_id(self, record: Record, pin: Pin | None) -> str:
        """The record's id, or one like it that no other pin has."""
        tail = hashlib.sha256(record.uri.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        parent = Path(record.uri).parent.name
        for name in (record.id, f"{parent}/{record.id}" if parent else record.id, f"{record.id}~{tail}"):
            other = self.writer.by_id(name)
            if other is None or (pin is not None and other.pin == pin.pin):
                return name
        return f"{record.id}~{tail}{record.stamp or ''}"
