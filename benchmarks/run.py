"""Run the benchmarks: a table of them, one process each, results kept in a folder.

    python benchmarks/run.py --list
    python benchmarks/run.py [NAME...] [--data PHOTOS] [--cache VECTORS] [--again] [--to benchmarks/results]
    python benchmarks/run.py --smoke [--to FOLDER]

A result is kept when it has the same arguments and hardware and was measured from a commit since which no code changed;
--again measures anew. A benchmark that lacks what it needs, or fails, does not stop the others; the exit code then is 1.
--smoke runs everything small, as many at a time as there are cores: its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from common import CODE, ROOT, arguments, clean_environment, hardware

HERE = Path(__file__).resolve().parent
SMOKE_LIMIT = 600
"""Seconds after which a benchmark that was to be small has failed."""
TAIL = 12
"""Lines of a failed benchmark's messages that are shown."""


class Need(StrEnum):
    """What a user has to give: the option of that name."""

    DATA = "data"
    CACHE = "cache"


class Status(StrEnum):
    """How a benchmark ended."""

    DONE = "done"
    KEPT = "kept"
    LACKS = "lacks"
    FAILED = "failed"


@dataclass(frozen=True)
class Benchmark:
    """`file` called with `words`, or small with those of `smoke`, writes NAME.json.

    {data} and {cache} in `words` stand for what the user gave.
    """

    file: str
    measures: str
    words: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ("--smoke",)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What its words stand for."""
        return tuple(need for need in Need if any(f"{{{need}}}" in word for word in self.words))


BENCHMARKS: Mapping[str, Benchmark] = {
    "vectors": Benchmark(
        "vectors.py",
        "how like real embeddings the made-up rows are",
        ("{data}", "--cache", "{cache}", "--check"),
    ),
    "decode": Benchmark("decode.py", "JPEG to model input, against Pillow, torchvision, OpenCV", ("{data}",)),
    "pipeline": Benchmark(
        "pipeline.py",
        "end to end against its stages alone, processor time, commit share, memory",
        ("{data}", "--memory", "1000", "10000"),
    ),
    "search": Benchmark(
        "search.py", "approximate search, ours and others': recall, speed, memory, build", ("{cache}",)
    ),
    "scale": Benchmark("scale.py", "our recipes from ten thousand rows to ten million", ("{cache}",)),
    "kmeans": Benchmark("kmeans.py", "centroids of inverted lists, against faiss.Clustering", ("{cache}",)),
    "people": Benchmark("people.py", "people, saves and events: recorded, imported, read, forgotten", ()),
    "people_http": Benchmark(
        "people_http.py", "people over HTTP: events in batches, saves beside searches", ()
    ),
    "recommend": Benchmark(
        "recommend.py", "related pins: the graph of saves built and walked, at 1 to 100 million saves", ()
    ),
    "feed": Benchmark(
        "feed.py", "a feed in a simulated world: saves, variety, latency; a search that knows who asks", ()
    ),
    "cold_pins": Benchmark("cold_pins.py", "pins that nobody saved: how well a board's ideas find them"),
    "feed_size": Benchmark(
        "feed_size.py", "a feed at a million pins and ten million saves: latency, freshness"
    ),
    "insight": Benchmark(
        "insight.py", "trends, merchant's report, timing over ten million events; a map of a million pins"
    ),
    "costs": Benchmark("costs.py", "what a million pins, saves and a thousand requests a second cost"),
    "soak": Benchmark(
        "soak.py", "the world's people against a server for an hour: memory, failures, p99, recall"
    ),
    "campaign": Benchmark(
        "campaign.py", "kills, full disks, torn files, jumping clocks: what is lost, twice there or back"
    ),
    "fuzz": Benchmark("fuzz.py", "damaged and odd inputs for all that reads: crashes, hangs, memory"),
    "promote": Benchmark(
        "promote.py", "promoted pins: rules kept, lying bidders, time, kills, looks against keywords", ()
    ),
    "exact": Benchmark(
        "exact.py",
        "exact top 10 of one query and of 64, against IndexFlatIP",
        ("--rows", "{cache}/rows_100000.npy", "--queries", "{cache}/queries_image.npy"),
    ),
    "filtered": Benchmark(
        "filtered.py",
        "filtered top 10 at four selectivities, against FAISS IDSelector",
        ("--cache", "{cache}"),
    ),
    "embed": Benchmark(
        "embed.py", "image tower of ViT-B/32: open_clip, and every precision of ours", ("{data}",)
    ),
    "index_end_to_end": Benchmark(
        "index_end_to_end.py",
        "JPEG files to a committed index, against loops of today",
        ("{data}", "--model", "bundled", "--model", "ViT-B-32", "--precision", "int8"),
    ),
    "update_while_searching": Benchmark(
        "update_while_searching.py",
        "searching while pins are added and removed, against searching alone",
        ("--vectors", "{cache}/rows_100000.npy"),
    ),
    "cold_start": Benchmark(
        "cold_start.py", "one search from the shell, against rclip and importing open_clip"
    ),
    "serve_load": Benchmark("serve_load.py", "visualsearch serve with 1, 8 and 64 clients"),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark."""

    name: str
    status: Status
    seconds: float = 0.0
    why: str = ""


