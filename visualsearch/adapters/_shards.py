"""Writing embedding folders: what a folder holds already, and the file pair that grows.

A shard is written in parts while it grows, so that a kill at any instant loses seconds; when it is complete, one pair
takes their place. A row that a newer one replaces, or whose picture is gone, is dropped at the end: its pair is written
anew without it. At every instant the pairs on the disk are whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.storage import storage_error
from visualsearch.store import flush_folder, write_whole
from visualsearch.types import Bool, Float32, Int64, Record

from ._embeddings import (
    IMAGES,
    METADATA,
    NAMED,
    OURS,
    SHA256,
    SOURCE,
    STATE,
    Pair,
    bits,
    columns,
    identities,
    identity,
    pairs,
    replaced,
    state_of,
)

FEW_SECONDS, MANY_SECONDS = 2.0, 30.0
"""Between two parts of a shard: the first at the beginning, more as the shard grows older, the second at most."""

_PART = re.compile(r"(?:img_emb|metadata)_\d+_\d+")


class Ledger:
    """The rows that a folder holds, at 33 bytes each, sorted by identity. `seen` and `stale` are the run's own marks."""

    def __init__(self, folder: Path, source: str) -> None:
        self.pairs = [pair for pair in pairs(folder) if pair.number is not None and pair.table.is_file()]
        tables = [_summary(pair, source) for pair in self.pairs]
        where = [
            np.arange(len(t[0]), dtype=np.int64) | np.int64(number) << 32 for number, t in enumerate(tables)
        ]
        keys = _joined([t[0] for t in tables])
        old = replaced(keys)
        order = np.argsort(keys, kind="stable")
        self.stale: Bool = np.zeros(len(keys), bool)
        self.stale[old] = True
        self.keys, self.where = keys[order], _joined(where)[order]
        self.states, self.digests = (
            _joined([t[1] for t in tables])[order],
            _joined([t[2] for t in tables])[order],
        )
        self.own: Bool = (np.concatenate([t[3] for t in tables]) if tables else np.zeros(0, bool))[order]
        self.stale = self.stale[order]
        self.seen: Bool = np.zeros(len(keys), bool)
        self._open: tuple[int, Any] | None = None
        self._columns: tuple[int, dict[str, list[Any]]] | None = None

    def find(self, record: Record) -> int | None:
        """The place of a record's row in the ledger."""
        return self._at(identity(record.named, record.id, record.uri))

    def see(self, name: str, uri: str) -> None:
        """An entry by that id or place is still listed, though it cannot be used."""
        for key in (identity(True, name, uri), identity(False, name, uri)):
            at = self._at(key)
            if at is not None:
                self.seen[at] = True

    def _at(self, key: int) -> int | None:
        at = int(np.searchsorted(self.keys, np.int64(key), side="right")) - 1  # the last is the newest
        return at if at >= 0 and self.keys[at] == key else None

    def place_of(self, at: int) -> tuple[str, str]:
        """The uri of one row's picture, and that of its source."""
        pair, row = self._place(at)
        if self._columns is None or self._columns[0] != pair:
            self._columns = pair, columns(self.pairs[pair].table, ("image_path", SOURCE))
        found = {name: values[row] for name, values in self._columns[1].items()}
        return str(found["image_path"]), str(found.get(SOURCE) or "")

    def vector(self, at: int) -> Float32:
        """(d,) the vector of one row."""
        pair, row = self._place(at)
        if self._open is None or self._open[0] != pair:
            self._open = pair, np.load(self.pairs[pair].matrix, mmap_mode="r")
        return np.asarray(self._open[1][row], np.float32)

    def gone(self, hidden: Sequence[str]) -> tuple[Int64, int]:
        """Rows of this source that it no longer lists, and how many more it may list, below places that it could not read."""
        unseen = np.flatnonzero(self.own & ~self.seen & ~self.stale)
        if not len(unseen) or not hidden:
            return unseen, 0
        if "" in hidden:
            return unseen[:0], len(unseen)
        kept = np.zeros(len(unseen), bool)
        numbers = self.where[unseen] >> 32
        for pair in np.unique(numbers):
            uris = columns(self.pairs[int(pair)].table, ("image_path",))["image_path"]
            for position in np.flatnonzero(numbers == pair):
                row = int(self.where[unseen[position]]) & 0xFFFFFFFF
                kept[position] = str(uris[row]).startswith(tuple(hidden))
        return unseen[~kept], int(kept.sum())

    def stale_rows(self) -> dict[int, Int64]:
        """Pair number -> its rows that are to be dropped."""
        places = self.where[self.stale]
        return {int(pair): places[places >> 32 == pair] & 0xFFFFFFFF for pair in np.unique(places >> 32)}

    def _place(self, at: int) -> tuple[int, int]:
        return int(self.where[at]) >> 32, int(self.where[at]) & 0xFFFFFFFF


def _summary(pair: Pair, source: str) -> tuple[Int64, Int64, Int64, Bool]:
    """(n,) identity, state, first bits of the content's sha256, and whether `source` gave it: of a pair's rows.

    State and content are 0 where an older release did not write them.
    """
    keys = identities(pair.table)
    found = columns(pair.table, (STATE, SHA256, SOURCE))
    states = np.array([state_bits(s) for s in found.get(STATE, [""] * len(keys))], np.int64)
    digests = np.array([digest_bits(d) for d in found.get(SHA256, [""] * len(keys))], np.int64)
    own = np.array([s == source for s in found.get(SOURCE, [None] * len(keys))], bool)
    return keys, states, digests, own


