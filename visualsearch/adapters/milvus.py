"""Milvus takes over where one machine is too small to serve from: `export` fills a collection, `MilvusIndex` asks it.

A collection has a row for each row of the index::

    row         int64, primary key     never given to another picture or region
    pin, id, uri                       the pin that the row belongs to
    whole       bool                   the whole picture; false for an object in it
    box         4 floats               of the object, as fractions of the picture; 0, 0, 1, 1 for the whole
    attributes  JSON                   without those that are null
    encoder     fingerprint and name   of the encoder that made the vector
    vector      d floats, unit length  compared by inner product, the cosine

A URI is a server's (`http://host:19530`), or a file's name for Milvus Lite, which runs in this process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from visualsearch.encoders import load_encoder
from visualsearch.errors import (
    EncoderMismatchError,
    MissingExtraError,
    NotAnIndexError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from visualsearch.ranking import ByCosine
from visualsearch.search import (
    SAMPLE,
    Sample,
    SearchOptions,
    encoded,
    mixed,
    parse,
)
from visualsearch.types import WHOLE, Box, Encoder, EncoderSpec, Float32, Hit, Hits, Query, Stored

from ._milvus_filters import condition

COLLECTION = "pins"
_TEXT = 65_535  # bytes, the most that a text field of Milvus takes
_FIELDS = ["id", "uri", "box", "attributes"]
_PAGE = 10_000


# -- writing ------------------------------------------------------------------------------------------------------
def export(
    rows: Iterable[Sequence[Stored]],
    spec: EncoderSpec,
    uri: str,
    collection: str = COLLECTION,
    *,
    token: str = "",
    index: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Make a collection hold just these rows, as `Index.rows()` gives them; (rows sent, rows removed).

    A collection that does not exist is made; `index` says how its vectors are indexed, as Milvus names it (`index_type`,
    `params`; left out: AUTOINDEX). Rows that are there already are replaced, so an interrupted export is simply run again; what
    the index holds no longer is removed at the end. `progress(sent)` is called after every batch. Raises
    EncoderMismatchError where the collection is of another encoder, StorageError, MissingExtraError.
    """
    client, sent = _connected(uri, token), [np.empty(0, np.int64)]
    with closing(client), _asking(uri):
        if not client.has_collection(collection):
            _make(client, collection, spec, index or {"index_type": "AUTOINDEX"})
        elif (made := _loaded_by(client, collection)) is not None and made[0] != spec.fingerprint:
            raise EncoderMismatchError(
                f"cannot export to the collection {collection!r}",
                f"{made[1]!r} made its vectors, the index is of {spec.name!r}",
                "Name another collection",
            )
        count = 0
        for batch in rows:
            client.upsert(collection, [_entity(stored, spec) for stored in batch])
            sent.append(np.array([stored.row for stored in batch], np.int64))
            count += len(batch)
            if progress:
                progress(count)
        return count, _remove_others(client, collection, np.concatenate(sent))


def _make(client: Any, collection: str, spec: EncoderSpec, index: Mapping[str, Any]) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("pin", DataType.INT64)
    for name in ("id", "uri", "encoder"):
        schema.add_field(name, DataType.VARCHAR, max_length=_TEXT)
    schema.add_field("whole", DataType.BOOL)
    schema.add_field("box", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=4)
    schema.add_field("attributes", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=spec.dim)
    params = client.prepare_index_params()
    params.add_index("vector", metric_type="IP", **index)
    client.create_collection(collection, schema=schema, index_params=params)


def _entity(stored: Stored, spec: EncoderSpec) -> dict[str, Any]:
    return {
        "row": stored.row,
        "pin": stored.pin,
        "id": stored.id,
        "uri": stored.uri,
        "whole": stored.box is None,
        "box": list(stored.box or WHOLE),
        "attributes": {name: value for name, value in stored.attributes.items() if value is not None},
        "encoder": f"{spec.fingerprint} {spec.name}",
        "vector": stored.vector,
    }


def _loaded_by(client: Any, collection: str) -> tuple[str, str] | None:
    """`_made_by`, of a collection that may lie on disk alone: a server was started anew, or another process filled it."""
    client.load_collection(collection)
    return _made_by(client, collection)


def _made_by(client: Any, collection: str) -> tuple[str, str] | None:
    """Fingerprint and name of a collection's encoder; None for an empty one."""
    found = client.query(collection, filter="row >= 0", output_fields=["encoder"], limit=1)
    if not found:
        return None
    fingerprint, _, name = found[0]["encoder"].partition(" ")
    return fingerprint, name


