"""Files that are made from the record: exports, learnt arrays, backups. Who is forgotten leaves them too.

What is made is named once by `track`. Its kind says how it is cleaned: `ERASERS` has one function for each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select

from visualsearch.errors import StorageError, UnknownNameError

from .days import Days
from .model import pseudonym_text
from .schema import SCHEMA, boards, derived
from .store import Store

LEARNT = "learnt"
EXPORT = "export"
Eraser = Callable[[Store, Path, Collection[int]], None]
"""Takes persons, by the numbers of their pseudonyms, out of a file or folder; or deletes it."""


def _drop(store: Store, place: Path, numbers: Collection[int]) -> None:
    """Delete it whole: it can be made again."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _filter(store: Store, place: Path, numbers: Collection[int]) -> None:
    """Write the files of an export that hold something of some persons anew without it."""
    with store.read() as db:
        own = list(db.execute(select(boards.c.board).where(boards.c.owner.in_(numbers))).scalars())
    texts = [*own, *map(pseudonym_text, numbers)]
    wanted = {"person": list(numbers), "owner": list(numbers), "board": own, "target": texts}
    for path in sorted(place.rglob("*.parquet")):
        _filter_file(path, wanted)


def _filter_file(path: Path, wanted: Mapping[str, Sequence[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = [name for name in wanted if name in file.schema_arrow.names and wanted[name]]
        table = file.read(columns=names)
    out = None
    for name in names:
        held = pc.is_in(table.column(name), pa.array(wanted[name], table.column(name).type))
        out = held if out is None else pc.or_(out, held)
    if out is not None and pc.any(out).as_py():
        _replaced(path, pq.read_table(path, partitioning=None).filter(pc.invert(out)))


ERASERS: dict[str, Eraser] = {LEARNT: _drop, EXPORT: _filter}
"""How each kind is cleaned. Whoever keeps another kind of copy, such as a backup, adds it here."""


def _replaced(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    aside = path.with_name(f".{path.name}.tmp")
    try:
        with aside.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


MENTIONING = ("comments", "mentions", "reports")
"""Tables that may name a person in another's row: an export of them is written anew."""
UNEXPORTED = ("events", "parts", "imports", "sessions", "derived", "marks", "tokens")


def export_tables(store: Store, place: Path, only: Collection[str] = ()) -> dict[str, int]:
    """Write every table but the events, or some, as Parquet; rows by table. An empty table's file is deleted."""
    import pyarrow as pa

    counts: dict[str, int] = {}
    for table in SCHEMA.sorted_tables:
        if table.name in UNEXPORTED or (only and table.name not in only):
            continue
        with store.read() as db:
            rows = [dict(row._mapping) for row in db.execute(select(table))]
        if table.name == "people":
            rows = [{**row, "pseudonym": pseudonym_text(row["person"])} for row in rows]
        counts[table.name] = len(rows)
        path = place / f"{table.name}.parquet"
        if rows:
            _replaced(path, pa.Table.from_pylist(rows))
        else:
            path.unlink(missing_ok=True)
    return counts


def tracked(store: Store) -> list[tuple[Path, str]]:
    """The places that were named and exist, and the index's own folder of learnt arrays; with the kind of each."""
    with store.read() as db:
        known = [(Path(row.place), row.kind) for row in db.execute(select(derived).order_by(derived.c.place))]
    own = (store.folder / LEARNT).absolute()
    if own.exists() and not any(own == place or own in place.parents for place, _ in known):
        known.append((own, LEARNT))
    return [(place, kind) for place, kind in known if place.exists()]


def derived_files(store: Store) -> Iterator[Path]:
    """Every file of those places."""
    for place, _ in tracked(store):
        yield from (p for p in sorted(place.rglob("*")) if p.is_file()) if place.is_dir() else [place]


class Deriving(Days):
    """Keeps the list of derived files, and cleans them."""

    def track(self, place: str | Path, kind: str) -> None:
        """Name a file or folder that was made from the record, so that `forget` cleans it. `kind`: learnt is deleted whole,
        an export is written anew. Raises UnknownNameError.
        """
        if kind not in ERASERS:
            raise UnknownNameError("kind of derived file", kind, ERASERS)
        values = {"place": str(Path(place).absolute()), "kind": kind, "at": self.now()}
        self.store.write(lambda db: self.store.upsert(db, derived, values))

    def derived(self) -> list[tuple[Path, str]]:
        """The places that were named and exist, with their kinds."""
        return tracked(self.store)

    def _clean(self, numbers: Collection[int]) -> None:
        """Take persons out of every derived file, before they leave the tables: what is interrupted is done again."""
        for place, kind in tracked(self.store):
            try:
                ERASERS[kind](self.store, place, numbers)
            except OSError as error:
                raise StorageError(
                    f"cannot take a person out of {place}", str(error), "Delete it, then forget them again"
                ) from error
        self.store.write(partial(_lost, names=[str(place) for place, _ in tracked(self.store)]))

    def _refresh(self) -> None:
        """Write what others said in exports anew, after persons have left the tables."""
        for place, kind in tracked(self.store):
            if kind == EXPORT:
                export_tables(self.store, place, MENTIONING)


def _lost(db: Connection, names: Collection[str]) -> None:
    """Drop the names of places that are gone."""
    db.execute(delete(derived).where(derived.c.place.not_in(names)))
