"""What the record of people sustains: events and saves acknowledged, imported, read and forgotten.

python benchmarks/people.py [--events 1000000] [--persons 100000] [--smoke] [--to benchmarks/results]

SQLite beside an index; with the environment variable PEOPLE_DSN, an empty PostgreSQL database too, in the same run. Acknowledged
means on disk. `record` gets batches of 100 from one thread and from four; `save` one at a time. The import is a Parquet file
of random events of 30 closed days without ids; then with ids, which are looked up. Reads and `forget` run on what was imported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import report

from visualsearch.people import Event, People, open_people

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


def _table(events: int, persons: int, ids: bool, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    today = int(time.time() * 1000) // DAY * DAY
    columns: dict[str, Any] = {
        "person": pa.array([f"p{n}" for n in range(persons)]).take(
            pa.array(rng.integers(0, persons, events))
        ),
        "kind": pa.array(["impression", "click", "save"]).take(pa.array(rng.integers(0, 3, events))),
        "pin": pa.array([f"pin-{n}" for n in range(20_000)]).take(pa.array(rng.integers(0, 20_000, events))),
        "at": np.sort(today - 2 * DAY - rng.integers(0, 30 * DAY, events)),
        "slot": rng.integers(0, 50, events),
    }
    if ids:
        columns["event_id"] = [f"e{seed}-{n}" for n in range(events)]
    return pa.table(columns)


def _measure(engine: str, folder: Path, people: People, events: int, persons: int) -> list[dict[str, Any]]:
    rows = []
    for threads in (1, 4):
        batches = _events(f"t{threads}", max(20, events // 5000), 2000)
        seconds, each = _timed(people.record, batches, threads)
        rows.append(_row(f"{engine}, record, {threads} threads", len(batches) * BATCH, seconds, each))
    names = [f"pin-{n}" for n in range(max(50, events // 5000))]
    seconds, each = _timed(lambda name: people.save("ada", name, board="Kitchen"), names, 1)
    rows.append(_row(f"{engine}, save", len(names), seconds, each))
    for ids in (False, True):
        path = folder / f"events-{ids}.parquet"
        pq.write_table(_table(events, persons, ids, int(ids)), path, row_group_size=500_000)
        start = time.perf_counter()
        done = people.import_file(path)
        seconds = time.perf_counter() - start
        if done.accepted != events:
            raise SystemExit(f"{done.accepted} of {events} events were imported")
        name = f"{engine}, import, {'given ids' if ids else 'no ids'}"
        rows.append({"name": name, "per_second": round(events / seconds)})
    some = [f"p{n}" for n in range(0, persons, max(1, persons // 50))]
    for name, work, items in (
        ("a person's last 100 events", lambda who: people.events_of(who, 100), some),
        ("a pin's saves", people.saves_of, names[:50]),
        ("a board", lambda _: people.pins_of("Kitchen", viewer="ada"), names[:50]),
    ):
        seconds, each = _timed(work, items, 1)
        rows.append(_row(f"{engine}, {name}", len(items), seconds, each))
    each = []
    for who in some[:3]:
        start = time.perf_counter()
        people.forget(who)
        each.append(time.perf_counter() - start)
    rows.append({"name": f"{engine}, forget", "seconds": round(statistics.median(each), 2)})
    flaws = people.verify()
    if flaws:
        raise SystemExit(f"verify: {flaws[:3]}")
    return rows


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.events, options.persons = 5_000, 200
    rows: list[dict[str, Any]] = []
    for engine, address in (("SQLite", None), ("PostgreSQL", os.environ.get("PEOPLE_DSN"))):
        if engine == "PostgreSQL" and address is None:
            continue
        with tempfile.TemporaryDirectory() as scratch, open_people(scratch, address) as people:
            rows += _measure(engine, Path(scratch), people, options.events, options.persons)
    report("people", {"rows": rows, "goals": []}, options.to)


if __name__ == "__main__":
    main()
