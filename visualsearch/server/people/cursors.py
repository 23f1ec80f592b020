"""Cursors: where a page ended, sealed so that only this server's own come back, and only to the list they are of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..problems import Kind, RefusedError
from .signing import Signer

T = TypeVar("T")
PURPOSE = "cursor"
LONGEST = 2000


def sealed(signer: Signer, place: str, last: Sequence[Any]) -> str:
    """A cursor behind the last entry of a page of the list that `place` names."""
    text = base64.urlsafe_b64encode(json.dumps(list(last)).encode()).decode().rstrip("=")
    return f"{text}.{signer.sign(PURPOSE, f'{place} {text}')}"


def opened(signer: Signer, place: str, cursor: str | None) -> list[Any] | None:
    """What `sealed` was given; None for no cursor. Raises RefusedError for one that is not of this list."""
    if cursor is None:
        return None
    text, _, signature = cursor.partition(".")
    if not signer.check(PURPOSE, f"{place} {text}", signature):
        raise RefusedError(
            Kind.BAD_CURSOR,
            "this cursor is none of this list",
            "it was changed, cut short, or belongs to another list",
            "Begin without a cursor, and take each next one from the answer",
        )
    values: list[Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return values


def page(
    signer: Signer, place: str, found: list[T], k: int, last: Callable[[T], Sequence[Any]]
) -> tuple[list[T], str | None]:
    """The first k of up to k + 1 entries, and the cursor of the next page where there is one."""
    if len(found) <= k:
        return found, None
    return found[:k], sealed(signer, place, last(found[k - 1]))
