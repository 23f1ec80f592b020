"""Mixed queries, and queries that nothing answers, measured on photographs of clothes and groceries.

Colours are measured on the pictures themselves: the share of the middle (40 % of either side) in the range of a colour word.
Half of the query photographs chose the constants of `scales` and `alike`. The rows report the other half, the validation
split. The index holds the train splits of clothing and groceries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visualsearch.images import load
from visualsearch.look import VOCABULARY
from visualsearch.search import PINS_SHARE, SAMPLE, UNRELATED, WORDS_SHARE, Sample, blended, plain_pictures
from visualsearch.types import Float32

from .bench import Bench, Row
from .data import Labelled

WORDS = ("black", "white", "red", "pink", "blue", "green", "yellow", "brown")
FITS = 0.5  # of the middle in a colour's range: the picture has that colour
ONE_COLOUR = 0.6  # as much makes a garment one of one colour
FOREIGN = 0.25  # the most of the wanted colour that a query picture may have already
ENOUGH = 20  # pictures of that kind and colour in the index, so that ten can be found
UNLIKE = 0.5  # the weight of a minus, as in mixing.DEFAULT_WEIGHTS
LOOK_ALIKES = 10
SHOWN = 30
SEED = 20261128
"""Of the nonsense that is asked for: none of `alike.UNRELATED`."""


@dataclass(frozen=True)
class Wardrobe:
    """The pictures of the index with kinds and colours; colours are (n, len(WORDS)) shares, of clothes only."""

    vectors: Float32
    kinds: NDArray[np.str_]
    colours: NDArray[np.float64]

    @cached_property
    def sample(self) -> Sample:
        """What scales are measured on: vectors evenly spread over the index."""
        spread = np.linspace(0, len(self.vectors) - 1, min(SAMPLE, len(self.vectors)))
        return Sample(self.vectors[spread.astype(np.int64)])

    def first(self, query: Float32, k: int, without: int | None = None) -> NDArray[np.int64]:
        """Positions of the k nearest."""
        scores = np.round(self.vectors @ query, 6)
        if without is not None:
            scores[without] = -np.inf
        return np.argsort(-scores, kind="stable")[:k]


def colours(picture: Image.Image) -> NDArray[np.float64]:
    """(len(WORDS),) shares of the picture's middle in the range of each colour word; ranges overlap, as words do."""
    width, height = picture.size
    middle = (round(0.3 * width), round(0.3 * height), round(0.7 * width), round(0.7 * height))
    rgb = np.asarray(picture.convert("RGB").crop(middle).resize((24, 24), Image.Resampling.BILINEAR)) / 255.0
    value = rgb.max(-1)
    chroma = value - rgb.min(-1)
    step = np.where(chroma == 0, 1, chroma)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    sixth = np.select(
        [value == red, value == green],
        [((green - blue) / step) % 6, (blue - red) / step + 2],
        (red - green) / step + 4,
    )
    hue, saturation = 60 * sixth, chroma / np.where(value == 0, 1, value)
    dark = (value < 0.3) | ((saturation < 0.25) & (value < 0.36))
    vivid = (saturation >= 0.25) & ~dark
    ranges = {
        "black": dark,
        "white": (saturation < 0.22) & (value >= 0.6),
        "red": vivid & ((hue < 15) | (hue >= 335)),
        "pink": vivid
        & (value > 0.55)
        & ((hue >= 305) & (hue < 345) | (saturation < 0.65) & ((hue < 10) | (hue >= 345))),
        "blue": vivid & (hue >= 185) & (hue < 265),
        "green": vivid & (hue >= 70) & (hue < 185),
        "yellow": vivid & (hue >= 42) & (hue < 70),
        "brown": vivid & (hue >= 8) & (hue < 45) & (value < 0.75),
    }
    return np.array([ranges[word].mean() for word in WORDS])


