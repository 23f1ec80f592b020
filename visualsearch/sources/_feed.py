"""Google Merchant feeds as XML: the items of an RSS or Atom document, one by one, as rows.

The document comes from a stranger. One with a DOCTYPE is refused, so there are no entities to expand and nothing to fetch.
Depth and text are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from xml.parsers import expat

from visualsearch.errors import SourceError

from ._tables import TableRow, TableRows

_ITEMS = ("item", "entry")
_CHUNK = 1 << 16
_DEEPEST = 32
_LONGEST = 1 << 20
"""Characters of one item, and bytes of one tag or comment."""


class _RefusedError(Exception):
    """What no feed holds."""


def feed(file: IO[bytes]) -> TableRows:
    """A row for each item; a value that an item has several times is a list."""
    items = _Items()
    damage, size = "", 0
    while True:
        chunk = file.read(_CHUNK)
        size += len(chunk)
        try:
            items.parser.Parse(chunk, not chunk)
            if (
                size - items.parser.CurrentByteIndex > _LONGEST
            ):  # it is looked at from its start with each chunk
                raise _RefusedError(f"a tag or comment is longer than {_LONGEST:,} bytes")
        except expat.ExpatError as error:
            damage = f"the file is not valid XML from here on ({error})"
        except _RefusedError as error:
            raise SourceError("the manifest cannot be used", str(error), "Write a plain RSS feed") from error
        yield from items.take()
        if damage:
            yield TableRow(items.parser.ErrorLineNumber, {}, damage)
        if damage or not chunk:
            return


class _Items:
    """Collects the items that a parser meets."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._done: list[TableRow] = []
        self._path: list[str] = []
        self._values: dict[str, Any] | None = None
        self._depth = self._line = self._size = 0
        self._parts: list[str] = []

    def take(self) -> Iterator[TableRow]:
        """The items that are complete."""
        done, self._done = self._done, []
        yield from done

    def _refuse(self, *_: Any) -> None:
        raise _RefusedError("it has a DOCTYPE or entities, which no product feed needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._path.append(local)
        if len(self._path) > _DEEPEST:
            raise _RefusedError(f"its elements are nested deeper than {_DEEPEST}")
        if self._values is None:
            if local in _ITEMS:
                self._values, self._depth, self._size = {}, len(self._path), 0
                self._line = self.parser.CurrentLineNumber
        elif len(self._path) == self._depth + 1:
            self._parts.clear()
            if local == "link" and attributes.get("href"):  # Atom
                self._keep(local, attributes["href"])

    def _text(self, text: str) -> None:
        if self._values is not None and len(self._path) == self._depth + 1:
            self._size += len(text)
            if self._size > _LONGEST:
                raise _RefusedError(f"the item in line {self._line} is longer than {_LONGEST:,} characters")
            self._parts.append(text)

    def _end(self, _name: str) -> None:
        if self._values is not None:
            if len(self._path) == self._depth + 1:
                self._keep(self._path[-1], "".join(self._parts).strip())
                self._parts.clear()
            elif len(self._path) == self._depth:
                self._done.append(TableRow(self._line, self._values))
                self._values = None
        self._path.pop()

    def _keep(self, name: str, text: str) -> None:
        if self._values is None or not text:
            return
        before = self._values.get(name)
        if before is None:
            self._values[name] = text
        elif isinstance(before, list):
            before.append(text)
        else:
            self._values[name] = [before, text]
