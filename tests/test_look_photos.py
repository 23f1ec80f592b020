"""Photographs with hand-drawn boxes: the boxes are sound, the pictures are found by name, and the figures mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visualsearch.errors import UsageError
from visualsearch.look.scene import Look, LookObject
from visualsearch.quality import look_photos
from visualsearch.quality.look_photos import (
    Drawn,
    boxes_figures,
    located,
    names_figures,
    on_an_object,
    photographs,
)
from visualsearch.types import Box, Hit, Hits

SOFA, CUP = Box(0.1, 0.1, 0.7, 0.7), Box(0.8, 0.8, 0.9, 0.9)


def test_every_drawn_box_lies_in_its_picture_and_has_names_and_an_origin() -> None:
    every = photographs()
    assert len(every) >= 40
    assert sum(one.tuning for one in every) == -(-len(every) // 3)
    assert len({name for one in every for name in one.files}) == sum(len(one.files) for one in every)
    for one in every:
        assert one.source
        assert one.licence
        assert one.credit
        assert len(one.sha256) == 64
        for drawn in one.objects:
            assert 0 <= drawn.box.x0 < drawn.box.x1 <= 1
            assert 0 <= drawn.box.y0 < drawn.box.y1 <= 1
            assert all(drawn.names)
            assert drawn.names


def test_pictures_are_found_in_any_folder_by_name_and_shape(tmp_path: Path) -> None:
    one, other = photographs()[:2]
    (tmp_path / "some" / "where").mkdir(parents=True)
    width, height = one.size
    Image.new("RGB", (width // 8, height // 8)).save(tmp_path / "some" / "where" / one.files[0])
    Image.new("RGB", (50, 200)).save(tmp_path / other.files[0])
    assert [(found.files, picture.size) for found, picture in located(tmp_path)] == [
        (one.files, (width // 8, height // 8))
    ]
    with pytest.raises(UsageError, match="npm material-dashboard"):
        located(tmp_path / "some" / "nothing")


def test_a_box_lies_on_an_object_by_overlap_or_by_centre_and_size() -> None:
    objects = [Drawn(SOFA, ("sofa",)), Drawn(CUP, ("cup",))]
    beside, tall, tiny = Box(0.0, 0.75, 0.3, 1.0), Box(0.3, 0.1, 0.6, 0.9), Box(0.3, 0.3, 0.4, 0.4)
    assert on_an_object([SOFA, beside, tall, tiny], objects).tolist() == [True, False, True, False]
    assert on_an_object([], objects).shape == (0,)


def test_figures_of_boxes_and_names() -> None:
    one = look_photos.Photograph(
        ("a.jpg",),
        "s",
        "l",
        "c",
        "0" * 64,
        (10, 10),
        (Drawn(SOFA, ("sofa", "chair")), Drawn(CUP, ("cup",))),
        False,
    )
    picture = Image.new("RGB", (10, 10))
    values, count = boxes_figures([(one, picture)], lambda _: [SOFA, Box(0.0, 0.9, 0.1, 1.0)])
    assert count == 2
    assert [values[n] for n in ("recall", "recall of large", "on an object", "boxes")] == [0.5, 1.0, 0.5, 2.0]
    hits = Hits((Hit("p", "", 0.9, SOFA, {}),), 1, "exact")
    told = Look(
        (LookObject(SOFA, "chair", hits), LookObject(CUP, None, Hits((), 1, "exact"))), (10, 10), True
    )
    named, count = names_figures([(one, picture)], lambda *_: told)
    assert count == 2
    assert named == {"named": 0.5, "names right": 1.0, "with results": 0.5}
    nothing, _ = boxes_figures([(one, picture)], lambda _: [])
    assert nothing["recall"] == 0.0
    assert np.isnan(nothing["on an object"])
