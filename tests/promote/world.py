"""A small index in which every pin is a point: six kinds of things, each around its own direction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import visualsearch as vs
from visualsearch.people import open_people
from visualsearch.pinned import CatalogPins
from visualsearch.promote import Campaign, Rules, Target
from visualsearch.types import Box, EncoderSpec, Float32, Preprocessing

KINDS = ("shoe", "lamp", "mug", "coat", "chair", "rug")
DIM = 24
NOON = 1_767_009_600_000  # 2025-12-29 12:00 UTC
__all__ = [
    "DIM",
    "KINDS",
    "NOON",
    "Box",
    "Campaign",
    "Clock",
    "Points",
    "Rules",
    "Target",
    "campaign",
    "made",
    "opened",
    "pins_of",
]


class Clock:
    """A clock that the test moves."""

    def __init__(self, at: int = NOON) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


class Points:
    """Words mean the direction of the kind they name; others mean nothing in particular."""

    def __init__(self) -> None:
        self.spec = EncoderSpec("points", DIM, Preprocessing(32), "0" * 64)

    def preprocess(self, picture: Any) -> Any:
        return np.asarray(picture.resize((32, 32)), dtype=np.uint8).transpose(2, 0, 1)

    def encode_images(self, pixels: Any) -> Float32:
        return np.stack([point(int(each[0].mean()) % len(KINDS), 0.0, 1) for each in pixels])

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        found = [next((at for at, kind in enumerate(KINDS) if kind in text), None) for text in texts]
        return np.stack([noise(7) if at is None else point(at, 0.0, 1) for at in found])


def noise(seed: int) -> Float32:
    made = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made), np.float32)


def point(kind: int, spread: float, seed: int) -> Float32:
    made = np.zeros(DIM, np.float32)
    made[kind] = 1
    made = made + spread * noise(seed)
    return np.asarray(made / np.linalg.norm(made), np.float32)


def made(folder: Path, each: int = 20) -> Path:
    """`each` pins of every kind: shoe/00 ..."""
    records = []
    for kind, name in enumerate(KINDS):
        for number in range(each):
            values = {"title": f"A {name} {number}", "category": name, "price": float(number)}
            if number == each - 1:
                values["availability"] = "out of stock"
            vector = point(kind, 0.5, 1000 * kind + number)
            pin = f"{name}/{number:02d}"
            records.append(
                vs.Record(pin, f"https://shop.example/{pin}", bytes, values, named=True, vector=vector)
            )
    with vs.create(folder / "pins.index", Points()) as index:
        index.add(records)
    return folder / "pins.index"


def opened(folder: Path, clock: Clock | None = None, address: str | None = None) -> Any:
    """The index; its record of people has the test's clock."""
    index = vs.open(folder, Points())
    index.people_address = address
    if clock is not None:
        index._people = open_people(folder, address, pins=CatalogPins(index.catalog), now=clock)
    return index


def pins_of(kind: str, odd: bool = False) -> tuple[str, ...]:
    """Half of the kind's pins that can be bought: some of them are on no page of ten."""
    return tuple(f"{kind}/{number:02d}" for number in range(odd, 19, 2))


def campaign(name: str = "c", kind: str = "shoe", **changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "id": name, "advertiser": f"Shop {name}", "pins": pins_of(kind), "bid": 50,
        "currency": "EUR", "budget": 10_000, "cap": 20,
    }  # fmt: skip
    return Campaign(**{**values, **changes})
