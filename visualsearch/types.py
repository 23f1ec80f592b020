"""Values shared by every module: boxes, records, queries, results, reports. What a model is comes from `specs`."""

# ruff: noqa: PLC0414 (the names of `specs` are found here, too)
from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError
from visualsearch.specs import Encoder as Encoder
from visualsearch.specs import EncoderSpec as EncoderSpec
from visualsearch.specs import Precision as Precision
from visualsearch.specs import Preprocessing as Preprocessing
from visualsearch.specs import Resize as Resize

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Float16 = NDArray[np.float16]
UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

Attributes = Mapping[str, Any]
"""Attribute name -> JSON value. Filters see strings, numbers, booleans and null."""


class Box(NamedTuple):
    """A rectangle as fractions (0..1) of the upright picture: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Record:
    """One picture of a source.

    `id` is the pin's name; `named` says that the user chose it (a manifest's id column) rather than that it
    was derived from the place. `stamp` changes when the content may have changed (size and mtime, an ETag);
    None means unknown. `read()` gives the file's bytes and raises PictureError. `vector`, (d,) float32, is
    set where the source holds finished embeddings, and then nothing is read; `digest` is the sha256 of the
    file's bytes where the embeddings say it.
    """

    id: str
    uri: str
    read: Callable[[], bytes] = field(repr=False, compare=False)
    attributes: Attributes = field(default_factory=dict)
    named: bool = False
    stamp: str | None = None
    vector: Float32 | None = field(default=None, repr=False, compare=False)
    digest: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Failure:
    """A picture that was not indexed: where, why, and what to do.

    `hides` is set where the failure kept the source from listing other entries: uris that begin with it were
    not listed, and "" means that any of the source's entries may be missing. None: this entry alone failed.
    """

    uri: str
    id: str
    reason: str
    remedy: str = ""
    hides: str | None = None


@dataclass(frozen=True)
class PassedOver:
    """A file of a source that is not taken for a picture. `reason` is one of a few, so that they can be counted."""

    uri: str
    reason: str


@dataclass(frozen=True)
class Part:
    """One weighted part of a query; just one of `image`, `text`, `like` is set.

    `image` is a path, URL, bytes, PIL picture or (h, w, 3) uint8 array; `crop` narrows it. `like` is the id
    of a stored pin. Negative weights push away.
    """

    weight: float = 1.0
    image: Any = None
    crop: Box | None = None
    text: str | None = None
    like: str | None = None


MAX_PIXELS = 100_000_000
"""Pictures of more pixels than this are refused before they are decoded, unless the caller says otherwise."""


@dataclass(frozen=True)
class Query:
    """What to look for: weighted parts mixed into one unit vector, a filter, and how many results.

    `min_score` leaves out hits below that cosine; "auto": below what queries that mean nothing reach in this index.
    Of the pins that share a value of the attribute `group_by`, the best one is a result. None: the attribute that the index
    remembers, if any; "none": every pin for itself.
    Pictures of more than `max_pixels` pixels are refused.
    """

    parts: tuple[Part, ...]
    k: int = 10
    offset: int = 0
    where: str | None = None
    min_score: float | Literal["auto"] | None = None
    include_seeds: bool = False
    group_by: str | None = None
    max_pixels: int = MAX_PIXELS


class Evidence(NamedTuple):
    """What a reason rests on: a `pin`, `board` or `follow` by its id, and how much it weighed among the evidence."""

    kind: str
    id: str
    weight: float


@dataclass(frozen=True)
class Reason:
    """Why a pin is recommended: a sentence in plain English, and its true evidence, the weightiest first.

    `kind` says what sort of reason it is, such as "together" or "sight" (see `visualsearch.recommend.why`).
    """

    kind: str
    sentence: str
    evidence: tuple[Evidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: kind, sentence, evidence."""
        return {
            "kind": self.kind,
            "sentence": self.sentence,
            "evidence": [{"kind": e.kind, "id": e.id, "weight": round(e.weight, 6)} for e in self.evidence],
        }


