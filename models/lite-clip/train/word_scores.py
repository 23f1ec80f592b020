"""The table of what words find, for text towers side by side: `words` kept aside, and the sets of the first round.

Every row asks with what no picture of training shows: the seventh kept aside of each set of `words` (`words.py`), validation
photographs of clothes and groceries, the held-out captions of tuxpaint, household things and clip art, the emoji of a vendor
never trained on. ConSE (Norouzi et al. 2014) stands beside the rows of class names. The last columns are the gain of the
last tower over the first, with an interval of 95 per cent by bootstrap over the row's queries.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from text_map import SentenceVectors, kind_names, unit
from texts import COLOURS, class_names
from words import (
    NAMED,
    SETS,
    UNSEEN_VENDOR,
    Group,
    Sources,
    Vectors,
    add_sources,
    first_round,
    old_set,
    seen,
    sources_of,
    words_set,
)

from visualsearch.encoders.bundled import BundledEncoder, load

Text = Callable[[list[str]], Vectors]
Rows = dict[str, NDArray[np.float64]]
CATEGORIES = (
    "dress",
    "hat",
    "longsleeve",
    "outwear",
    "pants",
    "shirt",
    "shoes",
    "shorts",
    "skirt",
    "t-shirt",
)
SURE = 0.5
WAYS = 2000


def hits(scores: Vectors, right: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """For each query whether a right picture is among the first k."""
    best = np.where(right, scores, -9).max(1, keepdims=True)
    return ((scores > best).sum(1) < k).astype(float)


def precisions(scores: Vectors, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The average precision of each query."""
    out = []
    for row, own in zip(scores, right, strict=True):
        found = own[np.argsort(-row, kind="stable")]
        out.append((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())
    return np.array(out)


def named(vectors: Vectors, names: list[str], labels: NDArray[np.int64], text: Text) -> NDArray[np.float64]:
    """For each picture whether its own name is the nearest."""
    return ((vectors @ text(names).T).argmax(1) == labels).astype(float)


class Table:
    """The pictures that are asked for, read once."""

    def __init__(self, sources: Sources, wordnet: Path, side: str) -> None:
        self.sources, self.side = sources, side
        self.sets = {name: words_set(sources, name) for name in SETS}
        self.old = {name: old_set(sources, name, rows) for name, rows in first_round(sources).items()}
        self.kinds, self.kind_of = kind_names(wordnet)
        self.photographs = self._photographs()

    def _photographs(self) -> tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]:
        """Photographs that training never sees and whose class the start is sure of: vectors, classes, probabilities."""
        groups = [(one.vectors, one.chances, one.side == self.side) for one in self.sets.values()]
        for name in ("clothing_validation", "grocery_val", "grocery_catalogue"):
            one = self.old[name]
            groups.append((one.vectors, one.chances, np.ones(len(one.vectors), np.bool_)))
        vectors = np.concatenate([v[rows] for v, _, rows in groups])
        chances = np.concatenate([c[rows] for _, c, rows in groups]).astype(np.float32)
        sure = chances.max(1) > SURE
        return vectors[sure], chances[sure].argmax(1), chances[sure]

    def rows(self, text: Text) -> Rows:
        return (
            self.words(text)
            | self.colours(text)
            | self.first(text)
            | self.classes(text)
            | self.of_kinds(text)
        )

    def words(self, text: Text) -> Rows:
        found = {}
        for name, group in self.sets.items():
            rows = np.flatnonzero(group.side == self.side)
            asked = [group.captions[i][0] for i in rows]
            if name in NAMED:
                names = sorted({captions[0] for captions in group.captions})
                labels = np.array([names.index(one) for one in asked])
                found[f"{name}, name"] = named(group.vectors[rows], names, labels, text)
            else:
                right = np.array(asked)[:, None] == np.array(asked)[None]
                found[f"{name}, R@10"] = hits(text(asked) @ group.vectors[rows].T, right, 10)
        return found

    def colours(self, text: Text) -> Rows:
        """The measured colour, by its word before the name, among twelve."""
        found = {}
        for name, at in (("ambientcg", 1), ("clothing_more", -1)):
            group = self.sets[name]
            rows = [i for i in np.flatnonzero(group.side == self.side) if group.labels[i][at] in COLOURS]
            right = [
                COLOURS[
                    int((text([f"{c} {group.captions[i][0]}" for c in COLOURS]) @ group.vectors[i]).argmax())
                ]
                == group.labels[i][at]
                for i in rows
            ]
            found[f"{name}, colour"] = np.array(right, float)
        return found

    def _captions(self, text: Text, found: Rows, name: str, group: Group, ks: tuple[int, ...]) -> None:
        rows = np.flatnonzero(group.side == "kept")
        own = np.array([group.captions[i][0] for i in rows])
        asked = sorted(set(own))
        scores, right = (
            text_scores(text, asked, group.vectors[rows]),
            np.array(asked)[:, None] == own[None],
        )
        for k in ks:
            found[f"{name} left out, R@{k}"] = hits(scores, right, k)

    def first(self, text: Text) -> Rows:
        found: Rows = {}
        clothes = self.old["clothing_validation"]
        paths = seen(self.sources, "clothing_validation")[2]
        labels = np.array([CATEGORIES.index(Path(path).parent.name) for path in paths])
        found["clothing, zero-shot"] = named(clothes.vectors, list(CATEGORIES), labels, text)
        prompts = [f"a photo of a {name}" for name in CATEGORIES]
        found['clothing, "a photo of a"'] = named(clothes.vectors, prompts, labels, text)
        names = [captions[0] for captions in self.old["grocery_catalogue"].captions]
        groceries = self.old["grocery_val"]
        labels = np.array([names.index(captions[0]) for captions in groceries.captions])
        found["groceries, name among 81"] = named(groceries.vectors, names, labels, text)
        shop = self.old["eshop"]
        scores = text_scores(text, [captions[0] for captions in shop.captions], shop.vectors)
        found["eshop (trained on), R@1"] = hits(scores, np.eye(len(scores), dtype=np.bool_), 1)
        emoji = self.old[f"emoji_{UNSEEN_VENDOR}"]
        scores = text_scores(text, [captions[0] for captions in emoji.captions], emoji.vectors)
        for k in (1, 10):
            found[f"emoji of an unseen vendor, R@{k}"] = hits(scores, np.eye(len(scores), dtype=np.bool_), k)
        for name, ks in (("tuxpaint", (1, 10)), ("furniture", (1, 10)), ("openclipart", (10,))):
            self._captions(text, found, name, self.old[name], ks)
        return found

    def classes(self, text: Text, photographs: Vectors | None = None) -> Rows:
        """ImageNet's class names: the surest photograph of each class, and photographs by the names of all classes."""
        own, classes, _ = self.photographs
        vectors = own if photographs is None else photographs
        names = class_names()
        asked = np.unique(classes)
        scores = text_scores(text, [names[c] for c in asked], vectors)
        right = classes[None] == asked[:, None]
        found = {"class name -> photograph, R@1": hits(scores, right, 1)}
        found["class kept among 1,000"] = named(vectors, names, classes, text)
        group = self.sets["caltech101"]
        rows = np.flatnonzero(group.side == self.side)
        known = {name.lower() for name in names}
        both = sorted({group.captions[i][0] for i in rows} & known)
        seen_ = group.vectors[rows] if photographs is None else self.conse(group.chances[rows])
        right = np.array(both)[:, None] == np.array([group.captions[i][0] for i in rows])[None]
        found["caltech101's class names, AP"] = precisions(text_scores(text, both, seen_), right)
        return found

    def conse(self, chances: NDArray[np.floating]) -> Vectors:
        return unit(chances.astype(np.float32) @ self.sentences(class_names()))

    def of_kinds(self, text: Text) -> Rows:
        vectors, classes, _ = self.photographs
        members = self.kind_of[classes].T
        asked = np.flatnonzero((members.sum(1) > 1) & (members.sum(1) <= members.shape[1] / 2))
        scores = text_scores(text, [self.kinds[k] for k in asked], vectors)
        return {"kinds by name, AP": precisions(scores, members[asked])}

    sentences: SentenceVectors


