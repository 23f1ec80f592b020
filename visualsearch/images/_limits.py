"""What a picture file may claim: looked at before a decoder sees it, in time linear in the file and small memory.

Decoders believe headers. A few bytes can name a canvas of gigabytes, a thousand scans, or a million empty chunks, each of which
a plugin turns into Python objects. Real encoders stay far below every bound here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from visualsearch.errors import PictureError

from ._jpeg import claims

MAX_SIDE = 65_535
"""Most pixels of a side: what JPEG and GIF can have. Decoders allocate per row and per column, too."""

MAX_SCANS = 100
"""Most scans of a progressive JPEG; libjpeg writes 10, mozjpeg up to about 20."""

SCANS_OF_LARGEST = 20
"""As many scans may a picture of the largest allowed size have; every scan visits every block."""

_MOST_PARTS = 10_000  # segments, chunks or blocks before the pixels
_BYTES_A_CHUNK = 1024  # a large PNG may have more chunks, if they hold this much on average
_MOST_JUNK = 1 << 16
_MOST_BLOCKS = 20_000
_MOST_VALUES = 1 << 20  # numbers in one TIFF tag; strips of a side of MAX_SIDE are far fewer


def check_size(size: tuple[int, int] | None, max_pixels: int, name: str) -> None:
    """Raise PictureError when `size`, (width, height), is empty, has a side over MAX_SIDE or over `max_pixels` pixels."""
    if size is None:
        return
    check_pixels(size, max_pixels, name)
    if max(size) > MAX_SIDE:
        raise PictureError(
            name,
            f"{size[0]}x{size[1]} pixels: a side is over the limit of {MAX_SIDE:,}",
            "Cut it into pieces or shrink it",
        )


def check_pixels(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Raise PictureError when `size`, (width, height), is empty or holds more than `max_pixels` pixels."""
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(
            name, f"its header says {width}x{height} pixels, which is no picture", "Export it again"
        )
    if width * height > max_pixels:
        raise PictureError(
            name,
            f"{width}x{height} is {width * height:,} pixels, over the limit of {max_pixels:,}",
            "Shrink it, or raise the limit (--max-pixels, in Python max_pixels) if you trust where it comes from",
        )


def check_claims(form: str, data: bytes, max_pixels: int, name: str) -> int:
    """Raise PictureError where a file of the format `form` is built to keep a decoder busy; the scans it has, or 1."""
    check = _CHECKS.get(form)
    return 1 if check is None else check(data, max_pixels, name) or 1


def _jpeg(data: bytes, max_pixels: int, name: str) -> int:
    said = claims(data, _MOST_PARTS, _MOST_JUNK, MAX_SCANS)
    if said.junk > _MOST_JUNK:
        raise _odd(name, f"the JPEG has over {_MOST_JUNK:,} bytes before its pixels that mean nothing")
    if said.segments > _MOST_PARTS:
        raise _odd(name, f"the JPEG has over {_MOST_PARTS:,} segments before its pixels")
    pixels = said.width * said.height
    most = min(MAX_SCANS, max(1, SCANS_OF_LARGEST * max_pixels // pixels)) if pixels else MAX_SCANS
    if said.scans > most:
        shown = f"over {MAX_SCANS}" if said.scans > MAX_SCANS else str(said.scans)
        raise _odd(
            name, f"the JPEG has {shown} scans, and {most} is the limit for {said.width}x{said.height} pixels"
        )
    return said.scans


def _png(data: bytes, max_pixels: int, name: str) -> None:
    at, chunks, most = 8, 0, _MOST_PARTS + len(data) // _BYTES_A_CHUNK
    while at + 8 <= len(data) and chunks <= most:
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        chunks += 1
    if chunks > most:
        raise _odd(name, f"the PNG has over {most:,} chunks")


def _gif(data: bytes, max_pixels: int, name: str) -> None:
    """The extensions before the first picture: a block has at most 255 bytes, so their number bounds their size."""
    at = 13 + (6 << (data[10] & 7) if len(data) > 10 and data[10] & 0x80 else 0)
    blocks = 0
    while at < len(data) and data[at] == 0x21 and blocks <= _MOST_BLOCKS:
        at += 2
        while at < len(data) and data[at] and blocks <= _MOST_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        at += 1
        blocks += 1
    if blocks > _MOST_BLOCKS:
        raise _odd(name, f"the GIF has over {_MOST_BLOCKS:,} blocks before its first picture")


def _tiff(data: bytes, max_pixels: int, name: str) -> None:
    if not tags_fit(data):
        raise _odd(name, "the tags of the TIFF claim more bytes than the file has")
    side = {tag: value for tag, kind, count, value in _tags(data) if count == 1 and kind in (3, 4, 16)}
    tile = side.get(322, 0) * side.get(323, 0)
    if tile > max_pixels:
        raise PictureError(
            name,
            f"a tile of the TIFF has {tile:,} pixels, over the limit of {max_pixels:,}",
            "Save it with smaller tiles",
        )


_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_NUMBERS = {3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18}


def tags_fit(data: bytes) -> bool:
    """Whether the tags of the first directory of TIFF or Exif bytes fit into them; overlapping ones are read many times."""
    total = 0
    for _tag, kind, count, _value in _tags(data):
        if kind in _NUMBERS and count > _MOST_VALUES:
            return False
        size = _SIZES.get(kind, 0) * count
        total += size if size > 4 else 0
    return total <= len(data)


def _tags(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, count, value as a number) of the first directory (TIFF 6.0, BigTIFF); nothing where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    head, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    width = struct.calcsize(order + entry)
    if at + struct.calcsize(order + head) > len(data):
        return
    (number,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    for i in range(min(number, _MOST_PARTS)):
        if at + (i + 1) * width > len(data):
            return
        tag, kind, count, raw = struct.unpack_from(order + entry, data, at + i * width)
        value = raw[: _SIZES.get(kind, 4)]
        yield tag, kind, count, int.from_bytes(value, "little" if order == "<" else "big")


_CHECKS: Mapping[str, Callable[[bytes, int, str], int | None]] = MappingProxyType(
    {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "TIFF": _tiff}
)


def _odd(name: str, why: str) -> PictureError:
    return PictureError(
        name, f"{why}: it would keep the decoder busy", "Save it anew from an image editor, or leave it out"
    )
