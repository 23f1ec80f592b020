"""Export the frozen part of the image tower as int8 ONNX: pixels -> map (the trained tail's input) and pooled (the teacher's).

Training on what the quantised stem gives, and not on its float original, teaches the tail the shipped numbers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from augment import SIZE
from equalise import equalise
from network import ImageTower
from numpy.typing import NDArray
from torch import Tensor, nn

FIRST_CONVOLUTIONS = 3
"""Left in float: the first layers see few channels of very unlike ranges, and lose the most to eight bits."""


class FrozenPart(nn.Module):
    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.stem, self.teacher = tower.stem, tower.teacher

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem((pixels.float() - 127.5) / 127.5)
        return x, self.teacher(x).mean((2, 3))


def calibration_pixels(packed: Path, seed: int = 0, per_set: int = 40) -> NDArray[np.uint8]:
    """Views of training pictures, (n, 3, SIZE, SIZE) uint8, from every kind of set."""
    from views import Drawer

    drawer = Drawer(
        packed, ["clothing_train", "grocery_train", "wallpapers", "tuxpaint", "openclipart", "emoji_google"]
    )
    rng = np.random.default_rng(seed)
    views = []
    for s in range(len(drawer.sets)):
        rows = drawer.rows[drawer.rows[:, 0] == s]
        for i in rng.choice(len(rows), per_set):
            views.append(drawer.view(s, int(rows[i, 1]), rng).pixels)
    return np.stack(views).transpose(0, 3, 1, 2)


def pads_into_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Zero padding before a convolution becomes the convolution's own, which ONNX allows to be lopsided."""
    graph = model.graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    constants |= {
        n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t)
        for n in graph.node
        if n.op_type == "Constant"
    }
    pads = {n.output[0]: n for n in graph.node if n.op_type == "Pad" and n.input[1] in constants}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] in pads:
            pad = pads.pop(node.input[0])
            widths = constants[pad.input[1]].tolist()  # per axis: all the befores, then all the afters
            own = next(a for a in node.attribute if a.name == "pads")
            for place, extra in enumerate([*widths[2:4], *widths[6:8]]):
                own.ints[place] += extra
            node.input[0] = pad.input[0]
            graph.node.remove(pad)
    return model


def quantise(
    source: Path,
    target: Path,
    pixels: NDArray[np.uint8],
    *,
    equal_channels: bool = False,
    batch: int = 20,
) -> None:
    """Static int8 (QDQ, weights per channel) but for the first convolutions, ranges from `pixels`; `equal_channels` makes those
    of each tensor's channels alike first."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(pixels), batch)
            self._batches = iter([{"pixels": np.ascontiguousarray(pixels[i : i + batch])} for i in starts])

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return next(self._batches, None)

    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    graph = pads_into_convolutions(onnx.load(prepared))
    if equal_channels:
        equalise(graph, pixels)
    onnx.save(graph, prepared)
    first = [node.name for node in graph.graph.node if node.op_type == "Conv"][:FIRST_CONVOLUTIONS]
    joining = [
        node.name
        for node in graph.graph.node
        if node.op_type == "Add"
        and not any(part in node.name for part in ("stem", "teacher", "student", "copies/tail"))
    ]
    quantize_static(
        str(prepared), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Add", "Clip"],
        nodes_to_exclude=first + joining,
    )  # fmt: skip
    prepared.unlink()


def map_scale(path: Path, output: str = "map") -> tuple[float, int]:
    """Scale and zero point of the quantised tensor behind an output."""
    graph = onnx.load(path).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    node = next(n for n in graph.node if output in n.output)
    if node.op_type != "DequantizeLinear":
        raise ValueError(f"{output} of {path} comes from {node.op_type}, not from a dequantiser")
    return float(values[node.input[1]]), int(values[node.input[2]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packed", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tower = ImageTower(nn.functional.normalize(torch.randn(1000, 256), dim=1)).eval()
    part = FrozenPart(tower)
    path = arguments.out / "frozen.float.onnx"
    torch.onnx.export(
        part, (torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8),), str(path), input_names=["pixels"],
        output_names=["map", "pooled"],
        dynamic_axes={name: {0: "b"} for name in ("pixels", "map", "pooled")}, dynamo=False, opset_version=17,
    )  # fmt: skip
    pixels = calibration_pixels(arguments.packed)
    quantise(path, arguments.out / "frozen.onnx", pixels)
    scale, zero = map_scale(arguments.out / "frozen.onnx")
    (arguments.out / "frozen.json").write_text(json.dumps({"scale": scale, "zero": zero}), encoding="utf-8")
    import onnxruntime

    outputs = []
    probe = np.ascontiguousarray(calibration_pixels(arguments.packed, seed=1))
    for name in ("frozen.float.onnx", "frozen.onnx"):
        session = onnxruntime.InferenceSession(str(arguments.out / name), providers=["CPUExecutionProvider"])
        outputs.append(
            np.concatenate(
                [session.run(["pooled"], {"pixels": probe[i : i + 20]})[0] for i in range(0, len(probe), 20)]
            )
        )
    float_, int_ = outputs
    cosine = (float_ * int_).sum(1) / np.linalg.norm(float_, axis=1) / np.linalg.norm(int_, axis=1)
    with torch.no_grad():
        top = [tower.classifier(torch.from_numpy(o)).argmax(1).numpy() for o in outputs]
    print(
        f"int8 against float, unseen views: cosine {cosine.mean():.4f}, same first class {(top[0] == top[1]).mean():.3f}"
    )


if __name__ == "__main__":
    main()
