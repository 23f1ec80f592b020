"""The square a model sees is byte for byte what torchvision's PIL transforms give it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from visualsearch.encoders.preprocess import preprocess
from visualsearch.errors import EncoderError
from visualsearch.types import Preprocessing, Resize

SIZES = [
    (640, 480),
    (480, 640),
    (300, 300),
    (224, 224),
    (225, 224),
    (97, 411),
    (1, 1),
    (7, 1),
    (31, 32),
    (1001, 333),
]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(
        (width, height), Image.BICUBIC
    )
    fine = rng.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse, dtype=int) + fine, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("square", [224, 63])
def test_pixels_equal_open_clips_own_transform(size, interpolation, resize, square):
    transform = pytest.importorskip("open_clip.transform").image_transform(
        square,
        is_train=False,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        resize_mode=str(resize),
        interpolation=interpolation,
        fill_color=77,
    )
    picture = noise(*size)
    theirs = (transform(picture).numpy() * 255).round().astype(np.uint8)
    ours = preprocess(picture, Preprocessing(square, resize, interpolation, fill=77))
    assert ours.dtype == np.uint8
    assert ours.flags.c_contiguous
    np.testing.assert_array_equal(ours, theirs)


def test_interpolations_and_resize_modes_differ_so_that_equality_above_means_something():
    picture = noise(640, 480)
    squares = [
        preprocess(picture, Preprocessing(224, resize, interpolation)).astype(int)
        for resize in Resize
        for interpolation in ("bilinear", "bicubic")
    ]
    for i, one in enumerate(squares):
        for other in squares[:i]:
            assert np.abs(one - other).max() >= 3


@pytest.mark.parametrize("size", [(10_000, 1), (1, 10_000), (100_000, 2)], ids=str)
@pytest.mark.parametrize("resize", list(Resize))
def test_an_extreme_strip_is_never_enlarged_whole(size, resize, monkeypatch):
    made, real = [], Image.Image.resize

    def spy(self, target, *args, **kwargs):
        made.append(target[0] * target[1])
        return real(self, target, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", spy)
    square = preprocess(Image.new("RGB", size, (200, 100, 50)), Preprocessing(224, resize, fill=255))
    assert square.shape == (3, 224, 224)
    assert square[:, 111, 111].tolist() == [200, 100, 50]
    assert max(made) <= 1 << 24


def test_the_centre_of_an_extreme_strip_is_what_is_cut():
    strip = Image.new("RGB", (10_001, 1))
    strip.putpixel((5_000, 0), (255, 0, 0))
    square = preprocess(strip, Preprocessing(224, Resize.SHORTEST, "bilinear"))
    assert square[0].max() > 250
    assert abs(int(square[0].sum(0).argmax()) - 111.5) <= 1


def test_longest_centres_the_picture_on_its_fill():
    square = preprocess(
        Image.new("RGB", (200, 100), (10, 20, 30)), Preprocessing(64, Resize.LONGEST, fill=255)
    )
    assert square[:, 0, 0].tolist() == [255, 255, 255]
    assert square[:, 32, 0].tolist() == [10, 20, 30]
    assert (square[0] == 10).sum() == 64 * 32


def test_an_unknown_interpolation_is_named_with_the_known_ones():
    with pytest.raises(EncoderError, match=r"'lanczos'.*bilinear, bicubic"):
        preprocess(Image.new("RGB", (8, 8)), Preprocessing(8, interpolation="lanczos"))
