"""Image towers run by OpenVINO on the CPU: converted from torch, quantised to int8 on real pictures, cached by the caller.

Run as a program, `python -m visualsearch.encoders.openvino FLOAT.xml PICTURES.npy INT8.xml` quantises. It is a process of its
own, since nncf draws progress bars on stdout and keeps every layer's statistics in memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import EncoderError
from visualsearch.types import Precision, Preprocessing, UInt8

EXTRA = "accelerate"
PACKAGES = ("openvino", "nncf")
_CHUNK = 16
"""Pictures a stream takes at once: 8, 16 and 32 run at 83, 84 and 82 pictures/s (ViT-B/32 int8, Zen 4, two streams)."""
_FILLED = 6
"""From this many left-over pictures on, a chunk is filled up with blank ones instead of running them one by one."""


def missing() -> str | None:
    """The first package of the extra that is not installed."""
    return next((name for name in PACKAGES if find_spec(name) is None), None)


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """OpenVINO and nncf report every use over the network unless the package that does it cannot be imported."""
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def _openvino() -> Any:
    with _without_telemetry():
        import openvino
    return openvino


def convert(encode: Any, how: Preprocessing, to: Path) -> None:
    """Write a float32 graph from (b, 3, s, s) uint8 pictures, normalisation included, to (b, d) vectors.

    `encode` is a torch module in float32 on the CPU, from normalised pictures to vectors. Raises EncoderError
    when it cannot be traced.
    """
    import torch

    ov = _openvino()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator has no counterpart in a graph
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = ov.convert_model(
                encode,
                example_input=torch.zeros(2, 3, how.size, how.size),
                input=[(-1, 3, how.size, how.size)],
            )
    except Exception as error:  # the tracer and the converter raise many kinds
        raise EncoderError(
            "the image tower cannot be converted for OpenVINO",
            f"{type(error).__name__}: {error}".splitlines()[0],
            "Use --precision fp32 or bf16, which torch computes",
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    steps = ov.preprocess.PrePostProcessor(graph)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32)
    steps.input().preprocess().mean([255 * value for value in how.mean])
    steps.input().preprocess().scale([255 * value for value in how.std])
    ov.save_model(steps.build(), to, compress_to_fp16=False)


def quantise(graph: Path, pixels: UInt8, to: Path) -> None:
    """Write the int8 form of a float graph, calibrated on (n, 3, s, s) uint8 pictures.

    Post-training quantisation of nncf: weights per channel, activations per tensor, biases corrected. In transformers
    SmoothQuant (Xiao et al. 2022, arXiv 2211.10438) first moves the activations' outliers into the weights.
    Raises EncoderError when that fails.
    """
    pictures = to.with_name("pictures.npy")
    np.save(pictures, pixels)
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "visualsearch.encoders.openvino",
        *map(str, (graph, pictures, to)),
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": _path()}
    )
    pictures.unlink()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EncoderError(
            "the image tower could not be quantised", last, "Use --precision bf16 or fp32 with this model"
        )


def _path() -> str:
    """Where this very package is, before whatever PYTHONPATH has: the child must run the same code."""
    own = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))


def _quantise(graph: str, pictures: str, to: str) -> None:
    ov = _openvino()
    with _without_telemetry():
        import nncf

    pixels = np.load(pictures)
    network = ov.Core().read_model(graph)
    kinds = Counter(operation.get_type_name() for operation in network.get_ops())
    attentive = kinds["MatMul"] > kinds["Convolution"]
    quantised = nncf.quantize(
        network,
        nncf.Dataset([pixels[n : n + 1] for n in range(len(pixels))]),
        subset_size=len(pixels),
        model_type=nncf.ModelType.TRANSFORMER if attentive else None,
    )
    ov.save_model(quantised, to, compress_to_fp16=False)


class OpenVinoTower:
    """A graph written by `convert` or `quantise`, run on the CPU.

    One stream a thread, each with chunks of its own: measured 15 % faster than one stream on all cores (ViT-B/32
    int8, 2 cores). Compiled for chunks of a fixed size, and for single pictures when the first one comes: a graph
    that takes any number is 10 % slower. `precision` is what float layers compute in; of an int8 graph these are
    the attention, the softmax and the norms, in bf16 where the processor has it. Raises EncoderError when the
    graph cannot be loaded.
    """

    def __init__(self, graph: Path, precision: Precision, threads: int) -> None:
        self._graph, self._precision, self._threads = graph, precision, threads
        self._queues: dict[int, Any] = {}

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(b, 3, s, s) uint8 -> (b, d) float32."""
        parts: dict[int, NDArray[Any]] = {}
        whole = len(pixels) - len(pixels) % _CHUNK
        if len(pixels) - whole > _FILLED:
            whole = len(pixels)
        for first, last, step in ((0, whole, _CHUNK), (whole, len(pixels), 1)):
            if first < last:
                self._run(pixels, range(first, last, step), step, parts)
        return np.concatenate([parts[at] for at in sorted(parts)])[: len(pixels)]

    def _run(self, pixels: NDArray[Any], starts: range, step: int, parts: dict[int, NDArray[Any]]) -> None:
        queue = self._queue(step)
        queue.set_callback(
            lambda request, at: parts.__setitem__(at, request.get_output_tensor().data.astype(np.float32))
        )
        for at in starts:
            chunk = np.ascontiguousarray(pixels[at : at + step])
            if len(chunk) < step:
                chunk = np.concatenate([chunk, np.zeros((step - len(chunk), *chunk.shape[1:]), chunk.dtype)])
            queue.start_async({0: chunk}, userdata=at)
        queue.wait_all()

    def _queue(self, step: int) -> Any:
        """The compiled graph for chunks of `step` pictures, with a request for each thread."""
        if step not in self._queues:
            ov = _openvino()
            core = ov.Core()
            has = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            small = self._precision is not Precision.FP32 and "BF16" in has
            settings = {
                "NUM_STREAMS": self._threads,
                "INFERENCE_NUM_THREADS": self._threads,
                "INFERENCE_PRECISION_HINT": "bf16" if small else "f32",
                "ENABLE_CPU_PINNING": False,  # the threads that decode pictures share the cores
            }
            try:
                graph = core.read_model(self._graph)
                graph.reshape([step, *(int(side.get_length()) for side in graph.input().partial_shape[1:])])
                self._queues[step] = ov.AsyncInferQueue(
                    core.compile_model(graph, "CPU", settings), self._threads
                )
            except Exception as error:  # RuntimeError and kinds of its own
                raise EncoderError(
                    f"the converted model {self._graph} cannot be loaded",
                    str(error).splitlines()[0],
                    "Delete its folder; it is made again when pictures are indexed",
                ) from error
        return self._queues[step]


if __name__ == "__main__":
    _quantise(*sys.argv[1:])
