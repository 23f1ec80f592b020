"""Bookmarks of other services and browsers as values, and the HTML files that hold them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from visualsearch.markup import Markup, as_text

from .tables import in_milliseconds

UNSORTED = "Bookmarks"
"""The board of bookmarks that lie in no folder."""
_SINCE_1601 = 11_644_473_600_000
_YEAR_2100 = 4_102_444_800_000
_HASH = re.compile(r"[0-9a-f]{32}")
_NOTHING = ("", "no data", "none", "null")


@dataclass(frozen=True)
class Bookmark:
    """A page or picture that somebody kept elsewhere. `folder` is the path of the folder, collection or board it lay in.

    `line` says where it stands in the file; `at` is in milliseconds since 1970, None where the file does not say.
    """

    line: int
    page: str = ""
    picture: str = ""
    title: str = ""
    note: str = ""
    folder: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    at: int | None = None
    secret: bool = False
    extra: dict[str, str] = field(default_factory=dict, repr=False)


def when(text: object) -> int | None:
    """A date as milliseconds since 1970: a number in any usual unit, also since 1601; ISO 8601; as in mails. Else None."""
    said = str(text if text is not None else "").strip().rstrip(",")
    if not said:
        return None
    for turn in (in_milliseconds, _slashed, _mailed):
        try:
            at = turn(said)
        except (ValueError, OverflowError, TypeError, OSError):
            continue
        at = at - _SINCE_1601 if at > _YEAR_2100 else at
        return at if 0 < at < _YEAR_2100 else None
    return None


def _slashed(text: str) -> int:
    return round(datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp() * 1000)


def _mailed(text: str) -> int:
    at = parsedate_to_datetime(text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def words(text: object) -> tuple[str, ...]:
    """Tags of one cell, with bars or commas between."""
    said = str(text or "")
    parts = said.split("|" if "|" in said else ",")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def picture_url(text: object) -> str:
    """The address of a picture; a Pinterest export names it by 32 digits alone. Pictures within the file itself are left out."""
    said = str(text or "").strip()
    if _HASH.fullmatch(said.lower()):
        name = said.lower()
        return f"https://i.pinimg.com/originals/{name[:2]}/{name[2:4]}/{name[4:6]}/{name}.jpg"
    return "" if said.lower() in _NOTHING or said.startswith("data:") else said


def decoded(data: bytes) -> str:
    """The text of a file: by its byte order mark, by what an HTML head declares, as UTF-8, or as Windows-1252."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        declared = re.search(rb"charset=[\"']?([\w-]+)", data[:2048], re.IGNORECASE)
    name = declared[1].decode() if declared else "cp1252"
    try:
        name = "cp1252" if codecs.lookup(name).name == "utf-8" else name
    except LookupError:
        name = "cp1252"
    said = as_text(data, name)
    return data.decode("cp1252", "replace") if said is None else said


def from_html(text: str) -> Iterator[Bookmark]:
    """The bookmarks of a browser's, Raindrop's or Pocket's export, or of the page that Pinterest hands out."""
    reader = _Pinterest() if _PINTEREST.search(text[:4096]) else _Netscape()
    for at in range(0, len(text), 1 << 16):
        reader.feed(text[at : at + (1 << 16)])
        yield from reader.taken_now()
    reader.close()
    reader.finish()
    yield from reader.taken_now()


class _Reader(Markup):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Bookmark] = []

    def taken_now(self) -> list[Bookmark]:
        """What was found since the last call."""
        found, self.found = self.found, []
        return found

    def finish(self) -> None:
        """The file has ended."""


