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
