"""Where the objects of a picture are: boxes with scores, for shop-the-look and for regions of an index.

"bundled" is a small class-agnostic detector that comes with the package. "torchvision:NAME" is any detector of torchvision;
its weights are downloaded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch import onnx
from visualsearch.errors import EncoderError, MissingExtraError, UnknownNameError, UsageError
from visualsearch.resources import models_dir
from visualsearch.types import Box, Float32, Int64

if TYPE_CHECKING:
    from PIL.Image import Image

FINDER = "bundled"
"""The finder that is used when the caller names none."""
MOST = 10
"""Boxes of a picture that are kept when the caller names no number."""
OVERLAP = 0.5
"""A box that shares more than this (intersection over union) with a better one is dropped."""
INSIDE = 0.85
"""A box of which more than this lies in a better one is dropped as a part of it, unless it is much smaller."""
SMALLER = 0.25
"""... that is: unless its area is below this share of the other's."""
THINNEST = 0.02
"""Boxes with a side below this share of the picture's are dropped: too little to search with."""
SIDE = 384
"""Pixels: the bundled detector's input. The picture is squashed to it, whatever its shape."""

Finder = Callable[["Image"], "list[Proposal]"]


class Proposal(NamedTuple):
    """A box that may hold an object, and how sure the finder is (0..1)."""

    box: Box
    score: float


def find(
    picture: Image, finder: str = FINDER, *, most: int = MOST, sure: float | None = None
) -> list[Proposal]:
    """The objects of an upright RGB picture, surest first; at most `most`, maybe none.

    `finder` is a name of FINDERS or "torchvision:NAME". `sure` (0..1) drops boxes that the finder is less sure of; None takes
    the finder's own bound. Order is stable: the same picture gives the same list. Raises UnknownNameError, UsageError,
    MissingExtraError, EncoderError.
    """
    if most < 1:
        raise UsageError(f"at most {most} objects", "the number must be 1 or more", "Leave it out for 10")
    found = load_finder(finder)(picture)
    if sure is not None:
        found = [p for p in found if p.score >= sure]
    return thinned(found, most)


def load_finder(name: str) -> Finder:
    """The finder of that name: an upright RGB picture -> its proposals, in any order and number."""
    family, _, rest = name.partition(":")
    if family == "torchvision" and rest:
        return _torchvision(rest)
    if name not in FINDERS:
        raise UnknownNameError("finder", name, [*FINDERS, "torchvision:NAME"])
    return FINDERS[name]


def thinned(found: list[Proposal], most: int = MOST) -> list[Proposal]:
    """Proposals without repetitions and parts of one another, surest first, at most `most` (greedy suppression).

    Boxes are clipped to the picture first; those without area or too thin to search with are dropped. Equal scores are
    ordered by place, top left first, so that the order does not depend on the finder's.
    """
    if not found:
        return []
    boxes = np.clip(np.array([p.box for p in found], np.float64), 0.0, 1.0)
    scores = np.array([p.score for p in found], np.float64)
    order = np.lexsort((boxes[:, 0], boxes[:, 1], -scores))
    sides = boxes[:, 2:] - boxes[:, :2]
    order = order[(sides[order] >= THINNEST).all(1) & np.isfinite(scores[order])]
    kept: list[int] = []
    for at in order:
        if len(kept) == most:
            break
        if kept and _repeats(boxes[at], boxes[kept]):
            continue
        kept.append(int(at))
    return [Proposal(Box(*(float(v) for v in boxes[at])), float(scores[at])) for at in kept]


