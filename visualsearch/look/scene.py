"""Shop the look: the objects of a scene, each with a name and results of its own.

`Index.look` is the way in. What it returns can be read as [(box, label, hits), ...].
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from visualsearch import images
from visualsearch.errors import UsageError
from visualsearch.images import STYLE, CropStyle, view
from visualsearch.types import MAX_PIXELS, WHOLE, Box, Encoder, Float32, Hit, Hits

from . import proposals
from .ground import Ground, ground_of
from .naming import VOICES, Name, votes
from .proposals import FINDER, Proposal, covered

if TYPE_CHECKING:
    from PIL.Image import Image

    from .index import SearchedIndex

AGREED = 0.5
"""Neighbours whose share of the votes is at least this name an object before the general vocabulary does: the catalog's own
words fit its things better. A vocabulary that the caller gives always comes first.
"""
PREFER = 0.0
"""What a hit of the category that an object's neighbours vote for gains, in cosine.

0, because it was measured not to help: `visualsearch bench look --tasks look`, 559 objects, R@10 0.864 without, 0.864 with 0.03
and 0.859 with 0.1 (R@1 0.816, 0.814, 0.809).
"""
TWIN = 0.5
"""Found boxes that share this much of the smaller one and have one best hit show one object."""
DOUBTFUL = 0.1
"""A found box with neither name nor results is left out where the finder is less sure of it than this."""
NOTHING = Hits((), 0, "empty")


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


# -- finding ------------------------------------------------------------------------------------------------------
def shop(
    index: SearchedIndex,
    scene: Any,
    k: int = 5,
    *,
    boxes: Sequence[Sequence[float]] | None = None,
    most: int = 8,
    finder: str = FINDER,
    sure: float | None = None,
    where: str | None = None,
    min_score: float | None = None,
    label_by: str = "category",
    vocabulary: Sequence[str] | None = None,
    prefer: float = PREFER,
    repeat: bool = False,
    diversity: float = 0.0,
    style: CropStyle = STYLE,
    goes_with: int = 0,
    max_pixels: int = MAX_PIXELS,
    unsure: bool = False,
) -> Look:
    """See `Index.look`."""
    _check(k, most, diversity, goes_with)
    clock = _Clock()
    picture = images.load(scene, max_pixels=max_pixels)
    clock.end("load")
    wanted = [LookObject(images.check_box(box, picture.size), None, NOTHING) for box in boxes or ()]
    if boxes is None:
        proposed = proposals.find(picture, finder, most=most, sure=sure)
        wanted = [LookObject(p.box, None, NOTHING, p.score) for p in sorted(proposed, key=_worth)]
    given = boxes is not None
    found = bool(wanted)
    notes = [] if found else ["No object was found in this picture: the whole picture is searched."]
    wanted = wanted or [LookObject(WHOLE, None, NOTHING, 0.0)]
    clock.end("find")
    vectors = embed_parts(index.encoder, picture, [one.box for one in wanted], style)
    clock.end("embed")
    # of k * n candidates for each, k are left when the others have taken theirs
    fetch = max(k if repeat else k * len(wanted), VOICES, 4 * k if diversity or prefer else 0)
    candidates = index.nearest(vectors, k=fetch, where=where, min_score=min_score)
    if not given:
        kept = _one_each(wanted, candidates)
        wanted, candidates = [wanted[at] for at in kept], [candidates[at] for at in kept]
        vectors = vectors[kept]
    ground = ground_of(index)
    alike = _alike(candidates, ground.level(index))
    silent = [state is False and not unsure for state in alike]
    names = [None if quiet else votes(hits, label_by) for hits, quiet in zip(candidates, silent, strict=True)]
    ranked = [_preferring(hits, name, label_by, prefer) for hits, name in zip(candidates, names, strict=True)]
    ranked = [[] if quiet else hits for hits, quiet in zip(ranked, silent, strict=True)]
    chosen = [hits[:k] for hits in ranked] if repeat else _shared_out(ranked, k if not diversity else 4 * k)
    if diversity:
        chosen = [_diverse(index, hits, k, diversity) for hits in chosen]
    labels = _labels(index, ground, vectors, names, vocabulary, unsure)
    clock.end("search")
    objects = tuple(
        replace(
            one,
            label=label.text if label else None,
            label_score=label.score if label else 0.0,
            label_from=label.source if label else "",
            hits=replace(hits, items=tuple(items)),
            alike=state,
        )
        for one, hits, items, label, state in zip(wanted, candidates, chosen, labels, alike, strict=True)
    )
    if not given and not unsure:
        objects = tuple(one for one in objects if _worth_showing(one)) or objects
    if any(silent):
        without = sum(one.alike is False for one in objects)
        notes.extend([_silence(without, len(objects))] if without else [])
    if not index.has_regions():
        notes.append(
            f"The index holds whole pictures only: a pin in which the object is small may be missed."
            f" To add regions run: visualsearch index SOURCE --to {index.folder} --regions"
        )
    matching = None
    if goes_with:
        present = [name.text for name in names if name]
        matching = complete(index, vectors, present, _boards(objects), goes_with, label_by, where)
        clock.end("complete")
    return Look(objects, picture.size, found, tuple(notes), matching, clock.seconds())


def embed_parts(encoder: Encoder, picture: Image, boxes: Sequence[Box], style: CropStyle = STYLE) -> Float32:
    """The unit vectors of parts of an upright RGB picture, (n, d) float32, in one batch (and the whole's, when mixed in)."""
    parts = [encoder.preprocess(view(picture, box, style)) for box in boxes]
    if style.whole:
        parts.append(encoder.preprocess(picture))
    vectors = encoder.encode_images(np.stack(parts))
    if not style.whole:
        return vectors
    mixed = vectors[:-1] + np.float32(style.whole) * vectors[-1]
    unit: Float32 = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit


def _one_each(wanted: Sequence[LookObject], candidates: Sequence[Hits]) -> list[int]:
    """Numbers of the objects without those that are another's once more: they overlap it and have the same best hit.

    The finder is surer of the one that stays.
    """
    places = np.array([one.box for one in wanted])
    twins = covered(places, places) >= TWIN
    best = [hits[0].id if len(hits) else None for hits in candidates]
    kept: list[int] = []
    for at in sorted(range(len(wanted)), key=lambda at: -wanted[at].score):
        if best[at] is None or not any(twins[at, other] and best[other] == best[at] for other in kept):
            kept.append(at)
    return sorted(kept)


def _worth(proposal: Proposal) -> float:
    """What comes first: a sofa before a cup on it, where the finder is about as sure of both."""
    box = proposal.box
    return -proposal.score * math.sqrt((box.x1 - box.x0) * (box.y1 - box.y0))


def _worth_showing(one: LookObject) -> bool:
    return one.alike is not False or one.label is not None or one.score >= DOUBTFUL


def _alike(candidates: Sequence[Hits], level: float | None) -> list[bool | None]:
    """Whether the best score of each row is above what parts that hold nothing reach; None where that is not known."""
    if level is None:
        return [None] * len(candidates)
    return [len(hits) > 0 and hits[0].score >= level for hits in candidates]


def _silence(silent: int, of: int) -> str:
    some = "No object has results" if silent == of else f"{silent} of {of} objects have no results"
    return (
        f"{some}: nothing in the index is clearly like them. To see the nearest pins all the same: --unsure"
    )


def _labels(
    index: SearchedIndex,
    ground: Ground,
    vectors: Float32,
    names: Sequence[Name | None],
    vocabulary: Sequence[str] | None,
    unsure: bool,
) -> list[Name | None]:
    """The name of each object: its neighbours' where they agree, else a word that fits it clearly, else None."""
    if not index.spec.text:
        return [name if name and (unsure or name.score >= AGREED) else None for name in names]
    words = index.words(vocabulary)
    labels: list[Name | None] = []
    for name, vector in zip(names, vectors, strict=True):
        if vocabulary is None and name is not None and name.score >= AGREED:
            labels.append(name)
        elif unsure or ground.word(words, vector, vocabulary is not None) is not None:
            labels.append(words.nearest(vector))
        else:
            labels.append(None)
    return labels


def _check(k: int, most: int, diversity: float, goes_with: int) -> None:
    bounds = {
        "k": (k >= 1, "must be 1 or more"),
        "most": (most >= 1, "must be 1 or more"),
        "diversity": (0 <= diversity <= 1, "must be between 0 and 1"),
        "goes_with": (goes_with >= 0, "must be 0 or more"),
    }
    for name, (fine, why) in bounds.items():
        if not fine:
            raise UsageError(f"{name} cannot be that", f"it {why}", "Leave it out for the usual value")


def _preferring(hits: Hits, name: Name | None, attribute: str, prefer: float) -> list[Hit]:
    """The hits in a new order: those of the category that the neighbours vote for gain `prefer` times its share."""
    if name is None or not prefer:
        return list(hits)
    bonus = prefer * name.score
    gained = [
        replace(
            hit,
            signals={**hit.signals, "category": bonus if hit.attributes.get(attribute) == name.text else 0.0},
        )
        for hit in hits
    ]
    return sorted(gained, key=lambda hit: -(hit.score + hit.signals["category"]))


def _shared_out(ranked: Sequence[Sequence[Hit]], k: int) -> list[list[Hit]]:
    """Each pin to the one object whose hit it is with the highest score, at most k to each object."""
    flat = [
        (hit.score + hit.signals.get("category", 0.0), -number, hit)
        for number, hits in enumerate(ranked)
        for hit in hits
    ]
    flat.sort(key=lambda entry: entry[:2], reverse=True)
    chosen: list[list[Hit]] = [[] for _ in ranked]
    taken = set()
    for _, number, hit in flat:
        if hit.id not in taken and len(chosen[-number]) < k:
            chosen[-number].append(hit)
            taken.add(hit.id)
    return chosen


def _diverse(index: SearchedIndex, hits: Sequence[Hit], k: int, diversity: float) -> list[Hit]:
    """k of the hits, each the best by (1 - d) * score - d * its highest cosine with those taken before.

    Maximal marginal relevance: Carbonell and Goldstein 1998, "The Use of MMR, Diversity-Based Reranking".
    """
    if len(hits) <= 1:
        return list(hits)
    vectors = index.vectors([hit.id for hit in hits])
    alike = vectors @ vectors.T
    scores = np.array([hit.score for hit in hits])
    taken = [0]
    while len(taken) < min(k, len(hits)):
        worth = (1 - diversity) * scores - diversity * alike[:, taken].max(1)
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
    return [hits[at] for at in taken]


# -- completing ---------------------------------------------------------------------------------------------------
def complete(
    index: SearchedIndex,
    vectors: Float32,
    categories: Sequence[str],
    boards: Sequence[str],
    k: int,
    label_by: str = "category",
    where: str | None = None,
) -> Hits:
    """k pins of other categories than `categories` that go with it, in a first, plain sense.

    Pins that are on one of `boards` (attribute `board`) come first: people put them together. The rest is filled with pins
    that look alike in colour and texture, as far as the encoder's vector has it: the pins of other categories nearest to
    the mean of `vectors`, (n, d) float32. At most a third of the places go to one category. It knows nothing of taste,
    season or fit. Raises UsageError when no pin has the attribute `label_by`.
    """
    if label_by not in index.attributes():
        why = f"no pin of this index has the attribute {label_by!r}, which tells what belongs together"
        raise UsageError("cannot complete the look", why, "Name another attribute, or add it with a manifest")
    others = f"`{label_by}` is not null"
    if categories:
        others += f" and `{label_by}` not in ({', '.join(_quoted(name) for name in sorted(set(categories)))})"
    if where is not None:
        others = f"({where}) and {others}"
    centre = vectors.mean(0, keepdims=True)
    centre /= np.linalg.norm(centre)
    together: list[Hit] = []
    if boards:
        same = f"{others} and board in ({', '.join(_quoted(name) for name in sorted(set(boards)))})"
        found = index.nearest(centre, k=6 * k, where=same)[0]
        together = [replace(hit, signals={**hit.signals, "board": 1.0}) for hit in found]
    alike = index.nearest(centre, k=6 * k, where=others)[0]
    most = max(1, -(-k // 3))
    chosen: dict[str, Hit] = {}
    count: dict[str, int] = {}
    for hit in [*together, *alike]:
        category = str(hit.attributes[label_by])
        if len(chosen) < k and hit.id not in chosen and count.get(category, 0) < most:
            chosen[hit.id] = hit
            count[category] = count.get(category, 0) + 1
    return Hits(tuple(chosen.values()), alike.total, "board+style" if boards else "style")


def complete_pin(
    index: SearchedIndex, pin: str, k: int, label_by: str = "category", where: str | None = None
) -> Hits:
    """See `Index.complete`."""
    attributes = index.attributes_of(pin)
    category, board = attributes.get(label_by), attributes.get("board")
    return complete(
        index,
        index.vectors([pin]),
        [category] if isinstance(category, str) else [],
        [board] if isinstance(board, str) else [],
        k,
        label_by,
        f"id != {_quoted(pin)}" + (f" and ({where})" if where is not None else ""),
    )


def _boards(objects: Sequence[LookObject]) -> list[str]:
    """The boards of each object's best hit."""
    best = [hit.attributes.get("board") for one in objects for hit in one.hits[:1]]
    return [board for board in best if isinstance(board, str)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _Clock:
    """Seconds of each stage, one after the other."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        self.spent: dict[str, float] = {}

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.spent[stage] = now - self.last
        self.last = now

    def seconds(self) -> dict[str, float]:
        return {**self.spent, "total": self.last - self.start}
