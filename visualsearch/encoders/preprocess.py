"""From an upright RGB picture to a model's square: resize, then cut or pad. Pillow and numpy only.

Sizes, crop offsets and padding offsets are rounded as torchvision's PIL transforms round them, composed as open_clip composes
them. So a model sees the very bytes it was trained to see. The tests compare byte for byte, after `images.accelerate` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from visualsearch.errors import EncoderError
from visualsearch.images import resized
from visualsearch.types import Preprocessing, Resize, UInt8

INTERPOLATIONS: Mapping[str, Image.Resampling] = MappingProxyType(
    {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
)


def preprocess(picture: Image.Image, how: Preprocessing) -> UInt8:
    """An upright RGB picture -> (3, s, s) uint8, R G B, not normalised.

    Any size from 1x1 up and any aspect is taken. Raises EncoderError for an interpolation that is not in
    `INTERPOLATIONS`.
    """
    if how.interpolation not in INTERPOLATIONS:
        raise EncoderError(
            f"interpolation {how.interpolation!r} cannot be used",
            "the model asks for a way of resizing that is not known",
            f"Known: {', '.join(INTERPOLATIONS)}",
        )
    return _SQUARES[how.resize](picture, how)


def _resample(how: Preprocessing) -> Image.Resampling:
    return INTERPOLATIONS[how.interpolation]


def _shortest(picture: Image.Image, how: Preprocessing) -> UInt8:
    """Scale the shorter side to the size and cut the centre.

    An extreme shape is cut and enlarged in one step: a 10000x1 strip scaled to a height of 224 would hold
    1.5 GB.
    """
    width, height = picture.size
    size = how.size
    new_width, new_height = (
        (size, int(size * height / width)) if width <= height else (int(size * width / height), size)
    )
    left, top = _half(new_width - size), _half(new_height - size)
    if new_width * new_height > _MAX_RESIZED:
        scale_x, scale_y = width / new_width, height / new_height
        right, bottom = min((left + size) * scale_x, width), min((top + size) * scale_y, height)
        box = (left * scale_x, top * scale_y, right, bottom)
        cut = picture.resize((size, size), _resample(how), box=box)
        return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1))
    part = (left, top, left + size, top + size)
    return resized(picture, (new_width, new_height), _resample(how), part)


def _longest(picture: Image.Image, how: Preprocessing) -> UInt8:
    """Scale the longer side to the size and pad both ends of the other with the fill."""
    width, height = picture.size
    ratio = max(width, height) / how.size
    inner = (max(1, round(width / ratio)), max(1, round(height / ratio)))
    left, top = (how.size - inner[0]) // 2, (how.size - inner[1]) // 2
    square: UInt8 = np.full((3, how.size, how.size), how.fill, np.uint8)
    square[:, top : top + inner[1], left : left + inner[0]] = resized(picture, inner, _resample(how))
    return square


def _squash(picture: Image.Image, how: Preprocessing) -> UInt8:
    """Scale both sides to the size, whatever the aspect."""
    return resized(picture, (how.size, how.size), _resample(how))


def _half(pixels: int) -> int:
    """Half of the surplus, rounded as torchvision's center_crop rounds it (half to even)."""
    return round(pixels / 2.0)


_MAX_RESIZED = 1 << 24  # pixels; at 224 the aspect must be beyond 334:1 to reach it

_SQUARES: Mapping[Resize, Callable[[Image.Image, Preprocessing], UInt8]] = MappingProxyType(
    {Resize.SHORTEST: _shortest, Resize.LONGEST: _longest, Resize.SQUASH: _squash}
)
