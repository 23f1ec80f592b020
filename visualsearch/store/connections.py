"""Connections to a catalog that only read, and SQLite's errors as ours."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from visualsearch.errors import IndexStateError, NotAnIndexError, StorageError, VisualSearchError
from visualsearch.storage import gone, probe, reading_error, storage_error

KEPT = 8
"""Connections that wait for the next reader; each has two open files and its own cache."""


@dataclass
class _Lent:
    """A connection in a read transaction, the readers that share it, and the opening it belongs to."""

    db: sqlite3.Connection
    opening: int
    readers: int = 1


class Connections:
    """Read transactions on one catalog. A connection belongs to a transaction, not to a thread: threads that end keep none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._idle: list[sqlite3.Connection] = []
        self._opening = 0
        self._guard = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction; nested calls in a thread share it."""
        lent = self._lend()
        try:
            yield lent.db
        finally:
            self._return(lent)

    @contextmanager
    def watched(self, late: Callable[[], bool], steps: int) -> Iterator[None]:
        """Within the block, reads that this thread begins end with an error once `late()`, asked every `steps` instructions."""
        self._local.watch = (late, steps)
        try:
            yield
        finally:
            self._local.watch = None

    def _lend(self) -> _Lent:
        lent: _Lent | None = getattr(self._local, "lent", None)
        with self._guard:
            if lent is not None and lent.readers:
                lent.readers += 1
                return lent
            db = self._idle.pop() if self._idle else None
            opening = self._opening
        db = connected(self.path) if db is None else db
        try:
            if watch := getattr(self._local, "watch", None):
                db.set_progress_handler(*watch)
            db.execute("BEGIN")
        except BaseException:
            db.close()
            raise
        self._local.lent = lent = _Lent(db, opening)
        return lent

    def _return(self, lent: _Lent) -> None:
        with self._guard:
            lent.readers -= 1
            if lent.readers:
                return
        try:
            lent.db.set_progress_handler(None, 0)
            lent.db.execute("ROLLBACK")
        except sqlite3.Error:
            lent.db.close()
            return
        with self._guard:
            keep = lent.opening == self._opening and len(self._idle) < KEPT
            if keep:
                self._idle.append(lent.db)
        if not keep:
            lent.db.close()

    def close(self) -> None:
        """Close the connections that nobody reads with; the others are closed when their readers end."""
        with self._guard:
            idle, self._idle = self._idle, []
            self._opening += 1
        for db in idle:
            db.close()


def connected(path: Path) -> sqlite3.Connection:
    """A new connection that cannot write."""
    uri = path.absolute().as_uri()
    db = sqlite3.connect(
        f"{uri}?mode=ro", uri=True, isolation_level=None, timeout=30, check_same_thread=False
    )
    try:
        try:
            db.execute("SELECT value FROM meta LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            # A WAL database in a folder that cannot be written has no shared memory file. It also has no writer, so it
            # may be read as it is, but only when no log is left to replay.
            log = path.with_name(f"{path.name}-wal")
            if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
                raise
            db.close()
            db = sqlite3.connect(
                f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
            )
        db.execute("PRAGMA query_only = 1")
        db.execute("PRAGMA mmap_size = 268435456")
    except BaseException:
        db.close()
        raise
    return db


# -- errors -------------------------------------------------------------------------------------------------------
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DAMAGED_TEXT = ("no such table", "no such column", "unsupported file format")
_STORAGE = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(path, error) from error


def _ours(path: Path, error: sqlite3.Error) -> VisualSearchError:
    code, text = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    if code in _DAMAGED or any(mark in text for mark in _DAMAGED_TEXT):
        return NotAnIndexError(
            f"cannot read {path}",
            f"it is damaged or not a catalog ({text})",
            "Restore it from a copy, or build the index again from its pictures",
        )
    if code in _STORAGE:
        return _storage(path, text)
    return IndexStateError(f"cannot use {path}", text, f"Run: visualsearch verify {path.parent}")


def _storage(path: Path, text: str) -> IndexStateError:
    """SQLite tells little of why a file cannot be used, so the system is asked."""
    if "full" in text:
        return storage_error(path, probe(path.parent) or OSError(errno.ENOSPC, text))  # it was, a moment ago
    try:
        with path.open("rb", buffering=0) as file:
            file.read(1)
    except FileNotFoundError:
        return gone(path.parent)
    except OSError as error:
        return reading_error(path, error)
    cause = probe(path.parent)
    if cause is not None:
        return storage_error(path, cause)
    return StorageError(
        f"cannot use {path}",
        text,
        "Check that you may read and write the folder and that the disk is healthy",
    )
