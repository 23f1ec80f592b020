"""Shop the look: the objects of a scene, each with a name and results of its own.

`Index.look` is the way in. What it returns can be read as [(box, label, hits), ...].
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch import images
from visualsearch.images import STYLE, CropStyle, view
from visualsearch.types import WHOLE, Box, Encoder, Float32, Hit, Hits

from . import proposals
from .completing import boards_of, complete
from .ground import Ground, ground_of
from .index import SearchedIndex
from .naming import VOICES, Name, votes
from .objects import Look, LookObject
from .options import LookOptions
from .proposals import Proposal
from .sharing import one_each, preferring, shared_out, various

if TYPE_CHECKING:
    from PIL.Image import Image

AGREED = 0.5
"""Neighbours whose share of the votes is at least this name an object before the general vocabulary does: the catalog's own
words fit its things better. A vocabulary that the caller gives always comes first.
"""
DOUBTFUL = 0.1
"""A found box with neither name nor results is left out where the finder is less sure of it than this."""
NOTHING = Hits((), 0, "empty")
WHOLE_ONLY = "No object was found in this picture: the whole picture is searched."


def shop(index: SearchedIndex, scene: Any, asked: LookOptions) -> Look:
    """See `Index.look`."""
    clock = _Clock()
    picture = images.load(scene, max_pixels=asked.max_pixels)
    clock.end("load")
    wanted = _wanted(picture, asked)
    given, found = asked.boxes is not None, bool(wanted)
    wanted = wanted or [LookObject(WHOLE, None, NOTHING, 0.0)]
    clock.end("find")
    vectors = embed_parts(index.encoder, picture, [one.box for one in wanted], asked.style)
    clock.end("embed")
    candidates = index.nearest(
        vectors, k=_fetch(asked, len(wanted)), where=asked.where, min_score=asked.min_score
    )
    if not given:
        kept = one_each(wanted, candidates)
        wanted, candidates = [wanted[at] for at in kept], [candidates[at] for at in kept]
        vectors = vectors[kept]
    ground = ground_of(index)
    alike = _alike(candidates, ground.level(index))
    silent = [state is False and not asked.unsure for state in alike]
    names = [
        None if quiet else votes(hits, asked.label_by) for hits, quiet in zip(candidates, silent, strict=True)
    ]
    chosen = _chosen(index, candidates, names, silent, asked)
    labels = _labels(index, ground, vectors, names, asked.vocabulary, asked.unsure)
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
    if not given and not asked.unsure:
        objects = tuple(one for one in objects if _worth_showing(one)) or objects
    notes = [] if found else [WHOLE_ONLY]
    notes += _notes(index, objects, any(silent))
    matching = None
    if asked.goes_with:
        present = [name.text for name in names if name]
        matching = complete(
            index, vectors, present, boards_of(objects), asked.goes_with, asked.label_by, asked.where
        )
        clock.end("complete")
    return Look(objects, picture.size, found, tuple(notes), matching, clock.seconds())


def _wanted(picture: Image, asked: LookOptions) -> list[LookObject]:
    """The boxes that the caller gave, else those that the finder finds; none is searched yet."""
    if asked.boxes is not None:
        return [LookObject(images.check_box(box, picture.size), None, NOTHING) for box in asked.boxes]
    proposed = proposals.find_objects(picture, asked.finder, most=asked.most, sure=asked.sure)
    return [LookObject(p.box, None, NOTHING, p.score) for p in sorted(proposed, key=_worth)]


def _fetch(asked: LookOptions, objects: int) -> int:
    """Candidates for each object: of k * n of them, k are left when the other objects have taken theirs."""
    several = 4 * asked.k if asked.diversity or asked.prefer else 0
    return max(asked.k if asked.repeat else asked.k * objects, VOICES, several)


def _chosen(
    index: SearchedIndex,
    candidates: Sequence[Hits],
    names: Sequence[Name | None],
    silent: Sequence[bool],
    asked: LookOptions,
) -> list[list[Hit]]:
    """The hits of each object, in the order in which they are shown; none for an object that is like nothing here."""
    k, prefer = asked.k, asked.prefer or 0.0
    ranked: list[list[Hit]] = [
        [] if quiet else preferring(hits, name, asked.label_by, prefer)
        for hits, name, quiet in zip(candidates, names, silent, strict=True)
    ]
    most = 4 * k if asked.diversity else k
    chosen = [hits[:k] for hits in ranked] if asked.repeat else shared_out(ranked, most)
    if asked.diversity:
        chosen = [various(index, hits, k, asked.diversity) for hits in chosen]
    return chosen


def _notes(index: SearchedIndex, objects: Sequence[LookObject], silent: bool) -> list[str]:
    """What else the user should know: objects without hits, and an index without regions."""
    notes = []
    without = sum(one.alike is False for one in objects)
    if silent and without:
        notes.append(_silence(without, len(objects)))
    if not index.has_regions():
        notes.append(
            f"The index holds whole pictures only: a pin in which the object is small may be missed."
            f" To add regions run: visualsearch index SOURCE --to {index.folder} --regions"
        )
    return notes


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
