"""Consistent views of an index that others may change: a read transaction and the files that belong to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from visualsearch import nearest
from visualsearch.errors import NotAnIndexError
from visualsearch.storage import gone, stored_file
from visualsearch.store import Catalog, Reader, Vectors, alive_rows

from .columns import columns_after
from .snapshot import Snapshot

ATTEMPTS = 5


class Views:
    """Opens views of one index; the newest snapshot is shared by all threads."""

    def __init__(self, folder: Path, catalog: Catalog, dim: int) -> None:
        self.folder, self.catalog, self.dim = folder, catalog, dim
        self._snapshot: Snapshot | None = None
        self._guard = threading.RLock()

    def close(self) -> None:
        """Let go of the files."""
        with self._guard:
            self._snapshot = None

    @contextmanager
    def open(self) -> Iterator[tuple[Reader, Snapshot]]:
        """A read transaction and the snapshot that belongs to it. Raises NotAnIndexError."""
        for attempt in range(ATTEMPTS):
            with ExitStack() as stack:
                reader = stack.enter_context(self.catalog.read())
                try:
                    snapshot = self._current(reader)
                except FileNotFoundError as error:
                    if not self.catalog.path.exists():
                        raise gone(self.folder) from error
                    # A compaction ended between the transaction and the opening of its files: look again.
                    if attempt == ATTEMPTS - 1:
                        raise NotAnIndexError(
                            f"cannot read {self.folder}",
                            f"{error.filename or error} is missing",
                            f"Run: visualsearch verify {self.folder}",
                        ) from error
                    continue
                yield reader, snapshot
                return

    def _current(self, reader: Reader) -> Snapshot:
        state = reader.state
        with self._guard:
            now = self._snapshot
            if now is not None and now.state == state:
                return now
            segments = reader.segments()
            vectors = Vectors(self.folder, segments, self.dim, now.vectors if now else None)
            alive = alive_rows(vectors, reader.dead())
            generation = reader.generation()
            loaded = None
            if generation is not None:
                same = (
                    now is not None and now.generation is not None and now.generation.file == generation.file
                )
                reuse = now.ann if same and now is not None else None
                path = stored_file(self.folder, generation.file)
                loaded = nearest.load(path) if reuse is None else reuse
            group = reader.meta("group_by")
            live = int(alive.sum())
            columns = columns_after(reader, None if now is None else now.columns)
            snapshot = Snapshot(vectors, alive, generation, loaded, live, state, columns, group_by=group)
            # A reader that lags behind must not take the newer snapshot away from the others.
            if now is None or state > now.state:
                self._snapshot = snapshot
            return snapshot
