"""What a filter's tests say of a column: each distinct value is tested once, and the truth spread over the pins.

Values are compared as SQLite compares them, so that both ways select the same pins.
"""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import numpy as np

from visualsearch.types import UInt8

from .column import A_LIST, A_TEXT, FALSE, TRUE, UNKNOWN, Column, Lists
from .tree import Both, Check, Node, Not, Test

MAX_DISTINCT = 100_000
"""LIKE over more distinct values than this is left to SQL, which reads them as fast."""

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


class LeftToSqlError(Exception):
    """This column is too large, or this test needs what a column does not keep."""


def truth(node: Node, column: Callable[[str], Column], lists: Callable[[str], Lists]) -> UInt8:
    """(pins,) truth of a filter's tree. `column` and `lists` give those of an attribute, or raise LeftToSqlError."""
    if isinstance(node, Not):
        return np.asarray(np.uint8(TRUE) - truth(node.part, column, lists), np.uint8)
    if isinstance(node, Test):
        getattr(_ahead, "of_test", _nothing)()
        if node.check is Check.CONTAINS:
            return _contains(node, column, lists)
        found = column(node.name)
        return found.spread(_TABLES[node.check](found, node))
    join = np.minimum if isinstance(node, Both) else np.maximum
    made: UInt8 = join(truth(node.left, column, lists), truth(node.right, column, lists))
    return made


def _contains(test: Test, column: Callable[[str], Column], lists: Callable[[str], Lists]) -> UInt8:
    having, value = lists(test.name), test.values[0]
    made = np.where(having.kinds == A_LIST, np.uint8(FALSE), np.uint8(UNKNOWN))
    made[having.holding(value)] = TRUE
    texts = having.kinds == A_TEXT
    if texts.any():
        known = column(test.name)
        table = np.full(1 + len(known.numbers) + len(known.texts), UNKNOWN, np.uint8)
        table[1 + len(known.numbers) :] = [TRUE * (str(value) in text) for text in known.texts]
        made[texts] = table[known.codes[texts]]
    return made


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
        raise LeftToSqlError
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
