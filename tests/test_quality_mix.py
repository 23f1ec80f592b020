"""`bench quality --tasks mix,nothing-alike`: what they measure, on small sets whose right figures are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visualsearch import quality
from visualsearch.encoders import BaseEncoder
from visualsearch.quality import mix
from visualsearch.types import EncoderSpec, Preprocessing

COLOURS = {"black": (10, 10, 10), "white": (250, 250, 250), "red": (220, 20, 20), "blue": (20, 20, 220)}
KINDS = {
    "dress": (0, 255, 0),
    "hat": (255, 255, 0),
    "apple": (255, 0, 255),
}  # painted as the picture's border
PAINTS = [*COLOURS.values(), *KINDS.values()]


class TwoCones(BaseEncoder):
    """Reads a picture's kind from its corner and its colour from its middle. Words lie apart from pictures, and score less."""

    def __init__(self) -> None:
        self._spec = EncoderSpec("two cones", 10, Preprocessing(16), "1" * 64)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def _image_vectors(self, pixels: Any) -> Any:
        out = np.zeros((len(pixels), 10), np.float32)
        out[:, 0] = 1
        for row, picture in zip(out, np.asarray(pixels, np.float32), strict=True):
            row[2 + _nearest(picture[:, 0, 0])] += 0.9
            row[2 + _nearest(picture[:, 8, 8])] += 0.5
            row[9] = 0.001 * picture.mean()
        return out

    def _text_vectors(self, texts: Sequence[str]) -> Any:
        out = np.zeros((len(texts), 10), np.float32)
        out[:, 1] = 1
        for row, text in zip(out, texts, strict=True):
            for number, name in enumerate((*COLOURS, *KINDS)):
                row[2 + number] = 0.25 * (name in text)
        return out


def _nearest(pixel: Any) -> int:
    return int(np.argmin([np.abs(pixel - np.array(paint)).sum() for paint in PAINTS]))


def paint(path: Path, kind: str, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (64, 64), KINDS[kind])
    picture.paste(COLOURS[colour], (16, 16, 48, 48))
    picture.save(path)
    return path


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    for split, count in (("train", 20), ("validation", 1)):
        for kind in ("dress", "hat"):
            for colour in COLOURS:
                for n in range(count):
                    paint(tmp_path / "clothing" / split / kind / f"{colour}{n}.png", kind, colour)
    lines = []
    for n in range(20):
        path = paint(tmp_path / "grocery" / "train" / "Apple" / f"{n}.png", "apple", "red")
        lines.append(f"{path.relative_to(tmp_path / 'grocery').as_posix()}, 0, 0")
    (tmp_path / "grocery" / "train.txt").write_text("\n".join(lines))
    (tmp_path / "grocery" / "classes.csv").write_text("Class Name (str)\n")
    return tmp_path


def test_a_mix_is_measured_beside_the_plain_sum(sets: Path) -> None:
    recoloured, without_one = quality.measure(TwoCones(), sets, tasks=["mix"]).rows
    assert (recoloured.queries, recoloured.gallery) == (8 * 3, 180)
    assert recoloured.values == {"kind and colour": 1, "kind": 1, "colour": 1, "plain sum": 0}
    values = without_one.values
    assert values["fits the word"] == 1
    assert values["plain sum fits"] < 0.5
    assert values["after"] < values["look-alikes before"]


def test_nonsense_and_answered_names_are_counted(sets: Path) -> None:
    words, pictures = quality.measure(TwoCones(), sets, tasks=["nothing-alike"]).rows
    assert words.values["answered names refused"] == 0
    assert words.queries == 400 + 13  # three kinds, and two kinds of clothes in five colours
    assert pictures.values["photographs refused"] == 0
    assert pictures.gallery == 180


@pytest.mark.parametrize("word", COLOURS)
def test_a_colour_is_read_from_the_middle(word: str) -> None:
    picture = Image.new("RGB", (100, 100), "yellow")
    picture.paste(COLOURS[word], (30, 30, 70, 70))
    shares = dict(zip(mix.WORDS, mix.colours(picture), strict=True))
    assert shares[word] == 1
    assert shares["yellow"] == 0


def test_nonsense_is_the_same_every_time() -> None:
    assert mix.nonsense(50) == mix.nonsense(50)
    assert len(set(mix.nonsense(400))) > 390
