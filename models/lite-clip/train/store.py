"""Packed pictures: one flat file of pixels and one JSON index per set, read through a memory map.

Decoding thousands of JPEG and SVG files every epoch would cost more than the network; a packed set
is decoded and shrunk once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One picture of a set: where its pixels are, and what is known of it.

    `key` names the thing shown (the same emoji of two vendors, two photographs of one product share it),
    `label` its category, `captions` what it may be called, most specific first.
    """

    offset: int
    shape: tuple[int, int, int]
    key: str
    label: str = ""
    captions: tuple[str, ...] = ()
    kind: str = ""
    held_out: bool = False
    uri: str = ""


@dataclass
class Writer:
    """Appends pictures, (h, w, 3 or 4) uint8, to `<folder>/<name>.bin`; `close` writes the index."""

    folder: Path
    name: str
    items: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / f"{self.name}.bin").open("wb")
        self._offset = 0

    def add(
        self,
        pixels: Pixels,
        key: str,
        *,
        label: str = "",
        captions: tuple[str, ...] = (),
        kind: str = "",
        held_out: bool = False,
        uri: str = "",
    ) -> None:
        h, w, c = pixels.shape
        self._file.write(np.ascontiguousarray(pixels).tobytes())
        self.items.append(Item(self._offset, (h, w, c), key, label, captions, kind, held_out, uri))
        self._offset += pixels.size

    def close(self) -> int:
        self._file.close()
        index = json.dumps([asdict(item) for item in self.items])
        (self.folder / f"{self.name}.json").write_text(index, encoding="utf-8")
        return len(self.items)


class PackedSet:
    """Reads what `Writer` wrote: `len`, `items[i]`, and `set[i]` -> (h, w, c) uint8."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        self.items = [
            Item(**{**row, "shape": tuple(row["shape"]), "captions": tuple(row["captions"])}) for row in rows
        ]
        self._pixels = np.memmap(folder / f"{name}.bin", dtype=np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Pixels:
        item = self.items[i]
        h, w, c = item.shape
        return np.asarray(self._pixels[item.offset : item.offset + h * w * c]).reshape(h, w, c)
