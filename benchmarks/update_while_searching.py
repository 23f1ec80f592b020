"""Searching while pins are added and removed: rate, latency, recall, and seconds until an added pin is found.

    python benchmarks/update_while_searching.py [--rows 100000] [--add 200] [--every 1] [--readers 1] [--seconds 30]
                                                [--vectors rows.npy] [--smoke] [--to benchmarks/results]

A writer, a process of its own, adds `--add` pins every `--every` seconds and removes those it added KEPT rounds before: finished
embeddings, so that nothing but the index is measured. Readers, processes of their own, search one vector at a time, k = 10:
first alone, then beside the writer. Every other search of the first reader asks for a pin of the newest round, until it is found.
After each removal the readers must not see the removed pins again. In the end, recall@10 among everything that is live is
measured against a plain matrix product, for queries beside old rows and beside fresh ones.

`--vectors` takes rows made by vectors.py (the bundled encoder's dimension); without it they are made by synthetic.py.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from common import FORCING, report

import visualsearch as vs
from visualsearch.types import Float32

K = 10
KEPT = 5
ROWS = "rows.npy"
NEAR = 0.3
"""Length of what is added to a row to make a query beside it: a cosine of about 0.96."""
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Seen:
    """What a reader saw in one phase. Times are in seconds of the clock that all processes share."""

    seconds: list[float] = field(default_factory=list)
    found: dict[int, float] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    stale: int = 0
    errors: list[str] = field(default_factory=list)
    duration: float = 0.0


@dataclass
class Written:
    """What the writer did: when each round's adding began, was committed, and how long adding and removing took."""

    began: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)
    adding: list[float] = field(default_factory=list)
    removing: list[float] = field(default_factory=list)
    late: float = 0.0
    errors: list[str] = field(default_factory=list)


def fresh(rows: Float32, number: int, count: int) -> Float32:
    """(count, d) unit vectors of the pins of a round: rows of the collection, moved far enough to be things of their own."""
    rng = np.random.default_rng([1, number])
    return beside(rows[rng.integers(0, len(rows), count)], rng, 0.7)


def beside(rows: Float32, rng: np.random.Generator, length: float) -> Float32:
    """Unit vectors at a random step of `length` from unit rows (n, d)."""
    step = rng.standard_normal(rows.shape, dtype=np.float32) * np.float32(length / np.sqrt(rows.shape[1]))
    moved: Float32 = rows + step
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def write(place: str, given: argparse.Namespace, state: Any, ready: Any, results: Any) -> None:
    """The writer: rounds at a steady rate until the phase ends."""
    done = Written()
    rows = np.load(Path(place).parent / ROWS, mmap_mode="r")
    with vs.open(place) as index:
        ready.wait()
        start = time.monotonic()
        for number in range(int(given.seconds / given.every)):
            time.sleep(max(0.0, start + number * given.every - time.monotonic()))
            done.late = max(done.late, time.monotonic() - start - number * given.every)
            try:
                begun = time.monotonic()
                done.began.append(begun)
                state["began"].value = number
                index.add(synthetic.Made(fresh(rows, number, given.add), f"r{number}-"))
                done.committed.append(time.monotonic())
                done.adding.append(done.committed[-1] - begun)
                if number >= KEPT:
                    old = number - KEPT
                    index.remove([f"r{old}-{i}" for i in range(given.add)])
                    done.removing.append(time.monotonic() - done.committed[-1])
                    state["removed"].value = old
            except Exception as error:
                done.errors.append(repr(error))
    state["over"].value = 1
    results.put(done)


