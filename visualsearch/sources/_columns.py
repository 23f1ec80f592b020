"""Which columns of a manifest mean what: named by the user, or known from a shop's export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._prices import Marks

PRODUCT = ("product", "product_id", "product_group")
"""Attribute that holds a product where no column does: the first of these that is no column."""

TITLE, PRICE, CURRENCY, URL = "title", "price", "currency", "url"
"""Attributes under which those columns are kept."""

_OWN = frozenset({"id", "uri", "source"})
"""Names that filters read as the pin's own: no attribute for groups."""


@dataclass(frozen=True)
class Columns:
    """The names of a manifest's columns; None where the header tells.

    `id` and `image` are needed. `title`, `price` and `url` are kept as the attributes of those names, prices as numbers.
    `group` is the column that pictures of one product share: an id may then repeat, and search shows each product once.
    """

    id: str | None = None
    image: str | None = None
    title: str | None = None
    price: str | None = None
    url: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Export:
    """A table that a shop's software writes. It has the columns `marks`; other names say which column means what, the first
    that has a value. `continues`: rows of one product follow one another, and an empty cell stands for the first row's.
    `bare`: column and value (None: any) of rows that need no picture of their own.
    """

    name: str
    marks: frozenset[str]
    id: str
    images: tuple[str, ...]
    title: str
    price: tuple[str, ...]
    url: str = ""
    group: tuple[str, ...] = ()
    continues: bool = False
    bare: tuple[str, str] | None = None


EXPORTS = (
    Export(
        "a Shopify product export",
        frozenset({"handle", "image src"}),
        id="handle",
        images=("image src",),
        title="title",
        price=("variant price",),
        group=("handle",),
        continues=True,
    ),
    Export(
        "a Shopify product export",
        frozenset({"url handle", "product image url"}),
        id="url handle",
        images=("product image url",),
        title="title",
        price=("price",),
        group=("url handle",),
        continues=True,
    ),
    Export(
        "a WooCommerce product export",
        frozenset({"id", "sku", "name", "images", "regular price"}),
        id="id",
        images=("images",),
        title="name",
        price=("sale price", "regular price"),
        url="external url",
        group=("parent", "sku", "id"),
        bare=("type", "variation"),
    ),
    Export(
        "a Google Merchant feed",
        frozenset({"id", "image link", "link"}),
        id="id",
        images=("image link", "additional image link"),
        title="title",
        price=("price",),
        url="link",
        group=("item group id", "id"),
    ),
)
"""Columns as https://help.shopify.com/en/manual/products/import-export/using-csv, WooCommerce's
WC_Product_CSV_Exporter and https://support.google.com/merchants/answer/7052112 name them, folded.
"""


def folded(name: str) -> str:
    """A column's name for comparing: Google writes image_link, "image link" and g:image_link."""
    return name.strip().casefold().removeprefix("g:").replace("_", " ")


@dataclass(frozen=True)
class Meaning:
    """What the columns of one table mean. `price`: the columns that may hold the price, the first with a value counts;
    `amounts`: all columns of prices, with how they are written. `group_name`: the attribute that keeps the product of a
    picture, None where pictures are not grouped. `codes`: columns kept as text.
    """

    id: str
    images: tuple[str, ...]
    title: str | None = None
    price: tuple[str, ...] = ()
    url: str | None = None
    group: tuple[str, ...] = ()
    group_name: str | None = None
    export: Export | None = None
    amounts: Mapping[str, Marks] = field(default_factory=dict)
    codes: frozenset[str] = frozenset()
    bare: tuple[str, str] | None = None

    def product_of(self, values: Mapping[str, Any]) -> Any:
        """The product that a row is about."""
        for name in self.group:
            value = values.get(name)
            if value not in (None, ""):
                # WooCommerce names a parent by its SKU, or as id:17 where it has none
                own = self.bare is not None and name == self.id
                return f"id:{value}" if own else value
        return values.get(self.id)

    def says(self) -> str:
        """What was recognised, for people."""
        if self.export is None:
            return ""
        parts = [f"id from {self.id!r}", f"picture from {' and '.join(map(repr, self.images))}"]
        for what, names in (("title", (self.title,)), ("price", self.price), ("link", (self.url,))):
            if any(names):
                parts.append(f"{what} from {' or '.join(repr(name) for name in names if name)}")
        if self.group_name:
            parts.append(f"pictures of a product grouped by {self.group_name!r}")
        return f"read as {self.export.name}: {', '.join(parts)}"


def meaning_of(wanted: Columns, names: Sequence[str]) -> Meaning:
    """What the columns called `names` mean. Columns that the user named need not exist: the caller checks."""
    export = _export(wanted, names)
    grouped = wanted.group if wanted.group != "none" else None
    if export is None:
        plain_id = wanted.id or ("id" if "id" in names or grouped is None else grouped)
        return Meaning(
            plain_id,
            (wanted.image or "image",),
            wanted.title,
            (wanted.price,) if wanted.price else tuple(name for name in names if name == PRICE),
            wanted.url,
            (grouped,) if grouped else (),
            group_name(grouped, names) if grouped else None,
        )
    own = {folded(name): name for name in reversed(names)}

    def known(keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(own[key] for key in keys if key in own)

    group = (grouped,) if grouped else known(export.group)
    return Meaning(
        wanted.id or own[export.id],
        (wanted.image,) if wanted.image else known(export.images),
        wanted.title or own.get(export.title),
        (wanted.price,) if wanted.price else known(export.price),
        wanted.url or own.get(export.url),
        group,
        group_name(grouped, names),
        export,
        bare=(own[export.bare[0]], export.bare[1]) if export.bare and export.bare[0] in own else None,
    )


def group_name(column: str | None, names: Sequence[str]) -> str:
    """The attribute that keeps a picture's product: the column that the user named, else one that is no column's name."""
    if column is not None and column not in _OWN:
        return column
    return next((name for name in PRODUCT if name not in names), PRODUCT[-1])


def _export(wanted: Columns, names: Sequence[str]) -> Export | None:
    if (wanted.id or "id") in names and (wanted.image or "image") in names:
        return None
    have = {folded(name) for name in names}
    return next((export for export in EXPORTS if export.marks <= have), None)
