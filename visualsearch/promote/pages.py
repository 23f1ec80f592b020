"""A product as its web page tells of it: schema.org as JSON-LD or microdata, and Open Graph.

A page is written by whoever wants to sell. A price counts only where the page's own marks agree, and where the page shows it
to people, too.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from visualsearch.markup import Markup, as_text

from .products import MOST_VARIANTS, Product, amount_of, clean, state_of, web

MOST_BYTES = 5_000_000
_MOST_BLOCKS = 50
_MOST_NODES = 5_000
_MOST_MARKS = 200_000
_KINDS = frozenset(("product", "productgroup", "individualproduct", "productmodel", "vehicle", "book"))
_HIDDEN = frozenset(("script", "style", "template", "noscript", "svg", "head"))
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_MONEY = re.compile(
    r"(?:[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF|INR)\b)\s{0,3}(\d[\d.,' \u00a0\u202f]{0,20})"
    r"|(\d[\d.,' \u00a0\u202f]{0,20})\s{0,3}(?:[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CHF|INR)\b)"
)


def product_of(page: bytes, address: str) -> Product | None:
    """The product that a page of HTML is about; None where it says of none. `address` is where the page was found."""
    parsed = _Page()
    parsed.feed(_text(page[:MOST_BYTES]))
    parsed.close()
    told = [each for each in (_of_json(parsed), _of_items(parsed), _of_meta(parsed)) if each is not None]
    if not told:
        return None
    return _believed(told, parsed, address)


def _text(page: bytes) -> str:
    found = _CHARSET.search(page[:4096])
    said = as_text(page, found[1].decode()) if found else None
    return page.decode("utf-8", errors="replace") if said is None else said


class _Page(Markup):
    """Collects blocks of JSON-LD, items of microdata, meta marks, and the text that people see."""

    most = _MOST_MARKS

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self.meta: dict[str, str] = {}
        self.items: list[dict[str, list[Any]]] = []
        self.seen: list[str] = []
        self._stack: list[tuple[str, dict[str, list[Any]] | None]] = []
        self._owners: list[dict[str, list[Any]]] = []  # the items of the stack
        self._hidden = 0
        self._block: list[str] | None = None
        self._name: tuple[str, dict[str, list[Any]], int] | None = None
        self._said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        held = {name: value or "" for name, value in attrs}
        if tag == "meta":
            name = (held.get("property") or held.get("name") or "").casefold()
            if name and len(self.meta) < 500:
                self.meta.setdefault(name, held.get("content", ""))
        self._item(tag, held)
        if tag == "script" and held.get("type", "").split(";")[0].strip().casefold() == "application/ld+json":
            self._block = []
        if tag not in _VOID:
            self._hidden += tag in _HIDDEN

    def _item(self, tag: str, held: dict[str, str]) -> None:
        scope: dict[str, list[Any]] | None = None
        owner = self._owners[-1] if self._owners else None
        if "itemscope" in held and len(self.items) < _MOST_BLOCKS:
            scope = {"@type": [held.get("itemtype", "").rsplit("/", 1)[-1]]}
            self.items.append(scope)
        name = held.get("itemprop", "")
        if name and owner is not None:
            value: Any = scope
            if scope is None:
                value = held.get("content") or held.get("href") or held.get("src") or held.get("value")
            if value is not None:
                for each in name.split():
                    owner.setdefault(each, []).append(value)
            elif tag not in _VOID:
                self._name, self._said = (name, owner, len(self._stack) + 1), []
        if tag not in _VOID:
            self._stack.append((tag, scope))
            if scope is not None:
                self._owners.append(scope)

    def handle_data(self, data: str) -> None:
        if self._block is not None:
            self._block.append(data)
        elif not self._hidden:
            self.seen.append(data)
        if self._name is not None:
            self._said.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._block is not None:
            if len(self.blocks) < _MOST_BLOCKS:
                self.blocks.append("".join(self._block))
            self._block = None
        if all(tag != open_tag for open_tag, _ in self._stack[-40:]):
            return
        while self._stack:
            if self._name is not None and len(self._stack) == self._name[2]:
                for each in self._name[0].split():
                    self._name[1].setdefault(each, []).append("".join(self._said).strip())
                self._name = None
            closed, scope = self._stack.pop()
            if scope is not None:
                self._owners.pop()
            self._hidden -= closed in _HIDDEN
            if closed == tag:
                break


# -- what each kind of mark says -------------------------------------------------------------------------------------
def _of_json(page: _Page) -> Product | None:
    for block in page.blocks:
        try:
            value = json.loads(block.strip().removesuffix(";"))
        except (ValueError, RecursionError):
            continue
        found = next((node for node in _nodes(value) if _kinds(node) & _KINDS), None)
        if found is not None:
            return _of_node(found)
    return None


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value, outermost first, within reason."""
    waiting, count = deque([value]), 0
    while waiting and count < _MOST_NODES:
        each = waiting.popleft()
        count += 1
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _kinds(node: dict[str, Any]) -> set[str]:
    kinds = node.get("@type")
    listed = kinds if isinstance(kinds, list) else [kinds]
    return {str(kind).rsplit("/", 1)[-1].casefold() for kind in listed if kind}


