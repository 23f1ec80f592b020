"""The encoder of an index: loaded when it is first needed, and only if it is the one the index was built with."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from visualsearch.errors import EncoderMismatchError, UnknownNameError, UsageError
from visualsearch.types import Encoder, EncoderSpec, Float32

from .base import BaseEncoder


def loaded(encoder: Encoder | str, **options: Any) -> Encoder:
    """The encoder of that name, or the one that is given."""
    if not isinstance(encoder, str):
        return encoder
    from . import load_encoder

    return load_encoder(encoder, **options)


class OwnEncoder:
    """The encoder of one index. `wanted` is what the caller gave: an encoder, a name, or None for the recorded name."""

    def __init__(
        self, folder: Path, spec: EncoderSpec, wanted: Encoder | str | None, options: dict[str, Any]
    ) -> None:
        self.folder, self.spec, self.options = folder, spec, options
        self._wanted = wanted
        self._guard = threading.RLock()
        self._loaded: Encoder | None = None
        if wanted is not None and not isinstance(wanted, str):
            self._loaded = self.checked(wanted)

    def get(self) -> Encoder:
        """The encoder. Raises EncoderMismatchError when it is not the one the index was built with."""
        with self._guard:
            if self._loaded is None:
                named = isinstance(self._wanted, str)
                name = self._wanted if isinstance(self._wanted, str) else self.spec.name
                try:
                    # Whoever made the index chose its name: it must not decide what is downloaded here.
                    self._loaded = self.checked(loaded(name, download=named, **self.options))
                except UnknownNameError as error:
                    raise UnknownNameError(
                        "encoder", name, [], f"The index was built with it. {error.remedy}"
                    ) from error
            return self._loaded

    def checked(self, encoder: Encoder) -> Encoder:
        """The encoder, where it is the index's own. Raises EncoderMismatchError."""
        if encoder.spec.fingerprint != self.spec.fingerprint:
            ours, theirs = self.spec, encoder.spec
            why = f"it was built with {ours.name!r} ({ours.fingerprint}), not {theirs.name!r} ({theirs.fingerprint})"
            raise EncoderMismatchError(
                f"cannot use {self.folder}",
                why,
                f"Leave the model out to use {ours.name!r}, or build another index:"
                f" visualsearch index PICTURES --to NEW.index --model {theirs.name}",
            )
        return encoder

    def embed_images(self, images: Iterable[Any], on_error: str) -> Float32:
        """(n, d) float32 vectors of many pictures, embedded in batches: see `BaseEncoder.embed_images`."""
        encoder = self.get()
        if not isinstance(encoder, BaseEncoder):
            raise UsageError(
                "this index's encoder cannot embed many pictures",
                f"a {type(encoder).__name__} has no embed_images",
                "Use search for each",
            )
        return encoder.embed_images(images, on_error=on_error)

    def spec_of(self, name: str | None) -> EncoderSpec | None:
        """The spec of the model that made embeddings, by the name that the user gave. Raises EncoderMismatchError."""
        if name is None:
            return None
        return self.spec if name == self.spec.name else self.checked(loaded(name, **self.options)).spec


class Finished:
    """Stands for the encoder where a source brings finished vectors: nothing is left to encode."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec

    def preprocess(self, picture: Any) -> Any:
        """No picture comes."""
        raise UsageError("this source holds embeddings only", "it has no pictures to encode")

    def encode_images(self, pixels: Any) -> Any:
        """No picture comes."""
        raise UsageError("this source holds embeddings only", "it has no pictures to encode")

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """No text comes."""
        raise UsageError("this source holds embeddings only", "it has no text to encode")