def _repeats(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    shared, area, areas = _shared(box[None], others)
    both = area[:, None] + areas[None] - shared
    same = shared / np.maximum(both, 1e-12) > OVERLAP
    part = (shared / np.maximum(area[:, None], 1e-12) > INSIDE) & (area[:, None] > SMALLER * areas[None])
    return bool((same | part).any())


def overlaps(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of each of n with each of m boxes: (n, 4), (m, 4) -> (n, m) in 0..1."""
    shared, areas_a, areas_b = _shared(np.asarray(a, np.float64), np.asarray(b, np.float64))
    found: NDArray[np.float64] = shared / np.maximum(areas_a[:, None] + areas_b[None] - shared, 1e-12)
    return found


def covered(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """How much of the smaller of two boxes both share, for each of n with each of m: (n, 4), (m, 4) -> (n, m) in 0..1."""
    shared, areas_a, areas_b = _shared(np.asarray(a, np.float64), np.asarray(b, np.float64))
    found: NDArray[np.float64] = shared / np.maximum(np.minimum(areas_a[:, None], areas_b[None]), 1e-12)
    return found


def _shared(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    width = np.minimum(a[:, 2, None], b[None, :, 2]) - np.maximum(a[:, 0, None], b[None, :, 0])
    height = np.minimum(a[:, 3, None], b[None, :, 3]) - np.maximum(a[:, 1, None], b[None, :, 1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return shared, (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)


REGIONS = 6
"""Regions of a picture that an index keeps."""
WHOLE_ALREADY = 0.8
"""A region that shares more than this with the whole picture would only repeat the whole picture's row."""


def region_boxes(picture: Image) -> list[Box]:
    """The boxes of a picture that get rows of their own in an index with regions: at most REGIONS, none that is nearly all."""
    found = find(picture, most=REGIONS)
    return [p.box for p in found if (p.box.x1 - p.box.x0) * (p.box.y1 - p.box.y0) <= WHOLE_ALREADY]


# -- the bundled detector -----------------------------------------------------------------------------------------
SURE = 0.15
"""Centre score below which the bundled detector's boxes are dropped. Measured on 449 objects of 100 composed scenes: from
0.08 to 0.3 recall falls from 0.911 to 0.884 and the boxes of a scene from 8.6 to 4.8; here they are 0.907 and 6.6.
"""


NEAR = 0.25
"""Cells within this share of the box's sides from a peak take part in the vote on the box."""
AGREE = 0.4
"""... if their own box overlaps the peak's by at least this (intersection over union)."""


def _bundled(picture: Image) -> list[Proposal]:
    """Peaks of the detector's centre map, each with the box that the cells around it agree on.

    One cell's box is noisy; the mean of its neighbours' that overlap it, weighted by their centre scores, is less so (box
    voting: Gidaris and Komodakis 2015, section 5). Measured on 449 objects of 100 composed scenes: recall 0.898 -> 0.907, mean
    overlap with the true boxes 0.698 -> 0.718.
    """
    cells = cells_of([picture])[0]
    heat = _squash(cells[0])
    grid = len(heat)
    rows, columns = _peaks(heat)
    sure = heat[rows, columns] >= SURE
    y, x = np.mgrid[:grid, :grid] + 0.5
    reach = np.exp(np.clip(cells[1:5], -4, 4.5))
    boxes = np.stack([x - reach[0], y - reach[1], x + reach[2], y + reach[3]], -1).reshape(-1, 4) / grid
    found = []
    for row, column in zip(rows[sure], columns[sure], strict=True):
        own, score = boxes[row * grid + column], float(heat[row, column])
        width, height = np.maximum(1.0, NEAR * grid * (own[2:] - own[:2]))
        near = (np.abs(x - column - 0.5) <= width) & (np.abs(y - row - 0.5) <= height) & (heat >= 0.2 * score)
        voting = np.flatnonzero(near)
        voting = voting[overlaps(own[None], boxes[voting])[0] >= AGREE]
        agreed = np.average(boxes[voting], axis=0, weights=heat.reshape(-1)[voting])
        found.append(Proposal(Box(*map(float, agreed)), score))
    return found


def cells_of(pictures: list[Image]) -> Float32:
    """The bundled detector's map of each upright RGB picture: (n, 6, 48, 48) float32.

    The channels are the centre's logit, the distances to left, top, right and bottom (logarithm, in cells), and the logit of
    belonging to an object; models/finder/README.md tells how it was trained.
    """
    from PIL import Image as Pillow

    squares = [p.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, reducing_gap=2.0) for p in pictures]
    pixels = np.stack([np.asarray(s, np.uint8).transpose(2, 0, 1) for s in squares])
    (cells,) = _session(models_dir() / "finder" / "finder.onnx").run(["cells"], {"pixels": pixels})
    return np.asarray(cells, np.float32)


_GUARD = threading.Lock()


def _session(path: Path) -> Any:
    with _GUARD:  # two threads that ask at once must not load it twice
        return _loaded(path)


@lru_cache(maxsize=1)
def _loaded(path: Path) -> Any:
    return onnx.session(path, onnx.options())


def _peaks(heat: Float32) -> tuple[Int64, Int64]:
    """Cells that none of their eight neighbours exceeds."""
    framed = np.pad(heat, 1, constant_values=-1.0)
    around = np.stack(
        [framed[y : y + heat.shape[0], x : x + heat.shape[1]] for y in range(3) for x in range(3)]
    ).max(0)
    rows, columns = np.nonzero(heat >= around)
    return rows, columns


def _squash(logits: Float32) -> Float32:
    squashed: Float32 = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return squashed


FINDERS: Mapping[str, Finder] = MappingProxyType({"bundled": _bundled})


# -- with a download ----------------------------------------------------------------------------------------------
@lru_cache(maxsize=2)
def _torchvision(name: str) -> Finder:
    """A detection model of torchvision (BSD-3-Clause) with its default weights, as a finder."""
    try:
        import torch
        from torchvision import models
        from torchvision.transforms.functional import to_tensor
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the finder 'torchvision:{name}' needs torchvision", "clip") from error
    known = models.list_models(module=models.detection)
    if name not in known:
        raise UnknownNameError("torchvision detector", name, known)
    try:
        model = models.get_model(name, weights="DEFAULT").eval()
    except OSError as error:
        remedy = "Connect to the network once, or use the bundled finder (--finder bundled)"
        raise EncoderError(f"the weights of {name} cannot be fetched", str(error), remedy) from error

    def find_objects(picture: Image) -> list[Proposal]:
        with torch.inference_mode():
            found = model([to_tensor(picture)])[0]
        scale = np.array([*picture.size, *picture.size], np.float32)
        boxes = found["boxes"].numpy() / scale
        return [
            Proposal(Box(*map(float, box)), float(score))
            for box, score in zip(boxes, found["scores"].numpy(), strict=True)
            if score >= 0.3
        ]

    return find_objects
