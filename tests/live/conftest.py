"""An index of four kinds of pins, with people who saved some of one kind each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import visualsearch as vs
from visualsearch.experiments import Experiments, open_experiments

from ..fakes import FakeEncoder
from ..world.conftest import KINDS, cluster_records, make_index

PEOPLE = 100
"""How many people an experiment has. Arms are drawn: with these, each of two has the 30 that a figure needs."""


def crowd() -> list[str]:
    return [f"person-{number}" for number in range(PEOPLE)]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 64 pins, and of 100 people with three saves each."""
    folder = tmp_path_factory.mktemp("live") / "pins.index"
    with make_index(folder, cluster_records(each=16, kinds=4)) as index:
        for number, person in enumerate(crowd()):
            kind = KINDS[number % 4]
            for n in range(3):
                index.people.save(person, f"shop/{kind}/{(number + n) % 16:03d}.jpg", board="Mine")
    return folder


@pytest.fixture
def folder(shop: Path, tmp_path: Path) -> Path:
    """A copy of that index to change."""
    shutil.copytree(shop, tmp_path / "pins.index")
    return tmp_path / "pins.index"


@pytest.fixture
def pins(folder: Path) -> Iterator[vs.Index]:
    with vs.open(folder, FakeEncoder()) as index:
        yield index


def begun(index: vs.Index, name: str = "try", **plan: object) -> Experiments:
    """An experiment on feeds that everybody is in."""
    found = open_experiments(index.people)
    found.create(name, salt=name, **{"surfaces": ("feed",), "people": 100, "days": 1.0, **plan})  # type: ignore[arg-type]
    found.start(name, 1.0)
    return found
