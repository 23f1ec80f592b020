"""The record of truth: one SQLite file (WAL) with pins, rows, segments and generations.

Every commit of the index is one transaction here; a vector file or a generation exists for readers only once it is named
here. Readers work inside a read transaction, so they see one state throughout. `schema` has the tables, `migrations` brings
catalogs of older releases to them.

What changes often does not belong here: there is one writer, and each commit makes readers look for what it changed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visualsearch.errors import NotAnIndexError, StorageError, VersionError
from visualsearch.storage import check_links, storage_error
from visualsearch.types import EncoderSpec

from .connections import Connections, translated
from .lock import writing
from .migrations import READABLE, layout_of, migrate
from .reader import Reader
from .schema import APPLICATION, FILE, LAYOUT, SCHEMA
from .vectors import flush_folder
from .writer import Writer


class Catalog:
    """One index's catalog: many readers, each in a transaction of its own, and one writer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self.connections = Connections(self.path)

    # -- opening --------------------------------------------------------------------------------------------------
    @classmethod
    def create(cls, folder: Path, spec: EncoderSpec, preset: str = "auto") -> None:
        """Write a new, empty catalog into an existing folder; it appears complete or not at all."""
        path = folder / FILE
        aside = folder / f".{FILE}.{os.getpid()}.tmp"
        with translated(path):
            aside.unlink(missing_ok=True)
            db = sqlite3.connect(aside, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(
                    f"BEGIN; {SCHEMA} PRAGMA user_version = {LAYOUT}; PRAGMA application_id = {APPLICATION};"
                )
                start = {
                    "encoder": spec.to_json(),
                    "preset": preset,
                    "created": time.time(),
                    "state": 0,
                    "next_row": 0,
                    "next_file": 1,
                }
                db.executemany("INSERT INTO meta VALUES (?, ?)", start.items())
                db.execute("COMMIT")
            finally:
                db.close()
            try:
                aside.replace(path)
                flush_folder(folder)
            except OSError as error:
                raise storage_error(path, error) from error

    @classmethod
    def open(cls, folder: Path) -> Catalog:
        """The catalog of an existing index. Raises NotAnIndexError or VersionError."""
        catalog = cls(folder)
        if not folder.exists():
            raise NotAnIndexError(
                f"no index at {folder}",
                "the folder does not exist",
                f"Build one: visualsearch index PICTURES --to {folder}",
            )
        check_links(folder)
        if not catalog.path.is_file():
            raise NotAnIndexError(
                f"{folder} is not an index",
                f"it has no {FILE}",
                f"Name an index folder, or build one: visualsearch index {folder} --to NEW.index",
            )
        try:
            with catalog.read() as reader:
                layout = layout_of(reader.db, folder)
            if layout < READABLE:
                catalog._migrate()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _migrate(self) -> None:
        """Bring a catalog that cannot be read as it is to the present layout."""
        try:
            with writing(self.folder):
                self.writer().close()
        except StorageError as error:
            raise VersionError(
                f"cannot open {self.folder}",
                f"an early release made it, and it must be migrated before it is read, which fails: {error.why}",
                "Copy the folder to a place where you may write, and open the copy",
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self.connections.close()

    # -- transactions ---------------------------------------------------------------------------------------------
    @contextmanager
    def read(self) -> Iterator[Reader]:
        """One consistent view of the catalog; nested calls in a thread share it."""
        with translated(self.path), self.connections.reading() as db:
            yield Reader(db, self.folder)

    def writer(self) -> Writer:
        """The writing connection. The caller holds the writer lock and closes it. An older layout is migrated first."""
        with translated(self.path):
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=30,
                check_same_thread=False,
            )
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                migrate(db, self.folder)
                db.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                db.close()
                raise
            return Writer(db, self.path)
