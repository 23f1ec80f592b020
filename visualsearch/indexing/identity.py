"""Which pin a record is about, and when it is none: two pictures never share a pin.

A picture without a name of its own is known by its place. A picture that the user named is known by that id. The same id from
another place is a collision, unless the picture was moved: then its old place is gone and its content is the same.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from visualsearch.sources import gone
from visualsearch.store import Pin, Writer
from visualsearch.types import Failure, Record

_PATTERN = re.compile(r"[*?[{]")


class PinSet:
    """Pin numbers, at one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, pin: int) -> None:
        """Take a number in."""
        if pin >> 3 >= len(self._bits):
            self._bits.extend(bytes(max((pin >> 3) + 1 - len(self._bits), len(self._bits), 1024)))
        self._bits[pin >> 3] |= 1 << (pin & 7)

    def __contains__(self, pin: int) -> bool:
        return pin >> 3 < len(self._bits) and bool(self._bits[pin >> 3] >> (pin & 7) & 1)


class Identity:
    """Looks pins up for the records of one source.

    `claimed` are the pins that a record with an id gave in this run, or in the runs of the same command before it.
    `replace`: a record takes the pin of its id, also one that another source gave before.
    """

    def __init__(self, writer: Writer, claimed: PinSet, replace: bool = False) -> None:
        self.writer, self.claimed, self.replace = writer, claimed, replace
        self.source, self.uri = 0, ""
        self._orphans: dict[int, bool] = {}

    def begin(self, source: int, uri: str) -> None:
        """The records that follow are of this source."""
        self.source, self.uri = source, uri

    def pin_of(self, record: Record) -> Pin | None:
        """The pin a record is about: by its id where the user named it, else by its place.

        A named record takes over the pin that its place got before it had a name.
        """
        if not record.named:
            return self.writer.by_uri(record.uri)
        pin = self.writer.by_id(record.id)
        if pin is None:
            unnamed = self.writer.by_uri(record.uri)
            pin = unnamed if unnamed is not None and not unnamed.named else None
        return pin

    def is_orphan(self, pin: Pin) -> bool:
        """Whether the source that gave a pin was another one, and no longer exists: this source takes it over."""
        if pin.source is None or pin.source == self.source:
            return False
        if pin.source not in self._orphans:
            uri = self.writer.source_uri(pin.source)
            self._orphans[pin.source] = gone(uri) and not _PATTERN.search(uri)  # a pattern is no file
        return self._orphans[pin.source]

    def collision(self, record: Record, pin: Pin, digest: bytes | None = None) -> Failure | None:
        """Why a named record may not have the pin of its id; None where it may.

        Without a `digest` the content is not known yet: what may be a move is let through.
        """
        if not record.named:
            return None
        if pin.uri == record.uri:
            return self._described_twice(record, pin, digest)
        if pin.pin not in self.claimed:
            if self.replace or (pin.named and pin.source == self.source):
                return None  # the id is given another picture
            if gone(pin.uri) or self.is_orphan(pin):
                same = digest is None or digest == pin.hash
                return None if same else self._failure(record, pin, "and its content is another")
        return self._failure(record, pin)

    def _described_twice(self, record: Record, pin: Pin, digest: bytes | None) -> Failure | None:
        if pin.pin not in self.claimed:
            return None
        if dict(record.attributes) != pin.attributes:
            return self._failure(record, pin, "with other attributes")
        if record.vector is not None and digest is not None and digest != pin.hash:
            return self._failure(record, pin, "with another vector")
        return None

    def is_again(self, record: Record, pin: Pin) -> bool:
        """Whether an earlier record of the run gave the same picture the same id: nothing is left to do."""
        return record.named and record.vector is None and pin.pin in self.claimed and pin.uri == record.uri

    def claim(self, record: Record, pin: int) -> None:
        """Say that a record gave a pin."""
        if record.named:
            self.claimed.add(pin)

    def moved_here(self, record: Record, pin: Pin | None, digest: bytes | None) -> Pin | None:
        """The unnamed pin of the same content whose file is gone: the file was moved here."""
        if pin is not None or record.named or record.vector is not None or digest is None:
            return None
        twins = [twin for twin in self.writer.by_hash(digest) if not twin.named and gone(twin.uri)]
        own = _base(record.uri)
        return min(twins, key=lambda twin: _base(twin.uri) != own, default=None)

    def free_id(self, record: Record, pin: Pin | None) -> str:
        """The record's id, or one like it that no other pin has."""
        tail = hashlib.sha256(record.uri.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        parent = _parent(record.uri)
        for name in (record.id, f"{parent}/{record.id}" if parent else record.id, f"{record.id}~{tail}"):
            other = self.writer.by_id(name)
            if other is None or (pin is not None and other.pin == pin.pin):
                return name
        return f"{record.id}~{tail}{record.stamp or ''}"

    def _failure(self, record: Record, pin: Pin, how: str = "") -> Failure:
        owner = self.writer.source_uri(pin.source) if pin.source is not None else ""
        place = pin.uri if not owner or owner == pin.uri else f"{pin.uri}, from {owner}"
        why = f"its id {record.id!r} in {self.uri} is that of {place}"
        remedy = "Give each picture an id of its own; where this source replaces the other, index it with --replace"
        return Failure(record.uri, record.id, f"{why}, {how}" if how else why, remedy)


def _base(uri: str) -> str:
    return uri.rpartition("::")[2].rpartition("/")[2]


def _parent(uri: str) -> str:
    """What tells two pictures of one name apart: the shard, or the folder."""
    shard, separator, _ = uri.rpartition("::")
    return Path(shard).name.partition(".")[0] if separator else Path(uri).parent.name
