"""The heart of every batch run: workers read, hash, decode and resize while the model embeds, in bounded memory.

Order is kept, so a run over the same source gives the same rows. The caller's thread drives: it lists the source, embeds
batches and hands results on; while it embeds, the workers fill the look-ahead window.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from visualsearch.errors import PictureError, SourceError
from visualsearch.types import Box, Encoder, Failure, Float32, Record, UInt8

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Prepared:
    """A record after the workers: its digest and what must be embedded.

    `pixels`, (m, 3, s, s) uint8, holds the whole picture first, then one crop for each of `boxes`; None when nothing
    needs embedding. `twin` are the rows (and boxes) of a stored pin that has the same content. `failure` is set when the
    picture cannot be used, and then the rest is not.
    """

    record: Record
    digest: bytes | None = None
    pixels: UInt8 | None = None
    boxes: tuple[Box, ...] = ()
    twin: tuple[tuple[int, Box | None], ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Embedded(Generic[T]):
    """An item and its (m, d) float32 vectors; None when it had nothing to embed."""

    item: T
    vectors: Float32 | None


def stopped(failure: Failure, kept: str) -> SourceError:
    """The error that ends a strict run."""
    return SourceError(
        f"stopped at the first failure, {failure.uri}",
        failure.reason,
        f"{failure.remedy or 'Leave it out'}. Without --strict the others are taken; {kept}",
    )


def failed(record: Record, error: BaseException) -> Failure:
    """The failure of a record, from one of the errors that are ODD."""
    if isinstance(error, PictureError):
        return Failure(record.uri, record.id, error.why or error.what, error.remedy)
    return Failure(record.uri, record.id, f"{type(error).__name__}: {error}", "Save it again as JPEG or PNG")


def released(record: Record) -> Record:
    """The record without its file: that of a compressed tar holds the bytes, and a commit waits for thousands of records."""
    return replace(record, read=_gone)


def _gone() -> bytes:
    raise PictureError("the picture", "its file was let go of when it had been read")


class Clock:
    """Busy seconds of each stage, added up over threads and divided by the stage's workers."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._workers: dict[str, int] = {}
        self._guard = threading.Lock()

    @staticmethod
    def now() -> float:
        """Seconds on a clock that never goes back."""
        return time.perf_counter()

    @contextmanager
    def stage(self, name: str, workers: int = 1) -> Iterator[None]:
        """Count the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._guard:
                self._seconds[name] += spent
                self._workers[name] = workers

    def stages(self) -> dict[str, float]:
        """Stage -> busy seconds per worker."""
        with self._guard:
            return {name: spent / self._workers[name] for name, spent in self._seconds.items()}


def look_ahead(
    items: Iterable[T], work: Callable[[T], R], workers: int, window: int
) -> Generator[R, None, None]:
    """`work` over items in a thread pool: results in order, at most `window` of them in memory."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="visualsearch")
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def embed(
    items: Iterable[T], pixels: Callable[[T], UInt8 | None], encoder: Encoder, batch: int, clock: Clock
) -> Iterator[list[Embedded[T]]]:
    """Group items into batches of about `batch` pictures, embed them, and yield each group in order.

    `pixels(item)` gives the item's (m, 3, s, s) uint8 pictures, or None when it has none.
    """
    group: list[T] = []
    held = 0
    for item in items:
        group.append(item)
        found = pixels(item)
        held += 0 if found is None else len(found)
        # A long run of items with nothing to embed is handed on too, so that its commit is not put off for ever.
        if held >= batch or len(group) >= 64 * batch:
            yield _embed_group(group, pixels, encoder, clock)
            group, held = [], 0
    if group:
        yield _embed_group(group, pixels, encoder, clock)


def _embed_group(
    group: list[T], pixels: Callable[[T], UInt8 | None], encoder: Encoder, clock: Clock
) -> list[Embedded[T]]:
    arrays = [pixels(item) for item in group]
    present = [a for a in arrays if a is not None]
    if not present:
        return [Embedded(item, None) for item in group]
    with clock.stage("embed"):
        vectors = encoder.encode_images(np.concatenate(present))
    done, at = [], 0
    for item, array in zip(group, arrays, strict=True):
        count = 0 if array is None else len(array)
        done.append(Embedded(item, vectors[at : at + count] if count else None))
        at += count
    return done
