"""Append-only float16 segments: written aside, flushed, renamed, and memory-mapped by readers.

A *row* is a vector's lasting number; a *position* is its place in the concatenation of the segments a reader has open.
Rows grow with positions, and both are the same until a compaction drops dead rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from visualsearch import compiled
from visualsearch.errors import NotAnIndexError
from visualsearch.storage import reading_error, storage_error, stored_file
from visualsearch.types import Bool, Float16, Float32, Int64

FOLDER = "vectors"
BLOCK = 8192


@dataclass(frozen=True)
class Segment:
    """One file of vectors as the catalog names it.

    `pins`: (count,) int64, the pin of each row. `rows`: (count,) int64 ascending, or None when the rows are
    first .. first+count-1.
    """

    number: int
    file: str
    first: int
    count: int
    pins: Int64
    rows: Int64 | None = None


def write_segment(folder: Path, number: int, vectors: NDArray[np.floating]) -> str:
    """Write (n, d) vectors as float16 and return the file's name relative to the index folder.

    The file appears whole or not at all. Raises StorageError when the disk is full or the folder cannot be written.
    """
    name = f"{FOLDER}/{number:06d}.npy"
    return write_whole(folder, name, np.ascontiguousarray(vectors, dtype=np.float16))


def write_whole(folder: Path, name: str, array: NDArray[np.generic]) -> str:
    """Save an array so that `name` appears complete and flushed to the disk, or not at all."""
    final = folder / name
    aside = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        final.parent.mkdir(exist_ok=True)
        with aside.open("wb") as file:
            _write(file, array)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(final)
        flush_folder(final.parent)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise storage_error(final, error) from error
    return name


def _write(file: IO[bytes], array: NDArray[np.generic]) -> None:
    """As np.save writes it. That one tells of a full disk only how many bytes it wrote; a file's own `write` says why."""
    array = np.ascontiguousarray(array)
    npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
    file.write(array.reshape(-1).view(np.uint8).data)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut, where the system can."""
    with suppress(PermissionError):  # Windows cannot open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Vectors:
    """Read-only view over the vectors of a list of segments, addressed by position 0 .. len-1."""

    def __init__(
        self, folder: Path, segments: Sequence[Segment], dim: int, reuse: Vectors | None = None
    ) -> None:
        self.dim = dim
        self.segments = tuple(segments)
        known = reuse.maps if reuse else {}
        self.maps: dict[str, Float16] = {
            s.file: known[s.file] if s.file in known else _map(folder, s, dim) for s in segments
        }
        self.starts: Int64 = np.cumsum([0, *(s.count for s in segments)], dtype=np.int64)
        self.pins: Int64 = np.concatenate([s.pins for s in segments]) if segments else np.empty(0, np.int64)
        dense = all(
            s.rows is None and s.first == start for s, start in zip(segments, self.starts, strict=False)
        )
        self._rows: Int64 | None = None if dense else np.concatenate([_rows(s) for s in segments])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def bytes(self) -> int:
        """Bytes of the vectors on disk."""
        return len(self) * self.dim * 2

    def rows(self, positions: Int64) -> Int64:
        """Positions -> row numbers."""
        return positions if self._rows is None else self._rows[positions]

    def positions(self, rows: Int64) -> Int64:
        """Row numbers -> positions; rows that this view does not hold are left out."""
        rows = np.asarray(rows, dtype=np.int64)
        if self._rows is None:
            return rows[(rows >= 0) & (rows < len(self))]
        found = np.searchsorted(self._rows, rows)
        found[found == len(self)] = 0
        return found[self._rows[found] == rows] if len(self) else found[:0]

    def gather(self, positions: Int64) -> Float32:
        """(m,) positions in any order -> (m, d) float32."""
        if len(self.segments) == 1:
            return widened(self.maps[self.segments[0].file][positions])
        out = np.empty((len(positions), self.dim), np.float32)
        for chosen, rows, inside in self._parts(positions):
            out[chosen] = widened(rows[inside])
        return out

    def cosines(self, positions: Int64, query: Float32) -> Float32:
        """(m,) cosines of the rows at (m,) positions with a (d,) unit query. Each is computed by itself."""
        loops = compiled.loops()
        if loops is None:
            stored = self.gather(positions)
            lengths = np.sqrt(np.einsum("ij,ij->i", stored, stored))
            # In float32, which is right to 1e-6, for speed.
            return np.asarray(np.einsum("ij,j->i", stored, query) / np.maximum(lengths, np.float32(1e-12)))
        out: Float32 = np.empty(len(positions), np.float32)
        if len(self.segments) == 1:
            loops.cosines(_bits(self.maps[self.segments[0].file]), positions, query, out)
            return out
        for chosen, rows, inside in self._parts(positions):
            found = np.empty(len(inside), np.float32)
            loops.cosines(_bits(rows), inside, query, found)
            out[chosen] = found
        return out

    def _parts(self, positions: Int64) -> Iterator[tuple[Bool, Float16, Int64]]:
        """For each segment that holds some of the positions: which these are, its rows, and the positions within it."""
        owner = np.searchsorted(self.starts, positions, side="right") - 1
        for number in np.unique(owner):
            chosen = owner == number
            yield chosen, self.maps[self.segments[number].file], positions[chosen] - self.starts[number]

    def blocks(
        self, start: int = 0, stop: int | None = None, size: int = BLOCK
    ) -> Iterator[tuple[int, Float32]]:
        """Yield (first position, (<= size, d) float32) over positions start .. stop-1, never across segments."""
        stop = len(self) if stop is None else stop
        for number, segment in enumerate(self.segments):
            base = int(self.starts[number])
            low, high = max(start, base), min(stop, base + segment.count)
            data = self.maps[segment.file]
            for at in range(low, high, size):
                yield at, widened(data[at - base : min(at + size, high) - base])

    def stored(self) -> Iterator[tuple[int, Float16]]:
        """(first position, (count, d) float16 rows as they are mapped) of every segment, in order."""
        for number, segment in enumerate(self.segments):
            yield int(self.starts[number]), self.maps[segment.file]


def widened(rows: Float16, out: Float32 | None = None) -> Float32:
    """Finite float16 values as float32, exactly: 5 times numpy's speed, for it works on all lanes at once.

    The bits of a half, moved to a float's places, are its value times 2^-112 (IEEE 754: the biases differ by 112), for
    subnormal values too. Infinities and NaN, which no index holds, come out as finite numbers of 65,536 and more.
    """
    out = np.empty(rows.shape, np.float32) if out is None else out
    bits = out.view(np.int32)
    for at in range(0, len(rows), 1024):  # a block stays in the cache over the four passes
        part, floats = bits[at : at + 1024], out[at : at + 1024]
        np.copyto(part, rows[at : at + 1024].view(np.int16))
        np.left_shift(part, 13, out=part)
        np.bitwise_and(part, _SIGN_AND_VALUE, out=part)
        np.multiply(floats, _BIAS, out=floats)
    return out


def _bits(rows: Float16) -> NDArray[np.uint16]:
    """The bits of float16 values, mapped or not, as a plain array."""
    return np.asarray(rows).view(np.ndarray).view(np.uint16)


_SIGN_AND_VALUE = np.int32(-0x70002000)  # 0x8fffe000: without the copies of the sign that the shift made
_BIAS = np.float32(2.0**112)


def _rows(segment: Segment) -> Int64:
    if segment.rows is not None:
        return segment.rows
    return np.arange(segment.first, segment.first + segment.count, dtype=np.int64)


def _map(folder: Path, segment: Segment, dim: int) -> Float16:
    path = stored_file(folder, segment.file)
    remedy = (
        f"Restore {path.name} from a copy of the index, or build the index again from its pictures:"
        " visualsearch index PICTURES --to NEW.index"
    )
    try:
        data: Float16 = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise  # a compaction may have replaced it: the reader looks again
    except OSError as error:
        raise reading_error(path, error) from error
    except Exception as error:  # a damaged header is parsed as Python, and raises anything
        raise NotAnIndexError(
            f"cannot read {path}", f"the vector file is damaged ({short(error)})", remedy
        ) from error
    if data.shape != (segment.count, dim) or data.dtype != np.float16 or not data.flags.c_contiguous:
        raise NotAnIndexError(
            f"cannot read {path}",
            f"the vector file is damaged: it holds {data.dtype} {data.shape}, the catalog says float16"
            f" {(segment.count, dim)}",
            remedy,
        )
    return data


def alive_rows(vectors: Vectors, dead: Int64) -> Bool:
    """(n,) bool over positions: which rows are not dead."""
    alive = np.ones(len(vectors), dtype=bool)
    alive[vectors.positions(dead)] = False
    return alive


def short(error: Exception) -> str:
    """An error's first line."""
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0][:120]
