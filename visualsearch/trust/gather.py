"""What one round of judging looks at: who put up what lately, with the pins' pictures, links and words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from visualsearch.people import Account, Puts
from visualsearch.types import Float32

from .copies import MOST_GROUPS, Copied, Copies
from .domains import Resolve, shortened, site_of
from .findings import Sign
from .ties import ties_of

if TYPE_CHECKING:
    from visualsearch.engine import Index

LINKS = ("link", "url", "page", "href")
WORDS = ("title", "name", "caption", "description", "text")
NEW_MS = 3 * 86_400_000
"""An account is new for so long."""
KEPT_SECONDS = 600.0
WELL_KNOWN = 5
"""A site from which so many people save is not one spammer's."""
EARLY_MS, LATE_MS = 3_600_000, 86_400_000
"""A pin that came into the index from an hour before it was put up to a day after came with it."""


@dataclass(frozen=True)
class PinFacts:
    """What the index says of a pin: its number, the address of its page, its words, where its picture is, when it was added."""

    number: int
    link: str
    words: str
    uri: str
    added: float


@dataclass
class Material:
    """One round's material. `facts` are those of the pins that somebody put up in it.

    `site` (n,) and `text` (n,) are those of each put: the save's own, else the pin's.
    """

    puts: Puts
    facts: Mapping[str, PinFacts]
    site: list[str]
    text: list[str]
    short: NDArray[np.bool_]
    index: Index = field(repr=False)
    known: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    now: int = 0
    read_pictures: bool = True
    accounts: dict[int, Account] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    new_share: float = 0.0
    """The share of all accounts that are new: in a young record, being new says nothing."""
    models: Sequence[Any] = ()
    copies: Copies = field(default_factory=Copies)
    groups: Copies = field(default_factory=lambda: Copies(MOST_GROUPS))

    def company(self, persons: Sequence[int]) -> list[Sign]:
        """What those speak for whom these accounts are tied to."""
        sign = ties_of(self.index, self.now).sign(persons)
        return [] if sign is None else [sign]

    def copied(self, pins: Sequence[str], vectors: Float32, looking: Copies) -> Copied | None:
        """How many of (n,) pins show each picture, by pixels; None where that was not looked at."""
        if not self.read_pictures:
            return None
        return looking.of([self.facts[pin].uri if pin in self.facts else "" for pin in pins], vectors)

    def account(self, person: int) -> Account:
        """The counts of an account."""
        if person not in self.accounts:
            self.need([person])
        return self.accounts.get(person, Account(0, 0, 0, 0, 0, 0, 0, 0))

    def need(self, persons: Sequence[int]) -> None:
        """Read the counts of accounts that are not known yet."""
        missing = [person for person in dict.fromkeys(persons) if person not in self.accounts]
        self.accounts.update(self.index.people.accounts(missing))

    def vectors(self, pins: Sequence[str]) -> Float32:
        """(n, d) unit vectors of pins that the index holds."""
        found = self.index.vectors(pins)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, 1e-12), np.float32)

    def own(self, pins: Sequence[str], persons: set[int], site: str, first: int, last: int) -> list[str]:
        """Those of the pins that some people put up, from `first` to `last` (ms): they came into the index with it, or lead to
        the site that it is all about. What had been there for long, or leads to a well-known site, is others'.
        """
        authors = self.authors(pins)
        found = []
        for pin in pins:
            if authors.get(pin) not in persons or pin not in self.facts:
                continue
            link = site_of(self.facts[pin].link)
            with_it = first - EARLY_MS <= self.facts[pin].added * 1000 <= last + LATE_MS
            if (link and link == site) or (with_it and self.known.get(link, (0, 0))[0] < WELL_KNOWN):
                found.append(pin)
        return found

    def authors(self, pins: Sequence[str], whole: bool = False) -> dict[str, int]:
        """Who put up each pin: the first who saved it, as far as anybody did. `whole`: the puts tell it all."""
        missing = [pin for pin in dict.fromkeys(pins) if pin not in self.owners]
        if missing:
            first: dict[str, tuple[int, int]] = {}
            for pin, rows in ({} if whole else self.index.people.savers(missing)).items():
                first[pin] = (rows[0][1], rows[0][0])
            wanted = set(missing)
            for pin, person, at in zip(
                self.puts.pin, self.puts.person.tolist(), self.puts.at.tolist(), strict=True
            ):
                if pin in wanted and (pin not in first or at < first[pin][0]):
                    first[pin] = (at, person)
            self.owners.update({pin: who for pin, (_, who) in first.items()})
        return {pin: self.owners[pin] for pin in pins if pin in self.owners}


