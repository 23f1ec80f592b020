"""Money as whole minor units: cents, pence, yen. A fraction of one never exists, so sums are exact."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from visualsearch.errors import UsageError

NO_CENTS = frozenset(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    )
)
THOUSANDTHS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))
MOST = 10**12
"""Minor units; no amount is larger."""
_CURRENCY = re.compile(r"[A-Z]{3}")
_AMOUNT = re.compile(
    r"(?:(?P<before>[A-Za-z]{3})\s*)?(?P<number>[-+]?[\d.,]+(?:[eE][-+]?\d{1,3})?)\s*(?P<after>[A-Za-z]{3})?"
)


def digits(currency: str) -> int:
    """How many decimals an amount of the currency has (ISO 4217)."""
    return 0 if currency in NO_CENTS else 3 if currency in THOUSANDTHS else 2


def currency_of(text: str) -> str:
    """A currency's code, such as EUR. Raises UsageError."""
    code = text.strip().upper()
    if not _CURRENCY.fullmatch(code):
        raise UsageError(
            f"{text[:20]!r} is no currency", "a code has three letters", "Write it as in EUR, USD or JPY"
        )
    return code


def read(text: object) -> tuple[Decimal, str | None]:
    """An amount and its currency, where it names one: `19.99`, `19.99 EUR`, `EUR 1,299.00`. Raises UsageError."""
    found = _AMOUNT.fullmatch(str(text).strip())
    try:
        if found is None or (found["before"] and found["after"]):
            raise InvalidOperation
        number = found["number"]
        if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})*(\.\d+)?([eE].*)?", number):
            number = number.replace(",", "")
        elif re.fullmatch(r"[-+]?[\d.]+,\d{1,2}", number):
            number = number.replace(".", "").replace(",", ".")
        amount = Decimal(number)
    except InvalidOperation:
        raise UsageError(
            f"{str(text)[:40]!r} is no amount", "it is no number", "Write it as in 19.99 or 19.99 EUR"
        ) from None
    code = found["before"] or found["after"]
    return amount, None if code is None else currency_of(code)


def minor(amount: Decimal, currency: str) -> int:
    """An amount in minor units. Raises UsageError for a fraction of one, and for more than `MOST`."""
    if not amount.is_finite() or abs(amount) > MOST:
        raise UsageError(
            f"the amount {amount} is too large", f"at most {MOST:,} are taken", "Give a smaller one"
        )
    scaled = amount.scaleb(digits(currency))
    if scaled != scaled.to_integral_value():
        raise UsageError(
            f"{amount} {currency} cannot be paid",
            f"{currency} has {digits(currency)} decimals",
            "Round the amount",
        )
    if abs(scaled) > MOST:
        raise UsageError(f"the amount {amount} is too large", "no budget needs it", "Give a smaller one")
    return int(scaled)


def written(amount: int, currency: str) -> str:
    """Minor units as text: 1999 EUR is `19.99 EUR`."""
    places = digits(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f} {currency}"
