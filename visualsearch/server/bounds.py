"""JSON from strangers: bounded in bytes, depth, number of values and length of names before anything looks at it."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import BaseModel

from .problems import Kind, RefusedError

MOST_VALUES = 10_000
"""Numbers, texts, lists and objects in one body, all levels together."""
DEEPEST = 32
LONGEST_NAME = 200
_SAID = 40  # characters of a name that an error repeats


def parsed(body: bytes) -> Any:
    """The values in a JSON body. Raises RefusedError for what is no JSON, or too much of it."""
    try:
        values = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else _NOT_TEXT
        raise bad(f"the body is not JSON: {why}") from error
    _check(values)
    return values


def known(model: type[BaseModel], values: Any) -> None:
    """Raise RefusedError for a name that the model has not, before each of a million is validated."""
    if not isinstance(values, dict):
        return
    strange = next((name for name in values if name not in model.model_fields), None)
    if strange is not None:
        said = strange if len(strange) <= _SAID else f"{strange[:_SAID]}..."
        names = ", ".join(sorted(model.model_fields))
        raise bad(f"{said}: there is no such field. Known: {names}")


def bad(detail: str) -> RefusedError:
    """The error for a request that cannot be understood."""
    return RefusedError(Kind.BAD_REQUEST, detail.rstrip("."))


_NOT_TEXT = "it is not UTF-8 text, nested too deep, or holds a number that is none"


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _check(values: Any) -> None:
    """Walk level by level, so that depth costs no stack."""
    level, seen = [values], 0
    for _ in range(DEEPEST):
        seen += len(level)
        if seen > MOST_VALUES:
            raise bad(f"the body holds over {MOST_VALUES:,} values")
        below: list[Any] = []
        for value in level:
            _check_one(value)
            if isinstance(value, list):
                below += value
            elif isinstance(value, dict):
                if any(len(name) > LONGEST_NAME for name in value):
                    raise bad(f"a name in the body has over {LONGEST_NAME} characters")
                below += [*value, *value.values()]
        if not below:
            return
        level = below
    raise bad(f"the body nests deeper than {DEEPEST} levels")


def _check_one(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise bad("the body is not JSON: a number in it is too large")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise bad("the body is not JSON: it holds half a character (a lone surrogate)") from None
