"""The scenes that looks are measured on: their true boxes are true, and what is learnt from is never measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visualsearch import samples
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.quality import look_scenes
from visualsearch.quality.data import Data
from visualsearch.quality.look import measure_look
from visualsearch.quality.look_bench import LookBench, sample_objects
from visualsearch.quality.look_scenes import Piece, Recipe, Split, compose, pieces, split_of, without_ground

from .fakes import FakeEncoder, paint


@pytest.fixture
def stamps(tmp_path: Path) -> list[Piece]:
    """Six discs of different colours with transparent ground."""
    made = []
    for number in range(6):
        picture = Image.new("RGBA", (120, 120), (0, 0, 0, 0))
        draw = ImageDraw.Draw(picture)
        draw.ellipse((10, 10, 110, 110), fill=(250 if number % 2 else 20, 40 * number, 90, 255))
        path = tmp_path / f"disc{number}.png"
        picture.save(path)
        made.append(Piece(f"disc{number}", "tuxpaint", path))
    return made


def test_the_true_boxes_enclose_what_was_pasted_and_nothing_else(stamps: list[Piece], tmp_path: Path) -> None:
    ground = paint(tmp_path / "ground.png", "white", (600, 400))
    recipe = Recipe(width=320, height=240, low=0.2, high=0.4, photographs=0.0, hidden=0.0)
    for seed in range(6):
        scene = compose(stamps, ([ground], []), np.random.default_rng(seed), recipe)
        assert scene.picture.size == (320, 240)
        inside = np.zeros((240, 320), bool)
        for one in scene.objects:
            x0, y0, x1, y1 = (round(v * s) for v, s in zip(one.box, (320, 240) * 2, strict=True))
            inside[y0:y1, x0:x1] = True
            part = scene.cover[y0:y1, x0:x1]
            assert part[0].any()
            assert part[-1].any()
            assert part[:, 0].any()
            assert part[:, -1].any()
        assert not scene.cover[~inside].any()
        assert len({one.piece.name for one in scene.objects}) == len(scene.objects) >= 1


def test_the_same_seed_composes_the_same_scene(stamps: list[Piece], tmp_path: Path) -> None:
    ground = paint(tmp_path / "ground.png", 3, (600, 400))
    one, two = (compose(stamps, ([ground], []), np.random.default_rng(5), Recipe(320, 240)) for _ in range(2))
    assert one.objects == two.objects
    assert one.picture.tobytes() == two.picture.tobytes()


def test_objects_of_one_split_are_never_in_the_other(tmp_path: Path) -> None:
    names = [f"animals/{n}" for n in range(400)]
    share = np.mean([split_of(name) is Split.TRAIN for name in names])
    assert 0.5 < share < 0.7
    for kind in ("animals", "food"):
        for number in range(8):
            paint(tmp_path / "tuxpaint" / kind / f"{number}.png", number)
            (tmp_path / "tuxpaint" / kind / f"{number}.txt").write_text("A thing.\n")
    data = Data(tmp_path)
    kept = ["animals/0", "animals/1", "food/2"]
    train = {p.name for p in pieces(data, Split.TRAIN, kept)}
    measured = {p.name for p in pieces(data, Split.MEASURE, kept)}
    assert not train & measured
    assert set(kept) <= measured
    assert len(train | measured) == 16


def test_objects_of_the_sample_scenes_are_kept_for_measuring() -> None:
    wanted = {one.pin for scene in samples.scenes() for one in scene.objects}
    assert len(sample_objects()) == len(wanted)


def test_an_even_ground_is_removed_and_an_uneven_one_refused() -> None:
    picture = Image.new("RGB", (200, 200), (240, 240, 238))
    ImageDraw.Draw(picture).ellipse((60, 50, 140, 150), fill=(30, 90, 160))
    cutting = without_ground(picture)
    assert cutting is not None
    assert abs(cutting.width - 80) <= 6
    assert abs(cutting.height - 100) <= 6
    assert cutting.getpixel((cutting.width // 2, cutting.height // 2))[3] == 255
    assert cutting.getpixel((0, 0))[3] < 60
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert without_ground(Image.fromarray(noise)) is None
    assert without_ground(Image.new("RGB", (50, 50))) is None


def test_the_bench_runs_on_small_sets_and_its_figures_are_shares(
    stamps: list[Piece], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = paint(tmp_path / "ground.png", "white", (600, 400))
    monkeypatch.setattr(LookBench, "objects", stamps)
    monkeypatch.setattr("visualsearch.quality.look_bench.grounds", lambda data, split: ([ground], []))
    encoder = FakeEncoder()
    encoder.encode_texts = lambda texts: np.zeros((len(texts), 49), np.float32)  # type: ignore[method-assign]
    monkeypatch.setattr("visualsearch.quality.look_bench.pieces", lambda *_: [])
    bench = LookBench(encoder, Data(tmp_path), tmp_path / "work", scenes=2)
    lines = list(measure_look(bench, ["crops", "regions"]))
    assert {line.task for line in lines} == {"crops", "regions"}
    for line in lines:
        assert 0 <= line.values["R@1"] <= line.values["R@10"] <= 1
        assert line.count > 0
    padded = next(line for line in lines if line.what.startswith("padded white"))
    assert padded.values["R@10"] == 1.0
    without, with_ = (line.values["rows"] for line in lines if line.task == "regions")
    assert with_ > without == 2


def test_an_unknown_task_lists_the_known_ones_and_missing_sets_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = LookBench(FakeEncoder(), Data(tmp_path), tmp_path / "work", scenes=1)
    with pytest.raises(UnknownNameError, match="proposals"):
        list(measure_look(bench, ["proposal"]))
    monkeypatch.setattr(look_scenes, "GROUND_ROOTS", ())
    monkeypatch.setattr("visualsearch.quality.look_bench.pieces", lambda *_: [])
    with pytest.raises(UsageError, match="tuxpaint-stamps-default"):
        list(measure_look(bench, ["crops"]))
