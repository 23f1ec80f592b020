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

from visualsearch import images
from visualsearch.errors import ODD, UsageError, VisualSearchError
from visualsearch.images import view
from visualsearch.resources import cores
from visualsearch.search import unit_rows
from visualsearch.store import (
    Catalog,
    Exclusions,
    Pin,
    Segment,
    Vectors,
    Writer,
    check_id,
    tidied,
    write_segment,
)
from visualsearch.types import Box, Encoder, Failure, Float32, IndexReport, PassedOver, Record

from .identity import Identity, PinSet
from .pipeline import Clock, Embedded, Prepared, embed, failed, look_ahead, released, stopped

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT_REASONS = 50
"""Reasons for which files were passed over are counted one by one up to so many."""

KEPT_FAILURES = 1000
"""A report holds at most this many failures; the catalog has them all."""


@dataclass(frozen=True)
class Settings:
    """How to run the indexer.

    `batch`: pictures embedded at once. `workers`: threads that read and decode (default: one a processor).
    `commit_rows` / `commit_seconds`: a commit follows whichever comes first. `prune`: remove pins of this source that a
    complete read of it shows to be gone. `check_content`: read every file even where size and time are unchanged.
    `max_pixels`: larger pictures fail. `replace`: a picture takes the pin of its id, also one that another source gave.
    `strict`: stop at the first failure, with a SourceError.
    """

    batch: int = 64
    workers: int | None = None
    commit_rows: int = 4096
    commit_seconds: float = 10.0
    prune: bool = False
    check_content: bool = False
    max_pixels: int = images.MAX_PIXELS
    strict: bool = False
    replace: bool = False


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
    excluded: int = 0
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


def usable(record: Record, dim: int) -> Record | Failure:
    """A record as it can be stored: attributes tidied, a finished vector of unit length. A Failure says why it cannot be."""
    try:
        check_id(record.id)
        attributes = tidied(record.attributes)
        vector = record.vector
        if vector is not None:
            vector = unit_rows(np.asarray(vector)[None], dim, "its vector")[0]
    except UsageError as error:
        uri, name = (text.encode("utf-8", "replace").decode() for text in (record.uri, record.id))
        return Failure(uri, name, f"{error.what}: {error.why}", error.remedy)
    return replace(record, attributes=attributes, vector=vector)


def not_finite(record: Record, vectors: Float32 | None) -> Failure | None:
    """The failure of a picture for which the model gave no usable vector."""
    if vectors is None or np.isfinite(vectors).all():
        return None
    return Failure(
        record.uri,
        record.id,
        "the model gave numbers that are not finite",
        "Use another precision: --precision fp32",
    )


class Indexer:
    """One run over one source. The caller holds the writer lock.

    `propose(picture)` names the object regions to index beside the whole picture; None indexes whole pictures only. Pins with
    a row below `since` were indexed before regions were asked for, and are embedded again. `claimed` remembers the pins that
    sources of one command gave by their ids, so that none is given twice.
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
        claimed: PinSet | None = None,
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
        self.identity = Identity(writer, PinSet() if claimed is None else claimed, settings.replace)
        self.exclusions = Exclusions(writer.db)
        self._visited = PinSet()
        self._hidden: set[str] = set()
        self._passed: dict[str, int] = {}
        self._kept = 0

    def run(
        self, items: Iterable[Record | Failure | PassedOver], uri: str, kind: str, total: int | None = None
    ) -> IndexReport:
        """Index every record of a source; `uri` is the source's identity."""
        self.total = total
        with self.writer.commit():
            self.source = self.writer.source(uri, kind)
            self.writer.forget_failures(self.source)
        self.identity.begin(self.source, uri)
        self.source_uri, self.excluding = uri, self.exclusions.exist()
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
                    broken = self.settings.strict and any(one.item.failure for one in group)
                    if (
                        broken
                        or len(done) >= self.settings.commit_rows
                        or now - last > self.settings.commit_seconds
                    ):
                        self._commit(done)
                        done, last = [], now
                    if broken:
                        raise stopped(self.tally.failures[0], f"the {self.committed:,} read before are kept")
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
    def _changed(self, items: Iterable[Record | Failure | PassedOver]) -> Iterator[_Known | Failure]:
        """All but what is known to be as it was; that is counted here and costs one look-up."""
        dim = self.encoder.spec.dim
        for given in items:
            if isinstance(given, PassedOver):
                self._pass_over(given)
                continue
            item = usable(given, dim) if isinstance(given, Record) else given
            if isinstance(item, Failure):
                yield item
                continue
            pin = self.identity.pin_of(item)
            if pin is not None and (failure := self.identity.collision(item, pin)) is not None:
                yield failure
            elif pin is not None and (self.identity.is_again(item, pin) or self._as_it_was(item, pin)):
                self.tally.unchanged += 1
                self.identity.claim(item, pin.pin)
                self._visit(pin.pin)
                self._count()
            elif pin is None and self._excluded(item):
                self.tally.excluded += 1
                self._count()
            else:
                yield _Known(item, pin)

    def _count(self) -> None:
        self.tally.seen += 1
        if self.tally.seen % 512 == 0:
            self._tell()

    def _pass_over(self, item: PassedOver) -> None:
        reason = item.reason if item.reason in self._passed or len(self._passed) < KEPT_REASONS else "others"
        self._passed[reason] = self._passed.get(reason, 0) + 1

    def _excluded(self, record: Record, digest: bytes | None = None) -> bool:
        """Whether a record is of a pin that was removed."""
        return self.excluding and self.exclusions.holds(record, self.source_uri, digest)

    def _as_it_was(self, record: Record, pin: Pin) -> bool:
        return (
            not self.settings.check_content
            and pin.row >= self.since
            and record.stamp is not None
            and record.stamp == pin.stamp
            and record.uri == pin.uri
            and not (record.named and self.identity.is_orphan(pin))
            and (not record.named or (pin.named and dict(record.attributes) == pin.attributes))
        )

    def _prepare(self, known: _Known | Failure) -> Prepared:
        if isinstance(known, Failure):
            return Prepared(Record(known.id, known.uri, bytes), failure=known)
        prepared = self._worked_on(known)
        return replace(prepared, record=released(prepared.record))

    def _worked_on(self, known: _Known) -> Prepared:
        record, pin = known.record, known.pin
        if record.vector is not None:
            if pin is not None and record.digest is not None and pin.hash == record.digest:
                return Prepared(record, record.digest)  # the same picture, embedded from its file before
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
        with images.in_hand():
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
        self._visited.add(pin)

    def _prune(self) -> None:
        """Remove this source's pins that it no longer has. Those that it may have, where it could not be read, are kept."""
        hidden = tuple(self._hidden)
        with self.clock.stage("commit"), self.writer.commit():
            unseen = [
                (pin, uri) for pin, uri in self.writer.places_of(self.source) if pin not in self._visited
            ]
            gone = [pin for pin, uri in unseen if not uri.startswith(hidden)]
            self._kept = len(unseen) - len(gone)
            self.tally.removed += self.writer.delete_pins(gone)

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
        return IndexReport(
            **values,
            seconds=time.perf_counter() - self.started,
            stages=self.clock.stages(),
            kept=self._kept,
            incomplete=bool(self._hidden),
            passed_over=dict(sorted(self._passed.items(), key=lambda each: -each[1])),
        )


