"""CSV and TSV, record by record. Damage costs the lines it is in: each is told, and what follows is read.

The `csv` module takes all that follows an unclosed quote for one cell, up to the next quote or the end of the file, and
says nothing. Here a record that spans lines counts only if it is whole: its quotes are closed before a separator. None of its
lines may look like a row of its own. Otherwise its first line is reported, and the next line is taken for the start of a
record. Apart from that, cells are read as the `csv` module reads them.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO

from visualsearch.errors import SourceError

from ._tables import MAX_LINE, Row, Rows, text_of, too_long
from ._walk import is_picture

MOST_LINES = 5_000
"""Lines that one cell may span."""
LONGEST = 1 << 20
"""Characters that a record over several lines may have."""


def separated(delimiter: str) -> Callable[[IO[bytes]], Rows]:
    """A reader of tables whose cells are separated by `delimiter`. The first Row names the columns."""

    def rows(file: IO[bytes]) -> Rows:
        lines = _Lines(file)
        names = _header(lines, delimiter)
        if not names:
            return
        named = [(place, name) for place, name in enumerate(names) if not _blank(name)]
        yield Row(lines.number, dict.fromkeys(name for _, name in named))
        for line, cells, problem in _records(lines, delimiter, len(names)):
            if problem:
                yield Row(line, {}, problem)
            elif any(cells):  # empty lines, and those of separators alone, are no rows
                missing = len(names) - len(cells)
                padded = cells + [""] * missing
                yield Row(line, {name: padded[place] for place, name in named}, missing=max(0, missing))

    return rows


def _header(lines: _Lines, delimiter: str) -> list[str]:
    record = _Record(delimiter)
    while (line := lines.next()) and not record.feed(line):
        pass
    names = [name.strip() for name in record.cells]
    if record.open:
        raise SourceError(
            "the manifest cannot be used", "a quote in its header is not closed", "Correct the header"
        )
    known = [name for name in names if not _blank(name)]
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise SourceError(
            "the manifest cannot be used", f"two columns are called {twice!r}", "Rename one of them"
        )
    return names if known else []


def _blank(name: str) -> bool:
    """Whether a column has no name of its own; spreadsheets and pandas write these."""
    return not name or (name.startswith("Unnamed: ") and name[9:].isdigit())


def _records(lines: _Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str], str]]:
    """(first line, cells, problem) of each record."""
    while line := lines.next():
        first = lines.number
        if '"' in line:
            cells, problem = _quoted(line, lines, delimiter, width)
        else:
            cells, problem = line.rstrip("\r\n").split(delimiter), ""
        if not problem and "\0" in "".join(cells):
            problem = "the line holds a NUL character: the file is damaged there"
        if not problem and len(cells) > width:
            if any(cells[width:]):
                problem = f"the line has {len(cells)} cells, and the header has {width}: is a quote missing?"
            else:
                del cells[width:]
        yield first, cells, problem


def _quoted(line: str, lines: _Lines, delimiter: str, width: int) -> tuple[list[str], str]:
    """The cells of a record that begins with `line`. Lines that turn out not to be its own are given back."""
    with suppress(csv.Error, StopIteration):  # most records: strictly right, in one line
        return next(csv.reader((line,), delimiter=delimiter, strict=True)), ""
    record, taken, size = _Record(delimiter), [line], len(line)
    done = record.feed(line)
    while not done and len(taken) < MOST_LINES and size < LONGEST:
        more = lines.next()
        if not more:
            break
        taken.append(more)
        size += len(more)
        done = record.feed(more)
    alone = len(taken) == 1 or (record.clean and not any(_is_row(one, delimiter, width) for one in taken[1:]))
    if done and alone:
        if len(taken) > 1 and len(record.cells) < width:
            return (
                [],
                f"the record, {len(taken)} lines long, has {len(record.cells)} cells, and the header has {width}",
            )
        return record.cells, ""
    lines.give_back(taken[1:])
    return (
        [],
        "a quote that opens in this line is not closed; the line is left out, and the next is read anew",
    )


def _is_row(line: str, delimiter: str, width: int) -> bool:
    """Whether a line inside quotes looks like a row that an unclosed quote swallowed: as wide as the table, with a picture,
    its quotes all in their places.
    """
    record = _Record(delimiter)
    cells = record.cells if record.feed(line) and record.clean and not record.stray else []
    return len(cells) == width > 1 and any(
        is_picture(text) or text.startswith(("http://", "https://")) for text in map(str.strip, cells)
    )


class _Lines:
    """The lines of a file, numbered from 1; lines may be given back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._text = text_of(file, newline="")
        self._back: deque[str] = deque()
        self.number = 0

    def next(self) -> str:
        """The next line with its end; "" after the last."""
        line = self._back.popleft() if self._back else self._text.readline(MAX_LINE)
        if line:
            self.number += 1
            if len(line) >= MAX_LINE:
                raise too_long(self.number, "Check that it is a text file")
        return line

    def give_back(self, lines: list[str]) -> None:
        """Lines to be read again."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


class _Record:
    """Cells of one record, fed line by line. `open`: inside quotes; `clean`: nothing stood between a closing quote and the
    separator; `stray`: a cell without quotes around it has one inside.
    """

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.cells: list[str] = []
        self.open, self.clean, self.stray = False, True, False
        self._part: list[str] = []

    def feed(self, line: str) -> bool:
        """Take a line; True when the record ends with it."""
        at, stop = 0, len(line.rstrip("\r\n"))
        while True:
            if self.open or line.startswith('"', at):
                at += not self.open
                self.open = True
                at = self._inside(line, at)
                if at < 0:
                    return False
                self.open = False
            cut = line.find(self.delimiter, at, stop)
            end = stop if cut < 0 else cut
            rest = line[at:end]
            if self._part:
                self.clean = self.clean and not rest.strip()
                rest = "".join((*self._part, rest))
                self._part.clear()
            elif '"' in rest:
                self.stray = True
            self.cells.append(rest)
            if cut < 0:
                return True
            at = cut + 1

    def _inside(self, line: str, at: int) -> int:
        """Collect what is quoted from `at` on; the place behind the closing quote, -1 where the line has none."""
        while True:
            cut = line.find('"', at)
            if cut < 0:
                self._part.append(line[at:])
                return -1
            doubled = line.startswith('"', cut + 1)
            self._part.append(line[at : cut + doubled])
            at = cut + 1 + doubled
            if not doubled:
                return at
