"""Views of pictures: the changes under which a picture should stay findable.

All functions take a numpy Generator and work on (h, w, 3) uint8 RGB or (h, w, 4) uint8 RGBA; views are (SIZE, SIZE, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from store import Pixels
from texts import COLOURS

cv2.setNumThreads(1)
SIZE = 224


def resize(pixels: Pixels, w: int, h: int) -> Pixels:
    shrinking = w * h < pixels.shape[0] * pixels.shape[1]
    mode = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return cv2.resize(pixels, (max(1, w), max(1, h)), interpolation=mode)


def fit_shortest(pixels: Pixels, size: int = SIZE) -> Pixels:
    h, w = pixels.shape[:2]
    scale = size / min(h, w)
    grown = resize(pixels, max(size, round(w * scale)), max(size, round(h * scale)))
    y, x = (grown.shape[0] - size) // 2, (grown.shape[1] - size) // 2
    return grown[y : y + size, x : x + size]


def fit_squash(pixels: Pixels, size: int = SIZE) -> Pixels:
    return resize(pixels, size, size)


def fit_longest(pixels: Pixels, size: int = SIZE, fill: int = 255) -> Pixels:
    h, w = pixels.shape[:2]
    scale = size / max(h, w)
    small = resize(pixels, min(size, round(w * scale)), min(size, round(h * scale)))
    out = np.full((size, size, 3), fill, np.uint8)
    y, x = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    out[y : y + small.shape[0], x : x + small.shape[1]] = small
    return out


FITS: dict[str, Callable[[Pixels], Pixels]] = {
    "shortest": fit_shortest,
    "squash": fit_squash,
    "longest": fit_longest,
}


def on_white(rgba: Pixels, margin: float = 0.06) -> Pixels:
    """A cut-out centred on a white square, as catalogs show it."""
    h, w = rgba.shape[:2]
    side = round(max(h, w) * (1 + 2 * margin))
    canvas = np.full((side, side, 3), 255, np.uint8)
    return paste(canvas, rgba, (side - h) // 2, (side - w) // 2)


def paste(canvas: Pixels, rgba: Pixels, y: int, x: int) -> Pixels:
    """`rgba` laid over a copy of `canvas` with its corner at (y, x); it must fit."""
    h, w = rgba.shape[:2]
    out = canvas.copy()
    under = out[y : y + h, x : x + w].astype(np.float32)
    alpha = rgba[:, :, 3:].astype(np.float32) / 255
    out[y : y + h, x : x + w] = (rgba[:, :, :3] * alpha + under * (1 - alpha) + 0.5).astype(np.uint8)
    return out


def window(pixels: Pixels, rng: Generator, low: float, high: float) -> Pixels:
    """A random window whose sides are low..high of the picture's, of aspect 3:4 to 4:3 within that."""
    h, w = pixels.shape[:2]
    side = rng.uniform(low, high)
    stretch = np.exp(rng.uniform(-0.14, 0.14))
    ch, cw = int(np.clip(h * side * stretch, 8, h)), int(np.clip(w * side / stretch, 8, w))
    y, x = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
    return pixels[y : y + ch, x : x + cw]


def colour_shift(pixels: Pixels, rng: Generator, strength: float = 1.0) -> Pixels:
    """Brightness, contrast, saturation and a cast, as lamps and cameras change them."""
    x = pixels[:, :, :3].astype(np.float32)
    x *= 1 + strength * rng.uniform(-0.3, 0.3)
    mean = x.mean()
    x = (x - mean) * (1 + strength * rng.uniform(-0.3, 0.3)) + mean
    grey = x @ np.array([0.299, 0.587, 0.114], np.float32)
    x = grey[:, :, None] + (x - grey[:, :, None]) * (1 + strength * rng.uniform(-0.5, 0.4))
    x *= 1 + strength * rng.uniform(-0.1, 0.1, 3).astype(np.float32)
    out = pixels.copy()
    out[:, :, :3] = np.clip(x, 0, 255).astype(np.uint8)
    return out


def turn_hue(pixels: Pixels, degrees: float) -> Pixels:
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2HSV)
    hsv[:, :, 0] = (hsv[:, :, 0].astype(np.int16) + round(degrees / 2)) % 180
    out = pixels.copy()
    out[:, :, :3] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return out


def jpeg(pixels: Pixels, rng: Generator) -> Pixels:
    quality = int(rng.integers(25, 90))
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if done else pixels


def coarse(pixels: Pixels, rng: Generator) -> Pixels:
    side = int(rng.integers(56, 160))
    return resize(resize(pixels, side, side), pixels.shape[1], pixels.shape[0])


def blur(pixels: Pixels, rng: Generator) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 2.0))


def grey(pixels: Pixels, rng: Generator) -> Pixels:
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)


# What happens to a finished view, and how often.
SPOILERS: tuple[tuple[float, Callable[[Pixels, Generator], Pixels]], ...] = (
    (0.2, coarse), (0.1, blur), (0.3, jpeg), (0.05, grey),
)  # fmt: skip


def spoil(pixels: Pixels, rng: Generator) -> Pixels:
    for chance, change in SPOILERS:
        if rng.random() < chance:
            pixels = change(pixels, rng)
    return pixels


