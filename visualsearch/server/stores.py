"""What is kept in memory, each store bounded in bytes: uploaded pictures, decoded pictures, thumbnails."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

from .problems import Kind, RefusedError

if TYPE_CHECKING:
    from PIL.Image import Image

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Store(Generic[K, V]):
    """The most recently used values that fit into `limit` bytes; `size` tells a value's bytes.

    With `seconds`, what was not used for so long is gone. Safe for threads.
    """

    def __init__(
        self,
        limit: int,
        size: Callable[[V], int],
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit, self.seconds = limit, seconds
        self.bytes = 0
        self._size, self._clock = size, clock
        self._kept: OrderedDict[K, tuple[V, float]] = OrderedDict()  # the longest unused first
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None when it is not kept."""
        with self._guard:
            self._expire()
            found = self._kept.pop(key, None)
            if found is None:
                return None
            self._kept[key] = (found[0], self._clock())
            return found[0]

    def put(self, key: K, value: V) -> None:
        """Keep a value; older ones make room. One larger than the limit is not kept."""
        size = self._size(value)
        with self._guard:
            self._drop(key)
            self._expire()
            if size > self.limit:
                return
            self._kept[key] = (value, self._clock())
            self.bytes += size
            while self.bytes > self.limit:
                self._drop(next(iter(self._kept)))

    def _expire(self) -> None:
        if self.seconds is None:
            return
        oldest = self._clock() - self.seconds
        while self._kept and next(iter(self._kept.values()))[1] < oldest:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: K) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= self._size(found[0])


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
