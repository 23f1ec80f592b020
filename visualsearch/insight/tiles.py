"""The map of a collection in tiles. Level 0 is one picture of all, and each level has four times as many tiles as the last.

Every pin has a place: between the clusters that it is nearest to, and within its cluster by what tells its members apart. Places
are sorted along a curve that keeps near ones together (Morton 1966). So a tile is a few slices of arrays.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from visualsearch.types import Float32, Float64, Int64

from .clusters import Collection
from .growth import Phase
from .trends import TrendReport

SIZE = 256
"""Pixels along a tile's side."""
PER_TILE = 64
"""Pins in a tile of the deepest level, about."""
DEEPEST = 8
MARGIN = 20
"""Pixels around a tile that are drawn with it, so that glow runs on over its edges."""
GLOW, LEAST_GLOW = 6.0, 0.06
SHOWN = 40
"""Most pins that a tile names."""
NEAREST, PULL = 3, 25.0
SAMPLE, ROUNDS = 1000, 10
BATCH = 16_384
SHADES = 64
PHASES = (Phase.RISING, Phase.PEAKING, Phase.FADING)
_INK = ((107, 118, 134), (24, 140, 74), (200, 130, 0), (200, 54, 43))


@dataclass(frozen=True)
class Look:
    """A cluster on the map. `x` and `y` (0..1) are from the left and from the top."""

    id: int
    name: str
    pins: int
    x: float
    y: float
    phase: str = ""
    factor: float | None = None
    low: float | None = None
    high: float | None = None
    leaders: Sequence[str] = ()


@dataclass(frozen=True)
class Tiles:
    """n pins sorted along the curve, (n,) each: `x` and `y` in 0..1 from the left and the top, `look` a place in `looks`.

    `row` is each one's place in `ids`; `rank` (n,) says which pins a tile names first. `glow` (looks,) is 0, or 1 + the place in
    `PHASES`. Levels run from 0 to `deepest`. `crowds` has pins a pixel of each level to `DEEPEST`, in tiles that hold any: one
    number for all of a level, so that its tiles fit together.
    """

    ids: Sequence[str] = field(repr=False)
    looks: Sequence[Look] = field(repr=False)
    x: Float32 = field(repr=False)
    y: Float32 = field(repr=False)
    look: Int64 = field(repr=False)
    row: Int64 = field(repr=False)
    rank: Float32 = field(repr=False)
    code: Int64 = field(repr=False)
    glow: Int64 = field(repr=False)
    deepest: int
    crowds: Sequence[float] = field(repr=False)

    def __len__(self) -> int:
        return len(self.x)

    def there(self, level: int) -> Iterator[tuple[int, int]]:
        """The tiles of a level that hold pins: (x, y)."""
        for code in np.unique(self.code >> 2 * (DEEPEST - level)).tolist():
            yield _apart(code), _apart(code >> 1)

    def named(self, level: int, x: int, y: int) -> dict[str, Any]:
        """What lies in a tile: how many pins, of which looks, and some of them with their places."""
        first, last = self._slice(level, x, y)
        looks, counts = np.unique(self.look[first:last], return_counts=True)
        chosen = first + np.sort(np.argsort(self.rank[first:last], kind="stable")[:SHOWN])
        return {
            "count": last - first,
            "looks": [
                {"id": self.looks[looks[at]].id, "count": int(counts[at])}
                for at in np.lexsort((looks, -counts)).tolist()
            ],
            "pins": [
                {
                    "id": self.ids[self.row[at]],
                    "x": round(float(self.x[at]), 5),
                    "y": round(float(self.y[at]), 5),
                    "look": self.looks[self.look[at]].id,
                }
                for at in chosen.tolist()
            ],
        }

    def picture(self, level: int, x: int, y: int) -> bytes:
        """A tile as PNG, its ground transparent: grey where pins lie; green, amber or red where a look rises, peaks or fades."""
        around = self._around(level, x, y)
        wide = SIZE + 2 * MARGIN
        column = ((self.x[around] * (1 << level) - x) * SIZE + MARGIN).astype(np.int64)
        line = ((self.y[around] * (1 << level) - y) * SIZE + MARGIN).astype(np.int64)
        inside = (column >= 0) & (column < wide) & (line >= 0) & (line < wide)
        cell = line[inside] * wide + column[inside]
        kind = self.glow[self.look[around[inside]]]
        crowd = self.crowds[level]
        pins = _counted(cell, wide)
        shade = 1 - np.exp(-min(6.0, 1.5 / crowd) * gaussian_filter(pins, _dot(level, self.deepest)))
        ink = np.zeros(shade.shape, np.uint8)
        best = np.full(shade.shape, LEAST_GLOW, np.float32)
        for number in range(1, len(PHASES) + 1):
            mine = cell[kind == number]
            if not len(mine):
                continue
            light = 0.8 * (1 - np.exp(-min(65.0, 0.5 / crowd) * gaussian_filter(_counted(mine, wide), GLOW)))
            ink[light > best] = number
            best = np.maximum(best, light)
        alpha = np.where(ink > 0, np.maximum(0.9 * shade, best), 0.8 * shade)
        held = ink * SHADES + np.minimum(alpha * SHADES, SHADES - 1).astype(np.uint8)
        return _png(held[MARGIN:-MARGIN, MARGIN:-MARGIN])

    def _slice(self, level: int, x: int, y: int) -> tuple[int, int]:
        shift = 2 * (DEEPEST - level)
        code = int(_spread(np.array([x]))[0] | _spread(np.array([y]))[0] << 1)
        return (
            int(np.searchsorted(self.code, code << shift)),
            int(np.searchsorted(self.code, (code + 1) << shift)),
        )

    def _around(self, level: int, x: int, y: int) -> Int64:
        """Pins of a tile and of those beside it."""
        side = 1 << level
        found = [
            np.arange(*self._slice(level, column, line))
            for column in range(max(0, x - 1), min(side, x + 2))
            for line in range(max(0, y - 1), min(side, y + 2))
        ]
        return np.concatenate([np.zeros(0, np.int64), *found])


