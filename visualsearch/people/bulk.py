"""Events by the column: what `people import` uses. Closed days go straight to Parquet, without a row in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from visualsearch.types import Int64

from . import ids, lookup
from . import parts as disk
from .billing import PROMOTED, bill
from .days import EDGE_MS, GRACE_MS, Days, parts_of_days
from .folk import Folk
from .model import DAY_MS, SESSION_MS
from .parts import Part, day_of, day_start
from .schema import EVENT_COLUMNS, events, parts
from .store import chunks
from .tables import BadRow, Batch
from .typed import Rows, typed

_ID, _AT = EVENT_COLUMNS.index("event_id"), EVENT_COLUMNS.index("at")
BULK_ROWS = 131_072
"""Rows of a part that an import writes."""


@dataclass
class Taken:
    """What became of a batch of events."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    unknown_pins: int = 0
    bad: list[BadRow] = field(default_factory=list)


class Bulk(Days):
    """Takes events in columns."""

    def take_events(
        self, batch: Batch, dates: str | None, key: str, finish: Callable[[Connection], None], folk: Folk
    ) -> Taken:
        """Store a batch of events; `finish` runs in the same transaction. `key` names events that have no id.

        `folk` keeps the persons from one batch to the next. The lock of parts is held throughout, so nobody is forgotten
        meanwhile, and whoever turns their consent off finds all that was stored before.
        """
        import pyarrow as pa

        taken = Taken()
        rows = Rows(batch)
        now = self.now()
        columns = typed(rows, dates, key, now)
        columns["pin"], taken.unknown_pins = self._pin_numbers(columns["pin_id"])
        n = len(batch)
        columns["received"] = pa.array(np.full(n, now))
        columns["session"] = columns.get("session") or pa.array([""]).take(pa.array(np.zeros(n, np.int32)))
        with self.upkeep():
            person = folk.numbers(self.store, rows, columns["person"], now)
            columns["person"] = pa.array(person)
            taken.refused = folk.consents(self.store, rows, columns, person)
            taken.bad = rows.bad
            table = _sessions(_sorted(_table(rows, columns)))
            fresh = self._fresh(table, "event_id" in batch.columns)
            taken.duplicates = len(table) - len(fresh)
            taken.accepted = self._put(fresh, finish)
        return taken

    def _pin_numbers(self, column: Any) -> tuple[Any, int]:
        """The number of each row's pin, null where the index has none of that id; and how many ids it has not."""
        import pyarrow as pa

        if column is None:
            return None, 0
        coded = column.dictionary_encode()
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        names = coded.dictionary.to_pylist()
        found: dict[str, Any] = {}
        for part in chunks(names, 5000):
            found |= self.pins.find(part)
        of_name = pa.array([found[name].number if name in found else None for name in names], pa.int64())
        return of_name.take(coded.indices), len(names) - len(found)

    def _fresh(self, table: Any, given: bool) -> Any:
        """The rows whose id is not stored yet, each id once. Ids that were made from the file need no look."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not given or not len(table):
            return table
        table = _once(table)
        names = table.column("event_id")
        at = table.column("at").to_numpy()
        low, high = int(at.min()) - EDGE_MS, int(at.max()) + EDGE_MS
        days = {day_of(int(day) * DAY_MS) for day in np.unique(at // DAY_MS)} | {day_of(low), day_of(high)}
        with self.store.read() as db:
            stored = list(
                db.execute(select(events.c.event_id).where(events.c.at.between(low, high))).scalars()
            )
            files = parts_of_days(db, days)
        new = lookup.fresh(self.store.folder, files, names.combine_chunks())
        if stored:
            new = pc.and_(new, pc.invert(pc.is_in(names, value_set=pa.array(stored, pa.string()))))
        return table.filter(new)

    def _put(self, table: Any, finish: Callable[[Connection], None]) -> int:
        """Write closed days as parts and the others as rows, and name them in one transaction."""
        import pyarrow as pa

        open_since = day_start(self.now() - GRACE_MS)
        closed = table.column("at").to_numpy() < open_since
        rest = disk.rows_of(disk.filled(table.filter(pa.array(~closed)))) if not closed.all() else []
        done = table if closed.all() else table.filter(pa.array(closed))
        made: list[Part] = []

        def write(piece: tuple[Any, int]) -> None:
            made.append(disk.write_part(self.store.folder, piece[0], piece[1]))

        promoted = _promoted(table)

        def work(db: Connection) -> int:
            self.store.insert(db, parts, made)
            self.store.insert(db, events, rest)
            bill(db, self.store, promoted)
            finish(db)
            return len(table)

        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(write, _slices(done)))
            stored: int = self.store.write(work)
        except BaseException:
            for part in made:
                disk.remove(self.store.folder, part.file)
            raise
        return stored

    def open_tables(self) -> Iterator[tuple[str, Any]]:
        """The open days' events as Arrow tables, each of one day."""
        with self.store.read() as db:
            days = sorted({day_start(at) for at in db.execute(select(events.c.at)).scalars()})
        for start in days:
            chosen = select(events).where(events.c.at >= start, events.c.at < start + DAY_MS)
            with self.store.read() as db:
                yield (
                    day_of(start),
                    disk.table_of([tuple(r) for r in db.execute(chosen.order_by(events.c.person))]),
                )


