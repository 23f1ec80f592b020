"""An account's own export from elsewhere, read as bookmarks: HTML, CSV or JSON, or several of them in a ZIP file."""

from __future__ import annotations

import csv
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from visualsearch.errors import SourceError, UnknownNameError

from .bookmarks import Bookmark, decoded, from_html, picture_url, when, words
from .tables import BadRow

MOST_BYTES = 1 << 30
"""Of an export, and of what a ZIP file unpacks to."""
KINDS = {
    "bookmarks": "a browser's bookmarks: HTML, or JSON of Chrome or Firefox",
    "pinterest": "Pinterest: the page or ZIP file of one's own data, or a table of pins",
    "raindrop": "Raindrop: CSV, HTML or JSON",
    "pocket": "Pocket: CSV, HTML, JSON, or the ZIP file with parts",
}
"""Where an export may come from."""
BOARDS = {"pocket": "Pocket", "pinterest": "Pins", "raindrop": "Unsorted", "bookmarks": "Bookmarks"}
"""The board of what lay in no folder."""
COLUMNS: Mapping[str, Sequence[str]] = {
    "page": ("url", "link", "href", "uri", "resolved_url", "given_url", "canonical link", "source url", "source_url",
             "pin link", "pin url", "pin_url"),
    "picture": ("cover", "image", "image_url", "image url", "media url", "media_url", "picture", "img", "thumbnail"),
    "title": ("title", "name", "resolved_title", "given_title"),
    "note": ("note", "details", "description", "extended", "excerpt", "alt text"),
    "folder": ("folder", "board", "board name", "board_name", "collection", "category", "list"),
    "section": ("section", "section name", "section_name"),
    "tags": ("tags", "labels", "keywords"),
    "at": ("created", "created at", "created_at", "time_added", "dateadded", "date_added", "add_date", "time", "date"),
    "secret": ("private", "secret"),
}  # fmt: skip
"""What the services call each field, in lower case."""
_INSIDE = ("children", "pins", "items", "list", "raindrops", "bookmarks", "boards", "roots", "sections", "data",
           "bookmark_bar", "other", "synced", "collections")  # fmt: skip


_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
"""RuntimeError: it wants a password."""


