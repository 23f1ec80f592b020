"""Which events lie in a part: a sorted file of 64-bit hashes of their ids beside it, so that most parts need no look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIX = ".ids"
LONGEST = 4096
"""Bytes of an id that count; longer ids than an event may have."""
BLOCK = 16_384
SHORT = 64
"""Bytes of texts that are read place by place."""

Hashes = NDArray[np.uint64]


def _weights() -> Hashes:
    """One odd number for each place of a byte: splitmix64 of the place, so that every release has the same."""
    with np.errstate(over="ignore"):
        z = np.arange(1, LONGEST + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        odd: Hashes = (z ^ (z >> np.uint64(31))) | np.uint64(1)
        return odd


_WEIGHTS = _weights()
_LENGTHS = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_WEIGHTS)])


def hashes(ids: Any) -> Hashes:
    """(n,) hashes of an Arrow column of n texts, none of them null: the sum of its bytes, each plus one, by their weights."""
    import pyarrow as pa

    column = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    blocks = [_hashed(column.slice(at, BLOCK)) for at in range(0, len(column), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)


def _hashed(column: Any) -> Hashes:
    import pyarrow as pa

    column = column.cast(pa.large_binary())
    _, where, text = column.buffers()
    starts = np.frombuffer(where, np.int64)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(starts)
    result = _LENGTHS[np.minimum(lengths, LONGEST)].copy()
    if not starts[-1] - starts[0]:
        return result
    data = np.frombuffer(text, np.uint8)[starts[0] : starts[-1]]
    longest = int(lengths.max())
    if longest <= SHORT:
        _add_short(result, data, starts[:-1] - starts[0], lengths, longest)
        return result
    first = (starts[:-1] - starts[0])[lengths > 0]
    place = np.arange(len(data)) - np.repeat(first, lengths[lengths > 0])
    with np.errstate(over="ignore"):
        terms = data * _WEIGHTS[np.minimum(place, LONGEST - 1)]
        result[lengths > 0] += np.add.reduceat(terms, first)
    return result


def _add_short(result: Hashes, data: Any, first: Any, lengths: Any, longest: int) -> None:
    """Add the bytes' terms place by place, which is faster than text by text where no text is long."""
    shortest = int(lengths.min())
    with np.errstate(over="ignore"):
        for place in range(longest):
            if place < shortest:
                result += data[first + place] * _WEIGHTS[place]
                continue
            rows = np.flatnonzero(lengths > place)
            result[rows] += data[first[rows] + place] * _WEIGHTS[place]


def beside(part: Path) -> Path:
    """The file of hashes that belongs to a part."""
    return part.with_suffix(SUFFIX)


def may_hold(part: Path, wanted: Hashes) -> NDArray[np.bool_]:
    """Which of the hashes a part's file has; all, where the part has no such file."""
    path = beside(part)
    try:
        held = np.fromfile(path, "<u8") if path.stat().st_size < 65_536 else np.memmap(path, "<u8", "r")
    except (FileNotFoundError, ValueError):
        return np.ones(len(wanted), np.bool_)
    if not len(held):
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    found: NDArray[np.bool_] = np.asarray(held[at] == wanted)
    return found


def matches(part: Path, ids: Any) -> bool:
    """Whether the file beside a part has just the hashes of those ids, or is missing."""
    path = beside(part)
    return not path.exists() or np.array_equal(np.fromfile(path, "<u8"), np.sort(hashes(ids)))