def text_scores(text: Text, asked: list[str], vectors: Vectors) -> Vectors:
    return text(asked) @ vectors.T


def gain(
    before: NDArray[np.float64], after: NDArray[np.float64], seed: int = 0
) -> tuple[float, float, float]:
    """Mean difference and its interval, by bootstrap over queries."""
    rng, apart = np.random.default_rng(seed), after - before
    means = apart[rng.integers(0, len(apart), (WAYS, len(apart)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(apart.mean()), float(low), float(high)


def mean_gain(before: Rows, after: Rows, names: list[str], seed: int = 0) -> tuple[float, float, float]:
    """As `gain`, for the mean over sets: each set's queries are drawn anew."""
    rng = np.random.default_rng(seed)
    ways = np.zeros(WAYS)
    for name in names:
        apart = after[name] - before[name]
        ways += apart[rng.integers(0, len(apart), (WAYS, len(apart)))].mean(1) / len(names)
    middle = float(np.mean([after[name].mean() - before[name].mean() for name in names]))
    return middle, float(np.quantile(ways, 0.025)), float(np.quantile(ways, 0.975))


def words_of(encoder: BundledEncoder) -> Text:
    known: dict[str, Vectors] = {}

    def text(asked: list[str]) -> Vectors:
        new = [one for one in dict.fromkeys(asked) if one not in known]
        if new:
            known.update(zip(new, encoder.embed_texts(new), strict=True))
        return np.stack([known[one] for one in asked])

    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_sources(parser)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--side", choices=("val", "kept"), default="kept")
    parser.add_argument(
        "--models",
        type=Path,
        nargs="+",
        required=True,
        help="folders with a model.toml, the first to compare with",
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sources = sources_of(arguments)
    table = Table(sources, arguments.wordnet, arguments.side)
    table.sentences = SentenceVectors(arguments.models[0] / "text.onnx", sources.out / "sentences.npz")
    columns = [table.rows(words_of(load(folder, threads=1))) for folder in arguments.models]
    conse = table.classes(table.sentences, table.conse(table.photographs[2]))
    first, last = columns[0], columns[-1]
    for name, own in first.items():
        low = gain(own, last[name])
        beside = f"   ConSE {conse[name].mean():.3f}" if name in conse else ""
        figures = "".join(f"{column[name].mean():8.3f}" for column in columns)
        print(f"{name:40s}{len(own):6d}{figures}   {low[0]:+.3f} [{low[1]:+.3f}, {low[2]:+.3f}]{beside}")
    sets = list(first)[: len(SETS)]
    low = mean_gain(first, last, sets)
    figures = "".join(f"{np.mean([column[name].mean() for name in sets]):8.3f}" for column in columns)
    print(
        f"{f'mean over {len(sets)} sets of words':46s}{figures}   {low[0]:+.3f} [{low[1]:+.3f}, {low[2]:+.3f}]"
    )
    if arguments.json:
        found = [{name: float(values.mean()) for name, values in column.items()} for column in columns]
        arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
