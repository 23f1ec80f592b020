"""What a JPEG file says before its pixels: frame, tables, first scan (ITU T.81, annex B)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SOI, EOI, SOS, DQT, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
_APP0, _APP14 = 0xE0, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {DHT, 0xC8, 0xCC}

Codes = tuple[bytes, bytes]
"""A Huffman table as the file has it: how many codes of 1..16 bits, and their symbols."""


@dataclass(frozen=True)
class Component:
    """One colour: its blocks across and down an MCU, the quantiser of its mean, its Huffman codes."""

    across: int
    down: int
    quantiser: int
    dc: Codes
    ac: Codes | None


@dataclass(frozen=True)
class FirstScan:
    """A scan that has the mean of every block of every colour; its bytes begin at `start`.

    `restart` is in MCUs, 0 for none; `shift` tells how many low bits of the means a later scan brings.
    """

    width: int
    height: int
    progressive: bool
    components: tuple[Component, ...]
    restart: int
    shift: int
    start: int

    @property
    def grid(self) -> tuple[int, int]:
        """MCUs across and down."""
        across, down = max(c.across for c in self.components), max(c.down for c in self.components)
        return -(-self.width // (8 * across)), -(-self.height // (8 * down))


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, begin, end) of each marker segment's content, up to the first scan's header. Raises ValueError where there
    is no marker.
    """
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if len(data) < at + 4 or data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = data[at + 1]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2 or at + 2 + length > len(data):
            raise ValueError("a segment reaches past the file")
        yield marker, at + 4, at + 2 + length
        if marker == SOS:
            return
        at += 2 + length


def first_scan(data: bytes) -> FirstScan | None:
    """The first scan, where it holds all colours of an 8-bit grey or YCbCr picture; else, or when damaged, None."""
    try:
        return _first_scan(data)
    except (ValueError, KeyError, IndexError, struct.error):
        return None


def _first_scan(data: bytes) -> FirstScan | None:
    quantisers: dict[int, int] = {}
    codes: dict[int, Codes] = {}  # class and number of the table as in the file: 0..3 DC, 16..19 AC
    frame: bytes | None = None
    kind, restart, jfif, adobe, start = 0, 0, False, -1, 0
    content = b""
    for marker, begin, end in segments(data):
        content, start = data[begin:end], end
        if marker == DQT:
            quantisers |= _quantisers(content)
        elif marker == DHT:
            codes |= _codes(content)
        elif marker == DRI:
            (restart,) = struct.unpack(">H", content)
        elif marker == _APP0 and content[:4] == b"JFIF":
            jfif = True
        elif marker == _APP14 and content[:5] == b"Adobe":
            adobe = content[11]
        elif marker in _FRAMES:
            frame, kind = content, marker
    if frame is None or kind not in (BASELINE, EXTENDED, PROGRESSIVE):
        return None
    depth, height, width, count = struct.unpack_from(">BHHB", frame)
    names = [frame[6 + 3 * i] for i in range(count)]
    # The same reasons for YCbCr as libjpeg's: what JFIF prescribes, what Adobe's marker says, or the usual names.
    colours = jfif or adobe == 1 or (adobe < 0 and names == [1, 2, 3])
    known = depth == 8 and height and width and (count == 1 or (count == 3 and colours))
    if not known or content[0] != count or [content[1 + 2 * i] for i in range(count)] != names:
        return None
    spectral, approximation = content[1 + 2 * count], content[3 + 2 * count]
    progressive = kind == PROGRESSIVE
    if spectral != 0 or (progressive and (content[2 + 2 * count] != 0 or approximation >> 4)):
        return None
    parts = []
    for i in range(count):
        sampling, table, chosen = frame[7 + 3 * i], frame[8 + 3 * i], content[2 + 2 * i]
        across, down = (1, 1) if count == 1 else (sampling >> 4, sampling & 15)
        ac = None if progressive else codes[16 + (chosen & 15)]
        parts.append(Component(across, down, quantisers[table], codes[chosen >> 4], ac))
    if any(c.across not in (1, 2, 4) or c.down not in (1, 2, 4) for c in parts):
        return None
    return FirstScan(
        width, height, progressive, tuple(parts), restart, approximation & 15 if progressive else 0, start
    )


def _quantisers(content: bytes) -> Mapping[int, int]:
    """Number of each table -> its divisor of the mean."""
    found, at = {}, 0
    while at < len(content):
        wide, number = content[at] >> 4, content[at] & 15
        found[number] = struct.unpack_from(">H" if wide else ">B", content, at + 1)[0]
        at += 1 + 64 * (2 if wide else 1)
    return found


def _codes(content: bytes) -> Mapping[int, Codes]:
    found, at = {}, 0
    while at < len(content):
        counts = content[at + 1 : at + 17]
        total = sum(counts)
        symbols = content[at + 17 : at + 17 + total]
        if len(counts) != 16 or len(symbols) != total:
            raise ValueError("a Huffman table is cut off")
        found[content[at]] = (counts, symbols)
        at += 17 + total
    return found


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
    """A progressive JPEG cut after the scan that has the means of all blocks: complete in itself at 1/8 scale.

    None where the file is not progressive, or begins with anything else.
    """
    scan = first_scan(data)
    if scan is None or not scan.progressive:
        return None
    end = _NEXT_MARKER.search(data, scan.start)
    return None if end is None else data[: end.start()] + bytes((0xFF, EOI))


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
