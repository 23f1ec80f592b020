"""Finding objects: boxes that hold up, whatever the picture."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visualsearch.errors import EncoderError, UnknownNameError, UsageError
from visualsearch.look import proposals
from visualsearch.look.proposals import Proposal, find, overlaps, region_boxes, thinned
from visualsearch.quality.look_bench import sample_scenes
from visualsearch.types import Box


def blobs() -> tuple[Image.Image, list[Box]]:
    """Three discs, red, blue and black, on a light ground, and where they are."""
    picture = Image.new("RGB", (400, 300), (225, 222, 215))
    draw = ImageDraw.Draw(picture)
    places = [(40, 40, 120, 120), (250, 60, 350, 160), (120, 190, 200, 270)]
    for place, colour in zip(places, ((200, 30, 30), (30, 60, 200), (15, 15, 15)), strict=True):
        draw.ellipse(place, fill=colour)
    return picture, [Box(x0 / 400, y0 / 300, x1 / 400, y1 / 300) for x0, y0, x1, y1 in places]


def test_plain_objects_on_a_plain_ground_are_all_found_first() -> None:
    picture, truth = blobs()
    found = find(picture)
    best = overlaps(np.array(truth), np.array([p.box for p in found])).max(1)
    assert (best > 0.6).all()
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


def test_the_bundled_finder_finds_most_objects_of_the_sample_scenes_with_ten_boxes() -> None:
    hits = []
    for picture, truth in sample_scenes():
        found = find(picture, "bundled", most=10)
        assert len(found) <= 10
        hits += list(overlaps(np.array(truth), np.array([p.box for p in found])).max(1) >= 0.5)
    assert np.mean(hits) >= 0.8


def test_the_same_picture_gives_the_same_boxes_in_the_same_order() -> None:
    picture, _ = blobs()
    assert find(picture) == find(picture.copy())


@pytest.mark.parametrize("size", [(1, 1), (500, 1), (1, 500), (3, 2), (2000, 7)])
def test_pictures_of_any_shape_are_taken_and_boxes_lie_inside(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for box, score in find(Image.fromarray(noise)):
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
        assert 0 <= score <= 1


def test_an_empty_picture_has_no_object() -> None:
    assert find(Image.new("RGB", (320, 240), (120, 130, 140))) == []


def test_a_better_box_swallows_its_repetitions_and_parts_but_not_a_small_object_on_it() -> None:
    large, twin = Box(0.1, 0.1, 0.6, 0.6), Box(0.12, 0.1, 0.6, 0.62)
    half, small = Box(0.1, 0.1, 0.6, 0.35), Box(0.2, 0.2, 0.3, 0.3)
    found = thinned([Proposal(twin, 0.7), Proposal(large, 0.9), Proposal(half, 0.6), Proposal(small, 0.5)])
    assert [p.box for p in found] == [large, small]


def test_an_object_may_fill_most_of_the_picture() -> None:
    picture = Image.new("RGB", (400, 300), (225, 222, 215))
    ImageDraw.Draw(picture).ellipse((30, 20, 370, 280), fill=(30, 60, 160))
    best = overlaps(np.array([[0.075, 0.067, 0.925, 0.933]]), np.array([p.box for p in find(picture)]))
    assert best.max() > 0.7


def test_boxes_are_clipped_and_those_without_area_dropped() -> None:
    flat, outside = Box(0.2, 0.5, 0.8, 0.5), Box(1.2, 0.1, 1.5, 0.4)
    beyond, sound = Box(-0.5, 0.5, 0.5, 1.7), Box(0.6, 0.1, 0.9, 0.4)
    boxes = [flat, outside, beyond, sound, Box(0.9, 0.9, 0.1, 0.1)]
    found = thinned([Proposal(box, 0.9 - n / 10) for n, box in enumerate(boxes)])
    assert [p.box for p in found] == [Box(0.0, 0.5, 0.5, 1.0), sound]
    assert thinned([Proposal(sound, float("nan"))]) == []


def test_hundreds_of_proposals_become_a_sensible_number_in_a_stable_order() -> None:
    rng = np.random.default_rng(1)
    corners = rng.random((700, 2)) * 0.8
    many = [Proposal(Box(x, y, x + 0.1, y + 0.1), 0.5) for x, y in corners.tolist()]
    first = thinned(many, 10)
    assert len(first) == 10
    assert thinned(many[::-1], 10) == first
    shared = overlaps(np.array([p.box for p in first]), np.array([p.box for p in first]))
    assert (shared[~np.eye(10, dtype=bool)] <= proposals.OVERLAP).all()


def test_overlaps_are_intersection_over_union() -> None:
    a = np.array([[0.0, 0.0, 0.5, 0.5]])
    b = np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.0, 0.75, 0.5], [0.6, 0.6, 1.0, 1.0]])
    assert overlaps(a, b) == pytest.approx(np.array([[1.0, 1 / 3, 0.0]]))


def test_regions_are_few_and_none_repeats_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, small = Proposal(Box(0.01, 0.0, 0.99, 1.0), 0.9), Proposal(Box(0.1, 0.1, 0.3, 0.3), 0.8)
    monkeypatch.setattr(proposals, "load_finder", lambda name: lambda picture: [whole, small])
    assert region_boxes(Image.new("RGB", (10, 10))) == [small.box]
    grid = [
        Proposal(Box(x / 10, y / 10, x / 10 + 0.08, y / 10 + 0.08), 0.5) for x in range(9) for y in range(9)
    ]
    monkeypatch.setattr(proposals, "load_finder", lambda name: lambda picture: grid)
    assert len(region_boxes(Image.new("RGB", (10, 10)))) == proposals.REGIONS


def test_an_unknown_finder_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="bundled"):
        find(blobs()[0], "saliency")
    with pytest.raises(UnknownNameError, match="fasterrcnn_resnet50_fpn"):
        find(blobs()[0], "torchvision:fasterrcnn_resnet50")
    with pytest.raises(UsageError, match="1 or more"):
        find(blobs()[0], most=0)


def test_a_torchvision_detector_is_read_as_fractions_with_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torchvision import models

    class Told(torch.nn.Module):
        def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            assert pictures[0].shape == (3, 300, 400)
            boxes = torch.tensor([[40.0, 30.0, 200.0, 150.0], [0.0, 0.0, 80.0, 60.0]])
            return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.1])}]

    monkeypatch.setattr(models, "get_model", lambda name, weights: Told())
    proposals._torchvision.cache_clear()
    (found,) = find(blobs()[0], "torchvision:fasterrcnn_resnet50_fpn")
    proposals._torchvision.cache_clear()
    assert found.box == pytest.approx((0.1, 0.1, 0.5, 0.5))
    assert found.score == pytest.approx(0.9)


def test_without_a_network_a_torchvision_detector_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import models

    def unreachable(name: str, weights: str) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(models, "get_model", unreachable)
    proposals._torchvision.cache_clear()
    with pytest.raises(EncoderError, match=r"no route to host.*bundled finder"):
        find(blobs()[0], "torchvision:fasterrcnn_resnet50_fpn")
