"""Fit the heads anew on the finished tail's features: thousands of large batches in minutes.

Input: [trained tail, frozen tail] features of every view (features.py), standardised. Losses as in train.py, with the
bounded form of the semantic half (`ImageTower.meaning`), bigger batches, and half of the pairs photographs.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from measure import Vectors, table
from network import FEATURES
from score import Sentences, joined, texts_of
from texts import TextBank
from torch import Tensor, nn
from torch.nn import functional as F
from train import WITHOUT_WORDS, Captions, Model, Settings, Views, keep_loss, positives_loss, text_loss


@dataclass(frozen=True)
class HeadSettings:
    steps: int = 1500
    pairs: int = 384
    photo_share: float = 0.5  # of the pairs
    plain_share: float = 0.5  # of the pairs whose second view is as a catalogue shows it, where there is one
    visual_temperature: float = 0.07
    text_temperature: float = 0.05
    negatives: int = 2048
    synonym: float = 0.75
    rate: float = 1e-3
    text_rate: float = 2e-4
    weight_decay: float = 1e-2
    drop: float = 0.1
    reach: float = 1.5
    keep_weight: float = 1.0
    text_weight: float = 1.0
    category_weight: float = 0.3  # clothes of one category are weaker positives of one another
    trained: bool = True  # False: the frozen features alone
    seed: int = 0


class Features:
    """Standardised features and frozen probabilities' source of every view."""

    def __init__(self, views: Views, folder: Path, trained: bool) -> None:
        self.tail = None
        if trained:
            self.tail = np.concatenate([np.load(p) for p in sorted(folder.glob("[0-9]*.npy"))])
        self.frozen = np.concatenate([p.astype(np.float16) for p in views.pooled])
        if self.tail is not None and len(self.tail) != len(self.frozen):
            raise ValueError(
                f"{folder} has features of {len(self.tail)} views, there are {len(self.frozen)}: run features.py"
            )
        sample = np.random.default_rng(0).choice(len(self.frozen), 8000, replace=False)
        x = self.joint(self.frozen[sample], None if self.tail is None else self.tail[sample])
        self.mean, self.std = x.mean(0), x.std(0) + 0.02

    @staticmethod
    def joint(frozen: np.ndarray, tail: np.ndarray | None) -> Vectors:
        first = np.zeros_like(frozen) if tail is None else tail
        return np.concatenate([first, frozen], 1).astype(np.float32)

    def rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Standardised joint features (n, 2560), and frozen ones as they are (n, 1280)."""
        frozen = self.frozen[rows].astype(np.float32)
        x = self.joint(self.frozen[rows], None if self.tail is None else self.tail[rows])
        return torch.from_numpy((x - self.mean) / self.std), torch.from_numpy(frozen)


class Pairs:
    """Draws two views of one thing; each thing once a batch."""

    def __init__(self, views: Views, settings: HeadSettings) -> None:
        self.views, self.settings = views, settings
        photo = np.array([n in WITHOUT_WORDS | {"clothing_train", "eshop"} for n in views.names])[
            views.meta[:, 0]
        ]
        many = np.array([len(views.rows_of[int(k)]) > 1 for k in views.keys])
        self.photos, self.others = np.flatnonzero(photo & many), np.flatnonzero(~photo & many)
        self.plain_of = {k: [r for r in rows if views.meta[r, 3]] for k, rows in views.rows_of.items()}

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        firsts, seconds, taken = [], [], set()
        wanted = {True: round(self.settings.pairs * self.settings.photo_share)}
        wanted[False] = self.settings.pairs - wanted[True]
        for is_photo, pool in ((True, self.photos), (False, self.others)):
            got = 0
            while got < wanted[is_photo]:
                row = int(pool[rng.integers(len(pool))])
                key = int(self.views.keys[row])
                if key in taken:
                    if len(taken) > 0.95 * len(pool):
                        break
                    continue
                plain = [r for r in self.plain_of[key] if r != row]
                others = (
                    plain if plain and rng.random() < self.settings.plain_share else self.views.rows_of[key]
                )
                other = row
                while other == row:
                    other = others[int(rng.integers(len(others)))]
                taken.add(key)
                firsts.append(row)
                seconds.append(other)
                got += 1
        return np.array(firsts + seconds)


def initial_head(features: Features, visual: int) -> tuple[Tensor, Tensor]:
    """Principal components of the standardised features, whitened by half: (visual, 2560) and a zero bias."""
    sample = np.random.default_rng(1).choice(len(features.frozen), 8000, replace=False)
    x = features.rows(sample)[0].numpy().astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(x.T))
    keep = np.argsort(values)[::-1][:visual]
    return torch.from_numpy(
        (axes[:, keep] / (values[keep] + values[keep].mean()) ** 0.5).T
    ).float(), torch.zeros(visual)


def fit(model: Model, features: Features, views: Views, bank: TextBank, settings: HeadSettings) -> nn.Linear:
    """The head on standardised features; the text map of `model` is trained in place."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    tower = model.tower
    tower.reach.fill_(settings.reach)
    head = nn.Linear(2 * FEATURES, tower.visual + tower.semantic)
    weight, bias = initial_head(features, tower.visual)
    with torch.no_grad():
        head.weight[: tower.visual], head.bias[: tower.visual] = weight, bias
        head.weight[tower.visual :] *= 0.5
    optimiser = torch.optim.AdamW(
        [
            {"params": head.parameters(), "lr": settings.rate, "base": settings.rate},
            {
                "params": model.text.parameters(),
                "lr": settings.text_rate,
                "base": settings.text_rate,
                "weight_decay": 0.0,
            },
        ],
        weight_decay=settings.weight_decay,
    )
    captions, pairs = Captions(views, bank), Pairs(views, settings)
    wordless = np.array([n in WITHOUT_WORDS for n in views.names])
    photos = np.array([n in WITHOUT_WORDS | {"clothing_train", "eshop", "tuxpaint"} for n in views.names])
    text_settings = Settings(
        text_temperature=settings.text_temperature, negatives=settings.negatives, synonym=settings.synonym
    )
    labels = sorted({item.label for one in views.sets if one.name == "clothing_train" for item in one.items})
    category = np.array([
        labels.index(views.sets[s].items[i].label) if views.names[s] == "clothing_train" else -1
        for s, i in views.meta[:, :2]
    ])  # fmt: skip
    logged, began = [], time.monotonic()
    for step in range(settings.steps):
        rate = min(1.0, (step + 1) / 50) * (
            0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * step / settings.steps)))
        )
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate
        rows = pairs.draw(rng)
        x, frozen = features.rows(rows)
        out = head(F.dropout(x, settings.drop))
        v = F.normalize(out[:, : tower.visual], dim=1)
        with torch.no_grad():
            chance = tower.classifier(frozen).softmax(1)
        c = chance @ model.words(model.class_sentences)
        s = tower.meaning(c, out[:, tower.visual :])
        keys = torch.from_numpy(views.keys[rows])
        scores = v @ v.T / settings.visual_temperature
        itself = torch.eye(len(v), dtype=torch.bool)
        loss_v = positives_loss(scores.masked_fill(itself, -1e4), (keys[:, None] == keys[None]) & ~itself)
        meta = views.meta[rows]
        sentences = np.array([captions.draw(int(m[0]), int(m[1]), int(m[2]), rng) for m in meta])
        loss_t = text_loss(model, bank, s, sentences, text_settings, rng)
        weight = wordless[meta[:, 0]] + 0.2 * (photos & ~wordless)[meta[:, 0]]
        loss_k = keep_loss(s, c.detach(), torch.from_numpy(weight).float())
        clothes = torch.from_numpy(category[rows] >= 0)
        kinds = torch.from_numpy(category[rows])[clothes]
        among = scores[clothes][:, clothes].masked_fill(itself[clothes][:, clothes], -1e4)
        loss_c = positives_loss(among, (kinds[:, None] == kinds[None]) & ~itself[clothes][:, clothes])
        loss = (
            loss_v
            + settings.category_weight * loss_c
            + settings.text_weight * loss_t
            + settings.keep_weight * loss_k
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        logged.append((loss_v.item(), loss_t.item(), loss_k.item()))
        if (step + 1) % 250 == 0:
            means = np.mean(logged[-100:], 0)
            print(
                f"step {step + 1} visual {means[0]:.3f} text {means[1]:.3f} keep {means[2]:.3f} "
                f"{time.monotonic() - began:.0f} s", flush=True,
            )  # fmt: skip
    return head


def scores_of(
    model: Model,
    head: nn.Linear,
    features: Features,
    prepared: Path,
    tails: Path,
    packed: Path,
    shares: list[float],
    cache: Path,
) -> dict[str, dict[str, float]]:
    raw = {}
    with torch.inference_mode():
        classes = model.words(model.class_sentences)
        for path in sorted(prepared.glob("*.npz")):
            pooled = np.load(path)["pooled"]
            tail = None if features.tail is None else np.load(tails / f"{path.stem}.npy")
            x = (features.joint(pooled, tail) - features.mean) / features.std
            out = head(torch.from_numpy(x))
            c = model.tower.classifier(torch.from_numpy(pooled.astype(np.float32))).softmax(1) @ classes
            s = model.tower.meaning(c, out[:, model.tower.visual :])
            raw[path.stem] = (out[:, : model.tower.visual].numpy(), s.numpy())
    texts = texts_of(model, Sentences(cache))
    return {
        f"visual {share}": table(packed, {n: joined(v, s, share) for n, (v, s) in raw.items()}, texts)
        for share in shares
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "texts", "views", "prepared", "features", "state", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=float, nargs="+", default=[0.5, 0.7, 0.85])
    parser.add_argument("--threads", type=int, default=2)
    defaults = HeadSettings()
    for name, value in asdict(defaults).items():
        kind = (lambda text: text == "yes") if isinstance(value, bool) else type(value)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = HeadSettings(**{name: getattr(arguments, name) for name in asdict(defaults)})
    bank = TextBank(arguments.texts)
    views = Views(arguments.views, arguments.packed)
    views.refresh()
    model = Model(bank, Settings())
    tail_only = {
        name: tensor
        for name, tensor in torch.load(arguments.state, weights_only=False)["averaged"].items()
        if name.startswith("tower.student")
    }
    model.load_state_dict(tail_only, strict=False)
    features = Features(views, arguments.features, settings.trained)
    head = fit(model, features, views, bank, settings)
    columns = scores_of(
        model,
        head,
        features,
        arguments.prepared,
        arguments.features,
        arguments.packed,
        arguments.share,
        arguments.texts,
    )
    for row in next(iter(columns.values())):
        print(f"{row:45s}" + "".join(f"{column[row]:14.3f}" for column in columns.values()))
    weight = head.weight.detach() / torch.from_numpy(features.std)
    with torch.no_grad():
        model.tower.head.weight.copy_(weight)
        model.tower.head.bias.copy_(head.bias - weight @ torch.from_numpy(features.mean))
        model.tower.class_vectors.copy_(model.words(model.class_sentences))
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save({"averaged": model.state_dict(), "settings": asdict(settings)}, arguments.out / "state.pt")
    (arguments.out / "scores.json").write_text(
        json.dumps({"settings": asdict(settings), "scores": columns}, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