def read_export(path: Path) -> Iterator[Bookmark | BadRow]:
    """The bookmarks of a file, and rows that are none. Raises SourceError where it cannot be read at all."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"cannot read {path}", "it is larger than 1 GB", "Split it")
        if zipfile.is_zipfile(path):
            yield from _zipped(path)
        else:
            yield from _read(path.name, path.read_bytes(), str(path))
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        RuntimeError,
    ) as error:  # RuntimeError: it wants a password
        raise SourceError(f"cannot read {path}", str(error), "Fetch the export again") from error


def _zipped(path: Path) -> Iterator[Bookmark | BadRow]:
    left = MOST_BYTES
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda each: each.filename):
            if PurePosixPath(member.filename).suffix.lower() not in READERS or member.is_dir():
                continue
            left -= member.file_size
            if left < 0:
                raise SourceError(
                    f"cannot read {path}", "it unpacks to more than 1 GB", "Unpack and split it"
                )
            with archive.open(member) as file:
                yield from _read(member.filename, file.read(member.file_size), f"{path}:{member.filename}")


def _read(name: str, data: bytes, shown: str) -> Iterator[Bookmark | BadRow]:
    suffix = PurePosixPath(name).suffix.lower()
    text = decoded(data)
    reader = READERS.get(suffix)
    if suffix not in (".csv", ".tsv"):
        start = text.lstrip()[:1]
        reader = from_html if start == "<" else _json if start in ("{", "[") else reader
    if reader is None:
        raise UnknownNameError("kind of export", suffix or name, READERS)
    try:
        yield from reader(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"cannot read {shown}", str(error), "Fetch the export again") from error


def _csv(text: str) -> Iterator[Bookmark | BadRow]:
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    if first.lower().startswith("sep="):  # what Excel writes ahead of the header
        mark, text = first[4:5], text.split("\n", 1)[1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    header = [name.strip().lower() for name in next(reader, [])]
    if not any(name in (*COLUMNS["page"], *COLUMNS["picture"]) for name in header):
        raise ValueError(f"no column of addresses; columns: {', '.join(header)[:200] or 'none'}")
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield BadRow(line, f"it is no CSV: {error}")
            continue
        if row is None:
            return
        if len(row) > len(header) and any(row[len(header) :]):
            yield BadRow(line, f"it has {len(row)} cells instead of {len(header)}")
        elif any(row):
            yield _row(line, dict(zip(header, row, strict=False)))


def _row(line: int, row: Mapping[str, Any]) -> Bookmark:
    """A bookmark of named values; folders are written a/b/c."""
    value = {name: _first(row, known) for name, known in COLUMNS.items()}
    folder = [part.strip() for part in str(value["folder"] or "").split("/") if part.strip()]
    folder += [str(value["section"])] if value["section"] else []
    return Bookmark(
        line,
        str(value["page"] or "").strip(),
        picture_url(value["picture"]),
        str(value["title"] or "").strip(),
        str(value["note"] or "").strip(),
        tuple(folder),
        _tags(value["tags"]),
        when(value["at"]),
        str(value["secret"] or "").lower() in ("1", "true", "yes") or str(row.get("shared", "")) == "no",
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "", "No data")), None)


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        return tuple(str(name) for name in value)
    if isinstance(value, list):
        return tuple(
            str(each.get("tag", each.get("name", "")) if isinstance(each, Mapping) else each)
            for each in value
        )
    return words(value)


def _json(text: str) -> Iterator[Bookmark]:
    count = 0
    for at, node in enumerate(_nodes(json.loads(text), ())):
        count = at + 1
        yield replace(_node(*node), line=count)


def _nodes(node: Any, path: tuple[str, ...]) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Every object that has an address, and the titles of those around it."""
    if isinstance(node, list):
        for each in node:
            yield from _nodes(each, path)
    if not isinstance(node, Mapping):
        return
    low = {str(name).lower(): value for name, value in node.items()}
    inside = [low[name] for name in _INSIDE if isinstance(low.get(name), (list, Mapping))]
    if inside:
        title = low.get("title") or low.get("name")
        for each in inside:
            yield from _nodes(each, (*path, str(title)) if title and title != "root" else path)
    elif _first(low, COLUMNS["page"]) is not None or _picture(low):
        yield low, path
    else:
        for each in node.values():
            if isinstance(each, (list, Mapping)):
                yield from _nodes(each, path)


def _picture(low: Mapping[str, Any]) -> Any:
    """A picture's address: by name, or the largest of Pinterest's sizes."""
    found = low.get("images") or low.get("media") or _first(low, COLUMNS["picture"])
    if isinstance(found, list):
        found = found[0] if found else None
    while isinstance(found, Mapping):
        found = (
            found.get("orig")
            or found.get("originals")
            or found.get("url")
            or next(iter(found.values()), None)
        )
    return found if isinstance(found, str) else None


def _node(low: Mapping[str, Any], path: tuple[str, ...]) -> Bookmark:
    row = {**low, "image": _picture(low), "cover": None}
    if "extended" in low and "href" in low:  # Pinboard: the title is called description
        row |= {
            "title": low.get("description"),
            "description": None,
            "tags": str(low.get("tags", "")).replace(" ", ","),
        }
    for name in ("board", "collection", "section"):
        if isinstance(row.get(name), Mapping):
            row[name] = row[name].get("name") or row[name].get("title")
    made = _row(0, row)
    return made if made.folder else replace(made, folder=path)


READERS: Mapping[str, Callable[[str], Iterator[Any]]] = {
    ".html": from_html,
    ".htm": from_html,
    ".csv": _csv,
    ".tsv": _csv,
    ".json": _json,
}
