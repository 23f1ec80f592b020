"""`bench quality`: what each task measures, on small sets whose right figures are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from visualsearch import quality
from visualsearch.encoders import BaseEncoder
from visualsearch.errors import EncoderError, PictureError, SourceError, UnknownNameError, UsageError
from visualsearch.quality import compose, speed
from visualsearch.quality.data import DATASETS, Data, bare, left_out
from visualsearch.types import EncoderSpec, Preprocessing

PAINTS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (255, 255, 255)}


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stamps that this machine may have would count as data."""
    monkeypatch.setattr(quality.data, "TUXPAINT_HOME", tmp_path / "nothing")


class Colours(BaseEncoder):
    """Sees a picture's mean colour; a text's colour is the first paint it names."""

    def __init__(self, *, text: bool = True) -> None:
        self._spec = EncoderSpec("colours", 3, Preprocessing(8), "0" * 64, text=text)
        self.seen = 0

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def _image_vectors(self, pixels: Any) -> Any:
        self.seen += len(pixels)
        return pixels.astype(np.float32).mean((2, 3)) - 100.5

    def _text_vectors(self, texts: Sequence[str]) -> Any:
        if not self._spec.text:
            raise EncoderError("no text tower")
        named = [next(rgb for paint, rgb in PAINTS.items() if paint in text) for text in texts]
        return np.array(named, np.float32) - 100.5


def paint(path: Path, colour: str, shift: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, tuple(min(255, c + shift) for c in PAINTS[colour])).save(path)
    return path


@pytest.fixture
def clothing(tmp_path: Path) -> Path:
    """Three categories of one colour each; one blue validation photograph lies in the wrong folder, red."""
    root = tmp_path / "clothing"
    for category in ("red", "green", "blue"):
        for i in range(12):
            paint(root / "train" / f"{category} dress" / f"{i}.png", category, i)
        for i in range(3):
            paint(root / "validation" / f"{category} dress" / f"{i}.png", category, i)
    paint(root / "validation" / "red dress" / "3.png", "blue")
    return tmp_path


@pytest.fixture
def grocery(tmp_path: Path) -> Path:
    root = tmp_path / "grocery"
    classes = ["Red-Apple", "Green-Apple", "Blue-Berry"]
    names = [name.lower().partition("-")[0] for name in classes]
    lines = [
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),X"
    ]
    for number, (name, colour) in enumerate(zip(classes, names, strict=True)):
        paint(root / "iconic" / f"{name}.png", colour)
        lines.append(f"{name.lower()},{number},Fruit,0,/iconic/{name}.png,")
    (root / "classes.csv").write_text("\n".join(lines))
    for split, count in (("train", 4), ("val", 2)):
        rows = []
        for number, colour in enumerate(names):
            rows += [(paint(root / split / colour / f"{i}.png", colour, 3 * i), number) for i in range(count)]
        text = "\n".join(f"{path.relative_to(root).as_posix()}, {number}, 0" for path, number in rows)
        (root / f"{split}.txt").write_text(text)
    return tmp_path


@pytest.fixture
def emoji(tmp_path: Path) -> Path:
    """Two vendors under two layouts share three emoji; the second swaps green and blue."""
    drawn = {"1f534": "red", "1f7e2": "green", "2764-fe0f": "blue"}
    for code, colour in drawn.items():
        paint(tmp_path / "emoji" / "noto" / "img" / "google" / "64" / f"{code}.png", colour)
    redrawn = dict(zip(drawn, ("red", "blue", "green"), strict=True))
    for code, colour in redrawn.items():
        paint(tmp_path / "emoji" / "mine" / f"{code.upper()}.png", colour)
    for stray in ("1f44b-1f3fb", "README", "1f9ff"):  # a skin tone, no code points, one that noto lacks
        paint(tmp_path / "emoji" / "mine" / f"{stray}.png", "white")
    names = [{"hexcode": c.upper(), "label": f"{p} thing", "group": 1} for c, p in drawn.items()]
    names.append({"hexcode": "1F9FF", "label": "regional letter"})
    (tmp_path / "emoji" / "names" / "en").mkdir(parents=True)
    (tmp_path / "emoji" / "names" / "en" / "data.json").write_text(json.dumps(names))
    return tmp_path


