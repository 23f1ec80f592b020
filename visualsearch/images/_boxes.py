"""Rectangles: read them from text, check them, cut them out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from visualsearch.errors import UsageError
from visualsearch.types import Box

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_PIXELS = 8
"""Fewest pixels on a side of a crop; a smaller picture is taken whole."""

_EXAMPLE = 'Give left, top, right, bottom as fractions, such as "0.1,0.2,0.6,0.9"'


def parse_crop(text: str, size: tuple[int, int] | None) -> Box:
    """The box written as "x0,y0,x1,y1": fractions, or pixels when any number is above 1.

    `size` is the upright picture's (width, height), which pixels need. Raises UsageError.
    """
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != 4:
        raise _error(text, f"it has {len(cells)} number{'s' * (len(cells) != 1)}, and a box has 4", size)
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError as error:
        raise _error(text, "it holds something that is not a number", size) from error
    return check_box(numbers, size)


def check_box(box: Sequence[float], size: tuple[int, int] | None) -> Box:
    """`box` (x0, y0, x1, y1), in fractions or, when any is above 1, in pixels, as a valid Box of fractions.

    `size` is the upright picture's (width, height); with it a box that holds no pixel is an error too.
    Raises UsageError when the box lies outside the picture, is reversed, empty or not four numbers.
    """
    shown = ",".join(str(number) for number in box)
    if len(box) != 4:
        raise _error(shown, f"it has {len(box)} numbers, and a box has 4", size)
    try:
        x0, y0, x1, y1 = (float(number) for number in box)
    except (TypeError, ValueError) as error:
        raise _error(shown, "it holds something that is not a number", size) from error
    if not all(math.isfinite(number) for number in (x0, y0, x1, y1)):
        raise _error(shown, "its numbers must be finite", size)
    if min(x0, y0, x1, y1) < 0:
        raise _error(shown, "it begins outside the picture: no number may be negative", size)
    if x1 <= x0 or y1 <= y0:
        side = "right must be above left" if x1 <= x0 else "bottom must be below top"
        raise _error(shown, f"it is empty or reversed: {side}", size)
    if max(x1, y1) > 1:
        if size is None:
            raise _error(shown, "numbers above 1 are pixels, and the picture's size is not known here", size)
        if x1 > size[0] or y1 > size[1]:
            raise _error(shown, "it reaches outside the picture", size)
        _check_pixels((x0, y0, x1, y1), shown, size)
        x0, y0, x1, y1 = x0 / size[0], y0 / size[1], x1 / size[0], y1 / size[1]
    checked = Box(x0, y0, x1, y1)
    if size is not None:
        left, top, right, bottom = _pixels(checked, size)
        if right <= left or bottom <= top:
            raise _error(shown, "it is so thin that it leaves no pixel", size)
    return checked


def _check_pixels(numbers: tuple[float, float, float, float], shown: str, size: tuple[int, int]) -> None:
    """Refuse a crop that pixels make absurdly small: fractions were meant, most often."""
    across, down = numbers[2] - numbers[0], numbers[3] - numbers[1]
    if across >= min(LEAST_PIXELS, size[0]) and down >= min(LEAST_PIXELS, size[1]):
        return
    largest = max(numbers)
    meant = ""
    if largest <= 10:  # 0,0,2,5 for 0,0,0.2,0.5
        tenths = ",".join(
            f"{number / 10:g}" if number > 1 or number == 0 else f"{number:g}" for number in numbers
        )
        meant = f', perhaps "{tenths}"'
    raise UsageError(
        f"the crop {shown!r} cannot be used",
        f"{largest:g} is above 1, so its numbers are pixels, and {across:g}x{down:g} of {size[0]}x{size[1]} pixels are too"
        f" few: {LEAST_PIXELS} a side are the least",
        f"Write fractions, none above 1{meant}, or more pixels",
    )


def crop(picture: Image, box: Box) -> Image:
    """The part of `picture` inside `box` (fractions), rounded to whole pixels; at least 1x1."""
    width, height = picture.size
    left, top, right, bottom = _pixels(box, picture.size)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return picture.crop((left, top, min(max(right, left + 1), width), min(max(bottom, top + 1), height)))


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    return round(box.x0 * width), round(box.y0 * height), round(box.x1 * width), round(box.y1 * height)


def _error(shown: str, why: str, size: tuple[int, int] | None) -> UsageError:
    remedy = _EXAMPLE
    if size is not None:
        width, height = size
        half = f"{max(width // 2, 1)},{max(height // 2, 1)}"
        remedy += f', or as pixels of the {width}x{height} picture, such as "0,0,{half}"'
    return UsageError(f"the crop {shown!r} cannot be used", why, remedy)
