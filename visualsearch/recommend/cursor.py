"""The cursor of a feed: which pins its pages have shown, as text. It names no person, and every server can read it.

Each page is made anew from what is known now, without what was shown before: so nothing comes twice, whatever else changes.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Sequence

from visualsearch.errors import UsageError

VERSION = 1
PAGES = 20
"""So many pages repeat nothing."""
MOST_SHOWN = 20_000
LONGEST = 120_000


def written(pages: Sequence[Sequence[int]]) -> str:
    """The cursor of pages of pin numbers; of more than PAGES, the newest are kept."""
    data = bytearray([VERSION])
    for page in pages[-PAGES:]:
        ordered = sorted(set(page))
        _number(data, len(ordered))
        before = 0
        for number in ordered:
            _number(data, number - before)
            before = number
    packed = zlib.compress(bytes(data), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read(cursor: str | None) -> list[list[int]]:
    """The pages of pin numbers that a cursor stands for. Raises UsageError for a text that is none."""
    if not cursor:
        return []
    try:
        if len(cursor) > LONGEST:
            raise ValueError("it is too long")
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        inflating = zlib.decompressobj()
        data = inflating.decompress(packed, 10 * MOST_SHOWN)
        if not inflating.eof or not data or data[0] != VERSION:
            raise ValueError("it is of another release, or too long")
        return _pages(data)
    except (ValueError, IndexError, binascii.Error, zlib.error) as error:
        raise UsageError(
            "cannot read the cursor", str(error) or "it is damaged", "Take it from the page before, or none"
        ) from error


def check(cursor: str | None) -> None:
    """Raise UsageError for a text that is no cursor of a feed."""
    read(cursor)


def _pages(data: bytes) -> list[list[int]]:
    at, pages = 1, []
    while at < len(data):
        count, at = _next(data, at)
        if count > MOST_SHOWN:
            raise ValueError("it names too many pins")
        number, page = 0, []
        for _ in range(count):
            step, at = _next(data, at)
            number += step
            page.append(number)
        pages.append(page)
    return pages


def _number(data: bytearray, value: int) -> None:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    while value >= 128:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


def _next(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >= 2**63:
                raise ValueError("a number in it is too large")
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number in it is too large")


def shown(pages: Iterable[Iterable[int]]) -> set[int]:
    """All pin numbers of the pages."""
    return {number for page in pages for number in page}
