"""Recall, queries a second, latency, memory and build time of approximate searches, with one thread, ours and others'.

python benchmarks/search.py CACHE [--rows 1000000] [--only NAME...] [--again] [--to benchmarks/results]

CACHE is what benchmarks/vectors.py made. Every contestant builds its index once into CACHE/built and keeps it; then each is
loaded alone, in a process of its own, and asked query by query with one thread, the same queries in the same order, at
rising effort. What was built or measured is kept; --again measures anew, so that all figures are of one call.

recall is recall@10 against the exact answers. `bytes_per_vector` is the index itself: what must lie in memory. Ours leaves
the float16 rows on disk and rescores candidates from the mapped file; `mapped_mb` is how much of files the process had in
memory after the queries, which the system may take back. Image queries are views of held-out pictures; text queries are
out of distribution (see vectors.py).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import clean_environment, goal, missing_of, report, skipped
from numpy.typing import NDArray
from peers import ann_autofaiss, ann_faiss, ann_hnswlib, ann_scann, ann_usearch
from peers.ann_ours import Ours

K = 10
WARM = 100
TEXT_QUERIES = 200
GOAL_RECALL = 0.95
CONTESTANTS: Mapping[str, Any] = {
    "hnsw": Ours("hnsw"),
    "ivf-rabitq": Ours("ivf-rabitq"),
    "ivf-rabitq-compact": Ours("ivf-rabitq-compact"),
    "exact": Ours("exact"),
    "hnswlib": ann_hnswlib,
    "usearch": ann_usearch,
    "scann": ann_scann,
    "faiss-hnsw": ann_faiss.HNSW,
    "faiss-ivfpq": ann_faiss.IVFPQ,
    "faiss-flat": ann_faiss.FLAT,
    "faiss-nsg": ann_faiss.NSG,
    "faiss-panorama": ann_faiss.PANORAMA,
    "faiss-hnsw-panorama": ann_faiss.HNSW_PANORAMA,
    "autofaiss": ann_autofaiss,
}
OURS = tuple(name for name, contestant in CONTESTANTS.items() if isinstance(contestant, Ours))
GRAPHS = ("hnswlib", "usearch", "faiss-hnsw")


def truth(cache: Path, rows: NDArray[np.float16], kind: str) -> NDArray[np.int64]:
    """(q, K) exact answers, kept in the cache."""
    file = cache / f"truth_{kind}_{len(rows)}.npy"
    if not file.exists():
        queries = np.load(cache / f"queries_{kind}.npy").astype(np.float32)
        best = np.full((len(queries), K), -np.inf, np.float32)
        found = np.zeros((len(queries), K), np.int64)
        for at in range(0, len(rows), 20_000):
            scores = queries @ np.asarray(rows[at : at + 20_000], np.float32).T
            top = np.argpartition(scores, -min(K, scores.shape[1]), axis=1)[:, -K:]
            best = np.concatenate([best, np.take_along_axis(scores, top, 1)], axis=1)
            found = np.concatenate([found, top + at], axis=1)
            keep = np.argsort(-best, axis=1)[:, :K]
            best, found = np.take_along_axis(best, keep, 1), np.take_along_axis(found, keep, 1)
        np.save(file, found)
    return np.load(file)


def built(cache: Path, name: str, rows: int) -> Path:
    """Where a contestant's index is kept."""
    return cache / "built" / f"{name}-{rows}"


