"""Parquet files of closed days: how one is written so that it is there whole or not at all, and how it is read."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visualsearch.errors import LockedError, StorageError

from . import ids, private
from .model import DAY_MS
from .schema import EVENT_COLUMNS, events

FOLDER = "events"
LOCK = "people.lock"
TURN = "people.turn"
"""Held by the one who waits for LOCK next."""
PATIENCE = 120
GROUP_ROWS = 1024
"""Rows are sorted by person and time, so one person's are in one or two groups of so many."""
EMPTY = b"empty"
"""The key under which the footer of an older file lists its columns without any value. Newer files leave those columns out."""
CODED = ("kind", "surface", "answer", "variant", "board", "currency", "site")
"""Columns whose values come again within a row group."""
_DAY = re.compile(r"\d{4}-\d\d(-\d\d)?")


class Part(NamedTuple):
    """One file, relative to the index folder: a row of `parts`.

    It has the events of the days from `day` to `until`, all of one month, of the pseudonyms from `lowest` to `highest`. `run` is
    the number of rows that were written together with its own, for `merging`.
    """

    file: str
    day: str
    rows: int
    lowest: int
    highest: int
    until: str
    run: int

    @property
    def month(self) -> str:
        """2026-11."""
        return self.day[:7]


def day_of(at: int) -> str:
    """The UTC day of a time in milliseconds: 2026-11-28."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")


def day_start(at: int) -> int:
    """The first millisecond of that day."""
    return at - at % DAY_MS


def arrow_schema() -> Any:
    """The columns of a part: those of the table `events`; times are UTC timestamps in milliseconds."""
    import pyarrow as pa

    kinds = {"BIGINT": pa.int64(), "INTEGER": pa.int32(), "FLOAT": pa.float64(), "TEXT": pa.string()}
    special = {"at": pa.timestamp("ms", "UTC"), "received": pa.timestamp("ms", "UTC"), "skew": pa.int64()}
    return pa.schema([(c.name, special.get(c.name, kinds[str(c.type)])) for c in events.columns])


def table_of(rows: Sequence[Sequence[Any]]) -> Any:
    """Rows of `events` as an Arrow table of that schema."""
    import pyarrow as pa

    schema = arrow_schema()
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table(
        [pa.array(list(column), each.type) for column, each in zip(columns, schema, strict=True)], schema
    )


def filled(table: Any) -> Any:
    """A table with every column of events, in order and in its type."""
    import pyarrow as pa

    schema = arrow_schema()
    columns = [
        table.column(each.name).cast(each.type)
        if each.name in table.column_names
        else pa.nulls(len(table), each.type)
        for each in schema
    ]
    return pa.table(columns, schema)


def rows_of(table: Any) -> list[tuple[Any, ...]]:
    """An Arrow table as rows of `events`: times are milliseconds again."""
    import pyarrow as pa

    plain = []
    for name in EVENT_COLUMNS:
        column = table.column(name)
        plain.append((column.cast(pa.int64()) if name in ("at", "received") else column).to_pylist())
    return list(zip(*plain, strict=True))


def write_part(folder: Path, table: Any, run: int | None = None) -> Part:
    """Write events, sorted by person and time, as the next file of their day, or of their month where they have several days.

    The table may lack columns. The file appears under its name when it is on disk; only its owner reads it. `run`: the rows
    that are written together, this table's among them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    span = pc.min_max(table.column("at").cast(pa.int64())).as_py()
    first, last = day_of(span["min"]), day_of(span["max"])
    day = first if first == last else first[:7]
    place = folder / FOLDER / day
    try:
        private.folder(place.parent)
        private.folder(place)
        aside = place / f".{secrets.token_hex(8)}.tmp"
        try:
            _write(table, aside)
            name = _named(aside, place)
            beside = ids.beside(place / name)
            _flushed(aside, np.sort(ids.hashes(table.column("event_id"))).astype("<u8").tobytes())
            aside.replace(beside)
        finally:
            aside.unlink(missing_ok=True)
        for each in (place, place.parent, folder):
            _flush(each)
    except OSError as error:
        raise StorageError(
            f"cannot write events of {day}", str(error), "Free some space; no event was lost"
        ) from error
    persons = table.column("person")
    size = len(table) if run is None else run
    return Part(
        f"{FOLDER}/{day}/{name}", first, len(table), persons[0].as_py(), persons[-1].as_py(), last, size
    )


