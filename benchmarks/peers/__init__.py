"""Today's ways to embed a folder of pictures, one small file each, all optional to install.

A file `embed_NAME.py` has one function, `embed(paths, model, batch) -> (seconds, vectors)`: `paths` are picture files; `model` is
an open_clip architecture (a timm model for `embed_timm`) with random weights, which take as long as trained ones; seconds run
from the first file read to the last vector, after the model was loaded and has run once; vectors are (n, d), unit length, in
the order of `paths`. Each runs in a process of its own: `python benchmarks/peers NAME LIST MODEL BATCH`.

Contestants of the approximate search are the files `ann_*.py`, with a protocol of their own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


@dataclass(frozen=True)
class Embedder:
    """A way people embed pictures; `needs` maps the modules it imports to what pip calls them."""

    title: str
    needs: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str | None:
        """None where everything is installed, else what to install."""
        wanted = [pip for module, pip in self.needs.items() if importlib.util.find_spec(module) is None]
        return f"not installed: pip install {' '.join(wanted)}" if wanted else None


CLIP = {"torch": "torch", "open_clip": "open_clip_torch"}
EMBEDDERS: Mapping[str, Embedder] = {
    "open_clip": Embedder("plain open_clip loop, torch fp32", CLIP),
    "clip_retrieval": Embedder(
        "clip-retrieval inference",
        {**CLIP, "clip_retrieval": "--no-deps clip-retrieval", "all_clip": "all_clip", "pandas": "pandas"},
    ),
    "timm": Embedder("plain timm loop, torch fp32", {"torch": "torch", "timm": "timm"}),
}


def embed_with(
    name: str, paths: Sequence[str], model: str, batch: int, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a peer in a process of its own; a row with `per_second`, `seconds`, `pictures`, `dim`, `peak_rss_mb`, or `skipped`."""
    embedder = EMBEDDERS[name]
    row = {"name": embedder.title, "model": model, "batch": batch}
    absent = embedder.missing()
    if absent is not None:
        return {**row, "skipped": absent}
    with TemporaryDirectory() as scratch:
        listing = Path(scratch) / "paths.txt"
        listing.write_text("\n".join(paths), encoding="utf-8")
        words = [sys.executable, str(Path(__file__).parent), name, str(listing), model, str(batch)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"the peer {name} failed:\n{done.stderr[-2000:]}")
    return {**row, **json.loads(done.stdout.splitlines()[-1])}
