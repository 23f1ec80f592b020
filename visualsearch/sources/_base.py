"""What every kind of source shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from visualsearch.types import Failure, Int64, PassedOver, Record

Item = Record | Failure | PassedOver


@runtime_checkable
class Source(Protocol):
    """Pictures from one place. Iterating yields them one by one, lazily, and may be done again from the
    start.

    `uri` names the source and stays the same between runs, `kind` is a name from the table of kinds.
    """

    @property
    def uri(self) -> str:
        """The stable name of the source."""
        ...

    @property
    def kind(self) -> str:
        """Which kind of source it is: "folder", "csv", "tar" ..."""
        ...

    def count(self) -> int | None:
        """About how many pictures there are, for a progress bar; None when that cannot be told cheaply."""
        ...

    def __iter__(self) -> Iterator[Item]:
        """A Record for each usable picture, a Failure for each entry that is not usable, a PassedOver for each
        file that is not taken for a picture.
        """
        ...


class SeenIds:
    """Remembers where each id was first seen, at 16 bytes an id plus a dictionary of at most 262,144 recent
    ones (about 40 MB).

    Ids are kept as 64-bit hashes, in sorted runs that are merged as they grow (a log-structured merge). Two
    different ids out of ten million share a hash with probability 3e-6; the second would be taken for a
    duplicate.
    """

    RECENT = 1 << 18

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[Int64, Int64]] = []  # (hashes, sorted; places), the longest first

    def first(self, name: str, place: int) -> int | None:
        """The place at which `name` was seen before, or None; it is then remembered as seen at `place`."""
        key = hash(name)
        seen = self._recent.get(key)
        if seen is not None:
            return seen
        probe = np.int64(key)
        for keys, places in self._runs:
            at = int(np.searchsorted(keys, probe))
            if at < len(keys) and keys[at] == probe:
                return int(places[at])
        self._recent[key] = place
        if len(self._recent) >= self.RECENT:
            self._settle()
        return None

    def _settle(self) -> None:
        keys = np.fromiter(self._recent.keys(), np.int64, len(self._recent))
        places = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        self._recent.clear()
        while self._runs and len(self._runs[-1][0]) <= len(keys):
            older_keys, older_places = self._runs.pop()
            keys, places = np.concatenate([older_keys, keys]), np.concatenate([older_places, places])
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], places[order]))
