"""Files of the record: only their owner reads and writes them, whatever the umask lets others do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def _open(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def created(path: Path) -> IO[bytes]:
    """A file to write bytes into, new or emptied."""
    return open(path, "wb", opener=_open)


def touched(path: Path) -> None:
    """Make an empty file where there is none. SQLite gives the files beside it (`-wal`, `-shm`) the same mode."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))


def folder(path: Path) -> None:
    """Make a folder where there is none; the one above it exists."""
    path.mkdir(FOLDER_MODE, exist_ok=True)
