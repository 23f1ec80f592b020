"""Where one picture lies in another: one of eight turns and mirrors, and an upright rectangle.

Coarse: the second picture as 12 x 12 grey cells, in all eight symmetries, against 2,401 windows of the first (normalised
correlation). Fine: Gauss-Newton on the window's edges with gain and offset (Lucas and Kanade 1981; Baker and Matthews 2004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image

from visualsearch.types import Bool, Float32, Float64, UInt8

Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of a picture's sides; unlike `types.Box` it may reach beyond them."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

SIDE = 32
"""A thumbnail is SIDE x SIDE grey pixels, whatever the picture's own shape."""
CELLS = 12
SIZES = (32, 30, 28, 26, 24, 22, 20)
"""Widths and heights of the windows in pixels of the thumbnail: a crop may keep as little as 62 % of a side."""
FEW_WINDOWS = 2
"""Every second size and place: 256 windows in place of 2,401, enough to leave most pairs alone."""
SHAPE = 0.12
"""A window's shape may differ from the other picture's by this much (natural logarithm); the whole picture's by any."""
TURNS: tuple[Image.Transpose | None, ...] = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)
"""The symmetries of a rectangle; from the fifth on, width and height change places."""
CLIPPED = 248
PADDED = 0.125
"""How far beyond the first picture's edge a window may reach, as a share of its side."""


@dataclass(frozen=True)
class Place:
    """The second picture, turned by TURNS[turn], lies in the first's rectangle `box` (x0, y0, x1, y1 as shares of its sides)."""

    turn: int
    box: Box


def thumbnail(picture: Image.Image) -> UInt8:
    """(SIDE, SIDE) grey."""
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.uint8)


def cells(thumbnails: UInt8) -> Float32:
    """(n, SIDE, SIDE) thumbnails -> (n, 8, CELLS * CELLS): in each symmetry, mean 0 and length 1; zeros where all is even."""
    whole = _windows(0, SIDE)
    small = whole @ thumbnails.astype(np.float32) @ whole.T
    turned = np.stack([_turned(small, turn) for turn in range(len(TURNS))], axis=1)
    return _normal(turned.reshape(len(small), len(TURNS), -1))


def bank(thumbnail: UInt8) -> Float32:
    """(windows, CELLS * CELLS): every window of a thumbnail, normalised as `cells` are."""
    return _normal(_windows_of(thumbnail, _grid(1)[0]))


def glance(thumbnail: UInt8, others: Float32) -> Float32:
    """(n,) correlation of other pictures' `cells`, (n, turns, CELLS * CELLS), with the best of a few windows of a thumbnail.

    A quarter of the cells, so that a window half a cell off fits well: a bound to leave most pairs alone.
    """
    few = _coarser(_windows_of(thumbnail, _grid(FEW_WINDOWS)[0]))
    best: Float32 = np.einsum("wc,ntc->wnt", few, _coarser(others)).max((0, 2))
    return best