def figures(report: quality.Report) -> dict[tuple[str, str], dict[str, float]]:
    return {(row.task, row.what): dict(row.values) for row in report.rows}


def only(folder: Path, task: str, encoder: BaseEncoder | None = None, **options: Any) -> quality.Row:
    (row,) = quality.measure(encoder or Colours(), folder, tasks=[task], **options).rows
    return row


def test_clothing_asks_the_train_split_with_every_validation_photograph(clothing: Path) -> None:
    row = only(clothing, "clothing-category")
    assert (row.queries, row.gallery) == (10, 36)
    assert row.values == {
        "P@10": pytest.approx(0.9),
        "P@1": pytest.approx(0.9),
    }  # the misfiled one finds blue


def test_zero_shot_compares_photographs_with_the_names_of_their_classes(
    clothing: Path, grocery: Path
) -> None:
    row = only(clothing, "clothing-names")
    assert (row.values, row.queries, row.gallery) == (
        {"top-1": pytest.approx(0.9), "top-1 prompted": pytest.approx(0.9)},
        10,
        3,
    )
    row = only(grocery, "grocery-names")
    assert (row.values, row.queries, row.gallery) == ({"top-1": 1.0, "top-1 prompted": 1.0}, 6, 3)


def test_grocery_finds_the_catalogue_picture_by_class_number(tmp_path: Path, grocery: Path) -> None:
    # Ten catalog pictures at least, so that R@10 exists; the other classes are white.
    file = tmp_path / "grocery" / "classes.csv"
    rows = [f"white {n},{n},Other,1,/iconic/white.png," for n in range(3, 12)]
    paint(tmp_path / "grocery" / "iconic" / "white.png", "white")
    file.write_text("\n".join([file.read_text(), *rows]))
    row = only(grocery, "grocery-catalogue")
    assert (row.values, row.queries, row.gallery) == ({"R@1": 1.0, "R@10": 1.0}, 6, 12)
    swapped = (
        file.read_text()
        .replace("/iconic/Red-Apple.png", "/x")
        .replace("/iconic/Blue-Berry.png", "/iconic/Red-Apple.png")
    )
    file.write_text(swapped.replace("/x", "/iconic/Blue-Berry.png"))
    assert only(grocery, "grocery-catalogue").values["R@1"] == pytest.approx(1 / 3)


def test_grocery_class_is_that_of_the_nearest_train_photograph(grocery: Path) -> None:
    row = only(grocery, "grocery-class")
    assert (row.values, row.queries, row.gallery) == ({"P@1": 1.0}, 6, 12)


def test_emoji_are_matched_by_code_points_between_each_pair_of_vendors(emoji: Path) -> None:
    found = figures(quality.measure(Colours(), emoji, tasks=["emoji-vendors"]))
    third = pytest.approx(1 / 3)
    assert found == {
        ("emoji-vendors", "mine -> noto"): {"R@1": third, "R@1 back": third},
        ("emoji-vendors", "mean over 2 directions"): {"R@1": third},
    }


def test_the_vendor_that_no_model_was_trained_on_has_a_mean_of_its_own(emoji: Path) -> None:
    for code, colour in (("1f534", "red"), ("1f7e2", "green"), ("2764", "red")):
        paint(emoji / "emoji" / "noto-2017" / f"{code}.png", colour)
    found = figures(quality.measure(Colours(), emoji, tasks=["emoji-vendors"]))
    assert found[("emoji-vendors", "mean over 2 directions")] == {"R@1": pytest.approx(1 / 3)}
    apart = found[("emoji-vendors", "mean over 4 directions with noto-2017, never trained on")]
    pairs = [values for (_, what), values in found.items() if "noto-2017" in what.split(" -> ")]
    assert len(pairs) == 2
    assert apart == {"R@1": pytest.approx(np.mean([list(values.values()) for values in pairs]))}


def test_emoji_names_find_each_vendors_drawings(emoji: Path) -> None:
    found = figures(quality.measure(Colours(), emoji, tasks=["emoji-names"]))
    assert found[("emoji-names", "name -> noto")] == {"R@1": 1.0}  # three drawings: there is no R@10
    assert found[("emoji-names", "name -> mine")] == {"R@1": pytest.approx(1 / 3)}


