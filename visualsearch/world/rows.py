"""Events in columns: what a simulated day leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Bool, Int64

KINDS = (
    "impression", "click", "visit", "save", "hide", "report", "share", "purchase",
)  # fmt: skip
SITE = 9
"""The number of the surface `site`: what happens outside of any list."""
NAMES = {**dict(enumerate(("feed", "search", "related", "board", "look"))), SITE: "site"}
VARIANTS = ("ranked", "shuffled")
_COLUMNS: Mapping[str, tuple[Any, Any]] = {
    "at": (np.int64, 0),
    "person": (np.int32, 0),
    "kind": (np.int8, 0),
    "pin": (np.int32, -1),
    "surface": (np.int8, SITE),
    "session": (np.int64, -1),
    "answer": (np.int64, -1),
    "slot": (np.int16, -1),
    "row": (np.int16, -1),
    "column": (np.int16, -1),
    "variant": (np.int8, -1),
    "propensity": (np.float64, np.nan),
    "dwell": (np.int64, -1),
    "value": (np.float64, np.nan),
    "site": (np.int32, -1),
    "cause": (np.int8, -1),
    "campaign": (np.int32, -1),
    "save": (np.int64, -1),
}
"""Columns, their types, and what stands in a row that has none. `cause`, `campaign` and `save` are for the truth alone."""
BASELINE, PIN, PROMOTION = range(3)
CAUSES = ("baseline", "pin", "promotion")

Rows = dict[str, NDArray[Any]]


def made_rows(count: int, **given: Any) -> Rows:
    """`count` rows with those columns; the others hold what stands for none."""
    rows: Rows = {}
    for name, (kind, none) in _COLUMNS.items():
        value = given.pop(name, none)
        rows[name] = np.broadcast_to(np.asarray(value), (count,)).astype(kind)
    if given:
        raise KeyError(f"no such columns: {sorted(given)}")
    return rows


def joined(parts: Sequence[Rows]) -> Rows:
    """One after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}


def chosen(rows: Rows, which: Bool | Int64) -> Rows:
    """Some of the rows."""
    return {name: column[which] for name, column in rows.items()}


def by_time(rows: Rows) -> Rows:
    """In the order of their times; rows of one time by person, pin and kind, so that the order is one only."""
    return chosen(rows, np.lexsort((rows["slot"], rows["pin"], rows["kind"], rows["person"], rows["at"])))


def count(rows: Rows) -> int:
    """How many."""
    return len(rows["at"])
