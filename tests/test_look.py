"""Shop the look: every object of a scene finds its own."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch.errors import PictureError, UnknownNameError, UsageError
from visualsearch.images.crops import CropStyle, Shape, view
from visualsearch.look import proposals
from visualsearch.look import scene as look
from visualsearch.look.ground import Ground, empty_parts
from visualsearch.look.naming import Words, votes
from visualsearch.look.proposals import Proposal
from visualsearch.look.scene import LookObject
from visualsearch.pages.scenes import write_look
from visualsearch.types import WHOLE, Box, Hit, Hits

from .conftest import Ran
from .fakes import COLORS, FakeEncoder, paint

LEFT, RIGHT = Box(0.05, 0.1, 0.45, 0.9), Box(0.55, 0.1, 0.95, 0.9)
ROWS = (
    ("ruby", "red", "stone", "warm"),
    ("rose", "red", "flower", "warm"),
    ("fire", "red", "stone", "warm"),
    ("sky", "blue", "air", "cold"),
    ("sea", "blue", "water", "cold"),
    ("ice", "blue", "water", "cold"),
    ("leaf", "green", "flower", "warm"),
    ("coal", "black", "stone", "cold"),
)


@pytest.fixture
def shop(tmp_path: Path, encoder: FakeEncoder) -> vs.Index:
    """Pins of one colour each, slightly different within a colour, with category and board."""
    with (tmp_path / "shop.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "image", "category", "board", "price"))
        for number, (name, colour, category, board) in enumerate(ROWS):
            path = paint(tmp_path / "shop" / f"{name}.png", colour)
            picture = Image.open(path)
            picture.putpixel((number, number), (120, 120, 120))
            picture.paste((120, 120, 120), (0, 0, 2 * number + 1, 2 * number + 1))
            picture.save(path)
            writer.writerow((name, f"shop/{name}.png", category, board, number))
    encoder.spec = replace(encoder.spec, text=False)
    index = vs.create(tmp_path / "shop.index", encoder)
    assert index.add(tmp_path / "shop.csv").added == len(ROWS)
    return index


@pytest.fixture
def scene() -> Image.Image:
    """A red square on the left and a blue one on the right, on grey."""
    picture = Image.new("RGB", (200, 100), (128, 128, 128))
    for box, colour in ((LEFT, "red"), (RIGHT, "blue")):
        picture.paste(COLORS[colour], tuple(round(v * s) for v, s in zip(box, (200, 100) * 2, strict=True)))
    return picture


def propose(monkeypatch: pytest.MonkeyPatch, *found: tuple[Box, float]) -> None:
    made = [Proposal(box, score) for box, score in found]
    monkeypatch.setattr(proposals, "load_finder", lambda name: lambda picture: made)


def test_each_object_has_its_box_its_label_and_its_results(
    shop: vs.Index, scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(monkeypatch, (RIGHT, 0.6), (LEFT, 0.9))
    found = shop.look(scene, k=3, repeat=True)
    assert found.found
    assert [(box, len(hits)) for box, _, hits in found] == [(LEFT, 3), (RIGHT, 3)]
    assert set(found[0].hits.ids) == {"ruby", "rose", "fire"}
    assert set(found[1].hits.ids) == {"sky", "sea", "ice"}
    assert [one.score for one in found] == [0.9, 0.6]
    assert found.size == (200, 100)
    assert set(found.seconds) == {"load", "find", "embed", "search", "total"}


def test_labels_are_words_where_the_encoder_knows_words(
    shop: vs.Index, scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.look.naming.PROMPT", "{}")
    monkeypatch.setattr(shop, "spec", replace(shop.spec, text=True))
    found = shop.look(scene, k=1, boxes=[LEFT, RIGHT], vocabulary=["red", "blue", "green"])
    assert [(one.label, one.label_from) for one in found] == [("red", "words"), ("blue", "words")]
    assert found[0].label_score == pytest.approx(1.0, abs=0.05)


def test_the_sentence_around_a_word_can_be_chosen(encoder: FakeEncoder) -> None:
    np.testing.assert_array_equal(Words(encoder, ["red"], prompt="{}").vectors, encoder.encode_texts(["red"]))
    np.testing.assert_array_equal(Words(encoder, ["red"]).vectors, encoder.encode_texts(["a photo of a red"]))


def test_neighbours_that_agree_name_an_object_before_the_general_vocabulary(
    shop: vs.Index, scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.look.naming.PROMPT", "{}")
    monkeypatch.setattr(shop, "spec", replace(shop.spec, text=True))
    monkeypatch.setattr(shop, "words", lambda given: Words(shop.encoder, given or ["red", "blue", "green"]))
    agreed = shop.look(scene, k=1, boxes=[LEFT], label_by="board")[0]
    assert agreed.label_from == "votes"
    assert agreed.label_score >= 0.5
    other = shop.look(scene, k=1, boxes=[LEFT], label_by="no-such-attribute", unsure=True)[0]
    assert other.label_from == "words"


def test_labels_are_the_neighbours_votes_where_it_does_not(scene: Image.Image, tmp_path: Path) -> None:
    hits = [Hit(str(n), "", score, WHOLE, {"category": c}) for n, (score, c) in enumerate(
        [(0.9, "lamp"), (0.88, "sofa"), (0.87, "sofa"), (0.5, "rug")]
    )]  # fmt: skip
    name = votes(hits, "category")
    assert name is not None
    assert (name.text, name.source) == ("sofa", "votes")
    weights = np.exp((np.array([0.9, 0.88, 0.87, 0.5]) - 0.9) / 0.05)
    assert name.score == pytest.approx((weights[1] + weights[2]) / weights.sum())
    silent = [replace(hits[0], attributes={}), *hits[1:]]
    shared = votes(silent, "category")
    assert shared is not None
    assert shared.score == pytest.approx((weights[1] + weights[2]) / weights.sum())
    assert votes(hits, "brand") is None
    assert votes([], "category") is None


def test_a_pin_is_the_result_of_one_object_only_unless_it_may_repeat(
    shop: vs.Index, scene: Image.Image
) -> None:
    both = Box(0.04, 0.08, 0.46, 0.92)
    apart = shop.look(scene, k=4, boxes=[LEFT, both])
    ids = [i for one in apart for i in one.hits.ids]
    assert len(ids) == 8 == len(set(ids))
    again = shop.look(scene, k=4, boxes=[LEFT, both], repeat=True)
    assert set(again[0].hits.ids) == set(again[1].hits.ids)


def test_results_are_filtered_and_bounded_below(shop: vs.Index, scene: Image.Image) -> None:
    found = shop.look(scene, k=5, boxes=[LEFT], where="board = 'cold'")
    assert set(found[0].hits.ids) == {"sky", "sea", "ice", "coal"}
    assert len(shop.look(scene, k=5, boxes=[LEFT], min_score=0.9)[0].hits) == 3


def test_diversity_trades_likeness_for_variety(shop: vs.Index, scene: Image.Image) -> None:
    alike = shop.look(scene, k=3, boxes=[LEFT])[0].hits.ids
    varied = shop.look(scene, k=3, boxes=[LEFT], diversity=0.7)[0].hits.ids
    assert set(alike) == {"ruby", "rose", "fire"}
    assert varied[0] == alike[0]
    assert len(set(varied) - set(alike)) >= 1


def test_the_preferred_category_moves_up_and_scores_stay_true_cosines(
    shop: vs.Index, scene: Image.Image
) -> None:
    plain = shop.look(scene, k=8, boxes=[LEFT])[0].hits
    with pytest.deprecated_call():
        moved = shop.look(scene, k=8, boxes=[LEFT], prefer=2.0)[0].hits
    assert [h.attributes["category"] for h in moved][:3] == ["stone"] * 3
    assert {h.id: h.score for h in moved} == pytest.approx({h.id: h.score for h in plain})
    assert moved[0].signals["preferred"] > 0 == moved[-1].signals["preferred"]


def test_without_any_object_the_whole_picture_is_searched_and_said_so(
    shop: vs.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(monkeypatch)
    found = shop.look(Image.new("RGB", (64, 48), COLORS["green"]), k=1)
    assert not found.found
    assert [(one.box, one.hits.ids) for one in found] == [(WHOLE, ["leaf"])]
    assert any("whole picture is searched" in sentence for sentence in found.notes)


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ((0.2, 0.2, 0.2, 0.8), "empty"),
        ((-0.2, 0.2, 0.5, 0.8), "outside"),
        ((0.2, 0.2, 300, 80), "outside"),
        ((0.5, 0.5, 0.501, 0.501), "no pixel"),
        ((0.5, 0.5, float("nan"), 0.9), "finite"),
    ],
)
def test_boxes_without_area_or_outside_are_refused(
    shop: vs.Index, scene: Image.Image, box: Any, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        shop.look(scene, boxes=[LEFT, box])


def test_hundreds_of_boxes_are_searched_one_by_one(shop: vs.Index, scene: Image.Image) -> None:
    many = [Box(x / 40, 0.2, x / 40 + 0.1, 0.8) for x in range(36)] * 8
    found = shop.look(scene, k=1, boxes=many, repeat=True)
    assert len(found) == 288
    assert all(len(one.hits) == 1 for one in found)


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (1, 1)])
def test_a_picture_one_pixel_high_is_looked_at(shop: vs.Index, size: tuple[int, int]) -> None:
    found = shop.look(Image.new("RGB", size, COLORS["blue"]), k=1)
    assert found[0].hits.ids[0] in {"sky", "sea", "ice"}


def test_an_index_without_regions_works_and_says_what_they_would_add(
    shop: vs.Index, scene: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--regions" in " ".join(shop.look(scene, boxes=[LEFT]).notes)
    propose(monkeypatch, (Box(0.1, 0.1, 0.5, 0.5), 0.9))
    shop.add(tmp_path / "shop.csv", regions=True)
    assert shop.look(scene, boxes=[LEFT]).notes == ()


def test_wrong_numbers_are_refused_with_their_bounds(shop: vs.Index, scene: Image.Image) -> None:
    for wrong in ({"k": 0}, {"most": 0}, {"diversity": 1.5}, {"goes_with": -1}):
        with pytest.raises(UsageError, match="must be"):
            shop.look(scene, **wrong)
    with pytest.raises(PictureError):
        shop.look("no-such-picture.jpg")


# -- silence ------------------------------------------------------------------------------------------------------
@pytest.fixture
def colourful(tmp_path: Path, encoder: FakeEncoder) -> vs.Index:
    """Twenty-four red, green and blue pins, whose category is their colour, in an index without words."""
    with (tmp_path / "many.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "image", "category"))
        for number in range(24):
            colour = ("red", "green", "blue")[number % 3]
            picture = Image.new("RGB", (64, 48), COLORS[colour])
            picture.paste((120, 120, 120), (0, 0, number, number))
            picture.save(tmp_path / f"{number}.png")
            writer.writerow((f"{colour}/{number}", f"{number}.png", colour))
    encoder.spec = replace(encoder.spec, text=False)
    index = vs.create(tmp_path / "many.index", encoder)
    assert index.add(tmp_path / "many.csv").added == 24
    return index


def test_an_object_that_is_like_nothing_in_the_index_has_no_results_and_no_name(colourful: vs.Index) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    scene = Image.new("RGB", (200, 100), COLORS["red"])
    scene.paste(Image.fromarray(noise).resize((100, 100), Image.Resampling.NEAREST), (100, 0))
    known, strange = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    found = colourful.look(scene, k=3, boxes=[known, strange])
    assert [(one.alike, one.label, len(one.hits)) for one in found] == [(True, "red", 3), (False, None, 0)]
    assert any(sentence.startswith("1 of 2 objects have no results") for sentence in found.notes)
    shown = colourful.look(scene, k=3, boxes=[known, strange], unsure=True)
    assert [len(one.hits) for one in shown] == [3, 3]
    assert shown[1].alike is False
    assert shown[1].label is not None


def test_the_results_of_an_object_that_is_like_nothing_are_left_to_the_others(colourful: vs.Index) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    scene = Image.new("RGB", (200, 100), COLORS["blue"])
    scene.paste(Image.fromarray(noise).resize((100, 100), Image.Resampling.NEAREST), (100, 0))
    found = colourful.look(scene, k=8, boxes=[(0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 0.5, 1.0)])
    assert [len(one.hits) for one in found] == [0, 8]


def test_a_found_place_without_name_and_results_is_shown_only_where_the_finder_is_sure_of_it(
    colourful: vs.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    scene = Image.new("RGB", (200, 100), COLORS["red"])
    scene.paste(Image.fromarray(noise).resize((100, 100), Image.Resampling.NEAREST), (100, 0))
    known, strange = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0)
    propose(monkeypatch, (known, 0.05), (strange, 0.05))
    assert [one.box for one in colourful.look(scene)] == [known]
    assert [one.box for one in colourful.look(scene, unsure=True)] == [known, strange]
    propose(monkeypatch, (known, 0.05), (strange, 0.5))
    assert [one.box for one in colourful.look(scene)] == [strange, known]


def test_a_word_is_told_only_where_it_fits_better_than_it_fits_parts_that_hold_nothing(
    encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.look.naming.PROMPT", "{}")
    words, ground = Words(encoder, ["red", "blue"]), Ground(encoder)
    red = encoder.encode_texts(["red"])[0]
    assert ground.word(words, red, given=True) == 0
    assert ground.word(words, ground.vectors[0], given=True) is None
    assert ground.word(words, ground.vectors[0], given=False) is None
    pale = 0.02 * red + ground.vectors.mean(0)
    assert ground.word(words, pale / np.linalg.norm(pale), given=True) is None


def test_parts_that_hold_nothing_are_always_the_same_and_many(encoder: FakeEncoder) -> None:
    parts = empty_parts()
    assert len(parts) >= 32
    empty_parts.cache_clear()
    assert [part.tobytes() for part in empty_parts()] == [part.tobytes() for part in parts]


def test_large_objects_come_before_small_ones_that_are_about_as_sure(
    shop: vs.Index, scene: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup, sofa, doubtful = Box(0.4, 0.4, 0.5, 0.5), Box(0.0, 0.0, 0.6, 0.6), Box(0.0, 0.0, 0.9, 1.0)
    propose(monkeypatch, (cup, 0.9), (sofa, 0.8), (doubtful, 0.1))
    assert [one.box for one in shop.look(scene, k=1)] == [sofa, doubtful, cup]


# -- regions ------------------------------------------------------------------------------------------------------
@pytest.fixture
def small_red(tmp_path: Path) -> Path:
    """Pictures that are green but for one small red corner in the first, and no red in the others."""
    folder = tmp_path / "small"
    for number in range(6):
        picture = Image.open(paint(folder / f"{number}.png", "green", (120, 120)))
        picture.paste(COLORS["red"] if number == 0 else (30, 190 - 9 * number, 40), (6, 6, 24, 24))
        picture.save(folder / f"{number}.png")
    return folder


CORNER = Box(0.05, 0.05, 0.2, 0.2)


def test_a_small_object_is_found_through_its_region_and_the_hit_has_its_box(
    tmp_path: Path, encoder: FakeEncoder, small_red: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(monkeypatch, (CORNER, 0.9))
    index = vs.create(tmp_path / "regions.index", encoder)
    index.add(small_red, regions=True)
    hits = index.search(image=Image.new("RGB", (40, 40), COLORS["red"]), k=3)
    assert Path(hits[0].uri).name == "0.png"
    assert hits[0].box == pytest.approx(CORNER)
    assert hits[0].score > 0.9 > hits[1].score
    assert len(index) == 6
    assert (index.info()["rows"], index.info()["regions"]) == (12, 6)
    assert index.verify() == []


def test_regions_are_remembered_and_earlier_pictures_get_theirs(
    tmp_path: Path, encoder: FakeEncoder, small_red: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(monkeypatch, (CORNER, 0.9))
    index = vs.create(tmp_path / "regions.index", encoder)
    index.add(small_red)
    assert index.info()["regions"] == 0
    assert index.add(small_red, regions=True).updated == 6
    assert index.info()["regions"] == 6
    encoded = encoder.encoded
    report = vs.open(tmp_path / "regions.index", encoder).add(small_red)
    assert (report.unchanged, encoder.encoded) == (6, encoded)
    paint(small_red / "new.png", "blue")
    index.add(small_red)
    assert index.info()["regions"] == 7
    paint(small_red / "newer.png", "black")
    index.add(small_red, regions=False)
    assert index.info()["regions"] == 7
    assert index.verify() == []


def test_a_removed_pin_takes_its_regions_with_it(
    tmp_path: Path, encoder: FakeEncoder, small_red: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(monkeypatch, (CORNER, 0.9))
    index = vs.create(tmp_path / "regions.index", encoder)
    index.add(small_red, regions=True)
    gone = index.search(image=Image.new("RGB", (40, 40), COLORS["red"]), k=1)[0].id
    assert index.remove([gone]) == []
    index.compact()
    assert gone not in index.search(image=Image.new("RGB", (40, 40), COLORS["red"]), k=6).ids
    assert index.info()["regions"] == 5
    assert index.verify() == []


# -- crops --------------------------------------------------------------------------------------------------------
def test_parts_are_made_square_by_their_style() -> None:
    picture = Image.new("RGB", (100, 100), COLORS["green"])
    picture.paste(COLORS["red"], (20, 40, 60, 50))
    box = Box(0.2, 0.4, 0.6, 0.5)
    white = view(picture, box, CropStyle(Shape.WHITE))
    assert (white.size, white.getpixel((20, 2)), white.getpixel((20, 20))) == (
        (40, 40),
        (255, 255, 255),
        COLORS["red"],
    )
    context = view(picture, box, CropStyle(Shape.CONTEXT))
    assert (context.size, context.getpixel((20, 2))) == ((40, 40), COLORS["green"])
    assert view(picture, box, CropStyle(Shape.EDGE)).getpixel((0, 0)) == COLORS["red"]
    assert view(picture, box, CropStyle(Shape.SQUASH)).getcolors() == [(1600, COLORS["red"])]
    assert view(picture, box, CropStyle(Shape.AS_IS)).size == (40, 10)


def test_a_margin_stops_at_the_border_and_context_moves_inside_it() -> None:
    picture = Image.new("RGB", (100, 50), COLORS["blue"])
    corner = Box(0.0, 0.0, 0.1, 0.2)
    assert view(picture, corner, CropStyle(Shape.AS_IS, margin=0.5)).size == (15, 15)
    tall = view(picture, Box(0.9, 0.0, 1.0, 1.0), CropStyle(Shape.CONTEXT))
    assert tall.size == (50, 50)
    assert tall.getcolors() == [(2500, COLORS["blue"])]


@pytest.mark.parametrize("shape", list(Shape))
def test_the_tiniest_part_of_any_picture_can_be_shown(shape: Shape) -> None:
    for size in ((1, 1), (300, 1), (1, 300)):
        part = view(Image.new("RGB", size, COLORS["red"]), Box(0.999, 0.0, 1.0, 0.001), CropStyle(shape, 0.1))
        assert min(part.size) >= 1


def test_the_whole_picture_can_be_mixed_into_its_parts(encoder: FakeEncoder, scene: Image.Image) -> None:
    alone = look.embed_parts(encoder, scene, [LEFT], CropStyle(Shape.WHITE))
    mixed = look.embed_parts(encoder, scene, [LEFT], CropStyle(Shape.WHITE, whole=1.0))
    whole = encoder.encode_images(encoder.preprocess(scene)[None])
    wanted = alone + whole
    assert mixed == pytest.approx(wanted / np.linalg.norm(wanted, axis=1, keepdims=True), abs=1e-6)


# -- what goes with it --------------------------------------------------------------------------------------------
def test_what_goes_with_a_pin_is_of_other_categories_and_its_board_first(shop: vs.Index) -> None:
    hits = shop.complete("ruby", k=4)
    assert "stone" not in {h.attributes["category"] for h in hits}
    assert [h.attributes["board"] for h in hits][:2] == ["warm", "warm"]
    assert hits[0].signals["board"] == 1.0
    assert hits.plan == "board+style"
    assert {h.attributes["category"] for h in shop.complete("ruby", k=4, where="price > 3")} <= {
        "air",
        "water",
        "flower",
    }
    with pytest.raises(UnknownNameError):
        shop.complete("nothing")
    with pytest.raises(UsageError, match="brand"):
        shop.complete("ruby", label_by="brand")


def test_what_goes_with_a_scene_comes_with_the_look(shop: vs.Index, scene: Image.Image) -> None:
    found = shop.look(scene, k=1, boxes=[LEFT], goes_with=3)
    assert found.goes_with is not None
    assert 1 <= len(found.goes_with) <= 3
    assert found[0].hits[0].attributes["category"] not in {h.attributes["category"] for h in found.goes_with}


# -- command line and page ----------------------------------------------------------------------------------------
@pytest.fixture
def sold(tmp_path: Path, run: Any) -> Path:
    """A small index of colours by the bundled encoder, made by the command line."""
    for colour in ("red", "blue", "green"):
        paint(tmp_path / "sold" / f"{colour}.png", colour)
    done: Ran = run("index", tmp_path / "sold", "--to", tmp_path / "sold.index", "--regions", "--json")
    assert (done.code, done.json["pins"]) == (0, 3)
    return tmp_path / "sold.index"


def test_the_command_prints_one_document_and_writes_a_page_with_clickable_boxes(
    sold: Path,
    tmp_path: Path,
    scene: Image.Image,
    run: Any,
) -> None:
    scene.save(tmp_path / "scene.png")
    page = tmp_path / "look.html"
    done = run(
        "look", sold, tmp_path / "scene.png", "-k", 2, "--box", "10,10,90,90", "--box", ".55,.1,.95,.9",
        "--repeat", "--json", "--html", page,
    )  # fmt: skip
    assert done.code == 0
    objects = done.json["objects"]
    assert [o["box"] for o in objects] == [
        pytest.approx([0.05, 0.1, 0.45, 0.9]),
        pytest.approx([0.55, 0.1, 0.95, 0.9]),
    ]
    assert [o["hits"][0]["id"].removesuffix(".png") for o in objects] == ["red", "blue"]
    html = page.read_text()
    for number in (1, 2):
        assert html.count(f'<a href="#q{number}" class="spot"') == 1
        assert html.count(f'<section id="q{number}"') == 1
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_command_takes_a_scene_or_a_pin_and_not_both(sold: Path, run: Any) -> None:
    for words in ((), ("scene.png", "--pin", "red")):
        done = run("look", sold, *words)
        assert done.code == 2
        assert "one of SCENE and --pin" in done.err
    done = run("look", sold, "missing.png")
    assert done.code == 2
    assert "missing.png" in done.err


def test_names_from_pins_do_not_become_markup_on_the_page(tmp_path: Path, scene: Image.Image) -> None:
    hostile = "<script>alert(1)</script>"
    one = LookObject(LEFT, hostile, Hits((), 0, ""), 0.5, 1.0, "votes")
    page = write_look(tmp_path / "p.html", scene, look.Look((one,), scene.size, True, (hostile,))).read_text()
    assert hostile.lower() not in page.lower()
    assert "&lt;script&gt;" in page.lower()


def test_a_look_is_plain_values_for_json(shop: vs.Index, scene: Image.Image) -> None:
    found = shop.look(scene, k=2, boxes=[LEFT, RIGHT], goes_with=2)
    told = json.loads(json.dumps(found.to_dict()))
    assert set(told) == {"objects", "found", "size", "notes", "goes_with", "seconds"}
    assert set(told["objects"][0]) == {
        "box", "score", "label", "label_score", "label_from", "alike", "hits",
    }  # fmt: skip
    assert told["objects"][0]["hits"][0]["id"] == found[0].hits[0].id
