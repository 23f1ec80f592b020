"""Score a checkpoint of train.py, or with --baseline the untrained network, on the pictures that measure.py prepared."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import Vectors, table
from numpy.typing import NDArray
from store import PackedSet
from texts import TextBank, sentence_vectors
from torch.nn import functional as F
from train import Model, Settings

Texts = Callable[[list[str]], Vectors]


def unit(x: Vectors) -> Vectors:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


class Sentences:
    """Sentence vectors, each sentence embedded once; kept in `cache`/asked.npz between runs when a folder is given."""

    def __init__(self, cache: Path | None = None) -> None:
        self._file = None if cache is None else cache / "asked.npz"
        self._known: dict[str, Vectors] = {}
        if self._file is not None and self._file.exists():
            with np.load(self._file) as stored:
                self._known = dict(zip(stored["sentences"].tolist(), stored["vectors"], strict=True))

    def __call__(self, sentences: list[str]) -> Vectors:
        new = sorted({s for s in sentences if s not in self._known})
        if new:
            self._known.update(zip(new, sentence_vectors(new), strict=True))
            if self._file is not None:
                known = list(self._known)
                np.savez(
                    self._file, sentences=np.array(known), vectors=np.stack([self._known[s] for s in known])
                )
        return np.stack([self._known[s] for s in sentences])


def parts(model: Model, folder: Path, frozen: Path) -> dict[str, tuple[Vectors, Vectors, Vectors]]:
    """Raw v, c and the meaning of every prepared group."""
    scale = json.loads((frozen / "frozen.json").read_text(encoding="utf-8"))
    classes = model.words(model.class_sentences)
    out = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            maps, pooled = data["maps"], data["pooled"]
        rows = []
        for i in range(0, len(maps), 64):
            x = (torch.from_numpy(maps[i : i + 64]).float() - scale["zero"]) * scale["scale"]
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                x = x.to(memory_format=torch.channels_last)
                rest = torch.from_numpy(pooled[i : i + 64]).float()
                v, c, r = model.tower.join(x, rest, classes)
                s = model.tower.meaning(c.float(), r.float())
                rows.append([p.float().numpy() for p in (v, c, s)])
        v, c, s = (np.concatenate(p) for p in zip(*rows, strict=True))
        out[path.stem] = (v, c, s)
    return out


def joined(v: Vectors, s: Vectors, visual_share: float) -> Vectors:
    return np.concatenate([visual_share * unit(v), (1 - visual_share**2) ** 0.5 * unit(s)], 1)


def texts_of(model: Model, sentences: Sentences) -> Texts:
    def embed(queries: list[str]) -> Vectors:
        with torch.inference_mode():
            words = model.words(torch.from_numpy(sentences(queries))).numpy()
        return np.concatenate([np.zeros((len(words), model.tower.visual), np.float32), words], 1)

    return embed


def kept(model: Model, prepared: Path, packed: Path, meanings: dict[str, Vectors]) -> dict[str, float]:
    """Of held-out photographs of which the frozen classifier is more than half sure, the share whose class name, among the
    1,000, is also the nearest to the semantic half: what is kept of ImageNet's classes."""
    cut_outs = [
        n for n, i in enumerate(PackedSet(packed, "tuxpaint").items) if i.held_out and i.kind == "photo"
    ]
    found: list[NDArray[np.bool_]] = []
    with torch.inference_mode():
        words = model.words(model.class_sentences).numpy()
        for name in ("tuxpaint", "grocery_val", "grocery_catalogue", "clothing_validation"):
            pooled = np.load(prepared / f"{name}.npz")["pooled"].astype(np.float32)
            chance = model.tower.classifier(torch.from_numpy(pooled)).softmax(1).numpy()
            rows = np.array(cut_outs) if name == "tuxpaint" else np.arange(len(pooled))
            rows = rows[chance[rows].max(1) > 0.5]
            named = (unit(meanings[name][rows]) @ words.T).argmax(1)
            found.append(named == chance[rows].argmax(1))
    return {"ImageNet class kept": round(float(np.concatenate(found).mean()), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "texts", "frozen", "prepared"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--raw", action="store_true", help="the last weights instead of the averaged ones")
    parser.add_argument("--share", type=float, nargs="+", default=[0.7], help="length of the visual half")
    parser.add_argument("--unseen", default="twitter")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model, sentences = Model(TextBank(arguments.texts), Settings()).eval(), Sentences(arguments.texts)
    if arguments.baseline:
        classes = F.normalize(model.class_sentences, dim=1).numpy()
        images, visual = {}, {}
        for path in arguments.prepared.glob("*.npz"):
            pooled = np.load(path)["pooled"].astype(np.float32)
            with torch.inference_mode():
                chance = model.tower.classifier(torch.from_numpy(pooled)).softmax(1).numpy()
            images[path.stem], visual[path.stem] = unit(chance @ classes), unit(pooled)
        columns = {
            "features": table(
                arguments.packed, visual, lambda q: np.ones((len(q), 1280), np.float32), arguments.unseen
            ),
            "ConSE, raw sentences": table(arguments.packed, images, sentences, arguments.unseen),
        }
        raw = parts(model, arguments.prepared, arguments.frozen)
        conse = {n: joined(v, c, 0.0) for n, (v, c, _) in raw.items()}
        columns["ConSE, 256 axes"] = table(
            arguments.packed, conse, texts_of(model, sentences), arguments.unseen
        )
    else:
        state = torch.load(arguments.state, weights_only=False)
        model.load_state_dict(state["model" if arguments.raw else "averaged"])
        raw = parts(model, arguments.prepared, arguments.frozen)
        columns = {}
        for share in arguments.share:
            images = {n: joined(v, s, share) for n, (v, _, s) in raw.items()}
            columns[f"visual {share}"] = table(
                arguments.packed, images, texts_of(model, sentences), arguments.unseen
            ) | kept(model, arguments.prepared, arguments.packed, {n: s for n, (_, _, s) in raw.items()})
    print(f"{'':45s}" + "".join(f"{name:>22s}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:45s}" + "".join(f"{column[row]:22.3f}" for column in columns.values()))


if __name__ == "__main__":
    main()
