"""What can be liked: clusters of the index's vectors, the tastes within them, and how well each pin fits each taste."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from visualsearch.phrases import common_names, name_of
from visualsearch.types import Float16, Float32, Float64, Int64, UInt8

from .chance import stream
from .pins import Pins

MOST_CLUSTERS = 96
SAMPLE = 20_000
STYLE = 8
"""Dimensions of style: what people like or dislike in whatever they look at."""
CANDIDATES = 240
_STEP = float(np.log(9))
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class Tastes:
    """c clusters and g tastes over n pins.

    `cluster` (n,) and `taste` (n,) say where a pin belongs, `cluster_of` (g,) the cluster of a taste. `fit` (g, n) uint8 is
    how well a pin fits a taste, 255 for fully. `coherence` (c,) is how much alike a cluster's pins are.
    `style` (n, 8) float32 is a pin's look beyond its cluster, of unit length.
    `goes_with` (c, 3) are the clusters that people combine with one, by no likeness. `names` and `cluster_names` may be empty.
    `candidates` (g, m) are the pins that fit a taste best, and `cumulative` (g, m) their summed weights, up to 1.
    """

    cluster: Int32
    taste: Int32
    coherence: Float64 = field(repr=False)
    cluster_of: Int32
    fit: UInt8 = field(repr=False)
    style: Float32 = field(repr=False)
    goes_with: Int32 = field(repr=False)
    near: Int32 = field(repr=False)
    names: list[str] = field(repr=False)
    cluster_names: list[str] = field(repr=False)
    candidates: Int32 = field(repr=False)
    cumulative: Float64 = field(repr=False)

    @property
    def clusters(self) -> int:
        """How many clusters."""
        return len(self.goes_with)

    def __len__(self) -> int:
        return len(self.cluster_of)

    def draw(self, tastes: Int64 | Int32, uniform: Float64) -> Int32:
        """A pin for each taste, by weight: (m,) and (m,) uniform draws -> (m,) pins."""
        width = self.cumulative.shape[1]
        flat = (self.cumulative + np.arange(len(self))[:, None]).reshape(-1)
        at = np.searchsorted(flat, tastes + uniform, side="right")
        at = np.clip(at, tastes * width, tastes * width + width - 1)
        drawn: Int32 = self.candidates.reshape(-1)[at]
        return drawn


def make_tastes(pins: Pins) -> Tastes:
    """The tastes of an index's pins. They depend on the index alone, so that worlds of several seeds share them."""
    n = len(pins)
    rng = stream(0, "tastes")
    sample = np.sort(rng.choice(n, min(n, SAMPLE), replace=False))
    points = pins.vectors[sample].astype(np.float32)
    count = int(np.clip(round((n / 2) ** 0.5), 2, MOST_CLUSTERS))
    centres = _spherical(points, count, rng)
    directions, cluster_of = _within(points, centres, rng)
    levels = _levels(points, directions)
    fit, cluster, taste = _fitted(pins.vectors, centres, directions, cluster_of, levels)
    names, cluster_names = _named(pins, cluster, taste, len(centres), cluster_of)
    candidates, cumulative = _best(fit)
    return Tastes(
        cluster,
        taste,
        _coherence(points, centres, levels, cluster_of),
        cluster_of,
        fit,
        _styles(pins.vectors, points, centres, cluster),
        rng.integers(0, len(centres), (len(centres), 3)).astype(np.int32),
        np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, 1:4].astype(np.int32),
        names,
        cluster_names,
        candidates,
        cumulative,
    )


def _unit(rows: Float32) -> Float32:
    made: Float32 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-9))
    return made


def _spherical(points: Float32, count: int, rng: np.random.Generator, rounds: int = 8) -> Float32:
    """(count, d) unit centres by spherical k-means (Dhillon and Modha 2001), far starts first."""
    centres = points[_far(points, min(count, len(points)), rng)]
    for _ in range(rounds):
        owner = (points @ centres.T).argmax(1)
        member = (owner == np.arange(len(centres))[:, None]).astype(np.float32)
        held = member.any(1)
        centres[held] = _unit(member[held] @ points)
    return centres


def _far(points: Float32, count: int, rng: np.random.Generator) -> Int64:
    """Starts drawn one after another, each likelier the farther it is from those before it (k-means++)."""
    chosen = [int(rng.integers(len(points)))]
    away = np.full(len(points), 4.0)
    for _ in range(count - 1):
        away = np.minimum(away, np.maximum(1 - points @ points[chosen[-1]], 0).astype(np.float64))
        total = away.sum()
        share = away / total if total > 0 else np.full(len(points), 1 / len(points))
        chosen.append(int(np.searchsorted(np.cumsum(share), rng.random()).clip(max=len(points) - 1)))
    return np.array(chosen)


