"""Whether a JPEG without an end marker lacks anything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import UInt8

from ._jpeg import EOI, covered

_MARKER = bytes((0xFF, EOI))
# Bits that stand for pixels where pixels are missing, and for nothing where all are there. None makes a marker.
_FILLERS = tuple(bytes([byte]) * 48 for byte in (0x00, 0x55, 0xA6, 0x7E))
_ROWS = 16  # of an MCU, at most but for rare samplings
NEARLY = 0.01
"""The share of a picture that may be missing at its end: browsers show such a file, too."""


def with_end(data: bytes, pixels: Callable[[bytes], UInt8 | None]) -> bytes | None:
    """`data` with an end marker, where at most NEARLY of its pixels are missing; else None.

    The file is decoded with several endings: whatever pixel depends on the ending is missing. Of a progressive file all
    scans must be there, and whole: in its last scans each bit may stand for many pixels.
    """
    data = data[:-1] if data.endswith(b"\xff") else data
    progressive = covered(data)
    if progressive is False:
        return None
    first = pixels(data + _MARKER)
    if first is None:
        return None
    missing = 0.0
    for filler in _FILLERS:
        other = pixels(data + filler + _MARKER)
        if other is None or other.shape != first.shape:
            return None
        missing = max(missing, _share(np.asarray((first != other).any(axis=2))))
    return data + _MARKER if missing <= (0.0 if progressive else NEARLY) else None


def _share(differs: NDArray[np.bool_]) -> float:
    """The share of a picture from its first differing MCU on."""
    rows = np.flatnonzero(differs.any(axis=1))
    if not len(rows):
        return 0.0
    height, width = map(int, differs.shape)
    top = (int(rows[0]) + 1) // _ROWS * _ROWS  # enlarging colours blends a row into the blocks above
    below = min(top + _ROWS, height)
    left = int(np.flatnonzero(differs[top:below].any(axis=0))[0])
    missing = int((below - top) * (width - left) + (height - below) * width)
    return missing / int(height * width)
