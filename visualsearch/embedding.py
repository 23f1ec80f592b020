"""Vectors without an index: `embed` reads, decodes and embeds a source, and hands the vectors on batch by batch.

>>> import visualsearch as vs
>>> for batch in vs.embed("photos/"):                                     # doctest: +SKIP
...     print(batch.ids[0], batch.vectors.shape)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import EncoderMismatchError, PictureError, UsageError
from visualsearch.types import (
    MAX_PIXELS,
    Attributes,
    Encoder,
    EncoderSpec,
    Failure,
    Float32,
    PassedOver,
    Precision,
    Record,
    pandas_of,
)

if TYPE_CHECKING:
    from visualsearch.adapters.clip_retrieval import Outcome
    from visualsearch.sources import Columns, Source

AT_ONCE = 64
"""The model gets at most this many pictures at once: more only take memory."""
SPEC_KEY = b"visualsearch.encoder"
"""Where an Arrow schema says which model made the vectors."""


@dataclass(frozen=True)
class EmbeddedBatch:
    """Consecutive pictures of a source and their vectors.

    Row i of `vectors`, (n, d) float32 of unit length, belongs to `ids[i]`, `uris[i]` and `attributes[i]`. `failures` are the
    pictures of this stretch that could not be read; they have no row. `passed_over` counts the files that are no pictures, by
    reason. `spec` says which model made the vectors. `len(batch)` is n.
    """

    ids: list[str]
    uris: list[str]
    vectors: Float32 = field(repr=False)
    attributes: list[Attributes] = field(repr=False)
    spec: EncoderSpec = field(repr=False)
    failures: tuple[Failure, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def to_arrow(self) -> Any:
        """A pyarrow.Table with the columns id, uri, vector (d float32 numbers) and attributes (JSON text).

        Every batch has the same schema, so one Parquet file takes them all. The schema remembers the model.
        """
        import pyarrow as pa

        dim = self.spec.dim
        flat = pa.array(np.ascontiguousarray(self.vectors, np.float32).reshape(-1), pa.float32())
        texts = [json.dumps(dict(each), ensure_ascii=False) for each in self.attributes]
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("uri", pa.string()),
                ("vector", pa.list_(pa.float32(), dim)),
                ("attributes", pa.string()),
            ],
            {SPEC_KEY: self.spec.to_json().encode()},
        )
        return pa.table(
            [self.ids, self.uris, pa.FixedSizeListArray.from_arrays(flat, dim), texts], schema=schema
        )

    def to_pandas(self) -> Any:
        """The same as a pandas.DataFrame. Raises UsageError where pandas is not installed."""
        return pandas_of(self.to_arrow())

    @classmethod
    def from_arrow(cls, table: Any) -> EmbeddedBatch:
        """What `to_arrow` made: a table, or a record batch of the Parquet file that it was written to.

        Raises UsageError for another table.
        """
        written = (table.schema.metadata or {}).get(SPEC_KEY)
        if written is None:
            raise UsageError(
                "cannot take the table for embeddings",
                "it does not say which model made its vectors",
                "Give a table that EmbeddedBatch.to_arrow made, with its schema's metadata",
            )
        spec = EncoderSpec.from_json(written.decode())
        ids, uris, texts = (table.column(name).to_pylist() for name in ("id", "uri", "attributes"))
        column = table.column("vector")
        parts = column.chunks if hasattr(column, "chunks") else [column]
        vectors = [np.asarray(part.flatten(), np.float32).reshape(-1, spec.dim) for part in parts]
        stacked = np.concatenate(vectors) if vectors else np.empty((0, spec.dim), np.float32)
        return cls(ids, uris, stacked, [json.loads(text) for text in texts], spec)

    def records(self, spec: EncoderSpec) -> list[Record]:
        """Records that carry these vectors, for `index.add`; `spec` is `index.spec`.

        Raises EncoderMismatchError where another model made the vectors.
        """
        if spec.fingerprint != self.spec.fingerprint:
            raise EncoderMismatchError(
                "cannot use these vectors",
                f"{self.spec.name!r} made them, and the index was built with {spec.name!r}",
                f"Embed the pictures with encoder={spec.name!r}, or create an index with {self.spec.name!r}",
            )
        rows = zip(self.ids, self.uris, self.attributes, self.vectors, strict=True)
        return [Record(i, uri, _no_bytes, values, named=True, vector=row) for i, uri, values, row in rows]


def embed(
    source: Any,
    *,
    encoder: Encoder | str = "bundled",
    batch: int = 256,
    workers: int | None = None,
    columns: Columns | None = None,
    max_pixels: int = MAX_PIXELS,
    device: str = "auto",
    precision: str | Precision = "auto",
) -> Iterator[EmbeddedBatch]:
    """Embed the pictures of a source, lazily: each batch has the next `batch` pictures, in the source's order.

    Write them to one Parquet file:

    >>> import pyarrow.parquet as pq
    >>> batches = embed("photos/")                                        # doctest: +SKIP
    >>> first = next(batches).to_arrow()                                  # doctest: +SKIP
    >>> with pq.ParquetWriter("photos.parquet", first.schema) as out:     # doctest: +SKIP
    ...     out.write_table(first)
    ...     for batch in batches:
    ...         out.write_table(batch.to_arrow())

    Put them into an index:

    >>> index = vs.create("pins.index")                                   # doctest: +SKIP
    >>> index.add(record for batch in embed("photos/") for record in batch.records(index.spec)) # doctest: +SKIP

    `source` is what `open_source` takes: a folder, glob, manifest, tar, list, iterator, table, or a Source. `encoder` is an
    encoder, or a name that `load_encoder` takes with `device` and `precision`. `workers` threads read and decode (default: one
    a processor). `columns` names the columns of a manifest. Pictures of more than `max_pixels` pixels fail.

    Memory holds about two batches of the model's squares, however large the source is. A picture that cannot be read is a
    Failure in its batch. The source and the encoder are opened at once, and raise SourceError, UsageError or EncoderError
    then; pictures are read when the first batch is asked for. Leave the loop early, and reading stops.
    """
    from visualsearch.encoders import BaseEncoder, load_encoder
    from visualsearch.sources import Columns, Source, open_source

    for name, value in (("batch", batch), ("workers", workers)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}", "it must be 1 or more", "Leave it out for the default")
    opened = source if isinstance(source, Source) else open_source(source, columns=columns or Columns())
    model = load_encoder(encoder, device=device, precision=precision) if isinstance(encoder, str) else encoder

    def run() -> Iterator[EmbeddedBatch]:
        if isinstance(model, BaseEncoder) and not getattr(opened, "once", False):
            model.calibrate(opened, opened.count())
        yield from _batches(opened, model, batch, workers, max_pixels)

    return run()


def _batches(
    source: Source, encoder: Encoder, batch: int, workers: int | None, max_pixels: int
) -> Iterator[EmbeddedBatch]:
    from visualsearch.adapters.clip_retrieval import embed_records
    from visualsearch.indexing import usable

    passed: dict[str, int] = {}

    def pictures() -> Iterator[Record | Failure]:
        for item in source:
            if isinstance(item, PassedOver):
                passed[item.reason] = passed.get(item.reason, 0) + 1
            else:
                yield usable(item, encoder.spec.dim) if isinstance(item, Record) else item

    def made(outcomes: list[Outcome]) -> EmbeddedBatch:
        seen = dict(passed)
        passed.clear()
        return _batch(outcomes, encoder.spec, seen)

    waiting: list[Outcome] = []
    groups = embed_records(
        pictures(), encoder, batch=min(batch, AT_ONCE), workers=workers, max_pixels=max_pixels
    )
    with closing(groups):
        for group in groups:
            waiting += group
            while len(waiting) >= batch:
                yield made(waiting[:batch])
                del waiting[:batch]
    if waiting or passed:
        yield made(waiting)


def _batch(outcomes: list[Outcome], spec: EncoderSpec, passed: Mapping[str, int]) -> EmbeddedBatch:
    fine = [one for one in outcomes if one.vector is not None]
    rows = [one.vector for one in fine if one.vector is not None]
    return EmbeddedBatch(
        [one.record.id for one in fine],
        [one.record.uri for one in fine],
        np.stack(rows).astype(np.float32, copy=False) if rows else np.empty((0, spec.dim), np.float32),
        [one.record.attributes for one in fine],
        spec,
        tuple(one.failure for one in outcomes if one.failure is not None),
        passed,
    )


def _no_bytes() -> bytes:
    raise PictureError("the picture", "this record holds its vector only")