def build(cache: Path, name: str, count: int, threads: int) -> None:
    """Build and note what it cost. Processor seconds tell more than the clock where others use the machine too."""
    folder = built(cache, name, count)
    folder.mkdir(parents=True, exist_ok=True)
    data = np.load(cache / f"rows_{count}.npy", mmap_mode="r")
    clock, cpu = time.perf_counter(), time.process_time()
    CONTESTANTS[name].build(data, folder, threads)
    cost = {
        "build_s": round(time.perf_counter() - clock, 1),
        "build_cpu_s": round(time.process_time() - cpu, 1),
        "build_threads": threads,
        "build_peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    note = folder.with_suffix(".json")
    note.write_text(json.dumps(cost))


def measure(cache: Path, name: str, count: int, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of one contestant, one for each setting and kind of query."""
    contestant, folder = CONTESTANTS[name], built(cache, name, count)
    data = np.load(cache / f"rows_{count}.npy", mmap_mode="r")
    before = _resident()
    loaded = contestant.load(folder, data)
    found = []
    for kind in kinds:
        queries = np.load(cache / f"queries_{kind}.npy").astype(np.float32)
        answers = np.load(cache / f"truth_{kind}_{count}.npy")
        settings = contestant.SETTINGS
        if kind == "text":
            # Ours answers these by the exact scan, whatever the setting: one is enough, and fewer queries are.
            queries, answers = queries[:TEXT_QUERIES], answers[:TEXT_QUERIES]
            settings = settings[-1:] if name in OURS else settings
        for setting in settings:
            loaded.use(setting)
            for query in queries[: WARM if kind == "image" else 5]:
                loaded.search(query, K)
            spent, hits = [], 0
            for query, answer in zip(queries, answers, strict=True):
                start = time.perf_counter()
                got = loaded.search(query, K)
                spent.append(time.perf_counter() - start)
                hits += len(set(got.tolist()) & set(answer.tolist()))
            found.append(
                {
                    "name": contestant.TITLE,
                    "key": name,
                    "rows": count,
                    "queries": kind,
                    "setting": dict(setting),
                    "recall": round(hits / answers.size, 4),
                    "per_second": round(len(spent) / sum(spent), 1),
                    "p50_ms": round(1000 * float(np.percentile(spent, 50)), 4),
                    "p99_ms": round(1000 * float(np.percentile(spent, 99)), 4),
                    "bytes_per_vector": round(loaded.bytes / count, 1),
                }
            )
    after = _resident()
    cost = json.loads(folder.with_suffix(".json").read_text())
    more = {"rss_mb": round(after[0] - before[0]), "mapped_mb": round(after[1] - before[1]), **cost}
    more["factory"] = getattr(loaded, "factory", None)
    return [{**row, **more} for row in found]


def _resident() -> tuple[float, float]:
    """MB of this process in memory: its own, and of mapped files; (0, 0) where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0, 0.0
    pairs = dict(line.split(":", 1) for line in status.read_text().splitlines())
    own, mapped = (float(pairs[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))
    return own, mapped


def goals(rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """Ours against the best of the others at recall 0.95 on image queries: speed, and memory against fp32 graphs."""
    good = [r for r in rows if r.get("queries") == "image" and r.get("recall", 0) >= GOAL_RECALL]
    ours = max((r for r in good if r["key"] in OURS), key=lambda r: r["per_second"], default=None)
    others = [r for r in good if r["key"] not in OURS]
    best = max(others, key=lambda r: r["per_second"], default=None)
    if ours is None or best is None or count != 1_000_000:
        return []
    small = min(others, key=lambda r: r["bytes_per_vector"] if r["key"] in GRAPHS else float("inf"))
    more = {"recall": ours["recall"], "setting": ours["setting"]}
    return [
        goal(
            "ann-1m-qps", ours["per_second"], theirs=best["per_second"], peer=best["name"], unit="1/s", **more
        ),
        goal(
            "ann-1m-memory",
            ours["bytes_per_vector"],
            theirs=min(best["bytes_per_vector"], small["bytes_per_vector"]),
            peer=small["name"],
            unit="bytes/vector",
            **more,
        ),
    ]


def run(
    cache: Path, count: int, names: Sequence[str], kinds: Sequence[str], again: bool
) -> list[dict[str, Any]]:
    """Build what is missing, then measure each in turn, alone in its process."""
    data = np.load(cache / f"rows_{count}.npy", mmap_mode="r")
    for kind in kinds:
        truth(cache, data, kind)
    rows = []
    for name in names:
        absent = missing_of(CONTESTANTS[name].NEEDS)
        if absent:
            rows.append(skipped(CONTESTANTS[name].TITLE, absent, key=name))
            continue
        if not built(cache, name, count).with_suffix(".json").exists():
            _child("build", cache, name, count, [], os.cpu_count() or 1)
        kept = cache / f"search_{name}_{count}_{'_'.join(kinds)}.json"
        if again or not kept.exists():
            kept.write_text(_child("measure", cache, name, count, kinds, 1))
        rows += json.loads(kept.read_text())
    return rows


def _child(what: str, cache: Path, name: str, count: int, kinds: Sequence[str], threads: int) -> str:
    limits = {v: str(threads) for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    words = [sys.executable, str(Path(__file__)), str(cache), "--child", what, "--only", name]
    words += ["--rows", str(count), "--threads", str(threads), "--queries", *kinds]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**clean_environment(), **limits}
    )
    if done.returncode:
        raise RuntimeError(f"{what} of {name} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1] if what == "measure" else ""


def smoke(to: Path | None) -> None:
    """Small indexes over the sample pins' vectors: recalls and sizes."""
    import vectors

    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "v"
        vectors.make_small(cache, 6000)
        rows = run(cache, 6000, ("hnsw", "ivf-rabitq", "hnswlib", "faiss-hnsw"), ("image",), True)
        report("search", {"smoke": True, "rows": rows, "goals": []}, to)
        reached = {
            r["key"]: max(s["recall"] for s in rows if s.get("key") == r["key"])
            for r in rows
            if "recall" in r
        }
        if any(recall < 0.9 for recall in reached.values()):
            raise SystemExit(f"a contestant's best recall is below 0.9: {reached}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("cache", type=Path, nargs="?")
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    options.add_argument("--queries", nargs="*", choices=("image", "text"), default=["image", "text"])
    options.add_argument("--again", action="store_true")
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    options.add_argument("--child", choices=("build", "measure"), help=argparse.SUPPRESS)
    options.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    given = options.parse_args(argv)
    if given.smoke:
        smoke(given.to)
        return
    if given.cache is None:
        options.error("give the CACHE that benchmarks/vectors.py made")
    if given.child == "build":
        build(given.cache, given.only[0], given.rows, given.threads)
    elif given.child == "measure":
        print(json.dumps(measure(given.cache, given.only[0], given.rows, given.queries)))
    else:
        rows = run(given.cache, given.rows, given.only, given.queries, given.again)
        found = {"rows": rows, "goals": goals(rows, given.rows)}
        report("search" if given.rows == 1_000_000 else f"search_{given.rows}", found, given.to)


if __name__ == "__main__":
    main()
