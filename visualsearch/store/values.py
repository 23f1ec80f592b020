"""What an index takes as a pin's id and attributes: one rule for every door, and one reading of what is stored.

Attributes are JSON: texts, numbers, booleans, null, lists and objects. A source may hold what JSON has no word for, such as
NaN: `tidied` makes it null. What a person sends is refused instead (`checked`), since nobody would see the change.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from visualsearch.errors import UsageError
from visualsearch.types import Attributes

MAX_ID_BYTES = 2048
"""Longest id, in bytes of UTF-8. Percent-encoded it is at most three times as long, which every HTTP server takes."""
MAX_NAME = 200
"""Longest name of an attribute, in characters."""
MAX_NAMES = 1000
"""Most attributes of one pin."""
MAX_DEPTH = 32
"""Lists and objects inside one another. JSON writers recurse, and some give up at about 200."""
MAX_BYTES = 256 << 10
"""All attributes of one pin, as JSON in UTF-8."""
_INTEGERS = 1 << 63
_NOT_TEXT = ("Cc", "Cs")  # control characters, and halves of surrogate pairs
_HIDDEN = (*_NOT_TEXT, "Zl", "Zp")
_JSON_ONLY = "Attributes are JSON: texts, finite numbers, true, false, null, lists and objects"


# -- ids ----------------------------------------------------------------------------------------------------------
def check_id(name: str) -> str:
    """The id itself. Raises UsageError for one that no address could reach, or that cannot be shown."""
    why = _wrong_id(name)
    if why:
        raise UsageError(f"the id {_short(name)} cannot be used", why, "Choose another id")
    return name


def _wrong_id(name: str) -> str:
    if not name.strip():
        return "it is empty"
    if name in (".", ".."):
        return "in an address it stands for a folder"
    if any(unicodedata.category(sign) in _HIDDEN for sign in name):
        return "it has a control character"
    size = len(name.encode("utf-8"))  # whatever is no UTF-8 was found above
    if size > MAX_ID_BYTES:
        return f"it has {size:,} bytes in UTF-8, at most {MAX_ID_BYTES:,} are taken"
    return ""


# -- attributes ---------------------------------------------------------------------------------------------------
def checked(attributes: Attributes) -> dict[str, Any]:
    """Attributes as plain JSON values. Raises UsageError, with the attribute's name, for what JSON does not have."""
    return _plain(attributes, strict=True)


def tidied(attributes: Attributes) -> dict[str, Any]:
    """Attributes of a source as plain JSON values.

    NaN, infinity and bytes become null, dates their ISO form, control characters in names a space; what has no name is left
    out. Raises UsageError for what is too long, too large or nested too deep.
    """
    return _plain(attributes, strict=False)


def _plain(attributes: Any, strict: bool) -> dict[str, Any]:
    if not isinstance(attributes, Mapping):
        kind = type(attributes).__name__
        raise UsageError("the attributes cannot be used", f"they are a {kind}, not an object", _JSON_ONLY)
    if len(attributes) > MAX_NAMES:
        raise UsageError(
            "too many attributes",
            f"{len(attributes):,} of one pin, at most {MAX_NAMES:,} are taken",
            "Put some of them in one object",
        )
    plain = {}
    for given, value in attributes.items():
        name = _name(given, strict)
        if not name:
            continue
        plain[name] = value if type(value) in _SIMPLE else _Walk(name, strict).value(value, 1)
        if isinstance(plain[name], str):
            plain[name] = _text(plain[name], name, strict)
    size = sum(map(_cost, plain.items()))
    if size > MAX_BYTES // 6:  # else it cannot be too much, whatever needs escaping
        size = len(dumped(plain).encode("utf-8"))
        if size > MAX_BYTES:
            largest = max(plain.items(), key=_cost)[0]
            raise UsageError(
                "the attributes are too large",
                f"{size:,} bytes of JSON, at most {MAX_BYTES:,} are taken; the largest is {largest!r}",
                "Keep long texts elsewhere and store their address",
            )
    return plain


_SIMPLE = (str, bool, type(None))


def _cost(item: tuple[str, Any]) -> int:
    """About the bytes of one attribute's JSON; of a list or an object exactly, since their parts are not looked at."""
    name, value = item
    size = (
        len(value) if isinstance(value, str) else len(dumped(value)) if isinstance(value, list | dict) else 24
    )
    return len(name) + size + 6


