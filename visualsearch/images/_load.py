"""Whatever a caller holds -> upright RGB."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.Image import Image

from visualsearch.errors import PictureError, UsageError
from visualsearch.fetch import fetch, local_path, read_file
from visualsearch.types import MAX_PIXELS

from ._budget import hold, in_hand
from ._cost import cost
from ._decode import decode
from ._limits import check_pixels, check_size
from ._pixels import to_rgb

Picture: TypeAlias = str | Path | bytes | Image | NDArray[np.uint8]
"""A path or http(s) address, a path, a file's bytes, a Pillow picture, or an array (h, w), (h, w, 3) or (h, w, 4) of uint8.

A torch tensor is taken too: channels first or last, uint8, or floats 0..1.
"""

_ARRAY_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load(picture: Picture, *, max_pixels: int = MAX_PIXELS, target: int | None = None) -> Image:
    """Any `Picture` -> upright RGB; `max_pixels` and `target` as for `decode`.

    A str that begins with http:// or https:// is fetched, one that begins with file:// is a local path.
    Raises PictureError when it cannot be read or decoded, UsageError for a value that is no picture at all.
    """
    if isinstance(picture, (str, Path)):
        return decode(_read(picture), name=str(picture), max_pixels=max_pixels, target=target)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return decode(bytes(picture), max_pixels=max_pixels, target=target)
    if isinstance(picture, Pillow.Image):
        return _from_pillow(picture, max_pixels)
    if type(picture).__module__.partition(".")[0] == "torch":
        return _from_array(_of_tensor(picture), max_pixels)
    if isinstance(picture, np.ndarray):
        return _from_array(picture, max_pixels)
    raise UsageError(
        f"a {type(picture).__name__} is not a picture",
        "expected a path, an address, bytes, a Pillow picture, a uint8 array or a torch tensor",
        "Convert it first",
    )


def thumbnail(
    picture: Picture, size: int, format: str = "JPEG", quality: int = 85, *, max_pixels: int = MAX_PIXELS
) -> bytes:
    """`picture` scaled down so that its longer side is at most `size` pixels, as the bytes of a JPEG or
    WEBP file.

    `quality` is 1..100, `max_pixels` as for
    `decode`. Metadata is left out. Raises UsageError for another format or an impossible size.
    """
    if format.upper() not in ("JPEG", "WEBP"):
        raise UsageError(
            f"thumbnails cannot be {format!r}", "only JPEG and WEBP are written", "Use 'JPEG' or 'WEBP'"
        )
    if size < 1:
        raise UsageError(
            f"a thumbnail of {size} pixels cannot be made", "it needs at least 1", "Use 256, for example"
        )
    out = BytesIO()
    with in_hand():
        small = load(picture, max_pixels=max_pixels, target=size)
        small.thumbnail((size, size), Pillow.Resampling.LANCZOS)
        small.save(out, format.upper(), quality=quality)
    return out.getvalue()


def _read(place: str | Path) -> bytes:
    text = os.fspath(place)
    scheme = urlsplit(text).scheme.lower() if isinstance(place, str) and "://" in text else ""
    if scheme in ("http", "https"):
        return fetch(text)
    if scheme == "file":
        return read_file(local_path(text), name=text)
    return read_file(text)


def _from_pillow(picture: Image, max_pixels: int) -> Image:
    name = str(getattr(picture, "filename", "") or "picture")
    check_size(picture.size, max_pixels, name)
    if not getattr(picture, "tile", ()):  # in memory already, and the caller's to count
        return to_rgb(picture)
    try:
        with hold(cost(picture, picture.format or "", 0), name):
            picture.load()
            return to_rgb(picture)
    except PictureError:
        raise
    except Exception as error:  # a lazy picture decodes here, and raises what its plugin stumbles over
        raise PictureError(name, f"it cannot be decoded ({error})", "Restore it from a good copy") from error


def _of_tensor(tensor: Any) -> NDArray[Any]:
    """A torch tensor as (h, w), (h, w, 3) or (h, w, 4) uint8: channels may come first, floats are 0..1."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    if array.ndim == 3 and array.shape[0] in _ARRAY_MODES and array.shape[2] not in _ARRAY_MODES:
        array = array.transpose(1, 2, 0)
    if array.dtype.kind != "f":
        return array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        raise UsageError(
            f"a tensor of floats from {low:g} to {high:g} is not a picture",
            "floats are taken as 0 to 1, so this one is normalised, or holds 0 to 255",
            "Undo the normalisation, or convert it: (tensor * 255).round().to(torch.uint8)",
        )
    return (array.astype(np.float32) * 255).round().astype(np.uint8)


def _from_array(array: NDArray[Any], max_pixels: int) -> Image:
    shape = array.shape
    channels = 1 if array.ndim == 2 else shape[2] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in _ARRAY_MODES or 0 in shape:
        raise UsageError(
            f"an array of shape {shape} and type {array.dtype} is not a picture",
            "expected (h, w), (h, w, 3) or (h, w, 4) of uint8, none of them 0",
            "Convert it: for values 0..1, (array * 255).round().astype('uint8')",
        )
    check_pixels((shape[1], shape[0]), max_pixels, "picture")
    flat = array[..., 0] if array.ndim == 3 and channels == 1 else array
    return to_rgb(Pillow.fromarray(np.ascontiguousarray(flat)))
