"""A Query -> one unit vector: whatever holds the vectors, queries are put together here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from visualsearch import images
from visualsearch.errors import EncoderError, UsageError
from visualsearch.images import view
from visualsearch.store import Reader, pin_named
from visualsearch.types import Encoder, EncoderSpec, Float32, Part, Query

from .query_checks import check_query
from .scales import Sample, blended
from .snapshot import Snapshot

LONG = 40
"""A text of fewer characters is read whole by every model."""


def encoded(
    query: Query, encoder: Callable[[], Encoder], spec: EncoderSpec | None = None
) -> dict[int, Float32]:
    """Vectors of the parts that need the encoder, by part number. `encoder` is asked only then, and where `spec` is known,
    after the pictures were read: what cannot be read need not wait for it.

    Raises UsageError for a query that no index can answer, PictureError, EncoderError.
    """
    check_query(query)
    _check_texts(query)
    vectors: dict[int, Float32] = {}
    pictures = {
        i: _picture(p, spec or encoder().spec, query.max_pixels)
        for i, p in enumerate(query.parts)
        if p.image is not None
    }
    if pictures:
        pixels = np.stack([encoder().preprocess(p) for p in pictures.values()])
        vectors.update(zip(pictures, encoder().encode_images(pixels), strict=True))
    texts = {i: p.text for i, p in enumerate(query.parts) if p.text is not None}
    if texts:
        vectors.update(zip(texts, encoder().encode_texts(list(texts.values())), strict=True))
    for number, vector in vectors.items():
        if not np.isfinite(vector).all():
            raise EncoderError(
                "the query cannot be encoded",
                f"the model gave numbers that are not finite for part {number + 1}",
                "Use another precision: --precision fp32",
            )
    return vectors


def mixed(
    query: Query,
    vectors: Mapping[int, Float32],
    stored: Callable[[str], Float32],
    sample: Callable[[], Sample],
) -> Float32:
    """The query's (d,) unit vector. `stored` gives the vector of a pin by its id, `sample` those to measure on.

    One part alone is its own vector. Several are put on one scale each, measured on the sample, and what is not wanted
    pushes away only what tells it apart: see `scales.blended`. Parts of weight zero are left out.
    Raises UsageError for a query of no parts, and where they cancel out.
    """
    if not query.parts:
        raise UsageError(
            "nothing to search for",
            "the query is empty",
            "Give a picture, words, or the id of a stored pin",
        )
    made = [
        (part.weight, vectors[number] if part.like is None else stored(part.like))
        for number, part in enumerate(query.parts)
        if part.weight
    ]
    total: Any = 0
    if len(made) == 1:
        total = made[0][0] * made[0][1]
    elif made:
        wanted = [(weight, vector) for weight, vector in made if weight > 0]
        unwanted = [(-weight, vector) for weight, vector in made if weight < 0]
        total = blended(wanted, unwanted, sample())
    length = float(np.linalg.norm(total))
    if length < 1e-4:
        raise UsageError(
            "the query's parts cancel out",
            "their weighted sum is zero",
            "Change a weight, or leave a part out",
        )
    return np.asarray(total / np.float32(length), np.float32)


def vector_of(
    query: Query, made: Mapping[int, Float32], reader: Reader, snapshot: Snapshot
) -> tuple[Float32, set[int]]:
    """The query's unit vector, and the stored pins it is made of."""
    seeds = set()

    def stored(name: str) -> Float32:
        pin = pin_named(reader, name)
        seeds.add(pin.pin)
        position = snapshot.vectors.positions(np.array([pin.row], dtype=np.int64))
        vector: Float32 = snapshot.vectors.gather(position)[0]
        return vector

    return mixed(query, made, stored, lambda: snapshot.sample), seeds


def unread(query: Query, encoder: Callable[[], Encoder]) -> tuple[str, ...]:
    """A note for each text whose end the encoder does not read. Short texts are not looked at."""
    notes = []
    for text in [p.text for p in query.parts if p.text is not None and len(p.text) > LONG]:
        count = getattr(encoder(), "unread", None)
        if count is not None and (over := count(text)):
            notes.append(
                f'of the text "{text[:30].strip()}..." the last {over:,} tokens are not read: the model takes no more'
            )
    return tuple(notes)


def _check_texts(query: Query) -> None:
    for part in query.parts:
        if part.text is not None and not any(s.isprintable() and not s.isspace() for s in part.text):
            raise UsageError(
                "nothing to search for",
                f"the text {part.text!r} is empty"
                if not part.text
                else f"the text {part.text[:20]!r} is blank",
                "Write what to look for, or leave the text out",
            )


def _picture(part: Part, spec: EncoderSpec, max_pixels: int) -> Any:
    """The upright RGB picture of a part, cut to its crop."""
    # A crop is cut from the full picture: scaled decoding would leave it too few pixels.
    target = None if part.crop else spec.preprocessing.size
    picture = images.load(part.image, max_pixels=max_pixels, target=target)
    if part.crop is None:
        return picture
    return view(picture, images.check_box(part.crop, picture.size))