def read(place: str, given: argparse.Namespace, state: Any, ready: Any, results: Any, number: int) -> None:
    """A reader: searches until the phase ends."""
    rows = np.load(Path(place).parent / ROWS, mmap_mode="r")
    rng = np.random.default_rng([2, number])
    queries = beside(rows[rng.integers(0, len(rows), 1000)], rng, NEAR)
    seen = Seen()
    with vs.open(place) as index:
        for query in queries[:20]:
            index.nearest(query[None], k=K)
        ready.wait()
        start = time.monotonic()
        for turn in _turns(state, start, given.seconds):
            newest, removed = state["began"].value, state["removed"].value
            probe = number == 0 and turn % 2 == 0 and newest >= 0 and newest not in seen.found
            query = fresh(rows, newest, given.add)[0] if probe else queries[turn % len(queries)]
            begun = time.monotonic()
            try:
                hits = index.nearest(query[None], k=K)[0]
            except Exception as error:
                seen.errors.append(repr(error))
                continue
            ended = time.monotonic()
            seen.seconds.append(ended - begun)
            rounds = [int(name[1:].split("-")[0]) for name in hits.ids if name.startswith("r")]
            seen.stale += any(0 <= found <= removed for found in rounds)
            if probe:
                seen.asked[newest] = seen.asked.get(newest, 0) + 1
                if hits.ids[:1] == [f"r{newest}-0"]:
                    seen.found[newest] = ended
        seen.duration = time.monotonic() - start
    results.put(seen)


def _turns(state: Any, start: float, seconds: float) -> Iterator[int]:
    """Numbers until the writer is done, or, without one, until the time is up."""
    turn = 0
    while not state["over"].value and (state["writer"] or time.monotonic() < start + seconds):
        yield turn
        turn += 1


def phase(place: Path, given: argparse.Namespace, writer: bool) -> tuple[list[Seen], Written | None]:
    """Readers, alone or beside the writer; all begin together."""
    state = {name: SPAWN.Value("i", -1 if name != "over" else 0) for name in ("began", "removed", "over")}
    state["writer"] = writer
    ready, seen_by, written_by = SPAWN.Barrier(given.readers + writer), SPAWN.Queue(), SPAWN.Queue()
    shared = (str(place), given, state, ready)
    processes = [
        SPAWN.Process(target=read, args=(*shared, seen_by, number), daemon=True)
        for number in range(given.readers)
    ]
    if writer:
        processes.append(SPAWN.Process(target=write, args=(*shared, written_by), daemon=True))
    for process in processes:
        process.start()
    seen = [_result(seen_by, processes) for _ in range(given.readers)]
    written = _result(written_by, processes) if writer else None
    for process in processes:
        process.join()
    return seen, written


def _result(results: Any, processes: Sequence[Any]) -> Any:
    """What a process hands over; an error when one of them has failed instead."""
    while True:
        try:
            return results.get(timeout=1)
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a reader or the writer failed; its error is above") from None


def summary(name: str, seen: Sequence[Seen]) -> dict[str, Any]:
    """A row of figures over all readers."""
    times = np.concatenate([np.array(s.seconds) for s in seen]) * 1000
    return {
        "name": name,
        "readers": len(seen),
        "per_second": round(sum(len(s.seconds) / s.duration for s in seen), 1),
        "p50_ms": round(float(np.percentile(times, 50)), 3),
        "p99_ms": round(float(np.percentile(times, 99)), 3),
        "max_ms": round(float(times.max()), 1),
        "searches": len(times),
        "errors": sum(len(s.errors) for s in seen),
        "first_errors": [e for s in seen for e in s.errors][:3],
    }


