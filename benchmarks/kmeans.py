"""Seconds to find the centroids of inverted lists, and how well they quantise, against faiss.Clustering as it comes.

python benchmarks/kmeans.py CACHE [--points 262144] [--centroids 16384] [--rounds 25] [--to benchmarks/results]

All get the same points (rows of CACHE, which benchmarks/vectors.py made), the same number of rounds and all cores; each
runs in a process of its own, since matrix products are chosen when a library is loaded. `error` is the mean squared
distance of 20,000 other rows to the nearest centroid. `as it comes` is what `pip install faiss-cpu` gives: the OpenBLAS
in its wheel takes Zen 4 and Zen 5 for processors without AVX-512. FAISS's default is 25 rounds; SuperKMeans prunes from the
second on and `visualsearch.nearest.clustering` saves from the second on, so fewer rounds favour plain k-means.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import clean_environment, goal, report
from numpy.typing import NDArray

HELD_OUT = 20_000
SEED = 7


def _plain(library: Any, points: NDArray[np.float32], centroids: int, rounds: int) -> NDArray[np.float32]:
    found = library.Kmeans(
        points.shape[1], centroids, niter=rounds, seed=SEED, max_points_per_centroid=1 << 20
    )
    found.train(points)
    return found.centroids


def _pruned(library: Any, points: NDArray[np.float32], centroids: int, rounds: int) -> NDArray[np.float32]:
    found = library.SuperKmeans(
        points.shape[1], centroids, niter=rounds, seed=SEED, max_points_per_centroid=1 << 20
    )
    found.train(points)
    return found.centroids


def _around(library: Any, points: NDArray[np.float32], centroids: int, rounds: int) -> NDArray[np.float32]:
    from visualsearch.nearest import clustering

    return clustering.centroids(library, points, centroids, rounds=rounds, seed=SEED)


Find = Callable[[Any, NDArray[np.float32], int, int], NDArray[np.float32]]
CONTESTANTS: Mapping[str, tuple[str, bool, Find]] = {
    "plain": ("faiss.Clustering as it comes", False, _plain),
    "plain-avx512": ("faiss.Clustering, AVX-512 kernels", True, _plain),
    "pruned": ("SuperKMeans, AVX-512 kernels", True, _pruned),
    "around": ("visualsearch.clustering, AVX-512 kernels", True, _around),
}


def measure(cache: Path, name: str, points: int, centroids: int, rounds: int) -> dict[str, Any]:
    """One contestant's seconds and error."""
    rows = np.load(max(cache.glob("rows_*.npy"), key=lambda p: p.stat().st_size), mmap_mode="r")
    data = rows[:points].astype(np.float32)
    held = rows[-min(HELD_OUT, len(rows) // 4) :].astype(np.float32)
    title, wide, find = CONTESTANTS[name]
    if wide:
        from visualsearch.nearest.ann import library

        faiss = library()
    else:
        import faiss
    start = time.perf_counter()
    found = find(faiss, data, centroids, rounds)
    spent = time.perf_counter() - start
    index = faiss.IndexFlatL2(found.shape[1])
    index.add(np.ascontiguousarray(found))
    error = float(index.search(held, 1)[0].mean())
    figures = {"seconds": round(spent, 2), "error": round(error, 5), "points": len(data)}
    return {"name": title, "key": name, **figures, "centroids": centroids, "rounds": rounds}


def _child(cache: Path, name: str, given: argparse.Namespace) -> dict[str, Any]:
    words = [sys.executable, str(Path(__file__)), str(cache), "--child", name]
    words += ["--points", str(given.points), "--centroids", str(given.centroids)]
    words += ["--rounds", str(given.rounds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=clean_environment())
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("cache", type=Path, nargs="?")
    options.add_argument("--points", type=int, default=262_144)
    options.add_argument("--centroids", type=int, default=16_384)
    options.add_argument("--rounds", type=int, default=25)
    options.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    options.add_argument("--child", choices=CONTESTANTS, help=argparse.SUPPRESS)
    given = options.parse_args(argv)
    if given.smoke:
        smoke(given)
        return
    if given.cache is None:
        options.error("give the CACHE that benchmarks/vectors.py made")
    if given.child:
        figures = measure(given.cache, given.child, given.points, given.centroids, given.rounds)
        print(json.dumps(figures))
        return
    report("kmeans", compared(given.cache, given), given.to)


def compared(cache: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All contestants, and the fastest of ours that quantises as well as the plain one."""
    rows = [_child(cache, name, given) for name in given.only]
    by_key = {r["key"]: r for r in rows}
    plain, goals = by_key.get("plain"), []
    if plain:
        good = [r for r in rows if r["key"] != "plain" and r["error"] <= 1.001 * plain["error"]]
        if good:
            best = min(good, key=lambda r: r["seconds"])
            more = {"error": best["error"], "error_of_peer": plain["error"]}
            goals.append(
                goal("kmeans", best["seconds"], theirs=plain["seconds"], peer=plain["name"], unit="s", **more)
            )
    return {"rows": rows, "goals": goals}


def smoke(given: argparse.Namespace) -> None:
    """A few centroids: pruning must not cost quality."""
    import vectors

    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "v"
        vectors.make_small(cache, 4000)
        given.points, given.centroids, given.rounds = 3000, 64, 4
        found = compared(cache, given)
        errors = {r["key"]: r["error"] for r in found["rows"]}
        if max(errors.values()) > 1.05 * errors["plain"]:
            raise SystemExit(f"quantisation errors differ by more than 5 %: {errors}")
        report("kmeans", {"smoke": True, "rows": found["rows"], "goals": []}, given.to)


if __name__ == "__main__":
    main()
