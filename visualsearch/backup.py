"""Backups of a living index: the catalog, vectors, kept pictures and people as one state, and the way back.

A backup is an index folder with a manifest: it can be opened and searched where it lies. Whoever is forgotten later leaves it
too while it stays in its place.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visualsearch import copies, people
from visualsearch.errors import IndexStateError, NotAnIndexError, UsageError, VersionError
from visualsearch.storage import PICTURES, storage_error, stored_file
from visualsearch.store import Catalog, copy_catalog, writing

FORMAT = 1
_CATALOG = "catalog.sqlite"
_EVENTS = "events"
_TRIES = 5
_OWN = {_CATALOG, people.FILE, _EVENTS, PICTURES, "vectors", "ann", "writer.json", copies.MANIFEST}


@dataclass(frozen=True)
class Backup:
    """What a backup holds. `people` is None where the record is not in it: there is none, or a PostgreSQL server keeps it."""

    place: Path
    made: str
    state: int
    pins: int
    people: int | None
    files: int
    bytes: int


class _ReplacedError(Exception):
    """What was being copied was replaced meanwhile."""


def back_up(folder: str | os.PathLike[str], to: str | os.PathLike[str]) -> Backup:
    """Copy an index that others may search, change and save to meanwhile. The copy is one state, and appears whole or not at all.

    People are copied first, so every pin they saved is in the catalog that is copied after. A record in PostgreSQL is not
    copied: use `pg_dump` for it. Raises NotAnIndexError, UsageError where `to` exists, StorageError; LockedError
    where a writer replaced files at every try.
    """
    source, target = Path(folder), Path(to)
    Catalog.open(source).close()
    _check_free(source, target)
    with _aside(target) as made:
        try:
            known = people.copy_record(source, made)
            state, pins = _copy_index(source, made)
            _copy_rest(source, made)
            manifest: dict[str, Any] = {
                "format": FORMAT,
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "state": state,
                "pins": pins,
                "people": known,
                "files": copies.summed(made),
            }
            copies.write_manifest(made, manifest)
        except OSError as error:
            raise storage_error(target, error) from error
    if known is not None:
        people.follow_backup(source, target)
    return _described(target)


def restore(
    backup: str | os.PathLike[str], to: str | os.PathLike[str], after: str | os.PathLike[str] | None = None
) -> Backup:
    """Make an index of a backup at a new place. Every byte is held against the manifest before the index appears.

    `after` is the index as it is today: people it knows no more were forgotten since, and are taken out of what is restored; what
    it spent of privacy budgets stays spent. Without it nobody knows what was told since the backup, so the budgets of all months
    up to this one are closed. Raises NotAnIndexError, IndexStateError, VersionError, UsageError, StorageError.
    """
    source, target = Path(backup), Path(to)
    manifest = _manifest(source)
    _check_free(source, target)
    with _aside(target) as made:
        for name, (size, digest) in sorted(manifest["files"].items()):
            _restore_file(source, made, name, copies.Sum(size, digest))
        if after is None:
            people.close_ledger(made)
        else:
            people.forget_since(made, Path(after))
            people.carry_ledger(Path(after), made)
    return Backup(
        target,
        manifest["made"],
        manifest["state"],
        manifest["pins"],
        manifest["people"],
        len(manifest["files"]),
        sum(size for size, _ in manifest["files"].values()),
    )


def check(backup: str | os.PathLike[str]) -> list[str]:
    """The files of a backup that are not what they were, in words; [] when all are. Raises NotAnIndexError, VersionError."""
    place = Path(backup)
    wrong = []
    for name, (size, digest) in sorted(_manifest(place)["files"].items()):
        try:
            found = copies.sum_of(place / name)
        except OSError as error:
            wrong.append(f"{name}: {error.strerror or error}")
            continue
        if found != (size, digest):
            wrong.append(f"{name}: {found.bytes:,} bytes of another content; it had {size:,}")
    return wrong


# -- parts of the way out -----------------------------------------------------------------------------------------
def _copy_index(source: Path, made: Path) -> tuple[int, int]:
    """The catalog and the files it names; its state and how many pins. A newer state is taken when a file went meanwhile."""
    for _ in range(_TRIES):
        with suppress(_ReplacedError):
            return _copied_state(source, made)
    with writing(source):  # it changes faster than it can be copied, so it shall wait a moment
        return _copied_state(source, made)


def _copied_state(source: Path, made: Path) -> tuple[int, int]:
    state, pins, named = copy_catalog(source, made)
    for part in ("vectors", "ann"):
        for path in (made / part).glob("*"):
            if f"{part}/{path.name}" not in named:
                path.unlink()  # of an earlier try
    for name in named:
        target = made / name
        if target.exists():
            continue
        target.parent.mkdir(exist_ok=True)
        try:
            copies.copied(stored_file(source, name), target)
        except FileNotFoundError:
            raise _ReplacedError from None
    _copy_pictures(source / PICTURES, made / PICTURES)
    return state, pins


def _copy_pictures(source: Path, made: Path) -> None:
    """The pictures that the index keeps. Their names are their content's hashes; one that goes meanwhile went with its pin."""
    if not source.is_dir():
        return
    made.mkdir(exist_ok=True)
    for path in copies.walked(source):
        if not path.name.startswith(".") and not (made / path.name).exists():
            with suppress(FileNotFoundError):
                copies.copied(path, made / path.name)


