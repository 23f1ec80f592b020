"""The image tower of lite-clip as it is exported: what its parts weigh, what shrinking one of them keeps, what the shipped file
holds, and that training can go on from it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from visualsearch import samples
from visualsearch.encoders.bundled import load
from visualsearch.resources import models_dir

VISUAL, COPIES, SEMANTIC = 12, 6, 8


@pytest.fixture(scope="module")
def network(training_script: Callable[[str], ModuleType]) -> ModuleType:
    return training_script("network")


@pytest.fixture
def tower(network, monkeypatch):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    monkeypatch.setattr(
        network,
        "lite_backbone",
        lambda size: network.fixed_padding(timm.create_model("tf_efficientnet_lite0", pretrained=False)),
    )
    classes = F.normalize(torch.randn(1000, SEMANTIC), dim=1)
    made = network.ImageTower(classes, visual=VISUAL, visual_share=0.8)
    made.copies, made.copy_share = network.CopyPath(network.lite_backbone(0), COPIES), 0.6
    return made.eval()


@torch.inference_mode()
def test_each_part_of_the_embedding_has_its_share(tower):
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    found = tower(pixels)
    assert found.shape == (2, VISUAL + COPIES + SEMANTIC)
    lengths = torch.stack([part.norm(dim=1) for part in found.split([VISUAL, COPIES, SEMANTIC], 1)])
    wanted = torch.tensor([0.8 * 0.8, 0.6, 0.8 * 0.6])
    torch.testing.assert_close(lengths, wanted[:, None].expand(3, 2), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_narrowing_keeps_the_axes_that_were_named_and_the_rest_as_it_was(tower):
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    before = tower(pixels)
    axes = torch.linalg.qr(torch.randn(VISUAL, VISUAL)).Q[:, :5]
    tower.narrow(axes)
    after = tower(pixels)
    assert tower.visual == 5
    kept = F.normalize(before[:, :VISUAL] @ axes, dim=1)
    torch.testing.assert_close(F.normalize(after[:, :5], dim=1), kept, atol=1e-4, rtol=0)
    torch.testing.assert_close(after[:, 5:], before[:, VISUAL:], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def shipped():
    return onnx.load(models_dir() / "lite-clip" / "image.onnx")


def test_nothing_behind_the_pooled_features_is_rounded_to_eight_bits(shipped):
    behind = {name for node in shipped.graph.node if node.op_type == "ReduceMean" for name in node.output}
    assert behind
    for node in shipped.graph.node:  # in the order in which they run
        if behind & set(node.input):
            assert node.op_type != "QuantizeLinear", node.name
            behind |= set(node.output)


@torch.inference_mode()
def test_the_copy_path_read_back_from_the_shipped_file_calculates_what_the_file_does(
    network, tower, training_script, shipped
):
    read = training_script("recover").Shipped(models_dir() / "lite-clip" / "image.onnx")
    path = network.CopyPath(network.lite_backbone(0), 128)
    path.load_state_dict(read.copies(path))
    codes = next(
        node for node in shipped.graph.node if read.shared in node.input and node.op_type == "QuantizeLinear"
    )
    shared = next(node for node in shipped.graph.node if codes.output[0] in node.input).output[0]
    shipped.graph.output.append(onnx.helper.make_tensor_value_info(shared, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(shipped.SerializeToString(), providers=["CPUExecutionProvider"])
    side = shipped.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    scenes = [Image.open(one.image).convert("RGB").resize((side, side)) for one in samples.scenes()[:4]]
    pixels = np.stack([np.asarray(one).transpose(2, 0, 1) for one in scenes])
    maps, embedding = session.run([shared, "embedding"], {"pixels": pixels})
    plain = maps / read.factor[:, None, None] + read.shift[:, None, None]
    found = F.normalize(path.eval()(torch.from_numpy(plain)), dim=1)
    wanted = F.normalize(torch.from_numpy(embedding[:, 128:256]), dim=1)
    assert (found * wanted).sum(1).min() > 0.99


@pytest.fixture(scope="module")
def text_map(training_script: Callable[[str], ModuleType]) -> ModuleType:
    for name in ("store", "pack", "texts", "kinds", "words"):  # those that it reads from
        training_script(name)
    return training_script("text_map")


def test_a_text_tower_calculates_the_map_that_was_put_into_it(text_map, tmp_path):
    rng = np.random.default_rng(0)
    source = models_dir() / "lite-clip" / "text.onnx"
    sentences = text_map.SentenceVectors(source, tmp_path / "sentences.npz")
    texts = ["a red dress", "hammer", "two dogs run over a meadow"]
    marks = text_map.unit(rng.standard_normal((8, 384)).astype(np.float32)).T
    fitted = text_map.TextMap(
        marks, rng.standard_normal((392, 512)).astype(np.float32), rng.standard_normal(512).astype(np.float32)
    )
    text_map.graft(source, fitted, tmp_path / "text.onnx")
    for name in ("tokenizer.json", "image.onnx", "model.toml"):
        (tmp_path / name).symlink_to(source.parent / name)
    found = load(tmp_path).embed_texts(texts)
    assert (found * fitted(sentences(texts))).sum(1).min() > 0.99


def test_a_map_is_fitted_to_what_texts_aim_at_and_keeps_others_apart(text_map):
    rng = np.random.default_rng(0)
    marks = text_map.unit(rng.standard_normal((16, 384)).astype(np.float32)).T
    x = text_map.unit(rng.standard_normal((12, 384)).astype(np.float32))
    y = text_map.unit(rng.standard_normal((12, 512)).astype(np.float32))
    fitted = text_map.solved(
        marks, [(x, y, np.full(12, 1 / 12))], text_map.Settings(ridge=1e-4, mark_ridge=1e-4)
    )
    assert ((fitted(x) @ y.T).argmax(1) == np.arange(12)).all()


def test_a_group_stands_on_one_side_of_the_cut(text_map, training_script):
    words = training_script("words")
    assert words.joined(6, iter([(4, 2), (2, 0), (5, 3)])) == [0, 1, 0, 3, 0, 3]
    sides = [words.side_of(f"flowers/{number}.jpg") for number in range(700)]
    assert sides.count("train") > 450
    assert min(sides.count("val"), sides.count("kept")) > 70
