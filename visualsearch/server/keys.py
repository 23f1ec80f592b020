"""API keys: random, kept as hashes only, with a scope and perhaps an end.

A key is 32 random bytes, so one SHA-256 is enough at rest: there is nothing to guess from. Keys stand in
`keys.json` in the index folder, or in the environment variable VISUALSEARCH_KEYS as
"read:HASH,write:HASH,act:HASH" with the SHA-256 (hex) of each key.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from visualsearch.errors import UsageError
from visualsearch.storage import storage_error

FILE = "keys.json"
VARIABLE = "VISUALSEARCH_KEYS"
PREFIX = "vs_"


class Scope(StrEnum):
    """What a key allows; each includes read. A key that may act speaks for the people of its application; one for insight sees
    figures over groups of people.
    """

    READ = "read"
    WRITE = "write"
    ACT = "act"
    INSIGHT = "insight"


class Expired(Exception):  # noqa: N818 - caught by the one caller, never shown
    """The key was good once."""


@dataclass(frozen=True)
class Key:
    """A key at rest: its name, SHA-256 (hex), scope, and when it was made and ends (Unix seconds).

    `merchant`: a key for insight that sees only what this merchant has proved to be theirs; None: it sees all.
    """

    name: str
    hash: str
    scope: Scope
    created: float = 0.0
    expires: float | None = None
    merchant: str | None = None


class Keys:
    """The keys of a server; a changed file counts at once, no restart needed."""

    def __init__(self, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._fixed = _from_environment(os.environ if environment is None else environment)
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._current())

    def scope_of(self, token: str, now: float | None = None) -> tuple[str, Scope] | None:
        """Name and scope of the key, None when it is not known. Raises Expired."""
        return self.scope_of_hash(digest_of(token), now)

    def scope_of_hash(self, digest: str, now: float | None = None) -> tuple[str, Scope] | None:
        """The same by the key's SHA-256 (hex)."""
        found = self.key_of_hash(digest, now)
        return None if found is None else (found.name, found.scope)

    def key_of_hash(self, digest: str, now: float | None = None) -> Key | None:
        """The key with that SHA-256 (hex), None when it is not known. Raises Expired."""
        found = None
        for key in self._current().values():
            if hmac.compare_digest(key.hash, digest):
                found = key
        moment = time.time() if now is None else now
        if found is not None and found.expires is not None and found.expires <= moment:
            raise Expired
        return found

    def _current(self) -> dict[str, Key]:
        with self._guard:
            try:
                state = self.path.stat()
                stamp = (state.st_mtime_ns, state.st_size)
            except FileNotFoundError:
                stamp = None
            if stamp != self._stamp or not self._keys:
                listed = read_keys(self.path) if stamp else []
                self._keys = {key.name: key for key in [*self._fixed, *listed]}
                self._stamp = stamp
            return self._keys


def digest_of(token: str) -> str:
    """The SHA-256 (hex) of a key."""
    return sha256(token.encode("utf-8", "replace")).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """The keys of a keys.json. Raises UsageError when it is damaged."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise ValueError(f"it holds a {type(entries).__name__}")
        keys = [_key(entry) for entry in entries]
        if len({key.name for key in keys}) < len(keys):
            raise ValueError("two keys have one name")
        return keys
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"cannot read {path}",
            f"it is not a list of keys ({error})",
            "Restore it, or delete it and make new keys: visualsearch serve DIR --new-key read",
        ) from error


def _key(entry: object) -> Key:
    """One entry of the file. Raises ValueError, TypeError or KeyError for what is none."""
    if not isinstance(entry, dict):
        raise TypeError(f"an entry is a {type(entry).__name__}")
    key = Key(**{**entry, "scope": Scope(entry["scope"])})
    if not isinstance(key.name, str) or not isinstance(key.hash, str):
        raise TypeError("a name or hash is not a text")
    if re.fullmatch(r"[0-9a-f]{64}", key.hash) is None:
        raise ValueError(f"the hash of {key.name!r} is no SHA-256 in lower-case hex")
    if not (key.merchant is None or (isinstance(key.merchant, str) and key.scope is Scope.INSIGHT)):
        raise ValueError(f"{key.name!r} is for a merchant, and not for insight")
    for moment in (key.created, key.expires):
        if moment is not None and (isinstance(moment, bool) or not isinstance(moment, int | float)):
            raise TypeError(f"a time of {key.name!r} is not a number")
    return key


def _entry(key: Key) -> dict[str, object]:
    """A key as the file has it. Keys of no merchant do not mention one, so that older releases read them."""
    held: dict[str, object] = asdict(key)
    if key.merchant is None:
        del held["merchant"]
    return held


def new_key(path: Path, scope: Scope, days: float | None = None, merchant: str | None = None) -> str:
    """Add a key to a keys.json (made with mode 600) and return it; it is not kept anywhere in the clear.

    `merchant` binds a key for insight to a merchant's proved domains. Raises UsageError for one of another scope.
    """
    if merchant is not None and scope is not Scope.INSIGHT:
        raise UsageError(
            "a key cannot be a merchant's", f"its scope is {scope.value}", "Make one for insight"
        )
    listed = read_keys(path)  # a damaged file is left as it is
    token = PREFIX + secrets.token_urlsafe(32)
    now = time.time()
    key = Key(
        f"{scope.value}-{secrets.token_hex(4)}",
        sha256(token.encode()).hexdigest(),
        scope,
        now,
        None if days is None else now + 86_400 * days,
        merchant,
    )
    text = json.dumps([_entry(one) for one in [*listed, key]], indent=2) + "\n"
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    return token


def _from_environment(environment: Mapping[str, str]) -> list[Key]:
    keys = []
    for number, entry in enumerate(filter(None, environment.get(VARIABLE, "").split(",")), 1):
        scope, _, digest = entry.strip().partition(":")
        if scope not in set(Scope) or len(digest) != 64:
            raise UsageError(
                f"cannot read entry {number} of {VARIABLE}",
                "it is not scope:sha256",
                f"Write {':HASH, '.join(Scope)}:HASH, with the SHA-256 (hex) of a key",
            )
        keys.append(Key(f"environment-{number}", digest.lower(), Scope(scope)))
    return keys
