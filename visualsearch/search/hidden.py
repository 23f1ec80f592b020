"""Pins that a search must not show, whatever it is asked for: their rows in one state of an index."""

from __future__ import annotations

import threading
from collections.abc import Collection

import numpy as np

from visualsearch.store import Reader
from visualsearch.types import Bool, Int64

from .snapshot import Snapshot


class Hidden:
    """Pins by id that are left out of every answer. The rows of the last state are kept. Safe to share between threads."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)
        self._guard = threading.Lock()
        self._kept: tuple[int, Int64, Bool | None] | None = None

    def rows(self, reader: Reader, snapshot: Snapshot) -> tuple[Int64, Bool | None]:
        """The numbers of those that the index holds, ascending; and (rows,) bool, which rows are theirs, None for no row."""
        with self._guard:
            kept = self._kept
        if kept is not None and kept[0] == snapshot.state:
            return kept[1], kept[2]
        found = reader.look_up("pin", "id", sorted(self.names))
        numbers = np.array(sorted(found.values()), np.int64)
        theirs = np.isin(snapshot.vectors.pins, numbers) & snapshot.alive if len(numbers) else None
        if theirs is not None:
            theirs.setflags(write=False)
        with self._guard:
            self._kept = (snapshot.state, numbers, theirs)
        return numbers, theirs
