"""What the fuzzer feeds of shops: product pages, product feeds, and filters over what they hold."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from itertools import islice
from pathlib import Path

from campaign_work import Mosaic, picture
from fuzz_made import Made

import visualsearch as vs
from visualsearch.errors import FilterError, VisualSearchError
from visualsearch.promote import from_feed, from_pages, product_of
from visualsearch.search import parse

SHOP = "https://shop.example/p/1"
OFFER = {
    "@type": "Offer",
    "price": "49.90",
    "priceCurrency": "EUR",
    "availability": "https://schema.org/InStock",
}
PRODUCT = {
    "@context": "https://schema.org",
    "@graph": [{"@type": "WebPage"}, {"@type": ["Product"], "name": "Oak  stool", "brand": {"name": "Ada"},
    "url": "https://shop.example/stool", "offers": [OFFER, {**OFFER, "price": 59.9}],
    "hasVariant": [{"@type": "Product", "color": "oak"}, {"size": "L", "offers": {"lowPrice": 1, "priceCurrency": "USD"}}]}],
}  # fmt: skip
PAGES = [
    b'<html><head><meta charset="utf-8"><script type="application/ld+json">'
    + json.dumps(PRODUCT).encode()
    + b"</script></head><body><p>Only 49,90 \xe2\x82\xac &amp; more</p></body></html>",
    b'<div itemscope itemtype="http://schema.org/Product"><h1 itemprop="name">Lamp</h1><img src="a.png">'
    b'<div itemprop="offers" itemscope itemtype="http://schema.org/Offer"><meta itemprop="priceCurrency" content="USD">'
    b'<span itemprop="price" content="1299.00">$1,299.00</span><link itemprop="availability" href="http://schema.org/OutOfStock">'
    b"</div></div><!-- end --><![if !IE]><![endif]>",
    b'<meta property="og:type" content="product"><meta property="og:title" content="Mug"><meta property="product:price:amount"'
    b' content="12"><meta property="product:price:currency" content="JPY"><meta property="og:url" content="https://shop.example/m">',
]


def page(folder: Path) -> Made:
    """Pages of HTML that tell of a product; each is also read into an index now and then."""
    place = folder / "shop.index"
    index = _shop(place)

    def take(data: bytes) -> None:
        found = product_of(data, SHOP)
        if found is not None:
            json.dumps(found.attributes(), allow_nan=False).encode()
            if data[-1:] in b"0123456789abcdef":
                done = from_pages(index, ["a"], fetch=lambda _: data)
                assert done.changed + done.same == 1, done

    pieces = (
        b"<b>", b"</b>", b"<a ", b"<!--", b"-->", b"<![", b"]]>", b"<?", b"<!", b"</", b"&#", b"&#x", b"&amp", b"<script>",
        b"</script>", b'<script type="application/ld+json">', b"<p itemscope>", b'<p itemprop="name">', b"charset=idna",
        b"charset=utf-16", b"a=' ", b"[", b"{", b'"offers":', b'"price":', b"1e400", b"\\ud800", b"<title>", b"http://[",
    )  # fmt: skip
    return Made(take, PAGES, pieces)


ROWS: list[tuple[str, bytes]] = [
    (
        "feed.xml",
        b'<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>s</title><item><g:id>a</g:id>'
        b"<g:image_link>https://s.example/a.png</g:image_link><link>https://s.example/a</link><g:price>15.00 USD</g:price>"
        b"<g:availability>in_stock</g:availability><g:item_group_id>g</g:item_group_id></item></channel></rss>",
    ),
    (
        "feed.xml",
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>b</id><link href="https://s.example/b"/><price>1,5 EUR</price>'
        b"<image_link>https://s.example/b.png</image_link></entry></feed>",
    ),
    (
        "feed.tsv",
        b"id\ttitle\tlink\timage link\tprice\tavailability\n"
        b"a\tOak\thttps://s.example/a\thttps://s.example/a.png\t12 EUR\tin stock\n",
    ),
    (
        "shop.csv",
        b"Handle,Title,Variant Price,Image Src,Option1 Value,Variant Inventory Qty,Variant Inventory Policy\n"
        b"a,Oak,12.50,https://s.example/a.png,L,3,deny\na,,13,https://s.example/a2.png,S,0,continue\n",
    ),
    (
        "wc.csv",
        b"ID,Type,SKU,Name,Images,Regular price,Sale price,Parent,In stock?\n"
        b'1,variable,sku,Oak,"https://s.example/a.png, https://s.example/b.png",12,,,1\n2,variation,,Oak L,,"13,5",,id:1,0\n',
    ),
    (
        "plain.csv",
        b'id,image,price,currency,availability\na,a.png,1.299,EUR,sold out\n"b","b.png","1\'299",CHF,preorder\n',
    ),
]


def feed(folder: Path) -> Made:
    """Feeds of products, as a source of pictures and as news for an index. The first byte chooses the kind."""
    index = _shop(folder / "shop.index")

    def take(data: bytes) -> None:
        if not data:
            return
        name, _ = ROWS[data[0] % len(ROWS)]
        path = folder / name
        path.write_bytes(data[1:])
        try:
            for entry in islice(vs.open_source(path), 500):
                str(entry)
        except VisualSearchError:
            pass
        with suppress(VisualSearchError):
            from_feed(index, path)

    pieces = (b"<item>", b"<g:id>a</g:id>", b"<!DOCTYPE x [", b"<!ENTITY", b"<![CDATA[", b"&lt;", b"&#1;", b"\t", b'"',
              b'""', b"\r", b"\n", b",", b"1.299,00", b"a,", b"\xef\xbb\xbf", b"\xff\xfe")  # fmt: skip
    return Made(take, [bytes([n]) + data for n, (_, data) in enumerate(ROWS)], pieces)


VALUES = [
    {"price": 1, "title": "Oak stool", "sold": True, "tags": ["red", "x"], "size": "L"},
    {"price": 2.5, "title": "", "sold": False, "tags": [], "size": 3},
    {"price": -7, "title": "100% _wool_", "tags": "red"},
    {"title": "ÄÖ straße 👗", "sold": None, "price": None},
    {"price": 2**53, "title": "12", "size": "12", "tags": [1, 2.5, True]},
    {},
]


def _shop(place: Path) -> vs.Index:
    folder = place.with_suffix(".pictures")
    folder.mkdir()
    rows = []
    for n, values in enumerate(VALUES):
        name = "abcdefgh"[n]
        picture(n).save(folder / f"{name}.png")
        rows.append(json.dumps({"id": name, "image": f"{name}.png", **values, "url": SHOP}))
    (folder / "pins.jsonl").write_text("\n".join(rows))
    index = vs.create(place, Mosaic())
    report = index.add(folder / "pins.jsonl")
    assert not report.failures, report
    return index


NAMES = ("price", "title", "sold", "tags", "size", "id", "uri", "nothing", "`size`", "`a b`")
CONSTANTS = ("1", "-7", "2.5", "'red'", "'L'", "''", "true", "false", "null", "9007199254740993", "1e308", "1e999", "-0.0",
             "0.1e-400", "'%'", "'_'", "'100%'", "'12'", "12", "'STRASSE'", "9" * 25, '"x"', "'it''s'", "0x10", "١")  # fmt: skip
COMPARE = ("=", "!=", "<>", "<", "<=", ">", ">=", "==", "like", "not like", "contains", "is", "is not")


def written(chance: random.Random, depth: int = 0) -> str:
    """A filter by the grammar, now and then a wrong one."""
    kind = chance.random()
    if depth < 4 and kind < 0.3:
        return f"({written(chance, depth + 1)} {chance.choice(('and', 'or', 'AND', '&'))} {written(chance, depth + 1)})"
    if depth < 6 and kind < 0.4:
        return f"not {written(chance, depth + 1)}"
    name, value = chance.choice(NAMES), chance.choice(CONSTANTS)
    if kind < 0.5:
        listed = ", ".join(chance.choices(CONSTANTS, k=chance.randint(0, 4)))
        return f"{name} {chance.choice(('in', 'not in'))} ({listed})"
    if kind < 0.6:
        return f"{name} {chance.choice(('between', 'not between'))} {value} and {chance.choice(CONSTANTS)}"
    if kind < 0.7:
        return f"{name} is {chance.choice(('', 'not '))}null"
    if kind < 0.75:
        return name
    return f"{name} {chance.choice(COMPARE)} {value}"


def where(folder: Path) -> Made:
    """Filters that are asked: SQL and the columns in memory must choose the same pins."""
    index = _shop(folder / "shop.index")
    seen = picture(1)

    def take(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        try:
            with index.catalog.read() as reader:
                count = reader.count_matching(parse(text, reader.names()))
        except VisualSearchError:
            count = None
        try:
            hits = len(index.search(image=seen, k=len(VALUES), where=text))
        except FilterError as error:
            if count is None:
                return
            raise AssertionError(f"the catalog finds {count} pins, the search raises: {error}") from error
        if count is not None and hits != count:
            raise AssertionError(f"the catalog finds {count} pins, the search {hits}")

    return Made(take, [b"price < 50 and not sold"], write=lambda chance: written(chance).encode())
