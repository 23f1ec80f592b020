"""What the benchmarks share: child processes in turn, medians, and a record of the machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores and versions that a figure depends on."""
    names = (
        "visualsearch",
        "numpy",
        "pillow",
        "onnxruntime",
        "faiss-cpu",
        "torch",
        "timm",
        "open_clip_torch",
    )
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": found,
        "commit": commit.stdout.strip() or None,
        "load": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def clean_environment() -> dict[str, str]:
    """The environment without the settings that force OpenBLAS kernels."""
    return {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def child(code: str, *words: str) -> dict[str, Any]:
    """Run Python code in a process of its own; it prints one JSON document last."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a contestant failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def in_turn(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, Any]]:
    """Call each contestant once a round, A B A B ...; medians and all values."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            values[name].append(measure())
    return {
        n: {"median": statistics.median(v), "values": [round(x, 4) for x in v]} for n, v in values.items()
    }


def report(name: str, results: dict[str, Any], to: Path | None) -> None:
    """Print the results as JSON, and keep them when `to` names a folder."""
    document = {"benchmark": name, "at": time.strftime("%Y-%m-%d"), "machine": machine(), **results}
    text = json.dumps(document, indent=2)
    print(text)
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        (to / f"{name}.json").write_text(text + "\n")
