"""Train the copy path: which picture is this a part or a spoilt copy of?

Two views of one picture find each other among the batch and a memory of earlier views; and every view keeps the place that a
copy-detection network (SSCD, Pizzi et al. 2022, arXiv:2202.10261) gives it, reduced to its principal axes. Seeded; the state
is saved every few minutes and `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import Vectors
from network import CopyPath, lite_backbone
from running import (
    add_settings,
    follow,
    go_on,
    learning_rate,
    map_reader,
    save_state,
    set_rate,
    settings_of,
    shards,
    tail_weights,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F
from train import Memory, Pairs, Views, positives_loss


@dataclass(frozen=True)
class Drawing:
    """How pairs are drawn and told apart, here and in copy_heads.py."""

    pairs: int = 128
    photo_share: float = 0.7  # of the pairs
    plain_share: float = 0.5  # of the pairs whose second view is the picture as it is
    temperature: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class CopySettings(Drawing):
    dim: int = 128
    steps: int = 2000
    memory: int = 16384
    teach: float = 4.0  # weight of the teacher's place, against finding the other view
    tail_rate: float = 3e-4
    head_rate: float = 1e-3
    weight_decay: float = 1e-4
    cool: int = 600
    warm_up: int = 40
    average: float = 0.995


def principal_axes(x: Vectors, dim: int) -> tuple[Vectors, Vectors]:
    """Mean (d,) and the `dim` longest axes (d, dim) of vectors (n, d)."""
    mean = x.mean(0)
    values, axes = np.linalg.eigh(np.cov((x - mean).T))
    return mean, axes[:, np.argsort(values)[::-1][:dim]].astype(np.float32)


class Taught:
    """All views, and what the teacher says of those that it has seen: `said` (n, dim) of unit length on its principal axes,
    `known` (n,)."""

    def __init__(
        self,
        views: Path,
        packed: Path,
        teacher: Path,
        dim: int,
        axes: tuple[Vectors, Vectors] | None = None,
        first: int = 0,
    ) -> None:
        """`axes`: the mean and the principal axes of an earlier run, to go on from it when more has been taught; `first`: the
        first shard."""
        self.views = Views(views, packed)
        self.views.refresh(first)
        names = [p.name for p in shards(views, first)]
        said = {n: np.load(p).astype(np.float32) for n in names if (p := teacher / f"{n}.npy").exists()}
        self.axes = axes or principal_axes(np.concatenate(list(said.values())), dim)
        self.said = np.zeros((len(self.views.meta), dim), np.float32)
        self.known = np.zeros(len(self.said), bool)
        for number, name in enumerate(names):
            if name in said:
                rows = slice(number * self.views.shard, (number + 1) * self.views.shard)
                place = (said[name] - self.axes[0]) @ self.axes[1]
                self.said[rows] = place / np.linalg.norm(place, axis=1, keepdims=True)
                self.known[rows] = True


class CopyPairs(Pairs):
    """Two views of one picture; of one thing but one picture a batch."""

    def __init__(self, views: Views, settings: Drawing) -> None:
        self.rows_of: dict[int, list[int]] = defaultdict(list)
        for row, item in enumerate(views.items):
            self.rows_of[int(item)].append(row)
        super().__init__(views, settings)

    def _many(self) -> np.ndarray:
        return np.array([len(self.rows_of[int(i)]) > 1 for i in self.views.items])

    def _other(self, row: int, rng: np.random.Generator) -> int:
        others = [r for r in self.rows_of[int(self.views.items[row])] if r != row]
        if rng.random() < self.settings.plain_share:
            others = [r for r in others if self.views.meta[r, 3]] or others
        return others[int(rng.integers(len(others)))]


def find_loss(views: Views, k: Tensor, rows: np.ndarray, memory: Memory, temperature: float) -> Tensor:
    """Cross-entropy of each view's own picture among all other views. Drawings of the same thing and its catalog picture are
    left out; other photographs of it are not: a part belongs to one of them."""
    everything = torch.cat([k, memory.vectors[: memory.filled]])
    all_rows = np.concatenate([rows, memory.rows[: memory.filled]])
    same = torch.from_numpy(views.items[rows][:, None] == views.items[all_rows][None])
    kin = torch.from_numpy(views.keys[rows][:, None] == views.keys[all_rows][None])
    taken = views.photo & ~views.catalogue
    kin &= ~torch.from_numpy(taken[rows][:, None] & taken[all_rows][None])
    itself = torch.arange(len(k))
    scores = (k @ everything.T / temperature).masked_fill(kin & ~same, -1e4)
    scores[itself, itself] = -1e4
    same[itself, itself] = False
    return positives_loss(scores, same)


def taught_loss(data: Taught, k: Tensor, rows: np.ndarray) -> Tensor:
    """1 - cosine with the teacher, in the mean over those views that it has seen."""
    known = data.known[rows]
    return 1 - (k[known] * torch.from_numpy(data.said[rows][known])).sum(1).mean()


def start_tail(path: CopyPath, checkpoint: Path | None) -> None:
    """Begin with the trained late stages of a checkpoint of train.py; without one, with ImageNet's."""
    if checkpoint is not None:
        path.tail.load_state_dict(tail_weights(checkpoint))


