"""Our embeddings are open_clip's own, for models that differ in every way open_clip models differ."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from visualsearch.encoders import load_encoder
from visualsearch.errors import EncoderError, UsageError
from visualsearch.types import Precision, Preprocessing, Resize

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

TEXT = {"context_length": 24, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

# name -> (model_cfg, preprocess_cfg): a CLIP, a SigLIP-like one of timm's, and one that pads
MODELS = {
    "clip": (
        {
            "embed_dim": 48,
            "quick_gelu": True,
            "vision_cfg": {"image_size": 96, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
            "text_cfg": TEXT,
        },
        {"mean": CLIP_MEAN, "std": CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    ),
    "siglip": (
        {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 160,
                "timm_model_name": "test_vit",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "none",
            },
            "text_cfg": TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
        },
        {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic", "resize_mode": "squash"},
    ),
    "padded": (
        {
            "embed_dim": 32,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
            "text_cfg": TEXT,
        },
        {
            "mean": (0.0,) * 3,
            "std": (1.0,) * 3,
            "interpolation": "bilinear",
            "resize_mode": "longest",
            "fill_color": 127,
        },
    ),
}
TEXTS = [
    "a red dress",
    "two dogs in the snow",
    "",
    "a very long sentence " * 40,
    "ein blaues Hemd",
    "犬と猫",
    "👗",
]


def scene(number: int) -> Image.Image:
    """A photograph-like picture: soft light, hard edges, grain; every one of another shape."""
    rng = np.random.default_rng(number)
    width, height = 150 + 37 * (number % 5), 330 - 41 * (number % 4)
    light = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(
        (width, height), Image.BICUBIC
    )
    for _ in range(4):
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        light.paste(tuple(rng.integers(0, 256, 3).tolist()), (int(x), int(y), int(x) + 40, int(y) + 33))
    grain = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(light) + grain, 0, 255).astype(np.uint8))


SCENES = [scene(number) for number in range(8)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder per model with its configuration and random weights as safetensors."""
    from safetensors.torch import save_file

    root, found = tmp_path_factory.mktemp("models"), {}
    for name, (model_cfg, preprocess_cfg) in MODELS.items():
        folder = root / name
        folder.mkdir()
        config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        torch.manual_seed(7)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, folder / "open_clip_model.safetensors")
        found[name] = folder
    return found


@pytest.fixture(scope="module", params=MODELS)
def pair(request, folders):
    """(our fp32 encoder, open_clip's model, its transform, its tokenizer)."""
    source = f"local-dir:{folders[request.param]}"
    model, _, transform = open_clip.create_model_and_transforms(source)
    encoder = load_encoder(source, device="cpu", precision="fp32")
    return encoder, model.eval(), transform, open_clip.get_tokenizer(source)


def theirs(model, transform, pictures=SCENES):
    with torch.inference_mode():
        return model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True).numpy()


def least_centred_cosine(a, b):
    """The least cosine of the rows once what all rows share is taken away.

    Random weights send every picture to nearly the same vector, so that plain cosines are near 1 whatever
    was fed in.
    """
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def test_image_vectors_equal_open_clips_in_fp32(pair):
    encoder, model, transform, _ = pair
    ours, reference = encoder.embed_images(SCENES, batch_size=3), theirs(model, transform)
    assert (ours * reference).sum(1).min() >= 0.9999
    assert least_centred_cosine(ours, reference) >= 0.9999


def test_text_vectors_equal_open_clips_in_fp32(pair):
    encoder, model, _, tokenizer = pair
    with torch.inference_mode():
        reference = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    ours = encoder.embed_texts(TEXTS)
    assert ours.shape == (len(TEXTS), encoder.spec.dim)
    assert (ours * reference).sum(1).min() >= 0.9999
    assert least_centred_cosine(ours, reference) >= 0.9999


