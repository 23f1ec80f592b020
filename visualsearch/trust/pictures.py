"""Pictures that are nothing but text: two flat tones, and many short strokes in rows with quiet lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visualsearch import images
from visualsearch.errors import VisualSearchError
from visualsearch.sources import read
from visualsearch.types import UInt8

SAMPLE = 12
"""Pictures of one burst that are read."""
SIDE = 256


def only_text(uris: Sequence[str]) -> float | None:
    """The share of some pictures that are nothing but text; None where fewer than three can be read here.

    Pictures on the web are not fetched for this.
    """
    local = [uri for uri in uris if "://" not in uri or uri.startswith("file:")]
    chosen = (
        [local[at] for at in np.linspace(0, len(local) - 1, min(SAMPLE, len(local))).astype(int)]
        if local
        else []
    )
    found = [said for uri in chosen if (said := _said(uri)) is not None]
    return sum(found) / len(found) if len(found) >= 3 else None


def _said(uri: str) -> bool | None:
    path = Path(uri.removeprefix("file://"))
    if not path.is_file():
        return None
    try:
        picture = images.decode(read(uri)).convert("L")
    except VisualSearchError:
        return None
    picture.thumbnail((SIDE, SIDE))
    return text_like(np.asarray(picture, np.uint8))


def text_like(grey: UInt8) -> bool:
    """Whether a (h, w) uint8 picture is text on a plain ground and nothing else."""
    if min(grey.shape) < 32:
        return False
    values = grey.astype(np.float32)
    ground = float(np.bincount(grey.ravel() >> 3, minlength=32).argmax() * 8 + 4)
    ink = np.abs(values - ground) > 48
    covered = float(ink.mean())
    # Flat ground: nearly everything that is no stroke is of one tone.
    flat = float((np.abs(values - ground) <= 12).mean())
    if not 0.01 <= covered <= 0.4 or flat < 0.55 or flat + covered < 0.75:
        return False
    strokes = np.abs(np.diff(ink.astype(np.int8), axis=1)).sum(1)
    written = strokes >= 6
    # Lines of letters: rows full of strokes, with rows of ground between them.
    lines = int((np.diff(np.concatenate([[0], written.astype(np.int8)])) == 1).sum())
    quiet = float((strokes <= 1).mean())
    rows = float(written.mean())
    per_row = float(strokes[written].mean()) if written.any() else 0.0
    return lines >= 1 and rows >= 0.08 and quiet >= 0.15 and per_row >= 8
