"""Run one embedding peer and print its figures as JSON: python benchmarks/peers NAME LIST MODEL BATCH."""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path

import numpy as np


def main(name: str, listing: str, model: str, batch: str) -> None:
    """Embed the files that `listing` names, one a line."""
    paths = Path(listing).read_text(encoding="utf-8").splitlines()
    seconds, vectors = importlib.import_module(f"embed_{name}").embed(paths, model, int(batch))
    if len(vectors) != len(paths) or not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3):
        raise SystemExit(f"{name}: {len(paths)} unit vectors expected, got {np.shape(vectors)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    figures = {
        "per_second": len(paths) / seconds,
        "seconds": seconds,
        "pictures": len(paths),
        "dim": int(np.shape(vectors)[1]),
        "peak_rss_mb": round(peak, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
