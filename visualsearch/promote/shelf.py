"""All campaigns as arrays: their pins in one matrix, so that one product says which of them fit a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from visualsearch.recommend import allowed, topics_of
from visualsearch.types import Attributes, Bool, Float32, Int64

from .campaign import Campaign
from .looks import unit, unpacked
from .page import listed

if TYPE_CHECKING:
    from visualsearch.engine import Index
    from visualsearch.store import Pin

UNAVAILABLE = frozenset(("out of stock", "out_of_stock", "outofstock", "soldout", "sold out", "discontinued"))


def available(attributes: Attributes) -> bool:
    """Whether a product can be bought, as far as its attributes say."""
    return str(attributes.get("availability") or "").strip().casefold() not in UNAVAILABLE


@dataclass(frozen=True)
class Shelf:
    """`campaigns` (c,), and their pins, grouped by campaign: `vectors` (m, d) unit and `pins` (m,).

    `start` (c,) is where each campaign's pins begin, and `rows` where each pin is. `looks` (t, d) are targets, of campaign
    `look_owner` (t,); `look_words` says which of them are words, `words` whose they are, and `narrowed` (c,) who has any.
    `shown` (m,) is the code of what each pin shows, the place of `codes`. Pins that left the index, are sold out, or are of a
    sensitive topic are not on it.
    """

    campaigns: tuple[Campaign, ...]
    vectors: Float32
    pins: tuple[Pin, ...]
    start: Int64
    rows: Mapping[str, tuple[int, ...]]
    looks: Float32
    look_owner: Int64
    look_words: Bool
    words: Mapping[str, tuple[int, ...]]
    narrowed: Bool
    category: str
    codes: tuple[frozenset[str], ...]
    shown: Int64
    bids: Int64

    def __len__(self) -> int:
        return len(self.campaigns)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each campaign is, by its id."""
        return {campaign.id: at for at, campaign in enumerate(self.campaigns)}

    @cached_property
    def with_attributes(self) -> tuple[int, ...]:
        """Campaigns that are targeted at attributes."""
        return tuple(at for at, each in enumerate(self.campaigns) if each.target.attributes)

    @cached_property
    def with_exclusions(self) -> tuple[int, ...]:
        """Campaigns that exclude words."""
        return tuple(at for at, each in enumerate(self.campaigns) if each.exclude)

    @cached_property
    def with_audience(self) -> tuple[int, ...]:
        """Campaigns that are targeted at an audience."""
        return tuple(at for at, each in enumerate(self.campaigns) if each.target.audience)

    @cached_property
    def by_advertiser(self) -> dict[str, list[int]]:
        """Campaigns of each advertiser."""
        found: dict[str, list[int]] = {}
        for at, each in enumerate(self.campaigns):
            found.setdefault(each.advertiser, []).append(at)
        return found

    def best(self, values: Float32) -> Float32:
        """(c,) the largest of (m,) values among each campaign's pins."""
        found: Float32 = np.maximum.reduceat(values, self.start)
        return found

    def best_rows(self, values: Float32) -> Int64:
        """(c,) where each campaign's pin of the largest value is."""
        sizes = np.diff(self.start, append=len(values))
        top = values == np.repeat(self.best(values), sizes)
        found: Int64 = np.minimum.reduceat(np.where(top, np.arange(len(values)), len(values)), self.start)
        return found

    @cached_property
    def pin_codes(self) -> Int64:
        """(m,) the same number for the same pin."""
        return np.unique([pin.pin for pin in self.pins], return_inverse=True)[1].astype(np.int64)

    @cached_property
    def advertiser_codes(self) -> Int64:
        """(c,) the same number for the same advertiser."""
        return np.unique([each.advertiser for each in self.campaigns], return_inverse=True)[1].astype(
            np.int64
        )

    def shows(self, values: set[str]) -> Bool:
        """(m,) which pins show one of these, or do not say what they show. Without values every one."""
        if not values:
            return np.ones(len(self.pins), bool)
        fine = np.array([not code or bool(code & values) for code in self.codes], bool)
        found: Bool = fine[self.shown]
        return found


def shelf_of(index: Index, campaigns: Sequence[Campaign], category: str = "category") -> Shelf | None:
    """The shelf of the campaigns that have a pin to show; None where none has."""
    topics = topics_of(index.folder)
    wanted = list(dict.fromkeys(pin for campaign in campaigns for pin in campaign.pins))
    numbers = allowed(index, topics, wanted)
    with index.catalog.read() as reader:
        held = {pin.id: pin for pin in reader.by_ids(list(numbers)) if available(pin.attributes)}
    chosen = [campaign for campaign in campaigns if any(pin in held for pin in campaign.pins)]
    if not chosen:
        return None
    lists = [[held[pin] for pin in campaign.pins if pin in held] for campaign in chosen]
    pins = [pin for own in lists for pin in own]
    sets = [frozenset(listed(pin.attributes, category)) for pin in pins]
    codes = {code: at for at, code in enumerate(dict.fromkeys(sets))}
    rows: dict[str, list[int]] = {}
    for at, pin in enumerate(pins):
        rows.setdefault(pin.id, []).append(at)
    looks, look_owner, look_words = _targets(index, chosen)
    return Shelf(
        tuple(chosen),
        unit(index.vectors([pin.id for pin in pins])),
        tuple(pins),
        np.concatenate([[0], np.cumsum([len(own) for own in lists])[:-1]]).astype(np.int64),
        {name: tuple(places) for name, places in rows.items()},
        looks,
        look_owner,
        look_words,
        _worded(chosen),
        np.array([campaign.target.looks for campaign in chosen], bool),
        category,
        tuple(codes),
        np.array([codes[each] for each in sets], np.int64),
        np.array([campaign.bid for campaign in chosen], np.int64),
    )


def _targets(index: Index, chosen: Sequence[Campaign]) -> tuple[Float32, Int64, Bool]:
    rows, owner, words = [], [], []
    for at, campaign in enumerate(chosen):
        if campaign.looks and campaign.encoder == index.spec.fingerprint:
            found = unpacked(campaign.looks, index.spec.dim)
            rows.append(found)
            owner += [at] * len(found)
            # The words come last.
            texts = len(campaign.target.words) if index.spec.text else 0
            words += [n >= len(found) - texts for n in range(len(found))]
    made = np.concatenate(rows) if rows else np.zeros((0, index.spec.dim), np.float32)
    return made, np.array(owner, np.int64), np.array(words, bool)


def _worded(chosen: Sequence[Campaign]) -> dict[str, tuple[int, ...]]:
    """Campaigns by the words they want to meet."""
    found: dict[str, list[int]] = {}
    for at, campaign in enumerate(chosen):
        for word in campaign.target.words:
            found.setdefault(word, []).append(at)
    return {word: tuple(held) for word, held in found.items()}


_WORD = re.compile(r"\w+")


def phrases(text: str, longest: int = 4) -> set[str]:
    """The words of a text, in lower case, and runs of up to `longest` of them."""
    words = _WORD.findall(text.casefold())[:400]
    return {" ".join(words[at : at + n]) for n in range(1, longest + 1) for at in range(len(words) - n + 1)}
