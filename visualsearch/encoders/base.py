"""What every encoder shares: checks, unit length, and embedding many pictures or sentences."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import ODD, EncoderError, PictureError, UsageError
from visualsearch.types import EncoderSpec, Float32, UInt8

from .preprocess import preprocess

if TYPE_CHECKING:
    from PIL.Image import Image

    from visualsearch.sources import Source

TEXT_BATCH = 64
LOG = logging.getLogger("visualsearch.encoders")
T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter; itertools.batched came with Python 3.12."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


class BaseEncoder(ABC):
    """An encoder: subclasses give `spec`, `_image_vectors` and `_text_vectors`, everything else follows.

    `preprocess` may run in many threads at once; `encode_images` and `encode_texts` in one thread at a time.
    """

    @property
    @abstractmethod
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""

    @abstractmethod
    def _image_vectors(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(b, 3, s, s) uint8, or float32 already normalised, b >= 1 -> (b, d) of any length."""

    @abstractmethod
    def _text_vectors(self, texts: list[str]) -> NDArray[Any]:
        """b >= 1 sentences -> (b, d) of any length. Raises EncoderError when there is no text tower."""

    def preprocess(self, picture: Image) -> UInt8:
        """An upright RGB picture -> (3, s, s) uint8, resized to the model's square, not normalised."""
        return preprocess(picture, self.spec.preprocessing)

    def calibrate(self, source: Source, count: int | None = None) -> None:  # noqa: B027
        """Make ready for embedding about `count` pictures of a source (None: unknown); called before they come.

        Most encoders have nothing to do.
        """

    def encode_images(self, pixels: NDArray[Any]) -> Float32:
        """(b, 3, s, s) uint8 from `preprocess` -> (b, d) float32 of unit length, contiguous.

        float32 is taken as already normalised with the mean and std of `spec.preprocessing`. Raises
        UsageError for another shape or dtype and EncoderError for a vector that is not finite or is zero.
        """
        size = self.spec.preprocessing.size
        if (
            pixels.ndim != 4
            or pixels.shape[1:] != (3, size, size)
            or pixels.dtype not in (np.uint8, np.float32)
        ):
            raise UsageError(
                f"a batch of {pixels.dtype} with shape {pixels.shape} cannot be encoded",
                f"{self.spec.name} takes uint8 (or normalised float32) of shape (b, 3, {size}, {size})",
                "Make the batch from encoder.preprocess(picture)",
            )
        if len(pixels) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        return self._unit(self._image_vectors(pixels), "picture")

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """b sentences -> (b, d) float32 of unit length, contiguous.

        Empty, very long (cut to what the model reads) and non-English texts are taken. Raises EncoderError
        when the model has no text tower, UsageError for one bare string.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UsageError(
                "texts must be a list of strings",
                f"got {type(texts).__name__}",
                'Pass a list: ["a red dress"]',
            )
        if len(texts) == 0:
            return np.empty((0, self.spec.dim), np.float32)
        return self._unit(self._text_vectors(list(texts)), "text")

    def unread(self, text: str) -> int:
        """How many tokens at the end of a text are beyond what the model reads; 0 where the encoder cannot tell."""
        return 0

    def embed_images(
        self, pictures: Iterable[Any], batch_size: int = 64, *, on_error: str = "raise"
    ) -> Float32:
        """n paths, URLs, bytes, Pillow pictures, (h, w, 3) uint8 arrays or tensors -> (n, d) float32 of unit length, in their
        order.

        Decoding runs in threads, at most two batches ahead. A picture that cannot be read raises PictureError naming it. With
        `on_error="skip"` its row is NaN instead, so that row i stays picture i, and a warning is logged:
        `vectors[np.isfinite(vectors).all(1)]` are the others.
        """
        if on_error not in ("raise", "skip"):
            raise UsageError(
                f"on_error is {on_error!r}", "it must be 'raise' or 'skip'", "Leave it out to raise"
            )
        if isinstance(pictures, str | bytes | Path):
            raise UsageError(
                "pictures must be a list",
                f"got one {type(pictures).__name__}",
                "Wrap it in a list: [picture]",
            )
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}", "it must be 1 or more", "Leave it out for 64")
        squares = self._squares(pictures, 2 * batch_size, on_error == "skip")
        done = [self._rows(batch) for batch in batches(squares, batch_size)]
        return np.concatenate(done) if done else np.empty((0, self.spec.dim), np.float32)

    def _rows(self, squares: list[UInt8 | None]) -> Float32:
        """One row for each square; NaN for what could not be read."""
        rows = np.full((len(squares), self.spec.dim), np.nan, np.float32)
        fine = [n for n, square in enumerate(squares) if square is not None]
        if fine:
            rows[fine] = self.encode_images(np.stack([s for s in squares if s is not None]))
        return rows

    def embed_texts(self, texts: Sequence[str]) -> Float32:
        """n sentences -> (n, d) float32 of unit length."""
        if len(texts) <= TEXT_BATCH:
            return self.encode_texts(texts)
        return np.concatenate([self.encode_texts(batch) for batch in batches(texts, TEXT_BATCH)])

    def _squares(self, pictures: Iterable[Any], ahead: int, skip: bool) -> Iterator[UInt8 | None]:
        """The pictures' squares in order, read and resized in threads, never more than `ahead` held.

        None for a picture that cannot be read, where such are to be skipped.
        """
        work = self._square_or_none if skip else self._square
        waiting: deque[Future[Any]] = deque()
        numbered = enumerate(pictures)
        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode")
        try:
            waiting.extend(pool.submit(work, n, picture) for n, picture in islice(numbered, ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, n, picture) for n, picture in islice(numbered, 1))
        finally:
            pool.shutdown(cancel_futures=True)

    def _square_or_none(self, position: int, picture: Any) -> UInt8 | None:
        try:
            return self._square(position, picture)
        except ODD as error:
            LOG.warning("picture number %d is skipped: %s", position, error)
            return None

    def _square(self, position: int, picture: Any) -> UInt8:
        from visualsearch.images import load

        try:
            return self.preprocess(load(picture, target=self.spec.preprocessing.size))
        except PictureError as error:
            if isinstance(picture, str | Path):
                raise
            raise PictureError(
                f"picture number {position} ({error.what})", error.why, error.remedy
            ) from error

    def _unit(self, vectors: NDArray[Any], kind: str) -> Float32:
        """The vectors as contiguous float32 of unit length; one without a direction is an error."""
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(lengths) | (lengths < 1e-12))
        if len(bad):
            raise EncoderError(
                f"{self.spec.name} gave no usable vector for {kind} number {bad[0]} of the batch",
                f"its length is {lengths[bad[0], 0]:g}",
                "Use --precision fp32; if it stays, the weights are damaged",
            )
        unit: Float32 = vectors / lengths
        return unit
