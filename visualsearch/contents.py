"""What an index holds: pins, vectors, failures and figures. It reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch import nearest
from visualsearch.nearest import measured_recall
from visualsearch.search import Snapshot, Views, stored_rows
from visualsearch.store import Catalog, Excluded, Exclusions, Problem, Reader, check, pin_named
from visualsearch.types import Failure, Float32, Int64, Stored, StoredPin
from visualsearch.upkeep import figures


class Contents:
    """The reading half of an index."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self.catalog = catalog
        with catalog.read() as reader:
            self.spec = reader.spec()
        self._views = Views(folder, catalog, self.spec.dim)

    def _open(self) -> AbstractContextManager[tuple[Reader, Snapshot]]:
        """A read transaction and the snapshot that belongs to it."""
        return self._views.open()

    def __len__(self) -> int:
        with self.catalog.read() as reader:
            return reader.count()

    def __contains__(self, pin: str) -> bool:
        with self.catalog.read() as reader:
            return reader.by_id(pin) is not None

    def has_regions(self) -> bool:
        """Whether objects inside pictures are indexed too."""
        with self.catalog.read() as reader:
            return reader.has_regions()

    def attributes(self) -> list[str]:
        """Names of the attributes that pins have."""
        with self.catalog.read() as reader:
            return list(reader.names())

    def pin(self, name: str) -> StoredPin:
        """What the index knows of the pin with this id. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            pin = pin_named(reader, name)
            boxes = tuple(box for _, box in reader.rows_of(pin) if box is not None)
        digest = None if pin.hash is None else pin.hash.hex()
        return StoredPin(pin.id, pin.pin, pin.uri, pin.attributes, pin.named, digest, boxes)

    def attributes_of(self, pin: str) -> Mapping[str, Any]:
        """The attributes of a stored pin. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            return dict(pin_named(reader, pin).attributes)

    def uris(self, ids: Sequence[str]) -> dict[str, str]:
        """Where the pictures of these pins are: id -> uri. Raises UnknownNameError."""
        with self.catalog.read() as reader:
            return {name: pin_named(reader, name).uri for name in ids}

    def vectors(self, ids: Sequence[str]) -> Float32:
        """Stored vectors of whole pictures, (n, d) float32, in the order of `ids`. Raises UnknownNameError."""
        with self._open() as (reader, snapshot):
            known = reader.look_up("row", "id", list(dict.fromkeys(ids)))
            rows = [known[name] if name in known else pin_named(reader, name).row for name in ids]
            return snapshot.vectors.gather(snapshot.vectors.positions(np.array(rows, dtype=np.int64)))

    def rows(self, size: int = 1000) -> Iterator[list[Stored]]:
        """All that is stored, in order, at most `size` rows at a time, from one state of the index."""
        with self._open() as (reader, snapshot):
            yield from stored_rows(reader, snapshot, size)

    def whole_pictures(self, size: int = 16_384) -> Iterator[tuple[list[str], Int64, Float32]]:
        """Ids, numbers and vectors (m, d) of all pins, in the order of their rows: quickly, without attributes and objects."""
        with self._open() as (reader, snapshot):
            listed = reader.whole_rows()
            for at in range(0, len(listed), size):
                rows, numbers, ids = zip(*listed[at : at + size], strict=True)
                positions = snapshot.vectors.positions(np.array(rows, np.int64))
                yield list(ids), np.array(numbers, np.int64), snapshot.vectors.gather(positions)

    def excluded(self) -> list[Excluded]:
        """Pins that were removed and stay out of later runs."""
        with self.catalog.read() as reader:
            return list(Exclusions(reader.db))

    def failures(self) -> list[Failure]:
        """Pictures that the last run over their source could not index, with reasons."""
        with self.catalog.read() as reader:
            return reader.failures()

    def recall(self, k: int = 10, samples: int = 64) -> float:
        """recall@k of the index as it is searched now, against exact search, on stored vectors as queries."""
        with self._open() as (_, snapshot):
            return measured_recall(snapshot, k, samples)

    def info(self) -> dict[str, Any]:
        """Figures of the index as plain values: pins, rows, encoder, recall (recall@10, None when empty), bytes ..."""
        with self._open() as (reader, snapshot):
            return figures(reader, snapshot, self.folder, self.spec)

    def verify(self) -> list[Problem]:
        """Check the catalog, every vector file and the approximate index against one another; [] when all is well."""
        with self.catalog.read() as reader:
            return check(reader, self.folder, self.spec.dim, nearest.load)
