"""Closed days: their events leave the database for Parquet, and are found there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, delete, func, select

from . import parts as disk
from .events import Events
from .model import DAY_MS
from .parts import Part, day_of, day_start
from .schema import EVENT_COLUMNS, events, parts, people, sessions
from .store import chunks

PART_ROWS = 32_768
"""Rows of a part: forgetting one person rewrites the parts that hold theirs, so they are small."""
MANY_PARTS = 8
"""So many small parts of a day are merged."""
GRACE_MS = 60 * 60_000
"""A day is closed an hour after midnight UTC."""
EDGE_MS = 60_000
_ID, _AT = EVENT_COLUMNS.index("event_id"), EVENT_COLUMNS.index("at")


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
            old = self.now() - DAY_MS
            self.store.write(lambda db: db.execute(delete(sessions).where(sessions.c.last < old)))
        return moved

    def _roll_day(self, start: int) -> int:
        moved = 0
        while rows := self._rows_of_day(start):
            part = disk.write_part(self.store.folder, day_of(start), disk.table_of(rows))
            names = [row[_ID] for row in rows]
            try:
                self.store.write(partial(self._rolled, part=part, names=names))
            except _RacedError:
                disk.remove(self.store.folder, part.file)
                continue
            moved += len(rows)
        self._merge(day_of(start))
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

        def work(db: Connection) -> int:
            return db.execute(delete(events).where(events.c.at < oldest)).rowcount

        with self.upkeep():
            with self.store.read() as db:
                old = [Part(*row) for row in db.execute(select(parts).where(parts.c.day < day_of(oldest)))]
            for part in old:
                self._replace([part.file], [])
            removed: int = self.store.write(work)
        return removed + sum(part.rows for part in old)

    def _replace(self, old: Sequence[str], new: Sequence[Part]) -> None:
        """Put new parts in the place of others, in one transaction; then delete the files of those."""

        def work(db: Connection) -> None:
            db.execute(delete(parts).where(parts.c.file.in_(old)))
            self.store.insert(db, parts, list(new))

        self.store.write(work)
        for file in old:
            disk.remove(self.store.folder, file)

    def _merge(self, day: str) -> None:
        """Make few parts of many small ones, which late events leave: each look-up of a closed day reads its parts."""
        import pyarrow as pa

        small = [p for p in self.part_files() if p.day == day and p.rows < PART_ROWS // 4]
        if len(small) < MANY_PARTS:
            return
        table = pa.concat_tables([disk.read_part(self.store.folder, part.file) for part in small])
        table = table.sort_by([("person", "ascending"), ("at", "ascending")])
        new = [
            disk.write_part(self.store.folder, day, table.slice(at, PART_ROWS))
            for at in range(0, len(table), PART_ROWS)
        ]
        self._replace([part.file for part in small], new)

    def _sweep(self) -> None:
        """Delete files that no transaction named: a process died before it, or after one that replaced them."""
        with self.store.read() as db:
            known = set(db.execute(select(parts.c.file)).scalars())
        for path in disk.files(self.store.folder):
            name = path.relative_to(self.store.folder).as_posix()
            if name not in known:
                disk.remove(self.store.folder, name)

    def part_files(self, person: int | None = None) -> list[Part]:
        """The parts of closed days, or those that may hold a person's events; newest day first."""
        chosen = select(parts)
        if person is not None:
            chosen = chosen.where(parts.c.lowest <= person, parts.c.highest >= person)
        with self.store.read() as db:
            return [Part(*row) for row in db.execute(chosen.order_by(parts.c.day.desc(), parts.c.file))]

    def _events_in_parts(self, number: int, k: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        day = ""
        for part in self.part_files(number):
            if len(rows) >= k and part.day != day:
                break
            day = part.day
            table = disk.read_part(self.store.folder, part.file, person=number)
            rows += [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in disk.rows_of(table)]
        return rows

    def _stored_in_parts(self, db: Connection, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
        last = db.execute(select(func.max(parts.c.day))).scalar()
        if last is None:
            return {}
        # A clock's correction differs a little each time an event is sent, so the day's edges count to both days.
        wanted = {day_of(row[_AT] + edge) for row in rows for edge in (-EDGE_MS, EDGE_MS)}
        days = [day for day in wanted if day <= last]
        if not days:
            return {}
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = pa.array([row[_ID] for row in rows], pa.string())
        found: dict[str, Sequence[Any]] = {}
        for file in db.execute(select(parts.c.file).where(parts.c.day.in_(days))).scalars().all():
            column = disk.read_part(self.store.folder, file, ["event_id"]).column(0)
            hits = pc.is_in(column, value_set=ids)
            if pc.any(hits).as_py():
                table = disk.read_part(self.store.folder, file).filter(hits)
                found.update({row[_ID]: row for row in disk.rows_of(table)})
        return found

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
        for path in disk.files(self.store.folder):
            name = path.relative_to(self.store.folder).as_posix()
            if name not in names:
                flaws.append(Flaw(name, "no transaction names this file", "Run: people.roll()"))
        return flaws

    def _flaw(self, part: Part, known: set[int]) -> str:
        try:
            persons = disk.read_part(self.store.folder, part.file, ["person"]).column(0).unique().to_pylist()
            count = disk.read_part(self.store.folder, part.file, ["event_id"]).num_rows
        except (OSError, ValueError) as error:
            return f"it cannot be read: {error}"
        if count != part.rows:
            return f"it has {count:,} rows instead of {part.rows:,}"
        return "" if set(persons) <= known else "it holds events of forgotten people"

    def part_rows(self) -> Mapping[str, int]:
        """How many events of closed days there are, by day."""
        with self.store.read() as db:
            counted = select(parts.c.day, func.sum(parts.c.rows)).group_by(parts.c.day)
            return {row[0]: int(row[1]) for row in db.execute(counted)}


class _RacedError(Exception):
    """Rows of a part were deleted while it was written."""
