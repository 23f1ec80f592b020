"""`graph` as `learn` builds it: the saves without diffuse boards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.types import Float32, Int64

from .base import Gallery
from .diffuse import SMALLEST, clusters, diffuse_boards
from .graph import PART, graph_of, signs_of
from .learning import Builder, Built
from .learnt import Part

if TYPE_CHECKING:
    from visualsearch.people import Material

VERSION = 1


def build_graph(material: Material, gallery: Gallery, seed: int, say: Callable[[str], None]) -> Built | None:
    """The graph of saves on disk, for `index.related`; None where nobody saved anything."""
    signs = signs_of(gallery.people)
    drop = _diffuse(material, gallery, seed)
    links = graph_of(material, gallery.people.pins, drop=drop, signs=signs)
    if not len(links):
        return None
    figures = {
        "links": len(links),
        "pins": len(links.numbers),
        "boards": len(links.guests),
        "diffuse boards left out": len(drop),
        "bytes": links.nbytes,
    }
    return Built(Part(PART, "", links.arrays(), links.values), figures)


def _diffuse(material: Material, gallery: Gallery, seed: int) -> Int64:
    """Boards to leave out, by the looks of their pins; only pins on boards that are large enough are looked at."""
    sizes = np.bincount(material.board, minlength=len(material.boards))
    inside = sizes[material.board] >= SMALLEST
    names = [material.pins[at] for at in np.unique(material.pin[inside]).tolist()]
    held: dict[str, int] = {}
    for at in range(0, len(names), 5000):
        found = gallery.people.pins.find(names[at : at + 5000])
        held.update({name: len(held) + place for place, name in enumerate(found)})
    kept = list(held)
    cluster = np.full(len(material.pins), -1, np.int32)
    if kept:
        position = {name: at for at, name in enumerate(material.pins)}
        of_pins = np.array([position[name] for name in kept])
        cluster[of_pins] = clusters(len(kept), partial(_vectors, gallery, kept), seed)
    return diffuse_boards(material.board, material.pin, cluster)


def _vectors(gallery: Gallery, names: list[str], at: Int64) -> Float32:
    vectors = gallery.vectors([names[each] for each in at.tolist()])
    units: Float32 = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return units


GRAPH = Builder(PART, VERSION, build_graph)
"""The row of the table of what `learn` builds."""
