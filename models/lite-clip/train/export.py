"""Write the two towers as ONNX, int8 where the arithmetic is, and check them against the float originals.

image.onnx  static int8 (QDQ) up to the pooled features; classifier, heads and class vectors calculate in float32, their weights
            are stored in int8 with a scale a row (the class vectors in float16).
text.onnx   word vectors int8 with a scale per word; linear layers int8 with activations quantised as they come, but for those
            that shrink the feed-forward: int8 weights, calculated in float32.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from augment import SIZE, fit_squash
from frozen import calibration_pixels, quantise
from network import FEATURES, load_copies
from numpy.typing import NDArray
from store import PackedSet
from texts import MiniLM, TextBank, load_minilm
from torch import Tensor, nn
from torch.nn import functional as F
from train import Model, Settings

MAX_TOKENS = 64
PROBES = (
    "a red dress",
    "golden retriever",
    "a photo of a ceramic bowl",
    "running shoes with white soles",
    "x",
    "",
    "mapo tofu",
)


class WordVectors(nn.Module):
    """An embedding table in int8 with one scale a row."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        scale = table.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("codes", torch.round(table / scale).to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        return self.codes[ids].float() * self.scale[ids]


class TextTower(nn.Module):
    def __init__(self, sentences: MiniLM, model: Model, *, int8_words: bool) -> None:
        super().__init__()
        self.sentences, self.text = sentences, model.text
        self.pictures = model.tower.visual + (
            model.tower.copies.head.out_features if model.tower.copies else 0
        )
        if int8_words:
            self.sentences.words = WordVectors(sentences.words.weight.data)  # type: ignore[assignment]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        words = F.normalize(self.text(self.sentences(input_ids, attention_mask)), dim=1)
        return torch.cat([torch.zeros(words.shape[0], self.pictures), words], 1)


def halve_weights(path: Path, least: int = 100_000) -> None:
    """Float32 initialisers of at least `least` numbers become float16 with a Cast, which sessions fold away when they load."""
    model = onnx.load(path)
    graph = model.graph
    for tensor in list(graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= least:
            half = onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.half"
            )
            graph.initializer.remove(tensor)
            graph.initializer.append(half)
            graph.node.insert(
                0, onnx.helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT)
            )
    onnx.checker.check_model(model)
    onnx.save(model, path)


def shrink_layers(path: Path, least: int = 100_000) -> None:
    """Weights of linear layers of at least `least` numbers become int8 with a scale for each number they give; sessions
    multiply them out when they load, so that nothing but the file is smaller."""
    model = onnx.load(path)
    graph = model.graph
    linear = (node for node in graph.node if node.op_type in ("Gemm", "MatMul"))
    summed = {node.input[1]: node.op_type == "Gemm" for node in linear}  # Gemm's here are (outputs, inputs)
    for tensor in list(graph.initializer):
        weight = onnx.numpy_helper.to_array(tensor)
        if tensor.name not in summed or weight.dtype != np.float32 or weight.size < least:
            continue
        axis = int(summed[tensor.name])
        scale = np.maximum(np.abs(weight).max(axis, keepdims=True), 1e-8) / 127
        codes = np.rint(weight / scale).astype(np.int8)
        names = [f"{tensor.name}.{part}" for part in ("codes", "scale", "wide")]
        graph.initializer.remove(tensor)
        graph.initializer.append(onnx.numpy_helper.from_array(codes, names[0]))
        graph.initializer.append(onnx.numpy_helper.from_array(scale.astype(np.float32), names[1]))
        graph.node.insert(0, onnx.helper.make_node("Cast", [names[0]], [names[2]], to=onnx.TensorProto.FLOAT))
        graph.node.insert(1, onnx.helper.make_node("Mul", [names[2], names[1]], [tensor.name]))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export_image(model: Model, packed: Path, work: Path, target: Path) -> Path:
    """Returns the float ONNX file, for comparison."""
    tower = model.tower.to(memory_format=torch.contiguous_format).eval()
    path = work / "image.float.onnx"
    example = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8)
    torch.onnx.export(
        tower, (example,), str(path), input_names=["pixels"], output_names=["embedding"],
        dynamic_axes={"pixels": {0: "b"}, "embedding": {0: "b"}}, dynamo=False, opset_version=17,
    )  # fmt: skip
    quantise(path, target, calibration_pixels(packed), equal_channels=True)
    shrink_layers(target)
    halve_weights(target)
    return path