def _of_items(page: _Page) -> Product | None:
    found = next((item for item in page.items if _kinds(item) & _KINDS), None)
    return None if found is None else _of_node(found)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _one(node: Any, name: str) -> Any:
    value = _many(node.get(name)) if isinstance(node, dict) else []
    return value[0] if value else None


def _of_node(node: dict[str, Any]) -> Product:
    variants = [each for each in _many(node.get("hasVariant")) if isinstance(each, dict)][:MOST_VARIANTS]
    offers = [offer for each in (node, *variants) for offer in _offers(each)]
    prices = [priced for offer in offers if (priced := _priced(offer)) is not None]
    currency = prices[0][1] if prices else None
    lowest = min((amount for amount, code in prices if code == currency), default=None)
    states = [state for offer in offers if (state := state_of(_one(offer, "availability"))) is not None]
    state = "in stock" if "in stock" in states else states[0] if states else None
    brand = _one(node, "brand") or _one(node, "manufacturer")
    named = [clean(_one(each, "color") or _one(each, "size") or _one(each, "name")) for each in variants]
    return Product(
        clean(_one(node, "name")),
        lowest,
        currency,
        state,
        clean(_one(brand, "name") if isinstance(brand, dict) else brand),
        tuple(dict.fromkeys(name for name in named if name)),
        web(_one(node, "url")) or next((web(_one(offer, "url")) for offer in offers), None),
    )


def _offers(node: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for offer in _many(node.get("offers"))[:MOST_VARIANTS]:
        if isinstance(offer, dict):
            found += [
                offer,
                *(each for each in _many(offer.get("offers"))[:MOST_VARIANTS] if isinstance(each, dict)),
            ]
    return found


def _priced(offer: dict[str, Any]) -> tuple[float, str] | None:
    told = [offer, *(each for each in _many(offer.get("priceSpecification")) if isinstance(each, dict))]
    for each in told:
        for name in ("price", "lowPrice"):
            if _one(each, name) is not None:
                found = amount_of(
                    _one(each, name), _one(each, "priceCurrency") or _one(offer, "priceCurrency")
                )
                if found is not None:
                    return found
    return None


def _of_meta(page: _Page) -> Product | None:
    meta = page.meta
    said = meta.get("product:price:amount") or meta.get("og:price:amount")
    kind = meta.get("og:type", "").casefold()
    if said is None and "product" not in kind:
        return None
    code = meta.get("product:price:currency") or meta.get("og:price:currency")
    priced = amount_of(said, code)
    return Product(
        clean(meta.get("og:title")),
        None if priced is None else priced[0],
        None if priced is None else priced[1],
        state_of(meta.get("product:availability") or meta.get("og:availability")),
        clean(meta.get("product:brand") or meta.get("og:brand")),
        (),
        web(meta.get("og:url")),
    )


# -- what is believed ------------------------------------------------------------------------------------------------
def _believed(told: list[Product], page: _Page, address: str) -> Product:
    doubts = [f"the page has more than {_MOST_MARKS:,} marks; the rest was not read"] if page.full else []
    prices = {(each.price, each.currency) for each in told if each.price is not None}
    price, currency = next(iter(prices)) if len(prices) == 1 else (None, None)
    if len(prices) > 1:
        said = " and ".join(sorted(f"{amount:g} {code}" for amount, code in prices))
        doubts.append(f"the page names more than one price: {said}")
    elif price is not None and not _shown(price, " ".join(page.seen)):
        doubts.append(f"the page does not show the price {price:g} {currency} that its data names")
        price = currency = None
    states = {each.availability for each in told if each.availability is not None}
    state = next(iter(states)) if len(states) == 1 else "out of stock" if states else None
    link = next((each.link for each in told if each.link is not None), None)
    if link is not None and not _same_site(link, address):
        doubts.append("the page's link leads to another site")
        link = None
    return Product(
        next((each.title for each in told if each.title), None),
        price,
        currency,
        state,
        next((each.brand for each in told if each.brand), None),
        next((each.variants for each in told if each.variants), ()),
        link or web(urljoin(address, "")),
        tuple(doubts),
    )


def _shown(price: float, text: str) -> bool:
    """Whether a text shows a price. A text without amounts of money, as of a page that is drawn later, proves nothing."""
    shown = [first or second for first, second in _MONEY.findall(text[:2_000_000])]
    if not shown:
        return True
    numbers = {
        found[0]
        for said in shown
        if (found := amount_of(said.strip(" .,'\u00a0\u202f").replace("\u00a0", ""), "EUR"))
    }
    return any(abs(price - number) < 0.005 for number in numbers)


def _same_site(link: str, address: str) -> bool:
    one, other = (urlsplit(each).hostname or "" for each in (link, address))
    return one.removeprefix("www.") == other.removeprefix("www.")
