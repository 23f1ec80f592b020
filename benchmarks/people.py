"""What the record of people sustains: events and saves acknowledged, imported, read and forgotten.

python benchmarks/people.py [--events 1000000] [--persons 100000] [--pins 20000] [--smoke] [--to benchmarks/results]

SQLite beside an index; with the environment variable PEOPLE_DSN, an empty PostgreSQL database too, in the same run. Acknowledged
means on disk. `record` gets batches of 100 from one thread and from four; `save` one at a time. The import is a Parquet file of
random events of 30 closed days by time without ids, after which persons' events are read at once. Then come up to a million
with ids, which are looked up; then saves. `roll` is what upkeep does after an import. Reads and `forget` run on all of that;
after each `forget`, all files are searched again.
`search beside writes`: stored-pin searches with the people database closed, and open while ten batches of ten events a second are
recorded, in turns; the ratio of the medians of each pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import report
from synthetic import Made

import visualsearch as vs
from visualsearch.people import Event, People, open_people
from visualsearch.people.model import pseudonym_number

DAY = 86_400_000
BATCH = 100


def _events(prefix: str, batches: int, persons: int) -> list[list[Event]]:
    return [
        [
            Event(
                "click",
                f"r{(b * 7 + n) % persons}",
                f"pin-{n}",
                event_id=f"{prefix}-{b}-{n}",
                surface="feed",
                slot=n,
            )
            for n in range(BATCH)
        ]
        for b in range(batches)
    ]


def _timed(work: Callable[[Any], object], items: list[Any], threads: int) -> tuple[float, list[float]]:
    """Seconds for all, and milliseconds of each."""

    def one(item: Any) -> float:
        start = time.perf_counter()
        work(item)
        return 1000 * (time.perf_counter() - start)

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        each = list(pool.map(one, items))
    return time.perf_counter() - start, each


def _percentile(values: list[float], share: float) -> float:
    return round(float(np.percentile(values, share)), 2)


def _row(name: str, count: int, seconds: float, each: list[float]) -> dict[str, Any]:
    return {
        "name": name,
        "per_second": round(count / seconds),
        "p50_ms": _percentile(each, 50),
        "p99_ms": _percentile(each, 99),
    }


def _table(events: int, persons: int, ids: bool, seed: int, part: int = 0, parts: int = 1) -> pa.Table:
    """One of `parts` stretches of a file's events, by time; `events` are those of the stretch."""
    rng = np.random.default_rng([seed, part])
    today = int(time.time() * 1000) // DAY * DAY
    span = 30 * DAY // parts
    columns: dict[str, Any] = {
        "person": pa.array([f"p{n}" for n in range(persons)]).take(
            pa.array(rng.integers(0, persons, events))
        ),
        "kind": pa.array(["impression", "click", "save"]).take(pa.array(rng.integers(0, 3, events))),
        "pin": pa.array([f"pin-{n}" for n in range(20_000)]).take(pa.array(rng.integers(0, 20_000, events))),
        "at": np.sort(today - 32 * DAY + part * span + rng.integers(0, span, events)),
        "slot": rng.integers(0, 50, events),
    }
    if ids:
        columns["event_id"] = [f"e{seed}-{part}-{n}" for n in range(events)]
    return pa.table(columns)


