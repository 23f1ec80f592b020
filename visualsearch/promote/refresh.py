"""Products of an index brought up to date: from feeds, and from the pages that its pins lead to."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from visualsearch import guarded
from visualsearch.errors import PictureError, SourceError
from visualsearch.sources import feed_rows

from .book import separated
from .pages import MOST_BYTES, product_of
from .products import Product, joined, of_row, web

if TYPE_CHECKING:
    from visualsearch.engine import Index

SECONDS = 15.0
THREADS = 8
BATCH = 1_000
MOST_FEED = 500_000_000
PIECE = 1 << 20
IDS = ("id", "handle", "url handle", "sku")
PICTURES = ("image link", "image src", "product image url", "image")
LINKS = ("link", "url", "page")
"""Attributes of a pin that hold the address of its product's page."""
Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class Refreshed:
    """How many pins were changed, were as they are, and were not in the index; and what failed: place and reason."""

    changed: int = 0
    same: int = 0
    unknown: int = 0
    failures: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Refreshed) -> Refreshed:
        return Refreshed(
            self.changed + other.changed,
            self.same + other.same,
            self.unknown + other.unknown,
            self.failures + other.failures,
        )


def page(url: str) -> bytes:
    """A page of the web: never from a private network, at most 5 MB, within 15 seconds. Raises PictureError."""
    return guarded.fetch(url, max_bytes=MOST_BYTES, timeout=SECONDS, accept="text/html")


def from_feed(index: Index, feed: str | Path) -> Refreshed:
    """Take prices and availability of a feed: Google Merchant as XML or TSV, Shopify's CSV, or other tables with such columns.

    `feed`: a file or an http(s) address. A row belongs to the pin of its id (Shopify: its handle), else to the pin whose
    picture it names. Variants of a product count as one. A bad row costs no other. Raises SourceError, PictureError.
    """
    products: dict[str, list[Product]] = {}
    failures: list[tuple[str, str]] = []
    unknown, waiting = 0, []
    for line, row in _rows(str(feed)):
        if isinstance(row, str):
            failures.append((f"{feed}:{line}", row))
            continue
        waiting.append((line, row))
        if len(waiting) >= BATCH:
            unknown += _matched(index, str(feed), waiting, products, failures)
            waiting = []
    unknown += _matched(index, str(feed), waiting, products, failures)
    done = _kept(index, {name: joined(held) for name, held in products.items()})
    return done + Refreshed(unknown=unknown, failures=tuple(failures))


