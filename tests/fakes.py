"""Small stand-ins for the heavy parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visualsearch.types import EncoderSpec, Float32, Preprocessing, UInt8

COLORS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 40, 220),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


class FakeEncoder:
    """Encodes a picture as its 4 x 4 thumbnail; a colour's name as a picture all of that colour, other words as a grey one."""

    def __init__(self, name: str = "fake", fail_after: int | None = None, dim: int = 49) -> None:
        self.spec = EncoderSpec(name, dim, Preprocessing(32), "0" * 64)
        self.encoded = 0
        self.fail_after = fail_after

    def preprocess(self, picture: Image.Image) -> UInt8:
        return np.asarray(picture.resize((32, 32)), dtype=np.uint8).transpose(2, 0, 1)

    def encode_images(self, pixels: Any) -> Float32:
        self.encoded += len(pixels)
        if self.fail_after is not None and self.encoded > self.fail_after:
            raise KeyboardInterrupt
        cells = pixels.reshape(len(pixels), 3, 4, 8, 4, 8).mean((3, 5)).reshape(len(pixels), 48) / 127.5 - 1
        out = np.concatenate([cells, np.full((len(pixels), 1), 0.3)], axis=1).astype(np.float32)
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        return self.encode_images(np.stack([_shown(text) for text in texts]))


def _shown(text: str) -> UInt8:
    if text in COLORS:
        return np.broadcast_to(np.array(COLORS[text], np.uint8)[:, None, None], (3, 32, 32))
    return np.full((3, 32, 32), 128, np.uint8)


def paint(path: Path, seed: int | str, size: tuple[int, int] = (64, 48)) -> Path:
    """A picture: one colour for a colour's name, else a 4 x 4 mosaic drawn by the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(seed, str):
        picture = Image.new("RGB", size, COLORS[seed])
    else:
        cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(cells).resize(size, Image.Resampling.NEAREST)
    picture.save(path)
    return path


def paint_many(folder: Path, count: int, start: int = 0) -> list[Path]:
    """`count` different pictures 000.png, 001.png ..."""
    return [paint(folder / f"{i:03d}.png", i) for i in range(start, start + count)]
