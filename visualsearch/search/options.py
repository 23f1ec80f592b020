"""What a search may be asked for: one dataclass for the command line, HTTP and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from visualsearch import images
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.ranking import BY_COSINE, Context, Ranker, ranker_of
from visualsearch.types import MAX_PIXELS, Box, Part, Query

from .filters import IS_PRODUCT
from .query_checks import check_query, check_weight

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "image": 1.0,
    "text": 1.0,
    "like": 1.0,
    "unlike": 0.5,
    "not_text": 0.5,
}
"""Weights of a query's parts, on the scales of `scales`. Those of `unlike` and `not_text` are subtracted: half keeps the wish
in the lead (Rocchio)."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The arguments of a search.

    `image`: path, URL, bytes, PIL picture or (h, w, 3) uint8 array; `crop`: x0, y0, x1, y1 as fractions, or pixels when any
    is above 1. `text`, `not_text`: words wanted and not wanted; `like`, `unlike`: ids of stored pins. `weights` changes
    DEFAULT_WEIGHTS; `parts` adds finished parts. Of a mix, each part counts on its own scale (`visualsearch.search.scales`).
    `where`: see `visualsearch.search.filters`. With a filter that leaves at least offset + k pins, k come back. `min_score`
    leaves out hits below that cosine; "auto": below `noise` of the hits, what queries that mean nothing reach here, so that
    nothing is left where `alike` is False. Stored pins of the query are left out of the results unless `include_seeds`.
    `group_by`: of the pins that share this attribute's value, such as the pictures of a product, only the best comes back,
    and `total` counts products; None takes what the index remembers, "none" gives every pin for itself.
    A picture of more than `max_pixels` pixels is refused.

    `ranker` orders the best 200 candidates in another way than by cosine; later hits follow by cosine. It is a name
    (`visualsearch.ranking.ranker_of`) or an object with `rank`. `diversity` (0..1) trades likeness for variety. `context` is
    what the ranker knows of the request.

    `products`: only pins that are products, which `visualsearch promote products` marks.

    `person`: who asks. The same pins are ordered with a small term for that person's interests and against what they hid; `why`
    says so where it lifted a hit. Nobody known, or a consent that is off, changes nothing. `personal` bounds the term, in
    cosine; None takes what was measured to be best, 0 switches it off. `learnt`: whether hits move by a few places as clicks
    taught (`visualsearch learn --ranker`); None: where that won.
    """

    image: Any = None
    crop: Box | Sequence[float] | None = None
    text: str | Sequence[str] | None = None
    not_text: str | Sequence[str] | None = None
    like: str | Sequence[str] | None = None
    unlike: str | Sequence[str] | None = None
    parts: Sequence[Part] = ()
    weights: Mapping[str, float] | None = None
    where: str | None = None
    k: int = 10
    offset: int = 0
    min_score: float | Literal["auto"] | None = None
    include_seeds: bool = False
    group_by: str | None = None
    max_pixels: int = MAX_PIXELS
    ranker: Ranker | str = field(default=BY_COSINE)
    diversity: float = 0.0
    context: Context | None = None
    person: str | None = None
    personal: float | None = None
    products: bool = False
    learnt: bool | None = None

    def query(self) -> Query:
        """The query that they stand for. Raises UsageError, UnknownNameError."""
        weight = all_weights(self.weights or {})
        found = list(self.parts)
        if self.image is not None:
            crop = None if self.crop is None else _box(self.crop)
            found.append(Part(weight["image"], image=self.image, crop=crop))
        elif self.crop is not None:
            raise UsageError(
                "a crop without a picture", "there is nothing to cut from", "Give the query picture too"
            )
        found += [Part(weight["text"], text=t) for t in _listed(self.text)]
        found += [Part(-weight["not_text"], text=t) for t in _listed(self.not_text)]
        found += [Part(weight["like"], like=i) for i in _listed(self.like)]
        found += [Part(-weight["unlike"], like=i) for i in _listed(self.unlike)]
        made = Query(
            tuple(found),
            self.k,
            self.offset,
            products_only(self.where) if self.products else self.where,
            self.min_score,
            self.include_seeds,
            self.group_by,
            self.max_pixels,
        )
        check_query(made)
        return made

    def chosen(self) -> Ranker:
        """The ranker that they name. Raises UsageError, UnknownNameError."""
        if self.personal is not None and not 0 <= self.personal <= 1:
            raise UsageError(
                "cannot weigh the person", f"personal is {self.personal!r}", "Give 0 to 1; 0 switches it off"
            )
        return ranker_of(self.ranker, self.diversity)


def products_only(where: str | None) -> str:
    """The filter, for products alone."""
    return IS_PRODUCT if where is None else f"({where}) and {IS_PRODUCT}"


def all_weights(changed: Mapping[str, float]) -> dict[str, float]:
    """The default weights and what is changed of them. Raises UnknownNameError, UsageError."""
    if unknown := changed.keys() - DEFAULT_WEIGHTS.keys():
        raise UnknownNameError("weight", min(unknown), DEFAULT_WEIGHTS)
    for name, weight in changed.items():
        check_weight(f"the weight of {name}", weight)
    return {**DEFAULT_WEIGHTS, **changed}


def _box(crop: Sequence[float]) -> Box:
    """Four numbers; whether they fit is known when the picture is."""
    if len(crop) != 4:
        images.check_box(crop, None)  # says what is wrong
    return Box(*crop)


def _listed(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
