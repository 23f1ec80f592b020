"""Read the trained parts back out of the shipped image.onnx: training can go on where its float originals are not to be had.

Writes state.pt, the late stages as features.py, heads.py and copies.py read them, and copies.pt, the whole copy path. Weights are
those of the file, rounded to int8; its channels stay as `equalise.py` left them, which changes nothing of what they
calculate. The heads of likeness and meaning are not read: heads.py fits them anew in minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from network import CopyPath, lite_backbone
from torch import Tensor

ENTRY = "blocks.0.expand"  # the first convolution behind the shared map


class Shipped:
    """The numbers of the shipped graph by the names they had when it was exported."""

    def __init__(self, file: Path) -> None:
        graph = onnx.load(file).graph
        self.values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        weight = f"student.{ENTRY}.weight_DequantizeLinear_Output"
        entry = next(node for node in graph.node if weight in node.input)
        self.shared = self.makers[self.makers[entry.input[0]].input[0]].input[0]
        self.factor = 1 / self.values[f"{self.shared}.inverse"].reshape(-1)
        self.shift = np.array(self.values[f"{self.shared}.shift"].reshape(-1))

    def number(self, name: str) -> Tensor:
        """An initialiser, or the float32 numbers that its int8 codes stand for."""
        if name in self.values:
            return torch.from_numpy(np.array(self.values[name], np.float32))
        if f"{name}.codes" in self.values:
            return torch.from_numpy(self.values[f"{name}.codes"] * self.values[f"{name}.scale"])
        node = self.makers.get(f"{name}_DequantizeLinear_Output", self.makers.get(name))
        if node is None or node.op_type != "DequantizeLinear":
            raise KeyError(f"the graph has no numbers called {name}")
        codes, scale = (self.values[one] for one in node.input[:2])
        wide = (slice(None), *[None] * (codes.ndim - 1))
        return torch.from_numpy(codes * scale[wide].astype(np.float32))

    def tail(self, part: str, module: torch.nn.Module) -> dict[str, Tensor]:
        """The state of the `Tail` that was exported as `part`, on the shared map as it is without the factors and shifts
        that the graph gave its channels."""
        state = {name: self.number(f"{part}.{name}") for name in module.state_dict()}
        scaled = state[f"{ENTRY}.weight"]
        plain = scaled * torch.from_numpy(self.factor)[None, :, None, None]
        state[f"{ENTRY}.weight"] = plain
        state[f"{ENTRY}.bias"] -= plain.sum((2, 3)) @ torch.from_numpy(self.shift)
        return state

    def copies(self, path: CopyPath) -> dict[str, Tensor]:
        """The state of the copy path."""
        heads = (name for name in path.state_dict() if not name.startswith("tail."))
        state = {name: self.number(f"copies.{name}") for name in heads}
        return state | {f"tail.{name}": one for name, one in self.tail("copies.tail", path.tail).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the shipped image.onnx")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    shipped = Shipped(arguments.model)
    path = CopyPath(lite_backbone(0), len(shipped.values["copies.head.bias"]))
    path.load_state_dict(shipped.copies(path))
    student = shipped.tail("student", path.tail)
    arguments.out.mkdir(parents=True, exist_ok=True)
    averaged = {f"tower.student.{name}": one for name, one in student.items()}
    torch.save({"averaged": averaged}, arguments.out / "state.pt")
    kept = {"averaged": path.state_dict(), "settings": {"dim": path.head.out_features}}
    torch.save(kept, arguments.out / "copies.pt")


if __name__ == "__main__":
    main()
