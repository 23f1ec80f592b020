"""Products: pages that tell the truth and pages that lie, feeds, refreshing, and products only."""

from __future__ import annotations

import http.server
import ipaddress
import shutil
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs
from visualsearch import guarded
from visualsearch.errors import FilterError, PictureError, SourceError
from visualsearch.promote import Promotions, from_feed, from_pages, product_of, put

from .world import Clock, campaign, made, opened

SHOP = "https://www.shop.example/p/1"
JSON_LD = """<html><head><title>x</title><script type="application/ld+json">{"@context": "https://schema.org",
"@graph": [{"@type": "WebPage"}, {"@type": ["Product"], "name": "Oak  stool", "brand": {"@type": "Brand", "name": "Ada"},
"url": "https://shop.example/stool", "offers": [{"@type": "Offer", "price": "49.90", "priceCurrency": "EUR",
"availability": "https://schema.org/InStock"}, {"@type": "Offer", "price": 59.9, "priceCurrency": "EUR"}],
"hasVariant": [{"@type": "Product", "color": "oak"}, {"@type": "Product", "color": "ash"}]}]}</script></head>
<body><p>Only 49,90 €</p></body></html>"""
MICRODATA = """<div itemscope itemtype="http://schema.org/Product"><h1 itemprop="name">Lamp</h1><img src="a.png">
<span itemprop="brand">Bob</span><div itemprop="offers" itemscope itemtype="http://schema.org/Offer">
<meta itemprop="priceCurrency" content="USD"><span itemprop="price" content="1299.00">$1,299.00</span>
<link itemprop="availability" href="http://schema.org/OutOfStock"></div></div>"""
GRAPH = """<meta property="og:type" content="product"><meta property="og:title" content="Mug">
<meta property="product:price:amount" content="12"><meta property="product:price:currency" content="JPY">
<meta property="product:availability" content="preorder"><meta property="product:brand" content="Cy">"""


def test_a_page_tells_of_its_product_in_three_ways() -> None:
    stool = product_of(JSON_LD.encode(), SHOP)
    assert stool is not None
    assert stool.attributes() == {
        "price": 49.9, "currency": "EUR", "availability": "in stock", "brand": "Ada",
        "variants": ["oak", "ash"], "link": "https://shop.example/stool", "is_product": True,
    }  # fmt: skip
    assert (stool.title, stool.doubts) == ("Oak stool", ())
    lamp = product_of(MICRODATA.encode(), SHOP)
    assert lamp is not None
    assert (lamp.title, lamp.price, lamp.currency) == ("Lamp", 1299.0, "USD")
    assert (lamp.availability, lamp.brand, lamp.link) == ("out of stock", "Bob", SHOP)
    mug = product_of(GRAPH.encode(), SHOP)
    assert mug is not None
    assert (mug.title, mug.price, mug.currency, mug.availability) == ("Mug", 12.0, "JPY", "preorder")
    assert product_of(b"<html><body>A blog about stools, 12 EUR</body></html>", SHOP) is None