def places(
    windows: Float32, shape: float, others: Float32, shapes: Float32
) -> tuple[Float32, list[list[Place]]]:
    """For each other picture, the best correlation and place in each symmetry that is given.

    `windows` is the first picture's bank and `shape` its width / height; `others` is (n, turns, cells), `shapes` (n,). Returns
    (n, turns) correlations and their places.
    """
    spans = _grid(1)[1]
    count = len(spans)
    # (turns, n, window's rows, columns): each product is small, see `_products`
    scores = np.stack(
        [[(windows.reshape(count, count, -1) @ cells[:, None]).ravel() for cells in each] for each in others]
    )
    lengths = np.log(spans[:, 1] - spans[:, 0])
    # width / height of each window, in logarithms: rows of the grid are heights, columns are widths
    of_window = (np.log(shape) + lengths[None, :] - lengths[:, None]).ravel()
    whole = np.zeros(count**2, bool)
    whole[0] = True
    best = np.empty(others.shape[:2], np.float32)
    found: list[list[Place]] = []
    for number in range(len(others)):
        row = []
        for turn in range(others.shape[1]):
            own = np.log(shapes[number]) * (1 if turn < 4 else -1)
            fits: Bool = (np.abs(of_window - own) <= SHAPE) | whole
            chosen = int(np.argmax(np.where(fits, scores[number, turn], -1)))
            best[number, turn] = scores[number, turn, chosen]
            (top, bottom), (left, right) = spans[chosen // count], spans[chosen % count]
            row.append(Place(turn, (float(left), float(top), float(right), float(bottom))))
        found.append(row)
    return best, found


def turned(picture: Image.Image, turn: int) -> Image.Image:
    """The picture in one of its eight symmetries."""
    how = TURNS[turn]
    return picture if how is None else picture.transpose(how)


def grid(picture: Image.Image, side: int) -> tuple[int, int]:
    """(width, height) of the picture when its longer side has `side` pixels, or its own when that is less."""
    scale = min(1.0, side / max(picture.size))
    return max(4, round(picture.width * scale)), max(4, round(picture.height * scale))


class Padded:
    """A picture that can be cut beyond its edges."""

    def __init__(self, picture: Image.Image) -> None:
        pixels = np.asarray(picture)
        self.size = picture.size
        self.pad = tuple(max(2, round(PADDED * side)) for side in picture.size)
        wide, high = self.pad
        extra = ((high, high), (wide, wide)) + ((0, 0),) * (pixels.ndim - 2)
        self.picture = Image.fromarray(np.pad(pixels, extra, mode="edge"))

    def whole(self) -> Image.Image:
        """The picture without its padding."""
        wide, high = self.pad
        return self.picture.crop((wide, high, wide + self.size[0], high + self.size[1]))

    def cut(self, box: Box, size: tuple[int, int]) -> Image.Image:
        """The rectangle, given in shares of the picture, in `size` pixels."""
        wide, high = self.size
        left, top = self.pad
        x0, y0, x1, y1 = self.held(box)
        # rounding must not take an edge out of the padding
        x0, x1 = (min(max(x * wide + left, 0.0), float(self.picture.width)) for x in (x0, x1))
        y0, y1 = (min(max(y * high + top, 0.0), float(self.picture.height)) for y in (y0, y1))
        pixels = (x0, y0, x1, y1)
        return self.picture.resize(size, Image.Resampling.BICUBIC, box=pixels)

    def held(self, box: Box) -> Box:
        """The rectangle, its edges moved to where the padding ends."""
        low = [-pad / side for pad, side in zip(self.pad, self.size, strict=True)]
        x0, x1 = (min(max(x, low[0]), 1 - low[0]) for x in (box[0], box[2]))
        y0, y1 = (min(max(y, low[1]), 1 - low[1]) for y in (box[1], box[3]))
        return x0, y0, x1, y1


def inside(box: Box, size: tuple[int, int]) -> Bool:
    """(h, w): which pixels of the window lie in the picture itself, to half a pixel."""
    wide, high = size
    x = box[0] + (np.arange(wide) + 0.5) / wide * (box[2] - box[0])
    y = box[1] + (np.arange(high) + 0.5) / high * (box[3] - box[1])
    edge_x, edge_y = (box[2] - box[0]) / wide, (box[3] - box[1]) / high
    fits_x = (x > min(edge_x, 0.25) * (box[0] < 0)) & (x < 1 - min(edge_x, 0.25) * (box[2] > 1))
    fits_y = (y > min(edge_y, 0.25) * (box[1] < 0)) & (y < 1 - min(edge_y, 0.25) * (box[3] > 1))
    fits: Bool = fits_y[:, None] & fits_x[None, :]
    return fits


def settle(
    first: Padded, second: Image.Image, place: Place, side: int, steps: int
) -> tuple[Place, float] | None:
    """The place, its edges moved to where the grey pictures agree best, and their correlation there; None when it got lost.

    `first` and `second` are grey, and `second` is not turned yet; they are compared at `side` pixels.
    """
    target, box = turned(second, place.turn), place.box
    size = grid(target, side)
    wanted = np.asarray(target.resize(size, Image.Resampling.BICUBIC), np.float32)
    for _ in range(steps):
        moved = _step(first, wanted, box, size)
        if moved is None:
            return None
        done = max(abs(a - b) for a, b in zip(moved, box, strict=True)) < 0.05 / side
        box = first.held(moved)
        if done:
            break
    return Place(place.turn, box), _agreement(first, wanted, box, size)


# -- parts --------------------------------------------------------------------------------------------------------
def _step(first: Padded, wanted: Float32, box: Box, size: tuple[int, int]) -> Box | None:
    """One Gauss-Newton step of the window's four edges, with gain and offset; pixels that fit badly count less."""
    seen = np.asarray(first.cut(box, size), np.float32)
    wide, high = size
    slopes = np.zeros((7, high, wide), np.float32)
    # How the window's pixels change as an edge moves by one share of the first picture: left, top, right, bottom.
    along, down = slopes[2], slopes[3]
    along[:, 1:-1] = (seen[:, 2:] - seen[:, :-2]) * (0.5 * wide / (box[2] - box[0]))
    down[1:-1] = (seen[2:] - seen[:-2]) * (0.5 * high / (box[3] - box[1]))
    slopes[0], slopes[1] = along, down
    u = ((np.arange(wide, dtype=np.float32) + 0.5) / wide)[None, :]
    v = ((np.arange(high, dtype=np.float32) + 0.5) / high)[:, None]
    slopes[0] *= 1 - u
    slopes[1] *= 1 - v
    slopes[2] *= u
    slopes[3] *= v
    slopes[4], slopes[5], slopes[6] = seen, 1, wanted
    weights: Float32 = inside(box, size).astype(np.float32) * _weights(seen, wanted)
    both = _products(slopes[:6] * weights, slopes)
    normal = both[:, :6]
    normal[np.diag_indices(6)] += 1e-4 * np.trace(normal[:4, :4]) / 4 * np.array([1, 1, 1, 1, 0, 0]) + 1e-6
    try:
        found = np.linalg.solve(normal, both[:, 6])
    except np.linalg.LinAlgError:
        return None
    gain = found[4]
    if not np.isfinite(found).all() or gain < 0.1:
        return None
    moves = np.clip(found[:4] / gain, -0.06, 0.06)
    x0, y0, x1, y1 = (float(edge + move) for edge, move in zip(box, moves, strict=True))
    return (x0, y0, x1, y1) if x1 - x0 > 0.3 and y1 - y0 > 0.3 else None


def _agreement(first: Padded, wanted: Float32, box: Box, size: tuple[int, int]) -> float:
    """Correlation of all pixels that both have. Each counts the same: with weights, other pictures would fit as well."""
    seen = np.asarray(first.cut(box, size), np.float32)
    fits = inside(box, size) & ~_lost(seen, wanted)
    if fits.mean() < 0.4:
        return 0.0
    both = np.stack([seen, wanted])
    both = ((both - both[:, fits].mean(1)[:, None, None]) * fits).astype(np.float32)
    products = _products(both, both)
    return float(products[0, 1] / max((products[0, 0] * products[1, 1]) ** 0.5, 1e-6))


def _products(a: Float32, b: Float32) -> Float64:
    """(i, h, w) and (j, h, w) -> (i, j): sums of the products of their pixels, row by row.

    BLAS starts threads for products of a few 10,000 numbers, which then wait for one another: a hundred times slower.
    """
    out: Float64 = np.matmul(a.transpose(1, 0, 2), b.transpose(1, 2, 0)).sum(0, dtype=np.float64)
    return out


def _weights(seen: Float32, wanted: Float32) -> Float32:
    """(h, w) 0..1: pixels that fit badly count less, so that a text laid over the picture does not move it."""
    scale = float(wanted.std()) / max(float(seen.std()), 1e-3)
    left = wanted - wanted.mean() - (seen - seen.mean()) * scale
    few = left.ravel()[:: max(1, left.size // 400)]  # enough for a median
    left -= np.median(few)
    spread = 2.5 * float(np.median(np.abs(few))) + 4.0
    weights: Float32 = np.where(_lost(seen, wanted), 0, 1 / (1 + (left / spread) ** 2)).astype(np.float32)
    return weights


def _lost(seen: Float32, wanted: Float32) -> Bool:
    """(h, w): where one of them is too bright to show what the other shows."""
    lost: Bool = (seen > CLIPPED) != (wanted > CLIPPED)
    return lost


def _turned(small: Float32, turn: int) -> Float32:
    """(n, h, w) in a symmetry, as Pillow's transpose does it."""
    turned: tuple[Callable[[Float32], Float32], ...] = (
        lambda x: x,
        lambda x: x[:, :, ::-1],
        lambda x: x[:, ::-1],
        lambda x: x[:, ::-1, ::-1],
        lambda x: x.transpose(0, 2, 1)[:, ::-1],
        lambda x: x.transpose(0, 2, 1)[:, :, ::-1],
        lambda x: x.transpose(0, 2, 1),
        lambda x: x[:, ::-1, ::-1].transpose(0, 2, 1),
    )
    return turned[turn](small)


def _normal(values: Float32) -> Float32:
    values = values - values.mean(-1, keepdims=True)
    lengths = np.sqrt(np.einsum("...i,...i->...", values, values))[..., None]
    out: Float32 = np.where(lengths > 1e-2, values / np.maximum(lengths, 1e-6), 0).astype(np.float32)
    return out


def _windows_of(thumbnail: UInt8, spans: Float32) -> Float32:
    """(n * n, CELLS * CELLS): the windows of n spans down and across."""
    low = spans @ thumbnail.astype(np.float32)
    both = low[:, None] @ spans.transpose(0, 2, 1)[None]
    return both.reshape(len(spans) ** 2, -1)


def _coarser(values: Float32) -> Float32:
    """(..., CELLS * CELLS) -> a quarter as many cells, normalised."""
    half = CELLS // 2
    cells = values.reshape(*values.shape[:-1], half, 2, half, 2).mean((-3, -1))
    return _normal(cells.reshape(*values.shape[:-1], half * half))


@cache
def _grid(step: int) -> tuple[Float32, Float32]:
    """(n, CELLS, SIDE) weights of the spans along one side, and (n, 2) where they begin and end, as shares."""
    spans = [(at, at + size) for size in SIZES[::step] for at in range(0, SIDE - size + 1, step)]
    weights = np.stack([_windows(low, high) for low, high in spans])
    return weights, np.array(spans, np.float32) / np.float32(SIDE)


def _windows(low: int, high: int) -> Float32:
    """(CELLS, SIDE) weights: means over equal parts of low .. high."""
    edges = np.linspace(low, high, CELLS + 1)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.maximum(overlap, 0)
    out: Float32 = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return out
