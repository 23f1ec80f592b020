"""Embedding folders as clip-retrieval writes and autofaiss reads them.

Layout (https://github.com/rom1504/clip-retrieval, `clip_inference/writer.py`)::

    img_emb/img_emb_0000.npy          (n, d) float16
    metadata/metadata_0000.parquet    n rows: image_path, and whatever else is known of the pictures
    encoder.json                      ours: the encoder that made them, so that `index` can check it

Row i of a metadata file belongs to row i of the matrix with the same number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import images
from ..errors import ODD, EncoderMismatchError, PictureError, SourceError, UsageError
from ..pipeline import Clock, Embedded, embed, failed, look_ahead
from ..resources import cores
from ..types import Encoder, EncoderSpec, Failure, Float32, IndexReport, Int64, Record, UInt8
from ..vectors import flush_folder, storage_error, write_whole

IMAGES, METADATA, SPEC = "img_emb", "metadata", "encoder.json"
_ID_COLUMNS = ("id", "key", "image_path", "url")
_URI_COLUMNS = ("image_path", "url", "uri", "id", "key")

Item = Record | Failure


def is_embeddings(folder: Path) -> bool:
    """True for a folder in this layout."""
    return (folder / IMAGES).is_dir()


def read_spec(folder: Path) -> EncoderSpec | None:
    """The encoder that made the embeddings, where the folder says so."""
    path = folder / SPEC
    return EncoderSpec.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def made_by(source: Any) -> EncoderSpec | None:
    """The encoder whose embeddings a source holds; None for other sources, and where the folder does not say."""
    return read_spec(Path(source)) if _is_folder(source) else None


def _is_folder(source: Any) -> bool:
    return isinstance(source, (str, Path)) and "://" not in str(source) and is_embeddings(Path(source))


# -- reading ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Embeddings:
    """A source of records that carry finished vectors."""

    folder: Path
    shards: tuple[tuple[Path, Path], ...]
    dim: int
    kind: str = "embeddings"

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.folder.absolute())

    def count(self) -> int:
        """Vectors in all shards."""
        return sum(len(np.load(matrix, mmap_mode="r")) for matrix, _ in self.shards)

    def __iter__(self) -> Iterator[Item]:
        import pyarrow.parquet as pq

        for matrix, table in self.shards:
            vectors = np.load(matrix, mmap_mode="r")
            stamp = f"{matrix.stat().st_size}-{matrix.stat().st_mtime_ns}"
            at = 0
            for batch in pq.ParquetFile(table).iter_batches(4096):
                for row in batch.to_pylist():
                    yield _record(row, np.asarray(vectors[at], dtype=np.float32), f"{matrix}::{at}", stamp)
                    at += 1


def _record(row: dict[str, Any], vector: Float32, place: str, stamp: str) -> Item:
    name = next((str(row[c]) for c in _ID_COLUMNS if row.get(c) not in (None, "")), place)
    uri = next((str(row[c]) for c in _URI_COLUMNS if row.get(c) not in (None, "")), place)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        return Failure(uri, name, "its vector is zero or not finite", "Embed the picture again")
    attributes = {k: v for k, v in row.items() if k not in ("id", "key", "image_path") and v is not None}
    return Record(name, uri, no_bytes, attributes, True, stamp, vector / np.float32(length))


def no_bytes() -> bytes:
    """`read` of a record whose picture is not here."""
    raise PictureError("the picture", "this source holds embeddings only")


def open_embeddings(source: Any, spec: EncoderSpec, named: EncoderSpec | None = None) -> Embeddings | None:
    """The source, when it is a folder of embeddings; None when it is something else.

    Raises SourceError when files are missing or do not fit, EncoderMismatchError when another encoder made them.
    """
    if not _is_folder(source):
        return None
    folder = Path(source)
    made = read_spec(folder)
    if made is not None and made.fingerprint != spec.fingerprint:
        raise EncoderMismatchError(
            f"cannot index {folder}",
            f"{made.name!r} made these embeddings, the index is of {spec.name!r}",
            f"Build an index of their own: visualsearch index {folder} --to NEW.index --model {made.name}",
        )
    matrices = sorted((folder / IMAGES).glob("*.npy"))
    if not matrices:
        raise SourceError(
            f"cannot read {folder}", f"{IMAGES}/ holds no .npy file", "Embed the pictures again"
        )
    shards = []
    for matrix in matrices:
        table = folder / METADATA / f"{matrix.stem.replace('img_emb', 'metadata')}.parquet"
        if not table.is_file():
            raise SourceError(
                f"cannot read {folder}", f"{table.name} is missing beside {matrix.name}", "Embed again"
            )
        _check_shard(matrix, table, spec.dim)
        shards.append((matrix, table))
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


# -- writing ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Outcome:
    """A picture and its (d,) float32 vector, or why it has none."""

    record: Record
    vector: Float32 | None = None
    failure: Failure | None = None


Work = Callable[[Iterator[Item]], Iterator[list[Outcome]]]
"""Embeds the pictures of records; what becomes of them comes in groups, in any order."""


@dataclass(frozen=True)
class _Ready:
    record: Record
    pixels: UInt8 | None = None
    failure: Failure | None = None


@dataclass
class _Shard:
    records: list[Record] = field(default_factory=list)
    vectors: list[Float32] = field(default_factory=list)


def embed_records(
    items: Iterable[Item],
    encoder: Encoder,
    *,
    batch: int = 64,
    workers: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    clock: Clock | None = None,
) -> Iterator[list[Outcome]]:
    """Read, decode and embed in this process, in order; one bad picture costs itself only."""
    threads, clock = workers or cores(), clock or Clock()

    def prepare(item: Item) -> _Ready:
        if isinstance(item, Failure):
            return _Ready(Record(item.id, item.uri, no_bytes), failure=item)
        try:
            with clock.stage("read", threads):
                data = item.read()
            with clock.stage("decode", threads):
                target = encoder.spec.preprocessing.size
                images.accelerate()
                picture = images.decode(data, name=item.uri, max_pixels=max_pixels, target=target)
                return _Ready(item, encoder.preprocess(picture)[None])
        except ODD as error:
            return _Ready(item, failure=failed(item, error))

    window = 2 * batch + 2 * threads
    with closing(look_ahead(items, prepare, threads, window)) as ready:
        for group in embed(ready, lambda r: r.pixels, encoder, batch, clock):
            yield [_outcome(entry) for entry in group]


def _outcome(entry: Embedded[_Ready]) -> Outcome:
    vector = None if entry.vectors is None else entry.vectors[0]
    return Outcome(entry.item.record, vector, entry.item.failure)


def write_embeddings(
    items: Iterable[Item],
    folder: Path,
    encoder: Encoder,
    *,
    batch: int = 64,
    workers: int | None = None,
    shard_rows: int = 100_000,
    max_pixels: int = images.MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
    work: Work | None = None,
) -> IndexReport:
    """Embed the pictures of a source into `folder`, `shard_rows` to a shard.

    Shards are written whole; run again after an interruption, it goes on after the shards that are complete.
    `progress(seen, failed)` is called after every batch. `work` embeds them elsewhere than in this process, and then `batch`,
    `workers` and `max_pixels` are its own. Raises UsageError when the folder holds another encoder's embeddings.
    """
    made = read_spec(folder)
    if made is not None and made.fingerprint != encoder.spec.fingerprint:
        raise UsageError(
            f"cannot write to {folder}",
            f"it holds embeddings by {made.name!r}",
            "Choose another folder, or delete it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SPEC).write_text(encoder.spec.to_json(), encoding="utf-8")
    except OSError as error:
        raise storage_error(folder, error) from error
    done, number = _written(folder)
    clock, shard, counts = Clock(), _Shard(), {"seen": 0, "unchanged": 0, "failed": 0}
    failures: list[Failure] = []

    def fresh() -> Iterator[Item]:
        for item in items:
            if isinstance(item, Record) and _is_in(done, _key(item.uri)):
                counts["unchanged"] += 1
                counts["seen"] += 1
            else:
                yield item

    def here(fresh: Iterator[Item]) -> Iterator[list[Outcome]]:
        return embed_records(fresh, encoder, batch=batch, workers=workers, max_pixels=max_pixels, clock=clock)

    started = clock.now()
    for group in (work or here)(fresh()):
        for outcome in group:
            counts["seen"] += 1
            _collect(outcome, shard, counts, failures)
        if len(shard.records) >= shard_rows:
            with clock.stage("write"):
                _write_shard(folder, number, shard)
            number, shard = number + 1, _Shard()
        if progress:
            progress(counts["seen"], counts["failed"])
    if shard.records:
        with clock.stage("write"):
            _write_shard(folder, number, shard)
    added = counts["seen"] - counts["failed"] - counts["unchanged"]
    return IndexReport(
        seen=counts["seen"],
        added=added,
        unchanged=counts["unchanged"],
        failed=counts["failed"],
        failures=tuple(failures),
        embedded=added,
        seconds=clock.now() - started,
        stages=clock.stages(),
    )


def _collect(outcome: Outcome, shard: _Shard, counts: dict[str, int], failures: list[Failure]) -> None:
    if outcome.failure is not None:
        counts["failed"] += 1
        if len(failures) < 1000:
            failures.append(outcome.failure)
    elif outcome.vector is not None:
        shard.records.append(outcome.record)
        shard.vectors.append(outcome.vector)


def _write_shard(folder: Path, number: int, shard: _Shard) -> None:
    """The table first: a matrix without its table would look complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = sorted({name for r in shard.records for name in r.attributes} - {"id", "image_path"})
    columns: dict[str, Any] = {
        "image_path": [r.uri for r in shard.records],
        "id": [r.id for r in shard.records],
    }
    for name in names:
        columns[name] = _column([r.attributes.get(name) for r in shard.records])
    final = folder / METADATA / f"metadata_{number:04d}.parquet"
    aside = final.with_name(f".{final.name}.tmp")
    try:
        final.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), aside)
        aside.replace(final)
        flush_folder(final.parent)
    except OSError as error:
        raise storage_error(final, error) from error
    write_whole(folder, f"{IMAGES}/img_emb_{number:04d}.npy", np.stack(shard.vectors).astype(np.float16))


def _column(values: list[Any]) -> Any:
    """An arrow column; values of mixed types become JSON text, since a column has one type."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values])


def _written(folder: Path) -> tuple[Int64, int]:
    """Keys of the pictures in complete shards, sorted (8 bytes each), and the next shard's number."""
    import pyarrow.parquet as pq

    keys: list[Int64] = []
    number = 0
    for matrix in sorted((folder / IMAGES).glob("img_emb_*.npy")):
        digits = matrix.stem.removeprefix("img_emb_")
        table = folder / METADATA / f"metadata_{digits}.parquet"
        if not digits.isdigit() or not table.is_file():
            continue
        number = max(number, int(digits) + 1)
        paths = pq.read_table(table, columns=["image_path"]).column(0).to_pylist()
        keys.append(np.array([_key(p) for p in paths], dtype=np.int64))
    return np.sort(np.concatenate(keys)) if keys else np.empty(0, np.int64), number


def _key(uri: str) -> int:
    digest = hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _is_in(keys: Int64, key: int) -> bool:
    at = int(np.searchsorted(keys, key))
    return at < len(keys) and int(keys[at]) == key
