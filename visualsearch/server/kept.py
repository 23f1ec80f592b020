"""Pictures that came over HTTP, kept in the index folder and named by their content.

A picture is written while the writer's lock is held, just before its pin is committed, and taken away again when
that fails. What a killed process left is swept by the first write of the next one.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from visualsearch.engine import Index
from visualsearch.errors import LockedError, VisualSearchError
from visualsearch.storage import PICTURES, storage_error
from visualsearch.store import writing

_OURS = re.compile(r"\.?([0-9a-f]{64})\.[a-z0-9]{1,10}(\.\d+\.tmp)?")


class Kept:
    """The kept pictures of one index. Used by one thread at a time."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.folder = index.folder.absolute() / PICTURES
        self._swept = False
        self._stray: set[Path] = set()

    def path(self, name: str) -> Path:
        """Where a picture of that name is kept."""
        return self.folder / name

    def write(self, path: Path, data: bytes) -> None:
        """Keep a picture. The caller holds the writer's lock, or has committed its pin. Raises StorageError."""
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            if self.folder.is_symlink():
                raise OSError(20, "the folder of pictures is a link")  # it may lead out of the index
            path.parent.mkdir(exist_ok=True)
            if path.exists():
                return
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise storage_error(path, error) from error

    def sweep(self) -> None:
        """Before the first write: take away what no pin has. Raises LockedError while another process writes."""
        if not self._swept and self.folder.is_dir() and not self.folder.is_symlink():
            self._drop([path for path in self.folder.iterdir() if _OURS.fullmatch(path.name)])
        self._swept = True

    def tidy(self, uri: str) -> None:
        """Take away a picture that no pin has any more; where another process writes, later."""
        path = Path(uri)
        if path.parent == self.folder:
            self._stray.add(path)
        with suppress(LockedError):  # the next one tries again
            self._drop(list(self._stray))
            self._stray.clear()

    def _drop(self, paths: list[Path]) -> None:
        if not paths:
            return
        with writing(self.index.folder), self.index.catalog.read() as reader:
            for path in paths:
                found = _OURS.fullmatch(path.name)
                # By content and not by place: the index may have been moved since.
                if found is None or (not found[2] and reader.by_hash(bytes.fromhex(found[1]))):
                    continue
                with suppress(OSError):
                    path.unlink(missing_ok=True)


class Attempt:
    """One write of a pin: its picture stays only when `done` is called."""

    def __init__(self, kept: Kept, path: Path, data: bytes) -> None:
        self.kept, self.at, self.data = kept, path, data
        self._made = False

    def read(self) -> bytes:
        """The picture, written down on the way: the indexer reads it under the writer's lock."""
        if not self.at.exists():
            self._made = True
            self.kept.write(self.at, self.data)
        return self.data

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._made:
            with suppress(VisualSearchError):
                self.kept.tidy(str(self.at))
