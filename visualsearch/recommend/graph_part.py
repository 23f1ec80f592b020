"""`graph` as `learn` builds it: the saves without boards about everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .base import Gallery
from .graph import PART, diffuse_of, graph_of, signs_of
from .learning import Builder, Built
from .learnt import Part

if TYPE_CHECKING:
    from visualsearch.people import Material

VERSION = 1


def build_graph(material: Material, gallery: Gallery, seed: int, say: Callable[[str], None]) -> Built | None:
    """The graph of saves on disk, for `index.related`; None where nobody saved anything."""
    signs = signs_of(gallery.people)
    drop = diffuse_of(material, gallery.people.pins, gallery.vectors, seed)
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


GRAPH = Builder(PART, VERSION, build_graph)
"""The row of the table of what `learn` builds."""