class _Batch:
    """One commit in the making: decides for each entry what it is, and collects the rows that are new."""

    def __init__(self, run: Indexer) -> None:
        self.run, self.writer, self.identity = run, run.writer, run.identity
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
        pin = self.identity.pin_of(record)
        failure = prepared.failure or not_finite(record, entry.vectors)
        if failure is None and pin is not None:
            failure = self.identity.collision(record, pin, prepared.digest)
        if failure is not None:
            self._fail(failure)
            return
        if pin is not None:
            self.visited.append(pin.pin)
            self.identity.claim(record, pin.pin)
        if pin is None and self.run._excluded(record, prepared.digest):
            self.tally.excluded += 1
        elif pin is not None and pin.hash == prepared.digest and pin.row >= self.run.since:
            self._same_content(record, pin)
        elif (moved := self.identity.moved_here(record, pin, prepared.digest)) is not None:
            self._touch(record, moved, self.identity.free_id(record, moved))
            self.visited.append(moved.pin)
            self.tally.moved += 1
        else:
            self._new_content(entry, pin)

    def _fail(self, failure: Failure) -> None:
        """An entry that is listed but not usable is not gone: its pin stays. What it hides may not be gone either."""
        self.tally.fail(failure)
        self.writer.fail(failure, self.run.source)
        if failure.hides is not None:
            self.run._hidden.add(failure.hides)
        for pin in (self.writer.by_uri(failure.uri), self.writer.by_id(failure.id)):
            if pin is not None and pin.source == self.run.source:
                self.visited.append(pin.pin)

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
        orphan = record.named and self.identity.is_orphan(pin)
        if changed or orphan or pin.stamp != record.stamp or pin.uri != record.uri:
            self._touch(record, pin, record.id if record.named else pin.id)
        if changed:
            self.tally.updated += 1
        elif record.named and pin.uri != record.uri and pin.source != self.run.source:
            self.tally.moved += 1
        else:
            self.tally.unchanged += 1

    def _touch(self, record: Record, pin: Pin, name: str) -> None:
        # A picture that has a name and attributes keeps them when its folder is indexed too.
        keep = pin.named and not record.named
        attributes = pin.attributes if keep else record.attributes
        source = pin.source if keep else self.run.source
        named = pin.named or record.named
        self.writer.touch_pin(pin.pin, name, record.uri, source, record.stamp, attributes, named)

    def _new_content(self, entry: Embedded[Prepared], pin: Pin | None) -> None:
        prepared, record = entry.item, entry.item.record
        vectors, boxes = self._vectors_of(entry)
        row = self.first + len(self.vectors)
        if pin is not None and pin.named and not record.named:
            record = Record(pin.id, record.uri, record.read, pin.attributes, True, record.stamp)
        name = (
            record.id if record.named else pin.id if pin is not None else self.identity.free_id(record, None)
        )
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
        self.identity.claim(entry.item.record, number)
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
