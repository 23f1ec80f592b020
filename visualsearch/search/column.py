"""Attributes as arrays: made from all pins once, and patched from then on with what commits change.

Arrays are never written to after they are made: a reader of an earlier state goes on with its own.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from visualsearch import compiled
from visualsearch.store import Changes, Reader
from visualsearch.types import Bool, Int64, UInt8

from .tree import Value

Int32 = NDArray[np.int32]
_Any = TypeVar("_Any", bound=np.generic)

FALSE, UNKNOWN, TRUE = 0, 1, 2
"""Truth, as bytes: `and` is the minimum, `or` the maximum, `not` a subtraction (Kleene's strong logic, which is SQL's)."""
RUNS = 8
"""A test that is true for at most so many ranges of values is made by comparing; beyond, by looking up each pin's value."""


# -- from one state to a later one ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    """How the pins of one state became those of a later one.

    `pins`: (pins,) numbers of the later state, ascending. `kept`: (earlier pins,) bool, which are still there; None for all.
    `places`: places among the later pins of those to be read anew, ascending; the last `added` of them are new.
    """

    pins: Int64
    kept: Bool | None
    places: Int64
    added: int

    @classmethod
    def of(cls, pins: Int64, changes: Changes) -> Step:
        """The step from these pins by these changes."""
        kept = None
        if len(changes.removed):
            kept = np.ones(len(pins), bool)
            kept[np.searchsorted(pins, changes.removed)] = False
            pins = pins[kept]
        places = np.searchsorted(pins, changes.altered)
        added = len(changes.added)
        new = np.arange(len(pins), len(pins) + added)
        return cls(np.concatenate([pins, changes.added]), kept, np.concatenate([places, new]), added)

    @property
    def numbers(self) -> Int64:
        """Numbers of the pins to be read anew, ascending."""
        return self.pins[self.places]

    def carried(self, values: NDArray[_Any]) -> NDArray[_Any]:
        """A copy of (earlier pins, ...) values for the later pins; those to be read anew have any value."""
        old = values if self.kept is None else values[self.kept]
        return np.concatenate([old, np.zeros(self.added, values.dtype)])


# -- one value a pin ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Column:
    """One attribute. `codes`: (pins,) int32, 0 where it is missing, else 1 + the place of the value in numbers + texts.

    `numbers` and `texts` are the distinct values, each ascending; booleans are 0 and 1, lists and objects their JSON.
    """

    codes: Int32
    numbers: tuple[int | float, ...]
    texts: tuple[str, ...]

    @classmethod
    def made(cls, reader: Reader, name: str) -> Column:
        """The column of an attribute, read from all pins."""
        # Python, like SQLite, holds 1 and 1.0 for equal and compares integers with floats exactly.
        seen: dict[Any, int] = {None: 0}
        found = reader.attribute_values(name)
        codes = np.fromiter((seen.setdefault(value, len(seen)) for value in found), np.int32)
        values = list(seen)[1:]
        numbers = sorted(v for v in values if not isinstance(v, str))
        texts = sorted(v for v in values if isinstance(v, str))  # by code point, as SQLite orders UTF-8
        ordered = np.empty(len(seen), np.int32)
        ordered[0] = 0
        for place, value in enumerate([*numbers, *texts], 1):
            ordered[seen[value]] = place
        return cls(ordered[codes], tuple(numbers), tuple(texts))

    def patched(self, reader: Reader, name: str, step: Step) -> Column:
        """The same column after a step: what `made` would make, but only the changed pins are read."""
        fresh: dict[Any, int] = {}
        end = 1 + len(self.numbers) + len(self.texts)
        read = [
            code if (code := self._code(value)) is not None else end + fresh.setdefault(value, len(fresh))
            for value in reader.attribute_values(name, step.numbers)
        ]
        codes = step.carried(self.codes)
        codes[step.places] = read
        used = np.zeros(end + len(fresh), bool)
        used[codes] = True
        if not fresh and used[1:].all():
            return Column(codes, self.numbers, self.texts)
        parts: list[tuple[Any, ...]] = []
        ordered = np.zeros(len(used), np.int32)
        first, at = 1, 1
        for values, new in (
            (self.numbers, sorted(v for v in fresh if not isinstance(v, str))),
            (self.texts, sorted(v for v in fresh if isinstance(v, str))),
        ):
            kept = used[first : first + len(values)]
            spots = [bisect_left(values, v) for v in new]
            parts.append(_merged(values, kept, spots, new))
            before = np.cumsum(kept) - kept  # how many of the values before each are kept
            behind = np.searchsorted(spots, np.arange(len(values)), side="right")
            ordered[first : first + len(values)] = at + before + behind
            alive = np.concatenate([before, [int(np.count_nonzero(kept))]])
            for number, (value, spot) in enumerate(zip(new, spots, strict=True)):
                ordered[end + fresh[value]] = at + alive[spot] + number
            first += len(values)
            at += len(parts[-1])
        return Column(ordered[codes], parts[0], parts[1])

    def _code(self, value: Any) -> int | None:
        """The code of a value; None for one that no pin had."""
        if value is None:
            return 0
        first, values = self.span(value)
        spot = bisect_left(values, value)
        return first + spot if spot < len(values) and values[spot] == value else None

    @property
    def bytes(self) -> int:
        """Memory it takes, the values' own included."""
        texts = sum(sys.getsizeof(t) for t in self.texts)
        return self.codes.nbytes + 40 * len(self.numbers) + 8 * len(self.texts) + texts

    def span(self, value: Value) -> tuple[int, tuple[Any, ...]]:
        """(code of the first, all) of the values that a value can be compared with."""
        if isinstance(value, str):
            return 1 + len(self.numbers), self.texts
        return 1, self.numbers

    def spread(self, table: UInt8) -> UInt8:
        """(1 + distinct,) truth of each code -> (pins,) truth of each pin."""
        edges = np.flatnonzero(table[1:] != table[:-1]) + 1
        if len(edges) >= RUNS:
            return table[self.codes]
        out = np.zeros(len(self.codes), np.uint8)
        for low, high in pairwise([0, *edges.tolist(), len(table)]):
            if table[low] != FALSE:
                _mark(self.codes, low, high, table[low], out)
        return out


