"""The sample pins: complete, readable, and the scenes' boxes true."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from visualsearch import samples


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with samples.manifest().open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_manifest_names_every_shipped_picture_once(rows: list[dict[str, str]]) -> None:
    folder = samples.samples_dir()
    named = [row["image"] for row in rows]
    shipped = {path.relative_to(folder).as_posix() for path in (folder / "pins").rglob("*") if path.is_file()}
    assert len(named) == len(set(named)) == len({row["id"] for row in rows})
    assert set(named) == shipped
    assert len(rows) == 459
    kinds = Counter(row["category"] for row in rows)
    assert (kinds["clothing"], kinds["materials"]) == (156, 39)


def test_ids_say_category_and_file(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert row["id"].split("/")[0] == row["category"]
        assert row["image"] == f"pins/{row['id']}.jpg"
        assert row["id"] == row["id"].lower()
        assert " " not in row["id"]


PHOTOGRAPHS = ("clothing", "materials")


def test_pins_are_rgb_jpegs_of_at_most_384_pixels_and_things_stand_on_white(
    rows: list[dict[str, str]],
) -> None:
    for row in rows:
        with Image.open(samples.samples_dir() / row["image"]) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB"), row["id"]
            assert 96 <= max(picture.size) <= 384, row["id"]
            corners = [
                picture.getpixel((x, y)) for x in (0, picture.width - 1) for y in (0, picture.height - 1)
            ]
        assert row["category"] in PHOTOGRAPHS or np.min(corners) >= 250, row["id"]


def test_columns_are_filled_and_prices_marked_illustrative(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert all(row.values()), row["id"]
        assert float(row["price"]) > 0
        assert row["price_note"] == "illustrative"
        assert row["title"][0].isupper() or row["title"][0].isdigit()


@pytest.mark.parametrize(
    ("pin", "colour"),
    [
        ("food/tomato", "red"),
        ("food/lemon", "yellow"),
        ("sports/tennis-ball", "green"),
        ("household/toilet", "white"),
    ],
)
def test_measured_colour_is_the_one_a_person_would_say(
    rows: list[dict[str, str]], pin: str, colour: str
) -> None:
    assert {row["id"]: row["colour"] for row in rows}[pin] == colour


def test_scenes_refer_to_pins_and_their_boxes_lie_inside(rows: list[dict[str, str]]) -> None:
    known = {row["id"] for row in rows}
    found = samples.scenes()
    assert 6 <= len(found) <= 10
    assert {scene.image.name for scene in found} == {
        path.name for path in (samples.samples_dir() / "scenes").iterdir()
    }
    for scene in found:
        assert 3 <= len(scene.objects) <= 6
        with Image.open(scene.image) as picture:
            assert picture.width == 1280
        for item in scene.objects:
            assert item.pin in known
            assert 0 <= item.box.x0 < item.box.x1 <= 1
            assert 0 <= item.box.y0 < item.box.y1 <= 1


def likeness(patch: Image.Image, pin: Image.Image) -> float:
    """Share of the pixels well inside the pin's object that have about the same colour in the patch."""
    size = (128, 128)
    left = np.asarray(patch.resize(size).convert("RGB"), np.float32)
    right = np.asarray(pin.resize(size).convert("RGB"), np.float32)
    ink = Image.fromarray(((right.min(axis=2) < 225) * 255).astype(np.uint8))
    inside = np.asarray(ink.filter(ImageFilter.MinFilter(3))) > 0
    return float((np.abs(left - right).max(axis=2)[inside] < 32).mean())


@pytest.mark.parametrize("scene", samples.scenes(), ids=lambda scene: scene.id)
def test_each_box_shows_its_pin_and_no_other_object_of_the_scene(scene: samples.Scene) -> None:
    def cut(path: Path) -> Image.Image:
        with Image.open(path) as picture:
            edge = round(0.06 * max(picture.size))  # the white border
            return picture.crop((edge, edge, picture.width - edge, picture.height - edge))

    pins = [cut(samples.samples_dir() / "pins" / f"{item.pin}.jpg") for item in scene.objects]
    with Image.open(scene.image) as picture:
        for place, item in enumerate(scene.objects):
            box = [edge * side for edge, side in zip(item.box, picture.size * 2, strict=True)]
            scores = [likeness(picture.crop(box), pin) for pin in pins]
            assert int(np.argmax(scores)) == place
            assert scores[place] > 0.7, item.pin


def test_licence_and_credits_lie_beside_the_pictures() -> None:
    folder = samples.samples_dir()
    assert "GNU GENERAL PUBLIC LICENSE" in (folder / "LICENSE").read_text(encoding="utf-8")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(scene.id in readme for scene in samples.scenes())


def test_photographs_name_the_repository_that_gave_them_to_the_public_domain(
    rows: list[dict[str, str]],
) -> None:
    readme = (samples.samples_dir() / "README.md").read_text(encoding="utf-8")
    assert "CC0 1.0" in readme
    for row in rows:
        if row["category"] in PHOTOGRAPHS:
            place, _, commit = row["source"].split(":")[0].partition("@")
            assert f"https://{place}>" in readme
            assert commit.split()[0] in readme


def test_all_pictures_together_stay_small() -> None:
    folder = samples.samples_dir()
    total = sum(path.stat().st_size for name in ("pins", "scenes") for path in (folder / name).rglob("*.jpg"))
    assert total < 7_500_000
