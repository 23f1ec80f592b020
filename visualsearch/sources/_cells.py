"""What the cells of manifests stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import Any

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_REAL = re.compile(r"-?(0|[1-9]\d*)?\.\d+([eE][+-]?\d+)?|-?[1-9]\d*\.(\d*[eE][+-]?\d+)?")
CODE = re.compile(r"[+-]?0\d+")
"""A number that would lose its leading zeros: a code, such as 007."""
_BOOLEANS = {"true": True, "false": False}


def cell(text: str) -> Any:
    """The value a CSV cell stands for: None when empty, then a boolean, an integer, a number, else the text
    itself.
    """
    if not text:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return _BOOLEANS.get(text.lower(), text)


_SURROGATES = re.compile("[\ud800-\udfff]")  # also those that JSON writes as \ud83d without its partner


def json_value(value: Any) -> Any:
    """`value` with only what JSON knows: dates in ISO form, decimals as numbers, NaN and bytes as None,
    text made printable.
    """
    for kind, convert in _JSON:
        if isinstance(value, kind):
            return convert(value)
    return str(value)


_JSON: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((type(None), bool, int), lambda value: value),
    (str, lambda value: _SURROGATES.sub("\ufffd", value)),
    ((float, Decimal), lambda value: float(value) if math.isfinite(value) else None),
    (dict, lambda value: {json_value(str(name)): json_value(inner) for name, inner in value.items()}),
    ((list, tuple), lambda value: [json_value(inner) for inner in value]),
    (bytes, lambda _value: None),
    ((date, time), lambda value: value.isoformat()),  # a datetime is a date
)
