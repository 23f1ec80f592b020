"""Webdataset shards: tar files in which the members of one sample share a key
(github.com/webdataset/webdataset).

"0001.jpg", "0001.json", "0001.txt" make the sample "0001": the picture, its attributes, its caption. Plain
tars of pictures work too. Where shards begin their keys anew, an id is the shard's name and the key:
"00001/0001".
"""

from __future__ import annotations

import itertools
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

from visualsearch.errors import PictureError, SourceError
from visualsearch.types import Failure, PassedOver, Record

from ._addresses import printable, short
from ._base import Item, SeenIds
from ._cells import json_value
from ._places import LocalPlace, Place
from ._walk import HEAD, begins_as_picture, is_picture, may_be_picture, passed_over

SUFFIXES = (".tar", ".tar.gz", ".tgz")

MAX_MEMBER_BYTES = 1 << 28
"""Largest picture held in memory while a compressed or remote shard streams by."""

MAX_SIDECAR_BYTES = 1 << 24
"""Largest .json or .txt of a sample."""

FIRST_SHARDS = 8
"""Shards whose first keys are compared when a pattern is opened."""

SAMPLE_MEMBERS = 256
"""Members looked at to estimate how many pictures a shard holds."""

_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
_SIDECARS = (".json", ".txt")
_BLOCK = 512


class Member(NamedTuple):
    """One file of a shard. `read` gives its bytes; `offset` is where they begin in the (uncompressed) tar.
    `picture`: its suffix is that of a picture, or its suffix is unknown and it begins as a picture does.
    """

    name: str
    offset: int
    size: int
    read: Callable[[], bytes]
    picture: bool

    @property
    def key(self) -> str:
        """The name up to the first dot after the last slash."""
        folder, slash, base = self.name.rpartition("/")
        return folder + slash + base.partition(".")[0]

    @property
    def extension(self) -> str:
        """What follows the key, in lower case, with its dot."""
        return self.name[len(self.key) :].lower()


