"""Groups of pins that show the same picture: copies, pictures saved anew, edited pictures. Every one is proved on pixels.

Candidates are neighbours by vector, and look-alikes by thumbnail in any turn or mirror (a quarter-turn leaves little of a
cosine). Candidates are aligned, and compared block by block and in colour: another colour of a product, another print or
another photograph of the same thing is no duplicate. Groups are connected components, so the order of indexing does not
matter.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from visualsearch.errors import PictureError
from visualsearch.sources import read as read_uri
from visualsearch.types import Failure

from .align import Place
from .candidates import LEAST_COSINE, by_vector
from .compare import Edit, Evidence, compare
from .groups import ORDER, Group, Likeness, Link, Member, components, kept, reached
from .page import write_review
from .pairs import same_pictures, starts_of
from .pictures import Pictures
from .verify import examine, verified

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from visualsearch.nearest import Rows
    from visualsearch.store import Pin, Reader

__all__ = [
    "Edit",
    "Evidence",
    "Found",
    "Group",
    "Likeness",
    "Member",
    "Place",
    "compare",
    "examine",
    "find",
    "find_groups",
    "same_pictures",
    "write_review",
]


@dataclass(frozen=True)
class Found:
    """Groups, the closest kinds first and then the larger, and the pictures that could not be read.

    Those are compared by their bytes' hash only.
    """

    groups: tuple[Group, ...]
    failures: tuple[Failure, ...]


class OpenedIndex(Protocol):
    """What is needed of an index: its pins and its rows, all of one state."""

    def _open(self) -> AbstractContextManager[tuple[Reader, Rows]]: ...


def find_groups(
    index: OpenedIndex,
    similar: float | None = None,
    *,
    read: Callable[[str], bytes] = read_uri,
    say: Callable[[str], None] = lambda _: None,
) -> Found:
    """Groups of pins that show the same picture: see `Index.dedup`."""
    with index._open() as (reader, snapshot):
        pins = {p.pin: p for p in reader.each_pin()}
        return _Search(snapshot, pins, read, say).found(similar)


def find(
    index: OpenedIndex,
    similar: float | None = None,
    *,
    read: Callable[[str], bytes] = read_uri,
    say: Callable[[str], None] = lambda _: None,
) -> Found:
    """The old name of `Index.dedup`; it will go."""
    warnings.warn("dedup.find(index) is now index.dedup()", DeprecationWarning, stacklevel=2)
    return find_groups(index, similar, read=read, say=say)


class _Search:
    """One run over one state of an index. Pictures are numbered 0 .. n-1, one for all pins of the same bytes."""

    def __init__(
        self,
        snapshot: Rows,
        pins: Mapping[int, Pin],
        read: Callable[[str], bytes],
        say: Callable[[str], None],
    ) -> None:
        self.snapshot, self.pins, self.say = snapshot, pins, say
        by_bytes: dict[bytes | int, list[int]] = defaultdict(list)
        for number, pin in pins.items():
            by_bytes[number if pin.hash is None else pin.hash].append(number)
        self.copies = list(by_bytes.values())
        """For each picture the pins that have its bytes, the oldest first."""
        self.pictures = Pictures([pins[some[0]].uri for some in self.copies], read)
        rows = np.array([pins[some[0]].row for some in self.copies], dtype=np.int64)
        self.positions = snapshot.vectors.positions(rows)

    def found(self, similar: float | None) -> Found:
        self.say(f"reading {len(self.copies):,} pictures")
        self.pictures.look_at_all()
        self.say("looking for pairs that may be alike")
        near = list(by_vector(self.snapshot, self.positions, min(LEAST_COSINE, similar or 1.0)))
        proofs = self._proofs((i, j) for i, j, score in near if score >= LEAST_COSINE)
        links = [Link(a, b, Likeness.EXACT) for some in self.copies for a, b in pairwise(some)]
        links += [self._link(i, j, proof) for (i, j), proof in sorted(proofs.items())]
        covered = [link for link in links if link.likeness is Likeness.COVERED]
        links = [link for link in links if link.likeness is not Likeness.COVERED]
        groups = [*self._groups(links), *self._groups(_between(covered, links))]
        if similar is not None:
            alike = [(i, j) for i, j, score in near if score >= similar and (i, j) not in proofs]
            groups += self._similar(alike)
        groups.sort(key=lambda g: (ORDER.index(g.likeness), -len(g.members), g.ids))
        ids = {pin.uri: pin.id for pin in self.pins.values()}
        failures = tuple(Failure(f.uri, ids[f.uri], f.reason, f.remedy) for f in self.pictures.failures)
        return Found(tuple(groups), failures)

    def _proofs(self, near: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Evidence]:
        asked = starts_of(self.pictures.facts, near)
        self.say(f"comparing {len(asked):,} pairs")
        proofs: dict[tuple[int, int], Evidence] = {}
        for i, j, proof in verified(self.pictures, asked):
            key = (min(i, j), max(i, j))
            if key not in proofs or len(proof.edits) < len(proofs[key].edits):
                proofs[key] = proof
        return self._without_bridges(proofs)

    def _without_bridges(self, proofs: dict[tuple[int, int], Evidence]) -> dict[tuple[int, int], Evidence]:
        """The proofs, each picture without colour joined to the one coloured picture that it is nearest to.

        A grey copy fits every colour of a product, and would join them.
        """
        grey = {pair: proof for pair, proof in proofs.items() if Edit.GREY in proof.edits}
        rest = {pair: proof for pair, proof in proofs.items() if pair not in grey}
        parts = components([*rest, *((n, n) for pair in grey for n in pair)])
        part_of = {number: at for at, part in enumerate(parts) for number in part}
        best: dict[int, tuple[float, tuple[int, int]]] = {}
        for pair, proof in sorted(grey.items()):
            i, j = pair
            own = part_of[i if self.pictures.facts[i].grey else j]
            rank = (proof.difference + 100 * (1 - proof.agree), pair)
            if own not in best or rank < best[own]:
                best[own] = rank
        return rest | {pair: grey[pair] for _, pair in best.values()}

    def _link(self, i: int, j: int, proof: Evidence) -> Link:
        likeness = Likeness.EDITED if proof.edits else Likeness.NEAR
        if Edit.COVERED in proof.edits:
            likeness = Likeness.COVERED
        one, other = self.pictures.facts[i], self.pictures.facts[j]
        if likeness is Likeness.NEAR and (one.width, one.height) == (other.width, other.height):
            try:
                if proof.difference < 1 and self.pictures.digest(i) == self.pictures.digest(j):
                    likeness = Likeness.EXACT
            except PictureError:
                pass  # then they are what was proved already
        return Link(self.copies[i][0], self.copies[j][0], likeness, proof)

    def _groups(self, links: Sequence[Link]) -> Iterator[Group]:
        of_group: dict[int, list[Link]] = defaultdict(list)
        parts = components([(link.first, link.second) for link in links])
        owner = {number: at for at, part in enumerate(parts) for number in part}
        for link in links:
            of_group[owner[link.first]].append(link)
        for at, part in enumerate(parts):
            own = of_group[at]
            best = sorted(part, key=self._rank)
            places = {number: place for place, number in enumerate(best)}
            keep = kept(best, own, places)
            members = [self._member(best[0], True)]
            for number, link in sorted(reached(best[0], own), key=lambda found: places[found[0]]):
                other = link.first if link.second == number else link.second
                members.append(self._member(number, number in keep, link, self.pins[other].id))
            least = max((link.likeness for link in own), key=ORDER.index)
            yield Group(least, tuple(members), self._score(best))

    def _similar(self, pairs: Sequence[tuple[int, int]]) -> Iterator[Group]:
        for part in components(pairs):
            numbers = sorted((self.copies[n][0] for n in part), key=self._rank)
            first = self.pins[numbers[0]].id
            link = Link(0, 0, Likeness.SIMILAR)
            members = [self._member(numbers[0], True)]
            members += [self._member(number, True, link, first) for number in numbers[1:]]
            yield Group(Likeness.SIMILAR, tuple(members), self._score(numbers))

    def _rank(self, number: int) -> tuple[int, int, str, int]:
        """The largest first, in pixels and then in bytes; of equals the one indexed first."""
        facts = self.pictures.facts.get(self._picture[number])
        if facts is None:
            return 0, 0, "", number
        return -facts.width * facts.height, -facts.bytes, "", number

    @property
    def _picture(self) -> dict[int, int]:
        if not hasattr(self, "_pictures_of"):
            self._pictures_of = {pin: at for at, some in enumerate(self.copies) for pin in some}
        return self._pictures_of

    def _member(self, number: int, keep: bool, link: Link | None = None, of: str | None = None) -> Member:
        pin, facts = self.pins[number], self.pictures.facts.get(self._picture[number])
        size = (facts.width, facts.height, facts.bytes) if facts else (0, 0, 0)
        proof = link.evidence if link else None
        return Member(pin.id, pin.uri, keep, link.likeness if link else None, of, proof, *size)

    def _score(self, numbers: Sequence[int]) -> float:
        rows = np.array([self.pins[n].row for n in numbers], dtype=np.int64)
        vectors = self.snapshot.vectors.gather(self.snapshot.vectors.positions(rows))
        return min(1.0, float((vectors @ vectors[0]).min()))


def _between(covered: Iterable[Link], links: Iterable[Link]) -> list[Link]:
    """Of the covered pairs, the clearest between each two groups: a logo shop-wide would list every copy with each other."""
    parts = components([(link.first, link.second) for link in links])
    part_of = {number: min(part) for part in parts for number in part}
    best: dict[tuple[int, int], Link] = {}
    for link in covered:
        a, b = sorted(part_of.get(number, number) for number in (link.first, link.second))
        rank = link.evidence.difference if link.evidence else 0.0
        held = best.get((a, b))
        if a != b and (held is None or (held.evidence and rank < held.evidence.difference)):
            best[a, b] = link
    return list(best.values())
