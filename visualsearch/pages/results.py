"""Search results as one HTML page that stands alone: pictures, styles and script are all inside.

A page has sections; a section has a query and what it found. Pictures become small JPEG thumbnails, each
written once however often it is shown: its first appearance is an SVG `<image>`, later ones `<use>` it. The
page is written as it is made, so memory does not grow with the number of results.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from visualsearch.sources import read
from visualsearch.storage import storage_error
from visualsearch.types import MAX_PIXELS, WHOLE, Hit, Hits, Part

from .templates import template
from .tiles import Figure, Loader, Thumb, Tiles

if TYPE_CHECKING:
    from markupsafe import Markup

LOADERS = 8  # threads; more than there are cores, because pictures may come over the network
AT_ONCE = 4 * LOADERS  # thumbnails held before they are written: memory stays bounded
TITLES = ("title", "name", "caption")  # the attribute that names a pin: the first of these it has
LINKS = ("url", "link", "product_url")  # the attribute that holds the address of a product's page
SHOWN_FACTS = 4
LONGEST_FACT = 60  # characters
LONGEST_LINK = 2000


@dataclass(frozen=True)
class Section:
    """One query and what it found.

    `command` is the command line that gives the same result. `pins` maps the ids that `like` parts name to
    their uris, where they are not among any section's hits. With `hits` None, `absent` says why nothing was
    searched. `label` stands over the parts.
    """

    title: str
    note: str
    command: str
    parts: tuple[Part, ...]
    where: str | None
    hits: Hits | None
    pins: Mapping[str, str] = field(default_factory=dict)
    absent: str = ""
    label: str = "Query"


@dataclass(frozen=True)
class _Part:
    """A part of a query as its template takes it: words or a figure."""

    sign: str
    weight: str
    about: str
    words: str | None = None
    figure: Figure | None = None
    small: bool = False


@dataclass(frozen=True)
class _Hit:
    """A result as its template takes it. `percent` is the length of the bar."""

    rank: int
    id: str
    uri: str
    title: str
    score: float
    percent: str
    link: str | None
    figure: Figure
    facts: Sequence[tuple[str, str]]
    why: str = ""


def write_page(
    path: str | Path,
    sections: Sequence[Section],
    *,
    title: str,
    lead: str = "",
    footnote: str = "",
    facts: Sequence[str] | None = None,
    picture: Loader | None = None,
    hero: Markup | str = "",
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """Write `sections` to `path` as one HTML file, replacing it whole, and return its path.

    `lead` stands under the title, `footnote` at the end. `facts` names the attributes to show with a result
    (default: the price and the first others, four in all). A result whose attribute `url`, `link` or `product_url` is an
    http(s) address links to it. `picture` fetches the picture of a pin's uri (default:
    `visualsearch.sources.read`). Pictures of more than `max_pixels` pixels are not
    shown. `hero` is HTML (a `Markup`) for the place between the title and the sections. A
    picture that cannot be read is shown as an empty tile with the reason. Raises StorageError when the file cannot be written.
    """
    path = Path(path)
    page = _Page(sections, facts, Tiles(picture or read, max_pixels))
    words = {"title": title, "lead": lead, "footnote": footnote, "hero": hero, "sections": sections}
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        # file names may hold bytes that are no text; such characters are shown as "?"
        with aside.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(template("page.html").generate(page=page, **words))
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return path


def command_line(words: Iterable[str]) -> str:
    """The words of a command as one line for a POSIX shell, in the kind of quotes that reads best."""
    return " ".join(
        f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word) for word in words
    )


class _Page:
    """What the page's template asks for while the page is written, part by part and hit by hit."""

    def __init__(self, sections: Sequence[Section], facts: Sequence[str] | None, tiles: Tiles) -> None:
        self._facts, self._tiles = facts, tiles
        self._known = {hit.id: hit.uri for section in sections for hit in section.hits or ()}

    def parts(self, section: Section) -> Iterator[_Part]:
        """The parts of a section's query."""
        return (self._part(part, section) for part in section.parts)

    def _part(self, part: Part, section: Section) -> _Part:
        sign = "minus" if part.weight < 0 else "plus"
        weight = "" if abs(part.weight) == 1 else f" × {abs(part.weight):g}"
        if part.text is not None:
            return _Part(sign, weight, "words", words=part.text)
        if part.like is not None:
            uri = section.pins.get(part.like, self._known.get(part.like))
            thumb = Thumb(reason="its place was not given") if uri is None else self._tiles.pin(uri)
            about = f"pin {part.like}"
            figure = self._tiles.figure(thumb, WHOLE, about)
            about += f" (no picture: {thumb.reason})" if thumb.reason else ""
            return _Part(sign, weight, about, figure=figure, small=True)
        about = Path(part.image).name if isinstance(part.image, (str, Path)) else "a picture"
        about += ", the part in the box" if part.crop else ""
        thumb = self._tiles.query(part.image)
        figure = self._tiles.figure(thumb, part.crop or WHOLE, f"query picture {about}")
        return _Part(sign, weight, about, figure=figure)

    def hits(self, section: Section) -> Iterator[_Hit]:
        """The results of a section, their pictures read ahead by several threads."""
        items: Sequence[Hit] = section.hits.items if section.hits is not None else ()
        with ThreadPoolExecutor(LOADERS, "thumbnail") as pool:
            for start in range(0, len(items), AT_ONCE):
                some = items[start : start + AT_ONCE]
                thumbs = pool.map(self._tiles.pin, [hit.uri for hit in some])
                for rank, (hit, thumb) in enumerate(zip(some, thumbs, strict=True), start + 1):
                    yield self._hit(rank, hit, thumb)

    def _hit(self, rank: int, hit: Hit, thumb: Thumb) -> _Hit:
        key = next((name for name in TITLES if isinstance(hit.attributes.get(name), str)), None)
        title = str(hit.attributes[key]) if key else hit.id
        names = self._facts if self._facts is not None else _facts(hit.attributes, key)
        return _Hit(
            rank=rank,
            id=hit.id,
            uri=hit.uri,
            title=title,
            score=hit.score,
            percent=f"{100 * min(max(hit.score, 0.0), 1.0):.0f}",
            link=product_link(hit),
            figure=self._tiles.figure(thumb, hit.box, title),
            facts=[
                (_short(name), _short(_said(hit.attributes, name)))
                for name in names
                if hit.attributes.get(name) is not None
            ],
            why="" if hit.why is None else hit.why.sentence,
        )


