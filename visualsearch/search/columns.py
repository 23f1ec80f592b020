"""Filters over columns: attributes as arrays in memory, for an index that is asked again and again.

SQL reads the JSON of every pin for every filter. A column reads it once and keeps each pin's value as a number into the sorted
list of the distinct values, so that a comparison is a range of numbers and any other test is made once for each distinct value.
The values are those that SQLite itself extracts, compared as SQLite compares them, so both ways select the same pins.

Truth has three values, held as bytes: FALSE < UNKNOWN < TRUE. Then `and` is the minimum, `or` the maximum, and `not` a
subtraction (Kleene's strong logic, which is SQL's).
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch import compiled
from visualsearch.store import Reader
from visualsearch.types import Bool, Int64, UInt8

from .filters import ATTRIBUTES, COLUMNS, Both, Check, Filter, Node, Not, Test, Value, json_path, tests

Int32 = NDArray[np.int32]

FALSE, UNKNOWN, TRUE = 0, 1, 2
MAX_BYTES = 256 << 20
"""Memory that the columns of one state of an index may take together; the ones longest unused make room."""
MASKS = 8
"""Filters whose answers are kept, a byte a row each."""
MAX_DISTINCT = 100_000
"""LIKE over more distinct values than this is left to SQL, which reads them as fast."""
RUNS = 8
"""A test that is true for at most so many ranges of values is made by comparing; beyond, by looking up each pin's value."""


def members(values: Int64, chosen: Int64) -> Bool:
    """(n,) bool: which of the values are among the chosen; a table look-up, since pin numbers are dense."""
    size = int(max(values.max(initial=-1), chosen.max(initial=-1))) + 1
    table = np.zeros(size, dtype=bool)
    table[chosen] = True
    return table[values]


_ahead = threading.local()


@contextmanager
def ahead_of_tests(check: Callable[[], None]) -> Iterator[None]:
    """Within the block, `check` runs before every test that this thread makes over columns; raising ends the filter."""
    _ahead.of_test = check
    try:
        yield
    finally:
        _ahead.of_test = _nothing


def _nothing() -> None:
    """No check."""


class _LeftToSqlError(Exception):
    """This column is too large, or this test needs what a column does not keep."""


@dataclass(frozen=True)
class Column:
    """One attribute. `codes`: (pins,) int32, 0 where it is missing, else 1 + the place of the value in numbers + texts.

    `numbers` and `texts` are the distinct values, each ascending; booleans are 0 and 1, lists and objects their JSON.
    """

    codes: Int32
    numbers: tuple[int | float, ...]
    texts: tuple[str, ...]

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


def _mark(codes: Int32, low: int, high: int, value: np.uint8, out: UInt8) -> None:
    """Write `value` to `out` where the code is low .. high-1."""
    loops = compiled.loops()
    if loops is not None:
        loops.mark_range(codes, low, high, value, out)
        return
    # One comparison for both ends: what is below `low` wraps around to the largest numbers.
    inside = (codes - np.int32(low)).view(np.uint32) < np.uint32(high - low)
    out |= inside.view(np.uint8) * value


@dataclass(frozen=True)
class Lists:
    """Membership of one attribute. `kinds`: (pins,) uint8 of NEITHER, A_TEXT, A_LIST; `members`: value -> places of pins."""

    kinds: UInt8
    members: Mapping[Any, Int32]

    @property
    def bytes(self) -> int:
        """Memory it takes, the values' own included."""
        return self.kinds.nbytes + sum(p.nbytes + sys.getsizeof(v) + 100 for v, p in self.members.items())


NEITHER, A_TEXT, A_LIST = 0, 1, 2
_KINDS = {"text": A_TEXT, "array": A_LIST}


@dataclass(frozen=True)
class Groups:
    """Rows that belong together. `numbers`: (rows,) int32, the same for all rows of a group; `count`: groups of live rows."""

    numbers: Int32
    count: int

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


