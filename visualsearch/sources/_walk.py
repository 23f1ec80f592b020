"""Folders and globs: walk one folder at a time, never holding the whole tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

from visualsearch.errors import SourceError
from visualsearch.images import PICTURE_SUFFIXES
from visualsearch.sources._base import Item
from visualsearch.sources._places import Entry, LocalPlace, Place, printable, short
from visualsearch.types import Failure, Record

SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
"""Folders of shadow copies that macOS archives and Synology shares carry."""

_WILD = re.compile(r"[*?[]")


def is_picture(name: str) -> bool:
    """Whether a file's suffix, in any case, is that of a picture."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in PICTURE_SUFFIXES


class Found(NamedTuple):
    """A file met on a walk: its listing, and its path from the root with "/" between."""

    entry: Entry
    relative: str


def walk(
    place: Place, root: str, wanted: Callable[[str], bool], levels: int | None = None
) -> Iterator[Found | Failure]:
    """The files under `root` whose name is `wanted`, in the order of their names, folders and files together.

    Goes `levels` folders deep (1: the root alone), or all the way. A folder that cannot be read is a
    Failure; a link back to a folder above is not followed. Memory: the listings of the folders from the
    root down to here.
    """
    above = [place.identity(root)]
    stack = [iter([(entry, entry.name) for entry in place.scan(root, wanted)])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            above.pop()
            continue
        entry, relative = step
        if not entry.folder:
            yield Found(entry, relative)
        elif entry.name not in SKIPPED_FOLDERS and (levels is None or len(stack) < levels):
            try:
                identity = place.identity(entry.path)
                if identity is not None and identity in above:
                    continue
                inner = place.scan(entry.path, wanted)
            except Exception as error:  # OSError, or what a remote service raises
                yield Failure(
                    place.uri(entry.path),
                    printable(relative),
                    f"the folder cannot be read: {short(error)}",
                    "Change its permissions, or leave it out",
                )
                continue
            above.append(identity)
            stack.append(iter([(child, f"{relative}/{child.name}") for child in inner]))


@dataclass(frozen=True)
class WalkSource:
    """The pictures under a folder whose relative path fits `fits`."""

    kind: str
    uri: str
    place: Place = field(repr=False)
    root: str
    fits: Callable[[str], bool] = field(default=lambda _relative: True, repr=False)
    levels: int | None = None

    def count(self) -> int | None:
        """How many files there are, by listing the folders once; None for remote ones."""
        if not isinstance(self.place, LocalPlace):
            return None
        return sum(isinstance(found, Found) and self.fits(found.relative) for found in self._walk())

    def __iter__(self) -> Iterator[Item]:
        for found in self._walk():
            if isinstance(found, Failure):
                yield found
            elif self.fits(found.relative):
                yield self._record(found)

    def _walk(self) -> Iterator[Found | Failure]:
        try:
            yield from walk(self.place, self.root, is_picture, self.levels)
        except PermissionError as error:
            raise SourceError(
                f"cannot read {self.root!r}",
                "you have no permission to list the folder",
                "Change its permissions, or run as its owner",
            ) from error
        except Exception as error:  # the root: OSError, or what a remote service raises
            why = short(error)
            raise SourceError(
                f"cannot read {self.root!r}", why, "Check the path and the permissions"
            ) from error

    def _record(self, found: Found) -> Item:
        path = found.entry.path
        uri, name = self.place.uri(path), printable(found.relative)
        try:
            stamp = self.place.stamp(found.entry)
        except FileNotFoundError:
            return Failure(
                uri, name, "the link leads nowhere, or the file has just gone", "Restore or remove it"
            )
        except OSError as error:
            return Failure(uri, name, f"it cannot be looked at: {short(error)}", "Check its permissions")
        return Record(name, uri, partial(self.place.read, path), stamp=stamp)


def open_folder(place: Place, root: str, text: str) -> WalkSource:
    """The pictures of a folder and its sub-folders. Raises SourceError when it cannot be read or has none."""
    source = WalkSource("folder", place.uri(root), place, root)
    if next(iter(source), None) is None:
        raise SourceError(f"no pictures in {text!r}", *_what_instead(place, root))
    return source


def _what_instead(place: Place, root: str) -> tuple[str, str]:
    """(why, remedy) for a folder without pictures: by what its top level holds."""
    names = [entry.name for entry in place.scan(root, lambda _name: True) if not entry.folder]
    if not names:
        return "the folder and its sub-folders hold no picture files", "Check the path"
    for suffix in (".tar", ".parquet", ".csv", ".tsv", ".jsonl"):
        if any(name.lower().endswith(suffix) for name in names):
            return f"it holds {suffix} files", f'Name them instead, such as "{root}/*{suffix}"'
    suffixes = sorted({name[name.rfind(".") :].lower() for name in names if "." in name})[:8]
    known = " ".join(sorted(PICTURE_SUFFIXES))
    return f"its files end in {' '.join(suffixes) or 'nothing known'}", f"Pictures end in {known}"


# --- patterns


def is_pattern(text: str) -> bool:
    """Whether `text` holds a wildcard."""
    return _WILD.search(text) is not None


def split_pattern(path: str) -> tuple[str, str]:
    """The folder in front of the first wildcard, and the pattern that is left."""
    parts = path.split("/")
    at = next(number for number, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:at]) or "/", "/".join(parts[at:])


@lru_cache(maxsize=64)
def pattern_regex(pattern: str) -> re.Pattern[str]:
    """The shell pattern as a regular expression over relative paths; "**" is any number of folders."""
    parts = pattern.split("/")
    out = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            out += r".*" if last else r"(?:[^/]+/)*"
        else:
            out += _part_regex(part) + ("" if last else "/")
    return re.compile(out, re.DOTALL)


def _part_regex(part: str) -> str:
    def token(found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith("["):
            inside = text[1:-1].replace("\\", r"\\")
            return f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
        return {"*": "[^/]*", "?": "[^/]"}.get(text) or re.escape(text)

    return re.sub(r"\[[!^]?\]?[^\]]*\]|.", token, part, flags=re.DOTALL)


def open_glob(place: Place, pattern: str, text: str) -> WalkSource:
    """The pictures whose path fits a pattern. Raises SourceError when none does."""
    root, rest = split_pattern(pattern)
    fits = pattern_regex(rest).fullmatch
    levels = None if "**" in rest.split("/") else rest.count("/") + 1
    source = WalkSource("glob", place.uri(pattern), place, root, lambda path: fits(path) is not None, levels)
    if place.look(root) is None:
        raise SourceError(f"no picture fits {text!r}", f"there is no folder {root!r}", "Check the path")
    if next(iter(source), None) is None:
        raise SourceError(
            f"no picture fits {text!r}", "the pattern matches no picture file", "Check it with ls"
        )
    return source


def expand_files(place: Place, pattern: str) -> list[str]:
    """The files of any kind that fit a pattern: shards and manifests, few enough to list."""
    root, rest = split_pattern(pattern)
    if place.look(root) is None:
        return []
    fits = pattern_regex(rest).fullmatch
    levels = None if "**" in rest.split("/") else rest.count("/") + 1
    found = walk(place, root, lambda _name: True, levels)
    return [item.entry.path for item in found if isinstance(item, Found) and fits(item.relative)]
