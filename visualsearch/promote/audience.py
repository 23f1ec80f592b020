"""Look-alike audiences: people whose taste is like that of those who saved some pins.

An audience is kept as one mean taste and a least likeness, never as a list of people. It rests on at least `SEEDS` people and
holds at least `LEAST`, so it is never about one person. Sensitive topics are no part of anybody's taste.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.recommend import allowed, interests_of, topics_of
from visualsearch.types import Float32

from .campaign import Campaign
from .looks import packed, unit, unpacked

if TYPE_CHECKING:
    from visualsearch.engine import Index

SEEDS = 20
"""Fewer people than these make no audience."""
LEAST = 100
"""Each audience has at least so many people."""
SHARE = 0.05
"""Of those who save, so many are alike, where that is more."""


@dataclass(frozen=True)
class Taste:
    """What somebody likes, as one (d,) unit vector, of the encoder with that fingerprint."""

    vector: Float32
    encoder: str

    def within(self, campaign: Campaign) -> bool:
        """Whether somebody of this taste belongs to the campaign's audience."""
        wanted = campaign.taste
        if wanted is None or campaign.encoder != self.encoder:
            return False
        centre = unpacked(wanted["centre"], len(self.vector))[0]
        return float(self.vector @ centre) >= float(wanted["least"])


def taste_of(index: Index, person: str) -> Taste | None:
    """The taste of somebody who allows that it is used; None of others."""
    known = interests_of(index, person)
    if known is None or not len(known.vectors):
        return None
    weights = np.maximum(np.asarray(known.weights, np.float32), 0)
    mean = (known.vectors * weights[:, None]).sum(0, keepdims=True)
    return Taste(unit(mean)[0], index.spec.fingerprint)


def audience(index: Index, pins: Sequence[str], seeds: int = SEEDS, least: int = LEAST) -> dict[str, Any]:
    """The audience of those who are like the people who saved one of the pins: `centre`, `least`, `people`.

    Raises UsageError where too few people saved them, or where there are too few people at all.
    """
    material = index.people.material()
    numbers = allowed(index, topics_of(index.folder), list(material.pins))
    open_pins = np.array([pin in numbers for pin in material.pins], bool)
    named = set(pins)
    wanted = np.array([pin in named for pin in material.pins], bool)
    kept = open_pins[material.pin] if len(material) else np.zeros(0, bool)
    persons, pin = material.person[kept], material.pin[kept]
    seed = np.unique(persons[wanted[pin]]) if len(pin) else np.zeros(0, np.int32)
    if len(seed) < seeds:
        raise UsageError(
            "cannot make that audience",
            f"fewer than {seeds} people saved these pins",
            "Name pins that more people saved: an audience is never about a few persons",
        )
    used = np.unique(pin)
    vectors = unit(index.vectors([material.pins[at] for at in used]))
    sums = np.zeros((material.persons, vectors.shape[1]), np.float32)
    np.add.at(sums, persons, vectors[np.searchsorted(used, pin)])
    everybody = np.unique(persons)
    if len(everybody) < least:
        raise UsageError(
            "cannot make that audience",
            f"fewer than {least} people save here",
            "Wait until more do, or target by looks",
        )
    centre = unit(unit(sums[seed]).mean(0, keepdims=True))
    cosines = unit(sums[everybody]) @ unpacked(packed(centre), centre.shape[1])[0]
    size = max(least, int(SHARE * len(everybody)))
    return {
        "centre": packed(centre),
        "least": float(np.sort(cosines)[-size]),
        "people": int((cosines >= np.sort(cosines)[-size]).sum()),
    }