def product_link(hit: Hit) -> str | None:
    """The http(s) address of the product's page, where the attributes hold one that is not the picture's own."""
    for name in LINKS:
        value = hit.attributes.get(name)
        if isinstance(value, str) and value != hit.uri and _is_link(value):
            return value
    return None


def _is_link(text: str) -> bool:
    if len(text) > LONGEST_LINK or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


def _facts(attributes: Mapping[str, object], title: str | None) -> list[str]:
    """The attributes to show: the price, then the first others."""
    apart = {title, *LINKS, "price", *(["currency"] if attributes.get("price") is not None else [])}
    return [name for name in ("price",) if name in attributes] + [
        name for name in attributes if name not in apart
    ][: SHOWN_FACTS - ("price" in attributes)]


def _said(attributes: Mapping[str, object], name: str) -> str:
    """An attribute's value; a price with its currency."""
    value, currency = attributes[name], attributes.get("currency")
    if name != "price" or not isinstance(currency, str) or isinstance(value, str | bool):
        return _say(value)
    return f"{_say(value)} {currency}"


def _say(value: object) -> str:
    """An attribute's value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:g}"
    return str(value)


def _short(text: str) -> str:
    """The text, cut if it is long."""
    return text if len(text) <= LONGEST_FACT else f"{text[: LONGEST_FACT - 1]}…"
