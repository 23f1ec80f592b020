"""Seconds from the shell's prompt to the answer of one query, against rclip and against importing open_clip alone.

    python benchmarks/cold_start.py [INDEX PICTURE] [--rows 3000] [--rounds 7] [--smoke] [--to benchmarks/results]

Without INDEX, one of `--rows` made-up vectors is searched with a sample pin. Every contestant is a whole process, its files in
the page cache. rclip runs with random weights of its own architecture where its model is not there (see peers/cli_rclip.py):
start-up, loading, encoding and scanning take their time as ever. It searches without looking for new files first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import synthetic
from common import clean_environment, goal, in_turn, missing_of, report, skipped
from peers import cli_rclip

TEXT = "a red bird"


def timed(words: list[str], environment: Mapping[str, str] | None = None, place: Path | None = None) -> float:
    """Seconds that a command takes as a whole process."""
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=environment or clean_environment(), cwd=place)
    return time.perf_counter() - start


def contestants(given: argparse.Namespace, scratch: Path) -> dict[str, Callable[[], float]]:
    """Name -> one run."""
    python = sys.executable
    search = [python, "-m", "visualsearch", "search", str(given.index)]
    found = {
        "visualsearch search PICTURE": partial(timed, [*search, str(given.picture), "--json"]),
        "visualsearch search --text": partial(timed, [*search, "--text", TEXT, "--json"]),
        "python, nothing imported": partial(timed, [python, "-c", "pass"]),
    }
    if given.smoke:
        return found
    if missing_of({"open_clip": "open_clip_torch"}) is None:
        found["python -c 'import open_clip'"] = partial(timed, [python, "-c", "import open_clip"])
    if missing_of(cli_rclip.NEEDS) is None:
        photos = scratch / "photos"
        photos.mkdir()
        environment = cli_rclip.prepare(scratch / "rclip", photos, given.rows)
        rclip = [python, "-m", "rclip", "--no-indexing", "--filepath-only"]
        query = str(given.picture.resolve())
        found["rclip PICTURE"] = partial(timed, [*rclip, query], environment, photos)
        found["rclip TEXT"] = partial(timed, [*rclip, TEXT], environment, photos)
        found["rclip --help"] = partial(timed, [python, "-m", "rclip", "--help"], environment, photos)
    return found


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("index", type=Path, nargs="?")
    options.add_argument("picture", type=Path, nargs="?")
    options.add_argument("--rows", type=int, default=3000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--smoke", action="store_true", help="ours alone, small, twice")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.smoke:
        given.rows, given.rounds = 300, 2
    given.picture = given.picture or synthetic.sample_pins()[0]
    with tempfile.TemporaryDirectory() as scratch:
        if given.index is None:
            given.index = synthetic.make_index(Path(scratch) / "made.index", given.rows)
        runs = contestants(given, Path(scratch))
        for run in runs.values():
            run()  # brings the files into the page cache
        results = in_turn(runs, given.rounds)
    rows: list[dict[str, Any]] = [
        {"name": name, "seconds": r["median"], "values": r["values"]} for name, r in results.items()
    ]
    peers = {"open_clip": {"open_clip": "open_clip_torch"}, "rclip": cli_rclip.NEEDS}
    for name, needs in peers.items():
        why = "left out of the smoke run" if given.smoke else missing_of(needs)
        if why is not None:
            rows.append(skipped(name, why))
    ours = results["visualsearch search PICTURE"]["median"]
    rivals = {
        n: r["median"] for n, r in results.items() if n in ("rclip PICTURE", "python -c 'import open_clip'")
    }
    goals = [goal("cold-search", ours, theirs=theirs, peer=name, unit="s") for name, theirs in rivals.items()]
    report(
        "cold_start",
        {"pins": given.rows, "rows": rows, "goals": goals or [goal("cold-search", ours, unit="s")]},
        given.to,
    )


if __name__ == "__main__":
    main()