def freshness(seen: Seen, written: Written, given: argparse.Namespace) -> dict[str, Any]:
    """How soon the pins of a round were found, and how the writer fared."""
    rounds = [n for n in range(len(written.committed)) if n in seen.asked]
    found = [n for n in rounds if n in seen.found]
    since_add = [1000 * (seen.found[n] - written.began[n]) for n in found]
    since_commit = [1000 * (seen.found[n] - written.committed[n]) for n in found]
    return {
        "rounds": len(written.committed),
        "rounds_asked_for": len(rounds),
        "rounds_found": len(found),
        "found_after_add_began_ms": _spread(since_add),
        "found_after_add_returned_ms": _spread(since_commit),
        "add_ms": _spread([1000 * s for s in written.adding]),
        "remove_ms": _spread([1000 * s for s in written.removing]),
        "added_per_second": round(given.add * len(written.committed) / (given.seconds or 1), 1),
        "removed_per_second": round(given.add * len(written.removing) / (given.seconds or 1), 1),
        "writer_late_by_s": round(written.late, 3),
        "writer_errors": written.errors[:3],
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": round(float(np.median(values)), 1), "max": round(max(values), 1)}


def recalls(
    place: Path, rows: Float32, given: argparse.Namespace, rounds: int, queries: int
) -> dict[str, float]:
    """recall@10 after the last round, for queries beside old rows and beside fresh ones, against all live rows."""
    live = range(max(0, rounds - KEPT), rounds)
    added = [fresh(rows, number, given.add) for number in live]
    names = [f"v{i}" for i in range(len(rows))] + [f"r{n}-{i}" for n in live for i in range(given.add)]
    # The index keeps float16: what is compared is how it finds them, not how it rounds them.
    everything = np.concatenate([rows, *added]).astype(np.float16)
    rng = np.random.default_rng(3)
    sources = {"recall": rows, "recall_fresh": np.concatenate(added)}
    out = {}
    with vs.open(place) as index:
        if len(index) != len(names):
            raise RuntimeError(f"{len(names):,} pins should be left, not {len(index):,}")
        for name, base in sources.items():
            asked = beside(base[rng.integers(0, len(base), queries)], rng, NEAR)
            scores = np.concatenate(
                [
                    asked @ everything[at : at + 65_536].astype(np.float32).T
                    for at in range(0, len(names), 65_536)
                ],
                1,
            )
            best = np.argpartition(-scores, K, axis=1)[:, :K]
            right = [
                len({names[i] for i in row} & set(hits.ids))
                for row, hits in zip(best, index.nearest(asked, k=K), strict=True)
            ]
            out[name] = round(float(np.mean(right)) / K, 4)
    return out


@contextmanager
def base(given: argparse.Namespace) -> Iterator[tuple[Path, Float32, dict[str, Any]]]:
    """The index that is searched, its vectors, and what there is to say about it."""
    if given.vectors is None:
        rows = synthetic.around(given.rows, 0)
    else:
        rows = np.load(given.vectors, mmap_mode="r")[: given.rows].astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "made.index"
        with vs.create(place) as index:
            index.add(synthetic.Made(rows))
            about = {name: index.info()[name] for name in ("pins", "dim", "preset", "recall")}
        np.save(Path(scratch) / ROWS, rows)
        yield place, rows, about


def main() -> None:
    """Run both phases."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--vectors", type=Path, help="float16 (n, d) .npy, instead of made-up ones")
    options.add_argument("--add", type=int, default=200, help="pins a round")
    options.add_argument("--every", type=float, default=1.0, help="seconds from round to round")
    options.add_argument("--readers", type=int, default=1)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--smoke", action="store_true", help="two thousand rows, ten short rounds")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.smoke:
        given.rows, given.add, given.every, given.seconds = 2000, 20, 0.2, 2.0
    for name in FORCING:  # readers and writer import numpy anew
        os.environ.pop(name, None)
    with base(given) as (place, rows, about):
        alone, _ = phase(place, given, writer=False)
        print(summary("readers alone", alone), file=sys.stderr, flush=True)
        beside_writer, written = phase(place, given, writer=True)
        assert written is not None
        busy = summary("beside the writer", beside_writer)
        busy |= {"stale": sum(s.stale for s in beside_writer), **freshness(beside_writer[0], written, given)}
        busy |= recalls(place, rows, given, len(written.committed), 50 if given.smoke else 300)
    report(
        "update_while_searching", {"index": about, "rows": [summary("readers alone", alone), busy]}, given.to
    )


if __name__ == "__main__":
    main()
