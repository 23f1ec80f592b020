"""Reads CSV, JSONL and Parquet in batches of columns, and turns them into types. A bad row is named, and costs no other."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from visualsearch.errors import SourceError, UnknownNameError

BATCH = 2_000_000
"""Rows of a batch of Parquet: an import writes each batch as sorted runs, and a look-up reads a little of every run."""
BATCH_BYTES = 1 << 28
"""Of Parquet, before compression: a batch takes a few times as much memory."""
TEXT_BATCH = 50_000


class BadRow(NamedTuple):
    """A row that was not imported: its line (CSV, JSONL) or row number (Parquet) from 1 on, and why."""

    line: int
    reason: str


@dataclass
class Batch:
    """Rows of a file as Arrow columns. `lines` says where each row stands; `bad` are rows left out already."""

    columns: dict[str, Any]
    lines: Sequence[int]
    bad: list[BadRow] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)


def batches(path: Path) -> Iterator[Batch]:
    """A file's rows. Raises SourceError where it cannot be read at all, UnknownNameError for its kind."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in READERS:
        raise UnknownNameError("kind of table", suffix or path.name, READERS)
    if not path.is_file():
        raise SourceError(f"cannot read {path}", "there is no such file", "Check the path")
    try:
        yield from READERS[suffix](path)
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(
            f"cannot read {path}", str(error), "The file may be cut short: fetch it again"
        ) from error


def ahead(read: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; the next one is read while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, read, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, read, None)
            yield batch


def fingerprint(path: Path) -> str:
    """16 hex digits over a file's size, beginning and end: what says that an import was of this file."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            digest = hashlib.sha256(str(size).encode() + file.read(1 << 20))
            file.seek(max(0, size - (1 << 20)))
            digest.update(file.read())
    except OSError as error:
        raise SourceError(f"cannot read {path}", str(error), "Check the path") from error
    return digest.hexdigest()[:16]


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield file


def _csv(path: Path) -> Iterator[Batch]:
    with _text(path) as file:
        delimiter = "\t" if ".tsv" in path.suffixes[-2:] else ","
        reader = csv.reader(file, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        rows: list[tuple[int, Sequence[Any]]] = []
        bad: list[BadRow] = []
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                bad.append(BadRow(line, f"it is no CSV: {error}"))
                continue
            if row is None:
                break
            if len(row) == len(header):
                rows.append((line, [cell or None for cell in row]))
            elif row:
                bad.append(BadRow(line, f"it has {len(row)} cells instead of {len(header)}"))
            if len(rows) >= TEXT_BATCH:
                yield _batch(header, rows, bad)
                rows, bad = [], []
        yield _batch(header, rows, bad)


def _jsonl(path: Path) -> Iterator[Batch]:
    with _text(path) as file:
        rows: list[tuple[int, Mapping[str, Any]]] = []
        bad: list[BadRow] = []
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no object")
                rows.append((number, row))
            except (ValueError, RecursionError) as error:
                bad.append(BadRow(number, f"it is no JSON object: {error}"))
            if len(rows) >= TEXT_BATCH:
                yield _objects(rows, bad)
                rows, bad = [], []
        yield _objects(rows, bad)


def _objects(rows: Sequence[tuple[int, Mapping[str, Any]]], bad: list[BadRow]) -> Batch:
    header = list(dict.fromkeys(name for _, row in rows for name in row))
    cells = [(line, [_cell(row.get(name)) for name in header]) for line, row in rows]
    return _batch(header, cells, bad)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False)


def _batch(header: Sequence[str], rows: Sequence[tuple[int, Sequence[Any]]], bad: list[BadRow]) -> Batch:
    import pyarrow as pa

    try:
        columns = list(zip(*(cells for _, cells in rows), strict=True)) if rows else [()] * len(header)
        arrays = [pa.array(list(column), pa.string()) for column in columns]
    except UnicodeEncodeError:
        good = [(line, cells) for line, cells in rows if _utf8(cells)]
        kept = {line for line, _ in good}
        more = [BadRow(line, "it is not UTF-8") for line, _ in rows if line not in kept]
        return _batch(header, good, [*bad, *more])
    return Batch(dict(zip(header, arrays, strict=True)), [line for line, _ in rows], bad)


def _utf8(cells: Sequence[Any]) -> bool:
    try:
        "".join(cell or "" for cell in cells).encode()
    except UnicodeEncodeError:
        return False
    return True


def _batch_rows(metadata: Any) -> int:
    """BATCH, or fewer rows where they are wide."""
    size: int = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    wide = BATCH_BYTES * int(metadata.num_rows) // max(1, size)
    return min(BATCH, max(1000, wide))


def _parquet(path: Path) -> Iterator[Batch]:
    import pyarrow.parquet as pq

    start = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_batch_rows(file.metadata)):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield Batch(columns, range(start, start + len(batch)))
            start += len(batch)


READERS: Mapping[str, Callable[[Path], Iterator[Batch]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}


# -- types -----------------------------------------------------------------------------------------------------------
def texts(column: Any) -> Any:
    """A column as strings."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).cast(pa.string())
    return column if pa.types.is_string(kind) else column.cast(pa.string())


