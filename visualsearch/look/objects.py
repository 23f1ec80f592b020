"""What looking gives: a scene's objects, each with a name and hits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from visualsearch.types import Box, Hits


@dataclass(frozen=True)
class LookObject:
    """An object of a scene: where it is, what it is called, and what looks like it.

    `score` (0..1) is how sure the finder is that something is there; 1 for a box that the caller gave. `label` is None where
    neither words nor the neighbours' categories name it for sure; `label_score` is its share of the neighbours' votes, or its
    cosine where `label_from` is "words". `alike` is False where the index holds nothing like it: `hits` is empty then, unless
    unsure results were asked for; None where that was not judged. Unpacks as (box, label, hits).
    """

    box: Box
    label: str | None
    hits: Hits
    score: float = 1.0
    label_score: float = 0.0
    label_from: str = ""
    alike: bool | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.box, self.label, self.hits))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: box, score, label, label_score, label_from, alike, hits."""
        return {
            "box": list(self.box),
            "score": round(self.score, 4),
            "label": self.label,
            "label_score": round(self.label_score, 4),
            "label_from": self.label_from,
            "alike": self.alike,
            "hits": [hit.to_dict() for hit in self.hits],
        }


@dataclass(frozen=True)
class Look(Sequence[LookObject]):
    """What `Index.look` found: objects, large and sure ones first.

    `size` is the upright scene's (width, height) in pixels. `found` is False when no object was found and the whole picture
    stands in. `notes` are sentences for the user. `goes_with`, when asked for, are pins of other categories that go with the
    scene. `seconds` maps a stage (load, find, embed, search, total) to its time.
    """

    objects: tuple[LookObject, ...]
    size: tuple[int, int]
    found: bool
    notes: tuple[str, ...] = ()
    goes_with: Hits | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> LookObject: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[LookObject, ...]: ...
    def __getitem__(self, index: int | slice) -> LookObject | tuple[LookObject, ...]:
        return self.objects[index]

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[LookObject]:
        return iter(self.objects)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: objects, found, size, notes, goes_with, seconds."""
        return {
            "objects": [one.to_dict() for one in self.objects],
            "found": self.found,
            "size": list(self.size),
            "notes": list(self.notes),
            "goes_with": None if self.goes_with is None else [hit.to_dict() for hit in self.goes_with],
            "seconds": {stage: round(spent, 4) for stage, spent in self.seconds.items()},
        }