LIES = {
    "another price to people": (JSON_LD.replace("Only 49,90", "Only 149,90"), "does not show the price"),
    "two prices in its data": (
        JSON_LD.replace("<head>", '<head><meta property="og:price:amount" content="5"><meta property="og:price:currency"'
                        ' content="EUR">'), "more than one price: 49.9 EUR and 5 EUR"),
    "a link to another site": (JSON_LD.replace("shop.example/stool", "evil.example/stool"), "another site"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_page_that_lies_is_not_believed(name: str) -> None:
    page, said = LIES[name]
    found = product_of(page.encode(), SHOP)
    assert found is not None
    assert said in found.doubts[0]
    assert (found.price is None) == ("price" in said)
    assert found.link in (SHOP, "https://shop.example/stool")


@pytest.mark.parametrize(
    "page",
    [
        b"", b"\xff\xfe\x00<", b"<script type='application/ld+json'>{oops</script>",
        b"<script type='application/ld+json'>" + b"[" * 100_000, b"<div itemscope>" * 30_000,
        b'<script type="application/ld+json">{"@type":"Product","offers":{"price":"1e999","priceCurrency":"EUR"}}</script>',
        b'<script type="application/ld+json">{"@type":"Product","offers":[[{"price":{}}],7,null],"brand":[[]]}</script>',
        b'<meta charset="none"><meta property="og:price:amount" content="-5">',
        b"<![1", b"<![CDATA[", b"<meta charset=idna>\xff", b"<meta charset=undefined>a", b"<p>&#" + b"9" * 5000,
    ],
)  # fmt: skip
def test_no_page_breaks_the_reader(page: bytes) -> None:
    found = product_of(page, SHOP)
    assert found is None or found.price is None


def test_a_page_of_too_many_marks_is_read_in_part_and_says_so() -> None:
    found = product_of(JSON_LD.encode() + b"<b>" * 300_000, SHOP)
    assert found is not None
    assert found.price == 49.9
    assert "the rest was not read" in found.doubts[0]


class _Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", "/loop" + str(len(self.path)))
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.path == "/large":
            self.send_header("Content-Length", str(200_000_000))
        self.end_headers()
        self.wfile.write(JSON_LD.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("products"))


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Iterator[Any]:
    with opened(shutil.copytree(folder, tmp_path / "pins.index"), Clock()) as found:
        yield found


def test_pages_are_read_within_limits_and_never_from_a_private_network(index: Any, shop: str) -> None:
    places = {"shoe/00": "/stool", "shoe/01": "/loop", "shoe/02": "/large"}
    index.update_many(
        {name: {**index.attributes_of(name), "url": shop + place} for name, place in places.items()}
    )
    done = from_pages(index, list(places))
    assert done.changed == 0
    assert all("private network" in reason for _, reason in done.failures)

    def reached(url: str) -> bytes:
        local = ipaddress.ip_address("127.0.0.1")
        return guarded.fetch(url, max_bytes=1_000_000, timeout=10, allowed=lambda address: address == local)

    done = from_pages(index, list(places), fetch=reached)
    assert (done.changed, done.same) == (1, 0)
    reasons = {place.rpartition("/")[2]: reason for place, reason in done.failures}
    assert "redirects more than" in reasons["loop"]
    assert "over the limit" in reasons["large"]
    assert index.attributes_of("shoe/00")["price"] == 49.9
    assert index.attributes_of("shoe/00")["title"] == "A shoe 0"
    assert from_pages(index, ["shoe/00"], fetch=reached).same == 1
    with pytest.raises(PictureError, match="private network"):
        guarded.fetch(shop + "/stool", max_bytes=1_000, timeout=5)


MERCHANT = """<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel>
<item>
<g:id>shoe/00</g:id><g:image_link>https://x.example/a.jpg</g:image_link><link>https://x.example/p</link><g:title>Shoe</g:title>
<g:price>19.95 EUR</g:price><g:availability>in_stock</g:availability><g:brand>Ada</g:brand><g:color>red</g:color></item>
<item>
<g:id>shoe/01</g:id><g:image_link>https://x.example/b.jpg</g:image_link><link>https://x.example/p</link><g:title>Shoe</g:title>
<g:price>25 EUR</g:price><g:availability>out_of_stock</g:availability></item>
<item>
<g:id>none/01</g:id><g:image_link>https://x.example/c.jpg</g:image_link>
<link>https://x.example/p</link><g:price>5 EUR</g:price></item>
<item>
<g:id>shoe/02</g:id><g:image_link>https://x.example/d.jpg</g:image_link>
<link>https://x.example/p</link>
<g:title>No price</g:title></item>
</channel></rss>"""


def test_feeds_bring_products_up_to_date(index: Any, tmp_path: Path) -> None:
    (tmp_path / "merchant.xml").write_text(MERCHANT)
    done = from_feed(index, tmp_path / "merchant.xml")
    assert (done.changed, done.unknown) == (2, 1)
    assert [reason.split(":")[0] for _, reason in done.failures] == ["shoe/02"]
    held = index.attributes_of("shoe/00")
    assert (held["price"], held["currency"], held["availability"], held["brand"]) == (
        19.95,
        "EUR",
        "in stock",
        "Ada",
    )
    assert held["variants"] == ["red"]
    rows = (
        "id\timage_link\tlink\tprice\tavailability\n"
        "shoe/00\thttps://x.example/a.jpg\thttps://x.example/p\t18.00 EUR\tin stock\nbroken\n"
    )
    (tmp_path / "merchant.tsv").write_text(rows)
    done = from_feed(index, tmp_path / "merchant.tsv")
    assert (done.changed, index.attributes_of("shoe/00")["price"]) == (1, 18.0)
    assert len(done.failures) == 1
    shopify = (
        "Handle,Title,Vendor,Option1 Value,Variant Price,Variant Inventory Qty,Image Src\n"
        "shoe/03,Shoe,Bob,38,30.00,0,https://x.example/e.jpg\nshoe/03,,,39,29.00,4,\n"
    )
    (tmp_path / "shopify.csv").write_text(shopify)
    done = from_feed(index, tmp_path / "shopify.csv")
    assert done.changed == 1, done
    held = index.attributes_of("shoe/03")
    assert (held["availability"], held["brand"], held["price"]) == ("in stock", "Bob", 29.0)
    assert held["variants"] == ["38", "39"]


def test_products_only_and_nothing_sold_out_is_promoted(index: Any, tmp_path: Path) -> None:
    (tmp_path / "merchant.xml").write_text(MERCHANT)
    from_feed(index, tmp_path / "merchant.xml")
    assert sorted(index.search(text="a shoe", k=50, products=True).ids) == ["shoe/00", "shoe/01"]
    assert index.search(text="a shoe", k=50, products=True, where="price < 20").ids == ["shoe/00"]
    others = {"text": "a shoe", "k": 10, "where": "id != 'shoe/00' and id != 'shoe/01'"}
    put(index, campaign("shoes", pins=("shoe/01",)))
    assert not [hit for hit in Promotions(index).search(**others) if hit.promoted]
    put(index, campaign("shoes", pins=("shoe/00",)))
    assert [hit.id for hit in Promotions(index).search(**others) if hit.promoted] == ["shoe/00"]


def test_products_alone_of_an_index_without_any_says_what_to_do(index: vs.Index) -> None:
    with pytest.raises(FilterError, match=r"known to be a product.*promote products"):
        index.search(text="red", products=True)


def test_a_feed_is_read_row_by_row_and_held_in_memory_once(index: Any, tmp_path: Path) -> None:
    path = tmp_path / "feed.tsv"
    row = "p\tOak stool of the finest wood\thttps://s.example/p\t12.50 EUR\tin stock\n"
    path.write_text("id\ttitle\tlink\tprice\tavailability\n" + row * 20_000)
    tracemalloc.start()
    try:
        assert from_feed(index, path).unknown == 20_000
        assert tracemalloc.get_traced_memory()[1] < 3 * path.stat().st_size
    finally:
        tracemalloc.stop()
    path.write_bytes(path.read_bytes() + b"\xe2\x82")
    with pytest.raises(SourceError, match="cannot read"):
        from_feed(index, path)