def is_tar(path: str) -> bool:
    """Whether a path's suffix is that of a tar file."""
    return path.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class TarSource:
    """The samples of one or more shards, in order. `qualified`: ids begin with the shard's name."""

    kind: str
    uri: str
    place: Place = field(repr=False)
    shards: tuple[str, ...]
    qualified: bool = False

    def count(self) -> int | None:
        """An estimate from the first members of the first shard and the sizes of all; None for compressed
        and remote ones.
        """
        if not isinstance(self.place, LocalPlace) or not all(
            path.lower().endswith(".tar") for path in self.shards
        ):
            return None
        try:
            members = list(itertools.islice(_members(self.place, self.shards[0]), SAMPLE_MEMBERS))
            total = sum(Path(path).stat().st_size for path in self.shards)
        except _BROKEN:
            return None
        pictures = sum(member.picture for member in members)
        if not pictures:
            return None
        last = members[-1]
        covered = last.offset + -(-last.size // _BLOCK) * _BLOCK
        if len(members) < SAMPLE_MEMBERS:  # the whole first shard was seen, and its padding counts as well
            covered = Path(self.shards[0]).stat().st_size
        return max(round(pictures * total / covered), 1)

    def __iter__(self) -> Iterator[Item]:
        names = _shard_names(self.shards) if self.qualified else {}
        for shard in self.shards:
            yield from self._shard(shard, names.get(shard, ""))

    def _shard(self, shard: str, prefix: str = "") -> Iterator[Item]:
        uri = self.place.uri(shard)
        last = ""
        seen = SeenIds()
        try:
            found = self.place.look(shard)
            if found is None:
                yield Failure(uri, uri, "there is no such shard", "Check the path", hides=f"{uri}::")
                return
            for members in _groups(_members(self.place, shard)):
                last = members[-1].name
                for item in _sample(members, uri, found.stamp, prefix):
                    again = isinstance(item, Record) and seen.first(item.uri, 0) is not None
                    yield PassedOver(item.uri, "a second file of that name in its shard") if again else item
        except Exception as error:  # a damaged shard, or what a remote service raises
            after = f" after {printable(last)!r}" if last else ""
            why = f"the shard is damaged or cut{after} ({short(error)}); what follows is lost"
            yield Failure(uri, uri, why, "Copy or write the shard again", hides=f"{uri}::")


def _groups(members: Iterator[Member]) -> Iterator[list[Member]]:
    """Neighbours of one key together; the last group comes before the error that ends a damaged shard."""
    group: list[Member] = []
    try:
        for member in members:
            if group and member.key != group[0].key:
                yield group
                group = []
            group.append(member)
    except Exception:
        if group:  # itertools.groupby would lose it
            yield group
        raise
    if group:
        yield group


def _members(place: Place, shard: str) -> Iterator[Member]:
    """The regular files of a shard, hidden ones left out."""
    seekable = isinstance(place, LocalPlace) and shard.lower().endswith(".tar")
    header = _header()
    mode: Any = "r:" if seekable else "r|*"
    with place.open(shard) as file, tarfile.open(fileobj=file, mode=mode, tarinfo=header) as tar:
        while (info := tar.next()) is not None:
            cast("Any", tar).members.clear()  # it would otherwise keep every header
            base = info.name.rpartition("/")[2]
            if not base or base.startswith("."):
                continue
            if not info.isreg():
                if is_picture(base) and not info.isdir():
                    yield Member(info.name, info.offset, 0, bytes, False)
                continue
            sidecar = base.lower().endswith(_SIDECARS)
            picture = is_picture(base)
            opened: IO[bytes] | None = None
            head = b""
            if not picture and not sidecar and may_be_picture(base):
                opened = tar.extractfile(info)
                head = opened.read(HEAD) if opened is not None else b""
                picture = begins_as_picture(head)
            if sidecar or (picture and not seekable):
                read: Callable[[], bytes] = partial(_held, _content(tar, info, picture, opened, head), info)
            else:
                read = partial(_cut, shard, info.offset_data, info.size, info.name)
            yield Member(info.name, info.offset_data, info.size, read, picture)
        if header.end != "EOFHeaderError":  # the reader takes a damaged header, or none, for the end
            cut = header.end in ("EmptyHeaderError", "TruncatedHeaderError")
            raise tarfile.ReadError(
                "it lacks its end mark" if cut else f"damaged header at byte {tar.offset}"
            )


class _Header(tarfile.TarInfo):
    """Headers that remember what ended the reading of a shard: the end mark, or something that only looks like an end."""

    end = ""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            cls.end = type(error).__name__
            raise


def _header() -> type[_Header]:
    """A class for one reading."""
    return type("_ShardHeader", (_Header,), {})


def _content(
    tar: tarfile.TarFile, info: tarfile.TarInfo, picture: bool, opened: IO[bytes] | None, head: bytes
) -> bytes | None:
    """A member's bytes, of which `head` was read from `opened` already; None when it is too large to hold."""
    if info.size > (MAX_MEMBER_BYTES if picture else MAX_SIDECAR_BYTES):
        return None
    member = opened or tar.extractfile(info)
    data = head + member.read() if member is not None else b""
    if len(data) < info.size:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _held(data: bytes | None, info: tarfile.TarInfo) -> bytes:
    if data is None:
        raise PictureError(
            printable(info.name), f"it has {info.size:,} bytes, too many to hold", "Unpack the shard"
        )
    return data


def _cut(shard: str, offset: int, size: int, name: str) -> bytes:
    """`size` bytes of an uncompressed local shard from `offset`; any number of threads may do so at once."""
    where = f"{printable(shard)}::{printable(name)}"
    try:
        with open(shard, "rb", buffering=0) as file:  # noqa: PTH123 (the path may not be UTF-8)
            file.seek(offset)
            data = bytearray()
            while len(data) < size and (chunk := file.read(size - len(data))):
                data += chunk
    except OSError as error:
        raise PictureError(
            where, f"the shard cannot be read ({short(error)})", "Check that it is still there"
        ) from error
    if len(data) < size:
        raise PictureError(where, "the shard ends in the middle of it", "Copy or write the shard again")
    return bytes(data)


def _sample(members: list[Member], shard: str, stamp: str | None, prefix: str) -> Iterator[Item]:
    pictures = [member for member in members if member.picture]
    sidecars = {member.extension: member for member in members if member.extension in _SIDECARS}
    for member in members:
        if not member.picture and not (pictures and member.extension in _SIDECARS):
            yield passed_over(f"{shard}::{printable(member.name)}", member.name)
    key = printable(members[0].key)
    if not pictures:
        if ".json" in sidecars:
            found = ", ".join(sorted(member.extension for member in members))
            why = f"the sample has no picture, only {found}"
            yield Failure(f"{shard}::{key}", key, why, "Write the shard again")
        return
    try:
        attributes = _attributes(sidecars)
    except (ValueError, RecursionError, PictureError) as error:
        uri = f"{shard}::{printable(pictures[0].name)}"
        yield Failure(uri, key, f"its .json is not usable ({short(error)})", "Write the sample again")
        return
    named = _chosen(pictures, len(pictures) == len(members))
    for member in pictures:
        uri = f"{shard}::{printable(member.name)}"
        if member.name not in named:
            yield PassedOver(uri, "another picture of its sample")
            continue
        name = printable(named[member.name])
        yield Record(
            f"{prefix}/{name}" if prefix else name,
            uri,
            member.read,
            attributes,
            stamp=None if stamp is None else f"{stamp}+{member.offset}",
        )


def _chosen(pictures: list[Member], plain: bool) -> dict[str, str]:
    """Member -> id, for those of a sample's pictures that become pins.

    "a.jpg" is the picture of "a", whatever masks such as "a.seg.png" come along. Where there is no such member,
    the names of a plain tar hold dots, and each picture stands for itself. So does each of "a.jpg" and "a.png"
    where nothing but pictures shares the key (`plain`); beside sidecars the first is the sample's.
    """
    exact = [member for member in pictures if member.extension.count(".") <= 1]
    if not exact:
        return {member.name: member.name[: member.name.rfind(".")] for member in pictures}
    different = list(dict.fromkeys(member.name for member in exact))
    if not plain or len(different) == 1:
        return {different[0]: exact[0].key}
    return {name: name if number else exact[0].key for number, name in enumerate(different)}


def _attributes(sidecars: dict[str, Member]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if ".json" in sidecars:
        values = json_value(json.loads(sidecars[".json"].read(), parse_constant=lambda _name: None))
        attributes = values if isinstance(values, dict) else {"json": values}
    if ".txt" in sidecars:
        attributes.setdefault("caption", sidecars[".txt"].read().decode("utf-8", "replace").strip())
    return attributes


def open_tars(place: Place, shards: list[str], uri: str, text: str) -> TarSource:
    """The pictures of tar shards. Raises SourceError when there is not one picture in any of them."""
    source = TarSource("tar", uri, place, tuple(shards), _restarts(place, shards))
    failure: Failure | None = None
    for item in source:
        if isinstance(item, Record):
            return source
        if isinstance(item, Failure):
            failure = failure or item
    if failure is not None:
        raise SourceError(f"cannot use {text!r}", f"{failure.uri}: {failure.reason}", failure.remedy)
    raise SourceError(f"no pictures in {text!r}", "the tar holds no picture files", "Check what wrote it")


def _restarts(place: Place, shards: list[str]) -> bool:
    """Whether shards begin their keys anew: two of the first few, in the order of their names, begin with one
    key. The answer does not depend on the order in which they are given.
    """
    keys = [_first_key(place, shard) for shard in sorted(shards)[:FIRST_SHARDS]]
    known = [key for key in keys if key is not None]
    return len(set(known)) < len(known)


def _first_key(place: Place, shard: str) -> str | None:
    try:
        return next((member.key for member in _members(place, shard) if member.picture), None)
    except Exception:  # a damaged shard, or what a remote service raises: reading it tells
        return None


def _shard_names(shards: tuple[str, ...]) -> dict[str, str]:
    """Shard -> the name that stands before its keys: the file's without suffix, with as many of the folders
    above it as tell it from the others.
    """
    paths = {shard: _plain(shard).split("/") for shard in dict.fromkeys(shards)}
    depth = 1
    while depth < max(map(len, paths.values())):
        if len({tuple(parts[-depth:]) for parts in paths.values()}) == len(paths):
            break
        depth += 1
    return {shard: printable("/".join(parts[-depth:])) for shard, parts in paths.items()}


def _plain(shard: str) -> str:
    suffix = next(suffix for suffix in SUFFIXES if shard.lower().endswith(suffix))
    return shard[: -len(suffix)]


def read_member(place: Place, shard: str, name: str) -> bytes:
    """One member's bytes, found by reading the headers before it. Raises PictureError."""
    where = f"{place.uri(shard)}::{name}"
    try:
        for member in _members(place, shard):
            if printable(member.name) == name:
                return member.read()
    except _BROKEN as error:
        raise PictureError(where, f"the shard cannot be read ({short(error)})", "Check the path") from error
    raise PictureError(where, "the shard has no such member", "Index it again")
