"""What related pins ask of an index, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from visualsearch.types import Float32, Hits

from .base import Gallery

if TYPE_CHECKING:
    from visualsearch.store import Catalog


class RelatedIndex(Gallery, Protocol):
    """What related pins need of an index besides a gallery."""

    @property
    def has_people(self) -> bool:
        """Whether there is a record of people."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The pins by number."""
        ...


def nearest_of(index: RelatedIndex, vector: Float32, k: int) -> Hits:
    """The `k` hits nearest to a (d,) vector, every pin for itself."""
    return index.nearest(vector[None], k=k, group_by="none", details=False)[0]  # type: ignore[call-arg]


def numbers_of(index: RelatedIndex, names: Sequence[str]) -> dict[str, int]:
    """Pin numbers by id, in the order of `names`; ids that are not there are left out."""
    with index.catalog.read() as reader:
        found = reader.look_up("pin", "id", names)
    return {name: found[name] for name in names if name in found}


def names_of(index: RelatedIndex, numbers: Sequence[int]) -> dict[int, str]:
    """Ids by pin number; numbers that are gone are left out."""
    with index.catalog.read() as reader:
        return reader.look_up("id", "pin", numbers)
