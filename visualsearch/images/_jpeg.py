"""What the headers of a JPEG file say, before its pixels are decoded (ITU T.81, annex B)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

EOI, SOS, DHT = 0xD9, 0xDA, 0xC4
PROGRESSIVE = 0xC2
_FRAMES = {*range(0xC0, 0xD0)} - {DHT, 0xC8, 0xCC}
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_BARE = {0x00, 0x01, *range(0xD0, 0xD9)}  # markers without content
_ARITHMETIC_PROGRESSIVE = 0xCA
_FEW_SCANS = 16


@dataclass(frozen=True)
class Claims:
    """What the header says that costs a decoder time: see `claims`."""

    width: int = 0
    height: int = 0
    segments: int = 0
    junk: int = 0
    scans: int = 1


def claims(data: bytes, most_segments: int, most_junk: int, most_scans: int) -> Claims:
    """Frame size, segments and meaningless bytes before the first scan, and how many scans a decoder would read.

    It reads as leniently as libjpeg, which skips what is between segments, and stops where a number passes its `most`. One scan
    where all colours come in the first: libjpeg then reads no other.
    """
    at, junk, segments, frame, kind = 2, 0, 0, b"", 0
    while junk <= most_junk and segments <= most_segments:
        found = data.find(b"\xff", at)
        if found < 0 or found + 4 > len(data):
            break
        junk += found - at
        marker, at = data[found + 1], found + 2
        if marker == 0xFF or marker in _BARE:
            at -= marker == 0xFF
            junk += 1
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES:
            frame, kind = data[at + 2 : end], marker
        segments += 1
        if marker == SOS:
            several = kind in (PROGRESSIVE, _ARITHMETIC_PROGRESSIVE) or data[at + 2 : at + 3] != frame[5:6]
            return _claims(frame, segments, junk, _scans(data, end, most_scans) if several else 1)
        at = max(end, at)
    return _claims(frame, segments, junk, 1)


def _claims(frame: bytes, segments: int, junk: int, number: int) -> Claims:
    height, width = struct.unpack_from(">HH", frame, 1) if len(frame) >= 5 else (0, 0)
    return Claims(width, height, segments, junk, number)


def _scans(data: bytes, at: int, most: int) -> int:
    """How many scans there are, the first of which has its coded bytes at `at`; `most` + 1 where there are more."""
    seen = data.count(b"\xff\xda", at)  # at least as many as there are: metadata may hold these bytes, too
    if seen < _FEW_SCANS:
        return 1 + seen
    number = 1
    while number <= most and (found := _SEGMENT.search(data, at)) is not None:
        marker = data[found.start() + 1]
        if marker == EOI:
            break
        number += marker == SOS
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return number


def without_details(data: bytes) -> bytes | None:
    """A progressive JPEG cut after its first scan, where that has the mean of every block of every colour.

    It is complete in itself at 1/8 scale. None for any other file.
    """
    colours, at = None, 2
    while (found := _SEGMENT.search(data, at)) is not None:
        marker, begin = data[found.start() + 1], found.end() + 2
        at = found.end() + int.from_bytes(data[found.end() : begin], "big")
        if marker in _FRAMES:
            if marker != PROGRESSIVE:
                return None
            colours = data[begin + 5 : begin + 6]
        elif marker == EOI or at > len(data):
            return None
        elif marker == SOS:
            scan = data[begin:at]
            means = scan[:1] == colours and scan[-3:-1] == b"\0\0" and scan[-1] < 16
            end = _NEXT_MARKER.search(data, at) if means else None
            return None if end is None else data[: end.start()] + bytes((0xFF, EOI))
    return None


_ALL_BANDS = range(64)


def covered(data: bytes) -> bool | None:
    """Whether the scans of a JPEG, by their headers, bring every coefficient of every colour to its last bit.

    None where one scan holds all there is.
    """
    frame, kind, number, at = b"", 0, 0, 2
    low: dict[tuple[int, int], int] = {}  # colour and band -> the lowest bit that was brought
    while (found := _SEGMENT.search(data, at)) is not None and data[found.start() + 1] != EOI:
        marker, begin = data[found.start() + 1], found.end() + 2
        at = found.end() + int.from_bytes(data[found.end() : begin], "big")
        if marker in _FRAMES:
            frame, kind = data[begin:at], marker
        elif marker == SOS and begin + 4 < at <= len(data):
            number += 1
            content, progressive = data[begin:at], kind in (PROGRESSIVE, _ARITHMETIC_PROGRESSIVE)
            bands = range(content[-3], content[-2] + 1) if progressive else _ALL_BANDS
            shift = content[-1] & 15 if progressive else 0
            low |= {(name, band): shift for name in content[1:-3:2] for band in bands}
    names = frame[6::3]
    if number == 1 and kind not in (PROGRESSIVE, _ARITHMETIC_PROGRESSIVE):
        return None
    return bool(names) and all(low.get((name, band)) == 0 for name in names for band in _ALL_BANDS)