def mix(bench: Bench) -> list[Row]:
    """A garment and the word of another colour; a garment's name, but not one of its pictures."""
    wardrobe = _wardrobe(bench)
    return [_recoloured(bench, wardrobe), _without_one(bench, wardrobe)]


def nothing_alike(bench: Bench) -> list[Row]:
    """How often nonsense comes out as nothing alike, and how often a query that the index answers does."""
    wardrobe = _wardrobe(bench)
    rows = wardrobe.vectors
    level = _level(rows, bench.words(UNRELATED), WORDS_SHARE)
    clothes = sorted({item.label for item in bench.data.clothing("train")})
    foods = sorted(set(wardrobe.kinds) - set(clothes))
    names = [(name, name) for name in (*clothes, *foods)]
    coloured = [(f"{word} {kind}", kind) for kind in clothes for word in WORDS[:5]]
    asked = [*names, *coloured]
    vectors = bench.words([text for text, _ in asked])
    answered = [
        vector
        for vector, (_, kind) in zip(vectors, asked, strict=True)
        if (wardrobe.kinds[wardrobe.first(vector, 10)] == kind).any()
    ]
    words = {
        "nonsense refused": _below(rows, bench.words(nonsense(400)), level),
        "answered names refused": _below(rows, np.stack(answered), level),
        "level": level,
    }
    own = rows[np.linspace(0, len(rows) - 1, min(512, len(rows))).astype(np.int64)] @ rows.T
    own[own > 0.999] = -1
    plain = bench.encoder.embed_images(plain_pictures())
    level = min(float(np.quantile(own.max(1), PINS_SHARE)), _level(rows, plain, 1.0))
    real = bench.pictures([item.path for item in _asked(bench)])
    pictures = {
        "plain refused": _below(rows, bench.encoder.embed_images(_flat(48)), level),
        "photographs refused": _below(rows, real, level),
        "level": level,
    }
    return [
        Row(
            "nothing-alike",
            "words: nonsense, and names that are answered",
            words,
            400 + len(answered),
            len(rows),
        ),
        Row(
            "nothing-alike",
            "pictures: of one colour, and photographs of clothes",
            pictures,
            48 + len(real),
            len(rows),
        ),
    ]


def nonsense(count: int) -> list[str]:
    """Texts that mean nothing: runs of consonants, shuffled letters of words, syllables, numbers, signs."""
    rng = np.random.default_rng(SEED)

    def some(of: Sequence[str], low: int, high: int) -> str:
        return "".join(rng.choice(list(of), rng.integers(low, high)))

    def shuffled() -> str:
        return "".join(rng.permutation(list(str(rng.choice(VOCABULARY)).replace(" ", ""))))

    ways: tuple[Callable[[], str], ...] = (
        lambda: some("bcdfghjklmnpqrstvwxz", 4, 9) + " " + some("bcdfghjklmnpqrstvwxz", 3, 8),
        lambda: shuffled() + " " + shuffled(),
        lambda: some(("bra", "kto", "zu", "fli", "wem", "gor", "ny", "plo", "xi", "quv"), 2, 6),
        lambda: some("0123456789", 3, 12),
        lambda: some("!?#%&/()=+*.,;:<>~", 2, 12),
    )
    return [ways[n % len(ways)]() for n in range(count)]


def _recoloured(bench: Bench, wardrobe: Wardrobe) -> Row:
    asked = [item for item in _asked(bench) if item.label in set(wardrobe.kinds)]
    own = np.stack([colours(load(item.path)) for item in asked])
    pictures, words = bench.pictures([item.path for item in asked]), bench.words(WORDS)
    sample, found, plain = wardrobe.sample, [], []
    for n, item in enumerate(asked):
        if own[n].max() < ONE_COLOUR:
            continue
        kind = wardrobe.kinds == item.label
        for w in np.flatnonzero(own[n] <= FOREIGN):
            right = kind & (wardrobe.colours[:, w] >= FITS)
            if right.sum() < ENOUGH:
                continue
            ten = wardrobe.first(blended([(1, pictures[n]), (1, words[w])], [], sample), 10)
            found.append([right[ten].mean(), kind[ten].mean(), (wardrobe.colours[ten, w] >= FITS).mean()])
            plain.append(right[wardrobe.first(pictures[n] + words[w], 10)].mean())
    both, kinds, coloured = np.mean(found, axis=0) if found else (0.0, 0.0, 0.0)
    values = {
        "kind and colour": float(both),
        "kind": float(kinds),
        "colour": float(coloured),
        "plain sum": float(np.mean(plain)) if plain else 0.0,
    }
    return Row(
        "mix",
        "clothes of one colour + another colour's word, of ten",
        values,
        len(found),
        len(wardrobe.kinds),
    )


