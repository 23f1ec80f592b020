"""What requests and answers look like: the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from visualsearch.look import LookOptions
from visualsearch.search import DEFAULT_WEIGHTS, SearchOptions

MOST_WEIGHT = 100.0
MOST_PARTS = 64
MOST_ATTRIBUTES = 1_000
MOST_CHARACTERS = 2_000
MOST_NUMBER = 1_000_000_000


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


# The first bad member of a list ends the work, and the list has a most.
Words = Annotated[
    list[Annotated[str, Field(max_length=MOST_CHARACTERS)]],
    FailFast(),
    Field(max_length=MOST_PARTS, json_schema_extra={"items": {"type": "string"}}),
    BeforeValidator(_listed),
]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Answer = Annotated[
    str | None,
    Field(
        exclude_if=lambda value: value is None,
        description="The id of this served list. An event about one of its entries names it, and the entry's `slot`.",
    ),
]
Variant = Annotated[
    str | None,
    Field(
        exclude_if=lambda value: value is None,
        description="The arm of an experiment that made this list, NAME:ARM, or interleave:NAME; absent where none did.",
    ),
]
Side = Annotated[
    int | None,
    Field(
        exclude_if=lambda value: value is None,
        description="Of the upright picture, in pixels; left out where it is not known without fetching it.",
    ),
]
Absent = Annotated[str | None, Field(exclude_if=lambda value: value is None)]
MOST_FURTHER = 8
"""Further pictures of a query: each costs as much as a query."""
Crop = Annotated[list[float], Field(min_length=4, max_length=4)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SearchRequest(_Strict):
    """A query. Names and meaning are those of `visualsearch search` and `Index.search`."""

    image: str | None = Field(
        default=None,
        description="The query picture: an http(s) address, `upload:HASH` (see /uploads), or `pin:ID` for the picture of a"
        " stored pin.",
        max_length=4000,
    )
    crop: Crop | None = Field(
        default=None,
        description="The part of the picture to search: left, top, right, bottom as fractions, or pixels when any is above 1.",
    )
    also: list[Annotated[str, Field(max_length=4000)]] = Field(
        default=[],
        max_length=MOST_FURTHER,
        description="Further query pictures, whole: `upload:HASH` or `pin:ID`. Each weighs as much as `image`.",
    )
    text: Words = Field(default=[], description="Words to look for.")
    not_text: Words = Field(default=[], description="Words to keep away from.")
    like: Words = Field(default=[], description="Ids of stored pins to look like.")
    unlike: Words = Field(default=[], description="Ids of stored pins to keep away from.")
    weights: dict[Annotated[str, Field(max_length=50)], Annotated[float, Field(ge=0, le=MOST_WEIGHT)]] = (
        Field(
            default={},
            max_length=16,
            description=f"Weights of the parts; the defaults are {dict(DEFAULT_WEIGHTS)}.",
        )
    )
    where: str | None = Field(
        default=None,
        description="Only pins whose attributes fit, such as \"price < 50 and color in ('red', 'blue')\".",
        max_length=20_000,
    )
    k: int = Field(default=10, ge=1, le=MOST_NUMBER, description="How many results.")
    offset: int = Field(default=0, ge=0, le=MOST_NUMBER, description="Skip this many results (for pages).")
    min_score: Cosine | Literal["auto"] | None = Field(
        default=None,
        description="Leave out results below this cosine; `auto`: below what unrelated queries reach in this index.",
    )
    sort: str | None = Field(
        default=None,
        max_length=200,
        description="An attribute to order the best 200 matches by; with a leading - from high to low. Default: by score.",
    )
    include_seeds: bool = Field(default=False, description="Keep the query's own stored pins in the results.")
    products: bool = Field(default=False, description="Only pins that are products.")
    group_by: str | None = Field(
        default=None,
        max_length=200,
        description="Of the pins that share this attribute's value, such as the pictures of a product, the best is given."
        " Default: what the index was built with; none: every pin for itself.",
    )
    rank: str = Field(
        default="cosine",
        max_length=200,
        description="Order the best 200 matches otherwise than by cosine: fresh, varied, sort:ATTRIBUTE, sort:-ATTRIBUTE,"
        " cap:N:ATTRIBUTE, or signals and weights such as `cosine=1,freshness=0.1`. Later ones follow by cosine.",
    )
    diversity: float = Field(
        default=0.0, ge=0, le=1, description="0: the most alike; towards 1: the most varied."
    )
    personal: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much the interests of who asks may add to a cosine; 0 switches it off. Default: a little for"
        " somebody known who allows it, nothing for others and with `Sec-GPC` or `DNT`. With `sort` it never counts.",
    )
    person: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="For whom an application with a key of scope `act` searches; others leave it out.",
    )

    def options(self, picture: Any) -> SearchOptions:
        """The search that it stands for, with the query's picture at hand; `sort` is left to the caller."""
        same = {name: getattr(self, name) for name in SearchOptions.__dataclass_fields__ if name in FIELDS}
        return SearchOptions(**{**same, "image": picture, "crop": self.crop or None}, ranker=self.rank)


