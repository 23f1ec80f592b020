"""Queries made from pictures: a part of one, or a cut-out object, on another picture's ground."""

from __future__ import annotations

from pathlib import Path

from numpy.random import Generator
from PIL import Image

from visualsearch.errors import PictureError

SIDE = 320  # pixels of a composed query; more than the image towers in use take


def window(picture: Image.Image, rng: Generator, low: float, high: float) -> Image.Image:
    """A part of the picture whose width and height are one share, low..high, of the picture's, at a random place."""
    share = rng.uniform(low, high)
    width, height = (max(1, round(side * share)) for side in picture.size)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def cut_out(path: Path) -> Image.Image:
    """A picture with transparency as RGBA, cut to what is visible. Raises PictureError."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(str(path), f"it cannot be decoded ({error})", "Fetch the set again") from error
    box = picture.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    if box is None:
        raise PictureError(str(path), "nothing in it is visible", "Fetch the set again")
    return picture.crop(box)


def onto(ground: Image.Image, piece: Image.Image, rng: Generator, low: float, high: float) -> Image.Image:
    """The piece, its longer side low..high of the whole, at a random place of a square of the ground: RGB, SIDE wide.

    `piece` is RGB or RGBA; `ground` gives a random square window of 60 to 100 % of its shorter side.
    """
    edge = max(1, round(min(ground.size) * rng.uniform(0.6, 1.0)))
    left, top = (int(rng.integers(0, side - edge + 1)) for side in ground.size)
    scene = ground.crop((left, top, left + edge, top + edge)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    scale = SIDE * rng.uniform(low, high) / max(piece.size)
    width, height = (max(1, round(side * scale)) for side in piece.size)
    small = piece.convert("RGBA").resize((width, height), Image.Resampling.BICUBIC)
    corner = (int(rng.integers(0, SIDE - width + 1)), int(rng.integers(0, SIDE - height + 1)))
    scene.paste(small, corner, small)
    return scene
