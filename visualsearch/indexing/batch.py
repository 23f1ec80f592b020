"""One commit of the indexer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from visualsearch.store import Pin, Segment, Vectors, write_segment
from visualsearch.types import Box, Failure, Float32, Record

from .pipeline import Embedded, Prepared
from .records import not_finite
from .settings import Tally

if TYPE_CHECKING:
    from .indexer import Indexer


class Batch:
    """One commit in the making: decides for each entry what it is, and collects the rows that are new."""

    def __init__(self, run: Indexer) -> None:
        self.run, self.writer, self.identity = run, run.writer, run.identity
        self.tally = Tally()
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
        if pin is None and self.run.is_excluded(record, prepared.digest):
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
            self.run.hidden.add(failure.hides)
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
