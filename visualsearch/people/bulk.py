"""Events by the column: what `people import` uses. Closed days go straight to Parquet, without a row in between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from visualsearch.errors import UsageError
from visualsearch.types import Bool, Int64

from . import parts as disk
from .days import EDGE_MS, GRACE_MS, Days
from .events import FUTURE_MS, LONGEST, refusal
from .model import DAY_MS, MEANINGS, SESSION_MS, SURFACES
from .parts import Part, day_of, day_start
from .persons import OPEN, Known, check_key, find, need
from .schema import EVENT_COLUMNS, events, parts
from .store import among, chunks
from .tables import BadRow, Batch, numbers, texts, times

BULK_ROWS = 131_072
"""Rows of a part that an import writes."""
_WHOLE = {"slot": "slot", "row": "slot_row", "column": "slot_column", "dwell_ms": "dwell_ms"}
_REAL = ("propensity", "value")
_TEXT = ("surface", "answer", "variant", "board", "currency", "site")


@dataclass
class Taken:
    """What became of a batch of events."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    unknown_pins: int = 0
    bad: list[BadRow] = field(default_factory=list)


class _Rows:
    """The columns of a batch while they are checked: `good` says which rows are still in."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.good: Bool = np.ones(len(batch), bool)
        self.bad: list[BadRow] = []

    def drop(self, which: Any, reason: str) -> None:
        """Take rows out: a boolean mask, or positions."""
        mask = np.zeros(len(self.batch), bool)
        mask[which if isinstance(which, np.ndarray) else np.asarray(which, np.int64)] = True
        mask &= self.good
        self.bad += [BadRow(self.batch.lines[int(at)], reason) for at in np.flatnonzero(mask)]
        self.good &= ~mask


class Bulk(Days):
    """Takes events in columns."""

    def take_events(
        self, batch: Batch, dates: str | None, key: str, finish: Callable[[Connection], None]
    ) -> Taken:
        """Store a batch of events; `finish` runs in the same transaction. `key` names events that have no id."""
        import pyarrow as pa

        taken = Taken()
        rows = _Rows(batch)
        now = self.now()
        columns = _typed(rows, dates, key, now)
        person, known = self._people(rows, columns.pop("person"))
        columns["person"] = pa.array(person)
        columns["pin"], taken.unknown_pins = self._pin_numbers(columns["pin_id"])
        taken.refused = _consents(rows, columns, person, known)
        n = len(batch)
        columns["skew"] = pa.array(np.zeros(n, np.int64))
        columns["received"] = pa.array(np.full(n, now))
        columns["session"] = columns.get("session") or pa.array([""]).take(pa.array(np.zeros(n, np.int32)))
        schema = disk.arrow_schema()
        table = pa.table(
            [
                pa.nulls(n, each.type)
                if columns.get(each.name) is None
                else columns[each.name].cast(each.type)
                for each in schema
            ],
            schema,
        )
        taken.bad = rows.bad
        table = table.filter(pa.array(rows.good))
        at = table.column("at").cast(pa.int64()).to_numpy()
        order = np.lexsort((at, table.column("person").to_numpy(), at // DAY_MS))
        table = _sessions(table.take(pa.array(order)))
        with self.upkeep():
            fresh = self._fresh(table, "event_id" in batch.columns)
            taken.duplicates = len(table) - len(fresh)
            taken.accepted = self._put(fresh, finish)
        return taken

    def _people(self, rows: _Rows, column: Any) -> tuple[Int64, dict[int, Known]]:
        """The number of each row's person, made where new, and what each person allows."""
        import pyarrow as pa

        coded = column.dictionary_encode()
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        names = coded.dictionary.to_pylist()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        numbers, known = np.zeros(len(names) + 1, np.int64), {}
        found: dict[str, Known] = {}
        wrong = []
        for at, name in enumerate(names):
            try:
                check_key(name)
            except UsageError:
                wrong.append(at)
        used = set(np.unique(codes[rows.good]).tolist())
        odd = set(wrong)
        usable = [name for at, name in enumerate(names) if at in used and at not in odd]
        for part in chunks(usable, 20_000):
            found |= self.store.write(partial(_needed, bulk=self, names=part))
        for at, name in enumerate(names):
            if name in found:
                numbers[at] = found[name].number
                known[found[name].number] = found[name]
        rows.drop(np.isin(codes, [-1, *wrong]), "`person` is empty or no key")
        result: Int64 = numbers[codes]
        rows.drop(result == 0, "nobody has that pseudonym")
        return result, known

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
        ids = table.column("event_id")
        _, first = np.unique(ids.to_numpy(zero_copy_only=False), return_index=True)
        if len(first) < len(table):
            table = table.take(pa.array(np.sort(first)))
            ids = table.column("event_id")
        at = table.column("at").cast(pa.int64())
        low, high = pc.min(at).as_py(), pc.max(at).as_py()
        seen = []
        with self.store.read() as db:
            stretch = parts.c.day.between(day_of(low - EDGE_MS), day_of(high + EDGE_MS))
            files = list(db.execute(select(parts.c.file).where(stretch)).scalars())
            stored = select(events.c.event_id).where(events.c.at.between(low - EDGE_MS, high + EDGE_MS))
            seen.append(pa.array(list(db.execute(stored).scalars()), pa.string()))
        days = set(pc.unique(pc.strftime(table.column("at"), "%Y-%m-%d")).to_pylist())
        for file in files:
            if file.split("/")[1] in days:
                seen.append(disk.read_part(self.store.folder, file, ["event_id"]).column(0).combine_chunks())
        seen = [each for each in seen if len(each)]
        if not seen:
            return table
        return table.filter(pc.invert(pc.is_in(ids, value_set=pa.chunked_array(seen).combine_chunks())))

    def _put(self, table: Any, finish: Callable[[Connection], None]) -> int:
        """Write closed days as parts and the others as rows, and name them in one transaction."""
        import pyarrow as pa

        closed = day_start(self.now() - GRACE_MS)
        at = table.column("at").cast(pa.int64()).to_numpy()
        split = int(np.searchsorted(at // DAY_MS, closed // DAY_MS))
        made: list[Part] = []
        with ThreadPoolExecutor(2) as pool:
            made += pool.map(self._part, _slices(table.slice(0, split), at[:split]))
        rest = disk.rows_of(table.slice(split))

        def work(db: Connection) -> int:
            alive = _alive(db, [part.lowest for part in made] and table.column("person").unique().to_pylist())
            if not alive:
                raise UsageError(
                    "the import was stopped", "somebody in it was forgotten meanwhile", "Run it again"
                )
            self.store.insert(db, parts, made)
            self.store.insert(db, events, rest)
            finish(db)
            return len(table)

        try:
            stored: int = self.store.write(work)
        except BaseException:
            for part in made:
                disk.remove(self.store.folder, part.file)
            raise
        return stored

    def _part(self, piece: tuple[str, Any]) -> Part:
        return disk.write_part(self.store.folder, *piece)

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


def _needed(db: Connection, bulk: Bulk, names: Sequence[str]) -> dict[str, Known]:
    from .model import pseudonym_number

    known = find(db, names)
    keys = [name for name in names if name not in known and pseudonym_number(name) is None]
    return known | need(db, bulk.store, keys, bulk.now())


def _alive(db: Connection, persons: Sequence[int]) -> bool:
    return len(among(db, "SELECT person FROM people WHERE person", persons)) == len(persons)


def _slices(table: Any, at: Int64) -> Iterator[tuple[str, Any]]:
    """A table that is sorted by day and person, cut at each day and at BULK_ROWS."""
    days = at // DAY_MS
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for start, end in itertools.pairwise(edges):
        for first in range(start, end, BULK_ROWS):
            piece = table.slice(first, min(BULK_ROWS, end - first))
            yield day_of(int(at[first])), piece


def _typed(rows: _Rows, dates: str | None, key: str, now: int) -> dict[str, Any]:
    """The columns of a batch in their types, by the names of `events`; rows that do not fit are dropped and named."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = rows.batch.columns
    at, bad = times(given["at"], dates)
    rows.drop(bad, "`at` is no time")
    rows.drop(_mask(at.is_null()), "`at` is empty")
    at = at.fill_null(0)
    rows.drop(_mask(pc.greater(at, now + FUTURE_MS)), "`at` lies in the future")
    rows.drop(_mask(pc.less(at, 0)), "`at` lies before 1970")
    columns: dict[str, Any] = {"at": at, "person": texts(given["person"])}
    kind = columns["kind"] = texts(given["kind"])
    rows.drop(~_mask(pc.is_in(kind, value_set=pa.array(list(MEANINGS)))), "`kind` is no kind of event")
    pin = columns["pin_id"] = texts(given["pin"]) if "pin" in given else None
    with_pin = _mask(pc.is_in(kind, value_set=pa.array([name for name, m in MEANINGS.items() if m.pin])))
    rows.drop(
        with_pin & (np.ones(len(kind), bool) if pin is None else _mask(pin.is_null())), "it needs a pin"
    )
    for name, target in _WHOLE.items():
        columns[target] = _number(rows, name, True)
    for name in _REAL:
        columns[name] = _number(rows, name, False)
    for name in (*_TEXT, "session", "event_id"):
        columns[name] = texts(given[name]) if name in given else None
        if columns[name] is not None:
            rows.drop(_mask(pc.greater(pc.utf8_length(columns[name]), LONGEST)), f"`{name}` is too long")
    if columns["surface"] is not None:
        fine = pc.is_in(columns["surface"], value_set=pa.array([None, *SURFACES]))
        rows.drop(~_mask(fine), "`surface` is no surface")
    if columns["session"] is not None:
        columns["session"] = columns["session"].fill_null("")
    lines = np.asarray(rows.batch.lines, np.int64)
    made = pc.binary_join_element_wise(key, pa.array(lines).cast(pa.string()), "-")
    own = columns["event_id"]
    columns["event_id"] = made if own is None else pc.coalesce(own, made)
    return columns


def _number(rows: _Rows, name: str, whole: bool) -> Any:
    import pyarrow.compute as pc

    if name not in rows.batch.columns:
        return None
    column, bad = numbers(rows.batch.columns[name], whole)
    rows.drop(bad, f"`{name}` is no number")
    if whole:
        outside = _mask(pc.or_(pc.less(column, 0), pc.greater_equal(column, 2**31)))
        rows.drop(outside, f"`{name}` must be a whole number from 0 on")
        return pc.if_else(pc.less(column, 2**31), column, None)
    rows.drop(~_mask(pc.is_finite(column.fill_null(0.0))), f"`{name}` must be a finite number")
    if name == "propensity":
        outside = _mask(pc.or_(pc.less_equal(column, 0), pc.greater(column, 1)))
        rows.drop(outside, "`propensity` must be above 0 and at most 1")
    return column


def _mask(column: Any) -> Bool:
    mask: Bool = column.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _consents(rows: _Rows, columns: dict[str, Any], person: Int64, known: dict[int, Known]) -> int:
    """Take out what persons' consents leave out, and their sites; how many rows. Few persons restrict anything."""
    import pyarrow as pa

    before = int(rows.good.sum())
    for number, each in known.items():
        if each.consent is OPEN:
            continue
        closed = [kind for kind in MEANINGS if refusal(each, kind)]
        if not closed and each.consent.sites:
            continue
        mine = person == number
        if closed:
            rows.good &= ~(mine & _mask(_is_in(columns["kind"], closed)))
        if columns["site"] is not None and not each.consent.sites:
            columns["site"] = _emptied(columns["site"], pa.array(mine))
    return before - int(rows.good.sum())


def _is_in(column: Any, values: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(column, value_set=pa.array(values))


def _emptied(column: Any, mask: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(mask, pa.scalar(None, pa.string()), column)


def _sessions(table: Any) -> Any:
    """Cut sessions: rows are sorted by day, person and time. A batch's and a day's edge end a session too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(table):
        return table
    at = table.column("at").cast(pa.int64()).to_numpy()
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
    return table.set_column(EVENT_COLUMNS.index("session"), "session", named)
