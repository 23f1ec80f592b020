"""Events of everybody who lets them count, in columns and part by part: for figures over all people."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, or_, select

from visualsearch.errors import LockedError

from . import parts as disk
from .days import Days
from .judged import honest
from .live import counts
from .model import ConsentLevel
from .parts import Part, day_of
from .persons import find
from .schema import boards, consent, events, parts, people, saves
from .store import chunks

READERS = 2
"""Parts that are read at a time."""


class Counted(NamedTuple):
    """People who count in figures, in order of their numbers; (n,) each.

    `declared` has what they declared in a field, as codes into `names`; -1 where they did not, or turned `profile` off.
    """

    person: NDArray[np.int64]
    declared: dict[str, NDArray[np.int16]]
    names: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.person)

    def places(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each number stands among these people; -1 for who does not count."""
        if not len(self.person):
            return np.full(len(numbers), -1, np.int64)
        at = np.searchsorted(self.person, numbers).clip(max=len(self.person) - 1)
        return np.where(self.person[at] == numbers, at, -1)


class SaveColumns(NamedTuple):
    """Saves that count for others, (n,) each. `source` is the number of the save it was taken from, -1 for none."""

    save: NDArray[np.int64]
    person: NDArray[np.int64]
    pin: list[str]
    board: list[str]
    at: NDArray[np.int64]
    source: NDArray[np.int64]
    site: list[str | None]

    def __len__(self) -> int:
        return len(self.save)


class _Wanted:
    """Which events are wanted."""

    def __init__(
        self, since: int, until: int, kinds: Collection[str], pins: NDArray[np.int64] | None
    ) -> None:
        self._since, self._until, self._kinds, self._pins = since, until, list(kinds), pins

    def read(self, folder: Path, part: Part, columns: Sequence[str]) -> Any:
        """The wanted events of a part."""
        needed = ["at", *(["kind"] if self._kinds else []), *(["pin"] if self._pins is not None else [])]
        return self.of(disk.read_coded(folder, part.file, list(dict.fromkeys([*columns, *needed]))), columns)

    def of(self, table: Any, columns: Sequence[str]) -> Any:
        """The wanted events of a table."""
        import pyarrow as pa
        import pyarrow.compute as pc

        at = table.column("at").cast(pa.int64())
        table = table.set_column(table.column_names.index("at"), "at", at)
        tests = []
        ends = pc.min_max(at).as_py() if len(table) else {"min": self._since, "max": self._since}
        if ends["min"] < self._since or ends["max"] >= self._until:
            tests.append(pc.and_(pc.greater_equal(at, self._since), pc.less(at, self._until)))
        if self._kinds:
            tests.append(pc.is_in(table.column("kind"), value_set=pa.array(self._kinds, pa.string())))
        if self._pins is not None:
            tests.append(pc.is_in(table.column("pin"), value_set=pa.array(self._pins, pa.int64())))
        chosen = table.select(list(columns))
        return chosen.filter(reduce(pc.and_, tests)) if tests else chosen