@dataclass(frozen=True)
class Hit:
    """One result: a pin, the score of its best matching row (higher is better) and the box that matched.

    The score is the cosine with the query's vector. It orders the hits of one query and compares with no other query: a
    word that fits well may score 0.3, a picture 0.8, and a mix of both lies between. `Hits.alike` says what a low one means.
    `signals` are numbers about the hit, by name. `rank_score` is what a ranker ordered the hit by, as it was made of those
    signals; None where the cosine ordered it. `promoted` is the campaign that pays for its place, None where nobody does; events
    of such a pin name its `placement`.
    """

    id: str
    uri: str
    score: float
    box: Box
    attributes: Attributes
    signals: Mapping[str, float] = field(default_factory=dict)
    rank_score: float | None = None
    why: Reason | None = None
    promoted: str | None = None
    placement: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: id, uri, score, box, attributes.

        Where a ranker ordered it, also rank_score and signals; where there is a reason, also `why`; where a campaign promotes
        it, also `promoted` and `placement`.
        """
        plain: dict[str, Any] = {
            "id": self.id,
            "uri": self.uri,
            "score": self.score,
            "box": list(self.box),
            "attributes": dict(self.attributes),
        }
        if self.rank_score is not None:
            plain |= {"rank_score": self.rank_score, "signals": dict(self.signals)}
        if self.promoted is not None:
            plain |= {"promoted": self.promoted, "placement": self.placement}
        return plain if self.why is None else {**plain, "why": self.why.to_dict()}


@dataclass(frozen=True)
class Stored:
    """One row of an index: a picture, or an object in it with its `box`. `row` and `pin` are numbers, never given to another;
    `vector` is (d,) float32, of unit length but for the rounding of float16."""

    row: int
    pin: int
    id: str
    uri: str
    box: Box | None
    attributes: Attributes
    vector: Float32 = field(repr=False, compare=False)


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """Results, best first. Behaves as a sequence of Hit.

    `plan` says how they were found: "exact", "ann", or "filtered-" and one of "exact", "ann", "codes"; `total` how many pins
    were candidates (those the filter leaves), or how many products where pins are grouped. `best` is the score of the first
    hit of all pages, before `min_score`. `alike` is False where the index holds nothing like what was asked for: `best` is
    below `noise`, which queries that mean nothing reach; None where that was not judged. `cursor` asks a feed for its next page.
    `vector` is the (d,) unit vector of the query of a search. `variant` is the arm of an experiment that made the list, as its
    events name it: NAME:ARM, or interleave:NAME. `listed` is the id of a list that the record of people remembers.
    """

    items: tuple[Hit, ...]
    total: int
    plan: str
    seconds: float = 0.0
    best: float | None = None
    alike: bool | None = None
    noise: float | None = None
    notes: tuple[str, ...] = ()
    cursor: str | None = None
    variant: str | None = None
    listed: str | None = None
    vector: Float32 | None = field(default=None, repr=False, compare=False)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.items)

    @cached_property
    def answer(self) -> str:
        """An id for this list, random and made when it is first asked for. An event about one of its hits names it:
        `Event("click", person, hit.id, answer=hits.answer, slot=3)`."""
        return self.listed or "a" + secrets.token_hex(8)

    @property
    def verdict(self) -> str:
        """A sentence for people where `alike` is False; else the empty string."""
        if self.alike is not False:
            return ""
        if self.noise is None or self.best is None:
            return "nothing alike: no part of this mix finds more here than unrelated queries do"
        return f"nothing alike: the best score {self.best:.2f} is what unrelated queries reach here (up to {self.noise:.2f})"

    @property
    def ids(self) -> list[str]:
        """The pins' ids, best first."""
        return [hit.id for hit in self.items]

    @property
    def scores(self) -> Float32:
        """(k,) float32 cosines, best first."""
        return np.array([hit.score for hit in self.items], dtype=np.float32)

    def to_arrow(self) -> Any:
        """A pyarrow.Table, one row a hit: id, score, uri, box (four fractions), and a column for each attribute.

        An attribute that has one of these names, or whose values are of several types, keeps its JSON text in
        `attributes.NAME`.
        """
        import pyarrow as pa

        columns: dict[str, Any] = {
            "id": pa.array([hit.id for hit in self.items], pa.string()),
            "score": pa.array(self.scores, pa.float32()),
            "uri": pa.array([hit.uri for hit in self.items], pa.string()),
            "box": pa.array([list(hit.box) for hit in self.items], pa.list_(pa.float32(), 4)),
        }
        for name in dict.fromkeys(name for hit in self.items for name in hit.attributes):
            values = [hit.attributes.get(name) for hit in self.items]
            try:
                if name in columns:
                    raise pa.ArrowInvalid(name)
                columns[name] = pa.array(values)
            except (pa.ArrowException, TypeError):
                columns[f"attributes.{name}"] = pa.array(
                    [None if v is None else json.dumps(v, ensure_ascii=False) for v in values], pa.string()
                )
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """The same as a pandas.DataFrame. Raises UsageError where pandas is not installed."""
        return pandas_of(self.to_arrow())


def pandas_of(table: Any) -> Any:
    """An Arrow table as a pandas.DataFrame. Raises UsageError where pandas is not installed."""
    if importlib.util.find_spec("pandas") is None:
        raise UsageError("cannot make a pandas table", "pandas is not installed", "Run: pip install pandas")
    return table.to_pandas()


@dataclass(frozen=True)
class StoredPin:
    """A pin of an index, as `Index.pin` gives it.

    `number` is its pin number: it is never given to another pin. `named` says that the user chose the id. `hash` is the sha256
    (hex) of the picture's file, or of the vector where only a vector was given. `boxes` are the objects inside the
    picture that have rows of their own.
    """

    id: str
    number: int
    uri: str
    attributes: Attributes
    named: bool
    hash: str | None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class IndexReport:
    """What one run of the indexer did.

    Counts are pictures. `excluded` were left out because they had been removed from the index. `passed_over`
    maps a reason to the files that were not taken for pictures. `incomplete`: a part of the source could not be
    listed; `kept` pins were not seen and stay, because pruning cannot tell whether they are gone. `gone` (of
    `embed`): embeddings whose pictures are gone, which pruning would drop. `stages` maps a stage to its busy
    seconds divided by its workers; the largest is the `bottleneck`.
    """

    seen: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    failures: tuple[Failure, ...] = ()
    failed: int = 0
    embedded: int = 0
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    excluded: int = 0
    kept: int = 0
    gone: int = 0
    incomplete: bool = False
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def bottleneck(self) -> str | None:
        """The stage that kept the others waiting; None when nothing ran."""
        return max(self.stages, key=self.stages.__getitem__) if self.stages else None

    @property
    def rate(self) -> float:
        """Pictures seen per second."""
        return self.seen / self.seconds if self.seconds else 0.0
