"""Where files are: the local disk, or anything fsspec reaches. Two places, one set of methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast
from urllib.parse import quote

from visualsearch.errors import MissingExtraError, PictureError, SourceError
from visualsearch.fetch import MAX_FILE_BYTES, fetch, local_path, read_file, shown

from ._addresses import BAD_TEXT, SURROGATE, check_url, no_address, printable, scheme_of, short

WEB = ("http", "https")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Protocol -> the extra that brings it."""

STORES = frozenset({"file", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "hf", "memory"})
"""Protocols that an address may have wherever it stands: in a manifest, a list of addresses, or an index."""
TYPED = STORES | {"ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs"}
"""Protocols that a user may name as a source. What a stranger wrote must not log in to hosts of his choice."""
# fsspec knows many more, and chains of them. Some read files within files, or code: `reference://` runs templates.


class Entry(NamedTuple):
    """One file or folder of a listing. `stamp` changes with the content; None when the listing does not
    tell. `problem` says why it cannot be looked at; then it may be a folder or a file.
    """

    name: str
    path: str
    folder: bool
    stamp: str | None
    problem: str = ""


class Place(Protocol):
    """A file system. Paths are its own; `uri` gives the name by which others know them."""

    def uri(self, path: str) -> str:
        """The name of `path` that is kept with the picture."""
        ...

    def look(self, path: str) -> Entry | None:
        """What is at `path`, or None."""
        ...

    def scan(self, folder: str, wanted: Callable[[str], bool]) -> list[Entry]:
        """The sub-folders of `folder`, and its files whose name is `wanted`, sorted by name, hidden ones
        left out.
        """
        ...

    def stamp(self, entry: Entry) -> str | None:
        """The stamp of a listed file; raises OSError when it is gone."""
        ...

    def head(self, path: str, size: int) -> bytes:
        """The first bytes of a file, where they cost little; else b""."""
        ...

    def identity(self, folder: str) -> Hashable:
        """What tells two folders apart even when links lead to them; None where there are no links."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """The file, for reading."""
        ...

    def read(self, path: str) -> bytes:
        """The file's bytes; raises PictureError."""
        ...

    def resolve(self, folder: str, reference: str) -> str:
        """`reference`, absolute or relative to `folder`, as a path."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """The local disk. Paths are absolute, links in them are kept."""

    def uri(self, path: str) -> str:
        """The absolute path; file://... with percent signs when the name is not UTF-8."""
        return f"file://{quote(os.fsencode(path))}" if SURROGATE.search(path) else path

    def look(self, path: str) -> Entry | None:
        """What is at `path`, links followed, or None."""
        try:
            info = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Entry(Path(path).name, path, Path(path).is_dir(), _stat_stamp(info))

    def scan(self, folder: str, wanted: Callable[[str], bool]) -> list[Entry]:
        """One folder; sockets, pipes and devices are left out. Stamps are read later, one by one."""
        with os.scandir(folder) as listing:
            found = [_listed_file(entry, wanted) for entry in listing if not entry.name.startswith(".")]
        return sorted(entry for entry in found if entry is not None)

    def stamp(self, entry: Entry) -> str | None:
        """Size and mtime."""
        return _stat_stamp(Path(entry.path).stat())

    def head(self, path: str, size: int) -> bytes:
        """The first bytes; b"" when they cannot be read."""
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (the path may not be UTF-8)
                return file.read(size)
        except OSError:
            return b""

    def identity(self, folder: str) -> Hashable:
        """Device and inode."""
        info = Path(folder).stat()
        return info.st_dev, info.st_ino

    def open(self, path: str) -> IO[bytes]:
        """The file, for reading."""
        return Path(path).open("rb")

    def read(self, path: str) -> bytes:
        """The file's bytes."""
        return read_file(path, name=self.uri(path))

    def resolve(self, folder: str, reference: str) -> str:
        """`reference` as an absolute path."""
        return os.path.abspath(os.path.join(folder, reference))  # noqa: PTH100, PTH118 (links stay)


LOCAL = LocalPlace()


def _listed_file(entry: os.DirEntry[str], wanted: Callable[[str], bool]) -> Entry | None:
    """One entry of a folder; None for what is not wanted. A link that cannot be followed has a `problem`."""
    try:
        if entry.is_dir():
            return Entry(entry.name, entry.path, True, None)
        if not wanted(entry.name):
            return None
        if entry.is_file():
            return Entry(entry.name, entry.path, False, None)
        if not entry.is_symlink():
            return None
        Path(entry.path).stat()
    except FileNotFoundError:
        return Entry(entry.name, entry.path, False, None, "the link leads nowhere, or the file has just gone")
    except OSError as error:
        return Entry(entry.name, entry.path, False, None, f"it cannot be looked at: {short(error)}")
    return None  # a link to a pipe or a device


def _stat_stamp(info: os.stat_result) -> str:
    return f"{info.st_size}-{info.st_mtime_ns}"


