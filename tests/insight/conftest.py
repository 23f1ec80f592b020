"""A small index with a shop in it, and a record in which people did known things."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.people import People, open_people

from ..fakes import FakeEncoder
from ..world.conftest import cluster_records

DAY_MS = 86_400_000
MONDAY = 1_777_852_800_000  # 2026-05-04
NOON = MONDAY + 56 * DAY_MS + DAY_MS // 2
SHOP = "shop.example"


class Clock:
    """A clock that the test moves."""

    def __init__(self, at: int = NOON) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


@pytest.fixture(autouse=True)
def known_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of the true size on released counts, but the same for the same counts: OpenDP's own takes no seed."""
    from visualsearch.insight import daily

    def known(counts: np.ndarray, most_cells: int, rho: float) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(counts).tobytes()))
        return counts.astype(np.int64) + rng.normal(
            0, daily.scale_of(most_cells, rho), counts.shape
        ).round().astype(np.int64)

    monkeypatch.setattr(daily, "noisy", known)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pins.index"
    made.mkdir()
    return made


@pytest.fixture
def people(folder: Path, clock: Clock) -> Iterator[People]:
    with open_people(folder, now=clock) as made:
        yield made


def shop_records() -> list[vs.Record]:
    """240 pins of 6 kinds; the first ten of each are the shop's."""
    from dataclasses import replace

    records = cluster_records(each=40, kinds=6)
    made = []
    for record in records:
        number = int(record.id.rsplit("/", 1)[1].split(".")[0])
        page = (
            f"https://www.{SHOP}/p/{record.id}?a=1" if number < 10 else f"https://other.example/{record.id}"
        )
        made.append(replace(record, attributes={"url": page, "title": record.id.split("/")[1]}))
    return made


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a shop, and a record of 400 people over eight weeks; nobody may change it but by releases.

    Everybody clicks one or two kinds a day. From day 50 on many like `birds`. Of three people not everything may count.
    """
    folder = tmp_path_factory.mktemp("insight") / "pins.index"
    with vs.create(folder, FakeEncoder()) as index:
        index.add(shop_records())
    with vs.open(folder, FakeEncoder()) as index:
        _deeds(index, folder)
    shutil.copytree(folder, folder.with_name("untold.index"))
    return folder


@pytest.fixture
def untold(shop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[vs.Index]:
    """A copy of the index from before anything was told."""
    copied = shutil.copytree(shop_folder.with_name("untold.index"), tmp_path / "pins.index")
    with vs.open(copied, FakeEncoder()) as index:
        monkeypatch.setattr(index.people, "now", lambda: NOON)
        yield index


def _deeds(index: vs.Index, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(5)
    kinds = ("shoes", "lamps", "birds", "chairs", "cakes", "hats")
    rows: list[dict[str, object]] = []

    def did(kind: str, who: int, at: int, pin: str, **more: object) -> None:
        rows.append({"kind": kind, "person": f"user-{who:04d}", "at": at, "pin": pin, **more})

    for day in range(56):
        for who in range(400):
            liked = [2] if day >= 50 and rng.random() < 0.75 else []
            if rng.random() < 0.25:
                liked.append(int(rng.integers(0, 6)))
            for kind in liked:
                at = (
                    MONDAY
                    + day * DAY_MS
                    + int(rng.integers(8, 22)) * 3_600_000
                    + int(rng.integers(0, 3_600_000))
                )
                number = int(rng.integers(0, 40))
                pin = f"shop/{kinds[kind]}/{number:03d}.jpg"
                did("impression", who, at - 5000, pin, surface="feed")
                did("click", who, at, pin, surface="feed" if rng.random() < 0.7 else "search")
                if number < 10 and rng.random() < 0.3:
                    did("save", who, at + 2000, pin, surface="feed")
                if number < 10 and rng.random() < 0.2:
                    did("purchase", who, at + 60_000, pin, surface="site", value=20.0, currency="EUR")
    did("purchase", 1, MONDAY + 30 * DAY_MS, "shop/lamps/001.jpg", value=-20.0, currency="EUR")
    did("purchase", 2, MONDAY + 30 * DAY_MS, "shop/lamps/001.jpg", value=35.0, currency="USD")
    columns = {
        name: [row.get(name) for row in rows]
        for name in ("kind", "person", "at", "pin", "surface", "currency")
    }
    columns["value"] = pa.array([row.get("value") for row in rows], pa.float64())
    columns["at"] = pa.array(columns["at"], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    path = folder.parent / "events.parquet"
    pq.write_table(pa.table(columns), path)
    index.people.now = lambda: MONDAY + 56 * DAY_MS - 1000
    index.people.import_file(path, "events")
    for who in range(400):
        index.people.declare(f"user-{who:04d}", region="north" if who < 300 else "south")
    for who in range(10):
        index.people.save(f"user-{who + 50:04d}", f"shop/birds/{who:03d}.jpg", board="Birds I like")
    index.people.consent("user-0399", "off")
    index.people.consent("user-0398", clicks=False)
    index.people.consent("user-0397", profile=False)
    index.people.now = lambda: NOON
    index.people.roll()


@pytest.fixture
def shop(shop_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[vs.Index]:
    """The index, at noon of the day after its last."""
    with vs.open(shop_folder, FakeEncoder()) as index:
        monkeypatch.setattr(index.people, "now", lambda: NOON)
        yield index
