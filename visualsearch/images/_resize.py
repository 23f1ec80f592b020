"""Scale a picture and cut it, straight into the array a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Resampling

from visualsearch.images._fast import kernels
from visualsearch.types import UInt8

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

    `how` is BILINEAR or BICUBIC, antialiased. With `accelerate` the columns are scaled first and only `part` is computed;
    Pillow chooses the order of the passes by its version and the sizes, so that single values differ by a few steps.
    """
    left, top, right, bottom = part or (0, 0, *size)
    inside = left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
    loops = kernels()
    if loops is not None and inside and how in _CUBIC and picture.size != size:
        pixels = np.asarray(picture)
        out: UInt8 = np.empty((3, bottom - top, right - left), np.uint8)
        loops.resample(pixels.reshape(len(pixels), -1), *size, left, top, out, _CUBIC[how])
        return out
    if picture.size != size:
        picture = picture.resize(size, how)
    if part is not None:
        picture = picture.crop(part)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


_CUBIC = {Resampling.BILINEAR: False, Resampling.BICUBIC: True}