def numbers(column: Any, whole: bool) -> tuple[Any, list[int]]:
    """A column as int64 or float64, and the positions of values that are no numbers."""
    import pyarrow as pa

    kind = pa.int64() if whole else pa.float64()
    try:
        return column.cast(kind), []
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each(texts(column), int if whole else float, kind)


def times(column: Any, form: str | None = None) -> tuple[Any, list[int]]:
    """A column as milliseconds since 1970 (int64), and the positions of values that are no time.

    Takes timestamps and dates of Arrow, numbers of seconds, milliseconds, microseconds or nanoseconds since 1970, ISO 8601
    (without a zone: UTC), and a `strptime` form.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return column.cast(pa.timestamp("ms"), safe=False).cast(
            pa.int64()
        ), []  # parts of a millisecond are cut
    if pa.types.is_integer(column.type) and column.type != pa.uint64():
        top = pc.max(pc.abs(column.cast(pa.int64()))).as_py() or 0
        scale, divided = next(s for s in _SCALES if top < s[2] or s is _SCALES[-1])[:2]
        whole = column.cast(pa.int64())
        return pc.divide(pc.multiply(whole, scale), divided), []
    if pa.types.is_floating(column.type):
        seconds = column.cast(pa.float64())
        usable = pc.less(pc.abs(seconds), float(_SCALES[0][2]))
        bad = pc.and_(pc.is_valid(seconds), pc.invert(pc.fill_null(usable, False)))
        kept = pc.if_else(usable, seconds, None)
        return pc.round(pc.multiply(kept, 1000.0)).cast(pa.int64()), np.flatnonzero(bad).tolist()
    return _each(texts(column), lambda text: in_milliseconds(text, form), pa.int64())


_SCALES = ((1000, 1, 10**11), (1, 1, 10**14), (1, 1000, 10**17), (1, 1_000_000, 10**20))
"""Multiply by, divide by, below: seconds up to the year 5138, then milliseconds, microseconds, nanoseconds."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def in_milliseconds(text: str, form: str | None = None) -> int:
    """One date of those that `times` takes. Raises ValueError, OverflowError."""
    if form is None and _NUMBER.fullmatch(text.strip()):
        value = float(text) if "." in text else int(text)
        scale, divided, _ = next(s for s in _SCALES if abs(value) < s[2] or s is _SCALES[-1])
        return int(value * scale // divided)
    at = datetime.fromisoformat(text.strip()) if form is None else datetime.strptime(text.strip(), form)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _each(column: Any, turn: Callable[[str], Any], kind: Any) -> tuple[Any, list[int]]:
    import pyarrow as pa

    values, bad = [], []
    for at, text in enumerate(column.to_pylist()):
        try:
            value = None if text is None else turn(text)
            if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
                raise OverflowError("it does not fit 64 bits")
            values.append(value)
        except (ValueError, OverflowError):
            values.append(None)
            bad.append(at)
    return pa.array(values, kind), bad
