"""Search results as one HTML page that stands alone: pictures, styles and script are all inside.

A page has sections; a section has a query and what it found. Pictures become small JPEG thumbnails, each
written once however often it is shown: its first appearance is an SVG `<image>`, later ones `<use>` it. The
page is written as it is made, so memory does not grow with the number of results.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from visualsearch import images
from visualsearch.errors import VisualSearchError
from visualsearch.sources import read
from visualsearch.storage import storage_error
from visualsearch.types import MAX_PIXELS, WHOLE, Box, Hit, Hits, Part

Loader = Callable[[str], images.Picture]
"""A pin's uri -> anything `visualsearch.images.load` takes, the picture's bytes say. Raises PictureError (or
OSError). Called from several threads at once.
"""

QUERY_SIZE = 480  # pixels, the longer side of a query's picture
HIT_SIZE = 256
EVEN = 24  # of 255; a border whose channels differ less is of one colour
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
class _Thumb:
    """A thumbnail ready for the page, or the reason there is none."""

    data: bytes = b""
    width: int = 0
    height: int = 0
    ground: str = ""  # CSS colour of its border when that is even, so that the tile can continue it
    digest: str = ""
    reason: str = ""


def write_page(
    path: str | Path,
    sections: Sequence[Section],
    *,
    title: str,
    lead: str = "",
    footnote: str = "",
    facts: Sequence[str] | None = None,
    picture: Loader | None = None,
    hero: str = "",
    max_pixels: int = MAX_PIXELS,
) -> Path:
    """Write `sections` to `path` as one HTML file, replacing it whole, and return its path.

    `lead` stands under the title, `footnote` at the end. `facts` names the attributes to show with a result
    (default: the price and the first others, four in all). A result whose attribute `url`, `link` or `product_url` is an
    http(s) address links to it. `picture` fetches the picture of a pin's uri (default:
    `visualsearch.sources.read`). Pictures of more than `max_pixels` pixels are not
    shown. `hero` is finished HTML for the place between the title and the sections. A
    picture that cannot be read is shown as an empty tile with the reason. Raises StorageError when the file cannot be written.
    """
    path = Path(path)
    page = _Page(sections, facts, picture or read, max_pixels)
    template = files("visualsearch.pages").joinpath("results.html").read_text(encoding="utf-8")
    head, tail = template.split("<!-- content -->\n")
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        # file names may hold bytes that are no text; such characters are shown as "?"
        with aside.open("w", encoding="utf-8", errors="replace") as file:
            file.write(head.replace("{{title}}", escape(title)))
            file.writelines(page.content(title, lead, footnote, hero))
            file.write(tail)
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
    """The page while it is being written: remembers which pictures are already in it."""

    def __init__(
        self, sections: Sequence[Section], facts: Sequence[str] | None, picture: Loader, max_pixels: int
    ) -> None:
        self.sections, self.facts, self.picture = sections, facts, picture
        self.max_pixels = max_pixels
        self.written: dict[str, str] = {}  # digest of a thumbnail -> its element's id
        self.known = {hit.id: hit.uri for section in sections for hit in section.hits or ()}

    def content(self, title: str, lead: str, footnote: str, hero: str = "") -> Iterator[str]:
        yield f'<header class="wrap"><h1>{escape(title)}</h1>'
        yield f'<p class="lead">{escape(lead)}</p></header>\n' if lead else "</header>\n"
        yield hero
        if len(self.sections) > 1:
            links = (
                f'<li><a href="#q{number}">{escape(section.title)}</a></li>'
                for number, section in enumerate(self.sections, 1)
            )
            yield f'<nav aria-label="Queries"><ul class="wrap">{"".join(links)}</ul></nav>\n'
        yield '<main class="wrap" id="results">\n'
        for number, section in enumerate(self.sections, 1):
            yield from self.section(number, section)
        yield "</main>\n"
        end = "Scores are cosines between the vectors of query and picture: 1 is the same, higher is better."
        yield f'<footer class="wrap">{escape(f"{end} {footnote}".rstrip())}</footer>\n'

    def section(self, number: int, section: Section) -> Iterator[str]:
        yield f'<section id="q{number}" aria-labelledby="t{number}">'
        yield f'<h2 id="t{number}">{escape(section.title)}</h2>'
        if section.note:
            yield f'<p class="note">{escape(section.note)}</p>'
        if section.command:
            yield '<div class="command"><code tabindex="0" aria-label="Command line">'
            yield f'{escape(section.command)}</code><button type="button" hidden>Copy</button></div>'
        yield f'\n<div class="columns"><div class="query"><p class="label">{escape(section.label)}</p>\n'
        for part in section.parts:
            yield self.part(part, section)
        if section.where is not None:
            yield '<div class="where"><span class="label">Only where</span>'
            yield f"<code>{escape(section.where)}</code></div>"
        yield '</div>\n<div class="results">'
        yield from self.results(section)
        yield "</div></div></section>\n"

    def part(self, part: Part, section: Section) -> str:
        sign, word = ("minus", "− less like") if part.weight < 0 else ("plus", "+ like")
        weight = "" if abs(part.weight) == 1 else f" × {abs(part.weight):g}"
        badge = f'<span class="sign {sign}">{word}{weight}</span>' if section.label == "Query" else ""
        if part.text is not None:
            shown, about, size = f'<p class="words">“{escape(part.text)}”</p>', "words", ""
        elif part.like is not None:
            uri = section.pins.get(part.like, self.known.get(part.like))
            thumb = _Thumb(reason="its place was not given") if uri is None else self.load_pin(uri)
            shown, about, size = self.figure(thumb, WHOLE, f"pin {part.like}"), f"pin {part.like}", " small"
            about += f" (no picture: {thumb.reason})" if thumb.reason else ""
        else:
            about = Path(part.image).name if isinstance(part.image, (str, Path)) else "a picture"
            about += ", the part in the box" if part.crop else ""
            thumb = self.load(part.image, QUERY_SIZE)
            shown, size = self.figure(thumb, part.crop or WHOLE, f"query picture {about}"), ""
        return f'<div class="part {sign}{size}">{shown}<p class="about">{badge}{escape(about)}</p></div>\n'

    def results(self, section: Section) -> Iterator[str]:
        hits = section.hits
        if hits is None:
            yield f'<p class="empty"><b>This query was not run.</b>{escape(section.absent)}</p>'
            return
        plan = f"<span>{escape(hits.plan)}</span>" if hits.plan else ""
        time = f"<span>{1000 * hits.seconds:.1f} ms</span>" if hits.seconds else ""
        yield f'<p class="found"><span>{len(hits)} of {hits.total:,} pins</span>{plan}{time}</p>'
        if not len(hits):
            yield '<p class="empty"><b>Nothing was found.</b>No pin passes the filter and score.</p>'
            return
        yield '<ol class="hits">\n'
        with ThreadPoolExecutor(LOADERS, "thumbnail") as pool:
            for start in range(0, len(hits), AT_ONCE):
                some: Sequence[Hit] = hits.items[start : start + AT_ONCE]
                thumbs = pool.map(self.load_pin, [hit.uri for hit in some])
                for rank, (hit, thumb) in enumerate(zip(some, thumbs, strict=True), start + 1):
                    yield self.hit(rank, hit, thumb)
        yield "</ol>"

    def hit(self, rank: int, hit: Hit, thumb: _Thumb) -> str:
        key = next((name for name in TITLES if isinstance(hit.attributes.get(name), str)), None)
        title = hit.attributes[key] if key else hit.id
        names = self.facts if self.facts is not None else _facts(hit.attributes, key)
        facts = "".join(
            f"<div><dt>{_short(name)}</dt> <dd>{_short(_said(hit.attributes, name))}</dd></div>\n"
            for name in names
            if hit.attributes.get(name) is not None
        )
        length = 100 * min(max(hit.score, 0.0), 1.0)
        figure, name = self.figure(thumb, hit.box, title), escape(title)
        link = product_link(hit)
        if link:
            opening = f'<a href="{escape(link)}" target="_blank" rel="noopener noreferrer"'
            figure = f'{opening} tabindex="-1" aria-hidden="true">{figure}</a>'
            name = f"{opening}>{name}</a>"
        return (
            f'<li class="hit">{figure}<div class="text">'
            f'<p class="score"><span>{rank}</span><b>{hit.score:.3f}</b>'
            f'<span class="bar" aria-hidden="true"><i style="width:{length:.0f}%"></i></span></p>'
            f'<p class="name">{name}</p><p class="id" title="{escape(hit.uri)}">{escape(hit.id)}</p>'
            f'{_why(hit)}<dl class="facts">{facts}</dl></div></li>\n'
        )

    def load_pin(self, uri: str) -> _Thumb:
        """The thumbnail of a pin, its picture fetched by the caller's loader."""
        try:
            picture = self.picture(uri)
        except (VisualSearchError, OSError) as error:
            return _Thumb(reason=_reason(error))
        return self.load(picture, HIT_SIZE)

    def load(self, picture: images.Picture, size: int) -> _Thumb:
        """The thumbnail of a picture, its longer side at most `size` pixels."""
        try:
            small = images.load(picture, max_pixels=self.max_pixels, target=size)
        except VisualSearchError as error:
            return _Thumb(reason=_reason(error))
        small.thumbnail((size, size), Image.Resampling.LANCZOS)
        out = BytesIO()
        small.save(out, "JPEG", quality=84, optimize=True)
        data = out.getvalue()
        return _Thumb(data, small.width, small.height, _ground(small), hashlib.sha256(data).hexdigest())

    def figure(self, thumb: _Thumb, box: Box, alt: str) -> str:
        """The picture with `box` drawn when it is not the whole, or an empty tile with the reason."""
        if thumb.reason:
            what, why = escape(f"No picture of {alt}: {thumb.reason}"), escape(thumb.reason)
            mark = f'<b aria-hidden="true">⊘</b><span>{why}</span>'
            return f'<div class="picture gap" role="img" aria-label="{what}">{mark}</div>'
        size = f'width="{thumb.width}" height="{thumb.height}"'
        if thumb.digest in self.written:
            shown = f'<use href="#{self.written[thumb.digest]}"/>'
        else:
            name = self.written[thumb.digest] = f"p{len(self.written) + 1}"
            coded = base64.b64encode(thumb.data).decode()
            shown = f'<image id="{name}" {size} href="data:image/jpeg;base64,{coded}"/>'
        ground = f' style="background:{thumb.ground}"' if thumb.ground else ""
        return (
            f'<svg class="picture"{ground} viewBox="0 0 {thumb.width} {thumb.height}" role="img" '
            f'aria-label="{escape(alt)}">{shown}{_drawn(box, thumb.width, thumb.height)}</svg>'
        )


