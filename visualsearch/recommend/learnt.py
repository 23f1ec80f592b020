"""What was learnt from people's deeds, on disk: arrays and a manifest, written whole and named by one pointer.

    pins.index/learnt/
      current              the name of the generation that counts, "000007"
      000007/manifest.json
      000007/items.weights.npy     PART.ARRAY.npy, memory-mapped when read

It is a cache: deleting the folder loses nothing, and `visualsearch learn` builds it again. Nothing in it depends on the clock,
so the same events and seed give the same bytes. No pseudonym and no key of a person belongs into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import LockedError, StorageError, UsageError, VersionError
from visualsearch.storage import reading_error, storage_error

LEARNT = "learnt"
CURRENT = "current"
MANIFEST = "manifest.json"
FORMAT = 1
KEPT = 2
"""Generations that stay on disk: the current one, and the one that readers may still be opening."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_FOLDER = re.compile(r"\d{6,9}", re.ASCII)
_AGAIN = "Run `visualsearch learn` on the index: it builds everything again, and nothing is lost"


@dataclass(frozen=True)
class Part:
    """One learnt thing: arrays of plain numbers, JSON values, and `inputs`, a fingerprint of all that it was made from.

    A part whose `inputs` equal those of the part that is due need not be built again.
    """

    name: str
    inputs: str
    arrays: Mapping[str, NDArray[Any]]
    values: Mapping[str, Any] = field(default_factory=dict)


