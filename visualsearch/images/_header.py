"""A picture's size from the beginning of its file: nothing is decoded."""

from __future__ import annotations

from io import BytesIO

from ._pixels import turned
from ._sniff import sniff

_TOLD = frozenset({"JPEG", "PNG", "WebP", "GIF", "BMP"})
"""Formats whose first bytes tell the size."""


def size_of(head: bytes) -> tuple[int, int] | None:
    """(width, height) of the upright picture whose file begins with `head`; None where that does not tell."""
    form = sniff(head)
    if form is None or form.name not in _TOLD:
        return None
    try:
        canvas = form.canvas(head)
        if canvas is not None:
            return canvas
        with form.open(BytesIO(head)) as image:
            width, height = image.size
            return (height, width) if turned(image) else (width, height)
    except Exception:  # Pillow's plugins raise what their parsers stumble over: any type
        return None