def _remove_others(client: Any, collection: str, kept: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """Delete the rows that are not among `kept`, (n,) ascending."""
    pages, gone = client.query_iterator(collection, output_fields=["row"], batch_size=_PAGE), []
    while page := pages.next():
        there = np.array([entity["row"] for entity in page], np.int64)
        gone += there[~np.isin(there, kept)].tolist()
    pages.close()
    for at in range(0, len(gone), _PAGE):
        client.delete(collection, ids=gone[at : at + _PAGE])
    return len(gone)


# -- asking -------------------------------------------------------------------------------------------------------
class MilvusIndex:
    """A collection that `export` filled, searched like an Index.

    Hits are as good as the collection's own index; scores are cosines, compared at the precision that Milvus keeps.
    """

    def __init__(
        self,
        uri: str,
        collection: str = COLLECTION,
        encoder: Encoder | None = None,
        *,
        token: str = "",
        **options: Any,
    ) -> None:
        """`encoder` and `options` (device, precision ...) as in `visualsearch.open`. Raises NotAnIndexError where there
        is no such collection or nothing in it, EncoderMismatchError, StorageError, MissingExtraError.
        """
        self.uri, self.collection, self._options = uri, collection, options
        self._encoder: Encoder | None = None
        self._measured: Sample | None = None
        self._client = _connected(uri, token)
        with _asking(uri):
            there = self._client.has_collection(collection)
            made = _loaded_by(self._client, collection) if there else None
        if made is None:
            self.close()
            raise NotAnIndexError(
                f"cannot open the collection {collection!r} at {uri}",
                "there is no such collection, or nothing in it",
                f"Fill it: visualsearch export DIR --to {uri} --collection {collection}",
            )
        self.fingerprint, self.model = made
        if encoder is not None:
            self._encoder = self._checked(encoder)

    def close(self) -> None:
        """Close the connection; the object cannot be used afterwards."""
        self._client.close()

    def __enter__(self) -> MilvusIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded at first use. Raises EncoderMismatchError when it is not the one that made the vectors."""
        if self._encoder is None:
            self._encoder = self._checked(load_encoder(self.model, **self._options))
        return self._encoder

    def _checked(self, encoder: Encoder) -> Encoder:
        if encoder.spec.fingerprint != self.fingerprint:
            raise EncoderMismatchError(
                f"cannot search the collection {self.collection!r}",
                f"its vectors are of {self.model!r} ({self.fingerprint}), not of {encoder.spec.name!r} "
                f"({encoder.spec.fingerprint})",
                "Leave the encoder out, or export an index of yours",
            )
        return encoder

    def __len__(self) -> int:
        """How many pins there are."""
        return self.count()

    def count(self, where: str | None = None) -> int:
        """How many pins a filter leaves."""
        fits = "whole == true" + (f" and {condition(parse(where).tree)}" if where else "")
        with _asking(self.uri):
            found = self._client.query(self.collection, filter=fits, output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def search(self, **wanted: Any) -> Hits:
        """Find pins; the arguments are those of `Index.search`, but for a ranker."""
        asked = SearchOptions(**wanted)
        if not isinstance(asked.chosen(), ByCosine):
            raise UsageError(
                "a Milvus collection cannot rank",
                "it gives its hits by cosine",
                "Leave the ranker and diversity out, or search the index that was exported",
            )
        return self.run(asked.query())

    def run(self, query: Query) -> Hits:
        """Answer a Query. `total` of the hits is how many were found, at most `offset + k`: Milvus does not say how many fit.

        Raises UsageError, FilterError, PictureError, EncoderError, UnknownNameError, StorageError.
        """
        if query.group_by not in (None, "none"):
            raise UsageError(
                f"cannot group by {query.group_by!r}",
                "a Milvus collection gives every pin for itself",
                "Leave group_by out, or search the index folder",
            )
        if query.min_score == "auto":
            raise UsageError(
                "Milvus cannot say what is alike",
                "its noise is measured on an index of visualsearch",
                "Give min_score as a number, or search the index that was exported",
            )
        vectors = encoded(query, lambda: self.encoder)
        seeds = {part.like for part in query.parts if part.like is not None}
        with _asking(self.uri):
            vector = mixed(query, vectors, self._stored, self._sample)
            found = self._client.search(
                self.collection,
                [vector],
                limit=query.offset + query.k,
                filter=_fitting(query.where, set() if query.include_seeds else seeds),
                output_fields=_FIELDS,
                group_by_field="pin",
            )[0]
        hits = [_hit(one["entity"], float(one["distance"])) for one in found]
        if query.min_score is not None:
            hits = [hit for hit in hits if hit.score >= query.min_score]
        return Hits(tuple(hits[query.offset :]), len(hits), "milvus")

    def _sample(self) -> Sample:
        """Vectors to measure scales on: those that Milvus gives first, asked for once."""
        if self._measured is None:
            found = self._client.query(
                self.collection, filter="row >= 0", output_fields=["vector"], limit=SAMPLE
            )
            rows = [np.asarray(one["vector"], np.float32) for one in found]
            self._measured = Sample(np.stack(rows) if rows else np.empty((0, 1), np.float32))
        return self._measured

    def _stored(self, name: str) -> Float32:
        own = f"whole == true and id == {json.dumps(name, ensure_ascii=False)}"
        found = self._client.query(self.collection, filter=own, output_fields=["vector"], limit=1)
        if not found:
            raise UnknownNameError("pin", name, (), "Search first to learn the ids")
        return np.asarray(found[0]["vector"], np.float32)


def _hit(entity: Mapping[str, Any], score: float) -> Hit:
    score = min(1.0, max(-1.0, score))
    box = Box(*(float(side) for side in entity["box"]))
    return Hit(entity["id"], entity["uri"], score, box, entity["attributes"], {"visual": score})


def _fitting(where: str | None, without: set[str]) -> str:
    """The filter of a search: an expression of `visualsearch.search.filters`, and pins to leave out by id."""
    tests = [] if where is None else [condition(parse(where).tree)]
    if without:
        tests.append(f"id not in {json.dumps(sorted(without), ensure_ascii=False)}")
    return " and ".join(tests)


def _connected(uri: str, token: str) -> Any:
    """A client of a server, or of Milvus Lite."""
    try:
        from pymilvus import MilvusClient, MilvusException
    except ImportError as error:
        raise MissingExtraError("cannot reach Milvus", "milvus") from error
    try:
        return MilvusClient(uri, token=token)
    except (MilvusException, OSError, ValueError) as error:
        raise StorageError(
            f"cannot reach Milvus at {uri}", _said(error), "Check the address, the token, and that it runs"
        ) from error


@contextmanager
def _asking(uri: str) -> Iterator[None]:
    """What Milvus refuses inside becomes one of our errors."""
    from pymilvus import MilvusException

    try:
        yield
    except MilvusException as error:
        raise StorageError(f"Milvus at {uri} refused", _said(error)) from error


def _said(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)
