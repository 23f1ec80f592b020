"""Exact top 10 over float16 rows: one query, and a batch of 64, against FAISS's IndexFlatIP over a float32 copy.

python benchmarks/exact.py [--rows ROWS.npy --queries QUERIES.npy] [--rounds 15] [--smoke] [--to benchmarks/results]

Rows and queries are what `vectors.py` makes (float16, (n, d)); without them, vectors around the samples that ship. Contestants
take turns within one process, each over all cores as it comes; bytes per vector are those in memory beside the mapped file.
IndexFlatIP runs one query on one thread, and a batch of 64 without a matrix product unless its threshold is lowered, so it
is measured both ways.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import goal, report

from visualsearch.nearest import ann, exact
from visualsearch.store.vectors import Segment, Vectors, write_segment
from visualsearch.types import Float32

K = 10
BATCH = 64


def stored(folder: Path, rows: Any) -> Vectors:
    """Rows as an index keeps them: a file of float16, mapped."""
    segment = Segment(0, write_segment(folder, 0, rows), 0, len(rows), np.arange(len(rows)))
    return Vectors(folder, [segment], rows.shape[1])


def in_milliseconds(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, called in turn; the first round, in which files and caches warm, is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            spent[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values[1:]) for name, values in spent.items()}


def first_seconds(folder: Path, query: Float32, dim: int, count: int) -> float:
    """Milliseconds of a process's first scan, the file in the page cache: what one command pays."""
    segment = Segment(0, "vectors/000000.npy", 0, count, np.arange(count))
    start = time.perf_counter()
    exact.scan(Vectors(folder, [segment], dim), query, K)
    return 1000 * (time.perf_counter() - start)


def agreement(answers: list[exact.Found], rows: Any, queries: Float32) -> float:
    """Share of answers that are, in their order, those of a float64 product over the same rows."""
    wanted = [
        np.argsort(-np.asarray(rows.astype(np.float64) @ q, np.float32), kind="stable")[:K] for q in queries
    ]
    return float(np.mean([np.array_equal(a[1], w) for a, w in zip(answers, wanted, strict=True)]))


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=Path)
    options.add_argument("--queries", type=Path)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.rows and given.queries:
        rows, queries = np.load(given.rows, mmap_mode="r"), np.load(given.queries).astype(np.float32)
    else:
        from synthetic import around

        made = around(5_000 if given.smoke else 100_000, 1)
        rows, queries = made.astype(np.float16), around(BATCH, 2)
    queries = np.ascontiguousarray(queries[:BATCH])
    rounds = 3 if given.smoke else given.rounds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        vectors = stored(folder, rows)
        first = first_seconds(folder, queries[0], vectors.dim, len(vectors))
        import faiss  # the peer, after our own first scan has paid for the import

        flat = faiss.IndexFlatIP(vectors.dim)
        for at in range(0, len(rows), 65_536):
            flat.add(rows[at : at + 65_536].astype(np.float32))
        stored_rows = next(vectors.stored())[1]
        usual = faiss.cvar.distance_compute_blas_threshold

        def by_product(batch: Float32) -> None:
            faiss.cvar.distance_compute_blas_threshold = 1
            flat.search(batch, K)
            faiss.cvar.distance_compute_blas_threshold = usual

        one = in_milliseconds(
            {
                "IndexFlatIP": lambda: flat.search(queries[:1], K),
                "visualsearch": lambda: exact.scan(vectors, queries[0], K),
                "visualsearch, one core": lambda: ann.scan_halves(stored_rows, queries[0], K + exact.SPARE),
            },
            rounds,
        )
        batch = in_milliseconds(
            {
                "IndexFlatIP": lambda: flat.search(queries, K),
                "IndexFlatIP, product forced": lambda: by_product(queries),
                "visualsearch": lambda: exact.scan_many(vectors, queries, K),
            },
            max(3, rounds // 2),
        )
        answers = exact.scan_many(vectors, queries, K)
        alone = [exact.scan(vectors, q, K) for q in queries]
    listed = [
        {
            "name": f"{name}, {count} quer{'y' if count == 1 else 'ies'}",
            "queries": count,
            "milliseconds": round(ms, 3),
            "ms_per_query": round(ms / count, 3),
            "bytes_per_vector": 0 if name.startswith("visualsearch") else 4 * rows.shape[1],
        }
        for count, figures in ((1, one), (BATCH, batch))
        for name, ms in figures.items()
    ]
    report(
        "exact",
        {
            "vectors": {"rows": len(rows), "dim": rows.shape[1]},
            "rows": listed,
            "first_scan_ms": round(first, 2),
            "same_as_float64": {
                "one": agreement(alone, rows, queries),
                "batch": agreement(answers, rows, queries),
            },
            "goals": [
                goal(
                    key,
                    ours["visualsearch"] / 1000,
                    theirs=ours["IndexFlatIP"] / 1000,
                    peer="IndexFlatIP",
                    unit="s",
                )
                for key, ours in (("exact-one", one), ("exact-batch", batch))
            ],
        },
        given.to,
    )


if __name__ == "__main__":
    main()