def _merged(values: tuple[Any, ...], kept: Bool, spots: Sequence[int], new: Sequence[Any]) -> tuple[Any, ...]:
    """Ascending values without those not kept, and with new ones before the places `spots`."""
    events = [(spot, True, value) for spot, value in zip(spots, new, strict=True)]
    events += [(spot, False, None) for spot in np.flatnonzero(~kept).tolist()]
    events.sort(key=lambda event: (event[0], not event[1]))
    out: list[Any] = []
    at = 0
    for spot, is_new, value in events:
        out += values[at:spot]
        at = spot
        if is_new:
            out.append(value)
        else:
            at += 1
    out += values[at:]
    return tuple(out)


def _mark(codes: Int32, low: int, high: int, value: np.uint8, out: UInt8) -> None:
    """Write `value` to `out` where the code is low .. high-1."""
    loops = compiled.loops()
    if loops is not None:
        loops.mark_range(codes, low, high, value, out)
        return
    # One comparison for both ends: what is below `low` wraps around to the largest numbers.
    inside = (codes - np.int32(low)).view(np.uint32) < np.uint32(high - low)
    out |= inside.view(np.uint8) * value


# -- lists ----------------------------------------------------------------------------------------------------------
NEITHER, A_TEXT, A_LIST = 0, 1, 2
_KINDS = {"text": A_TEXT, "array": A_LIST}


