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
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from visualsearch import images
from visualsearch.errors import ODD, VisualSearchError
from visualsearch.images import view
from visualsearch.resources import cores
from visualsearch.store import Catalog, Exclusions, Pin, Writer
from visualsearch.types import Box, Encoder, Failure, IndexReport, PassedOver, Record

from .batch import Batch
from .identity import Identity, PinSet
from .pipeline import Clock, Embedded, Prepared, embed, failed, look_ahead, released, stopped
from .records import usable
from .settings import Progress, Settings, Tally

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT_REASONS = 50
"""Reasons for which files were passed over are counted one by one up to so many."""


@dataclass(frozen=True)
class _Known:
    """A record and the pin that it is about, if there is one yet."""

    record: Record
    pin: Pin | None


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
        self.tally = Tally()
        self.committed = 0
        self.started = time.perf_counter()
        self.total: int | None = None
        self.source = 0
        self.identity = Identity(writer, PinSet() if claimed is None else claimed, settings.replace)
        self.exclusions = Exclusions(writer.db)
        self._visited = PinSet()
        self.hidden: set[str] = set()
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
            elif pin is None and self.is_excluded(item):
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

    def is_excluded(self, record: Record, digest: bytes | None = None) -> bool:
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
            batch = Batch(self)
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
        hidden = tuple(self.hidden)
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
            incomplete=bool(self.hidden),
            passed_over=dict(sorted(self._passed.items(), key=lambda each: -each[1])),
        )