def gathered(
    index: Index,
    puts: Puts,
    *,
    now: int,
    resolve: Resolve | None = None,
    read_pictures: bool = True,
    whole: bool = False,
) -> Material:
    """The material of some puts. Pins that left the index are left out. `whole`: these are all puts that there are.

    Whoever saves what others put up stands for the note and the site of the save alone, not for the pin's own.
    """
    with index.catalog.read() as reader:
        there = reader.look_up("pin", "id", list(dict.fromkeys(puts.pin)))
    kept = np.array([pin in there for pin in puts.pin], bool)
    if not kept.all():
        places = np.flatnonzero(kept).tolist()
        puts = Puts(
            puts.person[kept],
            [puts.pin[at] for at in places],
            puts.at[kept],
            [puts.site[at] for at in places],
            [puts.note[at] for at in places],
            puts.new[kept],
        )
    empty = np.zeros(len(puts), bool)
    made = Material(puts, {}, [], [], empty, index, now=now, read_pictures=read_pictures)
    authors = made.authors(puts.pin, whole)
    own = [authors.get(pin) == who for pin, who in zip(puts.pin, puts.person.tolist(), strict=True)]
    facts = facts_of(index, list(dict.fromkeys(pin for pin, mine in zip(puts.pin, own, strict=True) if mine)))
    made.facts = facts
    links = [
        site or (facts[pin].link if mine else "")
        for pin, site, mine in zip(puts.pin, puts.site, own, strict=True)
    ]
    names = {link: site_of(link, resolve) for link in set(links)}
    made.site = [names[link] for link in links]
    made.text = [
        note or (facts[pin].words if mine else "")
        for pin, note, mine in zip(puts.pin, puts.note, own, strict=True)
    ]
    made.short = np.array(
        [mine and shortened(facts[pin].link) for pin, mine in zip(puts.pin, own, strict=True)], bool
    )
    made.known, made.new_share = _surroundings(index, now)
    return made


_KEPT: WeakKeyDictionary[Index, tuple[float, dict[str, tuple[int, int]], float]] = WeakKeyDictionary()


def _surroundings(index: Index, now: int) -> tuple[dict[str, tuple[int, int]], float]:
    """The well-known sites, and the share of accounts that are new: read anew every ten minutes, as it takes all saves."""
    held = _KEPT.get(index)
    if held is None or time.monotonic() - held[0] > KEPT_SECONDS:
        known = {site_of(site): value for site, value in index.people.known_sites().items()}
        held = (time.monotonic(), known, index.people.new_people(now - NEW_MS))
        _KEPT[index] = held
    return held[1], held[2]


def facts_of(index: Index, pins: Sequence[str]) -> dict[str, PinFacts]:
    """What the index says of pins; those that it does not hold are left out."""
    with index.catalog.read() as reader:
        held = reader.by_ids(pins)
        added = reader.added([pin.pin for pin in held])
    return {
        pin.id: PinFacts(
            pin.pin, _first(pin.attributes, LINKS), _words(pin.attributes), pin.uri, added.get(pin.pin, 0.0)
        )
        for pin in held
    }


def _first(attributes: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((v for n in names if isinstance(v := attributes.get(n), str) and "." in v), "")


def _words(attributes: Mapping[str, Any]) -> str:
    found = [v for n in WORDS if isinstance(v := attributes.get(n), str) and v.strip()]
    return " ".join(found)[:400]


def plural(count: int, one: str, many: str = "") -> str:
    """`1 pin`, `2 pins`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


__all__ = ["Material", "PinFacts", "Sign", "facts_of", "gathered", "plural"]
