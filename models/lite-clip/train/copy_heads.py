"""Fit the heads of the copy path anew on what its finished late stages say of every view: large batches, in minutes.

Losses as in copies.py; the other views of the batch are the only ones to be told apart.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from copies import CopySettings, Taught, find_loss, taught_loss
from network import CopyPath, load_copies
from torch.nn import functional as F
from train import Memory


@dataclass(frozen=True)
class HeadSettings:
    pairs: int = 1024
    steps: int = 900
    photo_share: float = 0.7  # these as in copies.py
    plain_share: float = 0.5
    temperature: float = 0.05
    teach: float = 2.0
    rate: float = 1e-3
    weight_decay: float = 1e-2
    drop: float = 0.1
    hidden_drop: float = 0.2
    seed: int = 0


def store(path: CopyPath, views: Path, frozen: Path, out: Path, first: int, batch: int = 128) -> np.ndarray:
    """`CopyPath.seen` of every view from shard `first` on, (n, inputs) float16; finished shards are not made again."""
    scale = json.loads((frozen / "frozen.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    names = sorted(p.name for p in views.iterdir() if p.name.isdigit() and int(p.name) >= first)
    for name in names:
        if (out / f"{name}.npy").exists():
            continue
        maps, seen = np.load(views / name / "maps.npy", mmap_mode="r"), []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for i in range(0, len(maps), batch):
                x = (torch.from_numpy(np.asarray(maps[i : i + batch])).float() - scale["zero"]) * scale[
                    "scale"
                ]
                seen.append(path.seen(x.to(memory_format=torch.channels_last)).half().numpy())
        np.save(out / f"{name}.npy", np.concatenate(seen))
        print(f"shard {name}", flush=True)
    return np.concatenate([np.load(out / f"{name}.npy") for name in names])


def fit(path: CopyPath, data: Taught, seen: np.ndarray, settings: HeadSettings) -> None:
    """Train the heads of `path` in place."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    drawing = CopySettings(
        pairs=settings.pairs, photo_share=settings.photo_share, plain_share=settings.plain_share
    )
    heads = [*path.head.parameters(), *path.bend.parameters()]
    optimiser = torch.optim.AdamW(heads, weight_decay=settings.weight_decay)
    nothing, logged, began = Memory(0, path.head.out_features), [], time.monotonic()
    path.train()
    for step in range(settings.steps):
        rate = min(1.0, (step + 1) / 50) * (
            0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * step / settings.steps)))
        )
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * rate
        rows = data.pairs(drawing, rng)
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
    defaults = HeadSettings()
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = HeadSettings(**{name: getattr(arguments, name) for name in asdict(defaults)})
    state = torch.load(arguments.copies, weights_only=False)
    path = load_copies(arguments.copies).eval().to(memory_format=torch.channels_last)
    seen = store(path, arguments.views, arguments.frozen, arguments.features, arguments.first)
    dim = state["settings"]["dim"]
    data = Taught(arguments.views, arguments.packed, arguments.teacher, dim, state["axes"], arguments.first)
    fit(path, data, seen, settings)
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = {"averaged": path.state_dict(), "settings": state["settings"], "heads": asdict(settings)}
    torch.save(kept, arguments.out / "copies.pt")


if __name__ == "__main__":
    main()
