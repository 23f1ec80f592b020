"""Questions to the catalog about the pins' attributes: which pins a filter leaves, what values there are.

Every question reads the JSON of the pins that it is about. `search` keeps the answers of a state in arrays.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from visualsearch.errors import FilterError
from visualsearch.types import Int64

ATTRIBUTES = "CASE WHEN json_valid(p.attributes) THEN p.attributes END"
"""The attributes of `pins p` for SQLite's JSON functions, which fail for all pins where one pin's JSON is damaged."""
_AMONG = "p.pin IN (SELECT value FROM json_each(?))"


class Condition(Protocol):
    """What a query leaves: an SQL expression over `pins p`, and its bound values."""

    @property
    def sql(self) -> str:
        """The expression, with ? for each value."""
        ...

    @property
    def values(self) -> Sequence[Any]:
        """The values, in order."""
        ...


def json_path(name: str) -> str:
    """SQLite's path of an attribute. Raises FilterError for a name that has none."""
    if '"' in name or "\\" in name or min(name, default=" ") < " ":
        raise FilterError(
            f"cannot filter or sort by the attribute {name!r}",
            "its name holds a quote, a backslash or a control character",
            "Rename the attribute in the source, and index it again",
        )
    return f'$."{name}"'


def condition_of(chosen: Condition | None) -> tuple[str, tuple[Any, ...]]:
    """A condition as SQL and its values; of all pins for None."""
    return ("1", ()) if chosen is None else (chosen.sql, tuple(chosen.values))


class AttributeReader:
    """Questions about attributes, through a connection that is in a transaction. `pins` asks of these pins only."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def names(self) -> list[str]:
        """Names of all attributes that some pin had."""
        return [r[0] for r in self.db.execute("SELECT name FROM names ORDER BY name")]

    # -- filters --------------------------------------------------------------------------------------------------
    def matching(self, chosen: Condition, pins: Int64 | None = None) -> Int64:
        """Numbers of the pins that a filter leaves, ascending."""
        among, those = _among(pins)
        found = self.db.execute(
            f"SELECT p.pin FROM pins p WHERE {among} AND {chosen.sql}", (*those, *chosen.values)
        )
        numbers = np.fromiter((r[0] for r in found), dtype=np.int64)
        numbers.sort()
        return numbers

    def count_matching(self, chosen: Condition | None) -> int:
        """How many pins a filter leaves."""
        condition, values = condition_of(chosen)
        return int(self.db.execute(f"SELECT count(*) FROM pins p WHERE {condition}", values).fetchone()[0])

    # -- values ---------------------------------------------------------------------------------------------------
    def attribute_values(self, name: str, pins: Int64 | None = None) -> Iterator[Any]:
        """Each pin's value of an attribute, by pin number: None where it is missing, lists and objects as JSON texts."""
        among, those = _among(pins)
        question = f"SELECT json_extract({ATTRIBUTES}, ?) FROM pins p WHERE {among} ORDER BY p.pin"
        return (r[0] for r in self.db.execute(question, (json_path(name), *those)))

    def attribute_types(self, name: str, pins: Int64 | None = None) -> Iterator[str | None]:
        """Each pin's JSON type of an attribute, by pin number: "text", "array" ..., None where it is missing."""
        among, those = _among(pins)
        question = f"SELECT json_type({ATTRIBUTES}, ?) FROM pins p WHERE {among} ORDER BY p.pin"
        return (r[0] for r in self.db.execute(question, (json_path(name), *those)))

    def list_members(self, name: str, pins: Int64 | None = None) -> Iterator[tuple[int, Any]]:
        """(pin number, member) of every list that pins have as this attribute; null is no member."""
        among, those = _among(pins)
        path = json_path(name)
        return self.db.execute(
            f"SELECT p.pin, e.value FROM pins p, json_each({ATTRIBUTES}, ?) e"
            f" WHERE {among} AND json_type({ATTRIBUTES}, ?) = 'array' AND e.value IS NOT NULL",
            (path, *those, path),
        )

    # -- summaries ------------------------------------------------------------------------------------------------
    def attribute_kinds(self, most_pins: int) -> Iterator[tuple[Any, ...]]:
        """(name, JSON type, pins, distinct values, least, greatest, longest in characters), over at most so many pins.

        A row for each type of each attribute, by name, the most frequent type first. Null is no type.
        """
        return self.db.execute(
            f"SELECT key, type, count(*), count(DISTINCT value), min(value), max(value), max(length(value))"
            f" FROM (SELECT {ATTRIBUTES} AS attributes FROM pins p LIMIT ?), json_each(attributes)"
            f" WHERE type <> 'null' GROUP BY key, type ORDER BY key, 3 DESC",
            (most_pins,),
        )

    def value_counts(
        self, names: Sequence[str], most_pins: int, chosen: Condition | None = None, most: int = -1
    ) -> Iterator[tuple[str, str, Any, int]]:
        """(name, JSON type, value, pins) over at most `most_pins` of the pins that a filter leaves.

        By name, the most frequent value first; at most `most` rows, -1 for all.
        """
        condition, values = condition_of(chosen)
        marks = ", ".join("?" * len(names))
        return self.db.execute(
            f"SELECT key, type, value, count(*) FROM"
            f" (SELECT {ATTRIBUTES} AS attributes FROM pins p WHERE {condition} LIMIT ?), json_each(attributes)"
            f" WHERE type <> 'null' AND key IN ({marks}) GROUP BY key, type, value ORDER BY 1, 4 DESC, 3 LIMIT ?",
            (*values, most_pins, *names, most),
        )


def _among(pins: Int64 | None) -> tuple[str, tuple[Any, ...]]:
    return ("1", ()) if pins is None else (_AMONG, (json.dumps(pins.tolist()),))
