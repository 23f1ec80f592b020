"""No answer is an answer: queries that mean nothing are told from those that the index answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from tests.fakes import FakeEncoder, paint_many
from visualsearch.encoders import load_encoder
from visualsearch.encoders.bundled import load
from visualsearch.errors import UsageError
from visualsearch.look.naming import VOCABULARY
from visualsearch.quality.mix import nonsense
from visualsearch.resources import models_dir
from visualsearch.samples import manifest
from visualsearch.search import alike
from visualsearch.search.alike import FEWEST, NOT_JUDGED, UNRELATED, Noise, plain_pictures
from visualsearch.types import Hits


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vs.Index]:
    """The sample pins by the bundled model."""
    folder = tmp_path_factory.mktemp("alike")
    cache = pytest.MonkeyPatch()
    cache.setenv("VISUALSEARCH_CACHE", str(folder / "cache"))
    with vs.Index.create(folder / "pins.index") as index:
        index.add(str(manifest()))
        yield index
    cache.undo()


def refused(index: vs.Index, texts: list[str]) -> float:
    return float(np.mean([index.search(text=text, k=1).alike is False for text in texts]))


def test_nonsense_is_alike_to_nothing_and_what_is_there_is(pins: vs.Index) -> None:
    assert refused(pins, ["xqzv blorf", *nonsense(60)]) >= 0.9
    assert refused(pins, ["dog", "guitar", "apple", "car", "strawberry", "elephant", "a red car"]) == 0
    assert refused(pins, ["sofa", "printer"]) == 1  # there is none among the sample pins


def test_a_white_picture_is_alike_to_nothing_and_a_pin_s_own_picture_is(pins: vs.Index) -> None:
    white = pins.search(image=Image.new("RGB", (300, 200), "white"))
    assert white.alike is False
    assert white.noise is not None
    assert white.best is not None
    assert white.best < white.noise
    duck = pins.uris(["animals/duck"])["animals/duck"]
    assert pins.search(image=duck).alike is True


def test_auto_leaves_out_what_is_not_above_the_noise(pins: vs.Index) -> None:
    nothing = pins.search(text="xqzv blorf", min_score="auto")
    assert (len(nothing), nothing.alike) == (0, False)
    assert nothing.verdict.startswith("nothing alike: the best score 0.")
    some = pins.search(text="strawberry", min_score="auto", k=200)
    assert some.noise is not None
    assert 0 < len(some) < 50
    assert min(some.scores) >= some.noise
    assert some.verdict == ""


def test_the_first_of_all_pages_is_judged(pins: vs.Index) -> None:
    first, later = (pins.search(text="strawberry", k=5, offset=offset) for offset in (0, 100))
    assert (later.best, later.alike) == (first.best, True)
    assert later[0].score < first[0].score


def test_a_mix_is_alike_where_one_of_its_parts_is(pins: vs.Index) -> None:
    assert pins.search(text=["xqzv blorf", "strawberry"]).alike is True
    nothing = pins.search(text=["xqzv blorf", "0593 118"], min_score="auto")
    assert (len(nothing), nothing.alike) == (0, False)
    assert "no part of this mix" in nothing.verdict


def test_stored_pins_are_not_judged(pins: vs.Index) -> None:
    found = pins.search(like="animals/duck", min_score="auto")
    assert found.alike is None
    assert NOT_JUDGED in found.notes
    assert len(found) == 10


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\u200b"])
def test_a_blank_text_is_a_mistake(pins: vs.Index, text: str) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        pins.search(text=text)
    with pytest.raises(UsageError, match="nothing to search for"):
        pins.search(like="animals/duck", not_text=text)


def test_a_text_beyond_the_model_s_reach_is_told(pins: vs.Index) -> None:
    short = pins.search(text="a photograph of a strawberry on a plate in the morning")
    assert short.notes == ()
    (note,) = pins.search(text="word " * 5000).notes
    assert "tokens are not read" in note
    assert pins.search(text="word " * 5000).alike is False


def test_noise_is_measured_once_and_again_when_the_index_grew(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    paint_many(tmp_path / "a", FEWEST)
    with vs.Index.create(tmp_path / "pins.index", encoder) as index:
        index.add(str(tmp_path / "a"))
        first = index.search(text="red")
        counts = []
        for _ in range(3):
            before = encoder.encoded
            assert index.search(text="red").noise == first.noise
            counts.append(encoder.encoded - before)
        assert counts == [1, 1, 1]
        paint_many(tmp_path / "b", 4 * FEWEST, start=100)
        index.add(str(tmp_path / "b"))
        again = index.search(text="red").noise
    with vs.Index.open(tmp_path / "pins.index", FakeEncoder()) as anew:
        assert anew.search(text="red").noise == again


def test_few_pins_are_not_judged(tmp_path: Path) -> None:
    paint_many(tmp_path / "a", FEWEST - 1)
    with vs.Index.create(tmp_path / "pins.index", FakeEncoder()) as index:
        index.add(str(tmp_path / "a"))
        found = index.search(text="red")
        assert (found.alike, found.noise) == (None, None)
        assert len(index.search(text="red", min_score="auto")) == 10


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    pins: vs.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VISUALSEARCH_CACHE", str(tmp_path / "file"))
    with pins._open() as (_, rows):
        level = Noise().level("words", rows, load_encoder("bundled"))
    assert level == pytest.approx(pins.search(text="dog").noise, abs=1e-6)


def test_meaningless_queries_are_no_words_and_show_nothing() -> None:
    assert len(set(UNRELATED)) == 64
    assert not {word for text in UNRELATED for word in text.split()} & set(VOCABULARY)
    assert not set(UNRELATED) & set(nonsense(400))
    pictures = plain_pictures()
    assert len(pictures) == 32
    assert {(p.mode, p.size) for p in pictures} == {("RGB", (128, 128))}
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in plain_pictures()]


def test_a_verdict_is_for_people() -> None:
    said = Hits((), 3, "exact", best=0.09, alike=False, noise=0.164).verdict
    assert said == "nothing alike: the best score 0.09 is what unrelated queries reach here (up to 0.16)"


def test_the_noise_of_words_is_kept_for_each_text_tower_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []

    def nowhere(name: str, make: object) -> Path:
        kept.append(name)
        raise OSError("no cache here")

    monkeypatch.setattr(alike, "keep_in_cache", nowhere)
    monkeypatch.setattr(alike, "_encoded", lambda kind, encoder: np.zeros((1, 2), np.float32))
    encoder = load(models_dir() / "lite-clip")
    alike._meaningless("words", encoder)
    encoder._spec = replace(encoder.spec, words="another")
    alike._meaningless("words", encoder)
    assert len(set(kept)) == 2
