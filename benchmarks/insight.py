"""How long reports take over many events, and a map of many pins; and how much memory. All people and pins are simulated.

    python benchmarks/insight.py [--events 10000000] [--pins 1000000] [--only reports] [--smoke] [--to DIR]

An index of 20,000 pins in plain clusters, 40 shops, 100,000 people; 60 closed days of events, of which 86 % are impressions. A
report reads what it needs from the closed days' files; the collection is read and clustered first, and counts too. The map is of
random vectors in plain clusters: every tile of every level is drawn and written.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import report

import visualsearch as vs
from visualsearch.insight import (
    Collection,
    find_trends,
    make_clusters,
    merchant_report,
    tiled,
    timing_report,
    write_map,
)
from visualsearch.people import parts as disk
from visualsearch.people.schema import parts
from visualsearch.people.schema import people as persons
from visualsearch.types import Record

DAYS, PEOPLE, PINS, SHOPS = 60, 100_000, 20_000, 40
START = 1_777_852_800_000  # Monday 2026-05-04
DAY = 86_400_000
KINDS = np.array(["impression", "click", "visit", "save", "purchase"])
SHARES = (0.86, 0.08, 0.03, 0.0285, 0.0015)


def pins(dim: int) -> list[Record]:
    """Pins in 100 plain clusters, each of a shop."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(100, dim)), PINS // 100, 0) + 0.6 * rng.normal(size=(PINS, dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    made = []
    for at, row in enumerate(rows):
        name = f"kind-{at % 100:02d}/{at:06d}.jpg"
        page = {"url": f"https://shop-{at % SHOPS}.example/{at}"}
        made.append(Record(name, f"file:///{name}", bytes, page, True, vector=row))
    return made


def fill(index: vs.Index, events: int) -> None:
    """Write events straight into files of closed days: an import of so many is measured elsewhere."""
    rng = np.random.default_rng(1)
    store = index.people.store
    numbers = np.unique(rng.integers(1 << 56, 1 << 62, PEOPLE))
    rows = [(int(number), f"p{at}", 0) for at, number in enumerate(numbers)]
    store.write(lambda db: store.insert(db, persons, rows, ("person", "key", "created")))
    with index.catalog.read() as reader:
        known = reader.numbers()
    made, size = [], 120_000
    for day in range(DAYS):
        for first in range(0, events // DAYS, size):
            n = min(size, events // DAYS - first)
            kind = KINDS[rng.choice(5, n, p=SHARES)]
            at = np.sort(START + day * DAY + rng.integers(0, DAY, n))
            sold = kind == "purchase"
            table: dict[str, Any] = {
                "event_id": pa.array([f"{day}-{first + each}" for each in range(n)]),
                "at": pa.array(at, pa.timestamp("ms", "UTC")),
                "received": pa.array(at, pa.timestamp("ms", "UTC")),
                "skew": np.zeros(n, np.int64),
                "person": np.sort(numbers[rng.integers(0, len(numbers), n)]),
                "session": pa.array([str(each // 20) for each in range(n)]),
                "kind": pa.array(kind),
                "pin": known[(len(known) * rng.random(n) ** 2).astype(np.int64)],
                "surface": pa.array(np.array(["feed", "search", "related"])[rng.integers(0, 3, n)]),
                "value": pa.array(np.round(rng.lognormal(3, 1, n), 2), mask=~sold),
                "currency": pa.array(np.where(sold, "EUR", None)),
            }
            made.append(disk.write_part(index.folder, pa.table(table)))
    store.write(lambda db: store.insert(db, parts, made))


def measured(folder: Path, events: int) -> dict[str, Any]:
    """Seconds of each report, those of its processors together, and the most memory that the process took."""
    with vs.create(folder) as index:
        index.add(pins(index.spec.dim))
    with vs.open(folder) as index:
        index.people.now = lambda: START + DAYS * DAY + DAY // 2  # type: ignore[method-assign]
        fill(index, events)
        reports = {
            "trends": lambda: find_trends(index, days=DAYS),
            "trends again": lambda: find_trends(index, days=DAYS),
            "merchant": lambda: merchant_report(index, "shop-7.example", weeks=8),
            "timing": lambda: timing_report(index, weeks=8),
        }
        found: dict[str, Any] = {"simulated": True, "events": events}
        for name, run in reports.items():
            began, worked = time.perf_counter(), time.process_time()
            run()
            found[f"{name}_processor_seconds"] = round(time.process_time() - worked, 2)
            found[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
            found[f"{name}_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def mapped(folder: Path, count: int, dim: int = 128) -> dict[str, Any]:
    """Seconds of each step of a map, its tiles and their sizes, and the most memory that the process took."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(300, dim)).astype(np.float32)
    vectors = np.empty((count, dim), np.float16)
    for at in range(0, count, 50_000):
        near = kinds[rng.integers(0, 300, min(50_000, count - at))]
        rows = near + 0.8 * rng.normal(size=near.shape).astype(np.float32)
        vectors[at : at + len(rows)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found: dict[str, Any] = {"simulated": True, "pins": count, "dim": dim}

    def timed(name: str, began: float, worked: float) -> None:
        found[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
        found[f"{name}_processor_seconds"] = round(time.process_time() - worked, 2)

    began, worked = time.perf_counter(), time.process_time()
    clusters = make_clusters(vectors, [()] * count)
    pins_ = Collection(
        [f"pin-{at}" for at in range(count)], np.arange(count), vectors, clusters, clusters.of(vectors)
    )
    timed("clusters", began, worked)
    began, worked = time.perf_counter(), time.process_time()
    tiles = tiled(pins_)
    timed("places", began, worked)
    began, worked = time.perf_counter(), time.process_time()
    made = write_map(tiles, folder)
    timed("tiles", began, worked)
    sizes = sorted(path.stat().st_size for path in folder.rglob("*.png"))
    return {
        **found,
        "levels": made.levels,
        "tiles": made.tiles,
        "bytes": made.bytes,
        "picture_bytes_median": sizes[len(sizes) // 2],
        "picture_bytes_largest": sizes[-1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--pins", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--only", choices=("reports", "map"))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    if given.smoke:
        given.events, given.pins = 20_000, 3000
    rows = []
    with tempfile.TemporaryDirectory() as place:
        if given.only != "reports":
            rows.append({"name": "map", **mapped(Path(place) / "map", given.pins)})
        if given.only != "map":
            rows.append({"name": "reports", **measured(Path(place) / "pins.index", given.events)})
    report("insight", {"rows": rows, "goals": []}, given.to)


if __name__ == "__main__":
    main()