class Learnt:
    """One generation on disk. Arrays are read-only and memory-mapped; a reader keeps them when a newer one takes over."""

    def __init__(self, folder: Path, number: int, manifest: Mapping[str, Any]) -> None:
        self.folder, self.number = folder, number
        self.watermark: int = manifest["watermark"]
        self.seed: int = manifest["seed"]
        self._parts: Mapping[str, Any] = manifest["parts"]

    @property
    def names(self) -> list[str]:
        """The names of its parts."""
        return sorted(self._parts)

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def inputs(self, name: str) -> str | None:
        """The fingerprint of what a part was made from; None where there is no such part."""
        return self._parts[name]["inputs"] if name in self._parts else None

    def values(self, name: str) -> Mapping[str, Any]:
        """The JSON values of a part. Raises KeyError where there is no such part."""
        values: Mapping[str, Any] = self._parts[name]["values"]
        return values

    def part(self, name: str) -> Part | None:
        """A part, or None where nothing of that name was learnt. Raises StorageError for a damaged one."""
        entry = self._parts.get(name)
        if entry is None:
            return None
        arrays = {key: self._array(name, key, about) for key, about in entry["arrays"].items()}
        return Part(name, entry["inputs"], arrays, entry["values"])

    def _array(self, part: str, key: str, about: Mapping[str, Any]) -> NDArray[Any]:
        path = self.folder / f"{part}.{key}.npy"
        try:
            mapped: Literal["r"] | None = (
                "r" if 0 not in about["shape"] else None
            )  # an empty file cannot be mapped
            array: NDArray[Any] = np.load(path, mmap_mode=mapped, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise damaged(path, str(error)) from error
        if array.dtype.str != about["dtype"] or list(array.shape) != about["shape"]:
            raise damaged(path, f"it holds {array.dtype} {array.shape}, not what its manifest says")
        return array

    def verify(self) -> list[str]:
        """Sentences about files whose bytes are not those that were written; [] when all is well."""
        found = []
        for name, entry in self._parts.items():
            for key, about in entry["arrays"].items():
                path = self.folder / f"{name}.{key}.npy"
                if not path.is_file():
                    found.append(f"{path.name} is missing")
                elif _digest(path) != about["sha256"]:
                    found.append(f"{path.name} does not hold what was written")
        return found


def open_learnt(folder: str | os.PathLike[str]) -> Learnt | None:
    """What was learnt for the index in `folder`; None where nothing was. Raises StorageError, VersionError."""
    root = Path(folder) / LEARNT
    for _ in range(5):
        number = current(folder)
        if number is None:
            return None
        place = root / _called(number)
        try:
            manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            if current(folder) != number:
                continue  # a newer generation took over in between
            raise damaged(place / MANIFEST, "it is missing") from error
        except OSError as error:
            raise reading_error(place / MANIFEST, error) from error
        except ValueError as error:
            raise damaged(place / MANIFEST, f"it is no JSON: {error}") from error
        return Learnt(place, number, _checked(place, manifest))
    raise damaged(root / CURRENT, "it changes faster than it can be read")


def current(folder: str | os.PathLike[str]) -> int | None:
    """The number of the generation that counts: cheap, to ask whether an opened one is still the newest."""
    path = Path(folder) / LEARNT / CURRENT
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise reading_error(path, error) from error
    if _FOLDER.fullmatch(text) is None:
        raise damaged(path, f"it names {text[:40]!r}, which is no generation")
    return int(text)


def write_learnt(
    folder: str | os.PathLike[str],
    parts: Sequence[Part],
    *,
    watermark: int,
    seed: int,
    keep: Sequence[str] = (),
) -> Learnt:
    """Write a new generation and let it take over in one step; readers see the old one or the new one, never a mixture.

    `keep` names parts of the current generation that are still valid: their files are linked, not written again. `watermark`
    says up to which event all of this was learnt. Raises LockedError where another process is learning, StorageError.
    """
    from filelock import FileLock, Timeout

    for part in parts:
        _check_part(part)
    root = Path(folder) / LEARNT
    if root.is_symlink():
        raise StorageError(
            f"cannot write {root}", "it is a link", "Remove the link; a folder takes its place"
        )
    try:
        root.mkdir(exist_ok=True)
        with FileLock(root / "learn.lock", timeout=0, thread_local=False):
            return _write(root, parts, keep, watermark, seed)
    except Timeout as error:
        raise LockedError(
            f"cannot learn for {folder}",
            "another process is learning for it",
            "Wait until it has finished; what was learnt before is used meanwhile",
        ) from error
    except OSError as error:
        raise storage_error(root, error) from error


def texts_arrays(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts as two arrays that need no pickle: their UTF-8 bytes in a row, and (n + 1,) offsets."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def text_list(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> list[str]:
    """The texts that `texts_arrays` packed."""
    blob = data.tobytes()
    ends = offsets.tolist()
    return [blob[a:b].decode() for a, b in pairwise(ends)]


def damaged(path: Path, why: str) -> StorageError:
    """The error for a learnt file that is not as it was written."""
    return StorageError(f"cannot use {path}", why, _AGAIN)


# -- writing -------------------------------------------------------------------------------------------------------
def _write(root: Path, parts: Sequence[Part], keep: Sequence[str], watermark: int, seed: int) -> Learnt:
    before = _before(root.parent) if keep else None
    number = max([int(p.name) for p in root.iterdir() if _FOLDER.fullmatch(p.name)], default=0) + 1
    made = root / f".{_called(number)}.tmp"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    entries = {name: _carried(before, name, made) for name in keep if before is not None and name in before}
    for part in parts:
        entries[part.name] = {
            "inputs": part.inputs,
            "values": dict(part.values),
            "arrays": {key: _put(made, part.name, key, array) for key, array in sorted(part.arrays.items())},
        }
    manifest = {"format": FORMAT, "watermark": watermark, "seed": seed, "parts": entries}
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    _put_bytes(made / MANIFEST, text.encode())
    _sync(made)
    made.rename(root / _called(number))
    _put_bytes(root / f".{CURRENT}.tmp", _called(number).encode())
    (root / f".{CURRENT}.tmp").replace(root / CURRENT)
    _sync(root)
    _tidy(root, number)
    return Learnt(root / _called(number), number, manifest)


def _before(folder: Path) -> Learnt | None:
    """The generation whose parts may be kept. A damaged one has none."""
    try:
        return open_learnt(folder)
    except (StorageError, VersionError):
        return None


def _carried(before: Learnt, name: str, made: Path) -> Any:
    entry = before._parts[name]
    for key in entry["arrays"]:
        file = f"{name}.{key}.npy"
        try:
            os.link(before.folder / file, made / file)
        except OSError:  # a disk without hard links
            shutil.copyfile(before.folder / file, made / file)
    return entry


def _put(folder: Path, part: str, key: str, array: NDArray[Any]) -> dict[str, Any]:
    path = folder / f"{part}.{key}.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": _digest(path)}


def _put_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    if os.name == "nt":
        return  # a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tidy(root: Path, number: int) -> None:
    """Remove what no reader opens any more, and what a killed run left."""
    for path in root.iterdir():
        old = _FOLDER.fullmatch(path.name) is not None and int(path.name) <= number - KEPT
        left = path.name.endswith(".tmp") and path.is_dir()
        if old or left:
            shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- checking ------------------------------------------------------------------------------------------------------
def _check_part(part: Part) -> None:
    for name in (part.name, *part.arrays):
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name!r} cannot name what was learnt", "a name is a-z, 0-9 and _")
    for key, array in part.arrays.items():
        if array.dtype.kind not in "biuf":
            raise UsageError(
                f"cannot keep {part.name}.{key}",
                f"it holds {array.dtype}, and only plain numbers are kept",
                "Pack texts with `texts_arrays`",
            )


def _checked(place: Path, manifest: Any) -> Mapping[str, Any]:
    made = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(made, int) and made > FORMAT:
        raise VersionError(
            f"cannot use {place}", f"its format {made} is newer than {FORMAT}", "Update visualsearch"
        )
    try:
        good = made == FORMAT and all(
            isinstance(manifest[name], kind) for name, kind in (("watermark", int), ("seed", int))
        )
        for name, entry in manifest["parts"].items():
            keys = [name, *entry["arrays"]]
            good = good and all(_NAME.fullmatch(key) for key in keys) and isinstance(entry["inputs"], str)
            good = good and isinstance(entry["values"], dict)
            good = good and all({"dtype", "shape", "sha256"} <= set(a) for a in entry["arrays"].values())
    except (KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise damaged(place / MANIFEST, "it is not a manifest of what was learnt")
    checked: Mapping[str, Any] = manifest
    return checked


def _called(number: int) -> str:
    return f"{number:06d}"