def start_head(path: CopyPath, x: Tensor, said: Tensor) -> None:
    """The head that comes nearest to the teacher (ridge regression) on some views, given what it sees of them; the bent path
    starts as nothing."""
    path.scale(x.mean(0), x.std(0) + 1e-2)
    x = ((x - path.mean) / path.std).double()
    gram = x.T @ x + 0.1 * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    with torch.no_grad():
        path.head.weight.copy_(torch.linalg.solve(gram, x.T @ said.double()).T.float())
        for zero in (path.head.bias, path.bend[2].weight, path.bend[2].bias):
            zero.zero_()


def train(arguments: argparse.Namespace, settings: CopySettings) -> None:
    torch.manual_seed(settings.seed)
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(settings.seed)
    state_path = arguments.out / "copies.pt"
    state = torch.load(state_path, weights_only=False) if arguments.resume and state_path.exists() else None
    former = torch.load(arguments.start_copies, weights_only=False) if arguments.start_copies else None
    axes = (state or former or {}).get("axes")
    data = Taught(arguments.views, arguments.packed, arguments.teacher, settings.dim, axes, arguments.first)
    views, pairs = data.views, CopyPairs(data.views, settings)
    print(
        f"{len(views.meta)} views, {data.known.sum()} of them taught, {len(pairs.rows_of)} pictures",
        flush=True,
    )
    read = map_reader(arguments.frozen)

    def fresh() -> CopyPath:
        return CopyPath(lite_backbone(0), settings.dim).to(memory_format=torch.channels_last)

    path, averaged = fresh(), fresh()
    if state is None and former is not None:
        path.load_state_dict(former["averaged"])
    elif state is None:
        start_tail(path, arguments.start)
        sample = rng.choice(np.flatnonzero(data.known), 6144, replace=False)
        with torch.inference_mode():
            x = torch.cat([path.seen(part) for part in read(views.load(sample)[0]).split(128)])
        start_head(path, x, torch.from_numpy(data.said[sample]))
    averaged.load_state_dict(path.state_dict())
    groups = [
        {"params": list(path.tail.parameters()), "base": settings.tail_rate},
        {"params": [*path.head.parameters(), *path.bend.parameters()], "base": settings.head_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    memory, step, logged = Memory(settings.memory, settings.dim), 0, []
    if state is not None:
        step = go_on(state, path, averaged, optimiser)
        rng = np.random.default_rng([settings.seed, step])
    saved = began = time.monotonic()
    while step < settings.steps:
        set_rate(optimiser, learning_rate(step, settings))
        rows = pairs.draw(rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            k = path(read(views.load(rows)[0]))
        k = F.normalize(k.float(), dim=1)
        found = find_loss(views, k, rows, memory, settings.temperature)
        taught = taught_loss(data, k, rows)
        optimiser.zero_grad()
        (found + settings.teach * taught).backward()
        nn.utils.clip_grad_norm_(path.parameters(), 5.0)
        optimiser.step()
        memory.add(k, rows)
        step += 1
        follow(averaged, path, step, settings.average)
        logged.append((found.item(), taught.item()))
        if step % 20 == 0:
            means = np.mean(logged[-20:], 0)
            speed = 2 * settings.pairs * len(logged) / (time.monotonic() - began)
            print(f"step {step} found {means[0]:.3f} taught {means[1]:.3f} {speed:.0f} img/s", flush=True)
        if time.monotonic() - saved > 180 or step == settings.steps:
            saved = time.monotonic()
            save_state(state_path, path, averaged, optimiser, step, settings, axes=data.axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "views", "teacher", "frozen", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state of train.py whose late stages to begin with")
    parser.add_argument(
        "--start-copies", type=Path, help="the path of copies.py or copy_heads.py to go on from"
    )
    parser.add_argument("--first", type=int, default=0, help="the first shard")
    add_settings(parser, CopySettings())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(arguments, settings_of(arguments, CopySettings()))


if __name__ == "__main__":
    main()