def _name(given: object, strict: bool) -> str:
    """An attribute's name; "" for one of a source that has none."""
    name = given if isinstance(given, str) else str(given)
    if not name.isprintable():  # else there is nothing to look for
        spoilt = [sign for sign in name if unicodedata.category(sign) in _NOT_TEXT]
        if spoilt and strict:
            raise UsageError(
                f"the attribute's name {_short(name)} cannot be used",
                "it has a control character",
                "Choose another name",
            )
        for sign in spoilt:
            name = name.replace(sign, " ")
    if not strict and not name.strip():
        return ""  # a column of a table that was never given a name
    if not name.strip() or len(name) > MAX_NAME:
        why = (
            f"it has {len(name):,} characters, at most {MAX_NAME} are taken"
            if name.strip()
            else "it is empty"
        )
        raise UsageError(f"the attribute's name {_short(name)} cannot be used", why, "Choose another name")
    return name


def _text(text: str, name: str, strict: bool) -> str:
    """A text without NUL, at which SQLite's JSON functions stop reading, and without lone surrogates, which are no UTF-8."""
    if text.isprintable():
        return text
    clean = text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if strict and clean != text:
        raise _refused(name, "its text has a NUL character or half of a surrogate pair")
    return clean


class _Walk:
    """One attribute's value, and the values inside it, as JSON has them."""

    def __init__(self, name: str, strict: bool) -> None:
        self.name, self.strict = name, strict

    def value(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise _refused(self.name, f"it is nested deeper than {MAX_DEPTH} levels", "Write it flatter")
        if isinstance(value, Mapping):
            return {self._key(k): self.value(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(v, depth + 1) for v in value]
        return self._leaf(value, depth)

    def _key(self, key: object) -> str:
        return _text(key if isinstance(key, str) else str(key), self.name, self.strict)

    def _leaf(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _text(str(value), self.name, self.strict)
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float | Decimal):
            return self._real(value)
        if isinstance(value, date | time):  # a datetime is a date
            return value.isoformat()
        if hasattr(value, "tolist"):  # a number or an array of numpy's
            return self.value(value.tolist(), depth)
        return self._unknown(value)

    def _integer(self, value: int) -> Any:
        # SQLite and JavaScript would read it as a rounded number.
        if -_INTEGERS <= value < _INTEGERS:
            return value
        if self.strict:
            raise _refused(self.name, "it is an integer of more than 64 bits", "Give it as a text")
        return self._real(float(value)) if value.bit_length() < 1024 else None

    def _real(self, value: float | Decimal) -> Any:
        number = float(value) if math.isfinite(value) else math.inf
        if math.isfinite(number):
            return number
        if self.strict:
            raise _refused(
                self.name,
                "it holds a number that is not finite (NaN or infinity)",
                "Leave it out, or give null",
            )
        return None

    def _unknown(self, value: Any) -> Any:
        if self.strict:
            raise _refused(self.name, f"it holds a {type(value).__name__}")
        return (
            None if isinstance(value, bytes | bytearray | memoryview) else _text(str(value), self.name, False)
        )


def _refused(name: str, why: str, remedy: str = _JSON_ONLY) -> UsageError:
    return UsageError(f"the attribute {name!r} cannot be stored", why, remedy)


# -- what is stored -----------------------------------------------------------------------------------------------
def dumped(attributes: Any) -> str:
    """Plain JSON values as they are stored."""
    return json.dumps(attributes, ensure_ascii=False, allow_nan=False)


def loaded(text: str) -> dict[str, Any]:
    """Stored attributes, whatever an older release let in: what is not JSON reads as null, what is no object as empty."""
    try:
        found = json.loads(text, parse_constant=_null)
        if text.count("[") + text.count("{") > MAX_DEPTH and wrong(text):
            return _mended(found)
    except (ValueError, RecursionError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def wrong(text: Any) -> str:
    """Why stored attributes cannot be used as they are; "" where they can."""
    try:
        found = json.loads(text, parse_constant=_not_json)
        if not isinstance(found, dict):
            return "its attributes are no object"
        checked(found)
    except UsageError as error:
        return f"{error.what}: {error.why}"
    except (ValueError, RecursionError, TypeError) as error:
        return f"its attributes are not JSON ({str(error)[:80]})"
    return ""


def wrong_name(name: str) -> bool:
    """Whether an attribute's name cannot be used."""
    try:
        return _name(name, strict=True) != name
    except UsageError:
        return True


def mended(text: Any) -> dict[str, Any]:
    """What can be kept of stored attributes that are `wrong`: each attribute by itself, null where it cannot be used."""
    try:
        found = json.loads(text, parse_constant=_null)
    except (ValueError, RecursionError, TypeError):
        return {}
    return _mended(found)


def _mended(found: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in found.items() if isinstance(found, dict) else ():
        kept.update(_kept({name[:MAX_NAME]: value}) or _kept({name[:MAX_NAME]: None}))
    return kept if _fits(kept) else {}


def _kept(attributes: Attributes) -> dict[str, Any]:
    try:
        return tidied(attributes)
    except UsageError:
        return {}


def _fits(attributes: Attributes) -> bool:
    return bool(_kept(attributes)) or not attributes


def _null(_: str) -> None:
    return None


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
