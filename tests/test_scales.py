"""Parts of a mixed query: words and pictures on one scale, and a minus that leaves the wish alone."""

from __future__ import annotations

import numpy as np
import pytest

from visualsearch.search.scales import FEWEST, Sample, blended
from visualsearch.types import Float32

KINDS, COLOURS, EACH, DIM = 8, 6, 12, 96


class Cones:
    """A CLIP as it is often found: pictures lie in one narrow cone, words in another, nearly at right angles.

    A picture is its cone's axis, its kind, its colour and noise; a word the other axis and the same kind or colour, weaker.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        basis = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32).T
        self.pictures_axis, self.words_axis = basis[0], basis[1]
        self.kinds, self.colours = basis[2 : 2 + KINDS], basis[20 : 20 + COLOURS]
        self.kind = np.repeat(np.arange(KINDS), COLOURS * EACH)
        self.colour = np.tile(np.repeat(np.arange(COLOURS), EACH), KINDS)
        noise = 0.02 * rng.standard_normal((len(self.kind), DIM)).astype(np.float32)
        self.rows = _unit(
            1.2 * self.pictures_axis + 0.8 * self.kinds[self.kind] + 0.5 * self.colours[self.colour] + noise
        )

        self.sample = Sample(self.rows)

    def word(self, meaning: Float32) -> Float32:
        return _unit(self.words_axis + 0.15 * meaning)

    def ten(self, query: Float32, without: int = -1) -> list[int]:
        scores = self.rows @ query
        if without >= 0:
            scores[without] = -9
        return np.argsort(-scores)[:10].tolist()


def _unit(vectors: Float32) -> Float32:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def cones() -> Cones:
    return Cones()


def test_a_colour_word_changes_a_picture_though_words_score_a_quarter_of_pictures(cones: Cones) -> None:
    asked, colour = 0, 4
    picture, word = cones.rows[asked], cones.word(cones.colours[colour])
    assert (cones.rows @ word).max() < 0.3 < 0.5 < np.median(cones.rows @ picture)
    plain = cones.ten(picture + word, asked)
    assert np.mean(cones.colour[plain] == colour) < 0.2  # in the sum alone the picture outweighs the word
    ten = cones.ten(blended([(1, picture), (1, word)], [], cones.sample), asked)
    assert np.mean(cones.colour[ten] == colour) >= 0.6
    assert (cones.kind[ten] == cones.kind[asked]).all()


def test_a_minus_pushes_its_look_alikes_away_and_keeps_to_the_word(cones: Cones) -> None:
    word = cones.word(cones.kinds[3])
    minus = cones.ten(word)[0]
    own = cones.colour[minus]
    plain = cones.ten(word - 0.5 * cones.rows[minus], minus)
    assert np.mean(cones.kind[plain] == 3) == 0  # the sum alone runs away from the word
    ten = cones.ten(blended([(1, word)], [(0.5, cones.rows[minus])], cones.sample), minus)
    assert (cones.kind[ten] == 3).all()
    assert (cones.colour[ten] != own).all()


def test_weights_are_on_the_scale_of_the_parts(cones: Cones) -> None:
    picture, word = cones.rows[0], cones.word(cones.colours[4])
    shares = [
        np.mean(cones.colour[cones.ten(blended([(1, picture), (weight, word)], [], cones.sample), 0)] == 4)
        for weight in (0.01, 1, 100)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[-1] == 1


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_of_too_few_pins_every_part_counts_with_its_own_length(cones: Cones, count: int) -> None:
    a, b = cones.rows[0], cones.word(cones.colours[4])
    np.testing.assert_allclose(
        blended([(1, a), (0.5, b)], [], Sample(cones.rows[:count])), a + 0.5 * b, atol=1e-6
    )


def test_an_index_of_one_picture_many_times_is_no_scale(cones: Cones) -> None:
    same = np.repeat(cones.rows[:1], 50, axis=0)
    a, b = cones.rows[0], cones.rows[500]
    np.testing.assert_allclose(blended([(1, a), (1, b)], [], Sample(same)), a + b, atol=1e-6)


def test_what_is_asked_away_in_full_leaves_nothing(cones: Cones) -> None:
    word = cones.word(cones.kinds[3])
    assert np.linalg.norm(blended([(1, word)], [(1, word)], cones.sample)) < 1e-4
    half = blended([(1, word)], [(0.5, word)], cones.sample)
    assert half @ word / np.linalg.norm(half) > 0.9999


def test_unwanted_parts_alone_are_turned_round(cones: Cones) -> None:
    a, b = cones.word(cones.kinds[3]), cones.rows[0]
    got = blended([], [(1, a), (1, b)], cones.sample)
    assert got @ a < 0
    assert got @ b < 0
