"""Reading embedding folders: which file pairs they hold, which rows count, and the records in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visualsearch.errors import EncoderMismatchError, PictureError, SourceError
from visualsearch.types import EncoderSpec, Failure, Float32, Int64, Record

IMAGES, METADATA, SPEC = "img_emb", "metadata", "encoder.json"
NAMED, STATE, SHA256, SOURCE = "vs_named", "vs_state", "vs_sha256", "vs_source"
OURS = (NAMED, STATE, SHA256, SOURCE)
"""Our columns of the metadata: whether the user chose the id, what tells that the entry changed, the sha256 of the
picture's bytes, the uri of its source.
"""

_ID_COLUMNS = ("id", "key", "image_path", "url")
_URI_COLUMNS = ("image_path", "url", "uri", "id", "key")
_NAME = re.compile(r"img_emb_(\d+)(?:_(\d+))?")

Item = Record | Failure


class Pair(NamedTuple):
    """A matrix and the table of its rows. `number` is the shard's, None under a foreign name; `part` that of a part of a
    shard which was not yet complete.
    """

    matrix: Path
    table: Path
    number: int | None
    part: int | None


def is_embeddings(folder: Path) -> bool:
    """True for a folder in this layout."""
    return (folder / IMAGES).is_dir()


def read_spec(folder: Path) -> EncoderSpec | None:
    """The encoder that made the embeddings, where the folder says so. Raises SourceError when it says so unreadably."""
    path = folder / SPEC
    try:
        return EncoderSpec.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"cannot read {path}",
            "it is damaged",
            "Delete it and name the model with --model, or embed the pictures again into another folder",
        ) from error


def made_by(source: Any) -> EncoderSpec | None:
    """The encoder whose embeddings a source holds; None for other sources, and where the folder does not say."""
    return read_spec(Path(source)) if _is_folder(source) else None


def unsigned(source: Any) -> SourceError | None:
    """The error for a folder of embeddings that does not say which model made them; None for other sources."""
    if not _is_folder(source) or read_spec(Path(source)) is not None:
        return None
    return SourceError(
        f"cannot index {source}",
        f"it does not say which model made its vectors (it has no {SPEC}), and vectors of two models do not compare",
        f"Name that model: visualsearch index {source} --to NEW.index --model NAME (made_by=NAME in Python)",
    )


def _is_folder(source: Any) -> bool:
    return isinstance(source, (str, Path)) and "://" not in str(source) and is_embeddings(Path(source))


def pairs(folder: Path) -> list[Pair]:
    """The file pairs of a folder, in the order in which they were begun; a matrix without a table has the table's path.

    Parts of a shard that is there as a whole are what an interruption left, and are not among them.
    """
    found = []
    for matrix in (folder / IMAGES).glob("*.npy"):
        if matrix.name.startswith("."):
            continue
        table = folder / METADATA / f"{matrix.stem.replace('img_emb', 'metadata')}.parquet"
        name = _NAME.fullmatch(matrix.stem)
        number, part = (int(name[1]), None if name[2] is None else int(name[2])) if name else (None, None)
        found.append(Pair(matrix, table, number, part))
    whole = {pair.number for pair in found if pair.part is None}
    kept = [pair for pair in found if pair.part is None or pair.number not in whole]
    return sorted(kept, key=lambda p: (p.number is None, p.number or 0, p.part or 0, p.matrix.name))


def identity(named: bool, name: str, uri: str) -> int:
    """64 bits that stand for an entry: its id where the user chose it, else its place."""
    text = f"id\0{name}" if named else f"uri\0{uri}"
    return bits(text.encode("utf-8", "surrogatepass"))


def bits(data: bytes) -> int:
    """The first 64 bits of the sha256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "little", signed=True)