def _rows(feed: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """The rows of a feed by folded column names, or why one has none."""
    data = _bytes(feed)
    kind = PurePath(urlsplit(feed).path if web(feed) else feed).suffix.casefold()
    if kind in (".xml", ".rss") or data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        for item in feed_rows(BytesIO(data)):
            yield item.line, item.problem or {folded(name): value for name, value in item.values.items()}
        return
    _check_text(feed, data)
    lines = TextIOWrapper(
        BytesIO(data), encoding="utf-8-sig", newline=""
    )  # a text of its own would take far more
    before: Mapping[str, Any] = {}
    for line, row in separated(lines, "\t" if b"\t" in data[:PIECE].split(b"\n", 1)[0] else ","):
        if isinstance(row, str):
            yield line, row
            continue
        values = {folded(name): value for name, value in row.items()}
        handle = values.get("handle") or values.get("url handle")
        if handle and handle in (before.get("handle"), before.get("url handle")):
            # Shopify leaves out what a variant shares with the first one.
            values = {name: value or before.get(name, "") for name, value in values.items()}
        before = values
        yield line, values


def _check_text(feed: str, data: bytes) -> None:
    """Raise SourceError where the bytes are no UTF-8, before a row is read."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(data), PIECE):
            decoder.decode(data[at : at + PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise SourceError(f"cannot read {feed}", str(error), "Save it as UTF-8") from error


def _bytes(feed: str) -> bytes:
    if web(feed):
        return guarded.fetch(feed, max_bytes=MOST_FEED, timeout=60.0)
    try:
        path = Path(feed)
        if path.stat().st_size > MOST_FEED:
            raise SourceError(f"cannot read {feed}", "it has more than 500 MB", "Split it")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {feed}", str(error), "Check the path") from error


def folded(name: str) -> str:
    """A column's name for comparing: image_link, "image link" and g:image_link are one."""
    return name.strip().casefold().removeprefix("g:").replace("_", " ")


def _matched(
    index: Index,
    feed: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    products: dict[str, list[Product]],
    failures: list[tuple[str, str]],
) -> int:
    """Sort the products of rows by their pins; how many rows have no pin."""
    unknown = 0
    ids = [next((str(row[name]) for name in IDS if row.get(name)), "") for _, row in rows]
    with index.catalog.read() as reader:
        known = reader.look_up("pin", "id", [name for name in ids if name])
        for (line, row), given in zip(rows, ids, strict=True):
            name = given
            if name not in known:
                pictures = [str(row[each]) for each in PICTURES if row.get(each)]
                pin = next((found for each in pictures if (found := reader.by_uri(each)) is not None), None)
                if pin is None:
                    unknown += 1
                    continue
                name = pin.id
            product = of_row(row)
            if product is None:
                failures.append((f"{feed}:{line}", f"{name}: it has neither a price nor an availability"))
                continue
            failures += [(f"{feed}:{line}", f"{name}: {doubt}") for doubt in product.doubts]
            products.setdefault(name, []).append(product)
    return unknown


def from_pages(
    index: Index,
    pins: Sequence[str] | None = None,
    *,
    fetch: Fetch = page,
    say: Callable[[int], None] = lambda _: None,
) -> Refreshed:
    """Read the pages that pins lead to, of all pins with a link or of those named. One bad page costs no other.

    `say` hears how many were read.
    """
    links = _links(index, pins)
    done, read = Refreshed(), 0
    names = list(links)
    with ThreadPoolExecutor(THREADS) as pool:
        for at in range(0, len(names), BATCH):
            part = names[at : at + BATCH]
            addresses = list(dict.fromkeys(links[name] for name in part))
            found = dict(zip(addresses, pool.map(lambda link: _read(link, fetch), addresses), strict=True))
            products, failures = {}, []
            for name in part:
                product, why = found[links[name]]
                if product is not None:
                    products[name] = product
                failures += [(links[name], reason) for reason in why]
            done += _kept(index, products) + Refreshed(failures=tuple(dict.fromkeys(failures)))
            read += len(part)
            say(read)
    return done


def _read(link: str, fetch: Fetch) -> tuple[Product | None, tuple[str, ...]]:
    try:
        product = product_of(fetch(link), link)
    except PictureError as error:
        return None, (error.why or error.what,)
    if product is None:
        return None, ("the page names no product",)
    return product, product.doubts


def _links(index: Index, pins: Sequence[str] | None) -> dict[str, str]:
    with index.catalog.read() as reader:
        held = reader.each_pin() if pins is None else iter(reader.by_ids(list(pins)))
        found = {}
        for pin in held:
            link = next((web(pin.attributes[name]) for name in LINKS if pin.attributes.get(name)), None)
            if link is not None:
                found[pin.id] = link
    return found


def _kept(index: Index, products: Mapping[str, Product]) -> Refreshed:
    """Write what changed. What a source no longer says of a product goes, lest an old price stays for ever."""
    changes: dict[str, dict[str, Any]] = {}
    same = 0
    names = list(products)
    for at in range(0, len(names), BATCH):
        with index.catalog.read() as reader:
            held = {pin.id: dict(pin.attributes) for pin in reader.by_ids(names[at : at + BATCH])}
        for name, before in held.items():
            new = products[name].attributes()
            kept = {
                key: value
                for key, value in before.items()
                if key not in ("price", "currency", "availability")
            }
            after = {**kept, **new}
            if after == before:
                same += 1
            else:
                changes[name] = after
    listed = list(changes)
    for at in range(0, len(listed), BATCH):
        index.update_many({name: changes[name] for name in listed[at : at + BATCH]})
    return Refreshed(changed=len(changes), same=same)