def test_captions_find_any_photograph_that_bears_them(tmp_path: Path) -> None:
    root = tmp_path / "tuxpaint"
    stamps = {
        "food/apple": ("red", "A bright red apple.\nde.utf8=Ein Apfel"),
        "food/apple2": ("red", "The bright red apple"),
        "plants/fern": ("green", "a green fern"),
        "animals/whale": ("green", "blue whale"),
        "food/apple_mirror": ("blue", "A bright red apple."),
        "symbols/math/one": ("blue", "one, in blue"),
    }
    for name, (colour, caption) in stamps.items():
        paint(root / f"{name}.png", colour).with_suffix(".txt").write_text(caption)
    paint(root / "food" / "unnamed.png", "blue")
    rows = {row.what: row for row in quality.measure(Colours(), tmp_path, tasks=["tuxpaint"]).rows}
    whole = rows["all captions"]
    assert (whole.queries, whole.gallery) == (3, 4)
    assert whole.values["R@1"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)  # fern and whale are drawn alike
    half = rows["the half left out of training"]  # the whale alone, among its own half
    assert (half.queries, half.gallery, half.values["R@1"]) == (1, 1, 1.0)


def test_the_left_out_half_of_captions_is_fixed() -> None:
    # The first byte that sha256sum prints for the lower-cased caption; below 80 it is left out.
    first_bytes = {"banana": 0xB4, "camel": 0x48, " CAMEL ": 0x48, "whale": 0xA5, "blue whale": 0x2F}
    for caption, byte in first_bytes.items():
        assert left_out(caption) == (byte < 0x80)


def test_what_is_left_out_is_what_training_held_out(training_script: Callable[[str], ModuleType]) -> None:
    training_script("store")
    held_out = training_script("pack").held_out
    names = [f"Library/{n}" for n in range(200)] + ["banana", " Blue Whale "]
    for share in (0.25, 0.5):
        mine = [left_out(name, share) for name in names]
        assert mine == [held_out(name, share) for name in names]
        assert np.mean(mine) == pytest.approx(share, abs=0.1)


def test_products_are_found_by_their_names(tmp_path: Path) -> None:
    for number, colour in enumerate(("red", "green", "blue")):
        paint(tmp_path / "eshop" / "pics" / f"{number}.webp", colour)
    rows = [{"Id": n, "Name": f"{c} boots"} for n, c in enumerate(("red", "green", "green"))]
    (tmp_path / "eshop" / "catalog.json").write_text(json.dumps(rows))
    row = only(tmp_path, "eshop-names")
    assert row.values == {"R@1": pytest.approx(2 / 3)}


def test_household_things_are_found_by_their_names(tmp_path: Path) -> None:
    # The first byte that sha256sum prints for library/3 is 0x10, below a quarter of 256; 1 and 4 have 0x96 and 0xee.
    library = tmp_path / "furniture" / "Library"
    names = {1: ("red sof\\u00e1 ô", "red"), 3: ("green chair", "blue"), 4: ("green chair", "green")}
    for number, (_, colour) in names.items():
        paint(library / "icons" / f"{number}.png", colour)
    lines = [f"name#{n}={name}\nicon#{n}=/icons/{n}.png" for n, (name, _) in names.items()]
    (library / "PluginFurnitureCatalog.properties").write_text(
        "id=Things\n" + "\n".join(lines), encoding="latin-1"
    )
    assert [item.label for item in Data(tmp_path).furniture().values()] == [
        "red sofá ô",
        "green chair",
        "green chair",
    ]
    all_things, quarter = quality.measure(Colours(), tmp_path, tasks=["furniture"]).rows
    assert (all_things.queries, all_things.gallery, all_things.values["R@1"]) == (2, 3, 1.0)
    assert (quarter.queries, quarter.gallery) == (1, 1)
    (library / "PluginFurnitureCatalog.properties").write_text("name#1=red sofa\n")
    with pytest.raises(SourceError, match=r"thing 1 has no 'icon'"):
        Data(tmp_path).furniture()


