"""What a Python program holds already: pictures, records, dictionaries, tables, and iterators over any of these."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from os import PathLike, fspath
from typing import Any

import numpy as np

from visualsearch.errors import SourceError, UsageError, VisualSearchError
from visualsearch.types import Failure, Record

from ._addresses import printable, short
from ._base import Item, SeenIds
from ._cells import json_value
from ._places import LocalPlace, reader

TAKEN = (
    "a path or an address, bytes, a Pillow picture, a (h, w, 3) uint8 array, a Record, or a dictionary with"
    " the keys id and image"
)
BATCH_ROWS = 256
"""Rows of a table that are Python values at a time."""


@dataclass(frozen=True)
class GivenSource:
    """Pictures that a program hands over. `once` says that they come from an iterator, which can be read once only."""

    kind: str
    uri: str
    rows: Callable[[], Iterator[Any]] = field(repr=False)
    rows_known: int | None
    once: bool
    id_column: str
    image_column: str

    def count(self) -> int | None:
        """The rows of a table or a list; None for an iterator."""
        return self.rows_known

    def __iter__(self) -> Iterator[Item]:
        seen = SeenIds()
        for number, row in enumerate(self.rows(), 1):
            item = self._item(row, number)
            if isinstance(item, Record) and (before := seen.first(item.id, number)) is not None:
                why = f"entry {number} has the id of entry {before}"
                item = Failure(item.uri, item.id, why, "Give each picture an id of its own")
            yield item

    def _item(self, row: Any, number: int) -> Item:
        here = f"entry {number}"
        if isinstance(row, Record | Failure):
            return row
        try:
            if isinstance(row, Mapping):
                return self._from_mapping(row, here)
            return _record(row, None, {}, here)
        except VisualSearchError as error:
            return Failure(
                here, here, f"{error.what}: {error.why}" if error.why else error.what, error.remedy
            )

    def _from_mapping(self, row: Mapping[Any, Any], here: str) -> Item:
        image, name = row.get(self.image_column), row.get(self.id_column)
        for column, value in ((self.id_column, name), (self.image_column, image)):
            if value is None or (isinstance(value, str) and not value):
                known = here if name in (None, "") else printable(str(name))
                return Failure(here, known, f"{here} has no {column!r}", f"Fill in {column!r}")
        attributes = {
            printable(str(key)): json_value(_plain(value))
            for key, value in row.items()
            if key not in (self.id_column, self.image_column)
        }
        if isinstance(image, Mapping) and "bytes" in image:  # the layout of the `datasets` library
            image = image["bytes"] or image.get("path")
        return _record(image, printable(str(_plain(name))), attributes, here)


def _record(image: Any, name: str | None, attributes: dict[str, Any], here: str) -> Record:
    """The record of one picture; without a name its place, or else its content, gives the id."""
    if isinstance(image, str | PathLike):
        place = fspath(image)
        if not isinstance(place, str) or not place or "\0" in place:
            raise UsageError(
                f"{here} is no path", "it is empty, or holds bytes or a NUL", "Give a str or a Path"
            )
        uri, read, stamp = reader(LocalPlace(), ".", place)
        return Record(
            name or printable(place).removeprefix("./"),
            uri,
            read,
            attributes,
            named=name is not None,
            stamp=stamp,
        )
    data = _file_of(image, here)
    digest = hashlib.sha256(data).hexdigest()
    uri = f"memory:{digest}"
    return Record(name or f"picture-{digest[:16]}", uri, lambda: data, attributes, named=name is not None)


def _file_of(image: Any, here: str) -> bytes:
    """The bytes of a picture file: as they are, or a PNG of a picture's or an array's pixels."""
    from visualsearch import images

    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    try:
        picture = images.load(image)
    except UsageError as error:
        raise UsageError(
            f"{here} is a {type(image).__name__}", "it is no picture", f"Give {TAKEN}"
        ) from error
    out = BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A number or array of numpy, or a missing value of pandas, as plain Python."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def open_given(given: Any, *, id_column: str, image_column: str) -> GivenSource:
    """The pictures of a table (Arrow, pandas, or what has `to_arrow`), an iterable, or one picture.

    Raises SourceError for anything else, and for a table that lacks a column.
    """
    make = partial(GivenSource, id_column=id_column, image_column=image_column)
    if _holds_pictures(given):
        return make("table", "table", lambda: iter(given.to_dict("records")), len(given), False)
    table = _table(given)
    if table is not None:
        missing = [name for name in (id_column, image_column) if name not in table.schema.names]
        if missing:
            raise SourceError(
                f"the table lacks the column{'s' * (len(missing) > 1)} {' and '.join(map(repr, missing))}",
                f"its columns are {', '.join(printable(name) for name in table.schema.names[:40])}",
                "Name the columns with id_column= and image_column=, or rename them",
            )
        return make("table", "table", partial(_table_rows, table), table.num_rows, False)
    if isinstance(given, Mapping | Record | np.ndarray) or _is_picture(given):
        return make("given", "given", lambda: iter([given]), 1, False)
    if isinstance(given, Iterator):
        return make("given", "given", lambda: given, None, True)
    if isinstance(given, Iterable) and not isinstance(given, bytes | bytearray | memoryview):
        size = len(given) if isinstance(given, Sized) else None
        return make("given", "given", lambda: iter(given), size, False)
    raise SourceError(
        f"a {type(given).__name__} is not a source of pictures", "it holds no pictures", f"Give {TAKEN}"
    )


def _is_picture(value: Any) -> bool:
    from PIL.Image import Image

    return isinstance(value, Image) or type(value).__module__.partition(".")[0] == "torch"


def _is_frame(given: Any) -> bool:
    return type(given).__module__.partition(".")[0] == "pandas" and type(given).__name__ == "DataFrame"


def _holds_pictures(given: Any) -> bool:
    """Whether a pandas table has a column of Pillow pictures or tensors, for which Arrow has no type."""
    return _is_frame(given) and len(given) > 0 and any(_is_picture(given[c].iloc[0]) for c in given.columns)


def _table(given: Any) -> Any:
    """The Arrow table that something is; None where it is no table. Raises SourceError for what Arrow cannot hold."""
    root = type(given).__module__.partition(".")[0]
    if root == "pyarrow":
        return given if hasattr(given, "to_batches") else _batch_table(given)
    if _is_frame(given):
        import pyarrow as pa

        try:
            return pa.Table.from_pandas(given, preserve_index=False)
        except (pa.ArrowException, TypeError) as error:
            why = f"Arrow cannot hold it ({short(error)})"
            raise SourceError("cannot read the pandas table", why, "Make each column one type") from error
    return given.to_arrow() if root == "polars" and hasattr(given, "to_arrow") else None


def _batch_table(given: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([given]) if isinstance(given, pa.RecordBatch) else None


def _table_rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield from batch.to_pylist()