def _write(table: Any, path: Path) -> None:
    """Columns without any value are left out: each would cost some bytes and time in every row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = [
        each
        for each in arrow_schema()
        if each.name in table.column_names and table.column(each.name).null_count < len(table)
    ]
    columns = [table.column(each.name).cast(each.type) for each in held]
    with private.created(path) as file:
        pq.write_table(
            pa.table(columns, pa.schema(held)),
            file,
            row_group_size=GROUP_ROWS,
            compression="zstd",
            compression_level=1,
            use_dictionary=[each.name for each in held if each.name in CODED],
            write_statistics=["person"],
            store_schema=False,
        )
        file.flush()
        os.fsync(file.fileno())


def _flushed(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # the other name of the same file stays
    with private.created(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _named(aside: Path, place: Path) -> str:
    """Give the finished file the first free number."""
    number = 1 + max((int(p.stem) for p in place.glob("[0-9]*.parquet") if p.stem.isdigit()), default=0)
    while True:
        name = f"{number:04d}.parquet"
        try:
            os.link(aside, place / name)  # unlike a rename, it never replaces a file
            return name
        except FileExistsError:
            number += 1


def _flush(folder: Path) -> None:
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_part(
    folder: Path, file: str, columns: Sequence[str] | None = None, person: int | None = None
) -> Any:
    """A part as an Arrow table of every column of events, or of the named ones; or the rows of one person in it."""
    import pyarrow.parquet as pq

    filters = None if person is None else [("person", "=", person)]
    path = folder / file
    if columns is None:
        return filled(pq.read_table(path, filters=filters, partitioning=None))
    held = set(pq.read_schema(path).names)
    table = pq.read_table(path, columns=[c for c in columns if c in held], filters=filters, partitioning=None)
    return filled(table).select(list(columns))


def read_coded(folder: Path, file: str, columns: Sequence[str]) -> Any:
    """The named columns of a part, for sums over all of it; a text stays in the dictionary it is stored in where it has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, schema = folder / file, arrow_schema()
    with path.open("rb") as opened:
        metadata = pq.read_metadata(opened)
        held = [name for name in columns if name in metadata.schema.names]
        coded = [name for name in held if name in CODED]
        table = pq.ParquetFile(opened, metadata=metadata, read_dictionary=coded).read(columns=held)
    for name in columns:
        if name not in held:
            table = table.append_column(schema.field(name), pa.nulls(len(table), schema.field(name).type))
    return table.select(list(columns))


def files(folder: Path) -> Iterator[Path]:
    """All files below the folder of events, unfinished ones too."""
    for place in sorted((folder / FOLDER).glob("*")):
        if place.is_dir() and _DAY.fullmatch(place.name):
            yield from sorted(p for p in place.iterdir() if p.is_file())


@contextmanager
def upkeep(folder: Path) -> Iterator[None]:
    """One process at a time writes or deletes parts, in turn: who waits goes before who comes again. Raises LockedError after
    two minutes.
    """
    from filelock import FileLock, Timeout

    turn = FileLock(folder / TURN, timeout=PATIENCE, poll_interval=0.02)
    lock = FileLock(folder / LOCK, timeout=PATIENCE, poll_interval=0.02)
    try:
        with turn:
            lock.acquire()
    except Timeout as error:
        raise LockedError(
            f"cannot tidy the events of {folder}", "another process does it now", "Try again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove(folder: Path, file: str) -> None:
    """Delete a part that nothing names any more; its day's folder too, once it is empty."""
    path = folder / file
    path.unlink(missing_ok=True)
    ids.beside(path).unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
