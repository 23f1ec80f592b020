"""Train the tail, the heads and the text map on the views that views.py has drawn so far.

Two losses: views of one thing (the same photograph, product, or emoji of another vendor) find each other among the
batch and a memory of earlier ones in the visual half; and a picture finds its caption among other sentences in the
semantic half. Where a photograph has no caption, the semantic half is held to what ImageNet's classes say of it.
Seeded; the state is saved every few minutes and `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from network import FEATURES, ImageTower
from store import PackedSet
from texts import COLOURS, TEMPLATES, TextBank, captions_of
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Settings:
    steps: int = 1500
    pairs: int = 96  # a batch is twice as many views
    memory: int = 4096
    visual_temperature: float = 0.07
    text_temperature: float = 0.05
    negatives: int = 1024  # sentences from the bank beside the batch's own
    synonym: float = 0.75  # sentences closer than this cosine are not each other's negatives
    tail_rate: float = 3e-4
    head_rate: float = 1.5e-3
    text_rate: float = 1e-4
    weight_decay: float = 1e-4
    keep_weight: float = 1.0  # holds the semantic half of uncaptioned photographs to ConSE
    text_weight: float = 1.0
    visual_share: float = 0.7
    average: float = 0.995  # decay of the averaged weights that are kept
    warm_up: int = 40
    seed: int = 0


KINDS = {"clothing_train": "clothing", "eshop": "photo", "tuxpaint": "photo", "openclipart": "drawing"}
WITHOUT_WORDS = {"grocery_train", "wallpapers"}


class Views:
    """The shards drawn so far; `refresh` finds new ones."""

    def __init__(self, folder: Path, packed: Path) -> None:
        self.folder = folder
        self.names: list[str] = json.loads((folder / "sets.json").read_text(encoding="utf-8"))
        self.sets = [PackedSet(packed, name) for name in self.names]
        keys = sorted({item.key for one in self.sets for item in one.items})
        number = {key: n for n, key in enumerate(keys)}
        self.key_of = [np.array([number[item.key] for item in one.items]) for one in self.sets]
        self.maps: list[np.ndarray] = []
        self.pooled: list[np.ndarray] = []
        self.meta = np.zeros((0, 4), np.int32)
        self.rows_of: dict[int, list[int]] = defaultdict(list)
        self._seen: set[str] = set()
        self.shard = 0

    def refresh(self) -> int:
        for path in sorted(p for p in self.folder.iterdir() if p.name.isdigit() and p.name not in self._seen):
            self._seen.add(path.name)
            self.maps.append(np.load(path / "maps.npy", mmap_mode="r"))
            self.pooled.append(np.load(path / "pooled.npy"))
            meta = np.load(path / "meta.npy")
            self.shard = len(meta)
            for n, (s, i, _, _) in enumerate(meta):
                self.rows_of[int(self.key_of[s][i])].append(len(self.meta) + n)
            self.meta = np.concatenate([self.meta, meta])
        self.keys = np.array([self.key_of[s][i] for s, i in self.meta[:, :2]])
        return len(self.meta)

    def batch(self, pairs: int, rng: np.random.Generator) -> np.ndarray:
        """(2 * pairs,) rows: views, then another view of each one's thing."""
        firsts, seconds = [], []
        taken: set[int] = set()
        while len(firsts) < pairs:
            row = int(rng.integers(len(self.meta)))
            others = self.rows_of[int(self.keys[row])]
            if len(others) < 2 or int(self.keys[row]) in taken:
                continue
            other = row
            while other == row:
                other = others[int(rng.integers(len(others)))]
            taken.add(int(self.keys[row]))
            firsts.append(row)
            seconds.append(other)
        return np.array(firsts + seconds)

    def load(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        maps = np.stack([self.maps[r // self.shard][r % self.shard] for r in rows])
        pooled = np.stack([self.pooled[r // self.shard][r % self.shard] for r in rows])
        return torch.from_numpy(maps), torch.from_numpy(pooled).float()


class Captions:
    """Chooses a sentence for a view: a caption, sometimes with the colour seen, in one of its kind's templates."""

    def __init__(self, views: Views, bank: TextBank) -> None:
        self.bank = bank
        self.words: list[list[tuple[str, ...]]] = []
        self.kinds: list[str] = []
        for one in views.sets:
            kind = "emoji" if one.name.startswith("emoji") else KINDS.get(one.name, "")
            self.kinds.append(kind)
            self.words.append([
                () if one.name in WITHOUT_WORDS else tuple(
                    w for w in captions_of(kind, item.captions, item.label) if w in bank.row
                )
                for item in one.items
            ])  # fmt: skip

    def draw(self, s: int, i: int, colour: int, rng: np.random.Generator) -> int:
        """Row of the bank, or -1 where nothing is known of the picture."""
        words, kind = self.words[s][i], self.kinds[s]
        if not words:
            return -1
        word = words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]
        if colour >= 0 and rng.random() < 0.35:
            for pattern in ("a photo of a {} {}", "{} {}") if rng.random() < 0.3 else ("{} {}",):
                row = self.bank.row.get(pattern.format(COLOURS[colour], word))
                if row is not None:
                    return row
        templates = TEMPLATES["photo" if kind == "clothing" else kind]
        pick = 0 if rng.random() < 0.5 else int(rng.integers(1, len(templates)))
        return self.bank.row.get(templates[pick].format(word), self.bank.row[word])


class Model(nn.Module):
    """The image tower with the text map beside it: sentence vectors (n, 384) -> semantic unit vectors (n, 256)."""

    def __init__(self, bank: TextBank, settings: Settings) -> None:
        super().__init__()
        self.text = nn.Linear(bank.axes.shape[0], bank.axes.shape[1])
        self.text.weight.data = torch.from_numpy(bank.axes.T.copy())
        self.text.bias.data = torch.from_numpy(-(bank.mean @ bank.axes))
        self.register_buffer("class_sentences", torch.from_numpy(bank.classes))
        with torch.no_grad():
            classes = F.normalize(self.text(self.class_sentences), dim=1)
        self.tower = ImageTower(classes, visual_share=settings.visual_share)

    def words(self, sentences: Tensor) -> Tensor:
        return F.normalize(self.text(sentences), dim=1)

    def forward(self, maps: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit v, unit s, and ConSE c, from the frozen part's outputs."""
        v, c, r = self.tower.join(maps, pooled, self.words(self.class_sentences))
        return F.normalize(v, dim=1), F.normalize(c + r, dim=1), c


def start_visual_head(model: Model, pooled: np.ndarray) -> None:
    """Principal components of the frozen features, scaled to unit variance: a working likeness from the first step."""
    x = pooled.astype(np.float64)
    mean = x.mean(0)
    values, axes = np.linalg.eigh(np.cov((x - mean).T))
    keep = np.argsort(values)[::-1][: model.tower.visual]
    weight = axes[:, keep] / np.sqrt(values[keep] + values[keep].mean())
    with torch.no_grad():
        model.tower.head.weight[: model.tower.visual, FEATURES:] = torch.from_numpy(weight.T).float()
        model.tower.head.weight[: model.tower.visual, :FEATURES] = 0.5 * torch.from_numpy(weight.T).float()
        model.tower.head.bias[: model.tower.visual] = torch.from_numpy(-1.5 * (mean @ weight)).float()


def positives_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy against the even mix of each row's positives; rows without any are left out. -inf marks excluded."""
    some = same.any(1)
    logs = torch.log_softmax(scores[some], 1).masked_fill(~same[some], 0.0)
    return -(logs.sum(1) / same[some].sum(1)).mean()


class Memory:
    """The last visual vectors and their keys: more negatives than a batch holds (cross-batch memory,
    Wang et al. 2020, arXiv:1912.06798)."""

    def __init__(self, size: int, dim: int) -> None:
        self.vectors, self.keys, self._next = torch.zeros(size, dim), torch.full((size,), -1), 0
        self.filled = 0

    def add(self, vectors: Tensor, keys: Tensor) -> None:
        places = (torch.arange(len(keys)) + self._next) % len(self.keys)
        self.vectors[places], self.keys[places] = vectors.detach(), keys
        self._next = int((self._next + len(keys)) % len(self.keys))
        self.filled = min(len(self.keys), self.filled + len(keys))


def visual_loss(v: Tensor, keys: Tensor, memory: Memory, temperature: float) -> Tensor:
    everything = torch.cat([v, memory.vectors[: memory.filled]])
    all_keys = torch.cat([keys, memory.keys[: memory.filled]])
    scores = v @ everything.T / temperature
    itself = torch.arange(len(v))
    scores[itself, itself] = -1e4
    same = keys[:, None] == all_keys[None]
    same[itself, itself] = False
    return positives_loss(scores, same)


def text_loss(
    model: Model, bank: TextBank, s: Tensor, rows: np.ndarray, settings: Settings, rng: np.random.Generator
) -> Tensor:
    """Picture to sentence and sentence to picture; `rows` are bank rows, -1 where there is no sentence."""
    known = np.flatnonzero(rows >= 0)
    unique, which = np.unique(rows[known], return_inverse=True)
    others = np.setdiff1d(rng.choice(len(bank.sentences), settings.negatives, replace=False), unique)
    sentences = torch.from_numpy(bank.vectors[np.concatenate([unique, others])].astype(np.float32))
    sentences = torch.cat([sentences, model.class_sentences])
    words = model.words(sentences)
    alike = sentences[: len(unique)] @ sentences.T > settings.synonym
    index = torch.from_numpy(which)
    scores = s[torch.from_numpy(known)] @ words.T / settings.text_temperature
    target = F.one_hot(index, len(sentences)).bool()
    scores = scores.masked_fill(alike[index] & ~target, -1e4)
    forward = positives_loss(scores, target)
    back = scores[:, : len(unique)].T
    mask = alike[:, : len(unique)][:, index] & ~target[:, : len(unique)].T
    return forward + 0.5 * positives_loss(back.masked_fill(mask, -1e4), target[:, : len(unique)].T)


def keep_loss(s: Tensor, c: Tensor, chosen: Tensor) -> Tensor:
    """1 - cosine of the semantic half to ConSE, weighted by how sure the classifier is (the length of c)."""
    length = c.norm(dim=1)
    off = 1 - (s * c).sum(1) / length.clamp_min(1e-6)
    weight = length * chosen
    return (off * weight).sum() / weight.sum().clamp_min(1e-6)


def learning_rate(step: int, settings: Settings) -> float:
    rise = min(1.0, (step + 1) / settings.warm_up)
    return rise * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, step / settings.steps)))))


def train(arguments: argparse.Namespace, settings: Settings) -> None:
    torch.manual_seed(settings.seed)
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(settings.seed)
    bank = TextBank(arguments.texts)
    views = Views(arguments.views, arguments.packed)
    print(f"{views.refresh()} views", flush=True)
    scale = json.loads((arguments.frozen / "frozen.json").read_text(encoding="utf-8"))
    model = Model(bank, settings)
    start_visual_head(model, views.pooled[0])
    averaged = Model(bank, settings)
    averaged.load_state_dict(model.state_dict())
    tower = model.tower.to(memory_format=torch.channels_last)
    groups = [
        {"params": list(tower.student.parameters()), "lr": settings.tail_rate, "base": settings.tail_rate},
        {"params": list(tower.head.parameters()), "lr": settings.head_rate, "base": settings.head_rate},
        {"params": list(model.text.parameters()), "lr": settings.text_rate, "base": settings.text_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    captions, memory = Captions(views, bank), Memory(settings.memory, tower.visual)
    wordless = np.array([name in WITHOUT_WORDS for name in views.names])
    photographs = np.array(
        [name in WITHOUT_WORDS or name in {"clothing_train", "eshop"} for name in views.names]
    )
    state_path = arguments.out / "state.pt"
    step = 0
    if arguments.resume and state_path.exists():
        state = torch.load(state_path, weights_only=False)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
        rng = np.random.default_rng([settings.seed, step])
    model.train()
    saved, began, logged = time.monotonic(), time.monotonic(), []
    while step < settings.steps:
        rate = learning_rate(step, settings)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate
        rows = views.batch(settings.pairs, rng)
        codes, pooled = views.load(rows)
        maps = (codes.float() - scale["zero"]) * scale["scale"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            v, s, c = model(maps.to(memory_format=torch.channels_last), pooled)
        v, s, c = v.float(), s.float(), c.float()
        meta = views.meta[rows]
        keys = torch.from_numpy(views.keys[rows])
        sentences = np.array([captions.draw(int(m[0]), int(m[1]), int(m[2]), rng) for m in meta])
        loss_v = visual_loss(v, keys, memory, settings.visual_temperature)
        loss_t = text_loss(model, bank, s, sentences, settings, rng)
        weight = wordless[meta[:, 0]] + 0.1 * (photographs & ~wordless)[meta[:, 0]]
        loss_k = keep_loss(s, c.detach(), torch.from_numpy(weight).float())
        loss = loss_v + settings.text_weight * loss_t + settings.keep_weight * loss_k
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        memory.add(v, keys)
        step += 1
        decay = min(settings.average, step / (step + 10))
        with torch.no_grad():
            for mean, now in zip(averaged.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        logged.append((loss_v.item(), loss_t.item(), loss_k.item()))
        if step % 20 == 0:
            means = np.mean(logged[-20:], 0)
            speed = 2 * settings.pairs * len(logged) / (time.monotonic() - began)
            print(
                f"step {step} visual {means[0]:.3f} text {means[1]:.3f} keep {means[2]:.3f} {speed:.0f} img/s",
                flush=True,
            )
        if step % 100 == 0:
            print(f"{views.refresh()} views", flush=True)
        if time.monotonic() - saved > 180 or step == settings.steps:
            saved = time.monotonic()
            state = {
                "model": model.state_dict(), "averaged": averaged.state_dict(), "optimiser": optimiser.state_dict(),
                "step": step, "settings": asdict(settings),
            }  # fmt: skip
            torch.save(state, state_path.with_suffix(".part"))
            state_path.with_suffix(".part").replace(state_path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "views", "texts", "frozen", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    defaults = Settings()
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(**{name: getattr(arguments, name) for name in asdict(defaults)})
    (arguments.out / "settings.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    train(arguments, settings)


if __name__ == "__main__":
    main()