def _copy_rest(source: Path, made: Path) -> None:
    """Keys, lists and what was learnt: everything else, apart from locks and what is only passing."""
    for path in sorted(source.iterdir()):
        if (
            path.name in _OWN
            or path.name.startswith(".")
            or path.name.endswith(copies.PASSING)
            or path.is_symlink()
        ):
            continue
        for _ in range(_TRIES):
            try:
                if path.is_dir():
                    copies.copied_tree(path, made / path.name)
                else:
                    copies.copied(path, made / path.name)
                break
            except FileNotFoundError:  # replaced by a newer one meanwhile
                shutil.rmtree(made / path.name, ignore_errors=True)


# -- parts of the way back ----------------------------------------------------------------------------------------
def _manifest(place: Path) -> dict[str, Any]:
    try:
        manifest = copies.read_manifest(place)
        known = int(manifest["format"])
    except FileNotFoundError as error:
        raise NotAnIndexError(
            f"{place} is not a backup",
            f"it has no {copies.MANIFEST}",
            "Make one: visualsearch backup DIR --to PLACE",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAnIndexError(
            f"cannot read {place / copies.MANIFEST}", str(error), "Take another backup"
        ) from error
    if known > FORMAT:
        raise VersionError(
            f"cannot restore {place}",
            "a newer release made this backup",
            "Upgrade: pip install --upgrade visualsearch",
        )
    return manifest


def _restore_file(source: Path, made: Path, name: str, wanted: copies.Sum) -> None:
    target = made / name
    if target.resolve().parent != made.resolve() and made.resolve() not in target.resolve().parents:
        raise IndexStateError(
            f"cannot restore {source}",
            f"its manifest names {name[:80]!r}, which lies outside",
            "Do not use this backup",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = copies.copied(source / name, target)
    except FileNotFoundError as error:
        raise IndexStateError(
            f"cannot restore {source}", f"{name} is missing", "Take another backup"
        ) from error
    except OSError as error:
        raise storage_error(target, error) from error
    if found != wanted:
        raise IndexStateError(
            f"cannot restore {source}",
            f"{name} is not what it was when the backup was made",
            "Take another backup; nothing was restored from this one",
        )


# -- both ---------------------------------------------------------------------------------------------------------
def _check_free(source: Path, target: Path) -> None:
    if target.exists():
        raise UsageError(f"cannot write {target}", "it is there already", "Name a new place")
    if source.resolve() in target.resolve().parents:
        raise UsageError(f"cannot write {target}", f"it lies inside {source}", "Name a place outside")


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A new folder beside the target, which becomes the target when all went well."""
    made = target.parent / f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        made.mkdir(mode=0o700)
    except OSError as error:
        raise storage_error(target, error) from error
    try:
        yield made
        try:
            copies.flushed(made)
            made.rename(target)
            copies.flushed(target.parent)
        except OSError as error:
            raise storage_error(target, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Delete what a process that lives no more left of this copy."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        pid = left.name.removeprefix(f".{target.name}.").split(".")[0]
        if pid.isdecimal() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _described(place: Path) -> Backup:
    manifest = _manifest(place)
    sizes = [size for size, _ in manifest["files"].values()]
    return Backup(
        place,
        manifest["made"],
        manifest["state"],
        manifest["pins"],
        manifest["people"],
        len(sizes),
        sum(sizes),
    )
