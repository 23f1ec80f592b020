"""An index whose vectors hide what is alike behind numbers that mean nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch.types import EncoderSpec, Float32, Preprocessing, UInt8

DIM, KINDS, EACH = 24, 10, 16


def rows() -> Float32:
    """(n, d) unit vectors: the kind is told by four quiet numbers; twenty louder ones are drawn by chance."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(KINDS, 4))[np.repeat(np.arange(KINDS), EACH)]
    quiet = centres + 0.25 * rng.normal(size=centres.shape)
    vectors = np.concatenate([quiet, 0.6 * rng.normal(size=(len(quiet), DIM - 4))], 1).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class RowsEncoder:
    """Encodes a picture of one colour as the row whose number the colour spells; every text as row 0."""

    def __init__(self) -> None:
        self.spec = EncoderSpec("rows", DIM, Preprocessing(32), "1" * 64)
        self.rows = rows()

    def preprocess(self, picture: Image.Image) -> UInt8:
        return np.asarray(picture.resize((32, 32)), np.uint8).transpose(2, 0, 1)

    def encode_images(self, pixels: Any) -> Float32:
        numbers = pixels[:, 0, 16, 16].astype(int) * 200 + pixels[:, 1, 16, 16]
        return self.rows[np.minimum(numbers, len(self.rows) - 1)]

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        return np.repeat(self.rows[:1], len(texts), 0)


def colour(number: int) -> UInt8:
    return np.broadcast_to(np.array([number // 200, number % 200, 7], np.uint8), (32, 32, 3)).copy()


@pytest.fixture(scope="session")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pin-0 ..., each with its true `kind`, a `luck` drawn by chance, and a `product` of four pins of one kind."""
    folder = tmp_path_factory.mktemp("hidden") / "pins.index"
    luck = np.random.default_rng(1).integers(0, KINDS, KINDS * EACH)
    with vs.create(folder, RowsEncoder()) as index:
        index.add(
            [
                {
                    "id": f"pin-{n}",
                    "image": colour(n),
                    "kind": f"kind-{n // EACH}",
                    "luck": f"luck-{luck[n]}",
                    "product": f"product-{n // 4}",
                }
                for n in range(KINDS * EACH)
            ]
        )
    return folder


@pytest.fixture
def pins(hidden: Path, tmp_path: Path) -> Iterator[vs.Index]:
    """A copy of that index to change."""
    shutil.copytree(hidden, tmp_path / "pins.index")
    with vs.open(tmp_path / "pins.index", RowsEncoder()) as index:
        yield index
