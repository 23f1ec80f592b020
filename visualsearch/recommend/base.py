"""What recommendation asks of an index. `Index` fulfils it; a test's fake is twenty lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from visualsearch.types import Float32, Hits

if TYPE_CHECKING:
    from visualsearch.people import People


class Gallery(Protocol):
    """Pins with vectors, and the people who saved them."""

    folder: Path

    @property
    def people(self) -> People:
        """Who saved what. `people.pins.find(ids)` says which pins the index holds."""
        ...

    def vectors(self, ids: Sequence[str]) -> Float32:
        """Unit vectors of whole pictures, (n, d) float32, in the order of `ids`. Raises UnknownNameError for an unknown one."""
        ...

    def nearest(
        self, vectors: Float32, *, k: int = 10, where: str | None = None, details: bool = True
    ) -> list[Hits]:
        """The hits of each vector, best first; without `details` they have ids and scores only."""
        ...


def present(gallery: Gallery, ids: Sequence[str]) -> list[str]:
    """Those of the pins that the index holds, in their order."""
    held = gallery.people.pins.find(ids)
    return [name for name in ids if name in held]
