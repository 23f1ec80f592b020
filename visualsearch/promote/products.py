"""What a product is called among a pin's attributes: price, currency, availability, brand, variants and link."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from visualsearch.errors import UsageError
from visualsearch.search import IS_PRODUCT

from . import money

STATES = ("in stock", "out of stock", "preorder", "backorder", "discontinued")
"""What `availability` says."""
_STATES = {
    **{name.replace(" ", ""): name for name in STATES},
    **dict.fromkeys(
        ("available", "instoreonly", "onlineonly", "limitedavailability", "true", "yes"), "in stock"
    ),
    **dict.fromkeys(("soldout", "unavailable", "oos", "false", "no"), "out of stock"),
    "presale": "preorder",
    "madetoorder": "in stock",
}
MOST_VARIANTS = 50
LONGEST = 300


@dataclass(frozen=True)
class Product:
    """A product as a page or a feed tells of it; None where it tells nothing. `doubts` say what was not believed."""

    title: str | None = None
    price: float | None = None
    currency: str | None = None
    availability: str | None = None
    brand: str | None = None
    variants: tuple[str, ...] = ()
    link: str | None = None
    doubts: tuple[str, ...] = ()

    def attributes(self) -> dict[str, Any]:
        """The attributes that a pin gets; what is not known is not among them."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        values.pop("doubts", None)
        values.pop("title", None)
        if "variants" in values:
            values["variants"] = list(values["variants"])
        return {**values, IS_PRODUCT: True}


def state_of(text: object) -> str | None:
    """Availability in one of the words of `STATES`: `https://schema.org/InStock` and `in_stock` are `in stock`."""
    word = re.sub(r"[^a-z]", "", str(text or "").rsplit("/", 1)[-1].casefold())
    return _STATES.get(word)


def amount_of(text: object, currency: object = None) -> tuple[float, str] | None:
    """A price and its currency; None where one of them is missing or makes no sense."""
    try:
        amount, named = money.read(text)
        code = named or money.currency_of(str(currency or ""))
        if amount <= 0 or amount > Decimal(10) ** 9:
            return None
        return float(amount), code
    except UsageError:
        return None


def clean(text: object) -> str | None:
    """A short text without control characters; None of an empty one."""
    said = " ".join(str(text or "").split())[:LONGEST]
    return said if said and said.isprintable() else None


def web(text: object) -> str | None:
    """An http(s) address; None of anything else."""
    said = str(text or "").strip()
    try:
        parts = urlsplit(said)
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and parts.hostname and len(said) <= 2000 and said.isprintable()
    return said if good else None


# -- rows of feeds ---------------------------------------------------------------------------------------------------
_NAMES: Mapping[str, tuple[str, ...]] = {
    "price": ("sale price", "variant price", "price", "regular price"),
    "currency": ("currency", "price currency"),
    "availability": ("availability", "in stock?", "stock status"),
    "brand": ("brand", "vendor", "manufacturer"),
    "link": ("link", "url", "product url"),
    "title": ("title", "name"),
}
_VARIANTS = ("color", "colour", "size", "material", "pattern", *(f"option{n} value" for n in (1, 2, 3)))
_STOCK = ("variant inventory qty", "inventory quantity", "quantity", "stock")


def of_row(row: Mapping[str, Any]) -> Product | None:
    """The product of a row of a feed by folded column names; None of a row that has neither a price nor an availability."""
    said = {name: next((row[a] for a in names if row.get(a)), None) for name, names in _NAMES.items()}
    price, currency = _priced(said["price"], said["currency"])
    state = state_of(said["availability"])
    stock = next((row[name] for name in _STOCK if row.get(name)), None)
    if state is None and stock is not None:
        state = _stocked(stock, row.get("variant inventory policy"))
    if price is None and state is None:
        return None
    odd = said["price"] is not None and price is None
    return Product(
        clean(said["title"]),
        price,
        currency,
        state,
        clean(said["brand"]),
        _texts(row.get(name) for name in _VARIANTS),
        web(said["link"]),
        (f"the price {str(said['price'])[:40]!r} is none",) if odd else (),
    )


def _priced(text: object, currency: object) -> tuple[float | None, str | None]:
    """A price and its currency; Shopify's export names none, as a shop has one."""
    if text is None:
        return None, None
    known = amount_of(text, currency)
    if known is None and currency is None:
        bare = amount_of(text, "XXX")
        return (None, None) if bare is None else (bare[0], None)
    return (None, None) if known is None else known


def _stocked(stock: Any, policy: Any) -> str | None:
    try:
        left = float(str(stock))
    except ValueError:
        return None
    return "in stock" if left > 0 or str(policy or "").casefold() == "continue" else "out of stock"


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    found: list[str] = []
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            said = clean(each)
            if said is not None and said.casefold() != "default title":
                found.append(said)
    return tuple(dict.fromkeys(found))[:MOST_VARIANTS]


def joined(products: Iterable[Product]) -> Product:
    """Variants of one product as one: the lowest price, in stock where one is, all variants."""
    held = list(products)
    first = held[0]
    priced = [each.price for each in held if each.price is not None and each.currency == first.currency]
    states = {each.availability for each in held} - {None}
    state = "in stock" if "in stock" in states else first.availability
    return Product(
        first.title,
        min(priced, default=first.price),
        first.currency,
        state,
        first.brand,
        _texts(list(each.variants) for each in held),
        first.link,
        first.doubts,
    )
