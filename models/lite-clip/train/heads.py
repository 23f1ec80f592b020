"""Fit the heads anew on the finished tail's features: thousands of large batches in minutes.

Input: `ImageTower.inputs` of every view (features.py), standardised. Losses as in train.py, with bigger batches instead
of a memory.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from measure import Vectors, table
from network import FEATURES, ImageTower
from running import add_settings, cosine_rate, set_rate, settings_of
from score import Sentences, joined, kept, texts_of
from texts import TextBank
from torch import Tensor, nn
from torch.nn import functional as F
from train import Captions, Memory, Model, Pairs, Settings, Views, categories, joint_loss, load_tail


@dataclass(frozen=True)
class HeadSettings:
    steps: int = 1500
    pairs: int = 384
    photo_share: float = 0.5  # these as in train.py
    plain_share: float = 0.5
    item_share: float = 0.75  # more views of one photograph than there: parts find their picture
    visual_temperature: float = 0.07
    text_temperature: float = 0.05
    negatives: int = 2048
    synonym: float = 0.75
    rate: float = 1e-3
    text_rate: float = 2e-4
    weight_decay: float = 1e-2
    drop: float = 0.1
    hidden_drop: float = 0.2  # within the bent path
    reach: float = 1.5
    keep_weight: float = 0.5
    text_weight: float = 1.0
    category_weight: float = 0.2
    sibling: float = 0.2
    seed: int = 0


class Features:
    """Standardised features and frozen probabilities' source of every view."""

    def __init__(self, views: Views, folder: Path) -> None:
        self.trained = np.concatenate([np.load(p) for p in sorted(folder.glob("[0-9]*.npy"))])
        self.frozen = np.concatenate([p.astype(np.float16) for p in views.pooled])
        if len(self.trained) != len(self.frozen):
            raise ValueError(
                f"{folder} has features of {len(self.trained)} views, there are {len(self.frozen)}: run features.py"
            )
        sample = np.random.default_rng(0).choice(len(self.frozen), 8000, replace=False)
        x = self.joint(self.frozen[sample], self.trained[sample])
        self.mean, self.std = x.mean(0), x.std(0) + 0.02

    @staticmethod
    def joint(frozen: np.ndarray, trained: np.ndarray) -> Vectors:
        """In the order of `ImageTower.inputs`."""
        return np.concatenate([trained[:, :FEATURES], frozen, trained[:, FEATURES:]], 1).astype(np.float32)

    def rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Standardised joint features (n, 3 * 1280 + 2 * c), and frozen ones as they are (n, 1280)."""
        frozen = self.frozen[rows].astype(np.float32)
        x = self.joint(self.frozen[rows], self.trained[rows])
        return torch.from_numpy((x - self.mean) / self.std), torch.from_numpy(frozen)


def initial_head(features: Features, visual: int) -> tuple[Tensor, Tensor]:
    """Principal components of the standardised features, whitened by half: (visual, inputs) and a zero bias."""
    sample = np.random.default_rng(1).choice(len(features.frozen), 8000, replace=False)
    x = features.rows(sample)[0].numpy().astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(x.T))
    keep = np.argsort(values)[::-1][:visual]
    return torch.from_numpy(
        (axes[:, keep] / (values[keep] + values[keep].mean()) ** 0.5).T
    ).float(), torch.zeros(visual)


class Heads(nn.Module):
    """The straight and the bent path of `ImageTower`, on standardised features."""

    def __init__(self, tower: ImageTower, features: Features, settings: HeadSettings) -> None:
        super().__init__()
        self.drop, self.hidden_drop = settings.drop, settings.hidden_drop
        self.head, self.bend = copy.deepcopy(tower.head), copy.deepcopy(tower.bend)
        for layer in (self.head, self.bend[0]):
            layer.reset_parameters()
        weight, bias = initial_head(features, tower.visual)
        with torch.no_grad():
            self.head.weight[: tower.visual], self.head.bias[: tower.visual] = weight, bias
            self.head.weight[tower.visual :] *= 0.5
            for zero in (self.bend[2].weight, self.bend[2].bias):
                zero.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(x, self.drop, self.training)
        hidden = F.dropout(self.bend[1](self.bend[0](x)), self.hidden_drop, self.training)
        return self.head(x) + self.bend[2](hidden)

    def hand_over(self, tower: ImageTower, features: Features) -> None:
        """Put the weights into the tower, with the standardisation of the inputs folded in where it has none of its own."""
        mean, std = torch.from_numpy(features.mean), torch.from_numpy(features.std)
        tower.scale_rest(mean[2 * FEATURES :], std[2 * FEATURES :])
        mean = torch.cat([mean[: 2 * FEATURES], torch.zeros_like(tower.rest_mean)])
        std = torch.cat([std[: 2 * FEATURES], std[2 * FEATURES :] / tower.rest_std])
        with torch.no_grad():
            for target, source in ((tower.head, self.head), (tower.bend[0], self.bend[0])):
                target.weight.copy_(source.weight / std)
                target.bias.copy_(source.bias - (source.weight / std) @ mean)
            tower.bend[2].load_state_dict(self.bend[2].state_dict())


def fit(model: Model, features: Features, views: Views, bank: TextBank, settings: HeadSettings) -> Heads:
    """The heads on standardised features; the text map of `model` is trained in place."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    tower = model.tower
    tower.reach.fill_(settings.reach)
    head = Heads(tower, features, settings)
    optimiser = torch.optim.AdamW(
        [
            {"params": head.parameters(), "base": settings.rate},
            {"params": model.text.parameters(), "base": settings.text_rate, "weight_decay": 0.0},
        ],
        weight_decay=settings.weight_decay,
    )
    captions, category = Captions(views, bank), categories(views)
    known = {one.name for one in fields(Settings)}
    shared = Settings(**{name: value for name, value in asdict(settings).items() if name in known})
    pairs, nothing = Pairs(views, shared), Memory(0, tower.visual)
    logged, began = [], time.monotonic()
    for step in range(settings.steps):
        set_rate(optimiser, cosine_rate(step, settings.steps))
        rows = pairs.draw(rng)
        x, frozen = features.rows(rows)
        out = head(x)
        v = F.normalize(out[:, : tower.visual], dim=1)
        with torch.no_grad():
            chance = tower.classifier(frozen).softmax(1)
        s = tower.meaning(chance @ model.classes(), out[:, tower.visual :])
        data = (views, bank, captions, category)
        loss, parts = joint_loss(model, (rows, v, s, chance), data, nothing, shared, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        logged.append(parts)
        if (step + 1) % 250 == 0:
            means = np.mean(logged[-100:], 0)
            print(
                f"step {step + 1} visual {means[0]:.3f} category {means[1]:.3f} text {means[2]:.3f} keep {means[3]:.3f} "
                f"{time.monotonic() - began:.0f} s", flush=True,
            )  # fmt: skip
    return head.eval()


def scores_of(
    model: Model,
    head: Heads,
    features: Features,
    prepared: Path,
    tails: Path,
    packed: Path,
    shares: list[float],
    cache: Path,
) -> dict[str, dict[str, float]]:
    raw = {}
    with torch.inference_mode():
        classes = model.classes()
        for path in sorted(prepared.glob("*.npz")):
            pooled = np.load(path)["pooled"]
            trained = np.load(tails / f"{path.stem}.npy")
            x = (features.joint(pooled, trained) - features.mean) / features.std
            out = head(torch.from_numpy(x))
            c = model.tower.classifier(torch.from_numpy(pooled.astype(np.float32))).softmax(1) @ classes
            s = model.tower.meaning(c, out[:, model.tower.visual :])
            raw[path.stem] = (out[:, : model.tower.visual].numpy(), s.numpy())
    sentences = Sentences(cache)
    texts = texts_of(model, sentences)
    classes_kept = kept(model, prepared, packed, {n: s for n, (_, s) in raw.items()}, sentences)
    return {
        f"visual {share}": table(packed, {n: joined(v, s, share) for n, (v, s) in raw.items()}, texts)
        | classes_kept
        for share in shares
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "texts", "views", "prepared", "features", "state", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=float, nargs="+", default=[0.5, 0.7, 0.85])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--leave-out", nargs="*", default=[], help="sets whose views are not trained on")
    add_settings(parser, HeadSettings())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = settings_of(arguments, HeadSettings())
    bank = TextBank(arguments.texts)
    views = Views(arguments.views, arguments.packed, arguments.leave_out)
    views.refresh()
    model = Model(bank, Settings())
    load_tail(model, arguments.state)
    features = Features(views, arguments.features)
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
    head.hand_over(model.tower, features)
    with torch.no_grad():
        model.tower.class_vectors.copy_(model.classes())
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save({"averaged": model.state_dict(), "settings": asdict(settings)}, arguments.out / "state.pt")
    (arguments.out / "scores.json").write_text(
        json.dumps({"settings": asdict(settings), "scores": columns}, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
