"""An index of 48 pins of two topics that only saves can tell apart, with thirty people's boards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.recommend import BUILDERS, learn
from visualsearch.types import UInt8

from ..fakes import FakeEncoder

TOPIC = 20


def picture(seed: int, noise: int = 0) -> UInt8:
    """A picture of coarse random tiles; `noise` changes it a little, so that it looks alike."""
    tiles = np.random.default_rng(seed).integers(0, 255, (7, 7, 3))
    if noise:
        tiles = np.clip(tiles + np.random.default_rng(1000 + noise).integers(-12, 12, tiles.shape), 0, 255)
    return np.kron(tiles, np.ones((8, 8, 1))).astype(np.uint8)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the index: kitchen-0 ... and garden-0 ..., and cold-0 ... which look like kitchen-0 ... and nobody saved."""
    folder = tmp_path_factory.mktemp("saved") / "pins.index"
    with vs.create(folder, FakeEncoder()) as index:
        pins = [
            (f"{topic}-{n}", picture(n + 100 * (topic == "garden")))
            for topic in ("kitchen", "garden")
            for n in range(TOPIC)
        ]
        pins += [(f"cold-{n}", picture(n, noise=n + 1)) for n in range(8)]
        index.add([{"id": name, "image": array, "title": name.title()} for name, array in pins])
        rng = np.random.default_rng(0)
        for person in range(30):
            topic = ("kitchen", "garden")[person % 2]
            for n in rng.permutation(TOPIC)[:8].tolist():
                index.people.save(f"person-{person}", f"{topic}-{n}", board=f"{topic} of {person}")
        for n in range(4):
            index.people.save("ada", f"kitchen-{n}", board="Kitchen")
        learn(index, BUILDERS)
    return folder


@pytest.fixture
def pins(saved: Path, tmp_path: Path) -> Iterator[vs.Index]:
    """A copy of that index to change."""
    import shutil

    shutil.copytree(saved, tmp_path / "pins.index")
    with vs.open(tmp_path / "pins.index", FakeEncoder()) as index:
        yield index