class Columns(Days):
    """Hands out events and saves for figures over all people."""

    def counted(self, fields: Sequence[str] = ()) -> Counted:
        """Everybody whose deeds may count in figures: their consent is `on` with `clicks`, or was never chosen.

        Nobody counts who is held, hidden or removed by a verdict.
        """
        refused = (consent.c.level != ConsentLevel.ON.value) | consent.c.clicks.is_(False) | consent.c.paused
        out = select(consent.c.person).where(refused)
        closed = select(consent.c.person).where(consent.c.profile.is_(False))
        chosen = select(people.c.person).where(people.c.person.not_in(out), honest(people.c.person))
        chosen = chosen.order_by(people.c.person)
        told = select(people.c.person, *(people.c[name] for name in fields))
        said = or_(*(people.c[name].is_not(None) for name in fields)) if fields else None
        with self.store.read() as db:
            person = np.array(db.execute(chosen).scalars().all(), np.int64)
            shut = set(db.execute(closed).scalars()) if fields else set()
            rows = db.execute(told.where(said)).all() if said is not None else []
        rows = [row for row in rows if row[0] not in shut]
        made = Counted(person, {}, {})
        place = made.places(np.array([row[0] for row in rows], np.int64))
        for at, field in enumerate(fields, 1):
            words = sorted({row[at] for row in rows if row[at] is not None})
            known = {value: code for code, value in enumerate(words)}
            codes = np.array([known.get(row[at], -1) for row in rows], np.int16)
            made.declared[field] = np.full(len(person), -1, np.int16)
            made.declared[field][place[place >= 0]] = codes[place >= 0]
            made.names[field] = words
        return made

    def event_tables(
        self,
        since: int,
        until: int,
        columns: Sequence[str],
        kinds: Collection[str] = (),
        pins: NDArray[np.int64] | None = None,
    ) -> Iterator[Any]:
        """Arrow tables of the events from `since` to before `until` (ms), one of each part of closed days, then of open ones.

        `at` is in milliseconds. `kinds` leaves out other kinds; `pins`, numbers, leaves out events of other pins. Memory holds a
        few parts at a time. Raises LockedError where upkeep replaced a part meanwhile.
        """
        held, rows = self._listed(since, until, columns, kinds)
        wanted = _Wanted(since, until, kinds, pins)
        with ThreadPoolExecutor(READERS) as pool:
            waiting: deque[Any] = deque()
            try:
                for part in held:
                    waiting.append(pool.submit(wanted.read, self.store.folder, part, columns))
                    if len(waiting) > READERS:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except FileNotFoundError as error:
                raise LockedError(
                    "cannot read the events", "their files were merged meanwhile", "Ask again"
                ) from error
        if rows is not None:
            yield wanted.of(rows, columns)

    def _listed(
        self, since: int, until: int, columns: Sequence[str], kinds: Collection[str]
    ) -> tuple[list[Part], Any]:
        import pyarrow as pa

        names = list(dict.fromkeys([*columns, "at", "kind", "pin"]))
        schema = pa.schema([disk.arrow_schema().field(name) for name in names])
        chosen = select(*(events.c[name] for name in names))
        chosen = chosen.where(events.c.at >= since, events.c.at < until)
        if kinds:
            chosen = chosen.where(events.c.kind.in_(list(kinds)))
        with self.store.read() as db:  # one state: a day that is closed meanwhile is read once
            rows = db.execute(chosen).all()
            lies = (parts.c.day <= day_of(max(since, until - 1))) & (parts.c.until >= day_of(since))
            found = [Part(*row) for row in db.execute(select(parts).where(lies).order_by(parts.c.file))]
        cells = zip(*rows, strict=True) if rows else ([] for _ in names)
        made = [pa.array(list(cell), each.type) for cell, each in zip(cells, schema, strict=True)]
        return found, pa.table(made, schema) if rows else None

    def save_columns(self, since: int, until: int, pins: Collection[str] | None = None) -> SaveColumns:
        """Saves that count for others (public boards, people who allow it), made from `since` to before `until`."""
        rows: list[Any] = []
        chosen = (
            select(
                saves.c.save,
                saves.c.person,
                saves.c.pin_id,
                saves.c.board,
                saves.c.at,
                saves.c.repin_of,
                saves.c.site,
            )
            .select_from(saves.join(boards, boards.c.board == saves.c.board))
            .where(boards.c.secret.is_(False), counts(saves.c.person), counts(boards.c.owner))
            .where(saves.c.at >= since, saves.c.at < until)
        )
        with self.store.read() as db:
            if pins is None:
                rows = list(db.execute(chosen.order_by(saves.c.save)))
            else:
                for some in chunks(list(pins)):
                    rows += db.execute(chosen.where(saves.c.pin_id.in_(some))).all()
                rows.sort()
        columns = list(zip(*rows, strict=True)) if rows else [()] * 7
        return SaveColumns(
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int64),
            list(columns[2]),
            list(columns[3]),
            np.array(columns[4], np.int64),
            np.array([-1 if value is None else value for value in columns[5]], np.int64),
            list(columns[6]),
        )

    def numbers_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of people by keys or pseudonyms; who is not known is left out."""
        with self.store.read() as db:
            return np.array(sorted(known.number for known in find(db, names).values()), np.int64)

    def first_event(self) -> int | None:
        """When the first event happened, in milliseconds."""
        with self.store.read() as db:
            day = db.execute(select(func.min(parts.c.day))).scalar()
            at = db.execute(select(func.min(events.c.at))).scalar()
        begun = (
            None if day is None else round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
        )
        known = [each for each in (begun, at) if each is not None]
        return min(known) if known else None
