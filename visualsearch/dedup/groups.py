"""Groups of pins that show the same picture: connected components over proved pairs, the best first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from .compare import Evidence

T = TypeVar("T", bound=Hashable)


class Likeness(StrEnum):
    """How alike two pins are, the closest first."""

    EXACT = "exact"
    """The same bytes, or the same pixels to the last bit."""
    NEAR = "near"
    """The same picture saved anew: another format, quality or size."""
    EDITED = "edited"
    """The same picture, and something was done to it: see `Evidence.edits`."""
    COVERED = "covered"
    """The same picture but for a small part: a text or logo was laid on it, or it is a variant with another print.

    Pixels cannot tell which, so such pairs make groups of their own, and none of their pins is proposed for removal.
    """
    SIMILAR = "similar"
    """Close vectors only; no duplicate."""


ORDER = tuple(Likeness)


@dataclass(frozen=True)
class Link:
    """A proved pair: pin numbers, what they are to one another, and the proof (None for the same bytes)."""

    first: int
    second: int
    likeness: Likeness
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Member:
    """A pin of a group.

    `likeness` is how it was found to be like the pin `of`, `evidence` the proof, both absent for the first pin. `keep` says
    that no better copy of it is in the group: the first pin, and of each edited version the best. Width and height in
    pixels, bytes of the file; 0 where the picture could not be read.
    """

    id: str
    uri: str
    keep: bool
    likeness: Likeness | None = None
    of: str | None = None
    evidence: Evidence | None = None
    width: int = 0
    height: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Group:
    """Pins that belong together, the one to keep first; `likeness` is that of the least alike pair which joins them.

    `score` is the lowest cosine between the first pin and another.
    """

    likeness: Likeness
    members: tuple[Member, ...]
    score: float

    @property
    def ids(self) -> tuple[str, ...]:
        """The pins' ids."""
        return tuple(m.id for m in self.members)

    @property
    def uris(self) -> tuple[str, ...]:
        """The pins' uris."""
        return tuple(m.uri for m in self.members)

    @property
    def remove(self) -> tuple[str, ...]:
        """The ids of copies and of pictures saved anew of which the group holds a better one; edited pictures are no such."""
        return tuple(m.id for m in self.members if not m.keep)


def components(pairs: Iterable[tuple[T, T]]) -> list[list[T]]:
    """Connected components of the pairs."""
    parent: dict[T, T] = {}

    def root(x: T) -> T:
        while parent.setdefault(x, x) != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for a, b in pairs:
        parent[root(b)] = root(a)
    members: dict[T, list[T]] = defaultdict(list)
    for x in list(parent):
        members[root(x)].append(x)
    return list(members.values())


def kept(group: Sequence[int], links: Sequence[Link], rank: Mapping[int, int]) -> set[int]:
    """Of each set of pins that copies and pictures saved anew join, the one of the lowest rank."""
    same = [(k.first, k.second) for k in links if k.likeness in (Likeness.EXACT, Likeness.NEAR)]
    sets = components([*same, *((one, one) for one in group)])
    return {min(some, key=lambda n: rank[n]) for some in sets}


def reached(first: int, links: Sequence[Link]) -> list[tuple[int, Link]]:
    """Every other pin and the link by which it is reached: in the fewest steps, and of those by the closest kind."""
    around: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        around[link.first].append(link)
        around[link.second].append(link)
    found: list[tuple[int, Link]] = []
    seen, layer = {first}, [first]
    while layer:
        nearest: dict[int, tuple[int, Link]] = {}
        for at in layer:
            for link in around[at]:
                other = link.second if link.first == at else link.first
                rank = ORDER.index(link.likeness)
                if other not in seen and (other not in nearest or rank < nearest[other][0]):
                    nearest[other] = (rank, link)
        found += [(other, link) for other, (_, link) in nearest.items()]
        seen |= nearest.keys()
        layer = sorted(nearest)
    return found
