"""Questions of the page to the catalog: a page of pins, what the attributes hold."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from visualsearch.engine import Index
from visualsearch.errors import UsageError
from visualsearch.search import ATTRIBUTES, json_path, parse
from visualsearch.store import Pin, Reader

from .deadline import check_filter, limited
from .schemas import AttributeOut, ValueOut
from .settings import Settings

SURVEYED = 200_000
"""Attributes are summed up over at most so many pins."""
MOST_VALUES = 40
LONGEST = 60  # characters of a value to choose
_NUMBERS = ("integer", "real")
_TRUTHS = {"true", "false"}
_SCALARS = {*_NUMBERS, *_TRUTHS, "text"}
_MIX = 2_654_435_761  # Knuth, TAOCP 6.4: multiplication by it scatters consecutive numbers


def pins(
    index: Index, where: str | None, sort: str | None, k: int, offset: int, limits: Settings
) -> tuple[list[Pin], int]:
    """A page of the pins that a filter leaves, and how many these are.

    `sort` is an attribute's name, with a leading "-" from high to low; without it, pins come well mixed.
    """
    check_filter(where, limits.max_tests)
    with limited(index, limits.filter_seconds), index.catalog.read() as reader:
        condition, values = _condition(reader, where)
        total = int(reader.db.execute(f"SELECT count(*) FROM pins p WHERE {condition}", values).fetchone()[0])
        order, keys = _order(reader, sort)
        found = reader.db.execute(
            f"{reader.PINS} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, *keys, k, offset),
        )
        return [reader.pin(row) for row in found], total


def _condition(reader: Reader, where: str | None) -> tuple[str, tuple[Any, ...]]:
    """A filter as SQL and its values; without one, all pins."""
    if where is None:
        return "1", ()
    chosen = parse(where, reader.names())
    return chosen.sql, tuple(chosen.values)


def sort_key(sort: str, names: list[str]) -> tuple[str, bool]:
    """The attribute to sort by, and whether from high to low. Raises UsageError for one that no pin has."""
    name, down = (sort[1:], True) if sort.startswith("-") and sort not in names else (sort, False)
    if name not in names:
        known = ", ".join(names[:12])
        raise UsageError(
            f"cannot sort by {name!r}",
            "no pin of this index has it",
            f"Known: {known}" if known else "This index's pins have no attributes",
        )
    return name, down


def summaries(index: Index) -> list[AttributeOut]:
    """What every attribute holds, by name."""
    with index.catalog.read() as reader:
        # one pin with damaged attributes costs its own only
        table = f"(SELECT {ATTRIBUTES} AS attributes FROM pins p LIMIT {SURVEYED})"
        found = reader.db.execute(
            f"SELECT key, type, count(*), count(DISTINCT value), min(value), max(value), max(length(value))"
            f" FROM {table}, json_each(attributes) WHERE type <> 'null' GROUP BY key, type ORDER BY key, 3 DESC"
        ).fetchall()
        rows: dict[str, list[Any]] = {}
        for row in found:
            rows.setdefault(row[0], []).append(row[1:])
        return [_summary(reader, table, name, kinds) for name, kinds in rows.items()]


def counts(
    index: Index, where: str | None, names: Sequence[str], limits: Settings
) -> dict[str, list[ValueOut]]:
    """How many of the pins that a filter leaves have each value of these attributes; values that none has are left out."""
    check_filter(where, limits.max_tests)
    with limited(index, limits.filter_seconds), index.catalog.read() as reader:
        condition, values = _condition(reader, where)
        marks = ", ".join("?" * len(names))
        found = reader.db.execute(
            f"SELECT key, type, value, count(*) FROM"
            f" (SELECT {ATTRIBUTES} AS attributes FROM pins p WHERE {condition} LIMIT {SURVEYED}), json_each(attributes)"
            f" WHERE type <> 'null' AND key IN ({marks}) GROUP BY key, type, value ORDER BY 1, 4 DESC, 3",
            (*values, *names),
        )
        counted: dict[str, list[ValueOut]] = {name: [] for name in names}
        for name, kind, value, count in found:
            counted[name].append(ValueOut(value=kind == "true" if kind in _TRUTHS else value, count=count))
        return counted


def _summary(reader: Reader, table: str, name: str, kinds: list[Any]) -> AttributeOut:
    count = sum(kind[1] for kind in kinds)
    types = {kind[0] for kind in kinds}
    if types <= set(_NUMBERS):
        return _range(name, kinds)
    distinct = sum(kind[2] for kind in kinds)
    if types <= _TRUTHS:
        values = [ValueOut(value=kind[0] == "true", count=kind[1]) for kind in kinds]
        return AttributeOut(name=name, kind="boolean", count=count, values=values)
    # A value that most pins have for themselves, or a long one, is a text: nothing to choose from.
    few = 1 < distinct <= MOST_VALUES or distinct <= count // 4
    shared = distinct <= count // 2 or count < 8
    if types <= _SCALARS and few and shared and max(kind[5] for kind in kinds) <= LONGEST:
        return AttributeOut(name=name, kind="category", count=count, values=_values(reader, table, name))
    # Prices with an "on request" among them keep their range.
    numbers = [kind for kind in kinds if kind[0] in _NUMBERS]
    if 2 * sum(kind[1] for kind in numbers) >= count:
        return _range(name, numbers)
    return AttributeOut(name=name, kind="text", count=count)


def _range(name: str, kinds: list[Any]) -> AttributeOut:
    """A number's range; an end that is not finite is left out, since JSON cannot say it."""
    low, high = (float(end) for end in (min(kind[3] for kind in kinds), max(kind[4] for kind in kinds)))
    return AttributeOut(
        name=name,
        kind="number",
        count=sum(kind[1] for kind in kinds),
        low=low if isfinite(low) else None,
        high=high if isfinite(high) else None,
    )


def _values(reader: Reader, table: str, name: str) -> list[ValueOut]:
    found = reader.db.execute(
        f"SELECT type, value, count(*) FROM {table}, json_each(attributes) WHERE key = ? AND type <> 'null'"
        f" GROUP BY type, value ORDER BY 3 DESC, 2 LIMIT {MOST_VALUES}",
        (name,),
    )
    return [
        ValueOut(value=kind == "true" if kind in _TRUTHS else value, count=count)
        for kind, value, count in found
    ]


def _order(reader: Reader, sort: str | None) -> tuple[str, tuple[Any, ...]]:
    if sort is None:
        return f"(p.pin * {_MIX}) % 4294967296, p.pin", ()
    name, down = sort_key(sort, reader.names())
    path = json_path(name)
    value = f"json_extract({ATTRIBUTES}, ?)"
    return f"{value} IS NULL, {value} {'DESC' if down else 'ASC'}, p.pin", (path, path)
