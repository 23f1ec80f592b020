"""What the benchmarks share: contestants in turn, medians, goals, and a record of the machine.

A result is one JSON document: benchmark, date, commit, modified, arguments, hardware, versions, environment, smoke, and
what the benchmark adds: `rows` (one flat dict for each contestant and setting) and `goals` (see `goal`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Cores that this process may use."""
ROOT = Path(__file__).resolve().parent.parent
CODE = ("visualsearch", "models", "indexes", "benchmarks")
"""What a figure depends on: a change elsewhere leaves results valid."""

PACKAGES = (
    "visualsearch",
    "numpy",
    "pillow",
    "onnxruntime",
    "openvino",
    "nncf",
    "faiss-cpu",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "clip-retrieval",
    "rclip",
    "hnswlib",
    "usearch",
    "scann",
    "autofaiss",
    "opencv-python-headless",
)
FLAGS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
)
FORCING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "NVPL_BLAS_DEBUG_CPU_TYPE",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "BLIS_ARCH_TYPE",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables that make a library choose other kernels than it would on a user's machine."""
TELLING = ("OPENBLAS_", "NVPL_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "ATEN_", "ONEDNN_", "MALLOC_")
"""Beginnings of the names of variables that change a figure; their values are recorded."""


def hardware() -> dict[str, Any]:
    """Processor, usable cores, memory in GiB, and the instruction sets that matter here."""
    lines = (line.partition(":") for line in _lines("/proc/cpuinfo"))
    named = {name.strip(): value.strip() for name, _, value in lines}
    has = set((named.get("flags") or named.get("Features") or "").split())
    pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": named.get("model name", platform.processor() or platform.machine()),
        "cores": CORES,
        "memory_gib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**30, 1) if pages else None,
        "flags": [flag for flag in FLAGS if flag in has],
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def commit() -> tuple[str | None, bool]:
    """The checkout's commit, and whether the code differs from it; (None, True) outside a checkout."""
    head = _git("rev-parse", "--short", "HEAD")
    # Results are written while the suite runs: they say nothing about the code.
    changed = _git("status", "--porcelain", "--", *CODE, ":!benchmarks/results", ":!*.md")
    return (head or None), changed is None or bool(changed)


def environment() -> dict[str, Any]:
    """Variables that change a figure: as they are here, and those that child processes do not inherit."""
    telling = {k: v for k, v in sorted(os.environ.items()) if k.startswith(TELLING)}
    return {"set": telling, "unset_for_children": [name for name in FORCING if name in os.environ]}


def machine() -> dict[str, Any]:
    """Everything about the machine and the software that a figure depends on, as one dict."""
    head, modified = commit()
    return {
        **hardware(),
        "versions": versions(),
        "commit": head,
        "modified": modified,
        "environment": environment(),
        "load": os.getloadavg()[0],
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def clean_environment() -> dict[str, str]:
    """The environment without the settings that force a library's kernels."""
    return {k: v for k, v in os.environ.items() if k not in FORCING}


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


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, Any]]:
    """Call each contestant once a round, A B A B ...; medians and all values."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            values[name].append(measure())
    return {
        n: {"median": statistics.median(v), "values": [round(x, 4) for x in v]} for n, v in values.items()
    }


def missing(module: str, package: str | None = None) -> str | None:
    """None where a module can be imported, else the words that a row says in its place ("skipped")."""
    return missing_of({module: package or module})


def missing_of(needs: Mapping[str, str]) -> str | None:
    """The same for several modules: module -> what pip calls it."""
    wanted = [pip for module, pip in needs.items() if importlib.util.find_spec(module) is None]
    return f"not installed: pip install {' '.join(wanted)}" if wanted else None


def skipped(name: str, why: str, **more: Any) -> dict[str, Any]:
    """The row of a contestant that did not run, with the reason, such as `missing` gives."""
    return {"name": name, "skipped": why, **more}


def goal(
    key: str, ours: float, *, theirs: float | None = None, peer: str = "", unit: str = "", **more: Any
) -> dict[str, Any]:
    """A measured goal for the report: our figure, the peer's of the same run, and the unit of both.

    `key` is one of `report.GOALS`, which knows what is to be reached. `more` may hold `recall` (0..1) and settings.
    """
    figures = {"ours": round(ours, 6), "theirs": None if theirs is None else round(theirs, 6)}
    return {"goal": key, **figures, "peer": peer, "unit": unit, **more}


def arguments(words: Sequence[str]) -> list[str]:
    """A command's arguments as they are recorded: without the place of the result, paths by their last name."""
    kept = []
    following = iter(words)
    for word in following:
        if word in ("--to", "--out"):
            next(following, None)
        elif not word.startswith(("--to=", "--out=")):
            kept.append(Path(word).name if Path(word).is_absolute() else word)
    return kept


def report(name: str, results: Mapping[str, Any], to: Path | None) -> None:
    """Print the results as JSON, and keep them as NAME.json when `to` names a folder."""
    head, modified = commit()
    document = {
        "benchmark": name,
        "date": time.strftime("%Y-%m-%d"),
        "commit": head,
        "modified": modified,
        "arguments": arguments(sys.argv[1:]),
        "smoke": "--smoke" in sys.argv,
        "hardware": hardware(),
        "versions": versions(),
        "environment": environment(),
        "load": round(os.getloadavg()[0], 2),
        **results,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    print(text)
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        part = to / f"{name}.json.part"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(to / f"{name}.json")