@dataclass
class Columns:
    """The columns of one state of an index, each made when a filter needs it for the second time.

    The first filter on an attribute runs as SQL: making a column costs as much as one or two such runs, so a process that asks
    one question never pays for it. Safe to share between threads.
    """

    limit: int = MAX_BYTES
    _kept: OrderedDict[tuple[str, bool], Column | Lists | None] = field(default_factory=OrderedDict)
    _asked: Counter[str] = field(default_factory=Counter)
    _masks: OrderedDict[tuple[str, str], tuple[Bool, int]] = field(default_factory=OrderedDict)
    _pins: Int64 | None = None
    _one_row_each: bool | None = None
    _count: int | None = None
    _groups: dict[str, Groups] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def matching(self, reader: Reader, chosen: Filter) -> Int64:
        """Numbers of the pins that a filter leaves, ascending: `Reader.matching`, by columns where they pay.

        `reader` must see the state that these columns are of.
        """
        truth = self._judged(reader, chosen)
        if truth is None:
            return reader.matching(chosen)
        found: Int64 = self.pins(reader)[truth == TRUE]
        return found

    def allowed(self, reader: Reader, chosen: Filter, owners: Int64) -> tuple[Bool, int]:
        """Which rows' pins a filter leaves, (rows,) bool, and how many pins these are. `owners`: (rows,) pin of each row.

        The last few answers are kept: a shop asks for the same category again and again. The array is shared: not to be
        written to.
        """
        key = (chosen.sql, repr(chosen.values))  # 1 and true are equal, and not the same to every test
        with self._guard:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key]
        found = self._allowed(reader, chosen, owners)
        found[0].setflags(write=False)
        with self._guard:
            self._masks[key] = found
            while len(self._masks) > MASKS:
                self._masks.popitem(last=False)
        return found

    def _allowed(self, reader: Reader, chosen: Filter, owners: Int64) -> tuple[Bool, int]:
        truth = self._judged(reader, chosen)
        if truth is None:
            numbers = reader.matching(chosen)
            return members(owners, numbers), len(numbers)
        left = truth == TRUE
        count = int(np.count_nonzero(left))
        pins = self.pins(reader)
        if self._one_row_each is None:
            self._one_row_each = np.array_equal(owners, pins)
        return left if self._one_row_each else members(owners, pins[left]), count

    def _judged(self, reader: Reader, chosen: Filter) -> UInt8 | None:
        """(pins,) truth of each pin, or None where it is left to SQL."""
        with self._guard:
            known = all(self._asked[name] for name in chosen.names)
            self._asked.update(chosen.names)
            if known and not {t.name for t in tests(chosen.tree)} & COLUMNS.keys():
                with suppress(_LeftToSqlError):
                    return self._truth(reader, chosen.tree)
        return None

    def groups(self, reader: Reader, name: str, owners: Int64, alive: Bool) -> Groups:
        """The rows grouped by the values of an attribute. The last one or two attributes are kept, 4 bytes a row each."""
        with self._guard:
            if name not in self._groups:
                while len(self._groups) > 1:
                    del self._groups[next(iter(self._groups))]
                self._groups[name] = _groups(reader, name, self.pins(reader), owners, alive)
            return self._groups[name]

    def count(self, reader: Reader) -> int:
        """How many pins there are; SQLite would count them one by one, for every query."""
        if self._count is None:
            self._count = reader.count()
        return self._count

    def pins(self, reader: Reader) -> Int64:
        """Numbers of all pins, ascending: (pins,) int64."""
        if self._pins is None:
            found = reader.db.execute("SELECT pin FROM pins ORDER BY pin")
            self._pins = np.fromiter((r[0] for r in found), np.int64)
        pins: Int64 = self._pins
        return pins

    @property
    def bytes(self) -> int:
        """Memory that the columns take."""
        with self._guard:
            return sum(c.bytes for c in self._kept.values() if c is not None)

    # -- truth ----------------------------------------------------------------------------------------------------
    def _truth(self, reader: Reader, node: Node) -> UInt8:
        if isinstance(node, Not):
            return np.asarray(np.uint8(TRUE) - self._truth(reader, node.part), np.uint8)
        if isinstance(node, Test):
            getattr(_ahead, "of_test", _nothing)()
            if node.check is Check.CONTAINS:
                return self._contains(reader, node)
            column = self._column(reader, node.name)
            return column.spread(_TABLES[node.check](column, node))
        join = np.minimum if isinstance(node, Both) else np.maximum
        made: UInt8 = join(self._truth(reader, node.left), self._truth(reader, node.right))
        return made

    def _contains(self, reader: Reader, test: Test) -> UInt8:
        lists, value = self._lists(reader, test.name), test.values[0]
        truth = np.where(lists.kinds == A_LIST, np.uint8(FALSE), np.uint8(UNKNOWN))
        if value in lists.members:
            truth[lists.members[value]] = TRUE
        texts = lists.kinds == A_TEXT
        if texts.any():
            column = self._column(reader, test.name)
            table = np.full(1 + len(column.numbers) + len(column.texts), UNKNOWN, np.uint8)
            table[1 + len(column.numbers) :] = [TRUE * (str(value) in text) for text in column.texts]
            truth[texts] = table[column.codes[texts]]
        return truth

    # -- making columns -------------------------------------------------------------------------------------------
    def _column(self, reader: Reader, name: str) -> Column:
        made: Column = self._made((name, False), lambda: _column(reader, name))
        return made

    def _lists(self, reader: Reader, name: str) -> Lists:
        made: Lists = self._made((name, True), lambda: _lists(reader, name, self.pins(reader)))
        return made

    def _made(self, key: tuple[str, bool], make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            column = make()
            # One that alone is too large is remembered as such, so that it is not made again and again.
            self._kept[key] = column if column.bytes <= self.limit else None
            while self.bytes > self.limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        found = self._kept[key]
        if found is None:
            raise _LeftToSqlError
        return found


def _column(reader: Reader, name: str) -> Column:
    path = json_path(name)
    found = reader.db.execute(f"SELECT json_extract({ATTRIBUTES}, ?) FROM pins p ORDER BY pin", (path,))
    # Python, like SQLite, holds 1 and 1.0 for equal and compares integers with floats exactly.
    seen: dict[Any, int] = {None: 0}
    codes = np.fromiter((seen.setdefault(r[0], len(seen)) for r in found), np.int32)
    values = list(seen)[1:]
    numbers = sorted(v for v in values if not isinstance(v, str))
    texts = sorted(v for v in values if isinstance(v, str))  # by code point, as SQLite orders UTF-8
    ordered = np.empty(len(seen), np.int32)
    ordered[0] = 0
    for place, value in enumerate([*numbers, *texts], 1):
        ordered[seen[value]] = place
    return Column(ordered[codes], tuple(numbers), tuple(texts))


def _groups(reader: Reader, name: str, pins: Int64, owners: Int64, alive: Bool) -> Groups:
    found = reader.db.execute("SELECT json_extract(attributes, ?) FROM pins ORDER BY pin", (json_path(name),))
    seen: dict[Any, int] = {}
    codes = np.fromiter((-1 if r[0] is None else seen.setdefault(r[0], len(seen)) for r in found), np.int32)
    alone = np.flatnonzero(codes < 0)  # a pin without a value is a group of its own
    codes[alone] = len(seen) + np.arange(len(alone), dtype=np.int32)
    # the owner of a dead row may be gone: what its number is does not matter
    places = np.minimum(np.searchsorted(pins, owners), max(0, len(pins) - 1))
    numbers = codes[places] if len(codes) else np.zeros(len(owners), np.int32)
    return Groups(numbers, _distinct(numbers[alive]))


def _lists(reader: Reader, name: str, pins: Int64) -> Lists:
    path = json_path(name)
    types = reader.db.execute(f"SELECT json_type({ATTRIBUTES}, ?) FROM pins p ORDER BY pin", (path,))
    kinds = np.fromiter((_KINDS.get(r[0], NEITHER) for r in types), np.uint8)
    found = reader.db.execute(
        f"SELECT p.pin, e.value FROM pins p, json_each({ATTRIBUTES}, ?) e"
        f" WHERE json_type({ATTRIBUTES}, ?) = 'array' AND e.value IS NOT NULL",
        (path, path),
    )
    members: dict[Any, list[int]] = {}
    for pin, value in found:
        members.setdefault(value, []).append(pin)
    return Lists(kinds, {v: np.searchsorted(pins, np.array(m)).astype(np.int32) for v, m in members.items()})


# -- tests over a column's distinct values ------------------------------------------------------------------------
def _compared(column: Column, test: Test) -> UInt8:
    value = test.values[0]
    first, values = column.span(value)
    low, high = first + bisect_left(values, value), first + bisect_right(values, value)
    table = _typed(column, first, len(values))
    for begin, end in _RANGES[test.check](first, low, high, first + len(values)):
        table[begin:end] = TRUE
    return table


_RANGES: Mapping[Check, Callable[[int, int, int, int], list[tuple[int, int]]]] = {
    Check.EQUAL: lambda _first, low, high, _end: [(low, high)],
    Check.UNEQUAL: lambda first, low, high, end: [(first, low), (high, end)],
    Check.LESS: lambda first, low, _high, _end: [(first, low)],
    Check.AT_MOST: lambda first, _low, high, _end: [(first, high)],
    Check.MORE: lambda _first, _low, high, end: [(high, end)],
    Check.AT_LEAST: lambda _first, low, _high, end: [(low, end)],
}


def _among(column: Column, test: Test) -> UInt8:
    table = np.full(1 + len(column.numbers) + len(column.texts), UNKNOWN, np.uint8)
    for one in {isinstance(v, str): v for v in test.values}.values():  # of each type that the list has
        first, values = column.span(one)
        table[first : first + len(values)] = FALSE
    for value in test.values:
        first, values = column.span(value)
        table[first + bisect_left(values, value) : first + bisect_right(values, value)] = TRUE
    return table


def _typed(column: Column, first: int, count: int) -> UInt8:
    """False for values of the right type, unknown for the others."""
    table = np.full(1 + len(column.numbers) + len(column.texts), UNKNOWN, np.uint8)
    table[first : first + count] = FALSE
    return table


def _true(column: Column, _test: Test) -> UInt8:
    return _compared(column, Test("", Check.UNEQUAL, (0,)))


def _null(column: Column, _test: Test) -> UInt8:
    table = np.zeros(1 + len(column.numbers) + len(column.texts), np.uint8)
    table[0] = TRUE
    return table


def _like(column: Column, test: Test) -> UInt8:
    # A number is compared as it is written, and a column does not keep whether 1 was written 1 or 1.0.
    if column.numbers or len(column.texts) > MAX_DISTINCT:
        raise _LeftToSqlError
    with closing(sqlite3.connect(":memory:")) as db:  # for SQLite's own idea of case
        db.execute("CREATE TABLE texts (text)")
        db.executemany("INSERT INTO texts VALUES (?)", ((t,) for t in column.texts))
        found = db.execute("SELECT text LIKE ? FROM texts ORDER BY rowid", test.values)
        return np.array([UNKNOWN, *(TRUE * r[0] for r in found)], np.uint8)


_TABLES: Mapping[Check, Callable[[Column, Test], UInt8]] = {
    **dict.fromkeys(_RANGES, _compared),
    Check.AMONG: _among,
    Check.LIKE: _like,
    Check.NULL: _null,
    Check.TRUE: _true,
}
