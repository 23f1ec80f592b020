"""Boards from elsewhere: an account's export becomes boards of a person, and says which pictures the index still lacks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, select, update

from visualsearch.errors import ForbiddenError, UnknownNameError, UsageError

from .boards import LONGEST_TEXT, LONGEST_TITLE, Boards, made, owned
from .bookmarks import Bookmark
from .exported import BOARDS, KINDS, read_export
from .model import PinRef, same_place
from .persons import storing
from .saves import Saves
from .schema import saves, tombstones
from .store import chunks
from .tables import BadRow

MOST_LISTED = 1000
"""So many bad bookmarks and waiting ones are listed; all are counted."""
LONGEST_ID = 500
"""A picture with a longer address gets no id of its own."""
AT_ONCE = 2000
NO_PICTURE = "no pin has its address, and it names no picture that could be indexed"
NOT_INDEXED = "the index has not its picture yet"


@dataclass
class ElsewhereReport:
    """What became of an export. `saved` are on boards now; `waiting` are saves whose picture the index lacks: they attach when
    it is indexed from the manifest; `unmatched` name no picture. `failed` are no web addresses, or rows that cannot be read.
    """

    file: str
    source: str
    boards: int = 0
    rows: int = 0
    saved: int = 0
    known: int = 0
    waiting: int = 0
    unmatched: int = 0
    failed: int = 0
    bad: list[BadRow] = field(default_factory=list)

    def note(self, row: BadRow) -> None:
        """List a bookmark that is not on a board, with the reason."""
        if len(self.bad) < MOST_LISTED:
            self.bad.append(row)


class Elsewhere(Saves, Boards):
    """`import_boards`."""

    def import_boards(
        self,
        person: str,
        path: str | Path,
        source: str | None = None,
        *,
        board: str | None = None,
        manifest: str | Path | None = None,
        progress: Callable[[ElsewhereReport], None] | None = None,
    ) -> ElsewhereReport:
        """Import a person's export of Pinterest, Raindrop, Pocket or a browser: each top folder becomes a board, those within
        it sections, tags words of the note.

        A bookmark is the pin that has its picture's or its page's address: as its id, its place, or its attribute `url`.
        Others that name a picture wait on the board, and are listed in `manifest`, a CSV file: once `visualsearch index` has read
        it, they are there. `board` puts all on one board. Importing again adds only what is new.
        Raises UnknownNameError, SourceError, ConsentError, StorageError.
        """
        if source is not None and source not in KINDS:
            raise UnknownNameError("kind of export", source, KINDS)
        report = ElsewhereReport(str(path), source or _source(Path(path)))
        wanted: dict[str, Bookmark] = {}
        everything = list(self._usable(report, read_export(Path(path)), board))
        placed = self._make_boards(person, everything, report)
        for part in chunks(everything, AT_ONCE):
            refs = self.pins.find_places(_places(part))
            waiting: list[tuple[Bookmark, bool, Future[Any]]] = []
            for mark in part:
                ref = _match(mark, refs)
                name = mark.picture if len(mark.picture) <= LONGEST_ID else ""
                if ref is None and not name:
                    report.unmatched += 1
                    report.note(BadRow(mark.line, f"{_shown(mark)}: {NO_PICTURE}"))
                    continue
                if ref is None:
                    wanted.setdefault(name, mark)
                work = self._keeping(person, mark, ref, name, placed[mark.folder[0]])
                waiting.append((mark, ref is None, self.store.writer.submit(work)))
            _settle(report, waiting)
            if progress is not None:
                progress(report)
        if manifest is not None:
            write_manifest(manifest, wanted.items())
        return report

    def _usable(
        self, report: ElsewhereReport, given: Iterable[Bookmark | BadRow], board: str | None
    ) -> Iterable[Bookmark]:
        """Those that have a web address, each once on a board."""
        seen: set[tuple[str, str, str]] = set()
        for each in given:
            report.rows += 1
            if isinstance(each, BadRow):
                report.failed += 1
                report.note(each)
                continue
            mark = _cleaned(each)
            if not mark.page and not mark.picture:
                report.failed += 1
                report.note(BadRow(mark.line, f"{_shown(mark)}: it has no address of the web"))
                continue
            title = _shelf(mark, report.source, board)
            key = (title, same_place(mark.picture), same_place(mark.page))
            if key in seen:
                report.known += 1
                continue
            seen.add(key)
            section = " / ".join(mark.folder[1:])
            yield replace(mark, folder=(title, section) if section else (title,))

    def _make_boards(self, person: str, marks: Sequence[Bookmark], report: ElsewhereReport) -> dict[str, str]:
        """The board of each title; those that are new are made, secret where something private is to lie there."""
        private = {mark.folder[0] for mark in marks if mark.secret}

        def work(db: Connection) -> tuple[dict[str, str], int]:
            owner = storing(db, self.store, person, self.now()).number
            found, count = {}, 0
            for title in dict.fromkeys(mark.folder[0] for mark in marks):
                try:
                    found[title] = str(owned(db, title, owner).board)
                except (UnknownNameError, ForbiddenError):
                    found[title] = made(db, owner, title, self.now(), secret=title in private)
                    count += 1
            return found, count

        found: dict[str, str]
        found, report.boards = self.store.write(work)
        return found

    def _keeping(
        self, person: str, mark: Bookmark, ref: PinRef | None, name: str, board: str
    ) -> Callable[[Connection], int]:
        """The work that saves a bookmark; without a pin, it waits for one of that name. Its result is -1 where it was there."""
        tags = " ".join("#" + "_".join(tag.split()) for tag in mark.tags)
        note = "\n".join(part for part in (mark.note or mark.title, tags) if part)[:LONGEST_TEXT]
        section = mark.folder[1][:LONGEST_TITLE] if len(mark.folder) > 1 else None
        pin = ref or PinRef(None, name)
        site = mark.page or mark.picture
        options: dict[str, Any] = {"section": section, "note": note, "site": site, "at": mark.at}
        saving = self.saving(person, pin, board=board, record=False, **options)
        same = select(saves.c.save).where(saves.c.board == board, saves.c.pin_id == pin.id)

        def work(db: Connection) -> int:
            if db.execute(same).first() is not None:
                return -1
            number = saving(db)
            if ref is None:
                db.execute(update(saves).where(saves.c.save == number).values(gone=True))
                lost = {"pin_id": name, "pin": None, "pin_hash": None, "at": self.now()}
                self.store.upsert(db, tombstones, lost)
            return number

        return work


def _source(path: Path) -> str:
    """What the file's name says of where it comes from."""
    return next((kind for kind in KINDS if kind in path.name.lower()), "bookmarks")


