"""The proof that a person is forgotten: the bytes of every file are searched for their key and their pseudonym."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Text, select

from . import parts as disk
from .derived import derived_files
from .model import pseudonym_text
from .schema import SCHEMA
from .store import Store

BLOCK = 1 << 24
SHORT = 5
"""Fewer bytes than these turn up by accident in packed files."""


class Trace(NamedTuple):
    """A place where a person's name was found."""

    where: str
    what: str


def needles(number: int) -> list[bytes]:
    """The forms in which a pseudonym may lie in a file: SQLite's and Parquet's eight bytes, its name, and its digits."""
    name, digits = pseudonym_text(number).encode(), str(number).encode()
    return [number.to_bytes(8, "big"), number.to_bytes(8, "little"), name, digits]


def traces(store: Store, key: str | None, number: int) -> list[Trace]:
    """Where a person is still found, by what lies in the tables and by the bytes of the files."""
    found = list(_in_tables(store, number, key))
    paths = list(raw_files(store))
    with ThreadPoolExecutor(2) as pool:
        for path, held in zip(paths, pool.map(lambda path: _holds_number(path, number), paths), strict=True):
            found += [Trace(_name(store, path), what) for what in held]
    if key is not None and len(key.encode()) >= SHORT:
        with ThreadPoolExecutor(2) as pool:
            held_key = pool.map(lambda path: _holds_key(store, path, key), paths)
            found += [
                Trace(_name(store, path), "key")
                for path, is_held in zip(paths, held_key, strict=True)
                if is_held
            ]
    return list(dict.fromkeys(found))


def _name(store: Store, path: Path) -> str:
    return path.relative_to(store.folder).as_posix() if path.is_relative_to(store.folder) else str(path)


def _holds_number(path: Path, number: int) -> list[str]:
    """What a file has of a pseudonym: rows in a column of Parquet, and its bytes."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = []
    if path.suffix == ".parquet":
        with pq.ParquetFile(path, memory_map=True) as file:
            names = [name for name in ("person", "owner") if name in file.schema_arrow.names]
            columns = file.read(columns=names).columns if names else []
        if any(pc.any(pc.equal(column, number)).as_py() for column in columns):
            found.append("events" if "person" in names else "pseudonym")
    return [*found, "pseudonym"] if any(positions(path, *needles(number))) else found


def raw_files(store: Store) -> Iterator[Path]:
    """Every file that holds people's rows, derived ones too. PostgreSQL's own files are its server's."""
    if store.path is not None:
        for suffix in ("", "-wal", "-journal"):
            path = store.path.with_name(store.path.name + suffix)
            if path.exists() and path.stat().st_size:
                yield path
    yield from disk.files(store.folder)
    yield from derived_files(store)


def positions(path: Path, *needles: bytes) -> list[int]:
    """Where a file has some bytes, or others."""
    found: set[int] = set()
    if not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # By blocks, so that the memory holds a block while each of the needles is looked for in it.
        for start in range(0, len(data), BLOCK):
            for needle in needles:
                end = start + BLOCK + len(needle) - 1
                at = data.find(needle, start, end)
                while at >= 0:
                    found.add(at)
                    at = data.find(needle, at + 1, end)
    return sorted(found)


def _in_tables(store: Store, number: int, key: str | None) -> Iterator[Trace]:
    with store.read() as db:
        for table in SCHEMA.sorted_tables:
            for column in table.columns:
                wanted = number if column.name in ("person", "owner") else None
                if wanted is None and table.name == "people" and column.name == "key":
                    # A key with another pseudonym is that of somebody who came, or came back, since.
                    same = (column == key) & (table.c.person == number)
                    if key is not None and db.execute(select(column).where(same)).first():
                        yield Trace(f"table {table.name}", "key")
                elif wanted is not None and db.execute(select(column).where(column == wanted)).first():
                    yield Trace(f"table {table.name}", "pseudonym")


def _holds_key(store: Store, path: Path, key: str) -> bool:
    """Whether a file has a key's bytes that are no part of what other people wrote."""
    needle = key.encode()
    hits = positions(path, needle)
    if not hits:
        return False
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path, partitioning=None)
        words = (v for c in table.columns if str(c.type) == "string" for v in c.unique().to_pylist())
        return not any(word is not None and key in word for word in words)
    if store.path is None or not path.name.startswith(store.path.name):
        return True
    with store.read() as db:
        live = [text.encode() for text in _texts(db, key)]
    return any(not _explained(path, at, needle, live) for at in hits)


def _texts(db: Connection, key: str) -> Iterator[str]:
    """What the tables hold that contains the key."""
    for table in SCHEMA.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Text):
                yield from db.execute(select(column).where(column.contains(key, autoescape=True))).scalars()


def _explained(path: Path, at: int, needle: bytes, live: Sequence[bytes]) -> bool:
    """Whether the bytes at a place are part of one of the texts."""
    with path.open("rb") as file:
        for text in live:
            inside = text.find(needle)
            while inside >= 0:
                start = at - inside
                if start >= 0:
                    file.seek(start)
                    if file.read(len(text)) == text:
                        return True
                inside = text.find(needle, inside + 1)
    return False
