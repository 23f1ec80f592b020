"""What every encoder derives: checks, unit length, order, errors that name the picture."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from visualsearch.encoders.base import BaseEncoder
from visualsearch.errors import EncoderError, PictureError, UsageError
from visualsearch.types import Encoder, EncoderSpec, Preprocessing


class MeanColour(BaseEncoder):
    """Three numbers: the mean of each channel. Remembers the batches it was given."""

    def __init__(self, bad=None):
        self.batches, self.bad = [], bad

    @property
    def spec(self):
        return EncoderSpec("mean-colour", 3, Preprocessing(8), "0" * 64)

    def _image_vectors(self, pixels):
        self.batches.append(len(pixels))
        vectors = pixels.astype(np.float64).mean((2, 3))
        if self.bad is not None:
            vectors[1] = self.bad
        return vectors

    def _text_vectors(self, texts):
        self.batches.append(len(texts))
        return np.array([[len(text), 1, 0] for text in texts], dtype=np.float64)


def colour(r, g, b, size=(9, 9)):
    return Image.new("RGB", size, (r, g, b))


def test_it_is_an_encoder():
    assert isinstance(MeanColour(), Encoder)


def test_paths_bytes_pictures_and_arrays_give_unit_vectors_in_order(tmp_path):
    path = tmp_path / "blue.png"
    colour(0, 0, 255).save(path)
    pictures = [
        colour(255, 0, 0),
        path,
        str(path),
        path.read_bytes(),
        np.full((4, 4, 3), (0, 255, 0), np.uint8),
    ]
    vectors = MeanColour().embed_images(pictures)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_array_equal(vectors, [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]])


def test_batches_have_the_asked_size_and_order_is_kept_across_them():
    encoder = MeanColour()
    vectors = encoder.embed_images((colour(n, 0, 255) for n in range(0, 250, 10)), batch_size=10)
    assert encoder.batches == [10, 10, 5]
    reds = vectors[:, 0] / vectors[:, 2] * 255
    np.testing.assert_allclose(reds, np.arange(0, 250, 10), atol=1e-3)


def test_no_more_than_two_batches_are_held():
    encoder, taken, lead = MeanColour(), [], []
    encode = encoder._image_vectors

    def counting(pixels):
        lead.append(len(taken) - sum(encoder.batches))
        return encode(pixels)

    encoder._image_vectors = counting

    def endless():
        for n in range(100):
            taken.append(n)
            yield colour(n, 1, 1)

    assert len(encoder.embed_images(endless(), batch_size=4)) == 100
    assert len(lead) == 25
    assert max(lead) <= 3 * 4  # the batch being encoded and the two being read


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    with pytest.raises(PictureError, match=r"broken\.jpg"):
        MeanColour().embed_images([colour(1, 2, 3), broken])
    with pytest.raises(PictureError, match="number 1"):
        MeanColour().embed_images([colour(1, 2, 3), b"not a picture"])


def test_decoding_threads_end_with_the_call(tmp_path):
    with pytest.raises(PictureError):
        MeanColour().embed_images([tmp_path / "absent.jpg"] * 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_nothing_in_gives_zero_rows():
    encoder = MeanColour()
    assert encoder.embed_images([]).shape == (0, 3)
    assert encoder.embed_texts([]).shape == (0, 3)
    assert encoder.encode_images(np.empty((0, 3, 8, 8), np.uint8)).shape == (0, 3)
    assert encoder.batches == []


def test_texts_are_encoded_in_batches():
    encoder = MeanColour()
    vectors = encoder.embed_texts(["x" * n for n in range(150)])
    assert encoder.batches == [64, 64, 22]
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], np.arange(150), rtol=1e-5)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_an_error_that_names_its_place(bad):
    batch = np.full((3, 3, 8, 8), 9, np.uint8)
    with pytest.raises(EncoderError, match=r"mean-colour.*picture number 1"):
        MeanColour(bad).encode_images(batch)


@pytest.mark.parametrize(
    "batch",
    [np.zeros((3, 8, 8), np.uint8), np.zeros((1, 3, 9, 9), np.uint8), np.zeros((1, 3, 8, 8), np.float64)],
    ids=["no batch axis", "wrong size", "float64"],
)
def test_a_batch_of_another_shape_or_type_is_refused(batch):
    with pytest.raises(UsageError, match=r"\(b, 3, 8, 8\)"):
        MeanColour().encode_images(batch)


def test_one_bare_string_or_picture_is_refused():
    with pytest.raises(UsageError, match="list"):
        MeanColour().encode_texts("a red dress")
    with pytest.raises(UsageError, match="list"):
        MeanColour().embed_images("a.jpg")
    with pytest.raises(UsageError, match="batch_size is 0"):
        MeanColour().embed_images([], batch_size=0)


def test_a_moved_checkpoint_keeps_its_fingerprint_and_another_architecture_does_not():
    def spec(name, identity):
        return EncoderSpec(name, 3, Preprocessing(8), "a" * 64, identity=identity)

    here = spec("ViT-B-32:/a/w.safetensors", "openclip:ViT-B-32")
    assert here.fingerprint == spec("ViT-B-32:/b/w.safetensors", "openclip:ViT-B-32").fingerprint
    assert here.fingerprint != spec("ViT-B-32:/a/w.safetensors", "openclip:ViT-B-32-quickgelu").fingerprint
    assert EncoderSpec.from_json(here.to_json()) == here
