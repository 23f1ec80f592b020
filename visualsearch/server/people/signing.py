"""Signatures that outlive a restart: under visitors' cookies, CSRF tokens and cursors.

The secrets lie in `cookies.json` in the index folder, readable by its owner only. Servers that share a database share them by
the environment variable VISUALSEARCH_COOKIES: comma-separated, the first signs.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from visualsearch.errors import UsageError

log = logging.getLogger("visualsearch.server")

FILE = "cookies.json"
VARIABLE = "VISUALSEARCH_COOKIES"
DAY = 86_400.0
ROTATED = 30 * DAY
"""A new secret signs after so many seconds."""
VALID = 180 * DAY
"""What was signed holds so long; then its secret is dropped."""
SHORTEST = 16


class Signer:
    """Signs texts, each for one purpose, with the newest secret; checks them with all that are still kept."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path, self.clock = folder / FILE, clock
        self._fixed = _given((os.environ if environment is None else environment).get(VARIABLE, ""))
        self._secrets: list[bytes] = list(self._fixed)
        self._stamp: tuple[int, int] | None = None
        self._guard = threading.Lock()

    def sign(self, purpose: str, text: str) -> str:
        """The signature of a text: 32 characters."""
        return _mac(self._current()[0], purpose, text)

    def check(self, purpose: str, text: str, signature: str) -> bool:
        """Whether a signature is ours."""
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_mac(each, purpose, text).encode(), given) for each in self._current())

    def rotate(self) -> None:
        """Let a new secret sign where the newest is a month old, and drop those that nothing valid was signed with."""
        if self._fixed:
            return
        with self._guard:
            self._rotate()

    def _current(self) -> list[bytes]:
        if self._fixed:
            return self._secrets
        with self._guard:
            if not self._secrets or self._stamp != _stamp(self.path):
                self._rotate()
            return self._secrets

    def _rotate(self) -> None:
        from filelock import FileLock

        now = self.clock()
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=30, mode=0o600):
                listed = _read(self.path)
                kept = [each for each in listed if each[1] > now - ROTATED - VALID]
                if not kept or kept[0][1] < now - ROTATED:
                    kept.insert(0, (secrets.token_bytes(32), now))
                if kept != listed:
                    _write(self.path, kept)
                self._stamp = _stamp(self.path)
        except OSError as error:
            if not self._secrets:
                log.warning("visitors' cookies end with this process: %s cannot be written (%s)", FILE, error)
                self._secrets = [secrets.token_bytes(32)]
            self._stamp = _stamp(self.path)
            return
        self._secrets = [each[0] for each in kept]


def _mac(secret: bytes, purpose: str, text: str) -> str:
    said = f"{purpose}\0{text}".encode("utf-8", "replace")
    return base64.urlsafe_b64encode(hmac.digest(secret, said, sha256)[:24]).decode()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _read(path: Path) -> list[tuple[bytes, float]]:
    """Secrets and when each was made, the newest first. Raises UsageError for a damaged file."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = [(bytes.fromhex(entry["secret"]), float(entry["created"])) for entry in entries]
        if any(len(secret) < SHORTEST for secret, _ in found):
            raise ValueError("a secret is too short")
        return sorted(found, key=lambda each: -each[1])
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"cannot read {path}",
            "it does not hold the secrets of visitors' cookies",
            "Delete it: visitors begin anew",
        ) from error


def _write(path: Path, listed: list[tuple[bytes, float]]) -> None:
    text = json.dumps([{"secret": secret.hex(), "created": made} for secret, made in listed], indent=2)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _given(text: str) -> list[bytes]:
    found = [word.strip().encode() for word in text.split(",") if word.strip()]
    if any(len(each) < SHORTEST for each in found):
        raise UsageError(
            f"cannot use {VARIABLE}", f"a secret has under {SHORTEST} characters", "Give longer random ones"
        )
    return found