FIELDS = frozenset(SearchRequest.model_fields)


class EvidenceOut(BaseModel):
    """What a reason rests on."""

    kind: str = Field(description="pin, board, follow or campaign.")
    id: str
    weight: float


class ReasonOut(BaseModel):
    """Why a pin or a board is there. `POST /less` takes it back as it is."""

    kind: str = Field(
        description="together, near, look-alike or sight; in a feed also interest, follow, popular, fresh or other; in a"
        " search asked or interest; promoted where a campaign pays for the place."
    )
    sentence: str
    evidence: list[EvidenceOut]


class HitOut(BaseModel):
    """One result. `uri` is given where it is a public address; the picture is served at `picture`."""

    id: str
    score: float = Field(
        description="Cosine with the query's vector: it orders these hits and compares with no other query."
    )
    box: list[float] = Field(description="The part that matched: left, top, right, bottom as fractions.")
    attributes: dict[str, Any]
    uri: str | None = None
    picture: str = Field(
        description="Where the picture is; add size=320 for a thumbnail of that longer side."
    )
    width: Side = None
    height: Side = None
    promoted: Absent = Field(
        default=None, description="The campaign that pays for this place; absent of others."
    )
    placement: Absent = Field(
        default=None,
        description="Events of a promoted pin name it: their `variant` is `promoted:PLACEMENT`.",
    )
    why: Annotated[ReasonOut | None, Field(exclude_if=lambda value: value is None)] = Field(
        default=None, description="What it rests on, where interests or a campaign had a part."
    )


class RankedHitOut(HitOut):
    """A result that a ranker ordered, by `rank`, `sort` or `diversity`."""

    rank_score: float = Field(
        description="What it was ordered by; higher is better. `score` stays the cosine."
    )
    signals: dict[str, float] = Field(description="What `rank_score` was made of, by name.")


class ReasonedHit(RankedHitOut):
    """A recommended pin. These hits are not ordered by `score` alone."""

    why: ReasonOut


class SearchResponse(BaseModel):
    """Results, best first."""

    hits: list[RankedHitOut | HitOut]
    total: int = Field(
        description="How many pins, or products where pins are grouped, were candidates: those that the filter leaves."
    )
    plan: str = Field(description="How they were found.")
    seconds: float = Field(description="Time in the engine.")
    upload: str | None = Field(
        default=None, description="Name of the query's picture, for `upload:NAME` in the next query."
    )
    more: bool = Field(description="Whether another page may follow.")
    best: float | None = Field(default=None, description="The score of the best match, before `min_score`.")
    alike: bool | None = Field(
        default=None,
        description="False where nothing here is like what was asked for; null where that was not judged.",
    )
    noise: float | None = Field(default=None, description="The score that unrelated queries reach here.")
    notes: list[str] = Field(
        default=[], description="What else to know, such as a text that was not read to its end."
    )
    answer: Answer = None
    variant: Variant = None


