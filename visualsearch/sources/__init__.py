"""Sources of pictures: `open_source` turns a path, a pattern, a manifest, shards or addresses into Records.

Everything is lazy: pictures are named as iteration reaches them and read when `Record.read` is called, from
any thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from visualsearch.errors import PictureError, SourceError, VisualSearchError
from visualsearch.fetch import fetch
from visualsearch.types import Failure

from ._addresses import gone, printable, scheme_of, short
from ._base import Item, SeenIds, Source
from ._columns import Columns
from ._feed import feed as feed_rows
from ._given import open_given
from ._lists import PartialSource, is_web, open_list, open_picture, open_url, open_url_list
from ._manifest import LAYOUTS, open_manifest
from ._places import TYPED, Entry, Place, locate
from ._tar import SUFFIXES as TAR_SUFFIXES
from ._tar import is_tar, open_tars, read_member
from ._walk import (
    HEAD,
    begins_as_picture,
    expand_files,
    is_pattern,
    is_picture,
    may_be_picture,
    open_folder,
    open_glob,
)

__all__ = [
    "KINDS",
    "Columns",
    "Item",
    "SeenIds",
    "Source",
    "feed_rows",
    "gone",
    "open_source",
    "printable",
    "read",
]

KINDS = {
    "folder": "a folder, with its sub-folders",
    "glob": 'a pattern, such as "photos/**/*.jpg"',
    "picture": "a picture file",
    "csv": "a manifest .csv with the columns id and image, or a shop's export (Shopify, WooCommerce, Google Merchant)",
    "tsv": "the same as .tsv",
    "jsonl": "the same as .jsonl or .ndjson",
    "parquet": "the same as .parquet",
    "xml": "a Google Merchant feed .xml",
    "tar": 'webdataset shards .tar, .tar.gz or .tgz, also as a pattern: "shards/{000..012}.tar"',
    "urls": "a .txt file of addresses, one a line",
    "url": "an http(s) address of a picture",
    "list": "a list of any of these",
}
"""Every kind of source, and what it looks like. All but url may also lie on s3://, gs:// or another of the
protocols in `TYPED`.
"""


def open_source(
    source: Any,
    *,
    id_column: str | None = None,
    image_column: str | None = None,
    title_column: str | None = None,
    price_column: str | None = None,
    url_column: str | None = None,
    group_by: str | None = None,
    columns: Columns | None = None,
) -> Source:
    """The pictures of `source`: one of the `KINDS`, or what a Python program holds already.

    The latter is a list or an iterator of paths, Records, dictionaries with the keys id and image, Pillow pictures, arrays or
    bytes; or a table of Arrow, pandas or Polars with the columns id and image. An iterator is read once, lazily; each path in
    it is a picture. A picture without a path or an id is named by its content, and the index has no file of it to show.

    The columns are those of manifests; without a name, `id` and `image` are taken, or what an export of Shopify,
    WooCommerce or Google Merchant calls them (the source's `notes` say so). Titles, prices (as numbers) and addresses of
    products are kept as the attributes `title`, `price` with `currency`, and `url`. `group_by` is the column that pictures
    of one product share: an id may then repeat, and its further pictures become id#2, id#3. `columns` stands for all of
    these.

    Raises SourceError when nothing can be read from it (missing, empty, unreadable, of an unknown kind, columns missing) and
    MissingExtraError when its protocol needs an extra; what is wrong with single entries comes as Failures
    while iterating, and a file that is not taken for a picture as a PassedOver.
    """
    columns = columns or Columns(id_column, image_column, title_column, price_column, url_column, group_by)
    if isinstance(source, str | Path):
        return _open(os.fspath(source), columns)
    if isinstance(source, list | tuple) and all(isinstance(item, str | Path) for item in source):
        return open_list([os.fspath(item) for item in source], _is_single, partial(_open, columns=columns))
    if columns.title or columns.price or columns.url:
        raise SourceError(
            f"the columns of a {type(source).__name__} cannot be given other meanings",
            "columns of titles, prices and addresses are those of manifest files",
            "Rename them to title, price and url",
        )
    return open_given(source, id_column=columns.id or "id", image_column=columns.image or "image")


def read(uri: str) -> bytes:
    """The bytes of a picture by the uri of its Record: a path, file://, http(s)://, s3://, gs:// or another
    of the protocols in `STORES`, or "shard.tar::member".

    A tar member is found by reading through its shard from the start; while indexing, use `Record.read`,
    which goes straight to it. Pictures that were held inside a manifest cannot be read this way. Raises
    PictureError.
    """
    if is_web(uri):
        return fetch(uri)
    shard, separator, member = uri.rpartition("::")
    try:
        if separator and is_tar(shard):
            return read_member(*locate(shard), member)
        place, path = locate(uri)
    except PictureError:
        raise
    except VisualSearchError as error:
        raise PictureError(uri, error.why, error.remedy) from error
    return place.read(path)


class _Target(NamedTuple):
    """An existing file that waits for its opener."""

    place: Place
    path: str
    entry: Entry
    text: str
    columns: Columns


def _open(text: str, columns: Columns) -> Source:
    if "\0" in text or not text:
        raise SourceError(f"cannot read {text!r}", "it is not a path", _known())
    if is_web(text):
        return _open_web(text)
    place, path = locate(text, TYPED)
    try:
        entry = place.look(path)
    except Exception as error:  # OSError, or what a remote service raises
        raise SourceError(
            f"cannot read {text!r}", short(error), "Check the path and the permissions"
        ) from error
    if entry is None:
        return _open_pattern(text, place, path, columns)
    if entry.folder:
        return open_folder(place, path, text)
    return _opener(place, path, text)(_Target(place, path, entry, text, columns))


def _open_web(text: str) -> Source:
    name = text.partition("?")[0].lower()
    if name.endswith((*LAYOUTS, *TAR_SUFFIXES, ".txt")):
        raise SourceError(
            f"cannot read {text!r}",
            "over http(s) only single pictures are read",
            "Download the file first, and name that",
        )
    return open_url(text)


def _open_pattern(text: str, place: Place, path: str, columns: Columns) -> Source:
    """What does not exist as it is written: braces, then wildcards, then an error."""
    expanded = expand_braces(path)
    if len(expanded) > 1 or is_pattern(path):
        if is_tar(path) or _layout_suffix(path):
            return _open_shards(text, place, path, expanded, columns)
        if len(expanded) > 1:
            return open_list(
                [place.uri(one) for one in expanded],
                _is_single,
                partial(_open, columns=columns),
                place.uri(path),
            )
        return open_glob(place, path, text)
    if scheme_of(text):
        raise SourceError(
            f"cannot read {text!r}", "there is nothing at this address", "Check it, and the credentials"
        )
    raise SourceError(f"cannot read {text!r}", "there is no such file or folder", "Check the path")


def _open_shards(text: str, place: Place, path: str, expanded: list[str], columns: Columns) -> Source:
    paths: list[str] = []
    unread: list[Failure] = []
    for one in expanded:
        files, failures = expand_files(place, one) if is_pattern(one) else ([one], [])
        paths += files
        unread += failures
    if not paths:
        raise SourceError(f"no file fits {text!r}", "the pattern matches nothing", "Check it with ls")
    source = _shards(text, place, path, list(dict.fromkeys(paths)), columns)
    return PartialSource(source, tuple(unread)) if unread else source


def _shards(text: str, place: Place, path: str, paths: list[str], columns: Columns) -> Source:
    if is_tar(path):
        return open_tars(place, paths, place.uri(path), text)
    missing = [one for one in paths if place.look(one) is None]
    if missing:
        raise SourceError(f"cannot read {missing[0]!r}", "there is no such file", "Check the pattern")
    return open_manifest(place, paths, place.uri(path), columns)


_OPENERS: tuple[tuple[Callable[[str], bool], Callable[[_Target], Source]], ...] = (
    (is_picture, lambda at: open_picture(at.place, at.path, at.entry.stamp)),
    (is_tar, lambda at: open_tars(at.place, [at.path], at.place.uri(at.path), at.text)),
    (
        lambda path: bool(_layout_suffix(path)),
        lambda at: open_manifest(at.place, [at.path], at.place.uri(at.path), at.columns),
    ),
    (lambda path: path.lower().endswith(".txt"), lambda at: open_url_list(at.place, at.path, at.text)),
)
"""Which file -> how it is opened."""


def _opener(place: Place, path: str, text: str) -> Callable[[_Target], Source]:
    for fits, opener in _OPENERS:
        if fits(path):
            return opener
    if may_be_picture(path) and begins_as_picture(place.head(path, HEAD)):
        return _OPENERS[0][1]
    suffix = Path(path).suffix or "no suffix"
    raise SourceError(f"cannot read {text!r}", f"a file with {suffix} is no known kind of source", _known())


def _layout_suffix(path: str) -> str:
    return next((suffix for suffix in LAYOUTS if path.lower().endswith(suffix)), "")


def _is_single(text: str) -> bool:
    """Whether an entry of a list is one picture, to be looked at only when its turn comes."""
    return is_web(text) or (
        is_picture(text) and not is_pattern(text) and not os.path.isdir(text) and "{" not in text  # noqa: PTH112 (it never raises)
    )


def _known() -> str:
    return "Known kinds: " + "; ".join(KINDS.values())


_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_MOST_BRACES = 100_000


def expand_braces(text: str) -> list[str]:
    """The texts that braces stand for: "{000..012}" counts, with leading zeros kept, "{a,b}" lists; the
    text itself without.
    """
    found = next((one for one in _BRACES.finditer(text) if "," in one[1] or ".." in one[1]), None)
    if found is None:
        return [text]
    counted = _RANGE.fullmatch(found[1])
    if counted:
        first, last = int(counted[1]), int(counted[2])
        if abs(last - first) >= _MOST_BRACES:
            raise SourceError(
                f"cannot read {text!r}", f"the braces name over {_MOST_BRACES:,} files", "Use a wildcard"
            )
        step = 1 if last >= first else -1
        width = max(len(counted[1]), len(counted[2])) if counted[1][0] == "0" or counted[2][0] == "0" else 0
        choices = [f"{number:0{width}d}" for number in range(first, last + step, step)]
    else:
        choices = found[1].split(",")
    return [
        one
        for choice in choices
        for one in expand_braces(text[: found.start()] + choice + text[found.end() :])
    ]