@pytest.mark.parametrize("name", MODELS)
def test_bf16_vectors_stay_within_a_thousandth(folders, name):
    encoder = load_encoder(f"local-dir:{folders[name]}", device="cpu", precision="bf16")
    exact = load_encoder(f"local-dir:{folders[name]}", device="cpu", precision="fp32")
    assert encoder.spec.precision is Precision.BF16
    assert encoder.spec.fingerprint == exact.spec.fingerprint
    for ours, reference in (
        (encoder.embed_images(SCENES), exact.embed_images(SCENES)),
        (encoder.embed_texts(TEXTS), exact.embed_texts(TEXTS)),
    ):
        assert ours.dtype == np.float32
        assert (ours * reference).sum(1).min() >= 0.999
        assert not np.array_equal(ours, reference)  # it did compute in another format


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": (0.3, 0.5, 0.7)},
        {"std": (0.4, 0.2, 0.3)},
        {"resize_mode": "squash"},
        {"resize_mode": "longest"},
        {"interpolation": "bilinear"},
    ],
    ids=lambda wrong: next(iter(wrong.items()))[1] if "resize_mode" in wrong else next(iter(wrong)),
)
def test_the_parity_test_would_see_a_wrong_preprocessing(folders, wrong):
    """What the parity test calls equal must not hold for a model fed with another preprocessing."""
    encoder = load_encoder(f"local-dir:{folders['clip']}", device="cpu", precision="fp32")
    _, preprocess_cfg = MODELS["clip"]
    model = open_clip.create_model(f"local-dir:{folders['clip']}").eval()
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=96, **(preprocess_cfg | wrong)), is_train=False
    )
    assert least_centred_cosine(encoder.embed_images(SCENES), theirs(model, transform)) < 0.9999


def test_normalised_input_equals_open_clips_tensor_bit_for_bit(pair):
    encoder, _, transform, _ = pair
    seen = []
    hook = encoder._model.visual.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    encoder.embed_images(SCENES[:1])
    hook.remove()
    assert torch.equal(seen[0][0].contiguous(), transform(SCENES[0]))


def test_float_input_is_taken_as_normalised(pair):
    encoder, _, transform, _ = pair
    normalised = np.stack([transform(picture).numpy() for picture in SCENES])
    np.testing.assert_allclose(encoder.encode_images(normalised), encoder.embed_images(SCENES), atol=1e-6)


def test_the_spec_is_read_from_the_model(folders):
    spec = load_encoder(
        str(folders["padded"] / "open_clip_model.safetensors"), device="cpu", precision="fp32"
    ).spec
    assert spec.preprocessing == Preprocessing(
        64, Resize.LONGEST, "bilinear", (0.0,) * 3, (1.0,) * 3, fill=127
    )
    assert spec.dim == 32
    assert spec.text
    other = load_encoder(f"local-dir:{folders['siglip']}", device="cpu", precision="fp32").spec
    assert other.preprocessing == Preprocessing(160, Resize.SQUASH, "bicubic", (0.5,) * 3, (0.5,) * 3)
    assert other.fingerprint != spec.fingerprint


def test_a_moved_checkpoint_has_the_same_fingerprint(folders, tmp_path):
    for file in folders["clip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    here, there = (
        load_encoder(f"local-dir:{place}", device="cpu").spec for place in (folders["clip"], tmp_path)
    )
    assert here.name != there.name
    assert here.fingerprint == there.fingerprint


@pytest.fixture
def tiny_architecture(folders, tmp_path):
    """The name of an architecture registered with open_clip, and a checkpoint that fits it."""
    config = tmp_path / "tiny-clip.json"
    config.write_text(json.dumps(MODELS["clip"][0] | {"quick_gelu": False}))
    open_clip.add_model_config(config)
    yield "tiny-clip", folders["clip"] / "open_clip_model.safetensors"
    open_clip.factory._MODEL_CONFIG_PATHS.remove(config)
    open_clip.factory._MODEL_CONFIGS.pop("tiny-clip")


def test_an_architecture_with_a_checkpoint_path_loads_it(tiny_architecture):
    name, path = tiny_architecture
    encoder = load_encoder(f"{name}:{path}", device="cpu", precision="fp32")
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=str(path))
    assert least_centred_cosine(encoder.embed_images(SCENES), theirs(model.eval(), transform)) >= 0.9999


def test_a_pretrained_tag_brings_its_own_preprocessing_and_activation(tiny_architecture, monkeypatch):
    name, path = tiny_architecture
    published = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    monkeypatch.setitem(
        open_clip.pretrained._PRETRAINED, name, {"mine": published | {"quick_gelu": True, "file": str(path)}}
    )
    encoder = load_encoder(f"{name}/mine", device="cpu", precision="fp32")
    assert encoder.spec.preprocessing == Preprocessing(96, Resize.SQUASH, "bilinear", (0.5,) * 3, (0.25,) * 3)
    assert encoder.spec.name == "tiny-clip/mine"
    kinds = {type(module).__name__ for module in encoder._model.modules()}
    assert "QuickGELU" in kinds
    assert "GELU" not in kinds


