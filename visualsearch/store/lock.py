"""One writer at a time: a file lock that names its holder. The system frees it when the holder dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visualsearch.errors import LockedError
from visualsearch.storage import check_links, probe, storage_error

LOCK = "writer.lock"
HOLDER = "writer.json"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the writer lock of an index folder. Raises LockedError with the holder's name, StorageError when read-only."""
    from filelock import FileLock, Timeout

    check_links(folder)
    if not os.access(folder, os.W_OK):
        raise storage_error(folder, probe(folder) or PermissionError(13, "the folder is read-only"))
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(
            f"cannot write to {folder}",
            f"{holder(folder)} is writing to it",
            "Wait until it has finished; searching works meanwhile",
        ) from error
    except OSError as error:
        raise storage_error(folder / LOCK, error) from error
    try:
        with suppress(OSError):
            (folder / HOLDER).write_text(
                json.dumps(
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "command": " ".join(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv))[
                            :200
                        ],
                        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                    }
                ),
                encoding="utf-8",
                errors="replace",
            )
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink()
        lock.release()


def holder(folder: Path) -> str:
    """Who holds the lock, for people."""
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} ({who['command']!r}, since {who['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"
