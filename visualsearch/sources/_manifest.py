"""Manifests: tables in which each row names a picture, or several; read row by row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from visualsearch.errors import SourceError, VisualSearchError
from visualsearch.types import Failure, Record

from ._addresses import printable, short
from ._attributes import Attributes
from ._base import Item, SeenIds
from ._columns import Columns, Meaning, folded, meaning_of
from ._feed import feed
from ._pictures import pictures_of
from ._places import LocalPlace, Place, reader
from ._separated import separated
from ._survey import surveyed
from ._tables import Layout, Row, json_lines, parquet

SAMPLE_ROWS = 1000
"""Rows looked at when a manifest is opened: for its columns, its prices, and for codes such as 007."""

LAYOUTS = {
    ".csv": Layout("csv", separated(","), typed=False, declares=True),
    ".tsv": Layout("tsv", separated("\t"), typed=False, declares=True),
    ".jsonl": Layout("jsonl", json_lines, typed=True, declares=False),
    ".ndjson": Layout("jsonl", json_lines, typed=True, declares=False),
    ".parquet": Layout("parquet", parquet, typed=True, declares=True),
    ".xml": Layout("xml", feed, typed=False, declares=False),
}
"""Suffix -> how the manifest is read."""


@dataclass(frozen=True)
class Part:
    """One file of a manifest source, and what its columns mean."""

    path: str
    layout: Layout
    meaning: Meaning

    @property
    def folder(self) -> str:
        """Where its relative paths start."""
        return self.path.rpartition("/")[0] or "/"


@dataclass(frozen=True)
class ManifestSource:
    """The pictures that the rows of one or more manifests name. `notes`: what a person should know of how they are read."""

    kind: str
    uri: str
    place: Place = field(repr=False)
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def group_by(self) -> str | None:
        """The attribute that pictures of one product share; None where pictures stand alone."""
        return self.parts[0].meaning.group_name

    def count(self) -> int | None:
        """The rows: of Parquet from its footer, of text by counting line ends; None for remote text."""
        counts = [_count(self.place, part) for part in self.parts]
        known = [number for number in counts if number is not None]
        return sum(known) if len(known) == len(counts) else None

    def __iter__(self) -> Iterator[Item]:
        names = _Names(self.place, self.parts)
        for number, part in enumerate(self.parts):
            try:
                with self.place.open(part.path) as file:
                    rows = part.layout.rows(file)
                    reading = _Reading(self.place, part, number, names)
                    for row in itertools.islice(rows, 1, None) if part.layout.declares else rows:
                        yield from reading.items(row)
            except (
                Exception
            ) as error:  # the file was fine when it was opened; a remote service raises anything
                uri = self.place.uri(part.path)
                why = error.why if isinstance(error, SourceError) else short(error)
                yield Failure(
                    uri, uri, f"the manifest cannot be read to its end: {why}", "Check the file", hides=""
                )


class _Names:
    """Gives each picture an id of its own; the first picture of a row has the row's, others have #2, #3 ... behind it."""

    def __init__(self, place: Place, parts: Sequence[Part]) -> None:
        self.place, self.parts = place, parts
        self._seen, self._pictures = SeenIds(), SeenIds()
        self._count: dict[str, int] = {}  # of those that are used more than once

    def first(self, name: str, at: int) -> int | None:
        """Where the id was used before; it is used from now on."""
        return self._seen.first(name, at)

    def next(self, name: str, at: int) -> str:
        """A free id like the one that is used already."""
        number = self._count.get(name, 1) + 1
        while self._seen.first(f"{name}#{number}", at) is not None:
            number += 1
        self._count[name] = number
        return f"{name}#{number}"

    def again(self, name: str, picture: Any, at: int) -> bool:
        """Whether this product had this picture before."""
        key = hash(picture) if isinstance(picture, bytes) else repr(picture)
        return self._pictures.first(f"{name}\0{key}", at) is not None

    def where(self, at: int, number: int) -> str:
        """A place in words, for a reader of file `number`."""
        where = f"line {at & (1 << 40) - 1}"
        if at >> 40 != number:
            where += f" of {self.place.uri(self.parts[at >> 40].path)}"
        return where


