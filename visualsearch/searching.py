"""Searching an index. Inside one read transaction: parts -> one unit vector -> shortlist -> ranker -> page of hits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.contents import Contents
from visualsearch.encoders import OwnEncoder
from visualsearch.keywords import keywords_of
from visualsearch.ranking import ADAPTED_DEPTH, BY_COSINE, Context, Ranker, ranker_of
from visualsearch.search import (
    Heads,
    Judge,
    Noise,
    SearchOptions,
    answered,
    answered_each,
    encoded,
    unread,
    vector_of,
)
from visualsearch.store import Catalog
from visualsearch.types import Encoder, Float32, Hits, Query


class Searching(Contents):
    """The searching half of an index: what it holds, and the encoder that makes queries of pictures and words."""

    def __init__(
        self, folder: Path, catalog: Catalog, encoder: Encoder | str | None, options: dict[str, Any]
    ) -> None:
        super().__init__(folder, catalog)
        self._own = OwnEncoder(folder, self.spec, encoder, options)
        self._noise = Noise()
        self.heads = Heads(folder, self.spec)
        """The maps that `visualsearch adapt` learnt over the vectors."""

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded at first use. Raises EncoderMismatchError when it is not the one the index was built with."""
        return self._own.get()

    @keywords_of(SearchOptions)
    def search(self, asked: SearchOptions) -> Hits:
        """Find pins by a picture, a part of it, words, stored pins, or a weighted mix.

        Raises UsageError, FilterError, PictureError, EncoderError, UnknownNameError.
        """
        return self.asked(asked)

    def asked(self, asked: SearchOptions) -> Hits:
        """The same for options that were put together before."""
        query, ranker = asked.query(), asked.chosen()
        return self._known(asked, ranker, lambda chosen: self.run(query, chosen, asked.context))

    def _known(self, asked: SearchOptions, ranker: Ranker, run: Callable[[Ranker], Hits]) -> Hits:
        """Run a search with what is known of who asks: here nothing."""
        return run(ranker)

    def run(self, query: Query, ranker: Ranker | str = BY_COSINE, context: Context | None = None) -> Hits:
        """Answer a Query; `search` is the friendly form. `ranker` orders the hits, `context` is what it knows of the request."""
        started = time.perf_counter()
        chosen, context = self._adapted(query, ranker_of(ranker), context)
        made = encoded(query, lambda: self.encoder, self.spec)
        with self._open() as (reader, snapshot):
            vector, seeds = vector_of(query, made, reader, snapshot)
            judge = Judge(query, made, snapshot, self._noise, lambda: self.encoder)
            own = set() if query.include_seeds else seeds
            hits = judge.said(answered(reader, snapshot, vector, judge.settled(query), own, chosen, context))
        notes = (*hits.notes, *unread(query, lambda: self.encoder))
        return replace(hits, notes=notes, seconds=time.perf_counter() - started, vector=vector)

    def _adapted(
        self, query: Query, ranker: Ranker, context: Context | None
    ) -> tuple[Ranker, Context | None]:
        """The ranker behind the learnt map, and a depth that suits it; both as they were where nothing was learnt."""
        chosen = self.heads.ranker(query, ranker)
        if chosen is ranker:
            return ranker, context
        known = context or Context()
        return chosen, replace(known, depth=max(known.depth, ADAPTED_DEPTH))

    def vector(self, query: Query) -> Float32:
        """The (d,) float32 unit vector that a query stands for."""
        made = encoded(query, lambda: self.encoder, self.spec)
        with self._open() as (reader, snapshot):
            return vector_of(query, made, reader, snapshot)[0]

    def nearest(
        self,
        vectors: Float32,
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        group_by: str | None = None,
        ranker: Ranker | str = BY_COSINE,
        context: Context | None = None,
        details: bool = True,
    ) -> list[Hits]:
        """The hits of several finished query vectors, (n, d), all from one state of the index.

        They are scaled to unit length. `ranker` and `context` as in `search`. Without `details` hits ordered by cosine have
        ids and scores only, which is several times as fast. Raises UsageError for vectors of another dimension, and for one
        that is zero or not finite.
        """
        wanted = Query((), k, 0, where, min_score, group_by=group_by)
        return answered_each(self._views, vectors, wanted, ranker_of(ranker), context, details)

    def search_many(
        self,
        images: Iterable[Any],
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        on_error: str = "raise",
    ) -> list[Hits]:
        """The hits of many query pictures, embedded in batches: one Hits for each, in their order, from one state of the index.

        `images`: paths, URLs, bytes, Pillow pictures, arrays or tensors. `on_error="skip"` gives an empty Hits with the plan
        "unreadable" for a picture that cannot be read. Raises UsageError, FilterError, PictureError, EncoderError.
        """
        vectors = self._own.embed_images(images, on_error)
        fine = np.logical_and.reduce(np.isfinite(vectors), axis=1)
        found = iter(self.nearest(vectors[fine], k=k, where=where, min_score=min_score))
        return [next(found) if readable else Hits((), 0, "unreadable") for readable in fine.tolist()]
