"""Closed days: their events leave the database for Parquet, and are found there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, delete, func, select

from . import ids, lookup, merging
from . import parts as disk
from .events import Events
from .ids import SUFFIX
from .model import DAY_MS
from .parts import Part, day_of, day_start
from .schema import EVENT_COLUMNS, events, parts, people, sessions
from .store import chunks

PART_ROWS = 131_072
"""Rows of a part: forgetting one person rewrites the parts that hold theirs."""
GRACE_MS = 60 * 60_000
"""A day is closed an hour after midnight UTC."""
EDGE_MS = 60_000
MOST_RACES = 5
"""So often a list of parts is read anew whose files were replaced meanwhile."""
_LAST_DAY = select(func.max(parts.c.until))  # built once: it is asked with every batch of events
_ID, _AT = EVENT_COLUMNS.index("event_id"), EVENT_COLUMNS.index("at")


T = TypeVar("T")


@dataclass(frozen=True)
class Flaw:
    """Something that `verify` found."""

    where: str
    what: str
    remedy: str


class Days(Events):
    """Rolls closed days into Parquet, drops old ones, and reads them."""

    def upkeep(self) -> AbstractContextManager[None]:
        """Hold the lock under which parts are written and deleted."""
        return disk.upkeep(self.store.folder)

    def roll(self) -> int:
        """Move the events of closed days into Parquet; how many. Stopped at any instant, it loses and doubles none.

        A file is complete on disk before one transaction names it and deletes its rows.
        """
        moved = 0
        with self.upkeep():
            self._sweep()
            closed = day_start(self.now() - GRACE_MS)
            while True:
                with self.store.read() as db:
                    first = db.execute(select(func.min(events.c.at)).where(events.c.at < closed)).scalar()
                if first is None:
                    break
                moved += self._roll_day(day_start(first))
            self._merge()
            old = self.now() - DAY_MS
            self.store.write(lambda db: db.execute(delete(sessions).where(sessions.c.last < old)))
        return moved

    def _roll_day(self, start: int) -> int:
        moved = 0
        with self.store.read() as db:
            whole = select(func.count()).where(events.c.at >= start, events.c.at < start + DAY_MS)
            run = int(db.execute(whole).scalar_one())
        while rows := self._rows_of_day(start):
            part = disk.write_part(self.store.folder, disk.table_of(rows), run)
            names = [row[_ID] for row in rows]
            try:
                self.store.write(partial(self._rolled, part=part, names=names))
            except _RacedError:
                disk.remove(self.store.folder, part.file)
                continue
            moved += len(rows)
        return moved

    def _rows_of_day(self, start: int) -> list[tuple[Any, ...]]:
        chosen = select(events).where(events.c.at >= start, events.c.at < start + DAY_MS)
        ordered = chosen.order_by(events.c.person, events.c.at, events.c.event_id).limit(PART_ROWS)
        with self.store.read() as db:
            return [tuple(row) for row in db.execute(ordered)]

    def _rolled(self, db: Connection, part: Part, names: Sequence[str]) -> None:
        """Name a part and delete its rows, if all of them are still there: else somebody was forgotten meanwhile."""
        gone = sum(
            db.execute(delete(events).where(events.c.event_id.in_(some))).rowcount for some in chunks(names)
        )
        if gone == len(names):
            self.store.insert(db, parts, [part])
            return
        raise _RacedError

    def expire(self, days: int) -> int:
        """Delete events older than so many days; how many, those of open days too. Everything else stays."""
        oldest = day_start(self.now()) - days * DAY_MS
        first = day_of(oldest)

        def work(db: Connection) -> int:
            return db.execute(delete(events).where(events.c.at < oldest)).rowcount

        with self.upkeep():
            with self.store.read() as db:
                old = [Part(*row) for row in db.execute(select(parts).where(parts.c.day < first))]
            removed = sum(self._shorten(part, oldest) for part in old)
            removed += int(self.store.write(work))
        return removed

    def _shorten(self, part: Part, oldest: int) -> int:
        """Take the events before a time out of a part; how many."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if part.until < day_of(oldest):
            self._replace([part.file], [])
            return part.rows
        table = disk.read_part(self.store.folder, part.file)
        return self._keep(part, table, pc.greater_equal(table.column("at").cast(pa.int64()), oldest))

    def _keep(self, part: Part, table: Any, which: Any) -> int:
        """Write a part anew with some of its rows; how many are gone."""
        kept = table.filter(which)
        if len(kept) == len(table):
            return 0
        new = [disk.write_part(self.store.folder, kept, part.run)] if len(kept) else []
        self._replace([part.file], new)
        return len(table) - len(kept)

    def _replace(self, old: Sequence[str], new: Sequence[Part]) -> None:
        """Put new parts in the place of others, in one transaction; then delete the files of those."""

        def work(db: Connection) -> None:
            db.execute(delete(parts).where(parts.c.file.in_(old)))
            self.store.insert(db, parts, list(new))

        self.store.write(work)
        for file in old:
            disk.remove(self.store.folder, file)

    def _merge(self) -> None:
        """Merge the parts of each month that has many: a look-up reads a little of each that may hold a person's events."""
        months: dict[str, list[Part]] = {}
        for part in self.part_files():
            months.setdefault(part.month, []).append(part)
        for held in months.values():
            old = merging.due(held)
            if old:
                new = merging.merged(self.store.folder, old)
                self._replace([part.file for part in old], new)

    def _sweep(self) -> None:
        """Delete files that no transaction named: a process died before it, or after one that replaced them."""
        with self.store.read() as db:
            known = set(db.execute(select(parts.c.file)).scalars())
        for path in disk.files(self.store.folder):
            name = path.relative_to(self.store.folder).as_posix()
            if name not in known and (path.suffix != SUFFIX or _owner(name) not in known):
                disk.remove(self.store.folder, name)

    def part_files(self, person: int | None = None) -> list[Part]:
        """The parts of closed days, or those that may hold a person's events; newest last day first."""
        chosen = select(parts)
        if person is not None:
            chosen = chosen.where(parts.c.lowest <= person, parts.c.highest >= person)
        with self.store.read() as db:
            return [Part(*row) for row in db.execute(chosen.order_by(parts.c.until.desc(), parts.c.file))]

    def _events_in_parts(self, number: int, k: int) -> list[dict[str, Any]]:
        return steadily(lambda: self._newest(number, k))

    def _newest(self, number: int, k: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for part in self.part_files(number):
            if len(rows) >= k:
                # Of parts that lie over one another, an older one may still have newer events.
                rows = sorted(rows, key=lambda row: -row["at"])[:k]
                if day_of(rows[-1]["at"]) > part.until:
                    break
            rows += lookup.rows_between(self.store.folder, part.file, number)
        return rows

    def _stored_in_parts(self, db: Connection, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        last = db.execute(_LAST_DAY).scalar()
        if last is None:
            return {}
        # A clock's correction differs a little each time an event is sent, so the day's edges count to both days.
        starts = {day_start(row[_AT] + edge) for row in rows for edge in (-EDGE_MS, EDGE_MS)}
        wanted = {day_of(start) for start in starts}
        if min(wanted) > last:
            return {}
        names = [row[_ID] for row in rows]

        def read() -> dict[str, Sequence[Any]]:
            found = [lookup.rows_with(self.store.folder, file, names) for file in parts_of_days(db, wanted)]
            return {row[_ID]: row for held in found for row in held}

        return steadily(read)

    # -- checking --------------------------------------------------------------------------------------------------
    def verify(self) -> list[Flaw]:
        """What is wrong with the record: damaged or missing files, rows of nobody. Empty when all is well."""
        flaws = []
        with self.store.read() as db:
            known = set(db.execute(select(people.c.person)).scalars())
            strangers = set(db.execute(select(events.c.person).distinct()).scalars()) - known
            if self.store.sqlite:
                said = db.exec_driver_sql("PRAGMA integrity_check").scalar()
                if said != "ok" or db.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    flaws.append(Flaw(self.store.address, f"the database is damaged: {said}", "Restore it"))
        if strangers:
            flaws.append(
                Flaw(self.store.address, f"events of {len(strangers)} forgotten people", "Run forget again")
            )
        listed = self.part_files()
        for part in listed:
            flaw = self._flaw(part, known)
            if flaw:
                flaws.append(Flaw(part.file, flaw, "Restore the file from a copy"))
        names = {part.file for part in listed}
        names |= {_beside(name) for name in names}
        for path in disk.files(self.store.folder):
            name = path.relative_to(self.store.folder).as_posix()
            if name not in names:
                flaws.append(Flaw(name, "no transaction names this file", "Run: people.roll()"))
        return flaws

    def _flaw(self, part: Part, known: set[int]) -> str:
        path = self.store.folder / part.file
        try:
            persons = disk.read_part(self.store.folder, part.file, ["person"]).column(0).unique().to_pylist()
            names = disk.read_part(self.store.folder, part.file, ["event_id"]).column(0)
        except (OSError, ValueError) as error:
            return f"it cannot be read: {error}"
        if len(names) != part.rows:
            return f"it has {len(names):,} rows instead of {part.rows:,}"
        if not ids.matches(path, names):
            return "the file of ids beside it does not belong to it"
        return "" if set(persons) <= known else "it holds events of forgotten people"

    def part_rows(self) -> Mapping[str, int]:
        """How many events of closed days there are, by day."""
        import pyarrow as pa

        counts: Counter[str] = Counter()
        for part in self.part_files():
            if part.day == part.until:
                counts[part.day] += part.rows
                continue
            at = disk.read_part(self.store.folder, part.file, ["at"]).column(0).cast(pa.int64()).to_numpy()
            for day, count in zip(*np.unique(at // DAY_MS, return_counts=True), strict=True):
                counts[day_of(int(day) * DAY_MS)] += int(count)
        return dict(sorted(counts.items()))


def steadily(read: Callable[[], T]) -> T:
    """What `read` finds in a list of parts that it reads first: again where a file was replaced meanwhile."""
    for _ in range(MOST_RACES):
        with suppress(FileNotFoundError):
            return read()
    return read()


def parts_of_days(db: Connection, days: Collection[str]) -> list[str]:
    """The files of the parts that may have events of one of some days."""
    chosen = select(parts.c.file, parts.c.day, parts.c.until)
    chosen = chosen.where(parts.c.day <= max(days), parts.c.until >= min(days))
    return [row.file for row in db.execute(chosen) if any(row.day <= day <= row.until for day in days)]


def _beside(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(SUFFIX))


def _owner(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".parquet"))


class _RacedError(Exception):
    """Rows of a part were deleted while it was written."""