@dataclass(frozen=True)
class RemotePlace:
    """A file system of fsspec. `prefix` is what stands before its paths in a uri, such as "s3://"."""

    prefix: str
    system: Any = field(compare=False)

    def uri(self, path: str) -> str:
        """The path behind its protocol."""
        return self.prefix + path.lstrip("/")

    def look(self, path: str) -> Entry | None:
        """What is at `path`, or None."""
        try:
            return self._entry(self.system.info(path))
        except FileNotFoundError:
            return None

    def scan(self, folder: str, wanted: Callable[[str], bool]) -> list[Entry]:
        """One folder, as the service lists it."""
        entries = (self._entry(info) for info in self.system.ls(folder, detail=True))
        return sorted(
            entry
            for entry in entries
            if entry.name
            and not entry.name.startswith(".")
            and entry.path.rstrip("/") != folder.rstrip("/")  # some services list the folder itself
            and (entry.folder or wanted(entry.name))
        )

    def stamp(self, entry: Entry) -> str | None:
        """What the listing told."""
        return entry.stamp

    def head(self, path: str, size: int) -> bytes:
        """Nothing: each file would cost a request."""
        return b""

    def identity(self, folder: str) -> Hashable:
        """Object stores have no links."""
        return None

    def open(self, path: str) -> IO[bytes]:
        """The file, for reading."""
        return cast("IO[bytes]", self.system.open(path, "rb"))

    def read(self, path: str) -> bytes:
        """The object's bytes."""
        name = self.uri(path)
        try:
            size = self.system.size(path)
            if size is not None and size > MAX_FILE_BYTES:
                raise PictureError(
                    name, f"it has {size:,} bytes, more than any picture here needs", "Leave it out"
                )
            return bytes(self.system.cat_file(path))
        except PictureError:
            raise
        except FileNotFoundError as error:
            raise PictureError(name, "there is no such object", "Check the address") from error
        except Exception as error:  # each service has errors of its own
            raise PictureError(
                name, f"it cannot be read ({short(error)})", "Check the address and the permissions"
            ) from error

    def resolve(self, folder: str, reference: str) -> str:
        """`reference` as a path of this file system."""
        return os.path.normpath(f"{folder}/{reference}")

    def _entry(self, info: dict[str, Any]) -> Entry:
        path = str(info["name"])
        return Entry(path.rstrip("/").rpartition("/")[2], path, info["type"] == "directory", _listed(info))


_VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "modified",
    "created",
)


def _listed(info: dict[str, Any]) -> str | None:
    version = next((info[key] for key in _VERSIONS if info.get(key)), None)
    return None if version is None else f"{info.get('size')}-{version}".replace('"', "")


def locate(text: str, known: Collection[str] = STORES) -> tuple[Place, str]:
    """The place that `text` (path, file:// or fsspec uri) names, and the path there.

    `known` are the protocols that it may have: TYPED for what a user typed. Raises SourceError,
    MissingExtraError.
    """
    scheme = scheme_of(text)
    if scheme:
        _check_protocol(text, scheme, known)
    if scheme == "file":
        try:
            return LOCAL, os.path.abspath(local_path(text))  # noqa: PTH100 (links stay)
        except ValueError as error:
            raise no_address(text, short(error)) from error
    if not scheme:
        return LOCAL, os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 (links stay)
    import fsspec

    try:
        # listings are used once; keeping them would grow with the number of files
        system, path = fsspec.core.url_to_fs(text, use_listings_cache=False)
    except ImportError as error:
        if scheme in EXTRAS:
            raise MissingExtraError(f"{scheme}:// addresses cannot be read", EXTRAS[scheme]) from error
        raise SourceError(
            f"cannot read {text!r}", f"{scheme}:// needs a package that is not installed", short(error)
        ) from error
    except Exception as error:  # each service has errors of its own: no credentials, no network ...
        raise SourceError(
            f"cannot read {text!r}", short(error), "Check the address and the credentials"
        ) from error
    path, plain = str(path).rstrip("/"), text.rstrip("/")
    tail = path.lstrip("/")
    return RemotePlace(
        plain[: len(plain) - len(tail)] if plain.endswith(tail) else f"{scheme}://", system
    ), path


def _check_protocol(text: str, scheme: str, known: Collection[str]) -> None:
    what = f"cannot read {printable(shown(text))!r}"
    if scheme not in TYPED:
        raise SourceError(
            what,
            f"the protocol {scheme!r} is not known",
            f"Known: a path, http(s):// for one picture, {', '.join(f'{one}://' for one in sorted(TYPED))}",
        )
    if scheme not in known:
        raise SourceError(
            what,
            f"{scheme}:// is read only where you name it as the source itself",
            "Download the picture first, or keep it beside its manifest",
        )
    if "::" in text and scheme != "file":
        raise SourceError(
            what, "it is a chain of addresses (::)", "Give the address of the picture or the folder itself"
        )


def reader(
    place: Place, folder: str, reference: str, known: Collection[str] = STORES
) -> tuple[str, Callable[[], bytes], str | None]:
    """(uri, read, stamp) of the picture that a manifest in `folder` of `place` calls `reference`.

    `known` as for `locate`. Raises SourceError, MissingExtraError when it cannot be the address of a picture.
    """
    if BAD_TEXT.search(reference):
        raise SourceError(
            f"cannot read {printable(reference)!r}", "it has characters that no address has", "Correct it"
        )
    scheme = scheme_of(reference)
    if scheme in WEB:
        check_url(reference)
        return reference, partial(fetch, reference), None
    if scheme:
        place, path = locate(reference, known)
    else:
        path = place.resolve(folder, reference)
    stamp = None
    if isinstance(place, LocalPlace):
        with suppress(OSError):  # reading it will say what is wrong
            stamp = _stat_stamp(Path(path).stat())
    return place.uri(path), partial(place.read, path), stamp
