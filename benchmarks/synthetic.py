"""Indexes to measure with, made in seconds from the samples that ship: what needs a size, not a real collection.

Vectors are the embeddings of the 459 sample pins, each one moved a little at random: clusters as pictures have them, though
with less structure inside. Recalls that are to be believed are measured with `vectors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import visualsearch as vs
from visualsearch.samples import samples_dir
from visualsearch.types import Float32, Record

SPREAD = 0.5
"""Length of the random part beside a sample's unit vector: cosines of about 0.8 within a cluster."""


@cache
def centres() -> Float32:
    """(459, d) unit vectors of the sample pins, by the bundled encoder."""
    found: Float32 = vs.load_encoder("bundled").embed_images(sample_pins())
    return found


def sample_pins() -> list[Path]:
    """The pictures of the sample pins."""
    return sorted((samples_dir() / "pins").rglob("*.jpg"))


def around(rows: int, seed: int) -> Float32:
    """(rows, d) unit vectors around the samples'."""
    rng = np.random.default_rng(seed)
    base = centres()
    noise = rng.standard_normal((rows, base.shape[1]), dtype=np.float32)
    moved = base[rng.integers(0, len(base), rows)] + noise * np.float32(SPREAD / np.sqrt(base.shape[1]))
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


@dataclass(frozen=True)
class Made:
    """A source of finished vectors (n, d), as pins PREFIX0, PREFIX1 ... with a price and a category."""

    vectors: Any
    prefix: str = "v"
    uri: str = "made"
    kind: str = "vectors"

    def count(self) -> int | None:
        """How many."""
        return len(self.vectors)

    def __iter__(self) -> Iterator[Record]:
        for number, vector in enumerate(self.vectors):
            attributes = {"price": number % 100, "category": f"c{number % 12}"}
            name = f"{self.prefix}{number}"
            yield Record(name, f"vector/{name}", bytes, attributes, named=True, vector=vector)


def make_index(folder: Path, rows: int, seed: int = 0) -> Path:
    """An index of `rows` vectors that the bundled encoder can query."""
    with vs.create(folder) as index:
        index.add(Made(around(rows, seed)))
    return folder
