"""The pictures of a page: small JPEGs, each written once however often it is shown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from visualsearch import images
from visualsearch.errors import VisualSearchError
from visualsearch.types import WHOLE, Box

Loader = Callable[[str], images.Picture]
"""A pin's uri -> anything `visualsearch.images.load` takes, the picture's bytes say. Raises PictureError (or
OSError). Called from several threads at once.
"""

QUERY_SIZE = 480  # pixels, the longer side of a query's picture
HIT_SIZE = 256
EVEN = 24  # of 255; a border whose channels differ less is of one colour


@dataclass(frozen=True)
class Thumb:
    """A thumbnail ready for the page, or the reason there is none."""

    data: bytes = b""
    width: int = 0
    height: int = 0
    ground: str = ""  # CSS colour of its border when that is even, so that the tile can continue it
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Figure:
    """A thumbnail as its template takes it. `data` is its base64 where it is shown for the first time.

    `marked` is x, y, width, height of a box in it, in pixels; None where the box is the whole picture.
    """

    alt: str
    reason: str
    width: int
    height: int
    ground: str
    name: str
    data: str
    marked: tuple[str, ...] | None


class Tiles:
    """Makes thumbnails, and remembers which are on the page. `pin` and `query` may be called from several threads."""

    def __init__(self, picture: Loader, max_pixels: int) -> None:
        self._picture, self._max_pixels = picture, max_pixels
        self._written: dict[str, str] = {}  # digest of a thumbnail -> its element's id

    def pin(self, uri: str) -> Thumb:
        """The thumbnail of a pin, its picture fetched by the caller's loader."""
        try:
            picture = self._picture(uri)
        except (VisualSearchError, OSError) as error:
            return Thumb(reason=_reason(error))
        return self._thumb(picture, HIT_SIZE)

    def query(self, picture: images.Picture) -> Thumb:
        """The thumbnail of a query's picture."""
        return self._thumb(picture, QUERY_SIZE)

    def _thumb(self, picture: images.Picture, size: int) -> Thumb:
        try:
            small = images.load(picture, max_pixels=self._max_pixels, target=size)
        except VisualSearchError as error:
            return Thumb(reason=_reason(error))
        data, small = jpeg(small, size, 84)
        return Thumb(data, small.width, small.height, _ground(small), hashlib.sha256(data).hexdigest())

    def figure(self, thumb: Thumb, box: Box, alt: str) -> Figure:
        """The thumbnail as it is shown next on the page."""
        data, name = "", self._written.get(thumb.digest, "")
        if not thumb.reason and not name:
            name = self._written[thumb.digest] = f"p{len(self._written) + 1}"
            data = base64.b64encode(thumb.data).decode()
        marked = None if tuple(box) == tuple(WHOLE) else _marked(box, thumb.width, thumb.height)
        return Figure(alt, thumb.reason, thumb.width, thumb.height, thumb.ground, name, data, marked)


def jpeg(picture: Image.Image, size: int, quality: int) -> tuple[bytes, Image.Image]:
    """A copy whose longer side is at most `size` pixels: as a JPEG file, and its pixels."""
    small = picture.copy()
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue(), small


def _marked(box: Box, width: int, height: int) -> tuple[str, ...]:
    x, y = box.x0 * width, box.y0 * height
    w, h = (box.x1 - box.x0) * width, (box.y1 - box.y0) * height
    return tuple(f"{value:.1f}" for value in (x, y, w, h))


def _ground(picture: Image.Image) -> str:
    """The colour of the border as CSS when all its pixels are alike, else the empty string."""
    pixels = np.asarray(picture, np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if (border.max(axis=0) - border.min(axis=0)).max() > EVEN:
        return ""
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _reason(error: Exception) -> str:
    """Why a picture is missing, in a few words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return getattr(error, "why", "") or str(error)