def state_bits(state: str | None) -> int:
    """A state as a number, 0 for none."""
    return int.from_bytes(bytes.fromhex(state), "little", signed=True) if state else 0


def digest_bits(digest: str | None) -> int:
    """A sha256 in hex as a number, 0 for none."""
    return bits(digest.encode()) if digest else 0


def _joined(arrays: list[Int64]) -> Int64:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


class Growing:
    """The shard that is being written. `add` rows, `flush` now and then, `finish` it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.rows: list[dict[str, Any]] = []
        self.vectors: list[Float32] = []
        self._flushed, self._parts = 0, 0

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, record: Record, digest: bytes | None, source: str, vector: Float32) -> None:
        """One more row."""
        attributes = {str(k): v for k, v in record.attributes.items() if k not in ("id", "image_path", *OURS)}
        sha = digest.hex() if digest is not None else None
        ours = {NAMED: record.named, STATE: state_of(record), SHA256: sha, SOURCE: source}
        self.rows.append({"image_path": record.uri, "id": record.id, **attributes, **ours})
        self.vectors.append(vector)

    def flush(self) -> None:
        """Bring the rows since the last part to the disk, as another part."""
        if self._flushed < len(self.rows):
            fresh = slice(self._flushed, None)
            suffix = f"{self.number:04d}_{self._parts:04d}"
            write_pair(self.folder, suffix, self.rows[fresh], np.stack(self.vectors[fresh]))
            self._flushed, self._parts = len(self.rows), self._parts + 1

    def finish(self) -> None:
        """Write the shard as one pair; the next one begins."""
        if not self.rows:
            return
        write_pair(self.folder, f"{self.number:04d}", self.rows, np.stack(self.vectors))
        sweep(self.folder)
        self.number += 1
        self.rows, self.vectors, self._flushed, self._parts = [], [], 0, 0


def recover(folder: Path) -> int:
    """Make a whole shard of the parts that an interruption left; how many embeddings they hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sweep(folder)
    parts = [pair for pair in pairs(folder) if pair.part is not None and pair.table.is_file()]
    rows = 0
    for number in sorted({pair.number for pair in parts if pair.number is not None}):
        own = [pair for pair in parts if pair.number == number]
        tables = [pq.read_table(pair.table) for pair in own]
        matrix = np.concatenate([np.load(pair.matrix) for pair in own])
        try:
            table = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException:  # a column was a number in one part and text in another
            table = to_table([row for one in tables for row in one.to_pylist()])
        _write_files(folder, f"{number:04d}", table, matrix)
        rows += len(matrix)
    sweep(folder)
    return rows


def unfinished(folder: Path) -> int:
    """Embeddings in the parts that an interruption left."""
    parts = [pair for pair in pairs(folder) if pair.part is not None and pair.table.is_file()]
    return sum(len(np.load(pair.matrix, mmap_mode="r")) for pair in parts)


def sweep(folder: Path) -> None:
    """Delete parts of shards that are whole, and tables without a matrix."""
    kept = pairs(folder)
    matrices, tables = {pair.matrix for pair in kept}, {pair.table for pair in kept}
    for matrix in (folder / IMAGES).glob("img_emb_*_*.npy"):
        if matrix not in matrices and _PART.fullmatch(matrix.stem):
            with suppress(OSError):
                matrix.unlink()
    for table in (folder / METADATA).glob("metadata_*_*.parquet"):
        if table not in tables and _PART.fullmatch(table.stem):
            with suppress(OSError):
                table.unlink()


def drop(folder: Path, pair: Pair, rows: Int64, number: int) -> None:
    """Write a pair anew under another number without some rows; the old one is deleted."""
    import pyarrow.parquet as pq

    matrix = np.load(pair.matrix, mmap_mode="r")
    keep = np.ones(len(matrix), bool)
    keep[rows] = False
    if keep.any():
        table = pq.read_table(pair.table).take(np.flatnonzero(keep))
        _write_files(folder, f"{number:04d}", table, matrix[keep])
    try:
        pair.matrix.unlink(missing_ok=True)  # a table without its matrix is no pair
        pair.table.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def next_number(folder: Path) -> int:
    """The number of the next shard."""
    return max((pair.number for pair in pairs(folder) if pair.number is not None), default=-1) + 1


def write_pair(folder: Path, suffix: str, rows: list[dict[str, Any]], matrix: Float32) -> None:
    """One file pair from rows and their (n, d) vectors."""
    _write_files(folder, suffix, to_table(rows), matrix.astype(np.float16))


def _write_files(folder: Path, suffix: str, table: Any, matrix: Any) -> None:
    """The table first: a matrix without its table would look complete."""
    import pyarrow.parquet as pq

    final = folder / METADATA / f"metadata_{suffix}.parquet"
    aside = final.with_name(f".{final.name}.tmp")
    try:
        final.parent.mkdir(exist_ok=True)
        pq.write_table(table, aside)
        aside.replace(final)
        flush_folder(final.parent)
    except OSError as error:
        raise storage_error(final, error) from error
    write_whole(folder, f"{IMAGES}/img_emb_{suffix}.npy", np.asarray(matrix))


def to_table(rows: list[dict[str, Any]]) -> Any:
    """An arrow table of rows: place and id first, then the attributes by name, then our own columns."""
    import pyarrow as pa

    names = sorted({name for row in rows for name in row} - {"image_path", "id", *OURS})
    order = ("image_path", "id", *names, *OURS)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in order})


def _column(values: list[Any]) -> Any:
    """An arrow column; values of mixed types become JSON text, since a column has one type."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        texts = (v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values)
        return pa.array(list(texts))
