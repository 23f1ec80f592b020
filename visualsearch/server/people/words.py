"""Parameters that many addresses take."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Query

from .cursors import LONGEST

PLAIN = r"^[^\x00]*$"
K = Annotated[int, Query(ge=1, le=200, description="How many on a page.")]
Diversity = Annotated[float, Query(ge=0, le=1, description="0: the best first; towards 1: the most varied.")]
After = Annotated[
    str | None,
    Query(max_length=LONGEST, description="The `cursor` of the page before; without one, the first."),
]


def part(text: str) -> str:
    """A part of a path as it was meant. Nothing has a NUL in its name, and PostgreSQL does not even take the question."""
    return unquote(text).replace("\x00", "\ufffd")