def test_parts_are_searched_among_photographs_that_lend_no_ground(
    clothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality.tasks, "GROUNDS", 6)
    report = quality.measure(Colours(), clothing, tasks=["crop"])
    plain, pasted = report.rows
    assert (plain.queries, plain.gallery) == (pasted.queries, pasted.gallery) == (10, 10 + 36 - 6)
    # Of one colour each, a part looks like its picture and like those of the same colour; 46 hold 3 to 14 of one.
    assert 1 / 14 <= plain.values["R@1"] <= 1
    assert (
        pasted.values["R@1"] < plain.values["R@1"]
    )  # the ground's colour misleads an encoder of mean colours
    assert quality.measure(Colours(), clothing, tasks=["crop"]).rows == report.rows  # seeded


def test_objects_are_searched_among_stamps_and_photographs(clothing: Path) -> None:
    for name, colour in (("camel", "red"), ("banana", "green")):  # only camel's half is asked for
        stamp = paint(clothing / "tuxpaint" / "food" / f"{name}.png", colour, 20)
        stamp.with_suffix(".txt").write_text(f"A {name}.")
    boxed, small = quality.measure(Colours(), clothing, tasks=["cutout"]).rows
    assert (boxed.queries, boxed.gallery) == (small.queries, small.gallery) == (1, 2 + 10)
    assert boxed.what != small.what
    assert "A camel." not in [item.label for item in Data(clothing).tuxpaint()]


def test_a_part_keeps_its_source_findable_where_nothing_else_changes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    for _ in range(20):
        part = compose.window(noise, rng, 0.3, 0.5)
        assert 24 <= part.width <= 40
        assert 18 <= part.height <= 30
        assert np.asarray(part).tobytes()[: part.width * 3] in b"".join(
            row.tobytes() for row in np.asarray(noise)
        )


def test_an_object_covers_its_share_of_the_new_ground(tmp_path: Path) -> None:
    stamp = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    stamp.paste((255, 0, 0, 255), (30, 20, 70, 40))  # 40 x 20 visible
    stamp.save(tmp_path / "stamp.png")
    ground = Image.new("RGB", (64, 48), PAINTS["blue"])
    for seed in range(10):
        scene = compose.onto(
            ground, compose.cut_out(tmp_path / "stamp.png"), np.random.default_rng(seed), 0.3, 0.5
        )
        query = np.asarray(scene).astype(int)
        assert query.shape == (compose.SIDE, compose.SIDE, 3)
        red = (query[..., 0] > 150) & (query[..., 2] < 100)
        wide, high = red.any(0).sum() / compose.SIDE, red.any(1).sum() / compose.SIDE
        assert 0.29 <= wide <= 0.51
        assert high == pytest.approx(wide / 2, abs=0.02)
    Image.new("RGBA", (5, 5), (0, 0, 0, 0)).save(tmp_path / "empty.png")
    with pytest.raises(PictureError, match="visible"):
        compose.cut_out(tmp_path / "empty.png")


def test_each_file_is_embedded_once_whatever_the_tasks(clothing: Path) -> None:
    encoder = Colours()
    quality.measure(encoder, clothing, tasks=["clothing-category", "clothing-names"])
    assert encoder.seen == 36 + 10


def test_a_limit_thins_every_class_alike(clothing: Path) -> None:
    row = only(clothing, "clothing-category", limit=30)
    assert (row.queries, row.gallery) == (10, 30)
    bench = quality.tasks.Bench(Colours(), Data(clothing), 6)
    assert [item.label for item in bench.thin(Data(clothing).clothing("train"))] == sorted(
        2 * ["red dress", "green dress", "blue dress"]
    )
    with pytest.raises(UsageError, match="k is 10"):
        only(clothing, "clothing-category", limit=6)


def test_an_encoder_without_words_says_so_and_measures_the_rest(clothing: Path) -> None:
    rows = {row.task: row for row in quality.measure(Colours(text=False), clothing, tasks=["clothing"]).rows}
    assert rows["clothing-names"].state is quality.State.NO_TEXT
    assert rows["clothing-category"].state is quality.State.MEASURED


