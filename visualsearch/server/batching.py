"""An encoder that many threads may call at once: one thread encodes everything that waits as one batch.

While a batch is being encoded the next one collects. So batches grow with the load by themselves, and a request that comes alone
never waits for others. Vectors of recent pictures and texts are remembered. The next page of a search, or another filter,
costs no encoding.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from visualsearch.types import Encoder, EncoderSpec, Float32, UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

REMEMBERED = 4096
"""Vectors kept: 4,096 of 512 dimensions are 8 MB."""


@dataclass(frozen=True)
class _Job:
    pixels: NDArray[Any] | None
    texts: tuple[str, ...] = ()
    future: Future[Float32] = field(default_factory=Future)


class BatchingEncoder:
    """`inner`, made safe for many threads; batches hold up to `batch` pictures, or one caller's if it brings more.

    `observe(stage, seconds)` is told of "preprocess" and "encode", `batched(size)` of the size of each batch.
    """

    def __init__(
        self,
        inner: Encoder,
        batch: int = 16,
        observe: Callable[[str, float], None] = lambda _stage, _seconds: None,
        batched: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self.inner, self.batch = inner, batch
        self.observe, self.batched = observe, batched
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._known: LRUCache[Any, Float32] = LRUCache(REMEMBERED)
        self._guard = threading.Lock()
        self._local = threading.local()
        self._thread = threading.Thread(target=self._work, name="serve-encode", daemon=True)
        self._thread.start()

    @property
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""
        return self.inner.spec

    def preprocess(self, picture: Image) -> UInt8:
        """An upright RGB picture -> (3, s, s) uint8."""
        started = time.perf_counter()
        pixels = self.inner.preprocess(picture)
        self._spend("preprocess", started)
        return pixels

    def encode_images(self, pixels: NDArray[Any]) -> Float32:
        """(b, 3, s, s) -> (b, d) float32 of unit length."""
        if len(pixels) > self.batch:  # an indexing run: nothing to remember
            return self._ask(_Job(pixels))
        keys = [blake2b(one.tobytes(), digest_size=16).digest() for one in pixels]
        return self._remembered(keys, lambda chosen: _Job(pixels[chosen]))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """b sentences -> (b, d) float32 of unit length."""
        return self._remembered(list(texts), lambda chosen: _Job(None, tuple(texts[i] for i in chosen)))

    def unread(self, text: str) -> int:
        """How many tokens at the end of a text are not read; 0 where the encoder inside cannot tell."""
        count = getattr(self.inner, "unread", None)
        return 0 if count is None else int(count(text))

    def spent(self) -> float:
        """Seconds this thread has spent here since it last asked."""
        seconds: float = getattr(self._local, "seconds", 0.0)
        self._local.seconds = 0.0
        return seconds

    def close(self) -> None:
        """End the encoding thread after what waits."""
        self._jobs.put(None)
        self._thread.join()

    def _spend(self, stage: str, started: float) -> None:
        seconds = time.perf_counter() - started
        self._local.seconds = getattr(self._local, "seconds", 0.0) + seconds
        self.observe(stage, seconds)

    def _remembered(self, keys: list[Any], job: Callable[[list[int]], _Job]) -> Float32:
        with self._guard:
            found = {key: self._known[key] for key in keys if key in self._known}
        missing = [i for i, key in enumerate(keys) if key not in found]
        if missing:
            for i, vector in zip(missing, self._ask(job(missing)), strict=True):
                found[keys[i]] = vector
            with self._guard:
                self._known.update((keys[i], found[keys[i]]) for i in missing)
        return np.stack([found[key] for key in keys])

    def _ask(self, job: _Job) -> Float32:
        started = time.perf_counter()
        self._jobs.put(job)
        try:
            return job.future.result()
        finally:
            self._spend("encode", started)

    # -- the encoding thread --------------------------------------------------------------------------------------
    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, last = self._collected(job)
            pictures = [j for j in jobs if j.pixels is not None]
            texts = [j for j in jobs if j.pixels is None]
            if pictures:
                self._run(pictures, self._encode_pictures)
            if texts:
                self._run(texts, self._encode_texts)
            if last:
                return

    def _collected(self, job: _Job) -> tuple[list[_Job], bool]:
        """The job and all that wait behind it, up to a batch; and whether the end was among them."""
        jobs, size = [job], _size(job)
        while size < self.batch:
            try:
                more = self._jobs.get_nowait()
            except Empty:
                break
            if more is None:
                return jobs, True
            jobs.append(more)
            size += _size(more)
        return jobs, False

    def _run(self, jobs: list[_Job], encode: Callable[[list[_Job]], Float32]) -> None:
        try:
            self.batched(sum(_size(job) for job in jobs))
            vectors = encode(jobs)
        except BaseException as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:  # one bad query must not cost its neighbours
                self._run([job], encode)
            return
        at = 0
        for job in jobs:
            job.future.set_result(vectors[at : at + _size(job)])
            at += _size(job)

    def _encode_pictures(self, jobs: list[_Job]) -> Float32:
        arrays = [job.pixels for job in jobs if job.pixels is not None]
        return self.inner.encode_images(np.concatenate(arrays))

    def _encode_texts(self, jobs: list[_Job]) -> Float32:
        return self.inner.encode_texts([text for job in jobs for text in job.texts])


def _size(job: _Job) -> int:
    return len(job.texts) if job.pixels is None else len(job.pixels)