def _file(path: Path, events: int, persons: int, ids: bool) -> Path:
    parts = max(1, events // 500_000)
    first = _table(events // parts, persons, ids, int(ids), 0, parts)
    with pq.ParquetWriter(path, first.schema) as file:
        file.write_table(first)
        for part in range(1, parts):
            file.write_table(_table(events // parts, persons, ids, int(ids), part, parts))
    return path


def _imports(engine: str, folder: Path, people: People, events: int, persons: int) -> list[dict[str, Any]]:
    rows = []
    for ids in (False, True):
        path = _file(
            folder / f"events-{ids}.parquet", min(events, 1_000_000) if ids else events, persons, ids
        )
        count = pq.read_metadata(path).num_rows
        start = time.perf_counter()
        done = people.import_file(path)
        seconds = time.perf_counter() - start
        path.unlink()
        if done.accepted != count:
            raise SystemExit(f"{done.accepted} of {count} events were imported")
        name = f"{engine}, import, {'given ids' if ids else 'no ids'}"
        rows.append({"name": name, "per_second": round(count / seconds), "events": count})
        if not ids:
            some = [f"p{n}" for n in range(0, persons, max(1, persons // 200))]
            _timed(lambda who: people.events_of(who, 100), some[:5], 1)
            seconds, each = _timed(lambda who: people.events_of(who, 100), some, 1)
            rows.append(
                _row(f"{engine}, a person's last 100 events, right after it", len(some), seconds, each)
            )
    count = max(100, events // 500)
    rng = np.random.default_rng(2)
    saves = {
        "person": [f"p{n}" for n in rng.integers(0, max(1, persons // 10), count)],
        "pin": [f"pin-{n}" for n in rng.integers(0, max(10, count // 100), count)],
        "board": [f"Board {n}" for n in rng.integers(0, 3, count)],
    }
    pq.write_table(pa.table(saves), folder / "saves.parquet")
    start = time.perf_counter()
    people.import_file(folder / "saves.parquet", "saves")
    rows.append(
        {"name": f"{engine}, import of saves", "per_second": round(count / (time.perf_counter() - start))}
    )
    start = time.perf_counter()
    people.roll()
    rows.append({"name": f"{engine}, roll after it", "seconds": round(time.perf_counter() - start, 2)})
    return rows


def _reads(engine: str, people: People, persons: int, names: list[str]) -> list[dict[str, Any]]:
    rows = []
    some = [f"p{n}" for n in range(0, persons, max(1, persons // 200))]
    pins = [f"pin-{n}" for n in range(50)]
    for name, work, items in (
        ("a person's last 100 events", lambda who: people.events_of(who, 100), some),
        ("a pin's saves", people.saves_of, pins),
        ("a board", lambda _: people.pins_of("Kitchen", viewer="ada"), names[:50]),
    ):
        _timed(work, items[:5], 1)
        seconds, each = _timed(work, items, 1)
        rows.append(_row(f"{engine}, {name}", len(items), seconds, each))
    return rows


def _forgetting(engine: str, people: People, persons: int) -> dict[str, Any]:
    each = []
    for who in [f"p{n}" for n in range(1, persons, max(1, persons // 3))][:3]:
        number = pseudonym_number(people.person(who).pseudonym)
        start = time.perf_counter()
        people.forget(who)
        each.append(time.perf_counter() - start)
        left = people.traces(who, number or 0)
        if left:
            raise SystemExit(f"forgotten, but {left[:3]} is left")
    return {
        "name": f"{engine}, forget",
        "seconds": round(statistics.median(each), 2),
        "slowest": round(max(each), 2),
        "events": sum(people.part_rows().values()),
    }


def _measure(engine: str, folder: Path, people: People, events: int, persons: int) -> list[dict[str, Any]]:
    rows = []
    for threads in (1, 4):
        batches = _events(f"t{threads}", min(400, max(20, events // 5000)), 2000)
        seconds, each = _timed(people.record, batches, threads)
        rows.append(_row(f"{engine}, record, {threads} threads", len(batches) * BATCH, seconds, each))
    names = [f"pin-{n}" for n in range(min(400, max(50, events // 5000)))]
    seconds, each = _timed(lambda name: people.save("ada", name, board="Kitchen"), names, 1)
    rows.append(_row(f"{engine}, save", len(names), seconds, each))
    rows += _imports(engine, folder, people, events, persons)
    rows += _reads(engine, people, persons, names)
    rows.append(_forgetting(engine, people, persons))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    rows.append({"name": f"{engine}, on disk", "megabytes": round(size / 1e6, 1)})
    flaws = people.verify()
    if flaws:
        raise SystemExit(f"verify: {flaws[:3]}")
    return rows


def _beside(folder: Path, pins: int, rounds: int) -> dict[str, Any]:
    """Searches with and without writes to the people's database, in turns."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((pins, 512), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with vs.create(folder / "pins.index") as index:
        index.add(Made(vectors))
        ids = [stored.id for stored in next(index.rows(200))]
        for name in ids:
            index.search(like=name, k=25)
        people = index.people
        ratios, alone, beside = [], [], []
        for number in range(rounds):
            _, quiet = _timed(lambda name: index.search(like=name, k=25), ids, 1)
            over = threading.Event()
            writer = threading.Thread(target=_writes, args=(people, over, number))
            writer.start()
            _, busy = _timed(lambda name: index.search(like=name, k=25), ids, 1)
            over.set()
            writer.join()
            ratios.append(statistics.median(busy) / statistics.median(quiet))
            alone += quiet
            beside += busy
    return {
        "name": f"search beside writes, {pins} pins",
        "ratio": round(statistics.median(ratios), 3),
        "p50_alone_ms": _percentile(alone, 50),
        "p50_beside_ms": _percentile(beside, 50),
        "p99_alone_ms": _percentile(alone, 99),
        "p99_beside_ms": _percentile(beside, 99),
    }


def _writes(people: People, over: threading.Event, number: int) -> None:
    turn = 0
    while not over.wait(0.1):
        people.record([Event("search", "ada", event_id=f"w{number}-{turn}-{n}") for n in range(10)])
        turn += 1


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--pins", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.events, options.persons, options.pins, options.rounds = 5_000, 200, 500, 2
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        rows.append(_beside(Path(scratch), options.pins, options.rounds))
    for engine, address in (("SQLite", None), ("PostgreSQL", os.environ.get("PEOPLE_DSN"))):
        if engine == "PostgreSQL" and address is None:
            continue
        with tempfile.TemporaryDirectory() as scratch, open_people(scratch, address) as people:
            rows += _measure(engine, Path(scratch), people, options.events, options.persons)
    report("people", {"rows": rows, "goals": []}, options.to)


if __name__ == "__main__":
    main()
