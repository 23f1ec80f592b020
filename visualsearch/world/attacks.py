"""A bulk attack: near-duplicates of a few pins, put up within an hour by a few accounts, all for one site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from visualsearch.errors import PictureError, UsageError
from visualsearch.people import Event
from visualsearch.types import Float32, Int64, Record

from .chance import stream
from .population import BULK, RING
from .saving import SPAM_NOTES
from .scene import Scene
from .settings import PREFIX, person_key

TEMPLATES = 20
"""So many pictures are copied over and over."""
ALIKE = 0.985
"""The cosine of a copy with its picture."""
ACCOUNTS = 6


@dataclass(frozen=True)
class Attack:
    """n spam pins: ids, the places of the pins that they copy, (n, d) vectors, notes, and when (ms) and by whom each came."""

    ids: list[str] = field(repr=False)
    sources: list[int] = field(repr=False)
    vectors: Float32 = field(repr=False)
    notes: list[str] = field(repr=False)
    persons: list[str] = field(repr=False)
    at: Int64 = field(repr=False)
    site: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def records(self) -> Iterator[Record]:
        """The pins as records with finished vectors, for `index.add`. Each says that it is simulated."""
        for number, name in enumerate(self.ids):
            place = f"https://{self.site}/{number}"
            yield Record(
                name,
                place,
                _nothing,
                {"title": self.notes[number], "link": place, "simulated": True},
                named=True,
                vector=self.vectors[number],
            )

    def events(self) -> list[Event]:
        """The saves with which the accounts put them up, by time."""
        return [
            Event(
                "save",
                person,
                pin,
                int(when),
                f"{PREFIX}attack-{pin}",
                surface="extension",
                site=self.site,
            )
            for person, pin, when in zip(self.persons, self.ids, self.at.tolist(), strict=True)
        ]


def _nothing() -> bytes:
    raise PictureError("cannot read a simulated pin", "it has a vector and no picture")


def make_attack(scene: Scene, count: int, at: int, minutes: float) -> Attack:
    """The attack of a seed and a time."""
    if count < 1 or minutes <= 0:
        raise UsageError("cannot attack", "the number of pins and the minutes must be above 0")
    rng = stream(scene.settings.seed, "attack", at & 0xFFFFFFFFFFFF)
    sources = rng.choice(len(scene.pins), min(TEMPLATES, len(scene.pins)), replace=False)
    copied = sources[rng.integers(0, len(sources), count)]
    start = scene.pins.vectors[copied].astype(np.float32)
    noise = rng.normal(size=start.shape).astype(np.float32)
    noise -= start * np.einsum("ij,ij->i", noise, start)[:, None]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = ALIKE + (1 - ALIKE) * rng.random(count).astype(np.float32)
    vectors = start * cosine[:, None] + noise * np.sqrt(1 - cosine**2)[:, None]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    role = scene.people.role
    accounts = (
        np.flatnonzero(role >= RING) if (role == BULK).sum() < ACCOUNTS else np.flatnonzero(role == BULK)
    )
    accounts = accounts[:ACCOUNTS] if len(accounts) else np.arange(min(ACCOUNTS, len(role)))
    numbers = rng.integers(0, len(accounts), count)
    words = rng.integers(0, len(SPAM_NOTES), count)
    day = at // 1000
    return Attack(
        [f"{PREFIX}spam-{scene.settings.seed}-{day}-{number:05d}" for number in range(count)],
        copied.tolist(),
        vectors,
        [SPAM_NOTES[word] for word in words],
        [person_key(scene.settings.seed, int(accounts[number])) for number in numbers],
        np.sort(at + (rng.random(count) * minutes * 60_000).astype(np.int64)),
        f"cheap-{day % 100:02d}.example",
    )