def tiled(pins: Collection, trends: TrendReport | None = None) -> Tiles:
    """The map of a collection; where `trends` are given, their looks glow."""
    place = _placed(pins)
    x, y = place[:, 0].astype(np.float32), (1 - place[:, 1]).astype(np.float32)
    side = 1 << DEEPEST
    across, down = (np.minimum((each * side).astype(np.int64), side - 1) for each in (x, y))
    code = _spread(across) | _spread(down) << 1
    order = np.argsort(code, kind="stable")
    told = {trend.id: trend for trend in trends.trends} if trends is not None else {}
    looks = _looks(pins, told)
    known = {phase.value: number for number, phase in enumerate(PHASES, 1)}
    deepest = int(np.clip(np.ceil(np.log(max(len(pins) / PER_TILE, 1)) / np.log(4)), 1, DEEPEST))
    return Tiles(
        pins.ids,
        looks,
        x[order],
        y[order],
        pins.cluster[order].astype(np.int64),
        order,
        np.random.default_rng(0).random(len(pins), np.float32)[order],
        code[order],
        np.array([known.get(look.phase, 0) for look in looks], np.int64),
        deepest,
        [_crowd(code[order] >> 2 * (DEEPEST - level)) for level in range(DEEPEST + 1)],
    )


def _crowd(code: Int64) -> float:
    """Pins a pixel, in the tiles of sorted codes."""
    full = 1 + np.count_nonzero(np.diff(code))
    return max(len(code) / full / SIZE**2, 1e-9)


def _looks(pins: Collection, told: Mapping[int, Any]) -> list[Look]:
    clusters = pins.clusters
    sizes = np.bincount(pins.cluster, minlength=len(clusters))
    made = []
    for at, number in enumerate(clusters.ids.tolist()):
        trend = told.get(number)
        made.append(
            Look(
                number,
                clusters.names[at] or f"look {number}",
                int(sizes[at]),
                round(float(clusters.map[at, 0]), 4),
                round(float(1 - clusters.map[at, 1]), 4),
                *(
                    ()
                    if trend is None
                    else (trend.phase.value, trend.factor, trend.low, trend.high, trend.leaders)
                ),
            )
        )
    return made


