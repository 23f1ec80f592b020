"""Single pictures, addresses, and lists of any of these."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from visualsearch.errors import SourceError, VisualSearchError
from visualsearch.fetch import fetch, without_login
from visualsearch.types import Failure, Record

from ._addresses import check_url, printable, scheme_of, short
from ._base import Item, SeenIds, Source
from ._places import TYPED, WEB, LocalPlace, Place, reader

MAX_LINE = 1 << 16
"""Longest line of a list of addresses, in bytes."""


@dataclass(frozen=True)
class PictureSource:
    """One picture file."""

    kind: str
    uri: str
    record: Record = field(repr=False)

    def count(self) -> int | None:
        """One."""
        return 1

    def __iter__(self) -> Iterator[Item]:
        yield self.record


def open_picture(place: Place, path: str, stamp: str | None) -> PictureSource:
    """The picture at `path`; its id is the file's name."""
    uri = place.uri(path)
    name = printable(path.rpartition("/")[2])
    return PictureSource("picture", uri, Record(name, uri, partial(place.read, path), stamp=stamp))


def open_url(url: str) -> PictureSource:
    """The picture at an http(s) address, which is its id as well, without a login. Raises SourceError when it is none."""
    check_url(url)
    return PictureSource("url", url, Record(without_login(url), url, partial(fetch, url)))


@dataclass(frozen=True)
class UrlListSource:
    """The addresses in a text file, one a line; empty lines and lines that begin with # are skipped."""

    kind: str
    uri: str
    place: Place = field(repr=False)
    path: str

    def count(self) -> int | None:
        """The addresses in a local file; None for a remote one."""
        return sum(1 for _ in self._lines()) if isinstance(self.place, LocalPlace) else None

    def __iter__(self) -> Iterator[Item]:
        seen = SeenIds()
        try:
            for line, text in self._lines():
                yield self._item(line, text, seen)
        except Exception as error:  # OSError, or what a remote service raises
            why = f"the list cannot be read to its end: {short(error)}"
            yield Failure(self.uri, self.uri, why, "Check the file", hides="")

    def _item(self, line: int, text: str, seen: SeenIds) -> Item:
        """The picture of one line. A line that is no address may once have been one, so it hides any."""
        here = f"{self.uri}:{line}"
        before = seen.first(text, line)
        if before is not None:
            return Failure(here, text, f"line {line} has the address of line {before}", "Remove one of them")
        if len(text) >= MAX_LINE // 4 and len(text.encode()) >= MAX_LINE - 4:
            why = f"line {line} is longer than {MAX_LINE:,} bytes"
            return Failure(here, f"line {line}", why, "Write one address a line", hides="")
        if not scheme_of(text):
            why = f"line {line} is not an address"
            return Failure(here, text, why, "Write https://... or s3://...", hides="")
        return self._record(here, text)

    def _record(self, here: str, text: str) -> Item:
        try:
            uri, read, stamp = reader(self.place, "", text)
        except VisualSearchError as error:
            return Failure(here, text, error.why or error.what, error.remedy, hides="")
        return Record(without_login(text), uri, read, stamp=stamp)

    def _lines(self) -> Iterator[tuple[int, str]]:
        with self.place.open(self.path) as file:
            for line in itertools.count(1):
                content = file.readline(MAX_LINE)
                if not content:
                    return
                rest = content
                while len(rest) >= MAX_LINE and not rest.endswith(b"\n"):
                    rest = file.readline(MAX_LINE)  # one line, whatever its length: it fails as a whole
                text = printable(content.decode("utf-8-sig", "surrogateescape").strip())
                if text and not text.startswith("#"):
                    yield line, text


def open_url_list(place: Place, path: str, text: str) -> UrlListSource:
    """The addresses in a text file. Raises SourceError when its first thousand lines hold none."""
    source = UrlListSource("urls", place.uri(path), place, path)
    try:
        lines = list(itertools.islice(source._lines(), 1000))
    except Exception as error:  # OSError, or what a remote service raises
        raise SourceError(
            f"cannot read {text!r}", short(error), "Check the file and its permissions"
        ) from error
    if not any(scheme_of(line) for _, line in lines):
        why = "the file is empty" if not lines else "it holds no http(s) address"
        raise SourceError(
            f"no addresses in {text!r}", why, "Write one address a line, such as https://host/picture.jpg"
        )
    return source


@dataclass(frozen=True)
class ListSource:
    """Several sources and single files, one after the other. A file that is missing is a Failure."""

    kind: str
    uri: str
    items: tuple[str | Source | Failure, ...] = field(repr=False)

    def count(self) -> int | None:
        """The sum; None when one of them cannot tell."""
        total = 0
        for item in self.items:
            number = 1 if isinstance(item, str | Failure) else item.count()
            if number is None:
                return None
            total += number
        return total

    def __iter__(self) -> Iterator[Item]:
        seen = SeenIds()
        for number, item in enumerate(self.items, 1):
            if isinstance(item, Failure):
                yield item
                continue
            if not isinstance(item, str):
                yield from item
                continue
            before = seen.first(item, number)
            if before is not None:
                why = f"entry {number} of the list is the same as entry {before}"
                yield Failure(printable(item), printable(item), why, "Remove one of them")
            else:
                yield self._record(item)

    def _record(self, item: str) -> Item:
        name = printable(item)
        try:
            uri, read, stamp = reader(LocalPlace(), ".", item, TYPED)
        except VisualSearchError as error:
            return Failure(name, name, error.why or error.what, error.remedy)
        return Record(name.removeprefix("./"), uri, read, stamp=stamp)


def open_list(
    entries: list[str],
    is_file: Callable[[str], bool],
    opener: Callable[[str], Source],
    uri: str | None = None,
) -> Source:
    """Any mix of picture files and other sources; one that cannot be opened is a Failure. Raises the error of
    the first of them when none can be opened, and SourceError when the list is empty or an entry is no path.
    """
    if not entries:
        raise SourceError("the list of sources is empty", "nothing to read", "Give at least one path")
    if len(entries) == 1:
        return opener(entries[0])
    items: list[str | Source | Failure] = []
    problem: VisualSearchError | None = None
    for entry in entries:
        if not entry or "\0" in entry:
            opener(entry)  # raises: it is no path at all
        try:
            items.append(entry if is_file(entry) else opener(entry))
        except VisualSearchError as error:
            problem = problem or error
            name = printable(entry)
            items.append(Failure(name, name, error.why or error.what, error.remedy, hides=""))
    if problem is not None and all(isinstance(item, Failure) for item in items):
        raise problem
    names = "\n".join(item if isinstance(item, str) else item.uri for item in items)
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return ListSource("list", uri or f"list:{digest}", tuple(items))


@dataclass(frozen=True)
class PartialSource:
    """A source of which some entries could not even be listed."""

    whole: Source = field(repr=False)
    failures: tuple[Failure, ...]

    @property
    def uri(self) -> str:
        """That of the source."""
        return self.whole.uri

    @property
    def kind(self) -> str:
        """That of the source."""
        return self.whole.kind

    def count(self) -> int | None:
        """That of the source."""
        return self.whole.count()

    def __getattr__(self, name: str) -> Any:
        """What else the source says of itself."""
        if name.startswith("_") or name == "whole":  # while it is copied or unpickled there is no source yet
            raise AttributeError(name)
        return getattr(self.whole, name)

    def __iter__(self) -> Iterator[Item]:
        yield from self.failures
        yield from self.whole


def is_web(text: str) -> bool:
    """Whether `text` is an http(s) address."""
    return scheme_of(text) in WEB