class _Netscape(_Reader):
    """The list of lists that Netscape began: <DT>, <DD> and often <A> are never closed, and nobody nests alike."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[str] = []
        self.folder = ""  # the heading that was read last: the next list is its
        self.mark: Bookmark | None = None
        self.into = ""  # what the text that follows belongs to: title, note, folder, heading
        self.text: list[str] = []
        self.pocket = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "img":
            self._picture(given)
            return
        if tag not in ("a", "dd", "dl", "dt", "h1", "h2", "h3", "hr", "li", "title", "ul"):
            return
        self._close_text()
        if tag == "a":
            self._emit()
            self.mark = _anchor(self.getpos()[0], given)
            self.into = "title"
        elif tag == "dd":
            self.into = "note" if self.mark is not None else ""
        elif tag == "dl":
            self._emit()
            self.folders.append(self.folder)
            self.folder = ""
        elif tag in ("h1", "h2", "h3", "title"):
            self._emit()
            self.into = "folder" if tag in ("h2", "h3") else tag
        else:
            self._emit()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "h1", "h2", "h3", "title", "dd"):
            self._close_text()
        elif tag == "dl":
            self._close_text()
            self._emit()
            if self.folders:
                self.folders.pop()

    def handle_data(self, data: str) -> None:
        if self.into:
            self.text.append(data)

    def finish(self) -> None:
        self._close_text()
        self._emit()

    def _picture(self, given: dict[str, str]) -> None:
        if self.mark is not None and not self.mark.picture:
            picture = picture_url(given.get("src"))
            self.mark = replace(self.mark, picture=_joined(self.mark.page, picture))

    def _close_text(self) -> None:
        said = " ".join("".join(self.text).split()) if self.into != "note" else "".join(self.text).strip()
        if self.into == "folder":
            self.folder = said
        elif self.into == "title" and self.mark is not None:
            self.mark = replace(self.mark, title=said)
        elif self.into == "note" and self.mark is not None:
            self.mark = replace(self.mark, note=said)
        elif self.into == "title" and "pocket" in said.lower():
            self.pocket = True
        self.into, self.text = "", []

    def _emit(self) -> None:
        if self.mark is not None:
            path = tuple(folder for folder in self.folders if folder)
            self.found.append(replace(self.mark, folder=path or (("Pocket",) if self.pocket else ())))
        self.mark = None


def _anchor(line: int, given: dict[str, str]) -> Bookmark:
    page = given.get("href", "").strip()
    cover = picture_url(given.get("data-cover") or given.get("data-image"))
    return Bookmark(
        line,
        page,
        _joined(page, cover),
        tags=words(given.get("tags") or given.get("data-tags")),
        at=when(given.get("add_date") or given.get("time_added")),
        secret=given.get("private", "") == "1",
    )


def _joined(page: str, picture: str) -> str:
    """The whole address of a picture that a page names; "" where it is none."""
    try:
        return urljoin(page, picture) if picture else ""
    except ValueError:  # such as http://[
        return ""


_PINTEREST = re.compile(
    r"<h1[^<>]{0,200}>\s{0,20}Pins\s{0,20}</h1>|pinterest\.[a-z.]{1,20}/pin/", re.IGNORECASE
)
_NAME = re.compile(r"[A-Z][\w ]{1,30}")


class _Pinterest(_Reader):
    """Pinterest's page of one's own data: a heading a section, and in `Pins` a link and lines of `Field: value` for each pin."""

    def __init__(self) -> None:
        super().__init__()
        self.section = ""
        self.heading = False
        self.line = 0
        self.fields: dict[str, str] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "h1":
            self.finish()
            self.heading = True
        elif tag == "br":
            self._close_field()
        elif tag == "a":
            page = dict(attrs).get("href") or ""
            if not "".join(self.text).strip() and re.search(r"pinterest\.[a-z.]{1,20}/pin/", page):
                self._emit()
                self.line, self.fields = self.getpos()[0], {"pin": page}
                self.heading = False

    def handle_endtag(self, tag: str) -> None:
        if tag == "h1" and self.heading:
            self.section, self.text, self.heading = "".join(self.text).strip().lower(), [], False

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def finish(self) -> None:
        self._close_field()
        self._emit()

    def _close_field(self) -> None:
        said, self.text = "".join(self.text), []
        name, colon, value = said.strip().removesuffix(",").partition(":")
        name, value = name.strip(), value.strip()
        if colon and self.fields and _NAME.fullmatch(name) and value.lower() not in _NOTHING:
            self.fields.setdefault(name.lower(), value)

    def _emit(self) -> None:
        held, self.fields = self.fields, {}
        if held and self.section in ("", "pins"):
            self.found.append(pinned(self.line, held))


def pinned(line: int, held: dict[str, str]) -> Bookmark:
    """A pin of a Pinterest export by the names of its fields, in lower case."""
    page = held.get("canonical link") or held.get("link") or held.get("pin", "")
    folder = [held.get("board name") or held.get("board") or "Pins"]
    folder += [section] if (section := held.get("section name") or held.get("section")) else []
    return Bookmark(
        line,
        page,
        picture_url(held.get("image")),
        held.get("title", ""),
        held.get("details") or held.get("description") or held.get("alt text", ""),
        tuple(folder),
        at=when(held.get("created at")),
        secret=held.get("private", "").lower() == "true",
        extra={"pin": held["pin"]} if "pin" in held else {},
    )
