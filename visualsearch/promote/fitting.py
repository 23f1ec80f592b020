"""Which campaigns fit a page: their pins look like it, show what it shows, and meet what they were targeted at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.recommend import allowed, doubted_of, topics_of
from visualsearch.types import Bool, Float32, Int64

from .looks import cosines
from .page import TOP, Page, Sort, listed
from .rules import Surface
from .shelf import Shelf, phrases

if TYPE_CHECKING:
    from visualsearch.engine import Index

SAME_WORDS = 0.8
"""Words that are targeted and words that were asked for mean the same from this cosine on."""
AGREE = 0.5
"""So many of a page's first pins must have a targeted attribute."""
TITLES = ("title", "name", "category")


def fitting(index: Index, shelf: Shelf, page: Page, surface: Surface) -> tuple[Bool, Float32, Int64]:
    """(c,) which campaigns fit; (m,) the cosine of each of their pins with the page, -1 of one that may not stand there; and
    (m,) which of the page's vectors it is most like.
    """
    likeness = cosines(shelf.vectors, page.vectors)
    matched = likeness.argmax(1)
    values = likeness[np.arange(len(likeness)), matched]
    if _sensitive(index, page):
        return np.zeros(len(shelf), bool), np.full_like(values, -1), matched
    ok = values >= floor_of(page, surface)
    judged = doubted_of(index)  # what a verdict keeps back is not shown for money either
    for name in {*page.hits.ids, *page.seeds, *(judged & shelf.rows.keys())}:
        ok[list(shelf.rows.get(name, ()))] = False
    ok &= shelf.shows(page.values(shelf.category))
    values = np.where(ok, values, np.float32(-1))
    fits = shelf.best(values) > -1
    if shelf.narrowed.any():
        fits &= ~shelf.narrowed | _met(shelf, page, surface)
    _attributes(shelf, page, fits)
    _exclusions(shelf, page, fits)
    return fits, values, matched


def floor_of(page: Page, surface: Surface) -> float:
    """The least cosine of a promoted pin on a page: its surface's, what unrelated queries reach, and near its last pin."""
    floors = [surface.floor if page.sort is Sort.PICTURE else surface.words]
    floors += [] if page.noise is None else [page.noise]
    floors += [] if page.least is None else [surface.near * page.least]
    return max(floors)


def _sensitive(index: Index, page: Page) -> bool:
    """Whether the page is about what is never used to push."""
    topics = topics_of(index.folder)
    if page.text and topics.names(page.text):
        return True
    return bool(page.seeds) and len(allowed(index, topics, list(page.seeds))) < len(page.seeds)


def _met(shelf: Shelf, page: Page, surface: Surface) -> Bool:
    """(c,) whose targets the page meets: one of a campaign's looks or words is enough."""
    met = np.zeros(len(shelf), bool)
    if len(shelf.looks):
        likeness = cosines(shelf.looks, page.vectors).max(1)
        pictures = page.sort is Sort.PICTURE
        same = surface.floor if pictures else SAME_WORDS
        other = max(surface.words, page.noise or 0.0)
        floors = np.where(shelf.look_words == (not pictures), same, other)
        met[shelf.look_owner[likeness >= floors]] = True
    if page.text and shelf.words:
        for word in phrases(page.text) & shelf.words.keys():
            met[list(shelf.words[word])] = True
    return met


def _attributes(shelf: Shelf, page: Page, fits: Bool) -> None:
    """Leave out campaigns whose attributes too few of the page's pins have."""
    if not shelf.with_attributes:
        return
    first = page.hits[:TOP]
    counts: dict[str, list[set[str]]] = {}
    for at in shelf.with_attributes:
        if not fits[at]:
            continue
        for name, wanted in shelf.campaigns[at].target.attributes.items():
            held = counts.setdefault(name, [listed(hit.attributes, name) for hit in first])
            folded = {value.casefold() for value in wanted}
            if sum(bool(values & folded) for values in held) < AGREE * len(held):
                fits[at] = False
                break


def _exclusions(shelf: Shelf, page: Page, fits: Bool) -> None:
    """Leave out campaigns that do not want to stand beside one of the page's words."""
    if not shelf.with_exclusions:
        return
    texts = [page.text]
    texts += [
        str(hit.attributes[name]) for hit in page.hits[:TOP] for name in TITLES if hit.attributes.get(name)
    ]
    said = Counter(phrase for text in texts for phrase in phrases(text))
    for at in shelf.with_exclusions:
        if fits[at] and any(word in said for word in shelf.campaigns[at].exclude):
            fits[at] = False