def _promoted(table: Any) -> list[Any]:
    """The rows that name a placement, oldest first: they are billed as if each had come by itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "variant" not in table.column_names:
        return []
    chosen = pc.fill_null(pc.starts_with(table.column("variant").cast(pa.string()), PROMOTED), False)
    rows = disk.rows_of(disk.filled(table.filter(chosen)))
    return sorted(rows, key=lambda row: (row[_AT], row[_ID]))


def _table(rows: Rows, columns: dict[str, Any]) -> Any:
    """The good rows; columns without any value are left out. Times are whole numbers still."""
    import pyarrow as pa

    schema = disk.arrow_schema()
    n = len(rows.batch)
    columns["skew"] = pa.array(np.zeros(n, np.int64))
    held = [each for each in schema if columns.get(each.name) is not None]
    kinds = {"at": pa.int64(), "received": pa.int64()}
    table = pa.table({each.name: columns[each.name].cast(kinds.get(each.name, each.type)) for each in held})
    return table if rows.good.all() else table.filter(pa.array(rows.good))


def _months(at: Int64) -> Int64:
    """Months since January 1970."""
    found: Int64 = at.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    return found


def _sorted(table: Any) -> Any:
    """By month, person and time."""
    import pyarrow as pa

    if not len(table):
        return table
    at = table.column("at").to_numpy()
    months = _months(at)
    _, person = np.unique(table.column("person").to_numpy(), return_inverse=True)
    first = int(at.min())
    bits = [int(values.max()).bit_length() for values in (at - first, person, months - months.min())]
    if sum(bits) < 63:  # one number to sort by is much faster than three
        key = ((months - months.min()) << bits[1] | person) << bits[0] | (at - first)
        order = np.argsort(key)
    else:
        order = np.lexsort((at, person, months))
    return table.take(pa.array(order))


def _slices(table: Any) -> Iterator[tuple[Any, int]]:
    """A table that is sorted by month and person, cut at each month and at BULK_ROWS; and how many rows the month has."""
    months = _months(table.column("at").to_numpy())
    edges = [0, *(np.flatnonzero(np.diff(months)) + 1).tolist(), len(months)]
    for start, end in itertools.pairwise(edges):
        for first in range(start, end, BULK_ROWS):
            yield table.slice(first, min(BULK_ROWS, end - first)), end - start


def _once(table: Any) -> Any:
    """The rows of a table with each id once: the first."""
    import pyarrow as pa

    names = table.column("event_id")
    known = ids.hashes(names)
    order = np.argsort(known, kind="stable")
    same = known[order][1:] == known[order][:-1]
    if not same.any():
        return table
    twins = np.zeros(len(table), bool)
    twins[order[1:][same]] = twins[order[:-1][same]] = True
    seen: set[str] = set()
    keep = ~twins
    for at in np.flatnonzero(twins).tolist():
        name = names[at].as_py()
        keep[at] = name not in seen
        seen.add(name)
    return table.filter(pa.array(keep))


def days_of(table: Any) -> Iterator[tuple[str, Any]]:
    """The rows of a part by day."""
    import pyarrow as pa

    days = table.column("at").cast(pa.int64()).to_numpy() // DAY_MS
    for day in np.unique(days):
        yield day_of(int(day) * DAY_MS), table.filter(pa.array(days == day))


def _sessions(table: Any) -> Any:
    """Cut sessions: rows are sorted by person and time. A batch's and a day's edge end a session too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(table):
        return table
    at = table.column("at").to_numpy()
    person = table.column("person").to_numpy()
    label = table.column("session").combine_chunks()
    codes = label.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    starts = np.ones(len(at), bool)
    starts[1:] = (
        (np.diff(person) != 0)
        | (np.diff(at) > SESSION_MS)
        | (np.diff(codes) != 0)
        | (np.diff(at // DAY_MS) != 0)
    )
    began = at[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    named = pc.binary_join_element_wise(label, pa.array(began).cast(pa.string()), "@")
    return table.set_column(table.column_names.index("session"), "session", named)