def _within(points: Float32, centres: Float32, rng: np.random.Generator) -> tuple[Float32, Int32]:
    """Each cluster is cut into up to three tastes: (g, d) unit directions and (g,) clusters."""
    owner = (points @ centres.T).argmax(1)
    found, clusters = [], []
    for number in range(len(centres)):
        mine = points[owner == number]
        parts = 3 if len(mine) >= 36 else 2 if len(mine) >= 16 else 1
        made = _spherical(mine, parts, rng, 5) if parts > 1 else centres[number : number + 1]
        found.append(made)
        clusters += [number] * len(made)
    return np.concatenate(found), np.array(clusters, np.int32)


def _levels(points: Float32, directions: Float32) -> Float32:
    """(g, 2) cosines: that of the last of a taste's own pins, which fit by half, and of three times as many, by a tenth."""
    cosines = points @ directions.T
    own = np.bincount(cosines.argmax(1), minlength=len(directions)).clip(2)
    levels = np.empty((len(directions), 2), np.float32)
    for number, size in enumerate(own.tolist()):
        column = np.sort(cosines[:, number])[::-1]
        levels[number] = column[min(size, len(column) - 1)], column[min(3 * size, len(column) - 1)]
    return levels


def _coherence(points: Float32, centres: Float32, levels: Float32, cluster_of: Int32) -> Float64:
    """(c,) cosines of clusters' outer pins with their tastes, above what any pin has with any cluster; 0.02 at least."""
    usual = float((points[:2000] @ centres.T).mean())
    held = np.bincount(cluster_of, minlength=len(centres)).clip(1)
    summed = np.bincount(cluster_of, weights=levels[:, 0], minlength=len(centres))
    made: Float64 = np.maximum(summed / held - usual, 0.02)
    return made


def _fitted(
    vectors: Float16, centres: Float32, directions: Float32, cluster_of: Int32, levels: Float32
) -> tuple[UInt8, Int32, Int32]:
    n = len(vectors)
    fit = np.empty((len(directions), n), np.uint8)
    cluster, taste = np.empty(n, np.int32), np.empty(n, np.int32)
    slope = _STEP / np.maximum(levels[:, 0] - levels[:, 1], 2e-3)
    for at in range(0, n, 8192):
        part = vectors[at : at + 8192].astype(np.float32)
        cosines = part @ directions.T
        value = 255 / (1 + np.exp(-np.clip(slope * (cosines - levels[:, 0]), -30, 30)))
        fit[:, at : at + 8192] = np.rint(value).T.astype(np.uint8)
        own = (part @ centres.T).argmax(1)
        cluster[at : at + 8192] = own
        inside = np.where(cluster_of[None] == own[:, None], cosines, -2)
        taste[at : at + 8192] = inside.argmax(1)
    return fit, cluster, taste


def _styles(vectors: Float16, points: Float32, centres: Float32, cluster: Int32) -> Float32:
    """What is left of a pin without its cluster, along the main directions of that over the sample."""
    rest = points - centres[(points @ centres.T).argmax(1)]
    gram = rest.T @ rest
    axes = np.linalg.eigh(gram.astype(np.float64))[1][:, ::-1][:, :STYLE].astype(np.float32)
    axes *= np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1).astype(np.float32)
    out = np.zeros((len(vectors), STYLE), np.float32)
    for at in range(0, len(vectors), 8192):
        part = vectors[at : at + 8192].astype(np.float32) - centres[cluster[at : at + 8192]]
        out[at : at + 8192, : axes.shape[1]] = part @ axes
    return _unit(out)


def _named(
    pins: Pins, cluster: Int32, taste: Int32, clusters: int, cluster_of: Int32
) -> tuple[list[str], list[str]]:
    everywhere, total = common_names(pins.words), len(pins)

    def named(owner: Int32, number: int, wider: tuple[str, ...] = ()) -> str:
        members = np.flatnonzero(owner == number)[:2000]
        return name_of([pins.words[at] for at in members], everywhere, total, wider) if len(members) else ""

    cluster_names = [named(cluster, number) for number in range(clusters)]
    return [named(taste, g, (cluster_names[c],)) for g, c in enumerate(cluster_of.tolist())], cluster_names


def _best(fit: UInt8) -> tuple[Int32, Float64]:
    """Each taste's pins, best first, and their summed weights: the square of the fit, so that few that fit win over many."""
    width = min(CANDIDATES, fit.shape[1])
    candidates = np.empty((len(fit), width), np.int32)
    for number, row in enumerate(fit):
        some = np.argpartition(row, len(row) - width)[-width:] if width < len(row) else np.arange(width)
        candidates[number] = some[np.lexsort((some, -row[some].astype(np.int64)))]
    weights = np.take_along_axis(fit, candidates, 1).astype(np.float64) ** 2 + 1e-3
    cumulative = np.cumsum(weights, axis=1)
    return candidates, cumulative / cumulative[:, -1:]