@dataclass(frozen=True)
class Lists:
    """Membership of one attribute. `kinds`: (pins,) uint8 of NEITHER, A_TEXT, A_LIST.

    `values` numbers the members; `places` holds the places of the pins that have each, ascending: those of the member numbered
    i lie from starts[i] to starts[i + 1].
    """

    kinds: UInt8
    values: Mapping[Any, int]
    starts: Int64
    places: Int32

    @classmethod
    def made(cls, reader: Reader, name: str, pins: Int64) -> Lists:
        """The membership of an attribute, read from all pins."""
        kinds = np.fromiter(_kinds(reader.attribute_types(name)), np.uint8)
        values: dict[Any, int] = {}
        owners, places = _entries(reader.list_members(name), values, pins)
        order = np.lexsort((places, owners))
        return cls(kinds, values, _starts(owners, len(values)), places[order].astype(np.int32))

    def patched(self, reader: Reader, name: str, step: Step) -> Lists:
        """The same after a step: what `made` would make, but only the changed pins are read."""
        kinds = step.carried(self.kinds)
        kinds[step.places] = list(_kinds(reader.attribute_types(name, step.numbers)))
        values = dict(self.values)
        new_owners, new_places = _entries(reader.list_members(name, step.numbers), values, step.pins)
        owners, places = self._staying(step)
        # Both are in order of member and place, so that the new ones are put where they belong.
        size = len(step.pins) + 1
        fresh = np.sort(new_owners * size + new_places)
        keys = owners * size + places
        keys = np.insert(keys, np.searchsorted(keys, fresh), fresh)
        owners, places = np.divmod(keys, size)
        counts = np.bincount(owners, minlength=len(values))
        if not counts.all():
            renamed = np.cumsum(counts > 0) - 1
            values = {v: int(renamed[i]) for v, i in values.items() if counts[i]}
            owners = renamed[owners]
        return Lists(kinds, values, _starts(owners, len(values)), places.astype(np.int32))

    def _staying(self, step: Step) -> tuple[Int64, Int64]:
        """(members, places among the later pins) of what the pins have that are there still and are not read anew."""
        kept = np.ones(len(self.kinds), bool) if step.kept is None else step.kept
        later = np.cumsum(kept) - 1
        stays = kept.copy()
        stays[np.flatnonzero(kept)[step.places[: len(step.places) - step.added]]] = False
        chosen = stays[self.places]
        owners = np.repeat(np.arange(len(self.values)), np.diff(self.starts))
        return owners[chosen], later[self.places[chosen]]

    def holding(self, value: Any) -> Int32:
        """Places of the pins whose list has a member, ascending."""
        number = self.values.get(value)
        return (
            self.places[:0] if number is None else self.places[self.starts[number] : self.starts[number + 1]]
        )

    @property
    def bytes(self) -> int:
        """Memory it takes, the values' own included."""
        values = sum(sys.getsizeof(v) + 100 for v in self.values)
        return self.kinds.nbytes + self.starts.nbytes + self.places.nbytes + values


def _kinds(types: Iterable[str | None]) -> Iterable[int]:
    return (_KINDS.get(kind or "", NEITHER) for kind in types)


def _entries(found: Iterable[tuple[int, Any]], values: dict[Any, int], pins: Int64) -> tuple[Int64, Int64]:
    """(member numbers, places) of pins and members as they are found; new members are added to `values`."""
    pairs = (number for pin, value in found for number in (values.setdefault(value, len(values)), pin))
    both = np.fromiter(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], np.searchsorted(pins, both[:, 1]).astype(np.int64)


def _starts(owners: Int64, count: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int64)


# -- groups ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Groups:
    """Rows that belong together. `numbers`: (rows,) int32, the same for all rows of a group; `count`: groups of live rows."""

    numbers: Int32
    count: int

    @classmethod
    def made(cls, reader: Reader, name: str, pins: Int64, owners: Int64, alive: Bool) -> Groups:
        """The rows grouped by the values of an attribute, read from all pins. `owners`: (rows,) pin of each row."""
        seen: dict[Any, int] = {}
        found = reader.attribute_values(name)
        codes = np.fromiter((0 if v is None else seen.setdefault(v, 1 + len(seen)) for v in found), np.int32)
        return cls._of(codes, len(seen), pins, owners, alive)

    @classmethod
    def by(cls, column: Column, pins: Int64, owners: Int64, alive: Bool) -> Groups:
        """The rows grouped by the values in a column."""
        return cls._of(column.codes, len(column.numbers) + len(column.texts), pins, owners, alive)

    @classmethod
    def _of(cls, codes: Int32, count: int, pins: Int64, owners: Int64, alive: Bool) -> Groups:
        codes = codes.copy()
        alone = np.flatnonzero(codes == 0)  # a pin without a value is a group of its own
        codes[alone] = 1 + count + np.arange(len(alone), dtype=np.int32)
        numbers = codes[places_of(pins, owners)] if len(codes) else np.zeros(len(owners), np.int32)
        return cls(numbers, _distinct(numbers[alive]))

    def among(self, rows: Bool) -> int:
        """How many groups have one of these rows, (rows,) bool."""
        return _distinct(self.numbers[rows])

    def of(self, rows: Bool) -> Bool:
        """(rows,) bool: which rows belong to a group that has one of these."""
        return np.isin(self.numbers, np.unique(self.numbers[rows]))


def _distinct(numbers: Int32) -> int:
    table = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=bool)
    table[numbers] = True
    return int(np.count_nonzero(table))


def places_of(pins: Int64, owners: Int64) -> Int32:
    """(rows,) places among ascending `pins` of the rows' owners; of an owner that is gone, any place."""
    table = np.zeros(int(max(pins.max(initial=-1), owners.max(initial=-1))) + 1, np.int32)
    table[pins] = np.arange(len(pins), dtype=np.int32)
    return table[owners]
