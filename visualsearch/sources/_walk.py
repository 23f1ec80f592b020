"""Folders and globs: walk one folder at a time, never holding the whole tree."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import NamedTuple

from visualsearch.errors import SourceError
from visualsearch.images import PICTURE_SUFFIXES, sniff
from visualsearch.types import Failure, PassedOver, Record

from ._addresses import printable, short
from ._base import Item
from ._places import Entry, LocalPlace, Place

SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
"""Folders of shadow copies that macOS archives and Synology shares carry."""

_WILD = re.compile(r"[*?[]")


UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp", ".temp", ".bak", ".old", ".orig", "~")
"""How the names of unfinished downloads and of backup copies end; also "_original" (exiftool)."""

HEAD = 64
"""Bytes that tell the format of a file."""

_KNOWN_TYPES = mimetypes.MimeTypes()  # Python's own table, not the system's


def is_picture(name: str) -> bool:
    """Whether a file's suffix, in any case, is that of a picture."""
    return suffix_of(name) in PICTURE_SUFFIXES


def suffix_of(name: str) -> str:
    """The suffix in lower case, with its dot; "" without."""
    base = name.rpartition("/")[2]
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def may_be_picture(name: str) -> bool:
    """Whether the first bytes of a file with an unknown suffix are worth a look.

    Not where the suffix is a well-known one of something else, or of an unfinished or backup copy.
    """
    lowered = name.lower()
    if lowered.endswith((*UNFINISHED, "_original")):
        return False
    kind, packing = _KNOWN_TYPES.guess_type(f"x{suffix_of(name)}", strict=False)
    return packing is None and (kind is None or kind.startswith("image/"))


def begins_as_picture(head: bytes) -> bool:
    """Whether a file's first bytes are those of a picture. TIFF is left out: camera raw files begin so."""
    found = sniff(head)
    return found is not None and found.name != "TIFF"


def passed_over(uri: str, name: str) -> PassedOver:
    """The note that a file was not taken for a picture, by its suffix."""
    suffix = suffix_of(name)
    if suffix in PICTURE_SUFFIXES:
        return PassedOver(uri, "a link inside its shard")
    if name.lower().endswith((*UNFINISHED, "_original")):
        return PassedOver(uri, "unfinished or backup copy")
    plain = suffix[1:].replace("_", "").isalnum() and len(suffix) <= 12
    return PassedOver(uri, printable(suffix) if plain else "no known suffix")


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
                uri = place.uri(entry.path)
                yield Failure(
                    uri,
                    printable(relative),
                    f"the folder cannot be read: {short(error)}",
                    "Change its permissions, or leave it out",
                    hides=f"{uri}/",
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
        """How many pictures there are, by listing the folders once; None for remote ones."""
        if not isinstance(self.place, LocalPlace):
            return None
        return sum(
            isinstance(found, Found) and self.fits(found.relative) and self._is_picture(found)
            for found in self._walk()
        )

    def __iter__(self) -> Iterator[Item]:
        for found in self._walk():
            if isinstance(found, Failure):
                yield found
            elif found.entry.problem:
                yield from self._unfollowed(found)
            elif self.fits(found.relative):
                yield self._record(found) if self._is_picture(found) else self._passed(found)

    def _unfollowed(self, found: Found) -> Iterator[Item]:
        """A link that leads nowhere, in a circle or where we may not look: it may have been a folder."""
        uri, name = self.place.uri(found.entry.path), found.entry.name
        inside = self.levels is None or found.relative.count("/") + 1 < self.levels
        if not (is_picture(name) or may_be_picture(name)):
            if self.fits(found.relative):
                yield self._passed(found)
        elif inside or self.fits(found.relative):
            hidden = f"{uri}/" if inside else None
            problem = found.entry.problem
            yield Failure(uri, printable(found.relative), problem, "Restore or remove it", hides=hidden)

    def _passed(self, found: Found) -> PassedOver:
        return passed_over(self.place.uri(found.entry.path), found.entry.name)

    def _is_picture(self, found: Found) -> bool:
        """By its suffix; where that is unknown, by its first bytes."""
        name = found.entry.name
        return is_picture(name) or (
            may_be_picture(name) and begins_as_picture(self.place.head(found.entry.path, HEAD))
        )

    def _walk(self) -> Iterator[Found | Failure]:
        try:
            yield from walk(self.place, self.root, lambda _name: True, self.levels)
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


def has_pictures(source: Iterable[Item]) -> bool:
    """Whether a source lists a picture, or something that may be one."""
    return any(not isinstance(item, PassedOver) for item in source)


def open_folder(place: Place, root: str, text: str) -> WalkSource:
    """The pictures of a folder and its sub-folders. Raises SourceError when it cannot be read or has none."""
    source = WalkSource("folder", place.uri(root), place, root)
    if not has_pictures(source):
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
    """The shell pattern as a regular expression over relative paths; "**" is any number of folders.

    What follows a wildcard is looked for from the left, and where it was found it stays (atomic groups), but for the last one:
    shell patterns need no second try, and many wildcards would otherwise be tried in every combination.
    """
    runs: list[str] = [""]  # between the "**", each of them
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            runs.append(r".*" if last else "")
        else:
            runs[-1] += _part_regex(part) + ("" if last else "/")
    first, *rest = runs
    if not rest:
        return re.compile(first, re.DOTALL)
    if rest[-1] == ".*":
        *rest, _ = rest
        tail = ".*"
    else:
        tail = rf"(?:[^/]+/)*{rest.pop()}"
    return re.compile(first + "".join(rf"(?>(?:[^/]+/)*?{run})" for run in rest) + tail, re.DOTALL)


def _part_regex(part: str) -> str:
    """One name of a shell pattern."""
    runs = [""]
    at = 0
    while at < len(part):
        end = part.find("]", at + 2 + (part[at + 1 : at + 2] in ("!", "^"))) if part[at] == "[" else -1
        if part[at] == "*":
            runs.append("")
        elif part[at] == "?":
            runs[-1] += "[^/]"
        elif end > 0:
            inside = part[at + 1 : end].replace("\\", r"\\")
            runs[-1] += f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
            at = end
        else:
            runs[-1] += re.escape(part[at])
        at += 1
    first, *rest = runs
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{run})" for run in middle if run) + f"[^/]*{last}"


def open_glob(place: Place, pattern: str, text: str) -> WalkSource:
    """The pictures whose path fits a pattern. Raises SourceError when none does."""
    root, rest = split_pattern(pattern)
    fits = pattern_regex(rest).fullmatch
    levels = None if "**" in rest.split("/") else rest.count("/") + 1
    source = WalkSource("glob", place.uri(pattern), place, root, lambda path: fits(path) is not None, levels)
    if place.look(root) is None:
        raise SourceError(f"no picture fits {text!r}", f"there is no folder {root!r}", "Check the path")
    if not has_pictures(source):
        raise SourceError(
            f"no picture fits {text!r}", "the pattern matches no picture file", "Check it with ls"
        )
    return source


def expand_files(place: Place, pattern: str) -> tuple[list[str], list[Failure]]:
    """The files of any kind that fit a pattern, few enough to list: shards and manifests; and the folders that
    could not be read.
    """
    root, rest = split_pattern(pattern)
    if place.look(root) is None:
        return [], []
    fits = pattern_regex(rest).fullmatch
    levels = None if "**" in rest.split("/") else rest.count("/") + 1
    found = list(walk(place, root, lambda _name: True, levels))
    files = [item.entry.path for item in found if isinstance(item, Found) and fits(item.relative)]
    return files, [replace(item, hides="") for item in found if isinstance(item, Failure)]
