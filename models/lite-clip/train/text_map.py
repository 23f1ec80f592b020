"""The map from sentence vectors to the embedding, fitted to the shipped image tower's vectors, and the text tower with it.

    phi(x)   = [x, exp(6 (x . l - 1)) for each landmark sentence l]
    sentence = unit(W phi(x) + b)

No picture vector changes, so indexes stay as they are. W begins as a ridge regression, in closed form. What a text aims
at is the mean of the pictures that bear it, whitened: of two directions in which pictures vary, the common one says less
(linear discriminants, Fisher 1936). ImageNet's class names aim at the vectors that the image tower holds for them, whitened
among each other, kinds at theirs in the same way. Landmarks let a name keep its place while sentences near it move.
Some hundred steps of contrast follow: a picture finds its text among others and a text its picture, photographs keep
their classes and kinds, and texts without pictures stay. At last the first round's vector is added.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import scipy.sparse
import torch
from kinds import MOST, class_synsets, kinds_of, read_nouns
from numpy.typing import NDArray
from onnx import numpy_helper
from texts import class_names
from torch import Tensor
from torch.nn import functional as F
from words import (
    SETS,
    VENDORS,
    Sources,
    Vectors,
    Weighted,
    add_sources,
    called,
    first_round,
    loose,
    old_called,
    old_set,
    sources_of,
    words_set,
)  # fmt: skip

from visualsearch.encoders.bundled import spelled
from visualsearch.resources import models_dir

SENTENCE = "/sentences/Div_7_output_0"  # MiniLM's vector in the graph
MEANING = slice(256, 512)
MAX_TOKENS = 64
SHARP = 6.0  # how fast a landmark's say falls with distance


@dataclass(frozen=True)
class Settings:
    landmarks: int = 1280
    ridge: float = 0.1  # of the sentence's own numbers, in shares of their mean square
    mark_ridge: float = 0.01  # of the landmarks'
    flat: float = 0.1  # of the mean variance, added before whitening
    classes: float = 1.0  # weight of the class names beside all pictures' texts
    kinds: float = 0.6
    emoji: float = 0.2  # names of emoji stay near where the first round has them
    balance: float = 0.5  # a set counts by its size to this power
    seed: int = 0
    steps: int = 300  # of the contrast that follows
    batch: int = 320  # pictures, each with one of its texts
    others: int = 320  # texts beside them
    temperature: float = 0.04
    rate: float = 3e-4
    synonym: float = 0.8  # sentences closer than this cosine are not each other's negatives
    noise: float = 0.05  # laid on the sentence vectors, as a length
    keep: float = 1.0  # weight of ImageNet's classes
    sorts: float = 1.0  # weight of their kinds
    first: float = 0.8  # how long the first round's vector is beside the new one, in the mean
    hold: float = 4.0  # weight of staying where the regression put texts without pictures


class SentenceVectors:
    """MiniLM as the text tower holds it: texts -> (n, 384) unit vectors, kept in a file."""

    def __init__(self, model: Path, file: Path) -> None:
        self.model = model
        graph = onnx.load(model)
        graph.graph.output.append(onnx.helper.make_tensor_value_info(SENTENCE, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(model.parent / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # the file pads to more than is read
        self._file = file
        self._known: dict[str, Vectors] = {}
        if file.exists():
            with np.load(file) as data:
                self._known = dict(zip(data["texts"].tolist(), data["vectors"], strict=True))

    def __call__(self, texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for text in new:  # one at a time: the graph quantises over its batch
            one = self._tokenizer.encode(spelled(text))
            feeds = {"input_ids": np.array([one.ids]), "attention_mask": np.array([one.attention_mask])}
            self._known[text] = self._session.run([SENTENCE], feeds)[0][0].astype(np.float16)
        if len(new) > 100:
            np.savez(
                self._file, texts=np.array(list(self._known)), vectors=np.stack(list(self._known.values()))
            )
        return np.stack([self._known[text] for text in texts]).astype(np.float32)


def unit(x: Vectors) -> Vectors:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def rounded(weights: Vectors) -> tuple[NDArray[np.int8], Vectors]:
    """int8 codes with a scale for each column."""
    scale = np.maximum(np.abs(weights).max(0, keepdims=True), 1e-8) / 127
    return np.rint(weights / scale).astype(np.int8), scale.astype(np.float32)


@dataclass(frozen=True)
class TextMap:
    """(384, h) landmarks, (384 + h, 512) weights and (512,) bias."""

    marks: Vectors
    weights: Vectors
    bias: Vectors

    def features(self, x: Vectors) -> Vectors:
        return np.concatenate([x, np.exp(SHARP * (x @ self.marks - 1))], 1)

    def __call__(self, x: Vectors) -> Vectors:
        return unit(self.features(x) @ self.weights + self.bias)


class ShippedMap:
    """The linear map of the first round's text tower."""

    def __init__(self, model: Path) -> None:
        values = {one.name: numpy_helper.to_array(one) for one in onnx.load(model).graph.initializer}
        self.weights = values["text.weight_quantized"].astype(np.float32) * values["text.weight_scale"]
        self.bias = values["text.bias"]

    def __call__(self, x: Vectors) -> Vectors:
        words = unit(x @ self.weights + self.bias)
        return np.concatenate([np.zeros((len(x), MEANING.start), np.float32), words], 1)


