"""Width and height of stored pictures, so that a page can leave room for them before they come."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

from cachetools import LRUCache

from visualsearch.images import size_of

HEAD = 1 << 16
"""Bytes of a file that are read: a JPEG tells its size behind its metadata."""
KEPT = 100_000

_kept: LRUCache[tuple[str, int, int], tuple[int, int] | None] = LRUCache(KEPT)
_guard = threading.Lock()


def size_at(uri: str) -> tuple[int, int] | None:
    """(width, height) of the upright picture in a local file; None for others, and where the file does not tell."""
    if "://" in uri or "::" in uri:
        return None  # another host or a shard: reading it would cost more than a page that moves a little
    path = Path(uri)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        key = (uri, found.st_mtime_ns, found.st_size)
        with _guard:
            if key in _kept:
                return _kept[key]
        with path.open("rb") as file:
            size = size_of(file.read(HEAD))
    except (OSError, ValueError):
        return None
    with _guard:
        _kept[key] = size
    return size