def colour_name(pixels: Pixels, share: float = 0.55) -> int:
    """Index into COLOURS of the colour that covers at least `share` of the visible pixels, -1 where none does.

    The bounds on hue, saturation and value are ours, chosen by eye.
    """
    flat = pixels.reshape(-1, pixels.shape[2])
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 128]
    if len(flat) < 16:
        return -1
    flat = flat[:: max(1, len(flat) // 2000), :3]
    hsv = cv2.cvtColor(np.ascontiguousarray(flat[None]), cv2.COLOR_RGB2HSV)[0].astype(np.float32)
    hue, sat, val = hsv[:, 0] * 2, hsv[:, 1] / 255, hsv[:, 2] / 255
    warm = (hue < 50) | (hue > 340)
    tests = {
        "black": val < 0.2,
        "white": (sat < 0.12) & (val > 0.85),
        "grey": sat < 0.15,
        "beige": warm & (sat < 0.38) & (val > 0.7) & (hue > 15) & (hue < 50),
        "pink": ((hue > 320) | (hue < 12)) & (sat < 0.6) & (val > 0.7),
        "brown": (hue > 8) & (hue < 45) & (val < 0.62),
        "red": (hue < 14) | (hue > 345),
        "orange": hue < 42,
        "yellow": hue < 68,
        "green": hue < 168,
        "blue": hue < 258,
        "purple": hue < 300,
    }
    left = np.ones(len(hue), bool)
    for name, hit in tests.items():
        if (hit & left).mean() >= share:
            return COLOURS.index(name)
        left &= ~hit
    return COLOURS.index("pink") if left.mean() >= share else -1


@dataclass(frozen=True)
class View:
    pixels: Pixels  # (SIZE, SIZE, 3) uint8
    colour: int  # index into COLOURS, or -1
    plain: bool  # seen as a catalog or an album shows it


class Backgrounds:
    """White, plain colours, and windows of wallpapers and photographs."""

    def __init__(self, sources: Sequence[tuple[Callable[[int], Pixels], Sequence[int]]]) -> None:
        """Each source: a reader by row number and the rows that may be used."""
        self._sources = [(read, list(rows)) for read, rows in sources]

    def scene(self, rng: Generator, low: float = 0.25, high: float = 0.9) -> Pixels:
        read, rows = self._sources[int(rng.integers(len(self._sources)))]
        return fit_squash(window(read(rows[int(rng.integers(len(rows)))]), rng, low, high))

    def draw(self, rng: Generator) -> Pixels:
        kind = rng.random()
        if kind < 0.3:
            return np.full((SIZE, SIZE, 3), 255, np.uint8)
        if kind < 0.42:
            return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (SIZE, SIZE, 3)).copy()
        return self.scene(rng)


def centre(photo: Pixels) -> Pixels:
    """Two fifths of the sides, where what is shown most likely is."""
    h, w = photo.shape[:2]
    return np.ascontiguousarray(photo[int(h * 0.3) : int(h * 0.7), int(w * 0.3) : int(w * 0.7)])


SMALL, LARGE = (0.28, 0.55), (0.5, 1.0)  # sides of windows, of the photograph's


def photo_view(photo: Pixels, rng: Generator, backgrounds: Backgrounds) -> View:
    colour = colour_name(centre(photo))
    fit = tuple(FITS.values())[int(rng.choice(3, p=(0.4, 0.3, 0.3)))]
    if rng.random() < 0.25:
        return View(fit(photo), colour, True)
    sides = SMALL if rng.random() < 0.5 else LARGE
    part = window(photo, rng, *sides) if rng.random() < 0.8 else photo
    if rng.random() < 0.5:
        part = np.ascontiguousarray(part[:, ::-1])
    if rng.random() < 0.6:
        part = colour_shift(part, rng)
    if rng.random() < 0.25:
        side = int(SIZE * rng.uniform(0.5, 0.95))
        h, w = part.shape[:2]
        scale = side / max(h, w)
        part = resize(part, round(w * scale), round(h * scale))
        opaque = np.dstack([part, np.full(part.shape[:2], 255, np.uint8)])
        y, x = (int(rng.integers(0, SIZE - n + 1)) for n in part.shape[:2])
        return View(spoil(paste(backgrounds.draw(rng), opaque, y, x), rng), colour, False)
    return View(spoil(fit(part), rng), colour, False)


def object_view(rgba: Pixels, rng: Generator, backgrounds: Backgrounds, *, flips: bool) -> View:
    if rng.random() < 0.2:
        return View(fit_squash(on_white(rgba, rng.uniform(0, 0.12))), colour_name(rgba), True)
    if rng.random() < 0.08:
        rgba = turn_hue(rgba, rng.uniform(30, 330))
    colour = colour_name(rgba)
    if flips and rng.random() < 0.3:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    if rng.random() < 0.4:
        rgba = colour_shift(rgba, rng, 0.7)
    side = SIZE * rng.uniform(0.4, 1.0)
    h, w = rgba.shape[:2]
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    scale = side / max(h * stretch, w / stretch)
    rgba = resize(rgba, min(SIZE, round(w * scale / stretch)), min(SIZE, round(h * scale * stretch)))
    if rng.random() < 0.3:
        h, w = rgba.shape[:2]
        around = cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(-15, 15), 0.92)
        rgba = cv2.warpAffine(rgba, around, (w, h))
    y, x = (int(rng.integers(0, SIZE - n + 1)) for n in rgba.shape[:2])
    return View(spoil(paste(backgrounds.draw(rng), rgba, y, x), rng), colour, False)
