"""Train the tail, the heads and the text map on the views that views.py has drawn so far.

Views of one thing (the same photograph, product, or emoji of another vendor) find each other among the batch and a
memory of earlier ones in the visual half; clothes of one category do so more weakly; a picture finds its caption among
other sentences in the semantic half, which must also still name the ImageNet classes that the frozen classifier sees
in photographs. The rate is constant and falls over the last `--cool` steps, so a run can be extended or ended at any
time. Seeded; the state is saved every few minutes and `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from network import FEATURES, ImageTower
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
from store import PackedSet
from texts import COLOURS, TEMPLATES, TextBank, captions_of
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Settings:
    steps: int = 1500
    pairs: int = 96  # a batch is twice as many views
    photo_share: float = 0.5  # of the pairs
    item_share: float = (
        0.5  # of the photographs' pairs whose two views are of one photograph; drawings: half of it
    )
    plain_share: float = 0.5  # of the pairs whose second view is a catalog's picture or like one
    memory: int = 6144
    visual_temperature: float = 0.07
    text_temperature: float = 0.05
    negatives: int = 1024  # sentences from the bank beside the batch's own
    synonym: float = 0.75  # sentences closer than this cosine are not each other's negatives
    tail_rate: float = 3e-4
    head_rate: float = 1.5e-3
    text_rate: float = 1e-4
    weight_decay: float = 1e-4
    keep_weight: float = 0.5  # the semantic half of photographs still tells the ImageNet classes
    text_weight: float = 1.0
    category_weight: float = 0.3  # clothes of one category are weaker positives of one another
    sibling: float = (
        0.4  # weight of another photograph of the same product against another view of the same one
    )
    cool: int = 250
    visual_share: float = 0.7
    average: float = 0.995  # decay of the averaged weights that are kept
    warm_up: int = 40
    seed: int = 0


CATALOGUE = "grocery_catalogue"
PHOTOGRAPHS = {"clothing_train", "grocery_train", CATALOGUE, "eshop", "wallpapers"}
KINDS = {
    "clothing_train": "clothing", "eshop": "photo", "tuxpaint": "photo", "openclipart": "drawing", "homes": "photo",
}  # fmt: skip
KEEP = {"grocery_train": 1.0, "wallpapers": 1.0, "clothing_train": 0.2, "eshop": 0.2, "tuxpaint": 0.3}
WITHOUT_WORDS = {"grocery_train", CATALOGUE, "wallpapers"}


class Views:
    """The shards drawn so far; `refresh` finds new ones."""

    def __init__(self, folder: Path, packed: Path, leave_out: Sequence[str] = ()) -> None:
        self.folder, self.leave_out = folder, set(leave_out)
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

    def refresh(self, first: int = 0) -> int:
        """Read the shards, from number `first` on, that are new; how many views may be used now."""
        for path in shards(self.folder, first):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            self.maps.append(np.load(path / "maps.npy", mmap_mode="r"))
            self.pooled.append(np.load(path / "pooled.npy"))
            meta = np.load(path / "meta.npy")
            self.shard = len(meta)
            for n, (s, i, _, _) in enumerate(meta):
                if self.names[s] in self.leave_out:
                    continue
                self.rows_of[int(self.key_of[s][i])].append(len(self.meta) + n)
            self.meta = np.concatenate([self.meta, meta])
        self.keys = np.array([self.key_of[s][i] for s, i in self.meta[:, :2]])
        self.items = self.meta[:, 0].astype(np.int64) * 1_000_000 + self.meta[:, 1]
        self.used = ~np.isin(
            self.meta[:, 0], [n for n, name in enumerate(self.names) if name in self.leave_out]
        )
        self.photo = np.isin(self.meta[:, 0], [n for n, name in enumerate(self.names) if name in PHOTOGRAPHS])
        self.catalogue = np.array([name == CATALOGUE for name in self.names])[self.meta[:, 0]]
        return int(self.used.sum())

    def load(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        maps = np.stack([self.maps[r // self.shard][r % self.shard] for r in rows])
        pooled = np.stack([self.pooled[r // self.shard][r % self.shard] for r in rows])
        return torch.from_numpy(maps), torch.from_numpy(pooled).float()


class Pairs:
    """Draws two views of one thing; each thing once a batch."""

    def __init__(self, views: Views, settings: Settings) -> None:
        self.views, self.settings = views, settings
        many = self._many() & views.used
        photos = round(settings.pairs * settings.photo_share)
        self.pools = (
            (photos, np.flatnonzero(views.photo & many)),
            (settings.pairs - photos, np.flatnonzero(~views.photo & many)),
        )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(2 * pairs,) rows: views, then another view of each one's thing."""
        firsts, seconds, taken = [], [], set()
        for wanted, pool in self.pools:
            for _ in range(wanted):
                row = int(pool[rng.integers(len(pool))])
                while int(self.views.keys[row]) in taken:
                    row = int(pool[rng.integers(len(pool))])
                taken.add(int(self.views.keys[row]))
                firsts.append(row)
                seconds.append(self._other(row, rng))
        return np.array(firsts + seconds)

    def _many(self) -> np.ndarray:
        """(views,) whether there is another view of each one's thing."""
        return np.array([len(self.views.rows_of.get(int(k), ())) > 1 for k in self.views.keys])

    def _other(self, row: int, rng: np.random.Generator) -> int:
        views = self.views
        item_share = self.settings.item_share if views.photo[row] else self.settings.item_share / 2
        others = [r for r in views.rows_of[int(views.keys[row])] if r != row]
        if rng.random() < item_share:
            others = [r for r in others if views.items[r] == views.items[row]] or others
        if rng.random() < self.settings.plain_share:
            shown = [r for r in others if views.catalogue[r]] or [r for r in others if views.meta[r, 3]]
            others = shown or others
        return others[int(rng.integers(len(others)))]


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


