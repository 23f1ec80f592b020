"""Sessions of the web page: a cookie holds a random token, and only this process knows which key stands behind it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from hashlib import sha256

from cachetools import TTLCache

MOST = 10_000
"""Sessions kept; the ones longest unused are forgotten first."""
SECONDS = 30 * 86_400.0


class Sessions:
    """Opaque tokens for keys. A session ends with its key, with `forget`, after `seconds`, or with the process."""

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._kept: TTLCache[bytes, str] = TTLCache(MOST, seconds, clock)
        self._guard = threading.Lock()

    def begin(self, digest: str) -> str:
        """A new token that stands for the key with this SHA-256."""
        token = secrets.token_urlsafe(32)
        with self._guard:
            self._kept[_name(token)] = digest
        return token

    def key_of(self, token: str) -> str | None:
        """The SHA-256 of the key behind a token; None when the session is over or never was."""
        with self._guard:
            return self._kept.get(_name(token))

    def forget(self, token: str) -> None:
        """End a session."""
        with self._guard:
            self._kept.pop(_name(token), None)


def _name(token: str) -> bytes:
    # Looked up by hash, so the time of a look-up tells nothing of a token.
    return sha256(token.encode("utf-8", "replace")).digest()