def narrow(model: Model, features: Path, prepared: Path, count: int) -> None:
    """Keep the `count` axes along which the likeness of training pictures is longest."""
    tower, seen = model.tower, []
    for name in ("clothing_train", "grocery_train", "emoji_google", "emoji_openmoji", "emoji_fluent3d"):
        late = torch.from_numpy(np.load(features / f"{name}.npy").astype(np.float32))
        pooled = torch.from_numpy(np.load(prepared / f"{name}.npz")["pooled"].astype(np.float32))
        x = tower.together(late[:, :FEATURES], pooled, late[:, FEATURES:])
        with torch.inference_mode():
            seen.append(F.normalize((tower.head(x) + tower.bend(x))[:, : tower.visual], dim=1))
    v = torch.cat(seen)
    tower.narrow(torch.linalg.eigh(v.T @ v).eigenvectors[:, -count:].flip(1))


def export_text(model: Model, work: Path, target: Path) -> tuple[Path, Path]:
    """Returns the float ONNX file, for comparison, and the tokenizer's."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    paths = []
    for name, int8_words in (("text.float.onnx", False), ("text.words.onnx", True)):
        sentences, tokenizer = load_minilm()
        tower = TextTower(sentences, model, int8_words=int8_words).eval()
        paths.append(work / name)
        ids = torch.ones(2, 7, dtype=torch.int64)
        axes = {"input_ids": {0: "b", 1: "t"}, "attention_mask": {0: "b", 1: "t"}, "embedding": {0: "b"}}
        torch.onnx.export(
            tower, (ids, ids), str(paths[-1]), input_names=["input_ids", "attention_mask"], output_names=["embedding"],
            dynamic_axes=axes, dynamo=False, opset_version=17,
        )  # fmt: skip
    # The layers that shrink the feed-forward's 1,536 numbers see the rarest and largest ones: eight bits cost most there.
    shrinking = [
        node.name
        for node in onnx.load(paths[1]).graph.node
        if node.op_type == "MatMul" and "/down" in node.name
    ]
    quantize_dynamic(
        str(paths[1]), str(target), weight_type=QuantType.QInt8, per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"], nodes_to_exclude=shrinking,
    )  # fmt: skip
    shrink_layers(target)
    return paths[0], tokenizer


def run(path: Path, feeds: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["embedding"], feeds)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "texts", "state", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.7, help="length of likeness beside meaning")
    parser.add_argument("--copies", type=Path, nargs="+", help="what copies.py or copy_heads.py saved")
    parser.add_argument("--copy-share", type=float, default=0.5, help="length of the copy part")
    parser.add_argument("--visual", type=int, default=128, help="numbers of likeness that are kept")
    parser.add_argument("--features", type=Path, help="folder that features.py wrote; with --copies")
    parser.add_argument("--prepared", type=Path, help="folder that measure.py wrote; with --copies")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    model = Model(TextBank(arguments.texts), Settings(visual_share=arguments.share))
    model.load_state_dict(torch.load(arguments.state, weights_only=False)["averaged"])
    with torch.no_grad():
        model.tower.class_vectors.copy_(model.classes())
    if arguments.copies:
        narrow(model, arguments.features, arguments.prepared, arguments.visual)
        model.tower.copies, model.tower.copy_share = load_copies(*arguments.copies), arguments.copy_share
    image_float = export_image(model, arguments.packed, arguments.work, arguments.out / "image.onnx")
    text_float, tokenizer = export_text(model, arguments.work, arguments.out / "text.onnx")
    shutil.copyfile(tokenizer, arguments.out / "tokenizer.json")

    from tokenizers import Tokenizer

    photos = PackedSet(arguments.packed, "clothing_validation")
    pixels = np.stack([fit_squash(photos[i]).transpose(2, 0, 1) for i in range(0, 320, 5)])
    a, b = (run(p, {"pixels": pixels}) for p in (image_float, arguments.out / "image.onnx"))
    print(
        f"image int8 against float: cosine mean {(a * b).sum(1).mean():.4f} least {(a * b).sum(1).min():.4f}"
    )
    reader = Tokenizer.from_file(str(tokenizer))
    reader.enable_truncation(MAX_TOKENS)
    reader.enable_padding()
    encoded = reader.encode_batch(list(PROBES))
    feeds = {
        "input_ids": np.array([e.ids for e in encoded], np.int64),
        "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
    }
    a, b = (run(p, feeds) for p in (text_float, arguments.out / "text.onnx"))
    print(
        f"text int8 against float: cosine mean {(a * b).sum(1).mean():.4f} least {(a * b).sum(1).min():.4f}"
    )
    for file in sorted(arguments.out.glob("*.onnx")):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
