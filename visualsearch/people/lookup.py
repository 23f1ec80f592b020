"""Look-ups in parts: a person's rows and the rows of some ids, by reading only the row groups that hold them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visualsearch.types import Int64

from . import ids
from . import parts as disk
from .schema import EVENT_COLUMNS

MOST = 256
"""Footers that are kept: one takes about 100 KB."""


class _Foot(NamedTuple):
    """A part's footer, the lowest and highest person of each row group, and the columns that have a value."""

    stamp: tuple[int, int, int]
    metadata: Any
    lowest: Int64
    highest: Int64
    columns: list[str]


_FEET: OrderedDict[Path, _Foot] = OrderedDict()
_GUARD = threading.Lock()


def foot(path: Path) -> _Foot:
    """A part's footer, read once while the file stays the same. Raises OSError, ValueError (pyarrow's ArrowInvalid)."""
    import pyarrow.parquet as pq

    found = path.stat()
    stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
    with _GUARD:
        known = _FEET.get(path)
        if known is not None and known.stamp == stamp:
            _FEET.move_to_end(path)
            return known
    metadata = pq.read_metadata(path)
    names = metadata.schema.names
    at = names.index("person")
    ranges = [metadata.row_group(n).column(at).statistics for n in range(metadata.num_row_groups)]
    empty = (metadata.metadata or {}).get(disk.EMPTY, b"").decode().split(",")
    made = _Foot(
        stamp,
        metadata,
        np.array([each.min for each in ranges], np.int64),
        np.array([each.max for each in ranges], np.int64),
        [name for name in names if name not in empty],
    )
    with _GUARD:
        _FEET[path] = made
        while len(_FEET) > MOST:
            _FEET.popitem(last=False)
    return made


def between(path: Path, lowest: int, highest: int) -> Any:
    """The rows of a part whose person lies in a range, both ends included, as a table of its columns that have values."""
    import pyarrow.parquet as pq

    known = foot(path)
    groups = np.flatnonzero((known.lowest <= highest) & (known.highest >= lowest)).tolist()
    with pq.ParquetFile(path, metadata=known.metadata, memory_map=True) as file:
        table = file.read_row_groups(groups, columns=known.columns, use_threads=False)
    persons = table.column("person").to_numpy()
    first, last = np.searchsorted(persons, lowest), np.searchsorted(persons, highest, side="right")
    return table.slice(int(first), int(last - first))


def rows_between(folder: Path, file: str, person: int) -> list[dict[str, Any]]:
    """One person's rows of a part as plain values, by time."""
    import pyarrow as pa

    table = between(folder / file, person, person)
    columns = {
        name: (column.cast(pa.int64()) if name in ("at", "received") else column).to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    nothing = [None] * len(table)
    lists = [columns.get(name, nothing) for name in EVENT_COLUMNS]
    return [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in zip(*lists, strict=True)]


def rows_with(folder: Path, file: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a part that have one of some ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = folder / file
    wanted = pa.array(names, pa.string())
    held = ids.may_hold(path, ids.hashes(wanted))
    if not held.any():
        return []
    wanted = wanted.filter(pa.array(held))
    hits = pc.is_in(disk.read_part(folder, file, ["event_id"]).column(0), value_set=wanted)
    if not pc.any(hits).as_py():
        return []
    return disk.rows_of(disk.read_part(folder, file).filter(hits))


def fresh(folder: Path, files: Sequence[str], column: Any) -> Any:
    """(n,) mask of the ids of a column that none of the parts holds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = ids.hashes(column)
    new = np.ones(len(wanted), np.bool_)
    for file in files:
        held = ids.may_hold(folder / file, wanted)
        if held.any():
            inside = disk.read_part(folder, file, ["event_id"]).column(0).combine_chunks()
            new &= ~pc.is_in(column, value_set=inside).to_numpy(zero_copy_only=False)
    return pa.array(new)
