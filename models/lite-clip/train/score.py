"""Score a checkpoint of train.py or heads.py, with --copies the copy path beside it, or with --baseline the untrained network,
on the pictures that measure.py prepared."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measure import Texts, Vectors, table
from network import CopyPath, load_copies
from numpy.typing import NDArray
from running import map_reader
from store import PackedSet
from texts import TextBank, sentence_vectors
from torch import Tensor
from torch.nn import functional as F
from train import Model, Settings


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


def batches(
    folder: Path, frozen: Path, size: int = 64
) -> Iterator[tuple[str, Iterator[tuple[Tensor, Tensor]]]]:
    """Of every prepared group its name, and in batches the stem's maps (b, c, h, w) and the frozen path's pooled features
    (b, 1280)."""
    read = map_reader(frozen)

    def group(maps: NDArray[np.uint8], pooled: Vectors) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(0, len(maps), size):
            yield read(maps[i : i + size]), torch.from_numpy(pooled[i : i + size]).float()

    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            yield path.stem, group(data["maps"], data["pooled"])


def copies_of(path: CopyPath, folder: Path, frozen: Path) -> dict[str, Vectors]:
    """What the copy path says of every prepared group, of unit length."""
    out = {}
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for name, group in batches(folder, frozen):
            out[name] = unit(np.concatenate([path(maps).float().numpy() for maps, _ in group]))
    return out


def parts(model: Model, folder: Path, frozen: Path) -> dict[str, tuple[Vectors, Vectors, Vectors]]:
    """Raw v, c and the meaning of every prepared group."""
    classes = model.classes()
    out = {}
    for name, group in batches(folder, frozen):
        rows = []
        for maps, pooled in group:
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                v, c, r = model.tower.join(maps, pooled, classes)
                s = model.tower.meaning(c.float(), r.float())
                rows.append([p.float().numpy() for p in (v, c, s)])
        v, c, s = (np.concatenate(p) for p in zip(*rows, strict=True))
        out[name] = (v, c, s)
    return out


def joined(v: Vectors, s: Vectors, visual_share: float) -> Vectors:
    return np.concatenate([visual_share * unit(v), (1 - visual_share**2) ** 0.5 * unit(s)], 1)


def texts_of(model: Model, sentences: Sentences) -> Texts:
    def embed(queries: list[str]) -> Vectors:
        with torch.inference_mode():
            words = model.words(torch.from_numpy(sentences(queries))).numpy()
        return np.concatenate([np.zeros((len(words), model.tower.visual), np.float32), words], 1)

    return embed


def kept(
    model: Model, prepared: Path, packed: Path, meanings: dict[str, Vectors], sentences: Sentences
) -> dict[str, float]:
    """Of held-out photographs of which the frozen classifier is more than half sure: the share whose class name, among the
    1,000, is also the nearest to the semantic half, what is kept of ImageNet's classes; and how well the name of a kind
    of things (WordNet's, of two to half of the photographs) ranks those of its classes, mean average precision over kinds."""
    cut_outs = [
        n for n, i in enumerate(PackedSet(packed, "tuxpaint").items) if i.held_out and i.kind == "photo"
    ]
    found, classes = [], []
    with torch.inference_mode():
        names = model.words(model.class_sentences).numpy()
        kinds = model.words(torch.from_numpy(sentences(model.kind_names))).numpy()
        for group in ("tuxpaint", "grocery_val", "grocery_catalogue", "clothing_validation"):
            pooled = np.load(prepared / f"{group}.npz")["pooled"].astype(np.float32)
            chance = model.tower.classifier(torch.from_numpy(pooled)).softmax(1).numpy()
            rows = np.array(cut_outs) if group == "tuxpaint" else np.arange(len(pooled))
            rows = rows[chance[rows].max(1) > 0.5]
            found.append(unit(meanings[group][rows]))
            classes.append(chance[rows].argmax(1))
    vectors, of_class = np.concatenate(found), np.concatenate(classes)
    same = (vectors @ names.T).argmax(1) == of_class
    members = model.kind_of.numpy()[of_class].T > 0
    asked = np.flatnonzero((members.sum(1) > 1) & (members.sum(1) <= members.shape[1] / 2))
    precision = [average_precision(vectors @ kinds[kind], members[kind]) for kind in asked]
    return {"ImageNet class kept": float(same.mean()), "kinds by name, mAP": float(np.mean(precision))}


def average_precision(scores: Vectors, right: NDArray[np.bool_]) -> float:
    hits = right[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "texts", "frozen", "prepared"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--raw", action="store_true", help="the last weights instead of the averaged ones")
    parser.add_argument("--share", type=float, nargs="+", default=[0.7], help="length of the visual half")
    parser.add_argument("--copies", type=Path, nargs="+", help="what copies.py or copy_heads.py saved")
    parser.add_argument("--copy-share", type=float, nargs="+", default=[0.5], help="length of the copy part")
    parser.add_argument("--unseen", default="blobs")
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
        columns["ConSE, 256 axes, kinds"] = table(
            arguments.packed, conse, texts_of(model, sentences), arguments.unseen
        )
    else:
        state = torch.load(arguments.state, weights_only=False)
        model.load_state_dict(state["model" if arguments.raw else "averaged"])
        raw = parts(model, arguments.prepared, arguments.frozen)
        meanings = {n: s for n, (_, _, s) in raw.items()}
        same = kept(model, arguments.prepared, arguments.packed, meanings, sentences)
        texts = texts_of(model, sentences)
        columns = {}
        for share in arguments.share:
            images = {n: joined(v, s, share) for n, (v, _, s) in raw.items()}
            columns[f"visual {share}"] = table(arguments.packed, images, texts, arguments.unseen) | same
        if arguments.copies:
            path = load_copies(*arguments.copies).eval().to(memory_format=torch.channels_last)
            found = copies_of(path, arguments.prepared, arguments.frozen)
            spare = ((0, 0), (0, path.head.out_features))
            for share in arguments.copy_share:  # beside the last of the visual shares
                rest = (1 - share**2) ** 0.5
                joint = {n: np.concatenate([rest * images[n], share * found[n]], 1) for n in images}
                columns[f"copies {share}"] = (
                    table(arguments.packed, joint, lambda q: np.pad(texts(q), spare), arguments.unseen) | same
                )
    print(f"{'':45s}" + "".join(f"{name:>30s}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:45s}" + "".join(f"{column[row]:30.3f}" for column in columns.values()))


if __name__ == "__main__":
    main()
