"""Completing a look: pins of other categories that go with what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.ranking import capped
from visualsearch.types import Float32, Hit, Hits

from .index import SearchedIndex
from .objects import LookObject


def complete(
    index: SearchedIndex,
    vectors: Float32,
    categories: Sequence[str],
    boards: Sequence[str],
    k: int,
    label_by: str = "category",
    where: str | None = None,
    saved_with: Sequence[Hit] = (),
) -> Hits:
    """k pins of other categories than `categories` that go with it, in a first, plain sense.

    `saved_with`, pins that people saved with it, the closest first, come first, each with its reason; then pins that are on one
    of `boards` (attribute `board`) by the manifest. The rest is filled with pins
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
    together = _fitting(index, centre, saved_with, others)
    if boards:
        same = f"{others} and board in ({', '.join(_quoted(name) for name in sorted(set(boards)))})"
        found = index.nearest(centre, k=6 * k, where=same)[0]
        together += [replace(hit, signals={**hit.signals, "board": 1.0}) for hit in found]
    alike = index.nearest(centre, k=6 * k, where=others)[0]
    pins = {hit.id: hit for hit in reversed([*together, *alike])}  # of two hits of a pin the first counts
    listed = [pins[name] for name in dict.fromkeys(hit.id for hit in [*together, *alike])]
    kept = capped([str(hit.attributes[label_by]) for hit in listed], max(1, -(-k // 3)))[:k]
    plan = "+".join(["saves"] * bool(saved_with) + ["board"] * bool(boards) + ["style"])
    return Hits(tuple(listed[place] for place in kept.tolist()), alike.total, plan)


def _fitting(index: SearchedIndex, centre: Float32, saved_with: Sequence[Hit], others: str) -> list[Hit]:
    """Of the pins that people saved with it those of other categories, in their order."""
    if not saved_with:
        return []
    named = ", ".join(_quoted(hit.id) for hit in saved_with)
    found = {
        hit.id: hit
        for hit in index.nearest(centre, k=len(saved_with), where=f"{others} and id in ({named})")[0]
    }
    return [
        replace(found[hit.id], signals={**found[hit.id].signals, "walk": hit.signals["walk"]}, why=hit.why)
        for hit in saved_with
        if hit.id in found
    ]


def complete_pin(
    index: SearchedIndex,
    pin: str,
    k: int,
    label_by: str = "category",
    where: str | None = None,
    saved_with: Sequence[Hit] = (),
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
        saved_with,
    )


def boards_of(objects: Sequence[LookObject]) -> list[str]:
    """The boards of each object's best hit."""
    best = [hit.attributes.get("board") for one in objects for hit in one.hits[:1]]
    return [board for board in best if isinstance(board, str)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