class LookRequest(_Strict):
    """A scene to find the objects of. Names and meaning are those of `Index.look`."""

    image: str = Field(description="As in a query.", max_length=4000)
    k: int = Field(default=5, ge=1, le=50, description="How many results for each object.")
    boxes: list[Crop] | None = Field(
        default=None,
        max_length=16,
        description="Search these parts instead of what is found; as `crop` in a query.",
    )
    most: int = Field(default=8, ge=1, le=16, description="At most so many objects.")
    where: str | None = Field(default=None, max_length=20_000)
    products: bool = Field(default=False, description="Only pins that are products.")
    min_score: float | None = Field(default=None, ge=-1, le=1)

    def options(self) -> LookOptions:
        """What it asks for."""
        return LookOptions(
            self.k,
            boxes=self.boxes,
            most=self.most,
            where=self.where,
            min_score=self.min_score,
            products=self.products,
        )


class ObjectOut(BaseModel):
    """An object of a scene."""

    box: list[float]
    score: float = Field(description="How sure the finder is, 0 to 1.")
    label: str | None
    label_from: str
    hits: list[HitOut]


class LookOut(BaseModel):
    """The objects of a scene, surest first; `found` is false where the whole picture stands in."""

    objects: list[ObjectOut]
    found: bool
    notes: list[str]
    width: int
    height: int
    seconds: dict[str, float]
    upload: str | None
    answer: Answer = None


class UploadOut(BaseModel):
    """An uploaded picture, kept in memory for a while."""

    upload: str = Field(description="Its name: the SHA-256 of its bytes.")
    width: int
    height: int
    seconds: float = Field(
        description="It is forgotten when it was not used for so long, or sooner when others need room."
    )


class PinOut(BaseModel):
    """A stored pin."""

    id: str
    attributes: dict[str, Any]
    uri: str | None = None
    picture: str
    hash: str | None = Field(default=None, description="SHA-256 of the picture's file.")
    width: Side = None
    height: Side = None


class PinsOut(BaseModel):
    """A page of stored pins."""

    pins: list[PinOut]
    total: int
    more: bool
    answer: Answer = None


class NewPin(_Strict):
    """A pin to add by the address of its picture."""

    image: str = Field(description="http(s) address, or `upload:HASH`.", max_length=4000)
    attributes: dict[str, Any] = Field(default={}, max_length=MOST_ATTRIBUTES)


class Changes(_Strict):
    """New attributes of a pin; null removes one, others stay."""

    attributes: dict[str, Any] = Field(max_length=MOST_ATTRIBUTES)


class AttributeOut(BaseModel):
    """What an attribute holds, for filters: a range of numbers, or the most common values."""

    name: str
    kind: str = Field(description="number, category, boolean or text")
    count: int = Field(description="Pins that have it.")
    low: float | None = None
    high: float | None = None
    values: list[ValueOut] = []


class ValueOut(BaseModel):
    """A value and how many pins have it."""

    value: str | float | bool
    count: int


class AttributesOut(BaseModel):
    """All attributes of the index."""

    attributes: list[AttributeOut]


class CountsOut(BaseModel):
    """Attribute -> its values and how many of the pins that fit have each; values that none has are left out."""

    counts: dict[str, list[ValueOut]]


class InfoOut(BaseModel):
    """Figures of the index; as `visualsearch info --json`, without places of the server."""

    pins: int
    rows: int
    regions: int
    encoder: str
    fingerprint: str
    dim: int
    text: bool
    preset: str
    recall: float | None
    attributes: list[str]
    version: str
    people: bool = Field(description="Whether this server keeps a record of people.")
    limits: dict[str, float]


class Health(BaseModel):
    """`ok`, or what is missing."""

    status: str


class ProblemOut(BaseModel):
    """RFC 9457: what went wrong."""

    type: str
    title: str
    status: int
    detail: str
