"""Bytes -> upright RGB pixels, or one PictureError."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.errors import PictureError
from visualsearch.types import MAX_PIXELS, UInt8

from ._budget import hold, in_hand
from ._cost import canvas_cost, cost
from ._jpeg import without_details
from ._jpeg_end import with_end
from ._limits import check_claims, check_size
from ._pixels import to_rgb
from ._sniff import Format, explain_foreign, sniff

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.JpegImagePlugin import JpegImageFile

DRAFT_MARGIN = 1.6
"""How many times `target` the shorter side stays after a JPEG was decoded scaled; `benchmarks/decode.py` measures how near
the embedding then is to that of the whole picture. At 1.6 a photograph of 12 megapixels is read at 1/8 for 224 pixels.
"""

MEANS_MARGIN = 1.9
"""The same where a progressive JPEG is read up to the means of its blocks only. Most files hold colours at half the size, so
they then have about as many pixels as the target. At 1.67 one photograph in twelve fell to a cosine of 0.989
(EfficientNet-Lite0, float32), at 1.93 none below 0.9955. Of 24 megapixels it saves two thirds of the time.
"""

_EXPANDS = ("Decompressed data too large", "Too much memory used in text chunks")


def decode(
    data: bytes, *, name: str = "picture", max_pixels: int = MAX_PIXELS, target: int | None = None
) -> Image:
    """The picture in `data`, upright, in RGB (8 bits a channel, sRGB), alpha laid on white; of animations
    the first frame.

    `name` is what an error calls the picture. `target`, in pixels, says that the caller is going to shrink
    the picture to that shorter side: a JPEG may then be decoded at 1/2, 1/4 or 1/8 scale, its shorter side
    staying at least DRAFT_MARGIN times `target`. Safe to call from many threads at once. Raises PictureError, and nothing
    else, for anything that is not a whole picture of at most `max_pixels` pixels, its sides
    at most 65,535. Waits until the memory that it takes is free, see `limit_memory`.
    """
    form = sniff(data)
    if form is None:
        raise PictureError(name, *explain_foreign(data))
    try:
        return _decoded(data, form, name, max_pixels, target)
    except PictureError:
        raise
    except Exception as error:  # Pillow's plugins raise what their parsers stumble over: any type
        if form.name == "JPEG" and (whole := _ended(data, form, name, max_pixels)) is not None:
            return _decoded(whole, form, name, max_pixels, target)
        raise PictureError(name, *_explain(form, data, error)) from error


def _decoded(data: bytes, form: Format, name: str, max_pixels: int, target: int | None) -> Image:
    """The picture, its memory taken from the budget before a decoder may claim it."""
    with ExitStack() as held:
        canvas = form.canvas(data)
        check_size(canvas, max_pixels, name)
        scans = check_claims(form.name, data, max_pixels, name)
        if canvas is not None:  # Pillow allocates while it opens such a file
            held.enter_context(hold(canvas_cost(form.name, canvas, len(data)), name))
        image = held.enter_context(form.open(BytesIO(data)))
        check_size(image.size, max_pixels, name)
        if canvas is None:
            scale = _scale(image.size, target) if form.name == "JPEG" else 1
            held.enter_context(hold(cost(image, form.name, len(data), scale, scans > 1), name))
        if target and form.name == "JPEG":
            return _shrunk(image, data, form, target)
        image.load()
        return to_rgb(image, own=True)


def _scale(size: tuple[int, int], target: int | None) -> int:
    """By how much Pillow scales a JPEG down while it decodes it, so that DRAFT_MARGIN times `target` pixels stay."""
    least = round((target or 0) * DRAFT_MARGIN)
    times = min(size) // least if least else 1
    return next((scale for scale in (8, 4, 2) if times >= scale), 1)


def _ended(data: bytes, form: Format, name: str, max_pixels: int) -> bytes | None:
    """A JPEG of which nothing but the end marker is missing, with it; None where pixels are missing."""
    if form.whole(data):
        return None

    def pixels(variant: bytes) -> UInt8 | None:
        try:
            return np.asarray(_decoded(variant, form, name, max_pixels, None))
        except Exception:  # as in `decode`; what is wrong is told from the file as it is
            return None

    with in_hand():
        return with_end(data, pixels)


def _shrunk(image: JpegImageFile, data: bytes, form: Format, target: int) -> Image:
    """A JPEG at the smallest scale that leaves its shorter side DRAFT_MARGIN times `target` pixels."""
    least = round(target * DRAFT_MARGIN)
    if min(image.size) >= 8 * MEANS_MARGIN * target and image.info.get("progressive") and form.whole(data):
        start = without_details(data)
        if start is not None:
            with form.open(BytesIO(start)) as cut:
                cut.draft(None, (least, least))
                cut.load()
                return to_rgb(image, colours=cut)
    image.draft(None, (least, least))
    image.load()
    return to_rgb(image, own=True)


def _explain(form: Format, data: bytes, error: Exception) -> tuple[str, str]:
    """(why, remedy) for a picture whose format is known but which did not decode."""
    text = str(error)
    if isinstance(error, NotImplementedError) and len(error.args) == 2:
        return error.args[0], error.args[1]
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it", "Shrink it, or use fewer workers"
    if text.startswith(_EXPANDS):
        return (
            f"the compressed text or colour profile inside the {form.name} expands without end",
            "Leave it out: it may be a decompression bomb. Saving it without metadata helps, too",
        )
    if not form.whole(data):
        return (
            f"the {form.name} is truncated: it ends after {len(data)} bytes, in the middle of the picture",
            "Copy or download it again",
        )
    if text.startswith(("unknown pixel mode", "unknown raw mode", "Unsupported BMP", "unsupported")):
        return f"this variant of {form.name} is not supported ({text})", "Save it as 8-bit PNG or JPEG"
    detail = text.strip().splitlines()[0][:120] if text.strip() else type(error).__name__
    return f"the {form.name} data is corrupt ({detail})", "Restore it from a good copy, or leave it out"
