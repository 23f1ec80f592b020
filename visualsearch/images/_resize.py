"""Scale a picture and cut it, straight into the array a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL.Image import Resampling

from visualsearch.types import UInt8

from ._fast import kernels

if TYPE_CHECKING:
    from PIL.Image import Image


def resized(
    picture: Image,
    size: tuple[int, int],
    how: Resampling,
    part: tuple[int, int, int, int] | None = None,
) -> UInt8:
    """An RGB picture scaled to `size` (width, height), or the `part` (left, top, right, bottom) of it in whole pixels
    of `size`, which may reach past its edges: there it is black. (3, h, w) uint8, R G B, contiguous.

    `how` is BILINEAR or BICUBIC, antialiased. With `accelerate` only `part` is computed, and the bytes are Pillow's.
    """
    left, top, right, bottom = part or (0, 0, *size)
    inside = left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
    loops = kernels()
    if loops is not None and inside and how in _CUBIC and picture.size != size:
        pixels = np.asarray(picture)
        high, wide = bottom - top, right - left
        if columns_first(picture.size, size):
            out: UInt8 = np.empty((3, high, wide), np.uint8)
            loops.resample(pixels.reshape(len(pixels), -1), *size, left, top, out, _CUBIC[how])
            return out
        turned = np.empty((picture.width, 3 * picture.height), np.uint8)  # its columns are the picture's rows
        loops.turn(pixels.reshape(len(pixels), -1), turned)
        out = np.empty((3, wide, high), np.uint8)
        loops.resample(turned, size[1], size[0], top, left, out, _CUBIC[how])
        return np.ascontiguousarray(out.transpose(0, 2, 1))
    if picture.size != size:
        picture = picture.resize(size, how)
    if part is not None:
        picture = picture.crop(part)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def columns_first(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether Pillow scales the columns before the rows, from (width, height) to (width, height).

    The order decides when values are rounded. Up to version 12 rows always come first; what version 13 does was found
    by trying: columns do where the height loses more than twice what the width does.
    """
    lost = after[0] - before[0], after[1] - before[1]
    return _PILLOW >= _ORDERS and lost[1] < 0 and lost[1] < 2 * lost[0]


_PILLOW, _ORDERS = int(PIL.__version__.split(".")[0]), 13
_CUBIC = {Resampling.BILINEAR: False, Resampling.BICUBIC: True}