def finished(file: Path, words: Sequence[str], machine: Mapping[str, Any]) -> bool:
    """Whether a result can be kept: same arguments and hardware, and of the code as it is now."""
    try:
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = result.get("arguments") == arguments(words) and result.get("hardware") == machine
    if not same or result.get("modified", True) or not result.get("commit"):
        return False
    code = [*CODE, ":!benchmarks/results", ":!*.md"]
    changed = ["git", "diff", "--quiet", str(result["commit"]), "--", *code]
    return subprocess.run(changed, cwd=ROOT, check=False, capture_output=True).returncode == 0


def run(name: str, benchmark: Benchmark, given: argparse.Namespace, to: Path) -> Outcome:
    """Run a benchmark, unless its result is there or it lacks something."""
    values = {need.value: getattr(given, need.value) for need in Need}
    lacks = [f"--{need}" for need in benchmark.needs if not given.smoke and values[need.value] is None]
    if lacks:
        return Outcome(name, Status.LACKS, why=f"give {' and '.join(lacks)}")
    chosen = benchmark.smoke if given.smoke else benchmark.words
    words = [word.format(**values) for word in chosen]
    target = to / f"{name}.json"
    if not given.again and finished(target, words, hardware()):
        return Outcome(name, Status.KEPT)
    command = [sys.executable, str(HERE / benchmark.file), *words, "--to", str(to)]
    log = to / f"{name}.log"
    start, began = time.perf_counter(), time.time()
    try:
        with log.open("w", encoding="utf-8") as told:
            done = subprocess.run(
                command,
                stdout=subprocess.DEVNULL,
                stderr=told,
                env=environment(),
                check=False,
                timeout=SMOKE_LIMIT if given.smoke else None,
            )
        code: int | str = done.returncode
    except subprocess.TimeoutExpired:
        code = f"none, stopped after {SMOKE_LIMIT} s"
    seconds = time.perf_counter() - start
    if code != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-TAIL:]
        return Outcome(name, Status.FAILED, seconds, "\n  ".join([f"exit code {code}; last words:", *tail]))
    if not target.exists() or target.stat().st_mtime < began - 1:
        return Outcome(name, Status.FAILED, seconds, f"it ended well but did not write {target.name}")
    log.unlink()
    return Outcome(name, Status.DONE, seconds)


def environment() -> dict[str, str]:
    """What benchmarks run in: nothing that forces kernels, and the package of this checkout before an installed one."""
    clean = clean_environment()
    places = [str(ROOT), *filter(None, [clean.get("PYTHONPATH")])]
    return {**clean, "PYTHONPATH": os.pathsep.join(places)}


def told(outcome: Outcome) -> str:
    """A line on an outcome."""
    return f"{outcome.name:24} {outcome.status:7} {outcome.seconds:7.1f} s  {outcome.why}".rstrip()


def listed() -> str:
    """The table, for people."""
    lines = []
    for name, benchmark in BENCHMARKS.items():
        needs = ", ".join(f"--{need}" for need in benchmark.needs) or "nothing"
        lines.append(f"{name:24} {benchmark.measures} (needs {needs})")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when everything is done or was kept."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all")
    options.add_argument("--list", action="store_true", help="say what there is")
    options.add_argument(
        "--data", type=Path, help="folder of photographs (JPEG), looked through with its subfolders"
    )
    options.add_argument("--cache", type=Path, help="folder of vectors, made by vectors.py")
    options.add_argument(
        "--smoke", action="store_true", help="everything small: does it run, are recalls right?"
    )
    options.add_argument("--again", action="store_true", help="measure anew what is finished")
    options.add_argument(
        "--to", type=Path, help="folder of the results (benchmarks/results; --smoke: none is kept)"
    )
    given = options.parse_args(argv)
    unknown = sorted(set(given.names) - set(BENCHMARKS))
    if unknown:
        options.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    if given.list:
        print(listed())
        return 0
    for need in Need:  # benchmarks run elsewhere
        if getattr(given, need.value) is not None:
            setattr(given, need.value, getattr(given, need.value).resolve())
    chosen = {name: BENCHMARKS[name] for name in given.names or BENCHMARKS}
    with tempfile.TemporaryDirectory() as scratch:
        to = given.to or (Path(scratch) if given.smoke else HERE / "results")
        to.mkdir(parents=True, exist_ok=True)
        at_a_time = int(hardware()["cores"] or 1) if given.smoke else 1
        with ThreadPoolExecutor(at_a_time) as pool:
            outcomes = []
            for outcome in pool.map(lambda item: run(*item, given, to.resolve()), chosen.items()):
                print(told(outcome), flush=True)
                outcomes.append(outcome)
    return int(any(outcome.status in (Status.LACKS, Status.FAILED) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
