"""What a million pins, a million saves and a thousand requests a second cost, from slopes over three sizes with their error.

python benchmarks/costs.py [--pins 30000 100000 300000] [--saves 50000 150000 500000] [--rounds 2] [--seconds 4]
                           [--parts pins,people,requests,pictures] [--first 0] [--keep DIR] [--beside FILE]
                           [--page benchmarks/scale.md] [--smoke] [--to benchmarks/results]

Each size is measured `--rounds` times with other vectors. Costs are the processor's time (user and system, all threads), bytes on
disk, and resident memory: what a busy machine changes least. A line is fitted to each; its slope is the cost, with a 95 %
interval by Student's t. `--beside` takes along the other rows of an earlier result, so that parts, sizes and rounds (from
`--first` on) can be measured one after the other; `--keep` keeps the indexes in between. `--page` writes the page of what
follows: totals at a size, where one machine ends, and why.

pins: vectors around the sample pins' are indexed (hnsw, no pictures decoded), opened by a fresh process and searched. people: a
file of saves is imported, and the graph learnt. requests: `visualsearch serve` answers one kind of request at a time; its
processor time by request. pictures: decoding and embedding by the bundled model.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from common import CORES, clean_environment, report
from costs_page import page

import visualsearch as vs

PARTS = ("pins", "people", "requests", "pictures")
QUERIES = 300
SAVED_PINS, BOARDS, BOARD = 3_000, 10, 10
"""Pins of the index whose saves are measured, boards of a person, pins of a board."""


# -- one measurement, in a process of its own -----------------------------------------------------------------------
def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def resident() -> float:
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pins(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Index `count` vectors."""
    vectors = synthetic.around(count, seed)
    began = time.process_time()
    with vs.create(folder, preset="hnsw") as index:
        index.add(synthetic.Made(vectors))
    return {"build_cpu_s": time.process_time() - began, "disk_mb": size_of(folder) / 1e6}


