"""What looking needs of an index: a small part of `visualsearch.Index`, so that a fake is a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from visualsearch.types import Encoder, EncoderSpec, Float32, Hits

from .naming import Words


class SearchedIndex(Protocol):
    """An index that a scene's objects are searched in. Names and meaning are those of `visualsearch.Index`."""

    folder: Path
    spec: EncoderSpec

    def __len__(self) -> int: ...

    @property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with."""
        ...

    def nearest(
        self, vectors: Float32, *, k: int = 10, where: str | None = None, min_score: float | None = None
    ) -> list[Hits]:
        """The hits of each of (n, d) query vectors."""
        ...

    def vectors(self, ids: Sequence[str]) -> Float32:
        """Stored vectors of whole pictures, (n, d) float32."""
        ...

    def words(self, vocabulary: Sequence[str] | None = None) -> Words:
        """The vectors of a vocabulary."""
        ...

    def attributes(self) -> list[str]:
        """Names of the attributes that pins have."""
        ...

    def attributes_of(self, pin: str) -> Mapping[str, Any]:
        """The attributes of a stored pin."""
        ...

    def has_regions(self) -> bool:
        """Whether objects inside pictures are indexed too."""
        ...
