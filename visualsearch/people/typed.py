"""The columns of a batch of events, checked and in their types. A row that does not fit is named, and costs no other."""

from __future__ import annotations

from typing import Any

import numpy as np

from visualsearch.types import Bool

from .events import FUTURE_MS, LONGEST
from .model import MEANINGS, SURFACES
from .tables import BadRow, Batch, numbers, texts, times

_WHOLE = {"slot": "slot", "row": "slot_row", "column": "slot_column", "dwell_ms": "dwell_ms"}
_REAL = ("propensity", "value")
_TEXT = ("surface", "answer", "variant", "board", "currency", "site")


class Rows:
    """The columns of a batch while they are checked: `good` says which rows are still in."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.good: Bool = np.ones(len(batch), bool)
        self.bad: list[BadRow] = []

    def drop(self, which: Any, reason: str) -> None:
        """Take rows out: a boolean mask, or positions."""
        chosen = np.zeros(len(self.batch), bool)
        chosen[which if isinstance(which, np.ndarray) else np.asarray(which, np.int64)] = True
        chosen &= self.good
        self.bad += [BadRow(self.batch.lines[int(at)], reason) for at in np.flatnonzero(chosen)]
        self.good &= ~chosen


def typed(rows: Rows, dates: str | None, key: str, now: int) -> dict[str, Any]:
    """The columns of a batch in their types, by the names of `events`; rows that do not fit are dropped and named."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = rows.batch.columns
    at, bad = times(given["at"], dates)
    rows.drop(bad, "`at` is no time")
    rows.drop(mask(at.is_null()), "`at` is empty")
    at = at.fill_null(0)
    rows.drop(mask(pc.greater(at, now + FUTURE_MS)), "`at` lies in the future")
    rows.drop(mask(pc.less(at, 0)), "`at` lies before 1970")
    columns: dict[str, Any] = {"at": at, "person": texts(given["person"])}
    kind = columns["kind"] = texts(given["kind"])
    rows.drop(~mask(pc.is_in(kind, value_set=pa.array(list(MEANINGS)))), "`kind` is no kind of event")
    pin = columns["pin_id"] = texts(given["pin"]) if "pin" in given else None
    with_pin = mask(pc.is_in(kind, value_set=pa.array([name for name, m in MEANINGS.items() if m.pin])))
    rows.drop(with_pin & (np.ones(len(kind), bool) if pin is None else mask(pin.is_null())), "it needs a pin")
    for name, target in _WHOLE.items():
        columns[target] = _number(rows, name, True)
    for name in _REAL:
        columns[name] = _number(rows, name, False)
    for name in (*_TEXT, "session", "event_id"):
        columns[name] = texts(given[name]) if name in given else None
        if columns[name] is not None:
            rows.drop(mask(pc.greater(pc.utf8_length(columns[name]), LONGEST)), f"`{name}` is too long")
    for name in (*_TEXT, "session", "event_id", "pin_id"):
        if columns[name] is not None:
            rows.drop(mask(pc.match_substring(columns[name], "\0")), f"`{name}` holds the character NUL")
    if columns["surface"] is not None:
        fine = pc.is_in(columns["surface"], value_set=pa.array([None, *SURFACES]))
        rows.drop(~mask(fine), "`surface` is no surface")
    if columns["session"] is not None:
        columns["session"] = columns["session"].fill_null("")
    lines = np.asarray(rows.batch.lines, np.int64)
    made = pc.binary_join_element_wise(key, pa.array(lines).cast(pa.string()), "-")
    own = columns["event_id"]
    columns["event_id"] = made if own is None else pc.if_else(mask_of(own), own, made)
    return columns


def mask_of(column: Any) -> Any:
    """Where a column of texts has a text that is not empty."""
    import pyarrow.compute as pc

    return pc.greater(pc.utf8_length(column), 0).fill_null(False)


def _number(rows: Rows, name: str, whole: bool) -> Any:
    import pyarrow.compute as pc

    if name not in rows.batch.columns:
        return None
    column, bad = numbers(rows.batch.columns[name], whole)
    rows.drop(bad, f"`{name}` is no number")
    if whole:
        outside = mask(pc.or_(pc.less(column, 0), pc.greater_equal(column, 2**31)))
        rows.drop(outside, f"`{name}` must be a whole number from 0 on")
        return pc.if_else(pc.less(column, 2**31), column, None)
    rows.drop(~mask(pc.is_finite(column.fill_null(0.0))), f"`{name}` must be a finite number")
    if name == "propensity":
        outside = mask(pc.or_(pc.less_equal(column, 0), pc.greater(column, 1)))
        rows.drop(outside, "`propensity` must be above 0 and at most 1")
    return column


def mask(column: Any) -> Bool:
    """A boolean column as an array; null is False."""
    found: Bool = column.fill_null(False).to_numpy(zero_copy_only=False)
    return found
