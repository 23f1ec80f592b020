"""Manifests as rows, whatever the file's format: JSON lines and Parquet; `_separated` reads CSV and TSV."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from io import TextIOWrapper
from typing import IO, Any, NamedTuple

from visualsearch.errors import SourceError

from ._addresses import short

MAX_LINE = 16 << 20
"""Longest line of a text file, in characters."""

BATCH_ROWS = 256
"""Rows of a Parquet file in memory as Python values at a time."""


class Row(NamedTuple):
    """One row. `line` counts from 1: lines of a text file, rows of a Parquet file. `problem` replaces the
    values it cost. `missing`: how many cells at its end the line lacks.
    """

    line: int
    values: Mapping[str, Any]
    problem: str = ""
    missing: int = 0


Rows = Iterator[Row]


class Layout(NamedTuple):
    """One kind of manifest. `typed`: cells come with types; `declares`: the first Row only names the
    columns.
    """

    name: str
    rows: Callable[[IO[bytes]], Rows]
    typed: bool
    declares: bool


def text_of(file: IO[bytes], newline: str | None = None) -> TextIOWrapper:
    """The file as text."""
    # bytes that are no UTF-8 survive as surrogates, so that a path with such bytes still opens
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def too_long(line: int, remedy: str) -> SourceError:
    """The error for a line beyond MAX_LINE."""
    return SourceError(
        "the manifest cannot be used", f"line {line} is longer than {MAX_LINE:,} characters", remedy
    )


def json_lines(file: IO[bytes]) -> Rows:
    """One JSON object a line."""
    text = text_of(file)
    for line in itertools.count(1):
        content = text.readline(MAX_LINE)
        if not content:
            return
        if len(content) >= MAX_LINE:
            raise too_long(line, "Write one JSON object a line, for example with: jq -c '.[]'")
        if not content.strip():
            continue
        try:
            values = json.loads(content, parse_constant=lambda _name: None)
        except (ValueError, RecursionError) as error:
            yield Row(line, {}, f"the line is not valid JSON ({short(error)})")
            continue
        if isinstance(values, dict):
            yield Row(line, values)
        else:
            yield Row(line, {}, f"the line holds a JSON {type(values).__name__}, not an object")


def parquet(file: IO[bytes]) -> Rows:
    """The rows of a Parquet file. The first Row names the columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            "the manifest cannot be used",
            f"it is no readable Parquet file ({short(error)})",
            "Write it again",
        ) from error
    yield Row(0, dict.fromkeys(names))
    line = 0
    try:
        for batch in table.iter_batches(batch_size=BATCH_ROWS):
            for values in batch.to_pylist():
                line += 1
                yield Row(line, values)
    except (pa.ArrowException, OSError) as error:
        yield Row(line + 1, {}, f"the rows from here on cannot be read ({short(error)})")
