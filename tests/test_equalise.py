"""Equalising the channels of a network changes what eight bits see of it, and nothing that it calculates."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def equalise(training_script: Callable[[str], ModuleType]) -> ModuleType:
    return training_script("equalise")


def network(rng: np.random.Generator) -> Any:
    """Two residual blocks between a strided convolution and a mean that knows nothing of factors, channels of unlike ranges."""
    helper, weights, nodes = onnx.helper, [], []

    def conv(
        source: str, name: str, out: int, into: int, size: int = 1, groups: int = 1, stride: int = 1
    ) -> str:
        uneven = np.exp(rng.normal(0, 1.5, (out, 1, 1, 1)))
        weight = rng.normal(0, 0.5, (out, into // groups, size, size)) * uneven
        for part, value in (("weight", weight), ("bias", rng.normal(0, 1, out))):
            weights.append(onnx.numpy_helper.from_array(value.astype(np.float32), f"{name}.{part}"))
        pads = [size // 2] * 4
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight", f"{name}.bias"], [name], name,
                group=groups, strides=[stride, stride], pads=pads,
            )
        )  # fmt: skip
        return name

    def relu6(source: str) -> str:
        nodes.append(helper.make_node("Clip", [source, "low", "high"], [f"{source}.relu"], f"{source}.relu"))
        return f"{source}.relu"

    weights += [onnx.numpy_helper.from_array(np.float32(v), n) for n, v in (("low", 0), ("high", 6))]
    weights.append(onnx.numpy_helper.from_array(np.float32(127.5), "half"))
    nodes.append(helper.make_node("Cast", ["pixels"], ["wide"], "cast", to=onnx.TensorProto.FLOAT))
    nodes.append(helper.make_node("Div", ["wide", "half"], ["scaled"], "scale"))
    x = conv(relu6(conv("scaled", "first", 8, 3, 3, stride=2)), "narrow", 4, 8)
    for block in ("one", "two"):
        wide = relu6(conv(x, f"{block}.expand", 12, 4))
        deep = relu6(conv(wide, f"{block}.depthwise", 12, 12, 3, groups=12))
        branch = conv(deep, f"{block}.project", 4, 12)
        nodes.append(helper.make_node("Add", [x, branch], [f"{block}.sum"], f"{block}.sum"))
        x = f"{block}.sum"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"], "mean"))
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["b", 3, 16, 16])],
        [helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, ["b", 4, 1, 1])],
        weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: Any, pixels: Any) -> Any:
    import onnxruntime

    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["mean"], {"pixels": pixels})[0]


@pytest.mark.parametrize("seed", range(5))
def test_ranges_become_alike_and_the_answer_stays(equalise: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = network(rng)
    pixels = rng.integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)
    wanted = run(model, pixels)
    names = ("narrow", "one.project", "one.sum", "two.project", "two.sum")

    def uneven() -> float:
        """The widest channel's range against the narrowest one's, of the tensors that sums tie together."""
        found = equalise.ranges(model, names, pixels)
        reach = np.max([np.maximum(high, -low) for low, high in found.values()], 0)
        return float(reach.max() / reach.min())

    before = uneven()
    assert equalise.equalise(model, pixels) == 6  # five behind a ReLU6, and the sums
    np.testing.assert_allclose(run(model, pixels), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
    assert uneven() < max(1.01, before / 2)


def test_what_is_read_as_it_is_behind_a_relu_is_left_alone(equalise: ModuleType) -> None:
    model = network(np.random.default_rng(9))
    mean = next(node for node in model.graph.node if node.name == "mean")
    mean.input[0] = "two.expand.relu"  # the mean reads it beside the convolution
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 12
    names = [group.names for group in equalise.Graph(model).groups()]
    assert ("two.expand.relu",) not in names
    assert ("one.expand.relu",) in names
