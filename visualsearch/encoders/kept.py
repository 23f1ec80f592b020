"""What can be made again, kept in the user's cache folder: converted models and the choices measured on this machine.

Everything is written aside and renamed, so a reader never sees half of it. A damaged entry counts as absent and is made
again. One lock per name keeps two processes from making the same thing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visualsearch.errors import EncoderError
from visualsearch.resources import CACHE_VARIABLE, cache_dir

MANIFEST = "manifest.json"
log = logging.getLogger("visualsearch.encoders")


def key(parts: dict[str, Any]) -> str:
    """32 hex digits that stand for what a thing was made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def find(name: str) -> Path | None:
    """The folder kept under a name; None when there is none, or when its files are not what was written."""
    folder = _place() / name
    try:
        wanted: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all(sha256(folder / file) == digest for file, digest in wanted.items())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        whole = False
    if whole:
        return folder
    log.warning("the converted model in %s is damaged: it is made again", folder)
    return None


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """The folder kept under a name; where there is none, `make` writes its files into an empty folder first.

    Raises EncoderError when the cache folder cannot be written.
    """
    from filelock import FileLock

    if (found := find(name)) is not None:
        return found
    place = _place()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / f"{name}.lock"):
            if (found := find(name)) is not None:  # made by the process that held the lock
                return found
            for stale in place.glob(f".{name}-*"):  # of a process that was killed: nobody else holds the lock
                shutil.rmtree(stale, ignore_errors=True)
            aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place))
            try:
                make(aside)
                digests = {file.name: sha256(file) for file in sorted(aside.iterdir())}
                (aside / MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
                _replace(aside, place / name)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise EncoderError(
            f"the converted model cannot be written to {place}",
            str(error),
            f"Make room or set {CACHE_VARIABLE} to another folder, or use --precision bf16",
        ) from error
    return place / name


def drop(name: str) -> None:
    """Forget what is kept under a name, if anything."""
    folder = _place() / name
    if folder.exists():
        _clear(folder)


def read(name: str) -> dict[str, Any] | None:
    """The record kept under a name; None when there is none that can be read."""
    try:
        value = json.loads((_place() / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write(name: str, value: dict[str, Any]) -> None:
    """Keep a record. A cache that cannot be written is told of and costs nothing but the next measurement."""
    place = _place()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=place, prefix=f".{name}-", delete=False, encoding="utf-8"
        ) as stream:
            json.dump(value, stream, indent=1)
        Path(stream.name).replace(place / f"{name}.json")
    except OSError as error:
        log.warning("what was measured is not kept: %s cannot be written (%s)", place, error)


def _place() -> Path:
    return cache_dir() / "encoders"


def _replace(new: Path, old: Path) -> None:
    """Put a folder in the place of another, which may be there (damaged)."""
    if old.exists():
        _clear(old)
    new.replace(old)


def _clear(folder: Path) -> None:
    """Delete a folder; renamed first, so that nobody finds it half deleted."""
    gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=folder.parent))
    folder.replace(gone / folder.name)
    shutil.rmtree(gone, ignore_errors=True)


def sha256(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
