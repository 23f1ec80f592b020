"""What the heads see of the trained tail and of the map before it, for every view and every picture measured: the inputs
of heads.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from running import map_reader, shards
from texts import TextBank
from train import Model, Settings, load_tail

Maps = NDArray[np.uint8]


def tail_of(state: Path, texts: Path, frozen: Path) -> Callable[[Maps], NDArray[np.float16]]:
    """Maps of the stem, (n, c, h, w) uint8, -> features (n, 2 * 1280 + 2 * c) float16: the tail's means, then
    `ImageTower.rest`."""
    read = map_reader(frozen, torch.contiguous_format)
    model = Model(TextBank(texts), Settings())
    load_tail(model, state)
    tail = model.tower.student.eval().to(memory_format=torch.channels_last)

    def run(maps: Maps, batch: int = 128) -> NDArray[np.float16]:
        out = []
        for i in range(0, len(maps), batch):
            x = read(maps[i : i + batch])
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                trained = tail(x.to(memory_format=torch.channels_last)).float()
                features = torch.cat([trained.mean((2, 3)), model.tower.rest(x, trained)], 1)
            out.append(features.numpy().astype(np.float16))
        return np.concatenate(out)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("texts", "frozen", "views", "prepared", "state", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tail = tail_of(arguments.state, arguments.texts, arguments.frozen)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(arguments.prepared.glob("*.npz")):
        target = arguments.out / f"{path.stem}.npy"
        if not target.exists():
            with np.load(path) as data:
                np.save(target, tail(data["maps"]))
    print("pictures measured: done", flush=True)
    for path in shards(arguments.views):
        target = arguments.out / f"{path.name}.npy"
        if not target.exists():
            np.save(target, tail(np.load(path / "maps.npy", mmap_mode="r")))
            print(f"shard {path.name}", flush=True)


if __name__ == "__main__":
    main()
