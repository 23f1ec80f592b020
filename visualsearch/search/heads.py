"""The learnt maps of an index on disk: `adapted/000001.npz`, and `adapted/current`, which names the one that counts.

`current` holds the numbers of those that count, newest last, so that each can be undone.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import StorageError, UsageError
from visualsearch.ranking import Adapted, ByCosine, Head, Ranker
from visualsearch.storage import reading_error, storage_error
from visualsearch.store import flush_folder
from visualsearch.types import EncoderSpec, Query

FOLDER = "adapted"
CURRENT = "current"
_REMEDY = "Undo it: visualsearch adapt DIR --undo"


@dataclass(frozen=True)
class Generation:
    """One learnt map, its number, and what is known of it: how it was made, and its held-out figures."""

    number: int
    head: Head
    about: Mapping[str, Any] = field(default_factory=dict)


class Heads:
    """The learnt maps of one index. Looking at `current` costs a `stat`, so that a running server follows each change."""

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        self.folder, self.spec = folder / FOLDER, spec
        self._known: tuple[tuple[int, ...], Generation | None] | None = None

    def current(self) -> Generation | None:
        """The map that counts; None where there is none. Raises StorageError for a damaged one."""
        path = self.folder / CURRENT
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise reading_error(path, error) from error
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if self._known is None or self._known[0] != mark:
            numbers = self._numbers()
            self._known = (mark, self._read(numbers[-1]) if numbers else None)
        return self._known[1]

    def ranker(self, query: Query, ranker: Ranker) -> Ranker:
        """The ranker with the plain order replaced by the learnt one, where pictures and pins alone are asked for.

        What words mean was not learnt, so a query with words keeps the plain order.
        """
        if any(part.text is not None for part in query.parts if part.weight):
            return ranker
        base = getattr(ranker, "base", None)
        if not isinstance(ranker, ByCosine) and not isinstance(base, ByCosine):
            return ranker
        found = self.current()
        if found is None:
            return ranker
        if isinstance(ranker, ByCosine):
            return Adapted(found.head)
        from dataclasses import replace

        changed: Ranker = replace(ranker, base=Adapted(found.head))  # type: ignore[type-var]
        return changed

    def keep(self, head: Head, about: Mapping[str, Any]) -> int:
        """Write a new map and let it count, in one step; its number. Raises StorageError."""
        numbers = self._numbers() if (self.folder / CURRENT).exists() else []
        if self.folder.is_symlink():
            raise StorageError(f"cannot write {self.folder}", "it is a link", "Put a folder in its place")
        try:
            self.folder.mkdir(exist_ok=True)
            number = 1 + max([*numbers, *(int(p.stem) for p in self.folder.glob("[0-9]*.npz"))], default=0)
            path = self.folder / f"{number:06d}.npz"
            aside = path.with_name(f".{path.name}.tmp")
            kept = {**about, "fingerprint": self.spec.fingerprint, "share": head.share}
            text = np.frombuffer(json.dumps(kept, sort_keys=True).encode(), np.uint8)
            with aside.open("wb") as file:
                np.savez(file, turn=head.turn, mean=head.mean, about=text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            self._name([*numbers, number])
        except OSError as error:
            raise storage_error(self.folder, error) from error
        return number

    def undo(self) -> int | None:
        """Let the map before count again; its number, None where the plain order is back. Raises UsageError, StorageError."""
        numbers = self._numbers() if (self.folder / CURRENT).exists() else []
        if not numbers:
            raise UsageError(
                "nothing to undo", "the index is not adapted", "Adapt it: visualsearch adapt DIR"
            )
        try:
            self._name(numbers[:-1])
            (self.folder / f"{numbers[-1]:06d}.npz").unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(self.folder, error) from error
        return numbers[-2] if len(numbers) > 1 else None

    def _name(self, numbers: list[int]) -> None:
        path = self.folder / CURRENT
        aside = path.with_name(f".{CURRENT}.tmp")
        with aside.open("w", encoding="ascii") as file:
            file.write(" ".join(map(str, numbers)))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        flush_folder(self.folder)

    def _numbers(self) -> list[int]:
        path = self.folder / CURRENT
        try:
            words = path.read_text(encoding="ascii", errors="replace").split()
        except OSError as error:
            raise reading_error(path, error) from error
        if not all(word.isdecimal() and len(word) < 10 for word in words):
            raise StorageError(
                f"cannot use {path}", "it is damaged", f"Delete {self.folder}, and adapt again"
            )
        return [int(word) for word in words]

    def _read(self, number: int) -> Generation:
        path = self.folder / f"{number:06d}.npz"
        try:
            with np.load(path, allow_pickle=False) as data:
                turn, mean = np.asarray(data["turn"], np.float32), np.asarray(data["mean"], np.float32)
                about = json.loads(data["about"].tobytes())
            share = float(about["share"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise StorageError(f"cannot use {path}", f"it is damaged ({error})"[:200], _REMEDY) from error
        fits = turn.ndim == 2 and mean.shape == (self.spec.dim,) and turn.shape[0] == self.spec.dim
        if not fits or not (np.isfinite(turn).all() and np.isfinite(mean).all()) or not 0 <= share <= 1:
            raise StorageError(f"cannot use {path}", "it is no map of this index's vectors", _REMEDY)
        if about.get("fingerprint") != self.spec.fingerprint:
            raise StorageError(f"cannot use {path}", "it was learnt for another encoder", _REMEDY)
        return Generation(number, Head(turn, mean, share), about)
