"""Fit the heads of the copy path anew on what its finished late stages say of every view: large batches, in minutes.

Losses as in copies.py; the other views of the batch are the only ones to be told apart.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from copies import CopyPairs, Drawing, Taught, find_loss, start_head, taught_loss
from network import CopyPath, load_copies
from running import add_settings, cosine_rate, map_reader, set_rate, settings_of, shards
from torch.nn import functional as F
from train import Memory


@dataclass(frozen=True)
class CopyHeadSettings(Drawing):
    pairs: int = 1024
    steps: int = 900
    teach: float = 2.0
    rate: float = 1e-3
    weight_decay: float = 1e-2
    drop: float = 0.1
    hidden_drop: float = 0.2


def store(path: CopyPath, views: Path, frozen: Path, out: Path, first: int, batch: int = 128) -> np.ndarray:
    """`CopyPath.seen` of every view from shard `first` on, (n, inputs) float16; finished shards are not made again."""
    read = map_reader(frozen)
    out.mkdir(parents=True, exist_ok=True)
    folders = shards(views, first)
    for folder in folders:
        target = out / f"{folder.name}.npy"
        if target.exists():
            continue
        maps, seen = np.load(folder / "maps.npy", mmap_mode="r"), []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for i in range(0, len(maps), batch):
                seen.append(path.seen(read(maps[i : i + batch])).half().numpy())
        np.save(target, np.concatenate(seen))
        print(f"shard {folder.name}", flush=True)
    return np.concatenate([np.load(out / f"{folder.name}.npy") for folder in folders])


def fit(path: CopyPath, data: Taught, seen: np.ndarray, settings: CopyHeadSettings) -> None:
    """Train the heads of `path` in place."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    pairs = CopyPairs(data.views, settings)
    heads = {"params": [*path.head.parameters(), *path.bend.parameters()], "base": settings.rate}
    optimiser = torch.optim.AdamW([heads], weight_decay=settings.weight_decay)
    nothing, logged, began = Memory(0, path.head.out_features), [], time.monotonic()
    path.train()
    for step in range(settings.steps):
        set_rate(optimiser, cosine_rate(step, settings.steps))
        rows = pairs.draw(rng)
        x = torch.from_numpy(seen[rows].astype(np.float32))
        k = F.normalize(path.read(x, settings.drop, settings.hidden_drop), dim=1)
        found = find_loss(data.views, k, rows, nothing, settings.temperature)
        taught = taught_loss(data, k, rows)
        optimiser.zero_grad()
        (found + settings.teach * taught).backward()
        optimiser.step()
        logged.append((found.item(), taught.item()))
        if (step + 1) % 150 == 0:
            means = np.mean(logged[-100:], 0)
            print(
                f"step {step + 1} found {means[0]:.3f} taught {means[1]:.3f} {time.monotonic() - began:.0f} s",
                flush=True,
            )
    path.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "views", "teacher", "frozen", "copies", "features", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="the first shard")
    parser.add_argument("--threads", type=int, default=2)
    add_settings(parser, CopyHeadSettings())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = settings_of(arguments, CopyHeadSettings())
    state = torch.load(arguments.copies, weights_only=False)
    path = load_copies(arguments.copies).eval().to(memory_format=torch.channels_last)
    seen = store(path, arguments.views, arguments.frozen, arguments.features, arguments.first)
    dim = state["settings"]["dim"]
    data = Taught(
        arguments.views, arguments.packed, arguments.teacher, dim, state.get("axes"), arguments.first
    )
    if "axes" not in state:  # read back from the shipped file by recover.py: the heads find their place anew
        sample = np.random.default_rng(settings.seed).choice(np.flatnonzero(data.known), 12288, replace=False)
        start_head(
            path, torch.from_numpy(seen[sample].astype(np.float32)), torch.from_numpy(data.said[sample])
        )
    fit(path, data, seen, settings)
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = {
        "averaged": path.state_dict(),
        "settings": state["settings"],
        "axes": data.axes,
        "heads": asdict(settings),
    }
    torch.save(kept, arguments.out / "copies.pt")


if __name__ == "__main__":
    main()
