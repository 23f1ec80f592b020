"""Copies of files with their sums: what a backup is made of, and how damage to it is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "backup.json"
PASSING = (".lock", ".turn", ".tmp", "-wal", "-shm", "-journal")
"""Ends of names of files that only a running program needs."""
_BLOCK = 1 << 20


class Sum(NamedTuple):
    """The length of a file in bytes, and its SHA-256 as hex."""

    bytes: int
    sha256: str


def copied(source: Path, target: Path) -> Sum:
    """Copy a file's bytes and its mode to a new path, on disk when this returns; its sum. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read:
        mode = os.fstat(read.fileno()).st_mode & 0o777
        with open(target, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as write:
            while block := read.read(_BLOCK):
                digest.update(block)
                write.write(block)
                size += len(block)
            write.flush()
            os.fsync(write.fileno())
    return Sum(size, digest.hexdigest())


def sum_of(path: Path) -> Sum:
    """The sum of a file as it is. Raises OSError."""
    with path.open("rb") as file:
        return Sum(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def copied_database(source: Path, target: Path) -> None:
    """Copy a living SQLite file as one state, its readers and its writer undisturbed. Raises sqlite3.Error, OSError."""
    mode = source.stat().st_mode & 0o777
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    with (
        closing(sqlite3.connect(source, timeout=30)) as read,
        closing(sqlite3.connect(target)) as write,
    ):
        read.backup(write)
    flushed(target)  # closing folded the log into the file, so its sum says all


def flushed(path: Path) -> None:
    """Bring a file or a folder's names to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def walked(folder: Path) -> Iterator[Path]:
    """Every plain file below a folder, in order. Links are left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def copied_tree(source: Path, target: Path) -> None:
    """Copy the plain files below a folder, but hidden ones and those only a running program needs. Raises OSError."""
    for path in walked(source):
        if path.name.startswith(".") or path.name.endswith(PASSING):
            continue
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        copied(path, there)
    if target.exists():
        shutil.copymode(source, target)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of a backup says. Raises OSError; ValueError where it is not one."""
    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise ValueError("it lists no files")
    return found


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest whole, or leave the one before."""
    aside = folder / f".{MANIFEST}.tmp"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / MANIFEST)
    flushed(folder)


def summed(folder: Path) -> dict[str, list[Any]]:
    """The sums of all files of a backup but its manifest: name -> [bytes, SHA-256]."""
    return {
        path.relative_to(folder).as_posix(): list(sum_of(path))
        for path in walked(folder)
        if path.name != MANIFEST and not path.name.endswith(PASSING)
    }
