"""The bundled models: numbers, bad input, laziness, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from visualsearch.encoders import load_encoder, registry
from visualsearch.encoders.bundled import load, spelled
from visualsearch.errors import EncoderError, UsageError
from visualsearch.resources import models_dir
from visualsearch.types import Precision, Resize

PICTURES = [(400, 300), (300, 400), (224, 224), (1, 1), (5000, 1)]


@pytest.fixture(scope="module", params=registry.folder_names())
def encoder(request):
    return load_encoder(request.param)


@pytest.fixture(scope="module")
def lite():
    return load(models_dir() / "efficientnet-lite0")


def pattern(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
        (width, height), Image.BICUBIC
    )


def test_every_bundled_model_gives_unit_vectors_of_its_dimension(encoder):
    vectors = encoder.embed_images([pattern(*size, seed) for seed, size in enumerate(PICTURES)])
    assert vectors.shape == (len(PICTURES), encoder.spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_sentence_does_not_depend_on_the_others():
    encoder = load_encoder("bundled")
    texts = ["a red dress", "hammer", "a very long sentence about a yellow flower in a vase on a table", ""]
    together = encoder.embed_texts(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.embed_texts([text])[0], vector)
    assert (together[0] * together[1:]).sum(1).max() < 0.9


def test_a_vector_does_not_depend_on_its_batch(encoder):
    pictures = [pattern(300, 240, seed) for seed in range(19)]  # more than one run of the graph takes
    together = encoder.embed_images(pictures)
    alone = np.concatenate([encoder.embed_images([picture]) for picture in pictures])
    assert (together * alone).sum(1).min() > 0.99999
    assert (together[0] * together[1:]).sum(1).max() < 0.999  # different pictures, different vectors


def test_a_picture_is_nearer_to_its_crop_than_to_another_picture(encoder):
    one, other = pattern(400, 400, 1), pattern(400, 400, 2)
    a, b, c = encoder.embed_images([one, one.crop((20, 20, 380, 380)), other])
    assert a @ b > a @ c


def test_efficientnet_lite0_gives_the_numbers_it_gave_when_it_was_converted(lite):
    """Golden values of a computed picture, so that a changed graph or preprocessing shows."""
    y, x = np.mgrid[0:224, 0:224]
    picture = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    (vector,) = lite.embed_images([picture])
    np.testing.assert_allclose(vector[:6], GOLDEN, atol=2e-4)


GOLDEN = [-0.204001, 0.013114, 0.006822, -0.168108, 0.040112, 0.129456]


def test_the_spec_says_what_the_model_toml_says(lite):
    spec = lite.spec
    assert (spec.name, spec.dim, spec.text, spec.precision) == (
        "efficientnet-lite0",
        512,
        False,
        Precision.FP32,
    )
    how = spec.preprocessing
    assert (how.size, how.resize, how.interpolation) == (224, Resize.SHORTEST, "bicubic")
    assert len(spec.weights) == 64


def test_bundled_is_what_the_registry_says_and_its_name_loads_it_again():
    encoder = load_encoder()
    assert encoder.spec.name == registry.bundled_name()
    assert load_encoder(encoder.spec.name).spec == encoder.spec


def test_text_without_a_text_tower_is_an_error_with_a_remedy(lite):
    with pytest.raises(EncoderError, match=r"cannot read text.*visualsearch models"):
        lite.embed_texts(["a red dress"])


def test_float_pixels_are_refused_because_normalisation_is_in_the_graph(lite):
    with pytest.raises(UsageError, match="uint8 pixels only"):
        lite.encode_images(np.zeros((1, 3, 224, 224), np.float32))


@pytest.mark.parametrize(("option", "value"), [("device", "cuda"), ("precision", "bf16")])
def test_a_device_or_precision_it_has_not_is_refused(option, value):
    with pytest.raises(UsageError, match="made for the CPU as it is"):
        load_encoder("bundled", **{option: value})


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_the_speed_and_not_the_vectors(lite, threads):
    picture = pattern(300, 300)
    (one,), (other,) = (
        lite.embed_images([picture]),
        load_encoder("efficientnet-lite0", threads=threads).embed_images([picture]),
    )
    assert one @ other > 0.99999


def test_the_weights_hash_changes_with_the_file(tmp_path, lite):
    source = models_dir() / "efficientnet-lite0"
    (tmp_path / "model.toml").write_bytes((source / "model.toml").read_bytes())
    (tmp_path / "image.onnx").write_bytes((source / "image.onnx").read_bytes())
    assert load(tmp_path).spec.weights == lite.spec.weights
    with (tmp_path / "image.onnx").open("ab") as stream:
        stream.write(b"\0")
    assert load(tmp_path).spec.weights != lite.spec.weights


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "FileNotFoundError"), ("name = ", "TOMLDecodeError"), ('name = "x"', "KeyError")],
    ids=["missing", "not TOML", "incomplete"],
)
def test_a_damaged_model_folder_is_an_error_that_says_why(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "model.toml").write_text(content)
    with pytest.raises(EncoderError, match=reason):
        load(tmp_path)


def test_a_damaged_graph_is_an_error(tmp_path):
    source = models_dir() / "efficientnet-lite0"
    (tmp_path / "model.toml").write_bytes((source / "model.toml").read_bytes())
    (tmp_path / "image.onnx").write_bytes(b"not a graph")
    with pytest.raises(EncoderError, match=r"image\.onnx cannot be loaded"):
        load(tmp_path).embed_images([pattern(10, 10)])


def test_a_query_on_a_bundled_model_never_imports_torch():
    code = """