def _settle(report: ElsewhereReport, waiting: Sequence[tuple[Bookmark, bool, Future[Any]]]) -> None:
    for mark, waits, future in waiting:
        try:
            number = future.result()
        except UsageError as error:
            report.failed += 1
            report.note(BadRow(mark.line, f"{_shown(mark)}: {error}"))
            continue
        if number < 0:
            report.known += 1
        elif waits:
            report.waiting += 1
            report.note(BadRow(mark.line, f"{_shown(mark)}: {NOT_INDEXED}"))
        else:
            report.saved += 1


def _cleaned(mark: Bookmark) -> Bookmark:
    page, picture = _web(mark.page), _web(mark.picture)
    return replace(mark, page=page, picture=picture)


def _web(text: str) -> str:
    """The address, if it is one of the web; `//host/path` gets a scheme."""
    said = "https:" + text if text.startswith("//") else text
    try:
        parts = urlsplit(said)
    except ValueError:
        return ""
    return said if parts.scheme.lower() in ("http", "https") and parts.hostname and said.isprintable() else ""


def _shelf(mark: Bookmark, source: str, board: str | None) -> str:
    """The title of the board for a bookmark."""
    title = board or (mark.folder[0] if mark.folder else BOARDS[source])
    title = " ".join("".join(c for c in title if c.isprintable() or c.isspace()).split())
    return (title or BOARDS[source])[:LONGEST_TITLE]


def _shown(mark: Bookmark) -> str:
    return (mark.page or mark.picture or mark.title or "an entry")[:200]


def _places(marks: Sequence[Bookmark]) -> list[str]:
    named = (place for m in marks for place in (m.picture, m.page, m.extra.get("pin", "")) if place)
    return list(dict.fromkeys(named))


def _match(mark: Bookmark, refs: Any) -> PinRef | None:
    found = (refs.get(place) for place in (mark.picture, mark.page, mark.extra.get("pin", "")))
    return next((ref for ref in found if ref is not None), None)


def write_manifest(path: str | Path, wanted: Iterable[tuple[str, Bookmark]]) -> int:
    """A CSV file for `visualsearch index` with the pictures that are missing; how many."""
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "image", "title", "url"))
        for name, mark in wanted:
            writer.writerow((name, mark.picture, " ".join(mark.title.split()), mark.page or mark.picture))
            count += 1
    return count
