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
    """Ids by pin number; numbers that are gone, or that a verdict hides, are left out."""
    hidden = hidden_of(index)
    with index.catalog.read() as reader:
        found: dict[int, str] = reader.look_up("id", "pin", numbers)
    return {number: name for number, name in found.items() if name not in hidden} if hidden else found


def hidden_of(index: RelatedIndex) -> frozenset[str]:
    """The ids of pins that verdicts keep from others."""
    return index.people.shut().hidden if index.has_people else frozenset()


def lowered_of(index: RelatedIndex) -> frozenset[str]:
    """The ids of pins that verdicts rank lower."""
    return index.people.shut().lowered if index.has_people else frozenset()


def doubted_of(index: RelatedIndex) -> frozenset[str]:
    """The ids of pins that verdicts hide or rank lower: what a list that nobody asked for does not show."""
    return hidden_of(index) | lowered_of(index)


def added_of(index: RelatedIndex, names: Sequence[str]) -> list[float]:
    """When pins were added, in Unix seconds; 0 for one that is gone by now."""
    with index.catalog.read() as reader:
        numbers = reader.look_up("pin", "id", list(names))
        times = reader.added(list(numbers.values()))
    return [times.get(numbers[name], 0.0) if name in numbers else 0.0 for name in names]
