"""The image tower of lite-clip as it is exported: what its parts weigh, and what shrinking one of them keeps."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

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