import json, sys
import numpy as np
from visualsearch.encoders import load_encoder
from visualsearch.errors import UnknownNameError
encoder = load_encoder()
shape = encoder.embed_images([np.zeros((40, 30, 3), np.uint8) + 90]).shape
if encoder.spec.text:
    encoder.embed_texts(["a red dress"])
try:
    load_encoder("bundeld")
except UnknownNameError as error:
    near = str(error)
print(json.dumps([shape, near, sorted({"torch", "open_clip", "torchvision"} & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shape, near, imported = json.loads(done.stdout)
    assert shape[0] == 1
    assert "bundled" in near
    assert imported == []
    assert done.stderr == ""


TEXTS = [
    "a red dress",
    "",
    " ",
    "two dogs in the snow " * 200,
    "ein rotes Kleid",
    "赤いドレス",
    "👗🐕",
    "\ud800",
    "a\x00b",
]


def test_every_text_tower_takes_any_text():
    for name in registry.folder_names():
        encoder = load_encoder(name)
        if encoder.spec.text:
            vectors = encoder.embed_texts(TEXTS)
            assert vectors.shape == (len(TEXTS), encoder.spec.dim)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.fixture
def bag_of_words(tmp_path):
    """A model folder whose text tower counts words: input_ids -> one-hot, summed over the mask."""
    onnx = pytest.importorskip("onnx")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "red": 2, "blue": 3, "dress": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    make, proto = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("OneHot", ["input_ids", "depth", "values"], ["hot"]),
        make.make_node("Unsqueeze", ["attention_mask", "last"], ["mask3"]),
        make.make_node("Cast", ["mask3"], ["maskf"], to=proto.FLOAT),
        make.make_node("Mul", ["hot", "maskf"], ["kept"]),
        make.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        make.make_node("ReduceL2", ["sum", "one"], ["length"], keepdims=1),
        make.make_node("Div", ["sum", "length"], ["embedding"]),
    ]
    constants = {
        "depth": np.array(5, np.int64),
        "values": np.array([0, 1], np.float32),
        "last": np.array([-1], np.int64),
        "one": np.array([1], np.int64),
    }
    ids = [
        make.make_tensor_value_info(name, proto.INT64, ["b", "t"]) for name in ("input_ids", "attention_mask")
    ]
    out = [make.make_tensor_value_info("embedding", proto.FLOAT, ["b", 5])]
    graph = make.make_graph(
        nodes,
        "words",
        ids,
        out,
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "text.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "image.onnx").write_bytes(b"never opened by a text query")
    (tmp_path / "model.toml").write_text(
        'name = "words"\ndim = 5\nimage_size = 8\nlicense = "none"\n'
        '[image]\nfile = "image.onnx"\nresize = "squash"\ninterpolation = "bilinear"\n'
        '[text]\nfile = "text.onnx"\ntokenizer = "tokenizer.json"\nmax_tokens = 4\npad_id = 0\n'
    )
    return load(tmp_path)


def test_texts_are_padded_masked_and_cut_and_the_image_graph_stays_closed(bag_of_words):
    vectors = bag_of_words.embed_texts(["red dress", "blue", "red red red red dress dress dress"])
    half = np.sqrt(0.5)
    expected = [
        [0, 0, half, 0, half],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
    ]  # the last one is cut after four words
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_emoji_are_read_by_their_names(bag_of_words):
    asked, meant = bag_of_words.embed_texts(["red\N{DRESS}", "red dress"])
    np.testing.assert_array_equal(asked, meant)
    assert spelled("\N{DOG FACE}\N{VARIATION SELECTOR-16}").split()[:2] == ["dog", "face"]
    assert spelled("Ninja® 赤いドレス 5°") == "Ninja® 赤いドレス 5°"


def test_a_text_that_has_no_tokens_is_encoded_as_padding(bag_of_words):
    np.testing.assert_allclose(bag_of_words.embed_texts([""]), [[1, 0, 0, 0, 0]], atol=1e-6)
    both = bag_of_words.embed_texts(["", "blue"])
    np.testing.assert_allclose(both[1], [0, 0, 0, 1, 0], atol=1e-6)


def test_more_texts_than_one_run_takes_keep_their_order(bag_of_words):
    texts = ["red" if n % 3 else "blue" for n in range(70)]
    np.testing.assert_array_equal(
        bag_of_words.embed_texts(texts).argmax(1), [2 if n % 3 else 3 for n in range(70)]
    )


@pytest.fixture
def with_words(tmp_path):
    """A copy of the bundled model whose files can be changed."""
    source = models_dir() / "lite-clip"
    for name in ("image.onnx", "text.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(source / name)
    table = (source / "model.toml").read_text(encoding="utf-8")
    (tmp_path / "model.toml").write_text(table, encoding="utf-8")
    return tmp_path


FIRST_ROUND = "92b5a91f13cd430d"
"""The fingerprint that indexes of the first bundled model recorded."""


def test_indexes_of_the_first_text_tower_are_the_bundled_models_own():
    assert load_encoder("bundled").spec.fingerprint == FIRST_ROUND


def test_another_text_tower_keeps_the_fingerprint_and_another_image_tower_does_not(with_words):
    before = load(with_words).spec
    (with_words / "text.onnx").unlink()
    (with_words / "text.onnx").write_bytes(b"another")
    after = load(with_words).spec
    assert (after.fingerprint, after.weights) == (before.fingerprint, before.weights)
    assert after.words != before.words
    (with_words / "image.onnx").unlink()
    (with_words / "image.onnx").write_bytes(b"another")
    assert load(with_words).spec.fingerprint != before.fingerprint


def test_without_a_first_text_tower_the_fingerprint_follows_the_text_tower(with_words):
    table = (with_words / "model.toml").read_text(encoding="utf-8")
    kept = [line for line in table.splitlines() if not line.startswith("first")]
    (with_words / "model.toml").write_text("\n".join(kept), encoding="utf-8")
    before = load(with_words).spec
    (with_words / "text.onnx").unlink()
    (with_words / "text.onnx").write_bytes(b"another")
    assert load(with_words).spec.fingerprint != before.fingerprint


def test_what_an_index_records_of_a_model_does_not_name_its_text_tower():
    spec = load_encoder("bundled").spec
    assert spec.words
    assert "words" not in json.loads(spec.to_json())
    assert type(spec).from_json(spec.to_json()) == spec
