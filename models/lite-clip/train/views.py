"""Draw augmented views of every training picture, run the frozen part of the image tower on them once, keep the result.

The trained tail then reads its inputs from disk: several times faster than starting from pixels every epoch.
Writes numbered shards; a shard is a function of (seed, number), and finished ones are not made again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from augment import Backgrounds, View, object_view, photo_view
from numpy.random import Generator
from numpy.typing import NDArray
from store import PackedSet

SHARD = 2048


@dataclass(frozen=True)
class Source:
    """A training set: how many views of each of its items a round of shards holds, and how they are drawn."""

    views: float
    photo: bool
    flips: bool = True


SOURCES = {
    "clothing_train": Source(2.0, photo=True),
    "grocery_train": Source(2.0, photo=True),
    "eshop": Source(4.0, photo=True),
    "wallpapers": Source(8.0, photo=True),
    "tuxpaint": Source(3.0, photo=False),
    "openclipart": Source(0.8, photo=False),
    "emoji_google": Source(1.0, photo=False, flips=False),
    "emoji_twitter": Source(1.0, photo=False, flips=False),
    "emoji_openmoji": Source(1.0, photo=False, flips=False),
    "emoji_fluent3d": Source(1.0, photo=False, flips=False),
    "emoji_fluentflat": Source(0.7, photo=False, flips=False),
    "grocery_catalogue": Source(16.0, photo=True),
    "homes": Source(2.0, photo=False),
}


class Frozen:
    """The exported stem and teacher: pixels (b, SIZE, SIZE, 3) uint8 -> map (b, c, SIZE / 16, SIZE / 16) uint8,
    pooled (b, 1280) float16."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "frozen.onnx"), options, providers=["CPUExecutionProvider"]
        )
        scale = json.loads((folder / "frozen.json").read_text(encoding="utf-8"))
        self.scale, self.zero = float(scale["scale"]), int(scale["zero"])

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        batch = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        features, pooled = self._session.run(["map", "pooled"], {"pixels": batch})
        codes = np.clip(np.rint(features / self.scale) + self.zero, 0, 255).astype(np.uint8)
        return codes, pooled.astype(np.float16)


class Drawer:
    """Draws a view of any row of any training set."""

    def __init__(self, packed: Path, names: list[str]) -> None:
        self.names = names
        self.sets = [PackedSet(packed, name) for name in names]
        rows: list[tuple[int, int, float]] = []
        for s, packed_set in enumerate(self.sets):
            source = SOURCES[packed_set.name]
            rows += [(s, i, source.views) for i, item in enumerate(packed_set.items) if not item.held_out]
        self.rows = np.array([r[:2] for r in rows], np.int32)
        weights = np.array([r[2] for r in rows])
        self.weights = weights / weights.sum()
        grounds = [p for p in self.sets if p.name in {"wallpapers", "clothing_train", "grocery_train"}]
        self.backgrounds = Backgrounds(
            [(p.__getitem__, [i for i, item in enumerate(p.items) if not item.held_out]) for p in grounds]
        )

    def view(self, s: int, i: int, rng: Generator) -> View:
        source, pixels = SOURCES[self.names[s]], self.sets[s][i]
        if source.photo:
            return photo_view(pixels, rng, self.backgrounds)
        return object_view(pixels, rng, self.backgrounds, flips=source.flips)


def drawn(drawer: Drawer, seed: int, number: int) -> tuple[NDArray[np.int32], Iterator[View]]:
    """(SHARD, 2) rows, set and item, of a shard, and its views in that order, drawn as they are asked for."""
    rng = np.random.default_rng([seed, number])
    chosen = drawer.rows[rng.choice(len(drawer.rows), SHARD, replace=False, p=drawer.weights)]
    return chosen, (drawer.view(int(s), int(i), rng) for s, i in chosen)


def make_shard(drawer: Drawer, frozen: Frozen, seed: int, number: int, out: Path, batch: int = 32) -> None:
    chosen, all_views = drawn(drawer, seed, number)
    maps, pooled, colours, plain = [], [], [], []
    for start in range(0, SHARD, batch):
        views = [next(all_views) for _ in chosen[start : start + batch]]
        codes, vectors = frozen(np.stack([v.pixels for v in views]))
        maps.append(codes)
        pooled.append(vectors)
        colours += [v.colour for v in views]
        plain += [v.plain for v in views]
    folder = out / f".{number:05d}"
    folder.mkdir(exist_ok=True)
    np.save(folder / "maps.npy", np.concatenate(maps))
    np.save(folder / "pooled.npy", np.concatenate(pooled))
    meta = np.column_stack([chosen, np.array(colours, np.int32), np.array(plain, np.int32)])
    np.save(folder / "meta.npy", meta.astype(np.int32))
    folder.rename(out / f"{number:05d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packed", type=Path, required=True)
    parser.add_argument("--frozen", type=Path, required=True, help="folder that frozen.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument(
        "--step", type=int, default=1, help="with two processes: --first 0 --step 2 and --first 1 --step 2"
    )
    parser.add_argument("--until", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "sets.json").write_text(json.dumps(arguments.sets), encoding="utf-8")
    drawer, frozen = Drawer(arguments.packed, arguments.sets), Frozen(arguments.frozen)
    for number in range(arguments.first, arguments.until, arguments.step):
        if not (arguments.out / f"{number:05d}").exists():
            make_shard(drawer, frozen, arguments.seed, number, arguments.out)
            print(f"shard {number} by {os.getpid()}", flush=True)


if __name__ == "__main__":
    main()
