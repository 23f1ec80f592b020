"""Near duplicates are proved on pixels, and groups do not depend on the order of indexing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch import samples
from visualsearch.dedup import Edit, Evidence, Likeness, Place, examine
from visualsearch.dedup.align import WHOLE, Padded, bank, cells, places, settle, thumbnail
from visualsearch.dedup.groups import Link, components, kept, reached
from visualsearch.dedup.page import write_review
from visualsearch.images import load
from visualsearch.quality import near

from .fakes import FakeEncoder

PINS = sorted(p for p in (Path(samples.__file__).parent / "pins").rglob("*") if p.suffix in (".jpg", ".webp"))
PICTURE = next(p for p in PINS if near.recoloured(load(p), 85) is not None)


def saved(folder: Path, name: str, picture: Image.Image, quality: int = 85) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name, quality=quality)
    return folder / name


def edited(tmp_path: Path, name: str, picture: Image.Image) -> Image.Image:
    change, form, quality = near.EDITS[name]
    path = tmp_path / f"{name}.{form.lower()}"
    options = {"quality": quality} if form == "JPEG" else {}
    change(picture, np.random.default_rng(5)).save(path, form, **options)
    return load(path)


def judged(first: Image.Image, second: Image.Image) -> Evidence | None:
    """What is found of two pictures, whichever of them lies in the other."""
    found = []
    for a, b in ((first, second), (second, first)):
        turned = cells(thumbnail(b)[None])
        scores, where = places(
            bank(thumbnail(a)), a.width / a.height, turned, np.array([b.width / b.height], np.float32)
        )
        best = int(scores[0].argmax())
        found.append((float(scores[0, best]), a, b, where[0][best]))
    _, a, b, place = max(found, key=lambda f: f[0])
    return examine(a, b, place)


def index_of(folder: Path, sources: Sequence[Path]) -> vs.Index:
    index = vs.create(folder, FakeEncoder())
    for source in sources:
        index.add(str(source))
    return index


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        ("quality 50", []),
        ("quality 30", []),
        ("half the size", []),
        ("PNG", []),
        ("crop 7 %", [Edit.CROPPED]),
        ("crop 15 %", [Edit.CROPPED]),
        ("border", [Edit.CROPPED]),
        ("grey", [Edit.GREY]),
        ("mirror", [Edit.MIRRORED]),
        ("quarter-turn", [Edit.TURNED]),
        ("brighter", [Edit.TONE]),
        ("less contrast", [Edit.TONE]),
        ("text", [Edit.COVERED]),
    ],
)
def test_what_was_done_to_a_picture_is_proved(tmp_path: Path, name: str, edits: list[Edit]) -> None:
    picture = load(PICTURE)
    proof = judged(picture, edited(tmp_path, name, picture))
    assert proof is not None
    assert list(proof.edits) == edits
    assert proof.agree > 0.8


@pytest.mark.parametrize("turn", [32, 85, 170])
def test_another_colour_of_a_product_is_no_duplicate(turn: int) -> None:
    picture = load(PICTURE)
    other = near.recoloured(picture, turn)
    assert other is not None
    assert judged(picture, other) is None


def test_another_print_is_no_duplicate() -> None:
    picture = load(PICTURE)
    assert judged(picture, near.printed(picture, load(PINS[-1]))) is None


def test_another_picture_is_no_duplicate() -> None:
    first = load(PICTURE)
    for path in [p for p in PINS if p != PICTURE][:12]:
        assert judged(first, load(path)) is None, path


def test_a_window_is_found_to_a_fraction_of_a_pixel() -> None:
    picture = load(PICTURE)
    wide, high = picture.size
    part = picture.crop((round(0.1 * wide), round(0.05 * high), round(0.95 * wide), round(0.9 * high)))
    found = settle(
        Padded(picture.convert("L")), part.convert("L"), Place(0, (0.12, 0.03, 0.97, 0.92)), 112, 6
    )
    assert found is not None
    assert found[0].box == pytest.approx((0.1, 0.05, 0.95, 0.9), abs=0.5 / 112)


def test_flat_pictures_prove_nothing() -> None:
    white, pale = (Image.new("RGB", (80, 60), (level,) * 3) for level in (255, 250))
    assert examine(white, pale, Place(0, WHOLE)) is None


def test_copies_and_pictures_saved_anew_make_one_group_in_any_order(tmp_path: Path) -> None:
    picture = load(PICTURE)
    for number in range(20):
        saved(tmp_path / "many", f"copy{number:02d}.png", picture)
    small = picture.resize((picture.width // 2, picture.height // 2))
    again = saved(tmp_path / "again", "small.jpg", small, 60)
    seen = []
    for name, order in (("a", [tmp_path / "many", again.parent]), ("b", [again.parent, tmp_path / "many"])):
        with index_of(tmp_path / f"{name}.index", order) as index:
            (group,) = index.dedup().groups
        assert group.likeness is Likeness.NEAR
        assert group.ids[0].endswith(".png")  # the largest, though the small one is older in one of the two
        assert len(group.remove) == 20
        seen.append(set(group.ids))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 21


def test_the_same_pixels_in_other_bytes_are_exact(tmp_path: Path) -> None:
    picture = load(PICTURE)
    saved(tmp_path / "p", "a.png", picture)
    picture.save(tmp_path / "p" / "b.bmp")
    with index_of(tmp_path / "x.index", [tmp_path / "p"]) as index:
        (group,) = index.dedup().groups
    assert (group.likeness, group.members[1].likeness) == (Likeness.EXACT, Likeness.EXACT)


def test_edited_pictures_join_the_group_and_are_not_proposed_for_removal(tmp_path: Path) -> None:
    picture = load(PICTURE)
    saved(tmp_path / "p", "original.png", picture)
    for name in ("grey", "mirror", "quarter-turn", "crop 7 %"):
        saved(tmp_path / "p", f"{name}.jpg", edited(tmp_path, name, picture), 95)
    saved(tmp_path / "p", "saved.jpg", picture, 70)
    with index_of(tmp_path / "x.index", [tmp_path / "p"]) as index:
        (group,) = index.dedup().groups
    assert group.likeness is Likeness.EDITED
    assert len(group.ids) == 6
    assert group.remove == ("saved.jpg",)


def test_a_picture_that_cannot_be_read_is_told_and_costs_no_other(tmp_path: Path) -> None:
    picture = load(PICTURE)
    for name in ("a.png", "b.png"):
        saved(tmp_path / "p", name, picture)
    saved(tmp_path / "p", "c.jpg", picture, 70)
    gone = tmp_path / "p" / "gone.png"
    shutil.copy(PINS[-1], gone)
    index = index_of(tmp_path / "x.index", [tmp_path / "p"])
    gone.unlink()
    found = index.dedup()
    assert [(f.id, bool(f.reason)) for f in found.failures] == [("gone.png", True)]
    assert [set(g.ids) for g in found.groups] == [{"a.png", "b.png", "c.jpg"}]


def test_similar_pictures_are_listed_on_request_only(tmp_path: Path) -> None:
    for number, level in enumerate((100, 104)):
        saved(tmp_path / "p", f"{number}.png", Image.new("RGB", (64, 48), (level, 30, 30)))
    with index_of(tmp_path / "x.index", [tmp_path / "p"]) as index:
        assert index.dedup().groups == ()
        (group,) = index.dedup(similar=0.9).groups
    assert group.likeness is Likeness.SIMILAR
    assert group.remove == ()


def test_of_each_version_the_best_is_kept() -> None:
    links = [
        Link(1, 2, Likeness.NEAR),
        Link(1, 3, Likeness.EDITED),
        Link(3, 4, Likeness.EXACT),
    ]
    (group,) = components([(link.first, link.second) for link in links])
    assert sorted(group) == [1, 2, 3, 4]
    assert kept(group, links, {n: n for n in group}) == {1, 3}
    assert [(n, link.likeness.value) for n, link in reached(1, links)] == [
        (2, "near"),
        (3, "edited"),
        (4, "exact"),
    ]


def test_the_page_shows_groups_side_by_side_with_the_command(tmp_path: Path) -> None:
    picture = load(PICTURE)
    saved(tmp_path / "p", "original.png", picture)
    saved(tmp_path / "p", "saved <b>.jpg", picture, 70)
    with index_of(tmp_path / "x.index", [tmp_path / "p"]) as index:
        page = write_review(tmp_path / "r.html", index.dedup().groups, "x.index").read_text()
    assert "visualsearch remove x.index &#39;saved &lt;b&gt;.jpg&#39;" in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<b>.jpg" not in page


def test_the_score_counts_what_the_names_say() -> None:
    from visualsearch.dedup import Group, Member

    def group(*ids: str) -> Group:
        return Group(Likeness.NEAR, tuple(Member(i, i, n == 0) for n, i in enumerate(ids)), 1.0)

    names = ["a/original.jpg", "a/grey.jpg", "a/text.jpg", "a/variant print.jpg", "b/original.jpg"]
    got = near.score([group("a/original.jpg", "a/grey.jpg", "b/original.jpg")], [Path(n) for n in names])
    assert got.recall == {"grey": 1.0, "text": 0.0}
    assert (got.pairs, got.right, got.variants, got.joined, got.same) == (3, 1, 1, 0, 0)
    assert got.precision == pytest.approx(1 / 3)


def test_the_command_prints_classes_and_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from visualsearch.cli.dedup import dedup

    picture = load(PICTURE)
    saved(tmp_path / "p", "original.png", picture)
    saved(tmp_path / "p", "grey.jpg", edited(tmp_path, "grey", picture), 95)
    index_of(tmp_path / "x.index", [tmp_path / "p"]).close()
    dedup(tmp_path / "x.index", as_json=True)
    (group,) = json.loads(capsys.readouterr().out)
    assert (group["likeness"], group["keep"], group["remove"]) == ("edited", "original.png", [])
    assert group["members"][1]["class"] == "edited"
    assert group["members"][1]["evidence"]["edits"] == ["without colour"]


def test_a_text_makes_a_class_of_its_own_and_joins_no_group(tmp_path: Path) -> None:
    picture = load(PICTURE)
    saved(tmp_path / "p", "original.png", picture)
    saved(tmp_path / "p", "saved.jpg", picture, 90)
    saved(tmp_path / "p", "text.jpg", edited(tmp_path, "text", picture), 95)
    with index_of(tmp_path / "x.index", [tmp_path / "p"]) as index:
        near_by, covered = index.dedup().groups
    assert (near_by.likeness, set(near_by.ids)) == (Likeness.NEAR, {"original.png", "saved.jpg"})
    assert (covered.likeness, len(covered.ids), covered.remove) == (Likeness.COVERED, 2, ())
    assert "text.jpg" in covered.ids


def test_a_text_on_an_edited_picture_proves_too_little(tmp_path: Path) -> None:
    picture = load(PICTURE)
    proof = judged(picture, edited(tmp_path, "text", picture).convert("L").convert("RGB"))
    assert proof is None


def test_two_pieces_of_one_plaster_are_no_duplicates() -> None:
    rng = np.random.default_rng(7)
    shade = np.linspace(60, 200, 256, dtype=np.float32)[None, :, None]
    first, second = (
        Image.fromarray(
            np.clip(shade + rng.normal(0, 8, (256, 256, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
        )
        for _ in range(2)
    )
    assert examine(first, first.copy(), Place(0, WHOLE)) is not None
    assert examine(first, second, Place(0, WHOLE)) is None


def test_another_colour_of_a_small_thing_is_no_duplicate() -> None:
    picture = load(PICTURE).resize((384, 308))
    other = picture.copy()
    other.paste((200, 30, 30), (180, 140, 205, 165))
    first = picture.copy()
    first.paste((30, 100, 30), (180, 140, 205, 165))
    assert examine(first, other, Place(0, WHOLE)) is None


def test_the_task_finds_edits_and_leaves_variants_alone() -> None:
    coloured = [p for p in PINS if near.recoloured(load(p), 85) is not None][:3]
    found = near.measure(FakeEncoder(), coloured)
    assert found.precision == 1
    assert (found.joined, found.same) == (0, 0)
    assert found.variants >= 10
    assert set(found.recall) == set(near.EDITS)
    assert np.mean(list(found.recall.values())) >= 0.9
