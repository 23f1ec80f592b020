"""What a page is about: the query or the pins beside which promoted pins are to stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.types import Attributes, Float32, Hit, Hits

from .looks import unit

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.search import SearchOptions

TOP = 10
"""The first so many pins say which categories a page shows."""
QUERY = "the query"


class Sort(StrEnum):
    """What a page is asked for with; cosines of words and of pictures have scales of their own."""

    PICTURE = "picture"
    WORDS = "words"
    MIX = "mix"


@dataclass(frozen=True)
class Page:
    """A page without promoted pins. `vectors` (q, d) unit: what it is about, and `names` (q,): the pins' ids or `QUERY`.

    `least` is the cosine of the page's last pin, None where its scores do not compare. `seeds` are pins that must not come.
    """

    surface: str
    hits: Hits
    vectors: Float32
    names: tuple[str, ...]
    sort: Sort = Sort.PICTURE
    text: str = ""
    least: float | None = None
    noise: float | None = None
    seeds: frozenset[str] = frozenset()

    def values(self, name: str) -> set[str]:
        """What the first pins hold in an attribute, in lower case."""
        found: set[str] = set()
        for hit in self.hits[:TOP]:
            found |= listed(hit.attributes, name)
        return found


def listed(attributes: Attributes, name: str) -> set[str]:
    """The values of an attribute, in lower case; a list has several."""
    value: Any = attributes.get(name)
    if value is None:
        return set()
    return {str(each).casefold() for each in (value if isinstance(value, list) else [value])}


def of_search(index: Index, asked: SearchOptions, hits: Hits) -> Page | None:
    """The page of a search; None where nothing may stand beside its hits."""
    if not len(hits) or hits.alike is False or hits.vector is None:
        return None
    parts = [part for part in asked.query().parts if part.weight > 0]
    texts = [part.text for part in parts if part.text is not None]
    sort = Sort.PICTURE if not texts else Sort.WORDS if len(texts) == len(parts) else Sort.MIX
    seeds = frozenset(part.like for part in parts if part.like is not None)
    least = None if asked.offset else float(min(hits.scores))
    named = next(iter(seeds)) if len(parts) == 1 and seeds else QUERY
    return Page("search", hits, hits.vector[None], (named,), sort, " ".join(texts), least, hits.noise, seeds)


def of_pins(index: Index, surface: str, hits: Hits, pins: Sequence[str]) -> Page | None:
    """The page of a list that stands beside pins: those it was asked for with, or its own."""
    if not len(hits) or not pins:
        return None
    names = tuple(dict.fromkeys(pins))
    vectors = unit(index.vectors(names))
    seeds = frozenset(names) if surface == "related" else frozenset()
    least = float(np.quantile(hits.scores, 0.1)) if surface == "related" else None
    return Page(surface, hits, vectors, names, least=least, seeds=seeds)


def merged(organic: Sequence[Hit], promoted: Sequence[Hit], slots: Sequence[int]) -> tuple[Hit, ...]:
    """The finished page: each promoted pin in its slot, the others in their order."""
    made = list(organic)
    for slot, hit in zip(slots, promoted, strict=False):
        made.insert(slot, hit)
    return tuple(made)
