"""A small catalogue with honest people, and a bulk attack on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.trust import Trust
from visualsearch.types import Record

from ..fakes import FakeEncoder
from ..people.postgres import Cluster, cluster

COPIES, SPAMMERS = 60, 3
BAD = "cheap-deals.example"


def unit(rng: np.random.Generator, near: np.ndarray | None = None, cosine: float = 0.0) -> np.ndarray:
    """A random unit vector, or one of about that cosine with another."""
    vector = rng.normal(size=49)
    if near is not None:
        vector -= near * (vector @ near)
        vector = cosine * near + np.sqrt(1 - cosine**2) * vector / np.linalg.norm(vector)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def record(name: str, vector: np.ndarray, title: str = "", link: str = "") -> Record:
    attributes = {key: value for key, value in (("title", title), ("link", link)) if value}
    return Record(name, f"file:///none/{name}.jpg", bytes, attributes, named=True, vector=vector)


def honest(index: vs.Index, rng: np.random.Generator) -> None:
    """120 pins, and twenty people who save some of them."""
    index.add([record(f"pin-{n}", unit(rng), f"Thing number {n}") for n in range(120)])
    saved(
        index,
        [
            (f"person-{person}", f"pin-{pin}", f"Board of {person}", f"site-{pin % 9}.example")
            for person in range(20)
            for pin in rng.permutation(120)[:8].tolist()
        ],
    )


def attacked(index: vs.Index, rng: np.random.Generator, count: int = COPIES, start: int = 0) -> list[str]:
    """Copies of four pictures, put up by a few accounts for one site; their ids."""
    pictures = [unit(np.random.default_rng(900 + n)) for n in range(4)]
    names = [f"spam-{n}" for n in range(start, start + count)]
    index.add(
        [
            record(name, unit(rng, pictures[n % 4], 0.99), "Best price now", f"https://{BAD}/{n}")
            for n, name in enumerate(names)
        ]
    )
    saved(
        index,
        [
            (f"spammer-{n % SPAMMERS}", name, "Offers", f"https://www.{BAD}/{n}")
            for n, name in enumerate(names)
        ],
    )
    return names


def saved(index: vs.Index, rows: Sequence[tuple[str, str, str, str]]) -> None:
    """Save person, pin, board, site: handed over together, so that they share their commits."""
    people = index.people
    held = people.pins.find([pin for _, pin, _, _ in rows])
    work = [people.saving(who, held[pin], board=board, site=site) for who, pin, board, site in rows]
    for future in [people.store.writer.submit(each) for each in work]:
        future.result()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def judged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trust]:
    """An index with honest people and a bulk attack, not judged yet; its record on SQLite and on PostgreSQL."""
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        if request.param == "postgresql":
            index.people_address = request.getfixturevalue("postgres").emptied("people")
        rng = np.random.default_rng(0)
        honest(index, rng)
        attacked(index, rng)
        yield Trust(index)


@pytest.fixture
def peaceful(tmp_path: Path) -> Iterator[Trust]:
    """An index with honest people alone."""
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        honest(index, np.random.default_rng(0))
        yield Trust(index)
