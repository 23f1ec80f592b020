"""The ranking stage: candidates in, an order out. Arrays only: no SQL, no people, no index.

A new way to rank is a class with one method::

    class Newest:
        def rank(self, candidates, context):
            return ranked(candidates.added, {"added": candidates.added})

`Index.search(..., ranker=Newest())` then orders the hits by it. What a ranker knows of the request beside the candidates,
such as a person's taste, travels in `Context.data`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.types import Attributes, Float32, Float64, Int64

DEPTH = 200
"""Candidates that a ranker orders, whatever the page: so pages never overlap. Later hits follow by cosine."""


class Details(Protocol):
    """What can be loaded of n candidates. Each is loaded once, and only where a ranker asks for it."""

    def vectors(self) -> Float32:
        """(n, d) float32, the unit vector of the row that matched."""
        ...

    def boxes(self) -> Float32:
        """(n, 4) float32, the part of the picture that matched: left, top, right, bottom as fractions."""
        ...

    def ids(self) -> Sequence[str]:
        """The pin ids."""
        ...

    def uris(self) -> Sequence[str]:
        """Where the pictures are."""
        ...

    def attributes(self) -> Sequence[Attributes]:
        """The attributes of each pin."""
        ...

    def names(self) -> Sequence[str]:
        """Names of all attributes that some pin of the index has."""
        ...

    def added(self) -> Float64:
        """(n,) float64, when each pin was added: Unix seconds."""
        ...


@dataclass(frozen=True)
class Held:
    """Details that are at hand already; asking for one that is not raises UsageError."""

    held: Mapping[str, Any] = field(default_factory=dict)

    def _get(self, name: str) -> Any:
        if name not in self.held:
            raise UsageError(
                "cannot rank", f"these candidates have no {name}", "Use another ranker or signal"
            )
        return self.held[name]

    def vectors(self) -> Float32:
        """See `Details`."""
        return np.asarray(self._get("vectors"), np.float32)

    def boxes(self) -> Float32:
        """See `Details`."""
        return np.asarray(self._get("boxes"), np.float32)

    def ids(self) -> Sequence[str]:
        """See `Details`."""
        return list(self._get("ids"))

    def uris(self) -> Sequence[str]:
        """See `Details`."""
        return list(self._get("uris"))

    def attributes(self) -> Sequence[Attributes]:
        """See `Details`."""
        return list(self._get("attributes"))

    def names(self) -> Sequence[str]:
        """See `Details`."""
        return list(dict.fromkeys(name for one in self.attributes() for name in one))

    def added(self) -> Float64:
        """See `Details`."""
        return np.asarray(self._get("added"), np.float64)


@dataclass(frozen=True)
class Candidates:
    """The shortlist of one query: n pins, the highest cosine first. Where pins are grouped, one pin for each group.

    `pins`, `rows`: (n,) int64, pin numbers and the row that matched best. `cosine`: (n,) float32.
    """

    pins: Int64
    rows: Int64
    cosine: Float32
    details: Details = field(default_factory=Held, repr=False, compare=False)

    @classmethod
    def of(cls, cosine: Any, **held: Any) -> Candidates:
        """Candidates numbered 0 .. n-1 with what is at hand of them: `vectors`, `attributes`, `added` ..."""
        scores = np.asarray(cosine, np.float32)
        numbers = np.arange(len(scores), dtype=np.int64)
        return cls(numbers, numbers, scores, Held(held))

    def __len__(self) -> int:
        return len(self.pins)

    @cached_property
    def vectors(self) -> Float32:
        """(n, d) float32 unit vectors of the rows that matched."""
        return self.details.vectors()

    @cached_property
    def boxes(self) -> Float32:
        """(n, 4) float32, the part of each picture that matched, as fractions."""
        return self.details.boxes()

    @cached_property
    def ids(self) -> Sequence[str]:
        """The pin ids."""
        return self.details.ids()

    @cached_property
    def uris(self) -> Sequence[str]:
        """Where the pictures are."""
        return self.details.uris()

    @cached_property
    def attributes(self) -> Sequence[Attributes]:
        """The attributes of each pin."""
        return self.details.attributes()

    @cached_property
    def added(self) -> Float64:
        """(n,) float64 Unix seconds: when each pin was added."""
        return self.details.added()

    def values(self, name: str) -> list[Any]:
        """The value of an attribute for each candidate, None where it is missing.

        Raises UsageError for an attribute that no pin of the index has.
        """
        known = self.details.names()
        if name not in known:
            listed = ", ".join(sorted(known)[:12])
            raise UsageError(
                f"cannot rank by {name!r}",
                "no pin of this index has it",
                f"Known: {listed}" if listed else "This index's pins have no attributes",
            )
        return [one.get(name) for one in self.attributes]


@dataclass(frozen=True)
class Context:
    """What a ranker knows of the request. The search fills in `query` and the page.

    `query`: (d,) float32, the query's unit vector. `depth`: how many candidates are ranked. `also`: pin numbers that join them
    whatever their cosine, such as those of a graph walk or a campaign; the filter and the minimum score hold for them too.
    `now`: Unix seconds. `data` holds what one ranker needs and others do not, by name: a person's interests, a model's features.
    """

    query: Float32 | None = field(default=None, repr=False, compare=False)
    k: int = 10
    offset: int = 0
    depth: int = DEPTH
    also: Sequence[int] = ()
    now: float = field(default_factory=time.time)
    data: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or self.depth < 1:
            raise UsageError(
                "cannot rank", f"the depth is {self.depth!r}", "Give a whole number of at least 1"
            )

    def need(self, name: str) -> Any:
        """What travels under that name. Raises UsageError where the request has none."""
        if name not in self.data:
            raise UsageError(
                "cannot rank",
                f"this ranker needs {name!r}, and the request has none",
                f"Give it: context=Context(data={{{name!r}: ...}})",
            )
        return self.data[name]


@dataclass(frozen=True)
class Ranking:
    """An order of n candidates. `order`: (m,) int64 places of those that stay, best first; the others are left out.

    `rank_score`: (n,) float32, what they were ordered by; higher is better. `signals`: name -> (n,) float32, what it was made of.
    """

    order: Int64
    rank_score: Float32
    signals: Mapping[str, Float32] = field(default_factory=dict)

    def checked(self, count: int) -> Ranking:
        """The same. Raises UsageError where it is no ranking of `count` candidates."""
        order = np.asarray(self.order)
        wrong = ""
        if order.ndim != 1 or (len(order) and order.dtype.kind not in "iu"):
            wrong = "the order is no list of whole numbers"
        elif len(order) and not (order.min() >= 0 and order.max() < count):
            wrong = f"the order names candidates outside 0 .. {count - 1}"
        elif len(np.unique(order)) < len(order):
            wrong = "the order names a candidate twice"
        for name, values in {"rank_score": self.rank_score, **self.signals}.items():
            if np.shape(values) != (count,):
                wrong = wrong or f"{name} has the shape {np.shape(values)}, not ({count},)"
            elif not np.isfinite(values).all():
                wrong = wrong or f"{name} is not finite for every candidate"
        if wrong:
            raise UsageError("the ranker's answer cannot be used", wrong, "Mend the ranker, or leave it out")
        return self


@runtime_checkable
class Ranker(Protocol):
    """Orders candidates. The one method to implement; it must depend on its arguments alone, so that pages fit together."""

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The order of the candidates for this request."""
        ...


Signal = Callable[[Candidates, Context], Float32]
"""One number for each candidate, (n,) float32."""


def ranked(scores: Any, signals: Mapping[str, Float32] | None = None) -> Ranking:
    """All candidates by (n,) scores, the highest first; of equals the one with the higher cosine, which comes first already."""
    values = np.asarray(scores, np.float32)
    return Ranking(np.argsort(-values, kind="stable").astype(np.int64), values, signals or {})


@dataclass(frozen=True)
class ByCosine:
    """The order that the search itself has."""

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        """The candidates as they come."""
        order = np.arange(len(candidates), dtype=np.int64)
        return Ranking(order, candidates.cosine, {"cosine": candidates.cosine})


BY_COSINE = ByCosine()
"""No ranking: hits come as the search found them, and only as many are looked for as the page needs."""
