"""What can go wrong with a folder on a disk: errors of the system with their own remedies, and links that lead outside."""

from __future__ import annotations

import errno
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from visualsearch.errors import IndexStateError, NotAnIndexError, StorageError

_AGAIN = "run the same command again; all that was committed is kept"
_CAUSES: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", f"Free some space and {_AGAIN}"),
    errno.EDQUOT: ("your quota on this disk is used up", f"Delete files of yours there and {_AGAIN}"),
    errno.EFBIG: (
        "the file is larger than this disk allows",
        "Choose a folder on a disk that takes larger files",
    ),
    errno.EROFS: (
        "the disk is mounted read-only",
        "Mount it for writing, or copy the folder to a disk that can be written",
    ),
    errno.EMFILE: (
        "this process has too many files open",
        "Raise the limit, with `ulimit -n 4096` for example, and start it again",
    ),
    errno.ENFILE: ("the whole system has too many files open", "Close other programs and try again"),
    errno.ENAMETOOLONG: (
        "the name is too long for this disk",
        "Choose a shorter name, or a folder nearer to the root",
    ),
    errno.EIO: ("the disk reports a fault", "Check the disk's health, and copy the folder to another one"),
    errno.ENOENT: ("the folder is not there", "If it was moved, name its new place"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Name a folder"),
    errno.EISDIR: ("it is a folder, not a file", "Name a file"),
}
"""What the system said -> (why, remedy)."""
_DENIED = (errno.EACCES, errno.EPERM)


def storage_error(path: Path, error: OSError) -> StorageError:
    """An OSError from writing, as a message with its own remedy. One without a number is looked into by writing a little."""
    if error.errno is None:
        error = probe(path.parent) or error
    why, remedy = _explained(error, "Make the folder writable for your user, or choose another one")
    return StorageError(f"cannot write {path}", why, remedy)


def reading_error(path: Path, error: OSError) -> StorageError:
    """An OSError from reading, as a message with its own remedy."""
    why, remedy = _explained(error, "Make the file readable for your user")
    return StorageError(f"cannot read {path}", why, remedy)


def _explained(error: OSError, denied: str) -> tuple[str, str]:
    known = _CAUSES.get(error.errno or 0)
    if known is not None:
        return known
    said = error.strerror or str(error)
    return (
        said,
        denied if error.errno in _DENIED else "Check the folder and the disk, or choose another folder",
    )


def probe(folder: Path) -> OSError | None:
    """Why a folder cannot be written, found by writing a little; None where it can be."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(8192))
            file.flush()
    except OSError as error:
        return error
    return None


# -- links --------------------------------------------------------------------------------------------------------
_CATALOG = "catalog.sqlite"
PARTS = (
    *(f"{_CATALOG}{end}" for end in ("", "-wal", "-shm", "-journal")),
    "vectors",
    "ann",
    "pictures",
    "learnt",
    "adapted",
    "writer.lock",
    "writer.json",
)
"""What an index writes, beside what is inside its folders."""
_FILE = re.compile(r"(vectors/\d{6,12}\.npy|ann/\d{6,12}\.faiss)", re.ASCII)
_LEFTOVER = re.compile(r"\.?\d{6,12}\.(npy|faiss)(\.\d+\.tmp)?", re.ASCII)


def check_links(folder: Path) -> None:
    """Raise NotAnIndexError where a part of an index folder is a link: what is written to it would go elsewhere.

    The folder itself may be reached through a link.
    """
    for name in PARTS:
        _check_link(folder, name)


def stored_file(folder: Path, name: str) -> Path:
    """The file that a catalog names. Raises NotAnIndexError where it is a link or not one of an index's own names.

    Raises FileNotFoundError when there is none.
    """
    if _FILE.fullmatch(name) is None:
        raise NotAnIndexError(
            f"cannot use {folder}",
            f"its catalog names the file {name[:80]!r}, which no index has",
            "Do not use this index; build one of your own from its pictures",
        )
    _check_link(folder, name.partition("/")[0])
    _check_link(folder, name)
    path = folder / name
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotAnIndexError(f"cannot read {path}", "it is not a plain file", _REMEDY)
    return path


def is_leftover(path: Path) -> bool:
    """Whether an index may have written this file of `vectors` or `ann`, complete or not."""
    return _LEFTOVER.fullmatch(path.name) is not None


_REMEDY = "Copy what it points to into its place. The whole index folder may be a link, its parts may not"


def _check_link(folder: Path, name: str) -> None:
    path = folder / name
    if path.is_symlink():
        raise NotAnIndexError(f"cannot use {folder}", f"its {name} is a link to {_target(path)}", _REMEDY)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "another place"


# -- pictures that the index keeps --------------------------------------------------------------------------------
PICTURES = "pictures"
"""The folder in an index where pictures that came over HTTP are kept, named by their content."""
_HERE = f"index:{PICTURES}/"
_KEPT = re.compile(r"[0-9a-f]{64}\.\w+", re.ASCII)


def kept(folder: Path, uri: str) -> str:
    """A picture's place as it is stored: relative where the picture lies in the index, so that the folder may be moved."""
    if PICTURES not in uri:
        return uri
    path = Path(uri)
    inside = path.parent == folder.absolute() / PICTURES and _KEPT.fullmatch(path.name)
    return _HERE + path.name if inside else uri


def shown(folder: Path, uri: str) -> str:
    """A stored place as an absolute one."""
    if uri.startswith(_HERE):
        return str(folder.absolute() / PICTURES / uri.removeprefix(_HERE))
    if PICTURES not in uri:
        return uri
    # An older release stored absolute places. The name is the content's hash, so the picture beside the catalog is the same.
    path = Path(uri)
    if path.parent.name != PICTURES or not _KEPT.fullmatch(path.name):
        return uri
    here = folder.absolute() / PICTURES / path.name
    return str(here) if here.exists() else uri


def gone(folder: Path) -> IndexStateError:
    """The error for an index folder that was there when it was opened."""
    return NotAnIndexError(
        f"the index at {folder} is gone",
        "the folder was moved or deleted while it was open",
        "Open it again at its new place",
    )
