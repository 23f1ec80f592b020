"""Give the channels of a network's tensors equal ranges without changing what it calculates, so that int8 with one scale a
tensor serves every channel alike.

A channel that stays within a tenth of its tensor's range has a tenth of the 256 steps. The convolution that makes it is
multiplied, and what reads it divided, by the same number. ReLU6 allows that up to where the channel would be cut, sums
where both sides are scaled alike (cross-layer equalisation, Nagel et al. 2019, arXiv:1906.04721, here with the ranges of
activations). Where no ReLU6 follows, channels are centred as well: the next convolution, of 1 x 1, adds what was taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

CEILING = 6.0  # of ReLU6
MARGIN = 1.1  # how far a channel may grow beyond the calibration pictures' before ReLU6 cuts it
WIDEST = 8.0  # the largest factor: what is multiplied here costs the next weights precision

Channels = NDArray[np.float32]
Ranges = dict[str, tuple[Channels, Channels]]


@dataclass(frozen=True)
class Group:
    """Tensors that share one factor a channel, in the order in which they are made: one behind a ReLU6, or the branch and
    the sums of residual blocks."""

    names: tuple[str, ...]
    clipped: bool


class Graph:
    """An ONNX graph of folded convolutions, with who makes and who reads each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.outputs = {output.name for output in self.graph.output}
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {name: [] for name in self.makers}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def array(self, name: str) -> NDArray[np.float32]:
        return np.asarray(onnx.numpy_helper.to_array(self.weights[name]))

    def put(self, name: str, value: NDArray[np.float32]) -> None:
        self.weights[name].CopyFrom(
            onnx.numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        )

    def add(self, name: str, value: NDArray[np.float32]) -> str:
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def groups(self) -> list[Group]:
        """Those behind convolutions which can be scaled."""
        found, seen = [], set[str]()
        for node in self.graph.node:
            if node.op_type != "Conv" or node.output[0] in seen:
                continue
            following = self.readers[node.output[0]]
            clipped = [one.op_type for one in following] == ["Clip"]
            names = {following[0].output[0]} if clipped else self._summed(node.output[0])
            seen |= names
            inner = names <= self.makers.keys() - self.outputs
            known = inner and {self.makers[name].op_type for name in names} <= {"Conv", "Add", "Clip"}
            if known and (not clipped or not any(self._others(name) for name in names)):
                order = [name for made in self.graph.node for name in made.output if name in names]
                found.append(Group(tuple(order), clipped))
        return found

    def _summed(self, first: str) -> set[str]:
        """Everything that sums tie to a tensor."""
        names, todo = set[str](), [first]
        while todo:
            name = todo.pop()
            if name in names:
                continue
            names.add(name)
            if name in self.makers and self.makers[name].op_type == "Add":
                todo += self.makers[name].input
            todo += [node.output[0] for node in self.readers[name] if node.op_type == "Add"]
        return names

    def _others(self, name: str) -> list[onnx.NodeProto]:
        """Readers that know nothing of factors."""
        return [node for node in self.readers[name] if node.op_type not in ("Conv", "Add")]

    def scale(self, group: Group, factor: Channels, shift: dict[str, Channels]) -> None:
        """Make every tensor x of the group (x - shift) * factor, and let its readers see x."""
        for name in group.names:
            maker = self.makers[name]
            if maker.op_type == "Clip":
                maker = self.makers[maker.input[0]]
            if maker.op_type == "Conv":
                weight, bias = maker.input[1], maker.input[2]
                self.put(weight, self.array(weight) * factor[:, None, None, None])
                self.put(bias, (self.array(bias) - shift[name]) * factor)
            for reader in (node for node in self.readers[name] if node.op_type == "Conv"):
                weight, bias = reader.input[1], reader.input[2]
                old = self.array(weight)
                if group.clipped and old.shape[:2] == (len(factor), 1):  # depthwise
                    self.put(weight, old / factor[:, None, None, None])
                else:
                    self.put(weight, old / factor[None, :, None, None])
                    self.put(bias, self.array(bias) + old.sum((2, 3)) @ shift[name])
            if self._others(name):
                self._restore(name, factor, shift[name])

    def _restore(self, name: str, factor: Channels, shift: Channels) -> None:
        """Two nodes that undo factor and shift for readers other than convolutions and sums."""
        others, wide = self._others(name), (None, slice(None), None, None)
        inverse, back = self.add(f"{name}.inverse", 1 / factor[wide]), self.add(f"{name}.shift", shift[wide])
        at = min(list(self.graph.node).index(node) for node in others)
        scaled, plain = f"{name}.scaled", f"{name}.plain"
        count = sum(node.name.startswith("/restored/Mul") for node in self.graph.node)
        nodes = (
            onnx.helper.make_node("Mul", [name, inverse], [scaled], name=f"/restored/Mul_{count}"),
            onnx.helper.make_node("Add", [scaled, back], [plain], name=f"/restored/Add_{count}"),
        )
        for node in reversed(nodes):
            self.graph.node.insert(at, node)
        for node in others:
            for place, read in enumerate(node.input):
                if read == name:
                    node.input[place] = plain


def ranges(
    model: onnx.ModelProto, names: Iterable[str], pixels: NDArray[np.uint8], batch: int = 20
) -> Ranges:
    """Least and largest value of every channel of tensors (b, c, h, w), over pictures (n, 3, s, s)."""
    probe, wanted = onnx.ModelProto(), sorted(names)
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted
    )
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Ranges = {}
    for at in range(0, len(pixels), batch):
        values = session.run(wanted, {"pixels": np.ascontiguousarray(pixels[at : at + batch])})
        for name, value in zip(wanted, values, strict=True):
            low, high = value.min((0, 2, 3)), value.max((0, 2, 3))
            if name in found:
                low, high = np.minimum(low, found[name][0]), np.maximum(high, found[name][1])
            found[name] = low, high
    return found


def equalise(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> int:
    """In place, with the ranges that `pixels` (n, 3, s, s) show. Returns how many groups of tensors were equalised."""
    graph = Graph(model)
    groups = graph.groups()
    found = ranges(model, {name for group in groups for name in group.names}, pixels)
    for group in groups:
        shift: dict[str, Channels] = {}
        for name in group.names:
            low, high = found[name]
            maker = graph.makers[name]
            if group.clipped:
                shift[name] = np.zeros_like(high)
            elif maker.op_type == "Add":
                shift[name] = shift[maker.input[0]] + shift[maker.input[1]]
            else:
                shift[name] = (low + high) / 2
        reach = np.max(
            [np.maximum(found[n][1] - shift[n], shift[n] - found[n][0]) for n in group.names], axis=0
        )
        wanted = CEILING / MARGIN if group.clipped else reach.max()
        factor = np.clip(wanted / np.maximum(reach, 1e-6), 1.0, WIDEST)
        graph.scale(group, factor, shift)
    return len(groups)
