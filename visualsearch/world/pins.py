"""The pins of an index as the world sees them: ids, whole-picture vectors, words, prices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.phrases import phrases, settled
from visualsearch.types import Float16, Float64

from .settings import FEWEST_PINS

if TYPE_CHECKING:
    from visualsearch.engine import Index


@dataclass(frozen=True)
class Pins:
    """n pins in the order of their ids.

    `vectors` (n, d) float16 of unit length, `words` the phrases by which a pin may be named, `prices` (n,) NaN where the
    index knows none. `fingerprint` says which pins and vectors these are.
    """

    ids: list[str]
    vectors: Float16 = field(repr=False)
    words: list[tuple[str, ...]] = field(repr=False)
    prices: Float64 = field(repr=False)
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.ids)


def read_pins(index: Index) -> Pins:
    """All pins of an index. Raises UsageError where there are too few to live among."""
    ids: list[str] = []
    rows: list[Any] = []
    words: list[tuple[str, ...]] = []
    prices: list[float] = []
    for batch in index.rows(4000):
        whole = [stored for stored in batch if stored.box is None]
        ids += [stored.id for stored in whole]
        words += [phrases(stored.id, stored.attributes) for stored in whole]
        prices += [_price(stored.attributes) for stored in whole]
        if whole:
            rows.append(np.stack([stored.vector for stored in whole]).astype(np.float16))
    if len(ids) < FEWEST_PINS:
        raise UsageError(
            f"cannot simulate people on {index.folder}",
            f"it has {len(ids)} pins with vectors, and a world needs {FEWEST_PINS}",
            "Index more pictures first: visualsearch index PICTURES --to DIR",
        )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    vectors = np.concatenate(rows)[order]
    named, words = [ids[at] for at in order], settled(words)
    digest = hashlib.sha256("\n".join(named).encode())
    digest.update(vectors.tobytes())
    return Pins(named, vectors, [words[at] for at in order], np.array(prices)[order], digest.hexdigest()[:16])


def _price(attributes: Mapping[str, Any]) -> float:
    value = attributes.get("price")
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e7
    return float(value) if usable and value is not None else float("nan")
