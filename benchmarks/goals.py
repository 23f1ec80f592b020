"""What is to be reached, against whom, and whether a measured figure does."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

LIMITS = Path(__file__).resolve().parent / "limits.toml"
KNOWN = frozenset({"goal", "ours", "theirs", "peer", "unit", "recall"})


class Bound(StrEnum):
    """How a goal is put: so many times better than the peer, or at most so much whatever the peer does."""

    TIMES = "times better"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Goal:
    """`reach` is a ratio for TIMES, else a figure in the unit it is measured in; `recall` is the least that counts."""

    what: str
    peer: str
    reach: float
    bound: Bound = Bound.TIMES
    unit: str = ""
    recall: float | None = None

    @property
    def wanted(self) -> str:
        """The goal in words."""
        amount = f"{self.reach:g}"
        return f"≥ {amount} ×" if self.bound is Bound.TIMES else f"≤ {amount} {self.unit}"


GOALS: Mapping[str, Goal] = {
    "embed-vit-b-32": Goal("ViT-B/32 image tower", "open_clip, torch fp32", 6),
    "index-vit-b-32": Goal("JPEG folder to index, ViT-B/32", "clip-retrieval inference, or its loop", 5),
    "index-bundled": Goal("JPEG folder to index, bundled model", "the same loop with timm, fp32", 5),
    "decode-24mp": Goal("24 MP JPEG to model input", "Pillow full decode and resize", 5),
    "exact-one": Goal("exact top 10 of 100k x 512, one query", "IndexFlatIP", 2),
    "exact-batch": Goal("exact top 10 of 100k x 512, 64 queries", "IndexFlatIP", 2),
    "ann-1m-qps": Goal(
        "1M x 512, one thread: queries/s", "best of hnswlib, usearch, scann, FAISS HNSW", 1.2, recall=0.95
    ),
    "ann-1m-memory": Goal("1M x 512: memory of that index", "the same peer", 3),
    "ann-10m-memory": Goal(
        "10M x 512, refined from disk: memory", "fp32 HNSW", 100, Bound.AT_MOST, "bytes/vector", 0.95
    ),
    "kmeans": Goal("k-means, 16k centroids", "faiss.Clustering, defaults", 2.5),
    "filter-1-percent": Goal(
        "filter that 1 % of the rows match", "FAISS IDSelector on HNSW or IVF", 10, recall=0.95
    ),
    "cold-search": Goal("cold visualsearch search", "rclip; importing open_clip", 0.6, Bound.AT_MOST, "s"),
}


@dataclass(frozen=True)
class Verdict:
    """A goal's entry of a result, judged. `ratio` is how many times better than the peer (None without one)."""

    entry: Mapping[str, Any]
    source: str
    ratio: float | None
    reached: bool
    smoke: bool


def times_better(entry: Mapping[str, Any]) -> float | None:
    """Rates, whose unit ends in /s, are better when higher; times and sizes when lower."""
    ours, theirs = entry["ours"], entry.get("theirs")
    if not theirs or not ours:
        return None
    return float(ours / theirs if str(entry["unit"]).endswith("/s") else theirs / ours)


def judged(results: Iterable[Mapping[str, Any]]) -> dict[str, list[Verdict]]:
    """Key of a goal -> the verdicts on its entries, over all results. Raises KeyError for a key that is no goal."""
    found: dict[str, list[Verdict]] = {key: [] for key in GOALS}
    for result in results:
        for entry in result.get("goals", ()):
            goal = GOALS[entry["goal"]]
            ratio = times_better(entry)
            if goal.bound is Bound.TIMES:
                good = ratio is not None and ratio >= goal.reach
            else:
                if entry["unit"] != goal.unit:
                    raise ValueError(f"{entry['goal']} is measured in {goal.unit}, not in {entry['unit']!r}")
                good = entry["ours"] <= goal.reach
            enough = goal.recall is None or entry.get("recall", 0) >= goal.recall
            verdict = Verdict(
                entry, str(result["benchmark"]), ratio, good and enough, bool(result.get("smoke"))
            )
            found[entry["goal"]].append(verdict)
    return found


def limits(file: Path = LIMITS) -> dict[str, str]:
    """What limits each goal now, written by hand. Raises ValueError unless there is a sentence for every goal and no other."""
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    missing, unknown = sorted(set(GOALS) - set(written)), sorted(set(written) - set(GOALS))
    empty = sorted(key for key, text in written.items() if not isinstance(text, str) or not text.strip())
    if missing or unknown or empty:
        raise ValueError(f"{file.name}: missing {missing}, unknown {unknown}, empty {empty}")
    return {key: " ".join(text.split()) for key, text in written.items()}
