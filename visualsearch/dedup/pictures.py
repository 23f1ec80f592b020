"""The pictures that are compared: small grey copies of all of them, larger ones of the few that were asked for last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from threading import Lock

from cachetools import LRUCache
from PIL import Image

from visualsearch import images
from visualsearch.errors import PictureError
from visualsearch.resources import cores
from visualsearch.types import Failure, UInt8

from .align import Padded, thumbnail
from .compare import colourless

SMALL = 56
"""The longer side of the grey copies that are kept of all pictures: about 6 kB each with its thumbnail."""
WORKING = 256
"""The longer side at which pictures are compared."""
KEPT = 400
"""Pictures kept at the working side, about 150 kB each."""
READ = 64
"""Pictures read ahead."""


@dataclass(frozen=True)
class Facts:
    """What is known of a picture that could be read: width, height and bytes of the file, and its grey copies."""

    width: int
    height: int
    bytes: int
    small: Padded
    thumbnail: UInt8
    grey: bool

    @property
    def shape(self) -> float:
        """Width / height."""
        return float(self.small.size[0] / self.small.size[1])


class Pictures:
    """Pictures by their number, 0 .. n-1, read from their uris. Safe to use from several threads."""

    def __init__(self, uris: Sequence[str], read: Callable[[str], bytes]) -> None:
        self._uris, self._read = uris, read
        self._kept: LRUCache[int, Image.Image] = LRUCache(KEPT)
        self._lock = Lock()
        self.facts: dict[int, Facts] = {}
        self.failures: list[Failure] = []

    def look_at_all(self, on_read: Callable[[int], None] = lambda _: None) -> None:
        """Read every picture once; `on_read` hears how many were."""
        with ThreadPoolExecutor(cores(), "near-duplicates") as pool:
            for start in range(0, len(self._uris), READ):
                numbers = range(start, min(start + READ, len(self._uris)))
                for number, found in zip(numbers, pool.map(self._look_at, numbers), strict=True):
                    if isinstance(found, Facts):
                        self.facts[number] = found
                    else:
                        self.failures.append(found)
                on_read(numbers.stop)

    def working(self, number: int) -> Image.Image:
        """The picture, its longer side at most WORKING pixels. Raises PictureError when it can be read no more."""
        with self._lock:
            kept = self._kept.get(number)
        if kept is not None:
            return kept
        made = _shrunk(images.load(self._read(self._uris[number]), target=WORKING * 3 // 4), WORKING)
        with self._lock:
            self._kept[number] = made
        return made

    def digest(self, number: int) -> bytes:
        """A hash of all pixels and the size. Raises PictureError."""
        whole = images.load(self._read(self._uris[number]))
        return hashlib.sha256(repr(whole.size).encode() + whole.tobytes()).digest()

    def _look_at(self, number: int) -> Facts | Failure:
        uri = self._uris[number]
        try:
            data = self._read(uri)
            loaded = images.load(data, target=2 * SMALL)
        except PictureError as error:
            return Failure(uri, "", error.why, error.remedy)
        width, height = loaded.size
        with (
            suppress(Exception),
            Image.open(BytesIO(data)) as header,
        ):  # only the size: `loaded` may be scaled
            width, height = header.size
        small = _shrunk(loaded.convert("L"), SMALL)
        return Facts(width, height, len(data), Padded(small), thumbnail(loaded), colourless(loaded))


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
