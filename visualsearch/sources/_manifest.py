"""Manifests: tables in which each row names a picture; read row by row."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from io import TextIOWrapper
from typing import IO, Any, NamedTuple

from visualsearch.errors import SourceError, VisualSearchError
from visualsearch.sources._base import Item, SeenIds
from visualsearch.sources._places import LocalPlace, Place, printable, reader, short
from visualsearch.types import Failure, Record

SAMPLE_ROWS = 1000
"""Rows looked at when a manifest is opened: for its columns, and for codes such as 007."""

MAX_LINE = 16 << 20
"""Longest line of a JSONL file, in characters."""

BATCH_ROWS = 256
"""Rows of a Parquet file in memory as Python values at a time."""


class Row(NamedTuple):
    """One row. `line` counts from 1: lines of a text file, rows of a Parquet file. `problem` replaces the
    values it cost.
    """

    line: int
    values: Mapping[str, Any]
    problem: str = ""


Rows = Iterator[Row]


def _text(file: IO[bytes], newline: str | None = None) -> TextIOWrapper:
    # bytes that are no UTF-8 survive as surrogates, so that a path with such bytes still opens
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


# --- CSV and TSV

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_REAL = re.compile(r"-?(0|[1-9]\d*)?\.\d+([eE][+-]?\d+)?|-?[1-9]\d*\.(\d*[eE][+-]?\d+)?")
_CODE = re.compile(r"[+-]?0\d+")
_BOOLEANS = {"true": True, "false": False}


def cell(text: str) -> Any:
    """The value a CSV cell stands for: None when empty, then a boolean, an integer, a number, else the text
    itself.
    """
    if not text:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return _BOOLEANS.get(text.lower(), text)


def _separated(delimiter: str) -> Callable[[IO[bytes]], Rows]:
    def rows(file: IO[bytes]) -> Rows:
        lines = csv.reader(_text(file, newline=""), delimiter=delimiter)
        header = [name.strip() for name in next(lines, [])]
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise SourceError(
                "the manifest cannot be used", f"two columns are called {twice!r}", "Rename one of them"
            )
        if not header:
            return
        yield Row(lines.line_num, dict.fromkeys(header))  # the columns, for the check at opening
        while True:
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(lines.line_num, {}, f"the line is not valid CSV ({error})")
                continue
            if len(cells) > len(header):
                why = (
                    f"the line has {len(cells)} cells, and the header has {len(header)}: is a quote missing?"
                )
                yield Row(lines.line_num, {}, why)
            elif cells:  # empty lines are no rows
                yield Row(lines.line_num, dict(itertools.zip_longest(header, cells, fillvalue="")))

    return rows


# --- JSON, a line each


def _json_lines(file: IO[bytes]) -> Rows:
    text = _text(file)
    for line in itertools.count(1):
        content = text.readline(MAX_LINE)
        if not content:
            return
        if len(content) >= MAX_LINE:
            raise SourceError(
                "the manifest cannot be used",
                f"line {line} is longer than {MAX_LINE:,} characters",
                "Write one JSON object a line, for example with: jq -c '.[]'",
            )
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


# --- Parquet


def _parquet(file: IO[bytes]) -> Rows:
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


class Layout(NamedTuple):
    """One kind of manifest. `typed`: cells come with types; `declares`: the first Row only names the
    columns.
    """

    name: str
    rows: Callable[[IO[bytes]], Rows]
    typed: bool
    declares: bool


LAYOUTS = {
    ".csv": Layout("csv", _separated(","), typed=False, declares=True),
    ".tsv": Layout("tsv", _separated("\t"), typed=False, declares=True),
    ".jsonl": Layout("jsonl", _json_lines, typed=True, declares=False),
    ".ndjson": Layout("jsonl", _json_lines, typed=True, declares=False),
    ".parquet": Layout("parquet", _parquet, typed=True, declares=True),
}
"""Suffix -> how the manifest is read."""


@dataclass(frozen=True)
class Part:
    """One file of a manifest source. `codes` are the columns kept as text."""

    path: str
    layout: Layout
    codes: frozenset[str]


@dataclass(frozen=True)
class ManifestSource:
    """The pictures that the rows of one or more manifests name."""

    kind: str
    uri: str
    place: Place = field(repr=False)
    parts: tuple[Part, ...]
    id_column: str
    image_column: str

    def count(self) -> int | None:
        """The rows: of Parquet from its footer, of text by counting line ends; None for remote text."""
        counts = [_count(self.place, part) for part in self.parts]
        known = [number for number in counts if number is not None]
        return sum(known) if len(known) == len(counts) else None

    def __iter__(self) -> Iterator[Item]:
        seen = SeenIds()
        for number, part in enumerate(self.parts):
            try:
                with self.place.open(part.path) as file:
                    rows = part.layout.rows(file)
                    for row in itertools.islice(rows, 1, None) if part.layout.declares else rows:
                        yield self._item(part, row, seen, number)
            except (
                Exception
            ) as error:  # the file was fine when it was opened; a remote service raises anything
                uri = self.place.uri(part.path)
                why = error.why if isinstance(error, SourceError) else short(error)
                yield Failure(
                    uri, uri, f"the manifest cannot be read to its end: {why}", "Check the file", hides=""
                )

    def _item(self, part: Part, row: Row, seen: SeenIds, number: int) -> Item:
        here = f"{self.place.uri(part.path)}:{row.line}"
        if row.problem:
            return Failure(here, f"line {row.line}", row.problem, "Correct the line", hides="")
        name, image = row.values.get(self.id_column), row.values.get(self.image_column)
        for column, value in ((self.id_column, name), (self.image_column, image)):
            if value is None or value == "":
                nameless = name in (None, "")
                known = f"line {row.line}" if nameless else printable(str(name))
                why, remedy = f"line {row.line} has no {column!r}", f"Fill in the column {column!r}"
                return Failure(here, known, why, remedy, hides="" if nameless else None)
        identity = printable(str(name))
        before = seen.first(identity, number << 40 | row.line)
        if before is not None:
            where = f"line {before & (1 << 40) - 1}"
            if before >> 40 != number:
                where += f" of {self.place.uri(self.parts[before >> 40].path)}"
            return Failure(
                here, identity, f"line {row.line} has the id of {where}", "Give each picture an id of its own"
            )
        return self._record(part, row, identity, image, here)

    def _record(self, part: Part, row: Row, identity: str, image: Any, here: str) -> Item:
        attributes = {
            printable(column): _value(value, part, column)
            for column, value in row.values.items()
            if column not in (self.id_column, self.image_column)
        }
        if isinstance(image, dict) and "bytes" in image:  # the layout of the `datasets` library
            image = image["bytes"] or image.get("path")
        if isinstance(image, bytes):
            data = image
            return Record(identity, f"{here}#{identity}", lambda: data, attributes, named=True)
        if not isinstance(image, str) or not image:
            kind = type(image).__name__
            return Failure(
                here, identity, f"the column {self.image_column!r} holds a {kind}", "Give a path or a URL"
            )
        folder = part.path.rpartition("/")[0] or "/"
        try:
            uri, read, stamp = reader(self.place, folder, image)
        except VisualSearchError as error:
            return Failure(printable(image), identity, error.why or error.what, error.remedy)
        return Record(identity, uri, read, attributes, named=True, stamp=stamp)


def _value(value: Any, part: Part, column: str) -> Any:
    if not part.layout.typed:
        clean = printable(value)
        return (clean or None) if column in part.codes else cell(clean)
    return json_value(value)


_SURROGATES = re.compile("[\ud800-\udfff]")  # also those that JSON writes as \ud83d without its partner


def json_value(value: Any) -> Any:
    """`value` with only what JSON knows: dates in ISO form, decimals as numbers, NaN and bytes as None,
    text made printable.
    """
    for kind, convert in _JSON:
        if isinstance(value, kind):
            return convert(value)
    return str(value)


_JSON: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((type(None), bool, int), lambda value: value),
    (str, lambda value: _SURROGATES.sub("\ufffd", value)),
    ((float, Decimal), lambda value: float(value) if math.isfinite(value) else None),
    (dict, lambda value: {json_value(str(name)): json_value(inner) for name, inner in value.items()}),
    ((list, tuple), lambda value: [json_value(inner) for inner in value]),
    (bytes, lambda _value: None),
    ((date, time), lambda value: value.isoformat()),  # a datetime is a date
)


def _count(place: Place, part: Part) -> int | None:
    if part.layout.name == "parquet":
        import pyarrow.parquet as pq

        with place.open(part.path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    if not isinstance(place, LocalPlace):
        return None
    with place.open(part.path) as file:
        lines, last = 0, b"\n"
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return max(lines + (last != b"\n") - part.layout.declares, 0)


# --- opening


def open_manifest(
    place: Place, paths: list[str], uri: str, text: str, *, id_column: str, image_column: str
) -> ManifestSource:
    """The pictures of one or more manifests of one kind. Raises SourceError when one has no rows or lacks a
    column.
    """
    parts = []
    for path in paths:
        suffix = path[path.rfind(".") :].lower()
        layout = LAYOUTS[suffix]
        try:
            with place.open(path) as file:
                rows = list(itertools.islice(layout.rows(_checked(file)), SAMPLE_ROWS))
        except SourceError as error:
            raise SourceError(f"cannot read {path!r}", error.why, error.remedy) from error
        except PermissionError as error:
            raise SourceError(
                f"cannot read {path!r}", "you have no permission to read it", "Change its permissions"
            ) from error
        except Exception as error:  # OSError, or what a remote service raises
            raise SourceError(f"cannot read {path!r}", short(error), "Check the file") from error
        if len(rows) <= layout.declares:
            raise SourceError(f"{path!r} has no rows", "the manifest is empty", "Check what wrote it")
        _check_columns(rows, path, (id_column, image_column), layout)
        body = rows[layout.declares :]
        codes: set[str] = set()
        if not layout.typed:
            codes = {name for row in body for name, value in row.values.items() if _CODE.fullmatch(value)}
        parts.append(Part(path, layout, frozenset(codes)))
    return ManifestSource(parts[0].layout.name, uri, place, tuple(parts), id_column, image_column)


def _checked(file: IO[bytes]) -> IO[bytes]:
    head = file.read(64)
    file.seek(0)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SourceError("the manifest cannot be used", "it is UTF-16 text", "Save it as UTF-8")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
        raise SourceError(
            "the manifest cannot be used",
            "it is a JSON array, not one object a line",
            "Convert it with: jq -c '.[]'",
        )
    return file


def _check_columns(rows: list[Row], path: str, needed: tuple[str, str], layout: Layout) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    missing = [name for name in needed if name not in columns]
    if not missing:
        return
    problem = next((row for row in rows if row.problem), None)
    if not columns and problem is not None:
        raise SourceError(
            f"cannot read {path!r}", f"line {problem.line}: {problem.problem}", "Correct the file"
        )
    remedy = "Name the columns with id_column= and image_column=, or rename them"
    if layout.declares and len(columns) == 1 and (";" in columns[0] or "\t" in columns[0]):
        remedy = "Separate the cells with commas in a .csv file, with tabs in a .tsv file"
    raise SourceError(
        f"{path!r} lacks the column{'s' * (len(missing) > 1)} {' and '.join(map(repr, missing))}",
        f"its columns are {', '.join(printable(name) for name in columns[:40])}",
        remedy,
    )
