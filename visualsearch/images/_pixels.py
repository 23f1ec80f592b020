"""Any Pillow picture -> upright 8-bit sRGB on white."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PROFILE_BYTES = 4 << 20
"""Colour profiles larger than this are ignored; press profiles for CMYK reach about 3 MB."""

WHITE = 255
_ORIENTATION = 0x0112  # Exif 2.3, tag 274
_PHOTOMETRIC, _BITS = 262, 258  # TIFF 6.0

# Exif orientation -> the turn that brings the picture upright (CIPA DC-008, 4.6.4 A)
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}

_QUARTERS = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""

_WIDE_MODES = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_ALPHA_MODES = {"LA", "RGBA", "PA"}


def to_rgb(image: Image, *, own: bool = False, colours: Image | None = None) -> Image:
    """`image`, loaded, of any mode -> a new upright RGB picture: ICC applied, alpha on white, orientation
    undone.

    `own` says that nobody else holds `image`: its pixels are then taken over where they need no change. `colours` are
    its pixels, scaled and in a mode without alpha, where they were decoded apart from it; `image` need not be loaded then.
    """
    turn = _TURNS.get(_orientation(image))
    colour, alpha = _split(image) if colours is None else (colours, None)
    rgb = _to_srgb(colour, image.info.get("icc_profile"))
    if alpha is not None:
        canvas = Pillow.new("RGB", rgb.size, (WHITE, WHITE, WHITE))
        canvas.paste(rgb, mask=alpha)
        rgb = canvas
    if turn is not None:
        rgb = rgb.transpose(turn)
    elif rgb is image:
        # an untouched picture is the caller's, or the file's own lazy object, which holds on to the file
        rgb = image._new(image.im) if own else image.copy()
    elif rgb is colours:
        rgb = colours._new(colours.im)
    # profile and orientation have been applied: left behind, they would be applied once more by the next reader
    rgb.info = {}
    return rgb


def turned(image: Image) -> bool:
    """Whether the upright picture has width and height exchanged; `image` need not be loaded."""
    return _orientation(image) in _QUARTERS


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata must not cost the picture
        return 1


def _split(image: Image) -> tuple[Image, Image | None]:
    """The colours (mode L, RGB, CMYK, LAB or YCbCr) and the alpha (L) or None."""
    if image.mode in _WIDE_MODES:
        return _narrow(image)
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    key = image.info.get("transparency")
    if key is not None and image.mode in ("1", "L", "RGB"):
        return _keyed(image, key)
    if image.mode == "P":
        has_alpha = key is not None or (image.palette is not None and image.palette.mode == "RGBA")
        image = image.convert("RGBA" if has_alpha else "RGB")
    elif image.mode == "PA":
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode in _ALPHA_MODES:
        base = image.mode[:-1]
        alpha = image.getchannel("A")
        return image.convert(base), None if alpha.getextrema()[0] == WHITE else alpha
    return image, None


def _keyed(image: Image, key: Any) -> tuple[Image, Image | None]:
    """A picture in which one exact value means transparent (PNG tRNS, 11.3.2.1)."""
    base = image.convert("L") if image.mode == "1" else image
    pixels = np.asarray(base)
    samples = np.array(key, dtype=np.int64)
    depth = image.info.get("png_depth", 8)
    if depth != 8:  # the key counts in the file's own depth, the pixels are already 8 bits
        samples = samples >> 8 if depth == 16 else samples * WHITE // ((1 << depth) - 1)
    hidden = pixels == samples
    if hidden.ndim == 3:
        hidden = hidden.all(axis=2)
    return base, Pillow.fromarray(np.where(hidden, 0, WHITE).astype(np.uint8))


def _narrow(image: Image) -> tuple[Image, Image | None]:
    """Grey of 12, 16 or 32 bits or floating point -> 8 bits, by the range its type or its values speak of.

    16-bit integers span 0..65535 (12-bit TIFFs 0..4095). 32-bit integers and floats carry no range of their
    own: values within 0..1, 0..255 and 0..65535 are taken at that scale, anything else is stretched from
    its least to its greatest value.
    """
    values = np.asarray(image)
    key = image.info.get("transparency")
    alpha = None
    if isinstance(key, int):
        alpha = Pillow.fromarray(np.where(values == key, 0, WHITE).astype(np.uint8))
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16"):
        high = 4095.0 if tags.get(_BITS, (16,))[0] == 12 else 65535.0
        table = _bytes(np.arange(65536, dtype=np.float32), 0.0, high)
        if tags.get(_PHOTOMETRIC) == 0:  # white is zero; Pillow turns 8 bits around, not 16
            table = WHITE - table
        return Pillow.fromarray(table[values]), alpha
    real: NDArray[np.float32] = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = _range(float(real.min()), float(real.max()), image.mode == "F")
    return Pillow.fromarray(_bytes(real, low, high)), alpha


def _bytes(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """`values` with low..high spread over 0..255 and rounded."""
    scaled: NDArray[np.float32] = np.clip((values - low) / (high - low), 0.0, 1.0) * WHITE
    return np.rint(scaled).astype(np.uint8)


def _range(least: float, greatest: float, real: bool) -> tuple[float, float]:
    for top in (1.0, 255.0, 65535.0) if real else (255.0, 65535.0):
        if least >= 0.0 and greatest <= top:
            return 0.0, top
    return least, greatest if greatest > least else least + 1.0


def _to_srgb(image: Image, profile: bytes | None) -> Image:
    if image.mode == "LAB":
        return _lab_transform().apply(image)
    if profile and len(profile) <= MAX_PROFILE_BYTES:
        for mode in dict.fromkeys((image.mode, "RGB")):  # grey pictures often carry an RGB profile
            if mode == "RGB" and image.mode == "CMYK":
                continue
            transform = _transform(bytes(profile), mode)
            if transform is _SAME:
                break
            if transform is not None:
                source = image if image.mode == mode else image.convert(mode)
                return transform.apply(source)
    return image if image.mode == "RGB" else image.convert("RGB")


_SAME = object()
"""The profile is sRGB already, or so near that no channel would move by more than one step."""

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """The transform of `profile` for pictures of `mode` to sRGB; _SAME when it changes nothing, None when
    unusable.

    A transform is read-only once built and shared by threads.
    """
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES.get(mode):
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "RGB":
            probe = _probe()
            moved = np.abs(np.asarray(transform.apply(probe), np.int16) - np.asarray(probe, np.int16))
            if moved.max() <= 1:
                return _SAME
    except Exception:  # a broken profile: the numbers are then taken as sRGB, as browsers do
        return None
    return transform


@lru_cache(maxsize=1)
def _lab_transform() -> Any:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )


@lru_cache(maxsize=1)
def _probe() -> Image:
    """A (81, 9) picture of 9x9x9 colours spread evenly over the cube."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return Pillow.fromarray(cube.reshape(81, 9, 3))
