"""A record of people on SQLite and on PostgreSQL: every test that takes `people` runs on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from visualsearch.people import People, PinRef, open_people, same_place

from .postgres import Cluster, cluster

NOON = 1_767_009_600_000  # 2025-12-29 12:00 UTC


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> int:
        return self.at

    def pass_(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        self.at += round(1000 * (seconds + 60 * minutes + 3600 * hours + 86_400 * days))


class FakePins:
    """A catalog of pins that a test fills and empties."""

    def __init__(self) -> None:
        self.held: dict[str, PinRef] = {}
        for number in range(200):
            self.add(f"pin-{number}", number)

    def add(self, name: str, number: int, picture: bytes | None = None) -> PinRef:
        self.held[name] = PinRef(number, name, picture or name.encode())
        return self.held[name]

    def find(self, ids: Sequence[str]) -> Mapping[str, PinRef]:
        return {name: self.held[name] for name in ids if name in self.held}

    def find_pictures(self, hashes: Sequence[bytes]) -> Mapping[bytes, PinRef]:
        return {ref.hash: ref for ref in self.held.values() if ref.hash in set(hashes) and ref.hash}

    def find_places(self, addresses: Sequence[str]) -> Mapping[str, PinRef]:
        held = {same_place(name): ref for name, ref in self.held.items() if same_place(name)}
        return {address: held[same_place(address)] for address in addresses if same_place(address) in held}


@pytest.fixture(scope="session")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pins() -> FakePins:
    return FakePins()


Opener = Callable[[], People]


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, pins: FakePins) -> Iterator[Opener]:
    """Opens the same record again and again, as several processes would."""
    folder = tmp_path / "pins.index"
    folder.mkdir()
    address = None
    if request.param == "postgresql":
        address = request.getfixturevalue("server").emptied("people")
    made: list[People] = []

    def call() -> People:
        made.append(open_people(folder, address, pins=pins, now=clock))
        return made[-1]

    yield call
    for each in made:
        each.close()


@pytest.fixture
def people(opened: Opener) -> People:
    return opened()


@pytest.fixture
def lite(tmp_path: Path, clock: Clock, pins: FakePins) -> Iterator[People]:
    """A record on SQLite alone."""
    folder = tmp_path / "lite.index"
    folder.mkdir()
    with open_people(folder, pins=pins, now=clock) as made:
        yield made
