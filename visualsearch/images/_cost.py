"""How much memory a picture takes at most while it is decoded and worked on, told from its header.

Bytes per pixel were measured as the peak of a process that decoded pictures of 36 megapixels of every format and mode
(`benchmarks/decode_memory.py`). Pillow's own pixels take 4, scaling with the compiled loops 6 more, alpha laid on white 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_WORK = 10.5
"""An RGB picture that is scaled."""

_MODES: Mapping[str, float] = MappingProxyType(
    {
        "LA": 17,
        "La": 17,
        "PA": 17,
        "RGBA": 17,
        "RGBa": 17,
        "I;16": 14,
        "I;16B": 14,
        "F": 24,
        "I": 24,
        "CMYK": 12,
    }
)
_TRANSPARENT = 17
"""Where a colour of the file means transparent: masks and an alpha channel come on top."""

_DECODERS: Mapping[str, float] = MappingProxyType(
    # WebP holds two canvases and a copy; TIFF may be one strip; AVIF and HEIC decode into planes of up to 16 bits.
    {"WebP": 25, "WEBP": 25, "AVIF": 20, "HEIC": 20, "HEIF": 20}
)
_STRIPS = 8
_COEFFICIENTS = 2
"""A JPEG of several scans is held as coefficients of 16 bits, one for each sample, at full size."""

_READ = 2
"""A progressive JPEG that is cut after its first scan is held beside the file."""

_FIXED = 1 << 20


def canvas_cost(form: str, size: tuple[int, int], stored: int) -> int:
    """The bytes a file of `stored` bytes in the format `form` takes, as far as its (width, height) alone tells."""
    return _FIXED + stored + round(size[0] * size[1] * max(_DECODERS.get(form, 0), _WORK))


def cost(image: Image, form: str, stored: int, scale: int = 1, several_scans: bool = False) -> int:
    """The bytes that `image`, opened but not loaded, takes until it is upright, RGB, and scaled for a model.

    `scale` is 1, 2, 4 or 8 where a JPEG is decoded scaled down.
    """
    pixels = image.size[0] * image.size[1]
    each = max(_MODES.get(image.mode, _WORK), _DECODERS.get(form, 0))
    if "transparency" in image.info:
        each = max(each, _TRANSPARENT)
    if form == "TIFF":
        each += _STRIPS
    total: float = each * pixels / scale**2
    if several_scans:
        total += _COEFFICIENTS * len(image.getbands()) * pixels
    return _FIXED + (_READ if form == "JPEG" else 1) * stored + round(total)
