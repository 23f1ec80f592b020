"""The graph of saves at size: how long it takes to build, what it takes of memory, how fast and how well it is walked.

python benchmarks/recommend.py [--saves 1e6,1e7,1e8] [--queries 200] [--smoke] [--to benchmarks/results]

The saves are drawn: pins have topics and a long-tailed popularity, boards have a topic and a log-normal size, and a tenth of a
board's pins are of any topic. There are 5 saves a pin and 20 a board. The graph is written as `learn` writes it, and walked
from the memory-mapped files. Query pins have at least three saves.
Peers in the same run: single walkers of 200,000 steps in compiled code (Pixie's way), and from the same arrays a personalised
PageRank with scipy.sparse (up to 10 million saves). A top 20 is compared with that of the long walk, 10 million single steps,
and with that of the 200,000 single steps. `cpu_` figures are the processor's time in the thread: what a machine without other
work takes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import missing, report, skipped

from visualsearch.compiled import WALKS, loop
from visualsearch.recommend import Part, open_learnt, write_learnt
from visualsearch.recommend.links import Links, PackedNames, build, from_arrays
from visualsearch.recommend.walk import RESTART, Start, Visits, Walkable, walk

STEPS, LONG = 200_000, 10_000_000
TOP = 20
BLOCK = 200_000


def drawn(saves: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int, int]:
    """(n,) pins and boards of about `saves` saves, and how many pins and boards there are."""
    rng = np.random.default_rng(seed)
    pins, boards = saves // 5, saves // 20
    topics = max(10, pins // 2000)
    per = pins // topics
    sizes = rng.lognormal(0, 1.2, boards)
    sizes = np.maximum(2, sizes * saves / sizes.sum()).astype(np.int64)
    named = rng.permutation(pins).astype(np.int32)
    found_pins, found_boards = [], []
    for first in range(0, boards, BLOCK):
        board = np.repeat(np.arange(first, min(boards, first + BLOCK)), sizes[first : first + BLOCK])
        topic = rng.integers(0, topics, boards)[board] if boards <= BLOCK else board * 7919 % topics
        pin = topic * per + (per * rng.random(len(board)) ** 2.5).astype(np.int64)
        stray = rng.random(len(board)) < 0.1
        pin[stray] = rng.integers(0, topics * per, int(stray.sum()))
        key = np.unique((board << 32) | named[pin])
        found_boards.append((key >> 32).astype(np.int32))
        found_pins.append((key & 0xFFFFFFFF).astype(np.int32))
    return np.concatenate(found_pins), np.concatenate(found_boards), pins, boards


def names(boards: int) -> PackedNames:
    """Ids as the record of people makes them: 17 letters."""
    text = np.char.mod("b%016x", np.arange(boards)).astype("S17")
    return PackedNames(np.frombuffer(text.tobytes(), np.uint8), np.arange(boards + 1, dtype=np.int64) * 17)


def _single(compile_: Callable[..., Any]) -> Any:
    """The peer: one walker after the other, one step after the other; visits of each pin as a count."""

    def steps(po, pl, bo, bl, pin_low, board_low, query, count, restart, seed, out):  # type: ignore[no-untyped-def]
        np.random.seed(seed)
        pin = query
        for at in range(count):
            board = pl[po[pin] + np.int64(np.random.random() * (np.int64(po[pin + 1]) - po[pin]))] & board_low
            pin = (
                bl[bo[board] + np.int64(np.random.random() * (np.int64(bo[board + 1]) - bo[board]))] & pin_low
            )
            out[at] = pin
            if np.random.random() < restart:
                pin = query

    return compile_(steps)


def _top(nodes: np.ndarray, scores: np.ndarray) -> set[int]:
    return set(nodes[np.lexsort((nodes, -scores))[:TOP]].tolist())


def _visited(out: np.ndarray, query: int) -> set[int]:
    nodes, counts = np.unique(out, return_counts=True)
    return _top(nodes[nodes != query], counts[nodes != query])


def _milliseconds(each: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.percentile(each, 50)), 2),
        "p99_ms": round(float(np.percentile(each, 99)), 2),
    }


def _share(ours: dict[int, set[int]], theirs: dict[int, set[int]]) -> float:
    return round(float(np.mean([len(ours[q] & theirs[q]) / max(1, len(theirs[q])) for q in theirs])), 4)


def _timed(work: Callable[[int], Any], queries: list[int]) -> tuple[dict[int, Any], dict[str, float]]:
    found, each, own = {}, [], []
    for query in queries:
        start, used = time.perf_counter(), time.thread_time()
        found[query] = work(query)
        each.append(1000 * (time.perf_counter() - start))
        own.append(1000 * (time.thread_time() - used))
    cpu = {f"cpu_{name}": value for name, value in _milliseconds(own).items()}
    return found, {**_milliseconds(each), **cpu}


def _built(saves: int, folder: Path) -> tuple[Links, dict[str, Any]]:
    pin, board, pins, boards = drawn(saves)
    packed = names(boards)
    start = time.perf_counter()
    made = build(pin, board, np.arange(pins, dtype=np.int64), packed, values={"watermark": 0, "sample": []})
    seconds = time.perf_counter() - start
    count = len(made)
    start = time.perf_counter()
    write_learnt(folder, [Part("graph", "", made.arrays(), made.values)], watermark=0, seed=0)
    written = time.perf_counter() - start
    del made, pin, board
    learnt = open_learnt(folder)
    part = None if learnt is None else learnt.part("graph")
    if part is None:
        raise SystemExit("the graph was not written")
    start = time.perf_counter()
    links = from_arrays(part.arrays, part.values)
    row = {
        "name": "build",
        "saves": count,
        "pins": len(links.numbers),
        "boards": len(links.guests),
        "build_s": round(seconds, 1),
        "write_s": round(written, 1),
        "open_s": round(time.perf_counter() - start, 2),
        "mapped_gb": round(links.nbytes / 1e9, 3),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    return links, row


def _measure(saves: int, count: int, folder: Path) -> list[dict[str, Any]]:
    links, row = _built(saves, folder)
    graph = Walkable(
        links.pins, links.boards, links.shifts, np.zeros(0, np.int64), int(links.values["largest"])
    )
    degrees = np.diff(links.pins.offsets.astype(np.int64))
    rng = np.random.default_rng(1)
    queries = rng.choice(np.flatnonzero(degrees >= 3), count, replace=False).tolist()

    def ours(query: int, compiled: bool = True, seed: int = 0) -> Visits:
        return walk(graph, [Start(query)], seed=seed, compiled=compiled)

    rows = [row]
    tops: dict[str, dict[int, set[int]]] = {}
    if WALKS.ready is not None:
        for query in queries[:20]:
            ours(query)
        found, times = _timed(ours, queries)
        tops["compiled walk"] = {q: _top(v.nodes, v.scores) for q, v in found.items()}
        with ThreadPoolExecutor(2) as pool:
            start, used = time.perf_counter(), time.process_time()
            list(pool.map(ours, queries * 2))
            seconds, own = time.perf_counter() - start, time.process_time() - used
        rates = {"per_second_2_threads": 2 * len(queries) / seconds, "per_cpu_second": 2 * len(queries) / own}
        rows.append({"name": "compiled walk", **times, **{name: round(rate) for name, rate in rates.items()}})
    found, times = _timed(lambda q: ours(q, False), queries[: max(10, count // 4)])
    tops["numpy walk"] = {q: _top(v.nodes, v.scores) for q, v in found.items()}
    rows.append({"name": "numpy walk", **times})
    if WALKS.ready is not None:
        rows += _peers(links, queries, tops)
    if missing("scipy") is None and saves <= 10_000_000:
        rows.append(_pagerank(links, queries[:10], tops))
    for each in rows[1:]:
        for reference in ("10M single steps", "200k single steps"):
            if each["name"] in tops and reference in tops and each["name"] != reference:
                shared = {q: t for q, t in tops[reference].items() if q in tops[each["name"]]}
                if shared:
                    each[f"top20_of_{reference.replace(' ', '_')}"] = _share(tops[each["name"]], shared)
    return [{**each, "name": f"{saves:,} saves, {each['name']}"} for each in rows]


def _peers(links: Links, queries: list[int], tops: dict[str, dict[int, set[int]]]) -> list[dict[str, Any]]:
    single = _single(loop)
    low = [(1 << shift) - 1 for shift in links.shifts]
    out = np.empty(LONG, np.int32)

    def steps(query: int, count: int, seed: int) -> set[int]:
        part = out[:count]
        single(
            links.pins.offsets, links.pins.links, links.boards.offsets, links.boards.links, *low, query, count,
            RESTART, seed, part,
        )  # fmt: skip
        return _visited(part, query)

    steps(queries[0], 1000, 0)
    tops["200k single steps"], times = _timed(lambda q: steps(q, STEPS, 1), queries)
    tops["200k single steps, another seed"], _ = _timed(lambda q: steps(q, STEPS, 2), queries)
    tops["10M single steps"], _ = _timed(lambda q: steps(q, LONG, 3), queries[:25])
    return [{"name": "200k single steps", **times}, {"name": "200k single steps, another seed"}]


def _pagerank(links: Links, queries: list[int], tops: dict[str, dict[int, set[int]]]) -> dict[str, Any]:
    import scipy.sparse as sp

    low = (1 << links.shifts[1]) - 1
    shape = (len(links.numbers), len(links.guests))
    ones = np.ones(len(links), np.float32)
    saved = sp.csr_matrix((ones, links.pins.links & low, links.pins.offsets.astype(np.int64)), shape)
    by_pin = (sp.diags_array(1 / np.asarray(saved.sum(1)).ravel()) @ saved).T.tocsr().astype(np.float32)
    held = saved.T.tocsr()
    by_board = (sp.diags_array(1 / np.asarray(held.sum(1)).ravel()) @ held).T.tocsr().astype(np.float32)

    def ranked(query: int) -> set[int]:
        at, total = np.zeros(shape[0], np.float32), np.zeros(shape[0], np.float32)
        at[query] = 1
        for _ in range(15):
            at = by_board @ (by_pin @ at)
            total += at
            at = (1 - RESTART) * at
        total[query] = 0
        best = np.argpartition(-total, 2 * TOP)[: 2 * TOP]
        return _top(best, total[best])

    tops["scipy PageRank"], times = _timed(ranked, queries)
    return {"name": "scipy PageRank", **times}


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saves", default="1e6,1e7,1e8")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    sizes = [int(float(each)) for each in options.saves.split(",")]
    if options.smoke:
        sizes, options.queries = [20_000], 10
    WALKS.load()
    rows: list[dict[str, Any]] = []
    if WALKS.ready is None:
        rows.append(skipped("compiled walk", missing("numba") or "numba cannot be loaded"))
    for saves in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += _measure(saves, options.queries, Path(folder))
    report("recommend", {"rows": rows, "goals": []}, options.to)


if __name__ == "__main__":
    main()
