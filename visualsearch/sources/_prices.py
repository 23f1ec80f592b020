"""Prices as people write them: "39,95 €", "1.299,00", "$1,299", "EUR 20" -> a number and a currency.

Whether the comma or the point is the decimal mark is decided for a whole column. A price such as "39,95" proves it; "1,299"
proves nothing. Where no price of a column proves anything, three digits behind a lone mark are thousands: prices have
three decimals almost nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SYMBOLS = {
    "€": "EUR",
    "$": "USD",
    "US$": "USD",
    "C$": "CAD",
    "CA$": "CAD",
    "A$": "AUD",
    "AU$": "AUD",
    "NZ$": "NZD",
    "HK$": "HKD",
    "S$": "SGD",
    "R$": "BRL",
    "MX$": "MXN",
    "£": "GBP",
    "¥": "JPY",
    "円": "JPY",
    "元": "CNY",
    "₹": "INR",
    "₽": "RUB",
    "₩": "KRW",
    "₺": "TRY",
    "₴": "UAH",
    "₫": "VND",
    "₪": "ILS",
    "฿": "THB",
    "zł": "PLN",
    "Kč": "CZK",
    "Ft": "HUF",
    "lei": "RON",
    "Fr.": "CHF",
    "SFr.": "CHF",
    "Rs.": "INR",
    "Rs": "INR",
    "kr": "kr",
}
"""Sign -> ISO 4217 code. "$" and "¥" stand for the largest of their currencies; "kr" could be any of four, and stays."""

_PRICE = re.compile(
    r"(?P<before>[^\d.,+-]{0,8}(?:Fr\.|Rs\.)?)\s{0,3}(?P<number>[+-]?[\d.,][\d.,'’\s\u00a0\u202f]{0,30})(?P<after>[^\d]{0,8})"
)
_CODE = re.compile(r"[A-Z]{3}")
_SPACES = re.compile(r"[\s\u00a0\u202f'’]")
_EMPTY_CENTS = re.compile(r"[.,]?[-–—]{1,2}")
_GROUPS = re.compile(r"\d{1,3}([.,])(?:\d{2,3}\1){0,5}\d{3}")  # also 1,29,900, as in India
_LONGEST = 48


@dataclass(frozen=True)
class Marks:
    """How a column writes numbers. `decimal`: "," or ".", "" where nothing proves it. `example`: the price that proved
    it; `unclear`: one that has two meanings; `other`: one that proves the opposite.
    """

    decimal: str = ""
    example: str = ""
    unclear: str = ""
    other: str = ""


def marks_of(prices: Iterable[object]) -> Marks:
    """How the prices of a column are written."""
    proofs: dict[str, list[str]] = {",": [], ".": []}
    unclear = ""
    for price in prices:
        found = _parts(price) if isinstance(price, str) else None
        if found is None:
            continue
        mark = _decimal(found[0])
        if mark in proofs:
            proofs[mark].append(str(price))
        elif mark == "?":
            unclear = unclear or str(price)
    if not proofs[","] and not proofs["."]:
        return Marks(unclear=unclear)
    decimal, other = (",", ".") if len(proofs[","]) > len(proofs["."]) else (".", ",")
    return Marks(decimal, proofs[decimal][0], unclear, next(iter(proofs[other]), ""))


def price_of(text: str, decimal: str = "") -> tuple[int | float, str | None] | None:
    """The amount and the ISO 4217 code (None where none is written) of a price; None for what is no price.

    >>> price_of("39,95 €"), price_of("1.299,00"), price_of("$1,299"), price_of("EUR 20")
    ((39.95, 'EUR'), (1299.0, None), (1299, 'USD'), (20, 'EUR'))
    """
    found = _parts(text)
    if found is None:
        return None
    number, currency = found
    mark = _decimal(number)
    if mark is None:
        return None
    if mark == "?":
        mark = decimal
        if not mark:
            mark = "." if "," in number else ","
    whole = number.replace("." if mark == "," else ",", "").replace(",", ".")
    return (float(whole) if "." in whole else int(whole)), currency


def _parts(text: str) -> tuple[str, str | None] | None:
    """The digits with their marks, and the currency."""
    if len(text) > _LONGEST:
        return None
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        return None
    number = _SPACES.sub("", found["number"])
    after = found["after"].strip()
    if cents := _EMPTY_CENTS.match(after):  # 25,- is 25
        after = after[cents.end() :].strip()
        number = number.rstrip(".,")
    signs = [sign for sign in (found["before"].strip(), after) if sign]
    codes = [SYMBOLS.get(sign) or (sign if _CODE.fullmatch(sign) else None) for sign in signs]
    if len(set(codes)) > 1 or None in codes:
        return None
    return number, codes[0] if codes else None


def _decimal(number: str) -> str | None:
    """The decimal mark of a number; "" where it has none, "?" where it may be either, None for no number."""
    digits = number.lstrip("+-")
    commas, points = digits.count(","), digits.count(".")
    if not commas and not points:
        return "" if digits.isascii() and digits.isdigit() else None
    if commas and points:
        mark = "," if digits.rfind(",") > digits.rfind(".") else "."
        whole, _, cents = digits.rpartition(mark)
        return mark if _GROUPS.fullmatch(whole) and mark not in whole and cents.isdigit() else None
    mark = "," if commas else "."
    if commas + points > 1:
        return ("." if commas else ",") if _GROUPS.fullmatch(digits) else None
    whole, _, cents = digits.partition(mark)
    if not cents.isdigit() or (whole and not whole.isdigit()):
        return None
    return "?" if len(cents) == 3 and 1 <= len(whole) <= 3 and whole != "0" else mark