def _without_one(bench: Bench, wardrobe: Wardrobe) -> Row:
    """Words minus a picture: one of the validation split, and one of the first twenty results."""
    clothes = sorted({item.label for item in _asked(bench)} & set(wardrobe.kinds))
    words, sample = bench.words(clothes), wardrobe.sample
    fits, before, after, plain = [], [], [], []
    for word, name in zip(words, clothes, strict=True):
        kind = wardrobe.kinds == name
        own = np.flatnonzero(kind)
        shown = [int(p) for p in wardrobe.first(word, 20) if kind[p]]
        outside = bench.pictures([item.path for item in _asked(bench) if item.label == name][:10])
        minuses: list[tuple[Float32, int | None]] = [(wardrobe.vectors[p], p) for p in shown]
        minuses += [(vector, None) for vector in outside]
        for minus, place in minuses:
            alike = own[own != (-1 if place is None else place)]
            alike = alike[np.argsort(-(wardrobe.vectors[alike] @ minus), kind="stable")[:LOOK_ALIKES]]
            query = blended([(1, word)], [(UNLIKE, minus)], sample)
            fits.append(kind[wardrobe.first(query, 10, place)].mean())
            before.append(np.isin(alike, wardrobe.first(word, SHOWN, place)).mean())
            after.append(np.isin(alike, wardrobe.first(query, SHOWN, place)).mean())
            plain.append(kind[wardrobe.first(word - UNLIKE * minus, 10, place)].mean())
    values = {
        "fits the word": float(np.mean(fits)),
        "look-alikes before": float(np.mean(before)),
        "after": float(np.mean(after)),
        "plain sum fits": float(np.mean(plain)),
    }
    return Row("mix", "a garment's name minus one picture of it", values, len(fits), len(wardrobe.kinds))


def _wardrobe(bench: Bench) -> Wardrobe:
    clothes = bench.thin(bench.data.clothing("train"))
    foods = bench.thin(bench.data.grocery("train"))
    paths = [item.path for item in (*clothes, *foods)]
    shares = np.zeros((len(paths), len(WORDS)))
    shares[: len(clothes)] = [colours(load(item.path)) for item in clothes]
    kinds = np.array([*(item.label for item in clothes), *(_food(item.path) for item in foods)])
    return Wardrobe(bench.pictures(paths), kinds, shares)


def _asked(bench: Bench) -> list[Labelled]:
    return bench.thin(bench.data.clothing("validation"))


def _food(path: Path) -> str:
    """The kind of a grocery by its folder: "Golden-Delicious" is "golden delicious"."""
    return path.parent.name.lower().replace("-", " ")


def _flat(count: int) -> list[Image.Image]:
    """Pictures of one colour each, other colours than those of `alike.plain_pictures`, and white."""
    rng = np.random.default_rng(SEED)
    drawn = [tuple(int(c) for c in rng.integers(0, 256, 3)) for _ in range(count - 1)]
    return [Image.new("RGB", (320, 240), colour) for colour in ((255, 255, 255), *drawn)]


def _level(rows: Float32, queries: Float32, share: float) -> float:
    return float(np.quantile((queries @ rows.T).max(1), share))


def _below(rows: Float32, queries: Float32, level: float) -> float:
    return float(((queries @ rows.T).max(1) < level).mean())