def test_weights_that_cannot_be_downloaded_name_the_offline_ways(monkeypatch):
    def refuse(*_, **__):
        raise OSError("network is unreachable")

    monkeypatch.setattr(open_clip, "download_pretrained", refuse)
    with pytest.raises(EncoderError, match=r"network is unreachable.*--model bundled.*safetensors"):
        load_encoder("ViT-B-32/openai", device="cpu")


def test_a_tokenizer_that_cannot_be_downloaded_is_an_error_with_a_remedy(folders, monkeypatch):
    encoder = load_encoder(f"local-dir:{folders['siglip']}", device="cpu")

    def refuse(*_, **__):
        raise OSError("We couldn't connect\nmore lines")

    monkeypatch.setattr(open_clip, "get_tokenizer", refuse)
    with pytest.raises(EncoderError, match=r"tokenizer.*We couldn't connect.*sentencepiece"):
        encoder.embed_texts(["a dress"])
    assert len(encoder.embed_images(SCENES[:1])) == 1  # pictures do not need it


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["torch", "bare pickle"])
def test_a_checkpoint_that_holds_code_is_refused_and_not_run(folders, tmp_path, kind):
    (tmp_path / "open_clip_config.json").write_bytes((folders["clip"] / "open_clip_config.json").read_bytes())
    payload, path = {"state_dict": Attack(tmp_path / "attacked")}, tmp_path / "weights.pt"
    if kind == "torch":
        torch.save(payload, path)
    else:
        path.write_bytes(pickle.dumps(payload))
    with pytest.raises(EncoderError, match=r"weights\.pt is not loaded.*run code.*safetensors"):
        load_encoder(str(path), device="cpu")
    assert not (tmp_path / "attacked").exists()


def test_a_torch_checkpoint_of_tensors_loads(folders, tmp_path):
    from safetensors.torch import load_file

    (tmp_path / "open_clip_config.json").write_bytes((folders["clip"] / "open_clip_config.json").read_bytes())
    state = load_file(folders["clip"] / "open_clip_model.safetensors")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}},
        tmp_path / "e.pt",
    )
    one = load_encoder(str(tmp_path), device="cpu", precision="fp32").embed_images(SCENES)
    other = load_encoder(str(folders["clip"]), device="cpu", precision="fp32").embed_images(SCENES)
    np.testing.assert_array_equal(one, other)


def test_weights_of_another_architecture_are_an_error(folders, tmp_path):
    (tmp_path / "open_clip_config.json").write_bytes(
        (folders["padded"] / "open_clip_config.json").read_bytes()
    )
    weights = (folders["clip"] / "open_clip_model.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(weights)
    with pytest.raises(EncoderError, match=r"w\.safetensors does not hold the weights"):
        load_encoder(str(tmp_path), device="cpu")


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_damaged_checkpoint_is_an_error_that_names_it(folders, tmp_path, suffix, content):
    (tmp_path / "open_clip_config.json").write_bytes((folders["clip"] / "open_clip_config.json").read_bytes())
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(EncoderError, match=rf"w\{suffix}"):
        load_encoder(str(tmp_path), device="cpu")


def test_a_configuration_that_builds_no_model_is_an_error(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / "w.safetensors").touch()
    with pytest.raises(EncoderError, match="cannot be built"):
        load_encoder(str(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_device_that_is_not_there_says_what_is(folders):
    with pytest.raises(UsageError, match=r"'cuda' is not available.*cpu"):
        load_encoder(f"local-dir:{folders['clip']}", device="cuda")


def test_auto_precision_is_named_and_follows_the_processor(folders, monkeypatch):
    from visualsearch.encoders import openclip

    for has, expected in ((True, Precision.BF16), (False, Precision.FP32)):
        monkeypatch.setattr(openclip, "cpu_has_bf16", lambda has=has: has)
        assert load_encoder(f"local-dir:{folders['clip']}", device="cpu").spec.precision is expected


def test_threads_are_set(folders):
    before = torch.get_num_threads()
    try:
        load_encoder(f"local-dir:{folders['clip']}", device="cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_loading_prints_and_logs_nothing(folders, capfd, caplog):
    load_encoder(f"local-dir:{folders['clip']}", device="cpu").embed_images(SCENES[:1])
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