SYNONYM_SHARE, KIND_SHARE = 0.4, 0.9  # beside a class's name


class Model(nn.Module):
    """The image tower with the text map beside it: sentence vectors (n, 384) -> semantic unit vectors (n, 256)."""

    def __init__(self, bank: TextBank, settings: Settings) -> None:
        super().__init__()
        self.text = nn.Linear(bank.axes.shape[0], bank.axes.shape[1])
        self.text.weight.data = torch.from_numpy(bank.axes.T.copy())
        self.text.bias.data = torch.from_numpy(-(bank.mean @ bank.axes))
        self.register_buffer("class_sentences", torch.from_numpy(bank.classes))
        for name in ("synonyms", "kinds", "kind_of"):
            self.register_buffer(name, torch.from_numpy(getattr(bank, name)), persistent=False)
        self.kind_names = bank.kind_names
        with torch.no_grad():
            self.tower = ImageTower(self.classes(), visual_share=settings.visual_share)

    def words(self, sentences: Tensor) -> Tensor:
        return F.normalize(self.text(sentences), dim=1)

    def classes(self) -> Tensor:
        """Where the 1,000 classes lie, (1000, 256) of unit length: near their names, their synonyms, and the kinds of
        things that they are."""
        own = F.normalize(self.words(self.class_sentences) + SYNONYM_SHARE * self.words(self.synonyms), dim=1)
        kinds = F.normalize(self.kind_of @ self.words(self.kinds), dim=1)
        return F.normalize(own + KIND_SHARE * kinds, dim=1)

    def forward(self, maps: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit v, unit s, and the frozen classifier's probabilities, from the frozen part's outputs."""
        v, c, r = self.tower.join(maps, pooled, self.classes())
        with torch.no_grad():
            chance = self.tower.classifier(pooled).softmax(1)
        return F.normalize(v, dim=1), self.tower.meaning(c.float(), r.float()), chance


def start_rest(model: Model, maps: Tensor) -> None:
    """The scale of those inputs of the heads that are standardised, from some views."""
    tower = model.tower
    with torch.inference_mode():
        rest = torch.cat([tower.rest(part, tower.student(part)) for part in maps.split(128)])
    tower.scale_rest(rest.mean(0), rest.std(0) + 1e-2)


def start_visual_head(model: Model, pooled: np.ndarray) -> None:
    """Principal components of the frozen features, scaled to unit variance: a working likeness from the first step."""
    x = pooled.astype(np.float64)
    mean = x.mean(0)
    values, axes = np.linalg.eigh(np.cov((x - mean).T))
    keep = np.argsort(values)[::-1][: model.tower.visual]
    weight = axes[:, keep] / np.sqrt(values[keep] + values[keep].mean())
    with torch.no_grad():
        model.tower.head.weight[: model.tower.visual, FEATURES : 2 * FEATURES] = torch.from_numpy(
            weight.T
        ).float()
        model.tower.head.weight[: model.tower.visual, :FEATURES] = 0.5 * torch.from_numpy(weight.T).float()
        model.tower.head.bias[: model.tower.visual] = torch.from_numpy(-1.5 * (mean @ weight)).float()


def positives_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy against the mix of each row's positives, even or weighted; rows without any are left out."""
    some = same.any(1)
    weights = same[some].float()
    logs = torch.log_softmax(scores[some], 1).masked_fill(weights == 0, 0.0)
    return -((logs * weights).sum(1) / weights.sum(1)).mean()


class Memory:
    """The last visual vectors and what they show: more negatives than a batch holds (cross-batch memory,
    Wang et al. 2020, arXiv:1912.06798)."""

    def __init__(self, size: int, dim: int) -> None:
        self.vectors, self.rows, self._next = torch.zeros(size, dim), np.full(size, -1), 0
        self.filled = 0

    def add(self, vectors: Tensor, rows: np.ndarray) -> None:
        places = (np.arange(len(rows)) + self._next) % len(self.rows)
        self.vectors[places], self.rows[places] = vectors.detach(), rows
        self._next = int((self._next + len(rows)) % len(self.rows))
        self.filled = min(len(self.rows), self.filled + len(rows))


def alike(views: Views, rows: np.ndarray, others: np.ndarray, sibling: float) -> Tensor:
    """(n, m) weights of positives: 1 for the same picture, or the same thing drawn by another; `sibling` for another
    photograph of the same thing; 0 otherwise."""
    same = views.keys[rows][:, None] == views.keys[others][None]
    item = views.items[rows][:, None] == views.items[others][None]
    weight = np.where(views.photo[rows][:, None] & ~item, sibling, 1.0)
    return torch.from_numpy(np.where(same, weight, 0.0)).float()


def visual_losses(
    views: Views, v: Tensor, rows: np.ndarray, memory: Memory, category: np.ndarray, settings: Settings
) -> tuple[Tensor, Tensor]:
    """Views of one thing against all others; clothes of one category against other clothes."""
    everything = torch.cat([v, memory.vectors[: memory.filled]])
    all_rows = np.concatenate([rows, memory.rows[: memory.filled]])
    itself = torch.arange(len(v))
    scores = v @ everything.T / settings.visual_temperature
    scores[itself, itself] = -1e4
    same = alike(views, rows, all_rows, settings.sibling)
    same[itself, itself] = 0.0
    clothes, all_clothes = category[rows] >= 0, category[all_rows] >= 0
    kinds = torch.from_numpy(category[rows][clothes][:, None] == category[all_rows][all_clothes][None])
    among = scores[torch.from_numpy(clothes)][:, torch.from_numpy(all_clothes)]
    return positives_loss(scores, same), positives_loss(among, kinds & (among > -1e3))


def categories(views: Views) -> np.ndarray:
    """(views,) the clothing category of each view, or -1."""
    labels = sorted({i.label for one in views.sets if one.name == "clothing_train" for i in one.items})
    return np.array([
        labels.index(views.sets[s].items[i].label) if views.names[s] == "clothing_train" else -1
        for s, i in views.meta[:, :2]
    ])  # fmt: skip


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


def keep_loss(words: Tensor, s: Tensor, chance: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the ImageNet classes as the semantic half names them from the frozen classifier's
    probabilities, weighted by how sure it is; `words` are the class names' vectors (1000, semantic)."""
    named = torch.log_softmax(s @ words.T / temperature, 1)
    off = (chance * (chance.clamp_min(1e-8).log() - named)).sum(1)
    weight = weight * chance.max(1).values
    return (off * weight).sum() / weight.sum().clamp_min(1e-6)


def keep_weights(views: Views, rows: np.ndarray) -> Tensor:
    """1 for photographs without words, less for those whose words may say something else."""
    names = [views.names[s] for s in views.meta[rows, 0]]
    return torch.tensor([KEEP.get(name, 0.0) for name in names])


def joint_loss(
    model: Model,
    batch: tuple[np.ndarray, Tensor, Tensor, Tensor],
    data: tuple[Views, TextBank, Captions, np.ndarray],
    memory: Memory,
    settings: Settings,
    rng: np.random.Generator,
) -> tuple[Tensor, tuple[float, float, float, float]]:
    """All losses of a batch, weighted and added, and for the log each: visual, category, text, keep.

    `batch`: rows of views, their unit v and s, and the classifier's probabilities. `data`: views, sentences, what captions to
    draw, and the categories of clothes.
    """
    rows, v, s, chance = batch
    views, bank, captions, category = data
    sentences = np.array([captions.draw(int(m[0]), int(m[1]), int(m[2]), rng) for m in views.meta[rows]])
    loss_v, loss_c = visual_losses(views, v, rows, memory, category, settings)
    loss_t = text_loss(model, bank, s, sentences, settings, rng)
    words = model.words(model.class_sentences)
    loss_k = keep_loss(words, s, chance, keep_weights(views, rows), settings.text_temperature)
    loss = (
        loss_v
        + settings.category_weight * loss_c
        + settings.text_weight * loss_t
        + settings.keep_weight * loss_k
    )
    return loss, (loss_v.item(), loss_c.item(), loss_t.item(), loss_k.item())


def load_tail(model: Model, path: Path) -> None:
    """The trained late stages of a checkpoint, without its heads."""
    model.tower.student.load_state_dict(tail_weights(path))


def train(arguments: argparse.Namespace, settings: Settings) -> None:
    torch.manual_seed(settings.seed)
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(settings.seed)
    bank = TextBank(arguments.texts)
    views = Views(arguments.views, arguments.packed, arguments.leave_out)
    print(f"{views.refresh()} views", flush=True)
    read = map_reader(arguments.frozen)
    model = Model(bank, settings)
    if arguments.start:
        model.load_state_dict(torch.load(arguments.start, weights_only=False)["averaged"])
    else:
        start_visual_head(model, views.pooled[0])
        start_rest(model, read(views.load(np.arange(1024))[0]))
    averaged = Model(bank, settings)
    averaged.load_state_dict(model.state_dict())
    tower = model.tower.to(memory_format=torch.channels_last)
    groups = [
        {"params": list(tower.student.parameters()), "base": settings.tail_rate},
        {"params": [*tower.head.parameters(), *tower.bend.parameters()], "base": settings.head_rate},
        {"params": list(model.text.parameters()), "base": settings.text_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    captions, memory = Captions(views, bank), Memory(settings.memory, tower.visual)
    pairs, category = Pairs(views, settings), categories(views)
    state_path = arguments.out / "state.pt"
    step = 0
    if arguments.resume and state_path.exists():
        step = go_on(torch.load(state_path, weights_only=False), model, averaged, optimiser)
        rng = np.random.default_rng([settings.seed, step])
    model.train()
    saved, began, logged = time.monotonic(), time.monotonic(), []
    while step < settings.steps:
        set_rate(optimiser, learning_rate(step, settings))
        rows = pairs.draw(rng)
        codes, pooled = views.load(rows)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            v, s, chance = model(read(codes), pooled)
        v, s, chance = v.float(), s.float(), chance.float()
        data = (views, bank, captions, category)
        loss, parts = joint_loss(model, (rows, v, s, chance), data, memory, settings, rng)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        memory.add(v, rows)
        step += 1
        follow(averaged, model, step, settings.average)
        logged.append(parts)
        if step % 20 == 0:
            means = np.mean(logged[-20:], 0)
            speed = 2 * settings.pairs * len(logged) / (time.monotonic() - began)
            print(
                f"step {step} visual {means[0]:.3f} category {means[1]:.3f} text {means[2]:.3f} "
                f"keep {means[3]:.3f} {speed:.0f} img/s",
                flush=True,
            )
        if step % 100 == 0:
            print(f"{views.refresh()} views", flush=True)
            pairs, category = Pairs(views, settings), categories(views)
        if time.monotonic() - saved > 180 or step == settings.steps:
            saved = time.monotonic()
            save_state(state_path, model, averaged, optimiser, step, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "views", "texts", "frozen", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state of another run to begin with")
    parser.add_argument("--leave-out", nargs="*", default=[], help="sets whose views are not trained on")
    add_settings(parser, Settings())
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = settings_of(arguments, Settings())
    (arguments.out / "settings.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    train(arguments, settings)


if __name__ == "__main__":
    main()