def _why(hit: Hit) -> str:
    """Why a pin is recommended, where it is."""
    return "" if hit.why is None else f'<p class="why">{escape(hit.why.sentence)}</p>'


def _drawn(box: Box, width: int, height: int) -> str:
    """The box in a picture of that many pixels, all around it darkened; nothing for the whole picture."""
    if tuple(box) == tuple(WHOLE):
        return ""
    x, y = box.x0 * width, box.y0 * height
    w, h = (box.x1 - box.x0) * width, (box.y1 - box.y0) * height
    place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="3"'
    around = f"M0 0H{width}V{height}H0ZM{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}Z"
    return f'<path class="dim" d="{around}"/><rect class="box under" {place}/><rect class="box" {place}/>'


def _ground(picture: Image.Image) -> str:
    """The colour of the border as CSS when all its pixels are alike, else the empty string."""
    pixels = np.asarray(picture, np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if (border.max(axis=0) - border.min(axis=0)).max() > EVEN:
        return ""
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _reason(error: Exception) -> str:
    """Why a picture is missing, in a few words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return getattr(error, "why", "") or str(error)


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
    """The text, cut if it is long, safe to put into the page."""
    return escape(text if len(text) <= LONGEST_FACT else f"{text[: LONGEST_FACT - 1]}…")
