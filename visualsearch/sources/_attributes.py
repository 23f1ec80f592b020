"""The attributes that a manifest's row gives its pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ._addresses import printable
from ._cells import cell, json_value
from ._columns import CURRENCY, PRICE, TITLE, URL, Meaning
from ._prices import price_of

Convert = Callable[[Any], Any]
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,2})?")
"""A price that means the same whatever the decimal mark of its column."""


class Attributes:
    """Makes the attributes of rows. What becomes of a column is decided once, when it is met first."""

    def __init__(self, meaning: Meaning, typed: bool) -> None:
        self.meaning, self.typed = meaning, typed
        only = meaning.price[0] if len(meaning.price) == 1 else None
        roles = ((meaning.title, TITLE), (meaning.url, URL), (only, PRICE))
        self._renamed = {column: name for column, name in roles if column is not None}
        self._taken = {*self._renamed.values(), *([PRICE] if meaning.price else [])}
        self._prices = [printable(column) for column in meaning.price] if only is None else []
        self._known: dict[str, tuple[str, Convert] | None] = {}
        self._currencies: list[str] = []  # of the row at hand

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of one row."""
        made: dict[str, Any] = {}
        self._currencies.clear()
        for column, value in values.items():
            if column not in self._known:
                self._known[column] = self._decided(column)
            use = self._known[column]
            if use is not None:
                made[use[0]] = use[1](value)
        if self._prices:
            made[PRICE] = next((made[name] for name in self._prices if made.get(name) is not None), None)
        if self._currencies and made.get(CURRENCY) is None:
            made[CURRENCY] = self._currencies[0]
        group = self.meaning.group_name
        if group is not None and group not in made:
            product = self.meaning.product_of(values)
            made[group] = None if product is None else printable(str(product))
        return made

    def _decided(self, column: str) -> tuple[str, Convert] | None:
        """The attribute that a column becomes, and how; None for one that is left out."""
        meaning = self.meaning
        if column == meaning.id or column in meaning.images:
            return None
        name = self._renamed.get(column)
        if name is None:
            name = printable(column)
            if name in self._taken:
                return None
        if column in meaning.amounts:
            return name, partial(self._amount, meaning.amounts[column].decimal, column in meaning.price)
        if column in (meaning.title, meaning.url):
            return name, _text
        if self.typed:
            return name, json_value
        return name, _code if column in meaning.codes else _cell

    def _amount(self, decimal: str, tells_currency: bool, value: Any) -> Any:
        if not isinstance(value, str):
            return json_value(value)
        if _PLAIN.fullmatch(value):
            return float(value) if "." in value else int(value)
        found = price_of(value, decimal)
        if found is None:
            return json_value(value) if self.typed else _cell(value)
        if tells_currency and found[1]:
            self._currencies.append(found[1])
        return found[0]


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else printable(str(value))


def _code(value: Any) -> Any:
    return printable(value) or None if isinstance(value, str) else json_value(value)


def _cell(value: Any) -> Any:
    return cell(printable(value)) if isinstance(value, str) else json_value(value)
