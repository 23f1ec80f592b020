"""Pictures to calibrate and to judge a conversion with: sampled from the user's own source, or those that ship."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from visualsearch import images
from visualsearch.errors import ODD
from visualsearch.types import Record, UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

    from visualsearch.sources import Source

WANTED = 512
"""Pictures sampled: some calibrate, the others judge."""
LISTED = 4096
"""Records of a source that the sample is spread over; of a tar, whose records are read as they are listed, WANTED."""


def sample(source: Source, preprocess: Callable[[Image], UInt8], size: int, wanted: int = WANTED) -> UInt8:
    """(n, 3, s, s) uint8, n <= wanted: pictures spread evenly over the first records of a source.

    Pictures that cannot be read are left out: the run that follows reports them.
    """
    ahead = wanted if source.kind == "tar" else LISTED
    records = [r for r in islice(source, ahead) if isinstance(r, Record) and r.vector is None]
    chosen = records if len(records) <= wanted else _spread(records, wanted)

    def square(record: Record) -> UInt8 | None:
        try:
            picture = images.decode(record.read(), name=record.uri, target=size)
            return preprocess(picture)
        except ODD:
            return None

    with ThreadPoolExecutor(thread_name_prefix="calibrate") as pool:
        return _stack(pool.map(square, chosen), size)


def shipped(preprocess: Callable[[Image], UInt8], size: int) -> UInt8:
    """(n, 3, s, s) uint8: the sample pins that come with the package."""
    from visualsearch.samples import samples_dir

    files = sorted(p for p in (samples_dir() / "pins").rglob("*") if p.is_file())
    return _stack((preprocess(images.load(file, target=size)) for file in files), size)


def _spread(records: list[Record], wanted: int) -> list[Record]:
    places = np.linspace(0, len(records) - 1, wanted).round().astype(int)
    return [records[at] for at in places]


def _stack(squares: Iterable[UInt8 | None] | Iterator[UInt8], size: int) -> UInt8:
    found = [square for square in squares if square is not None]
    return np.stack(found) if found else np.empty((0, 3, size, size), np.uint8)
