"""Pins by the names that users give, and folders for new indexes."""

from __future__ import annotations

from pathlib import Path

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.storage import storage_error

from .reader import Pin, Reader
from .schema import FILE

LISTED = 20_000
"""An unknown id is compared with at most this many ids for near ones."""


def pin_named(reader: Reader, name: str) -> Pin:
    """The pin with that id. Raises UnknownNameError, which lists the near ids."""
    pin = reader.by_id(name)
    if pin is None:
        raise UnknownNameError("pin", name, reader.some_ids(LISTED), "Search first to learn the ids")
    return pin


def check_free(folder: Path) -> None:
    """Raise UsageError for a folder that cannot become a new index, because it holds something."""
    if (folder / FILE).exists():
        raise UsageError(
            f"cannot create {folder}", "it is an index already", "Open it, or choose another folder"
        )
    if folder.exists() and (not folder.is_dir() or any(f for f in folder.iterdir() if not _ours(f))):
        raise UsageError(
            f"cannot create {folder}", "it exists and is not empty", "Choose a new or empty folder"
        )


def make_folder(folder: Path) -> None:
    """Make a folder where there is none. Raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error


def _ours(path: Path) -> bool:
    """True for what a killed `create` may have left."""
    return path.name.startswith((".catalog", "writer."))
