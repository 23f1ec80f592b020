"""What is kept in memory, each store bounded in bytes: uploaded pictures, decoded pictures, thumbnails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import LRUCache, TTLCache

from .problems import Kind, RefusedError

if TYPE_CHECKING:
    from PIL.Image import Image

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Store(Generic[K, V]):
    """The most recently used values that fit into `limit` bytes; `size` tells a value's bytes.

    With `seconds`, a value that was not used for that long is dropped. Safe for threads.
    """

    def __init__(
        self,
        limit: int,
        size: Callable[[V], int],
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept: LRUCache[K, V] | TTLCache[K, V] = (
            LRUCache(limit, size) if seconds is None else TTLCache(limit, seconds, clock, size)
        )
        self._ages = seconds is not None
        self._guard = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes of all values kept."""
        with self._guard:
            return int(self._kept.currsize)

    def __len__(self) -> int:
        with self._guard:
            return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None when it is not kept."""
        with self._guard:
            found = self._kept.get(key)
            if found is not None and self._ages:
                self._kept[key] = found  # its time begins again
            return found

    def put(self, key: K, value: V) -> None:
        """Keep a value; older ones make room. One larger than the limit is not kept."""
        with self._guard:
            self._kept.pop(key, None)
            if self._kept.getsizeof(value) <= self._kept.maxsize:
                self._kept[key] = value

    def drop(self, key: K) -> None:
        """Keep a value no longer."""
        with self._guard:
            self._kept.pop(key, None)


class Uploads:
    """Picture files that visitors brought, by the SHA-256 (hex) of their bytes, for a while and in memory only."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.store: Store[str, bytes] = Store(limit, len, seconds)

    def keep(self, data: bytes) -> str:
        """Remember a file's bytes; returns their name."""
        name = sha256(data).hexdigest()
        self.store.put(name, data)
        return name

    def get(self, name: str) -> bytes:
        """The file of that name. Raises RefusedError when it is gone or never was."""
        data = self.store.get(name)
        if data is None:
            raise RefusedError(
                Kind.UPLOAD_GONE,
                "this uploaded picture is not here",
                "uploads are kept in memory for a while only",
                "Upload it again",
            )
        return data


def picture_bytes(picture: Image) -> int:
    """Bytes of the pixels of a decoded RGB picture."""
    return 3 * int(picture.width) * int(picture.height)
