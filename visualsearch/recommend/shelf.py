"""What a feed has for everybody: popular and new pins, and a sample that is spread over the collection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from .asking import RelatedIndex
from .looks import units

POPULAR = 6000
"""How many popular pins are kept."""
NEWEST = 400
FRESH_DAYS = 2.0
"""The worth of being new halves in this time: most of a pin's views come in its first two days."""
FRESH_UNTIL = 8.0
SAMPLE = 2000
MOVED = 0.02
"""The sample is drawn anew when so large a share of the pins came or went."""
CLUSTERS = 32
QUICK = 0.1
"""What took longer than these seconds is made anew behind the pages, which get the last one until then."""
REST = 10
"""And not again before so many times its seconds have passed."""


@dataclass(frozen=True)
class Shelf:
    """`sample` goes round the clusters of the collection's map: one pin of each, then the next of each."""

    popular: dict[str, int]
    fresh: dict[str, float]
    sample: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """One part, what it was made from, how many seconds that took, and when it was done."""

    key: Any
    value: Any
    seconds: float
    at: float


class _Parts:
    """The parts of one index's shelf. Each is made by one thread at a time."""

    def __init__(self, index: RelatedIndex) -> None:
        self._index = ref(index)
        self._held: dict[str, _Part] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, name: str, key: Any, make: Callable[[RelatedIndex], Any]) -> Any:
        """The part made from `key`; where making it is slow, the last one while a new one is made behind."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
            held = self._held.get(name)
        if held is not None and held.key == key:
            return held.value
        if held is None or held.seconds < QUICK:
            with lock:
                return self._made(name, key, make)
        if time.monotonic() >= held.at + REST * held.seconds and lock.acquire(blocking=False):
            threading.Thread(target=self._renewed, args=(lock, name, key, make), daemon=True).start()
        return held.value

    def _made(self, name: str, key: Any, make: Callable[[RelatedIndex], Any]) -> Any:
        held, index = self._held.get(name), self._index()
        if (held is not None and held.key == key) or index is None:
            return None if held is None else held.value
        begun = time.monotonic()
        value = make(index)
        ended = time.monotonic()
        with self._guard:
            self._held[name] = _Part(key, value, ended - begun, ended)
        return value

    def _renewed(
        self, lock: threading.Lock, name: str, key: Any, make: Callable[[RelatedIndex], Any]
    ) -> None:
        try:
            self._made(name, key, make)
        except Exception:
            # The index was closed, or its record failed: the next page makes it itself, and says so.
            with self._guard:
                self._held.pop(name, None)
        finally:
            lock.release()


_SHELVES: WeakKeyDictionary[Any, _Parts] = WeakKeyDictionary()
_GUARD = threading.Lock()


def shelf_of(index: RelatedIndex, now: int) -> Shelf:
    """The shelf of an index. Each part is made anew when it may have changed, and hourly.

    Popular pins: when much was saved, or a consent or a verdict changed. In a large record counting them takes seconds: it is
    done behind the pages then, and what somebody withdrew is out of the sums that much later. New pins: when pins came or
    went. The sample: when many did; a pin of it that went meanwhile is left out by whoever shows it.
    """
    with index.catalog.read() as reader:
        state, count = reader.state, reader.count()
    people = index.people if index.has_people else None
    newest = 0 if people is None else people.newest_save()
    hour = now // 3_600_000
    signs = (0, 0) if people is None else (people.choices(), people.verdict_mark())
    with _GUARD:
        parts = _SHELVES.get(index)
        if parts is None:
            parts = _SHELVES[index] = _Parts(index)
    size = int(np.log(max(count, 1)) / np.log1p(MOVED))
    return Shelf(
        parts.get("popular", (newest // max(20, newest // 100), *signs, hour), _popular),
        parts.get("fresh", (state, hour), lambda held: _fresh(held, now)),
        parts.get("sample", (size, hour), lambda held: _spread(held, count)),
    )


def _popular(index: RelatedIndex) -> dict[str, int]:
    return index.people.popular(POPULAR) if index.has_people else {}


def _drawn(index: RelatedIndex, most: int, seed: int) -> dict[int, str]:
    """Ids of at most so many pins by number, drawn evenly; the same seed draws the same from the same state."""
    with index.catalog.read() as reader:
        mark = reader.mark()
        numbers = reader.numbers() if mark is None or mark.pin <= 2 * most else None
        if numbers is None and mark is not None:
            tried = np.random.default_rng(seed).integers(1, mark.pin + 1, 4 * most)
            found = reader.look_up("id", "pin", np.unique(tried).tolist())
            numbers = np.array(sorted(found), np.int64)
        assert numbers is not None
        if len(numbers) > most:
            numbers = np.sort(np.random.default_rng(seed).choice(numbers, most, replace=False))
        held = reader.look_up("id", "pin", numbers.tolist())
    return {number: held[number] for number in numbers.tolist() if number in held}


def _spread(index: RelatedIndex, count: int) -> tuple[str, ...]:
    """A sample that goes round the clusters of the collection."""
    from scipy.cluster.vq import kmeans2

    if not count:
        return ()
    names = list(_drawn(index, SAMPLE, 0).values())
    vectors = units(index.vectors(names))
    groups = max(1, min(CLUSTERS, len(names) // 4))
    centres, label = kmeans2(vectors.astype(np.float64), groups, minit="++", seed=0, iter=8)
    nearness = (vectors * units(centres.astype(np.float32))[label]).sum(1)
    order = np.lexsort((-nearness, label))
    # The place of each pin in its cluster, nearest to the centre first.
    first = np.searchsorted(label[order], np.arange(groups))
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names)) - first[label[order]]
    return tuple(names[at] for at in np.lexsort((label, place)).tolist())


def _fresh(index: RelatedIndex, now: int) -> dict[str, float]:
    """Pins that were added in these days, by how new they are. Where most of the collection is that new, none is."""
    with index.catalog.read() as reader:
        mark = reader.mark()
        top = mark.pin if mark is not None else int(reader.numbers()[-1:].sum())
        added = reader.added(range(max(1, top - NEWEST + 1), top + 1))
    days = {number: (now / 1000 - at) / 86_400 for number, at in added.items()}
    new = {number: 0.5 ** (age / FRESH_DAYS) for number, age in days.items() if 0 <= age <= FRESH_UNTIL}
    if not new:
        return {}
    some = _drawn(index, 200, 1)
    with index.catalog.read() as reader:
        ages = [(now / 1000 - at) / 86_400 for at in reader.added(some).values()]
        if sum(0 <= age <= FRESH_UNTIL for age in ages) > len(ages) / 2:
            return {}
        names = reader.look_up("id", "pin", list(new))
    return {names[number]: worth for number, worth in new.items() if number in names}