def test_absent_data_is_listed_and_only_an_error_when_asked_for(
    clothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure", lambda _: speed.Speed(100.0, 10.0, 10.0))
    report = quality.measure(Colours(), clothing)
    states = {row.task: row.state for row in report.rows}
    assert set(states) == set(quality.TASKS)
    assert states["grocery-class"] is quality.State.NO_DATA
    assert states["clothing-category"] is quality.State.MEASURED
    names = {dataset.name for dataset in report.missing}
    assert {"grocery", "eshop", "noto", "emoji-names"} <= names
    assert "clothing" not in names
    with pytest.raises(UsageError, match=r"GroceryStoreDataset") as caught:
        quality.measure(Colours(), clothing, tasks=["grocery"])
    assert str(caught.value).endswith(
        f"/dataset {clothing}/grocery\nand give the folder that holds it with --data."
    )


def test_every_set_says_licence_and_commands_for_the_given_folder() -> None:
    for dataset in DATASETS.values():
        assert dataset.licence
        assert dataset.how(Path("sets"))
        assert not any("{dir}" in command for command in dataset.how(None))


def test_damaged_sets_are_named(grocery: Path, clothing: Path) -> None:
    (grocery / "grocery" / "val.txt").write_text("val/red/0.png\n")
    with pytest.raises(SourceError, match=r"val\.txt.*three columns"):
        only(grocery, "grocery-class")
    (grocery / "grocery" / "classes.csv").write_text("Name\nApple\n")
    with pytest.raises(SourceError, match=r"classes\.csv.*Class ID"):
        Data(grocery).grocery_classes()
    broken = next((clothing / "clothing" / "train").glob("*/*.png"))
    broken.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=str(broken)):
        only(clothing, "clothing-category")


def test_an_unknown_task_lists_the_near_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"clothing-category.*Groups of tasks: clothing, grocery, emoji"
    ):
        quality.choose(["clothing-categories"])
    assert [task.name for task in quality.choose(["grocery", "speed"])] == [
        "grocery-catalogue",
        "grocery-class",
        "grocery-names",
        "speed",
    ]


def test_emoji_names_drop_the_variation_selector() -> None:
    assert bare("2764-FE0F-200D-1F525") == "2764-200d-1f525"


def test_speed_is_measured_alone_where_the_peer_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "peer_is_installed", lambda: False)
    encoder = Colours()
    found = speed.measure(encoder, rounds=3, batch=4)
    assert encoder.seen == 4 * (1 + 3)
    assert found.encoder > 0
    assert (found.peer, found.ratio) == (None, None)


def test_speed_compares_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "peer_is_installed", lambda: True)
    monkeypatch.setattr(speed, "_peer", lambda batch: lambda: None)
    # Each turn times the encoder, then the peer; the second turn ran on a machine twice as busy.
    ticks = iter([0, 1, 1, 9, 10, 12, 12, 28, 30, 31, 31, 39])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(ticks))
    assert speed.measure(Colours(), rounds=3, batch=16) == speed.Speed(16.0, 2.0, 8.0)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    from visualsearch import encoders
    from visualsearch.cli import app

    monkeypatch.setattr(encoders, "load_encoder", lambda *_, **__: Colours())
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, ["bench", "quality", *arguments])


def test_the_command_prints_one_json_document(command: Any, clothing: Path) -> None:
    result = command("--data", str(clothing), "--tasks", "clothing", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["model"] == "colours"
    assert document["missing"] == []
    assert {row["task"]: row["values"] for row in document["rows"]} == {
        "clothing-category": {"P@10": 0.9, "P@1": 0.9},
        "clothing-names": {"top-1": 0.9, "top-1 prompted": 0.9},
    }


def test_the_command_prints_a_table_and_how_to_get_what_is_missing(
    command: Any, clothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure", lambda _: speed.Speed(100.0, 10.0, 10.0))
    result = command("--data", str(clothing))
    assert result.exit_code == 0, result.output
    assert "P@10 0.900" in result.stdout
    assert "no data (needs grocery)" in result.stdout
    assert "times 10.0" in result.stdout
    assert f"mv {clothing}/GroceryStoreDataset/dataset {clothing}/grocery" in result.stderr
    assert "licence: CC-BY-SA-4.0" in result.stderr