def class_vectors() -> Vectors:
    """Where the shipped image tower has the 1,000 classes, (1000, 256) unit."""
    graph = onnx.load(models_dir() / "lite-clip" / "image.onnx").graph
    found = (one for one in graph.initializer if one.name.startswith("class_vectors"))
    return unit(numpy_helper.to_array(next(found)).astype(np.float32))


def kind_names(wordnet: Path) -> tuple[list[str], NDArray[np.bool_]]:
    """WordNet's names of what ImageNet's classes are kinds of, and (1000, kinds) which class is of which."""
    nouns = read_nouns(wordnet)
    chains = [list(kinds_of(synset, nouns)) for synset in class_synsets(class_names(), nouns)]
    members: dict[int, int] = defaultdict(int)
    for chain in chains:
        for kind in chain:
            members[kind] += 1
    kinds = sorted(kind for kind, count in members.items() if count <= MOST)
    return [nouns[kind].words[0] for kind in kinds], np.array(
        [[k in chain for k in kinds] for chain in chains]
    )


@dataclass(frozen=True)
class Others:
    """Texts that no picture is needed for: kinds of things, names of emoji, and texts that nothing is known of."""

    kinds: list[str]
    kind_of: NDArray[np.bool_]  # (1000, kinds): which class is of which
    emoji: list[str]
    free: list[str]


def others_of(sources: Sources, wordnet: Path) -> Others:
    drawn = [captions for _, captions, _ in first_round(sources)[f"emoji_{VENDORS[0]}"]]
    names = sorted({caption for captions in drawn for caption in captions})
    return Others(*kind_names(wordnet), names, loose(sources)[::4])


@dataclass(frozen=True)
class Pictures:
    """A set to learn from: (n, 512) vectors, (n, 1000) class probabilities, and what each picture is called, with weights."""

    name: str
    vectors: Vectors
    chances: NDArray[np.float16]
    words: list[Weighted]

    def shares(self, balance: float) -> NDArray[np.float64]:
        """How much each picture counts."""
        return np.full(len(self.words), len(self.words) ** (balance - 1))


class Pool:
    """Texts and what their pictures look like: mean vectors (n, 512) and weights, and the covariance of all pictures."""

    def __init__(self, pictures: list[Pictures], settings: Settings) -> None:
        self.texts = list({text: None for one in pictures for words in one.words for text, _ in words})
        at = {text: row for row, text in enumerate(self.texts)}
        vectors = np.concatenate([one.vectors for one in pictures])
        share = np.concatenate([one.shares(settings.balance) for one in pictures])
        rows, columns, weights = [], [], []
        for place, words in enumerate(words for one in pictures for words in one.words):
            total = sum(weight for _, weight in words)
            for text, weight in words:
                rows.append(at[text])
                columns.append(place)
                weights.append(share[place] * weight / total)
        matrix = scipy.sparse.csr_matrix((weights, (rows, columns)), shape=(len(self.texts), len(vectors)))
        self.weights = np.asarray(matrix.sum(1)).ravel()
        self.means = (matrix @ vectors) / self.weights[:, None]
        self.weights /= self.weights.sum()
        self.mean = share @ vectors / share.sum()
        centred = vectors - self.mean
        self.covariance = (centred * share[:, None]).T @ centred / share.sum()