def searched(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Search what `pins` made, in a process that has done nothing else."""
    chance = np.random.default_rng(seed)
    names = [f"v{n}" for n in chance.integers(0, count, QUERIES)]
    with vs.open(folder) as index:
        before = resident()
        for name in names[:50]:
            index.search(like=name, k=10)
        began = time.process_time()
        for name in names:
            index.search(like=name, k=10)
        spent = time.process_time() - began
        return {
            "query_cpu_ms": 1000 * spent / len(names),
            "memory_mb": resident() - before,
            "recall": index.recall(),
        }


def people(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Import `count` saves of count / 100 people, and learn the graph of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from visualsearch.recommend import BUILDERS, learn

    chance = np.random.default_rng(seed)
    vectors = synthetic.around(SAVED_PINS, seed)
    with vs.create(folder, preset="exact") as index:
        index.add(synthetic.Made(vectors))
    persons = max(1, count // 100)
    # A board holds neighbours of the order by looks: boards of anything are left out of the graph.
    order = np.argsort((vectors @ synthetic.centres().T).argmax(1), kind="stable")
    starts = np.array([chance.permutation(SAVED_PINS // BOARD)[:BOARDS] for _ in range(persons)]) * BOARD
    saved = order[starts[:, :, None] + np.arange(BOARD)].reshape(persons, -1)
    table = pa.table(
        {
            "person": [f"p{n}" for n in range(persons) for _ in range(100)],
            "pin": [f"v{n}" for row in saved for n in row],
            "board": [f"board {n // BOARD}" for _ in range(persons) for n in range(100)],
        }
    )
    pq.write_table(table, folder.with_suffix(".parquet"))
    before = size_of(folder)
    with vs.open(folder) as index:
        began = time.process_time()
        done = index.people.import_file(folder.with_suffix(".parquet"), "saves")
        imported = time.process_time() - began
        if done.accepted != persons * 100:
            raise RuntimeError(f"{done.accepted} of {persons * 100} saves were taken: {done.bad[:2]}")
        index.people.store.alone("PRAGMA wal_checkpoint(TRUNCATE)")
        kept = size_of(folder) - before
        began = time.process_time()
        learn(index, BUILDERS, only=["graph"])
        learnt = time.process_time() - began
    return {
        "saves": persons * 100,
        "import_cpu_s": imported,
        "disk_mb": kept / 1e6,
        "learn_cpu_s": learnt,
        "learnt_mb": size_of(folder / "learnt") / 1e6,
    }


def pictures(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Decode and embed `count` of the sample pins, each as often as it takes."""
    encoder = vs.load_encoder("bundled")
    files = list(itertools.islice(itertools.cycle(synthetic.sample_pins()), count))
    encoder.embed_images(files[:8])
    began = time.process_time()
    encoder.embed_images(files)
    return {"embed_cpu_s": time.process_time() - began}


MEASURES: Mapping[str, Callable[[Path, int, int], dict[str, Any]]] = {
    "pins": pins,
    "searched": searched,
    "people": people,
    "pictures": pictures,
}


def alone(what: str, folder: Path, count: int, seed: int) -> dict[str, Any]:
    """A measurement by a process of its own; a smoke run, whose memory means nothing, needs none."""
    if "--smoke" in sys.argv:
        return MEASURES[what](folder, count, seed)
    words = [sys.executable, __file__, "--measure", what, str(folder), str(count), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, env=clean_environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"{what} of {count} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- requests -------------------------------------------------------------------------------------------------------
def cpu_of(process: int) -> float:
    """Processor seconds of a process, of its threads too."""
    values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _posts(path: str, bodies: Iterator[Any]) -> Callable[[int], bytes]:
    def made(_: int) -> bytes:
        body = json.dumps(next(bodies)).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    return made


def kinds(count: int, files: list[bytes]) -> dict[str, Callable[[int], bytes]]:
    """What is asked, by name."""
    from serve_load import picture_requests, pin_requests

    names = [f"v{n}" for n in range(count)]
    saves = (
        {"person": f"p{n % 500}", "pin": names[n % count], "board": f"b{n // count}"}
        for n in itertools.count()
    )
    events = (
        {
            "events": [
                {"event_id": f"{n}-{m}", "kind": "click", "person": f"p{m}", "pin": names[m]}
                for m in range(100)
            ]
        }
        for n in itertools.count()
    )
    return {
        "search by pin": pin_requests(names[:5000]),
        "search by picture": picture_requests(files),
        "save": _posts("/saves", saves),
        "100 events": _posts("/events", events),
    }


def requests(folder: Path, count: int, seconds: float) -> list[dict[str, Any]]:
    """Processor time of the server for each kind of request."""
    from serve_load import Server, load
    from serve_load import pictures as cut

    rows = []
    server = Server(folder)
    try:
        for name, request in kinds(count, cut(300)).items():
            asyncio.run(load(server, request, 1, min(1.0, seconds), 0.05))
            before, began = cpu_of(server.process.pid), time.perf_counter()
            found = asyncio.run(load(server, request, 4, seconds, 0.05))
            wall = time.perf_counter() - began
            spent = cpu_of(server.process.pid) - before
            answered = sum(n for status, n in found["statuses"].items() if status.startswith("2"))
            rows.append(
                {
                    "name": f"{name}, {count} pins",
                    "kind": name,
                    "pins": count,
                    "answered": answered,
                    "per_second": round(answered / wall, 1),
                    "p99_ms": found["p99_ms"],
                    "cpu_ms": 1000 * spent / max(1, answered),
                    "statuses": found["statuses"],
                }
            )
    finally:
        server.stop()
    return rows


# -- lines ----------------------------------------------------------------------------------------------------------
def line(points: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """A line through points (size in millions, cost): slope per million and what it begins with, with 95 % intervals.

    Two points have no interval: None.
    """
    from scipy import stats

    x, y = np.array(points).T
    fitted = stats.linregress(x, y)
    wide = float(stats.t.ppf(0.975, len(x) - 2)) if len(x) > 2 else None
    return {
        "slope": float(fitted.slope),
        "slope_error": None if wide is None else wide * float(fitted.stderr),
        "start": float(fitted.intercept),
        "start_error": None if wide is None else wide * float(fitted.intercept_stderr),
        "points": len(x),
        "r2": float(fitted.rvalue) ** 2,
    }


LINES = (
    ("pins", "build_cpu_s", "processor seconds to index"),
    ("pins", "disk_mb", "MB on disk"),
    ("pins", "memory_mb", "MB of memory to search"),
    ("pins", "query_cpu_ms", "processor time of a search by pin, in Python, at"),
    ("people", "import_cpu_s", "processor seconds to import"),
    ("people", "disk_mb", "MB on disk"),
    ("people", "learn_cpu_s", "processor seconds to learn the graph"),
    ("people", "learnt_mb", "MB of the graph"),
    ("pictures", "embed_cpu_s", "processor seconds to embed"),
)
COUNTED = {"pins": "pins", "people": "saves", "pictures": "pictures"}


def lines(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The fitted lines of what was measured."""
    found = []
    for part, name, what in LINES:
        points = [(row["size"] / 1e6, row[name]) for row in rows if row.get("part") == part]
        if len({x for x, _ in points}) > 1:
            found.append(
                {"part": part, "what": name, "says": f"{what} a million {COUNTED[part]}", **line(points)}
            )
    return found


def run(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure all parts."""
    rows: list[dict[str, Any]] = []

    def kept(part: str, size: int, turn: int, found: Mapping[str, Any]) -> None:
        rows.append({"name": f"{part}, {size}, round {turn}", "part": part, "size": size, **found})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)

    parts = given.parts.split(",")
    for turn in range(given.first, given.first + given.rounds):
        for count in given.pins if "pins" in parts else ():
            place = scratch / f"pins-{count}-{turn}"
            shutil.rmtree(place, ignore_errors=True)
            found = alone("pins", place, count, turn)
            kept("pins", count, turn, {**found, **alone("searched", place, count, turn)})
        for count in given.saves if "people" in parts else ():
            place = scratch / f"people-{count}-{turn}"
            shutil.rmtree(place, ignore_errors=True)
            found = alone("people", place, count, turn)
            kept("people", found["saves"], turn, found)
        for count in given.pictures if "pictures" in parts else ():
            kept("pictures", count, turn, alone("pictures", scratch, count, turn))
    if "requests" in parts:
        for count in given.pins[-1:] if given.smoke else given.pins:
            place = scratch / f"pins-{count}-0"
            if not place.exists():
                alone("pins", place, count, 0)
            rows += requests(place, count, given.seconds)
            print(json.dumps(rows[-4:]), file=sys.stderr, flush=True)
    if given.beside:
        new = {row["name"] for row in rows}
        before = json.loads(given.beside.read_text(encoding="utf-8"))["rows"]
        rows = [row for row in before if row["name"] not in new] + rows
    return {"rows": rows, "lines": lines(rows), "cores": CORES, "goals": []}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, fit, and write the page."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--pins", type=int, nargs="+", default=[30_000, 100_000, 300_000])
    options.add_argument("--saves", type=int, nargs="+", default=[50_000, 150_000, 500_000])
    options.add_argument("--pictures", type=int, nargs="+", default=[100, 300, 900])
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--parts", default=",".join(PARTS))
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--keep", type=Path)
    options.add_argument("--beside", type=Path)
    options.add_argument("--page", type=Path)
    options.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args(argv)
    if given.measure:
        what, folder, count, seed = given.measure
        print(json.dumps(MEASURES[what](Path(folder), int(count), int(seed))))
        return
    if given.smoke:
        given.pins, given.saves, given.pictures = [1_000, 2_000], [1_000, 2_000], [8, 16]
        given.rounds, given.seconds = 1, 0.3
    with tempfile.TemporaryDirectory() as scratch:
        place = given.keep or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        result = run(given, place)
    if given.page:
        given.page.write_text(page(result), encoding="utf-8")
    report("costs", result, given.to)


if __name__ == "__main__":
    main()
