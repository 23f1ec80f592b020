"""Seconds from the shell's prompt to the answer of one query, against importing open_clip alone.

python benchmarks/cold_start.py INDEX PICTURE [--rounds 7] [--to benchmarks/results]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from common import clean_environment, in_turn, report


def timed(*words: str) -> float:
    """Seconds that a command takes as a whole process."""
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=clean_environment())
    return time.perf_counter() - start


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("index", type=Path)
    options.add_argument("picture", type=Path)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    python = sys.executable
    contestants = {
        "visualsearch search": lambda: timed(
            python, "-m", "visualsearch", "search", str(given.index), str(given.picture), "--json"
        ),
        "python -c 'import open_clip'": lambda: timed(python, "-c", "import open_clip"),
    }
    results = in_turn(contestants, given.rounds)
    ours, theirs = (r["median"] for r in results.values())
    report("cold_start", {"seconds": results, "ratio": round(theirs / ours, 2)}, given.to)


if __name__ == "__main__":
    main()