def pictures_with_words(sources: Sources, sides: tuple[str, ...], groceries: bool) -> list[Pictures]:
    """The pictures to learn from, set by set; `groceries` are learnt by their names only where asked."""
    found = []
    for name in SETS:
        group = words_set(sources, name)
        rows = np.flatnonzero(np.isin(group.side, sides))
        words = [called(name, *group.captions[i], group.labels[i]) for i in rows]
        found.append(Pictures(name, group.vectors[rows], group.chances[rows], words))
    for name, listed in first_round(sources).items():
        if name == "grocery_train" and not groceries:
            continue
        group = old_set(sources, name, listed)
        rows = np.flatnonzero(group.side == "train")
        if len(rows):
            words = [old_called(name, group.captions[i]) for i in rows]
            found.append(Pictures(name, group.vectors[rows], group.chances[rows], words))
    return found


def whitening(covariance: Vectors, power: float, flat: float) -> Vectors:
    """The symmetric matrix (C + flat * mean variance) ** -power."""
    values, axes = np.linalg.eigh(covariance.astype(np.float64))
    values = np.maximum(values, 0) + flat * values.mean()
    return ((axes * values**-power) @ axes.T).astype(np.float32)


def landmarks(pool: Pool, x: Vectors, more: list[tuple[Vectors, float]], settings: Settings) -> Vectors:
    """(384, h) sentences to measure nearness to, rounded as they are stored: half from the pool, shares of `more`."""
    rng = np.random.default_rng(settings.seed)
    own = rng.choice(len(x), settings.landmarks // 2, replace=False, p=pool.weights)
    drawn = [
        x[own],
        *(rows[rng.choice(len(rows), int(settings.landmarks * part), False)] for rows, part in more),
    ]
    codes, scale = rounded(np.concatenate(drawn).T)
    return codes * scale


def fit(pool: Pool, sentences: SentenceVectors, others: Others, settings: Settings) -> TextMap:
    """The map of a pool, and of the other texts."""
    shipped, kinds = ShippedMap(sentences.model), others.kinds
    x, class_x, kind_x = sentences(pool.texts), sentences(class_names()), sentences(kinds)
    marks = landmarks(pool, x, [(class_x, 0.3), (kind_x, 0.08), (sentences(others.free), 0.12)], settings)
    seen = (pool.means - pool.mean) @ whitening(pool.covariance, 1.0, settings.flat)
    seen /= np.sqrt(pool.weights @ (seen * seen).sum(1))
    classes = class_vectors()
    middle, apart = classes.mean(0), whitening(np.cov(classes.T), 0.5, 0.3)
    emoji_x = sentences(others.emoji)

    def meant(rows: Vectors) -> Vectors:
        return np.pad(unit((rows - middle) @ apart), ((0, 0), (MEANING.start, 0)))

    aims = [
        (x, seen, pool.weights),
        (class_x, meant(classes), np.full(1000, settings.classes / 1000)),
        (kind_x, meant(shipped(kind_x)[:, MEANING]), np.full(len(kinds), settings.kinds / len(kinds))),
        (emoji_x, shipped(emoji_x), np.full(len(emoji_x), settings.emoji / len(emoji_x))),
    ]
    return solved(marks, aims, settings)


def solved(
    marks: Vectors, aims: list[tuple[Vectors, Vectors, NDArray[np.float64]]], settings: Settings
) -> TextMap:
    """The weighted ridge regression on [x, landmarks]."""
    empty = TextMap(marks, np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
    features = np.concatenate([empty.features(x) for x, _, _ in aims])
    wanted = np.concatenate([y for _, y, _ in aims])
    weights = np.concatenate([w for *_, w in aims]).astype(np.float32)[:, None] / sum(
        w.sum() for *_, w in aims
    )
    mean, middle = (weights * features).sum(0), (weights * wanted).sum(0)
    centred = features - mean
    square = ((centred * weights).T @ centred).astype(np.float64)
    own = marks.shape[0]
    scale = np.diag(square)
    damping = np.full(len(square), settings.ridge * scale[:own].mean())
    damping[own:] = settings.mark_ridge * scale[own:].mean()
    found = np.linalg.solve(square + np.diag(damping), (centred * weights).T @ (wanted - middle))
    return TextMap(marks, found.astype(np.float32), (middle - mean @ found).astype(np.float32))


class Contrast:
    """What the second step sees: a picture's text among others, ImageNet's classes and kinds, and what is to stay."""

    def __init__(
        self, pictures: list[Pictures], sentences: SentenceVectors, others: Others, settings: Settings
    ) -> None:
        self.settings = settings
        texts = list({text: None for one in pictures for words in one.words for text, _ in words})
        at = {text: row for row, text in enumerate(texts)}
        self.x = torch.from_numpy(sentences(texts))
        self.vectors = torch.from_numpy(np.concatenate([one.vectors for one in pictures]))
        self.rows = [np.array([at[text] for text, _ in words]) for one in pictures for words in one.words]
        self.sums = [np.cumsum([weight for _, weight in words]) for one in pictures for words in one.words]
        share = np.concatenate([one.shares(settings.balance) for one in pictures])
        self.share = share / share.sum()
        chances = np.concatenate([one.chances for one in pictures]).astype(np.float32)
        sure = chances.max(1) > 0.5
        self.sure, self.chances = self.vectors[sure], torch.from_numpy(chances[sure])
        of_kind = others.kind_of / np.log2(2 + others.kind_of.sum(0))  # narrow kinds say more
        kinds = self.chances @ torch.from_numpy(of_kind.astype(np.float32))
        self.kinds = kinds / kinds.sum(1, keepdim=True).clamp_min(1e-6)
        self.class_x = torch.from_numpy(sentences(class_names()))
        self.kind_x = torch.from_numpy(sentences(others.kinds))
        self.still = torch.cat([self.class_x, self.kind_x, torch.from_numpy(sentences(others.free[:2000]))])

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pictures, and the rows of texts: one of each picture's own, then others."""
        s = self.settings
        drawn = rng.choice(len(self.rows), s.batch, p=self.share)
        own = [self.rows[i][np.searchsorted(self.sums[i], rng.random() * self.sums[i][-1])] for i in drawn]
        return drawn, np.concatenate([np.array(own), rng.integers(0, len(self.x), s.others)])


def matched(scores: Tensor, same: Tensor, near: Tensor) -> Tensor:
    """Cross-entropy against the even mix of each row's own texts; what is near them but not the same is left out."""
    wanted = same.float() / same.sum(1, keepdim=True)
    return -(torch.log_softmax(scores.masked_fill(near & ~same, -1e4), 1) * wanted).sum(1).mean()


def refine(start: TextMap, data: Contrast) -> TextMap:
    """Weights and bias after `steps` of contrast; the average of the last ones."""
    s = data.settings
    torch.manual_seed(s.seed)
    rng = np.random.default_rng(s.seed)
    marks = torch.from_numpy(start.marks)
    first = [torch.from_numpy(start.weights), torch.from_numpy(start.bias)]
    weights, bias = (one.clone().requires_grad_() for one in first)
    averaged = [one.clone() for one in first]
    optimiser = torch.optim.Adam([weights, bias])

    def features(x: Tensor) -> Tensor:
        return torch.cat([x, torch.exp(SHARP * (x @ marks - 1))], 1)

    def said(f: Tensor) -> Tensor:
        return F.normalize(f @ weights + bias, dim=1)

    fixed = features(data.class_x), features(data.kind_x), features(data.still)
    stay = F.normalize(fixed[2] @ first[0] + first[1], dim=1)
    for step in range(s.steps):
        optimiser.param_groups[0]["lr"] = (
            s.rate * min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / s.steps))
        )
        drawn, texts = data.draw(rng)
        x = data.x[texts]
        spoilt = F.normalize(x + s.noise * torch.randn_like(x) / x.shape[1] ** 0.5, dim=1)
        scores = data.vectors[drawn] @ said(features(spoilt)).T / s.temperature
        number = torch.from_numpy(texts)
        same, near = number[: s.batch, None] == number[None], x[: s.batch] @ x.T > s.synonym
        loss = matched(scores, same, near)
        loss = loss + matched(scores[:, : s.batch].T, same[:, : s.batch], near[:, : s.batch])
        sure = torch.from_numpy(rng.choice(len(data.sure), 64))
        for weight, of, wanted in (
            (s.keep, fixed[0], data.chances[sure]),
            (s.sorts, fixed[1], data.kinds[sure]),
        ):
            logs = torch.log_softmax(data.sure[sure] @ said(of).T / s.temperature, 1)
            loss = loss - weight * (logs * wanted).sum(1).mean()
        some = torch.from_numpy(rng.choice(len(stay), 128))
        loss = loss + s.hold * (1 - (said(fixed[2][some]) * stay[some]).sum(1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for mean, now in zip(averaged, (weights, bias), strict=True):
                mean.lerp_(now, 1 - min(0.98, (step + 1) / (step + 10)))
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)
    return TextMap(start.marks, averaged[0].numpy(), averaged[1].numpy())


def beside(fitted: TextMap, shipped: ShippedMap, x: Vectors, share: float) -> TextMap:
    """The new map and the first round's, added, so that what that one knew keeps its place. Lengths are measured on `x`."""
    lengths = [
        float(np.linalg.norm(raw, axis=1).mean())
        for raw in (fitted.features(x) @ fitted.weights + fitted.bias, x @ shipped.weights + shipped.bias)
    ]
    scale = share * lengths[0] / lengths[1]
    weights, bias = fitted.weights.copy(), fitted.bias.copy()
    weights[: x.shape[1], MEANING] += scale * shipped.weights
    bias[MEANING] += scale * shipped.bias
    return TextMap(fitted.marks, weights, bias)


def graft(source: Path, fitted: TextMap, target: Path) -> None:
    """The text tower of `source` with the map in place of its own; positions beyond those that are read are left out."""
    model = onnx.load(source)
    graph = model.graph
    ahead = {SENTENCE}
    kept = []
    for node in graph.node:  # in the order in which they run: what follows the sentence vector goes
        if ahead & set(node.input):
            ahead |= set(node.output)
        elif not node.output[0].startswith("map."):  # another map's weights
            kept.append(node)
    made = onnx.helper.make_node
    stored: list[onnx.TensorProto] = []

    def weights(name: str, values: Vectors) -> list[onnx.NodeProto]:
        codes, scale = rounded(values)
        stored.extend(
            [numpy_helper.from_array(codes, f"{name}.codes"), numpy_helper.from_array(scale, f"{name}.scale")]
        )
        return [
            made("Cast", [f"{name}.codes"], [f"{name}.wide"], to=onnx.TensorProto.FLOAT),
            made("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
        ]

    own = fitted.marks.shape[0]
    for name, number in (("one", 1.0), ("sharp", SHARP), ("least", 1e-9)):
        stored.append(numpy_helper.from_array(np.array(number, np.float32), f"map.{name}"))
    stored.append(numpy_helper.from_array(fitted.bias, "map.bias"))
    kept += [
        *weights("map.marks", fitted.marks), *weights("map.own", fitted.weights[:own]),
        *weights("map.near", fitted.weights[own:]),
        made("MatMul", [SENTENCE, "map.marks"], ["map.cosines"]), made("Sub", ["map.cosines", "map.one"], ["map.below"]),
        made("Mul", ["map.below", "map.sharp"], ["map.power"]), made("Exp", ["map.power"], ["map.say"]),
        made("MatMul", ["map.say", "map.near"], ["map.there"]), made("MatMul", [SENTENCE, "map.own"], ["map.here"]),
        made("Add", ["map.here", "map.there"], ["map.sum"]), made("Add", ["map.sum", "map.bias"], ["map.raw"]),
        made("ReduceL2", ["map.raw"], ["map.length"], axes=[1], keepdims=1),
        made("Max", ["map.length", "map.least"], ["map.some"]), made("Div", ["map.raw", "map.some"], ["embedding"]),
    ]  # fmt: skip
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    for one in graph.initializer:
        if one.name == "sentences.places.weight":
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one)[:MAX_TOKENS].copy(), one.name))
    stored += [one for one in graph.initializer if one.name in used and not one.name.startswith("map.")]
    del graph.initializer[:]
    graph.initializer.extend(stored)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_sources(parser)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--first", type=Path, required=True, help="the first round's text.onnx")
    parser.add_argument("--sides", nargs="+", default=["train", "val"], help="what of the cut is learnt from")
    parser.add_argument("--without-groceries", action="store_true", help="their names stay unseen")
    parser.add_argument("--text", type=Path, required=True, help="the text tower to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = sources_of(arguments)
    sentences = SentenceVectors(arguments.first, sources.out / "sentences.npz")
    pictures = pictures_with_words(sources, tuple(arguments.sides), not arguments.without_groceries)
    settings = Settings()
    others = others_of(sources, arguments.wordnet)
    fitted = fit(Pool(pictures, settings), sentences, others, settings)
    fitted = refine(fitted, Contrast(pictures, sentences, others, settings))
    some = sentences(others.free[:3000])
    fitted = beside(fitted, ShippedMap(arguments.first), some, settings.first)
    graft(arguments.first, fitted, arguments.text)
    size = arguments.text.stat().st_size
    print(
        f"{arguments.text}: {size / 1e6:.2f} MB, sha256 {hashlib.sha256(arguments.text.read_bytes()).hexdigest()}"
    )


if __name__ == "__main__":
    main()
