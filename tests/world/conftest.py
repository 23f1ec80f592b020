"""A small index of pins in plain clusters, and worlds over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.types import Record
from visualsearch.world import Pins, Tastes, make_tastes, read_pins

from ..fakes import FakeEncoder

KINDS = (
    "shoes",
    "lamps",
    "birds",
    "chairs",
    "cakes",
    "hats",
    "boats",
    "roses",
    "cups",
    "bikes",
    "rugs",
    "kites",
)


def cluster_records(each: int = 50, kinds: int = len(KINDS), seed: int = 3, dim: int = 49) -> list[Record]:
    """Pins in clusters, with finished vectors."""
    rng = np.random.default_rng(seed)
    records = []
    for kind in KINDS[:kinds]:
        centre = rng.normal(size=dim)
        for number in range(each):
            vector = centre + 0.45 * rng.normal(size=dim)
            vector /= np.linalg.norm(vector)
            name = f"shop/{kind}/{number:03d}.jpg"
            records.append(
                Record(name, f"file:///{name}", bytes, named=True, vector=vector.astype(np.float32))
            )
    return records


def make_index(folder: Path, records: list[Record]) -> vs.Index:
    made = vs.create(folder, FakeEncoder())
    made.add(records)
    return made


@pytest.fixture(scope="session")
def pins_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vs.Index]:
    """600 pins of 12 kinds; nobody may change it."""
    with make_index(tmp_path_factory.mktemp("world") / "pins.index", cluster_records()) as made:
        yield made


@pytest.fixture(scope="session")
def pins(pins_index: vs.Index) -> Pins:
    return read_pins(pins_index)


@pytest.fixture(scope="session")
def tastes(pins: Pins) -> Tastes:
    return make_tastes(pins)