# -- places ----------------------------------------------------------------------------------------------------------
def _placed(pins: Collection) -> Float64:
    """(n, 2) places in 0..1, y upwards as in `Clusters.map`."""
    clusters = pins.clusters
    room = _room(clusters.map)
    axes = _axes(pins)
    near = min(NEAREST, len(clusters))
    out = np.empty((len(pins), 2))
    for at in range(0, len(pins), BATCH):
        rows = np.asarray(pins.vectors[at : at + BATCH], np.float32)
        own = pins.cluster[at : at + BATCH]
        cosine = rows @ clusters.centres.T
        best = np.argpartition(cosine, -near, axis=1)[:, -near:]
        close = np.take_along_axis(cosine, best, 1)
        pull = np.exp((close - close.max(1, keepdims=True)) * PULL)
        middle = (clusters.map[best] * pull[:, :, None]).sum(1) / pull.sum(1)[:, None]
        told = np.tanh(np.einsum("nd,ndk->nk", rows, axes[own, :-1]) + axes[own, -1])
        out[at : at + BATCH] = middle + told * room[own, None]
    made: Float64 = np.clip(out, 0.0, 1.0)
    return made


def _room(places: Float64) -> Float64:
    """(c,) how far a cluster's pins may lie from its place: most of the way to the next cluster."""
    if len(places) < 2:
        return np.full(len(places), 0.2)
    away = np.sqrt(((places[:, None] - places[None]) ** 2).sum(2))
    np.fill_diagonal(away, np.inf)
    room: Float64 = np.clip(0.7 * away.min(1), 0.01, 0.2)
    return room


def _axes(pins: Collection) -> Float32:
    """(c, d + 1, 2) the two main directions of each cluster's members, scaled to a spread of 0.6; last, what centres them."""
    dim = pins.clusters.centres.shape[1]
    axes = np.zeros((len(pins.clusters), dim + 1, 2), np.float32)
    order = np.argsort(pins.cluster, kind="stable")
    ends = np.searchsorted(pins.cluster[order], np.arange(len(pins.clusters) + 1))
    for number in range(len(pins.clusters)):
        mine = order[ends[number] : ends[number + 1]]
        members = np.asarray(pins.vectors[mine[:: max(1, len(mine) // SAMPLE)]], np.float32)
        if len(members) < 3:
            continue
        usual = members.mean(0)
        ways = _ways(members - usual)
        spread = np.maximum(((members - usual) @ ways).std(0), 1e-6)
        axes[number, :-1] = 0.6 * ways / spread
        axes[number, -1] = -usual @ axes[number, :-1]
    return axes


def _ways(members: Float32) -> Float32:
    """(d, 2) the main directions of (m, d) members, near enough, by orthogonal iteration; their signs are always the same."""
    ways = np.random.default_rng(0).normal(size=(members.shape[1], 2)).astype(np.float32)
    for _ in range(ROUNDS):
        ways = np.linalg.qr(members.T @ (members @ ways))[0]
    made: Float32 = ways * np.sign(ways[np.abs(ways).argmax(0), [0, 1]])
    return made


# -- pictures --------------------------------------------------------------------------------------------------------
def _dot(level: int, deepest: int) -> float:
    """How large a pin is drawn, in pixels: larger where few are seen."""
    return 0.7 + 0.5 * max(0, level - deepest + 2)


def _counted(cell: Int64, wide: int) -> Float32:
    return np.bincount(cell, minlength=wide * wide).reshape(wide, wide).astype(np.float32)


def _png(held: Any) -> bytes:
    """A palette of four inks in 64 shades, from nothing to nearly full."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(held))
    picture.putpalette(bytes(np.repeat(np.array(_INK, np.uint8), SHADES, 0).tobytes()))
    out = io.BytesIO()
    shades = bytes(255 * at // (SHADES - 1) for at in range(SHADES)) * len(_INK)
    picture.save(out, "PNG", transparency=shades, compress_level=6)
    return out.getvalue()


# -- the curve -------------------------------------------------------------------------------------------------------
def _spread(values: Int64) -> Int64:
    """The bits of numbers below 65,536, each followed by a zero."""
    spread = values.astype(np.int64)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        spread = (spread | spread << shift) & mask
    return spread


def _apart(code: int) -> int:
    """Every second bit of a number, the other way round."""
    return sum((code >> 2 * bit & 1) << bit for bit in range(DEEPEST + 1))
