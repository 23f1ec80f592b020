"""How recall, latency, memory and build time of our recipes grow from ten thousand to ten million rows, with one thread.

python benchmarks/scale.py CACHE [--rows 10000 100000 1000000 10000000] [--only NAME...] [--again] [--to benchmarks/results]

Each size has its rows_N.npy as benchmarks/vectors.py makes it, made here where it is missing. For each size and
recipe the least effort that reaches recall@10 of 0.95 on image queries is reported (`reached` false: the most that was tried).
Built and measured sizes are kept in CACHE, so a larger size can be added later.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import search
from common import goal, report

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
MOST_EXACT = 1_000_000  # beyond, the scan's time is its rows times the same nanoseconds
LEAST_LISTS = 100_000


def fits(name: str, rows: int) -> bool:
    """Whether a recipe is worth measuring at a size."""
    if name == "exact":
        return rows <= MOST_EXACT
    return rows >= LEAST_LISTS if "ivf" in name else rows <= 4_000_000


def least_effort(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fastest setting that reaches the recall, or the best one."""
    good = [t for t in trials if t["recall"] >= search.GOAL_RECALL]
    best = max(good, key=lambda t: t["per_second"]) if good else max(trials, key=lambda t: t["recall"])
    return {**best, "reached": bool(good)}


def run(cache: Path, sizes: Sequence[int], names: Sequence[str], again: bool) -> dict[str, Any]:
    """A row for each size and recipe."""
    rows = []
    for count in sizes:
        for name in names:
            if fits(name, count):
                trials = search.run(cache, count, [name], ["image"], again)
                rows.append(least_effort(trials))
    large = [r for r in rows if r["rows"] == 10_000_000 and r["reached"]]
    goals = []
    if large:
        best = min(large, key=lambda r: r["bytes_per_vector"])
        fp32 = "fp32 HNSW, float32 vectors and 2 x 16 links and more (computed)"
        more = {"recall": best["recall"]}
        goals.append(
            goal(
                "ann-10m-memory",
                best["bytes_per_vector"],
                theirs=2300,
                peer=fp32,
                unit="bytes/vector",
                **more,
            )
        )
    return {"rows": rows, "goals": goals}


def smoke(to: Path | None) -> None:
    """Two small sizes: recall holds, and bytes a vector stay what they are."""
    import vectors

    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "v"
        for size in (2000, 4000):
            vectors.make_small(cache, size)
        found = run(cache, (2000, 4000), ("hnsw",), True)
        if not all(r["reached"] for r in found["rows"]):
            raise SystemExit(f"recall below {search.GOAL_RECALL}: {[r['recall'] for r in found['rows']]}")
        report("scale", {"smoke": True, **found}, to)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the curves."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("cache", type=Path, nargs="?")
    options.add_argument("--rows", type=int, nargs="*", default=list(SIZES))
    options.add_argument("--only", nargs="*", choices=search.OURS, default=list(search.OURS))
    options.add_argument("--again", action="store_true")
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args(argv)
    if given.smoke:
        smoke(given.to)
        return
    if given.cache is None:
        options.error("give the CACHE that benchmarks/vectors.py made")
    _make_missing(given.cache, given.rows)
    report("scale", run(given.cache, given.rows, given.only, given.again), given.to)


def _make_missing(cache: Path, sizes: Sequence[int]) -> None:
    import json

    import numpy as np
    import vectors

    missing = [n for n in sizes if not (cache / f"rows_{n}.npy").exists()]
    if missing:
        seed = json.loads((cache / "about.json").read_text())["seed"]
        real, owners = np.load(cache / "real.npy"), np.load(cache / "real_owners.npy")
        maker = vectors.Maker(real, owners, vectors.Recipe(), seed)
        for count in missing:
            vectors.expand(maker, count, cache / f"rows_{count}.npy")


if __name__ == "__main__":
    main()