def columns(table: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """Those columns of a table that it has."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        have = [name for name in names if name in file.schema_arrow.names]
        return {name: file.read(columns=[name]).column(0).to_pylist() for name in have}


def identities(table: Path) -> Int64:
    """(n,) identity of each row of a table that `embed` wrote. Older releases did not say which ids were chosen: by place."""
    found = columns(table, ("image_path", "id", NAMED))
    uris = found["image_path"]
    names = found.get("id", uris)
    chosen = found.get(NAMED, [False] * len(uris))
    each = (identity(bool(n), str(name), str(uri)) for n, name, uri in zip(chosen, names, uris, strict=True))
    return np.fromiter(each, dtype=np.int64, count=len(uris))


def replaced(keys: Int64) -> Int64:
    """Positions of the rows that a later row of the same identity replaces."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    return np.sort(order[:-1][ordered[:-1] == ordered[1:]])


@dataclass(frozen=True)
class Embeddings:
    """A source of records that carry finished vectors."""

    folder: Path
    shards: tuple[Pair, ...]
    dim: int
    kind: str = "embeddings"

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.folder.absolute())

    def count(self) -> int:
        """Vectors in all shards."""
        return sum(len(np.load(pair.matrix, mmap_mode="r")) for pair in self.shards)

    def __iter__(self) -> Iterator[Item]:
        import pyarrow as pa

        stale = self._replaced()
        start = 0
        for pair in self.shards:
            try:
                for at, row, vector, stamp in _rows(pair):
                    if start + at not in stale:
                        yield _record(row, vector, f"{pair.matrix}::{at}", f"{stamp}+{at}")
                start += len(np.load(pair.matrix, mmap_mode="r"))
            except (pa.ArrowException, OSError, ValueError) as error:
                why = f"it cannot be read to its end ({str(error).partition(chr(10))[0][:200]})"
                yield Failure(str(pair.table), pair.table.name, why, "Embed the pictures again", hides="")
                return

    def _replaced(self) -> set[int]:
        """Rows that a later one replaces: an interrupted `embed` leaves both for its next run to clean up."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if not all(NAMED in pq.read_schema(pair.table).names for pair in self.shards):
                return set()
            keys = np.concatenate([identities(pair.table) for pair in self.shards])
        except (pa.ArrowException, OSError):
            return set()  # reading the rows tells
        return {int(at) for at in replaced(keys)}


def _rows(pair: Pair) -> Iterator[tuple[int, dict[str, Any], Float32, str]]:
    """(row number, metadata, vector, stamp of the file) of each row."""
    import pyarrow.parquet as pq

    vectors = np.load(pair.matrix, mmap_mode="r")
    info = pair.matrix.stat()
    at = 0
    with pq.ParquetFile(pair.table) as table:
        for batch in table.iter_batches(4096):
            for row in batch.to_pylist():
                yield at, row, np.asarray(vectors[at], np.float32), f"{info.st_size}-{info.st_mtime_ns}"
                at += 1


def _record(row: dict[str, Any], vector: Float32, place: str, stamp: str) -> Item:
    name = next((str(row[c]) for c in _ID_COLUMNS if row.get(c) not in (None, "")), place)
    uri = next((str(row[c]) for c in _URI_COLUMNS if row.get(c) not in (None, "")), place)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        return Failure(uri, name, "its vector is zero or not finite", "Embed the picture again")
    hidden = ("id", "key", "image_path", *OURS)
    attributes = {k: v for k, v in row.items() if k not in hidden and v is not None}
    named = row.get(NAMED)
    digest = bytes.fromhex(row[SHA256]) if row.get(SHA256) else None
    unit = vector / np.float32(length)
    return Record(name, uri, no_bytes, attributes, named is None or bool(named), stamp, unit, digest)


def no_bytes() -> bytes:
    """`read` of a record whose picture is not here."""
    raise PictureError("the picture", "this source holds embeddings only")


def open_embeddings(source: Any, spec: EncoderSpec, named: EncoderSpec | None = None) -> Embeddings | None:
    """The source, when it is a folder of embeddings; None when it is something else.

    `named` is the encoder that the user says made them, for a folder that does not say so itself. Raises SourceError when
    files are missing or do not fit, or nobody says which encoder made them; EncoderMismatchError when another did.
    """
    if not _is_folder(source):
        return None
    folder = Path(source)
    made = read_spec(folder) or named
    if made is None:
        raise unsigned(source) or SourceError(f"cannot index {folder}")
    if made.fingerprint != spec.fingerprint:
        raise EncoderMismatchError(
            f"cannot index {folder}",
            f"{made.name!r} made these embeddings, the index is of {spec.name!r}",
            f"Build an index of their own: visualsearch index {folder} --to NEW.index --model {made.name}",
        )
    shards = pairs(folder)
    if not shards:
        raise SourceError(
            f"cannot read {folder}", f"{IMAGES}/ holds no .npy file", "Embed the pictures again"
        )
    for pair in shards:
        if not pair.table.is_file():
            why = f"{pair.table.name} is missing beside {pair.matrix.name}"
            raise SourceError(f"cannot read {folder}", why, "Embed again")
        _check_shard(pair.matrix, pair.table, spec.dim)
    return Embeddings(folder, tuple(shards), spec.dim)


def _check_shard(matrix: Path, table: Path, dim: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        shape = np.load(matrix, mmap_mode="r", allow_pickle=False).shape
        rows = pq.ParquetFile(table).metadata.num_rows
    except (ValueError, EOFError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"cannot read {matrix.parent.parent}", f"a file is damaged ({error})", "Embed again"
        ) from error
    if len(shape) != 2 or shape[1] != dim:
        raise SourceError(
            f"cannot index {matrix}",
            f"it holds vectors of shape {shape}, the index is of dimension {dim}",
            "Name the model that made them with --model",
        )
    if rows != shape[0]:
        raise SourceError(
            f"cannot read {matrix}", f"{shape[0]} vectors but {rows} rows in {table.name}", "Embed again"
        )


def state_of(record: Record) -> str:
    """What tells that an entry changed, as hex: 8 digits of its place and stamp, 8 of its attributes."""
    place = f"{record.uri}\0{record.stamp}".encode("utf-8", "surrogatepass")
    attributes = json.dumps(dict(record.attributes), sort_keys=True, default=str).encode()
    return hashlib.sha256(place).hexdigest()[:8] + hashlib.sha256(attributes).hexdigest()[:8]