class _Reading:
    """One file of a manifest being read: what its rows give."""

    def __init__(self, place: Place, part: Part, number: int, names: _Names) -> None:
        self.place, self.part, self.number, self.names = place, part, number, names
        self.meaning = part.meaning
        self.attributes = Attributes(part.meaning, part.layout.typed)
        self.uri = place.uri(part.path)
        self._product: Mapping[str, Any] = {}

    def items(self, row: Row) -> Iterator[Item]:
        """The pictures of a row, or why there are none."""
        here, known = f"{self.uri}:{row.line}", f"line {row.line}"
        if row.problem:
            yield Failure(here, known, row.problem, "Correct the line", hides="")
            return
        meaning = self.meaning
        values, more = self._continued(row.values)
        name = values.get(meaning.id)
        if _empty(name):
            yield Failure(
                here, known, f"{known} has no {meaning.id!r}", f"Fill in the column {meaning.id!r}", hides=""
            )
            return
        identity = printable(str(name))
        pictures = self._pictures(values)
        if not pictures:
            if not more and not self._bare(values):
                column = meaning.images[0]
                yield Failure(here, identity, f"{known} has no {column!r}", f"Fill in the column {column!r}")
            return
        yield from self._named(row, identity, pictures, self.attributes.of(values))

    def _continued(self, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """The row with what it leaves to the first row of its product, and whether it is not that first row."""
        meaning = self.meaning
        if meaning.export is None or not meaning.export.continues:
            return values, False
        name, last = values.get(meaning.id), self._product.get(meaning.id)
        untitled = _empty(values.get(meaning.title or ""))
        if last is None or not (name == last or (_empty(name) and untitled)):
            self._product = values
            return values, False
        return {
            column: self._product.get(column) if _empty(value) and not _of_picture(column) else value
            for column, value in values.items()
        }, True

    def _pictures(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            one
            for column in self.meaning.images
            for one in pictures_of(values.get(column), self.place, self.part.folder)
        ]

    def _bare(self, values: Mapping[str, Any]) -> bool:
        """Whether this kind of row needs no picture of its own."""
        bare = self.meaning.bare
        return bare is not None and str(values.get(bare[0]) or "").strip().casefold() == bare[1]

    def _named(
        self, row: Row, identity: str, pictures: Sequence[Any], attributes: Mapping[str, Any]
    ) -> Iterator[Item]:
        here, at = f"{self.uri}:{row.line}", self.number << 40 | row.line
        repeats = bool(self.meaning.group)
        for place, picture in enumerate(pictures):
            if (repeats or len(pictures) > 1) and self.names.again(identity, picture, at):
                continue
            name, before = identity, self.names.first(identity, at)
            if before is not None:
                if place == 0 and not repeats:
                    yield Failure(
                        here,
                        identity,
                        f"line {row.line} has the id of {self.names.where(before, self.number)}",
                        "Give each picture an id of its own, or name the column of the product with --group-by",
                    )
                    return
                name = self.names.next(identity, at)
            yield self._record(name, picture, attributes, here)

    def _record(self, name: str, picture: Any, attributes: Mapping[str, Any], here: str) -> Item:
        if isinstance(picture, bytes):
            return Record(name, f"{here}#{name}", lambda: picture, attributes, named=True)
        if not isinstance(picture, str):
            kind, column = type(picture).__name__, self.meaning.images[0]
            return Failure(here, name, f"the column {column!r} holds a {kind}", "Give a path or a URL")
        try:
            uri, read, stamp = reader(self.place, self.part.folder, picture)
        except VisualSearchError as error:
            return Failure(printable(picture), name, error.why or error.what, error.remedy)
        except ValueError as error:  # what is neither a path nor an address
            return Failure(
                here, name, f"{printable(picture)!r} names no picture ({short(error)})", "Correct it"
            )
        return Record(name, uri, read, attributes, named=True, stamp=stamp)


def _empty(value: Any) -> bool:
    return value is None or value == ""


def _of_picture(column: str) -> bool:
    """Whether a column is about a row's own picture rather than about the product."""
    return folded(column).startswith(("image ", "product image", "variant image"))


def _count(place: Place, part: Part) -> int | None:
    if part.layout.name == "parquet":
        import pyarrow.parquet as pq

        with place.open(part.path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    if not isinstance(place, LocalPlace) or part.layout.name == "xml":
        return None
    with place.open(part.path) as file:
        lines, last = 0, b"\n"
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return max(lines + (last != b"\n") - part.layout.declares, 0)


# --- opening


def open_manifest(place: Place, paths: list[str], uri: str, columns: Columns) -> ManifestSource:
    """The pictures of one or more manifests of one kind. Raises SourceError when one has no rows or lacks a
    column.
    """
    parts, notes = [], []
    for path in paths:
        part, said = _opened(place, path, columns)
        parts.append(part)
        notes += said
    return ManifestSource(parts[0].layout.name, uri, place, tuple(parts), tuple(dict.fromkeys(notes)))


def _opened(place: Place, path: str, columns: Columns) -> tuple[Part, list[str]]:
    layout = LAYOUTS[path[path.rfind(".") :].lower()]
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
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    meaning = meaning_of(columns, names)
    _check_columns(rows, names, path, [meaning.id, meaning.images[0], *_named(columns)], layout)
    part = Part(path, layout, meaning)
    meaning, notes = surveyed(
        meaning,
        columns,
        rows[layout.declares :],
        layout.typed,
        lambda value: pictures_of(value, place, part.folder),
    )
    return Part(path, layout, meaning), notes


def _named(columns: Columns) -> list[str]:
    """The columns that the user named and that must exist, besides those of id and picture."""
    group = None if columns.group == "none" else columns.group
    return [name for name in (columns.title, columns.price, columns.url, group) if name is not None]


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


def _check_columns(
    rows: list[Row], columns: list[str], path: str, needed: Sequence[str], layout: Layout
) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in columns]
    if not missing:
        return
    problem = next((row for row in rows if row.problem), None)
    if not columns and problem is not None:
        raise SourceError(
            f"cannot read {path!r}", f"line {problem.line}: {problem.problem}", "Correct the file"
        )
    remedy = (
        "Name the columns with --id-column, --image-column, --title-column, --price-column and --url-column"
        " (in Python: id_column= and so on), or rename them"
    )
    if layout.declares and len(columns) == 1 and (";" in columns[0] or "\t" in columns[0]):
        remedy = "Separate the cells with commas in a .csv file, with tabs in a .tsv file"
    raise SourceError(
        f"{path!r} lacks the column{'s' * (len(missing) > 1)} {' and '.join(map(repr, missing))}",
        f"its columns are {', '.join(printable(name) for name in columns[:40])}",
        remedy,
    )
