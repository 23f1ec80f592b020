"""Any open_clip model, run by torch on CUDA, MPS or the CPU; on the CPU its pictures may go through OpenVINO.

Preprocessing (size, resize mode, interpolation, mean and std) and the activation function come from the
model's own configuration. Weights are read as safetensors or by torch's restricted unpickler; a file that
holds code is refused.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import EncoderError, UnknownNameError, UsageError
from visualsearch.types import EncoderSpec, Precision, Preprocessing, Resize

from . import calibration
from .base import BaseEncoder
from .kept import sha256
from .names import CONFIG, Target
from .plan import Model, RuntimePlan
from .towers import DTYPES, TorchTower, keep_first_token
from .trials import Choice

if TYPE_CHECKING:
    from visualsearch.sources import Source

_OFFLINE = (
    "Check the network, or work without one: --model bundled, or a checkpoint on disk "
    '(--model "ViT-B-32:/path/to/weights.safetensors")'
)


@dataclass(frozen=True)
class Weights:
    """A checkpoint and what its publisher says about it: overrides of the architecture's configuration."""

    file: Path
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


class OpenClipEncoder(BaseEncoder):
    """An open_clip model on one device; made by `load`.

    `spec.precision` is what torch computes in, unless a `plan` runs the pictures another way.
    """

    def __init__(
        self,
        model: Any,
        spec: EncoderSpec,
        device: Any,
        tokenizer_source: str,
        tower: TorchTower,
        plan: RuntimePlan | None = None,
    ) -> None:
        self._model, self._spec, self._device = model, spec, device
        self._tokenizer_source, self._tower, self._plan = tokenizer_source, tower, plan

    @property
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""
        if self._plan is None:
            return self._spec
        asked = self._plan.asked
        chosen = self._plan.way.precision if asked is Precision.AUTO else asked
        return replace(self._spec, precision=chosen)

    @property
    def choice(self) -> Choice | None:
        """How pictures are embedded on this processor and what was measured of it; None where nothing was."""
        return self._plan.choice if self._plan else None

    def calibrate(self, source: Source, count: int | None = None) -> None:
        """Settle how to embed about `count` pictures of a source, with pictures of it, where that is not settled.

        Measures, and converts to int8 where that is asked for or pays; takes seconds to minutes once for a model
        and a machine. Says so on the logger "visualsearch.encoders". Raises EncoderError when int8 was asked for
        and cannot be had.
        """
        if self._plan is not None and self._plan.worthwhile(count):
            size = self.spec.preprocessing.size
            pixels = calibration.sample(source, self.preprocess, size)
            self._plan.settle(pixels, self._shipped, count)

    def _shipped(self) -> NDArray[np.uint8]:
        return calibration.shipped(self.preprocess, self.spec.preprocessing.size)

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        try:
            return open_clip.get_tokenizer(self._tokenizer_source)
        except Exception as error:  # transformers and the hub raise many kinds
            raise EncoderError(
                f"the tokenizer of {self.spec.name} cannot be loaded",
                f"{type(error).__name__}: {_first_line(error)}",
                f"It may need a download or a package (pip install transformers sentencepiece). {_OFFLINE}",
            ) from error

    def _image_vectors(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self._plan is None or pixels.dtype != np.uint8:  # graphs normalise by themselves
            return self._tower(pixels)
        if self._plan.asked is Precision.INT8 and self._plan.choice is None:
            # No source came by: a query. Sample pins calibrate, and the log says so.
            nothing = np.empty((0, *pixels.shape[1:]), np.uint8)
            self._plan.settle(nothing, self._shipped, None)
        return self._plan.tower(pixels)

    def unread(self, text: str) -> int:
        """How many tokens at the end of a text are beyond what the model reads."""
        tokenizer = self._tokenizer
        inner = getattr(tokenizer, "tokenizer", None)  # of a model from the hub
        clean = text.encode("utf-8", "replace").decode()
        if inner is not None:
            count = len(inner(clean)["input_ids"])
        elif hasattr(tokenizer, "encode"):
            count = len(tokenizer.encode(clean)) + 2  # with the marks of start and end
        else:
            return 0
        return max(0, count - int(getattr(tokenizer, "context_length", None) or count))

    def _text_vectors(self, texts: list[str]) -> NDArray[Any]:
        import torch

        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        tokens = self._tokenizer(clean)
        with torch.inference_mode():
            vectors = self._model.encode_text(tokens.to(self._device))
            array: NDArray[Any] = vectors.to(torch.float32).cpu().numpy()
            return array


def load(
    target: Target, *, device: str, precision: Precision, threads: int | None, compiled: bool = False
) -> OpenClipEncoder:
    """The open_clip model of a target.

    `device` is auto, cpu, mps, cuda or cuda:N. AUTO precision is bf16 (fp16 on older cards) on CUDA; on a CPU it is
    what was measured to be the fastest way there (see `OpenClipEncoder.calibrate`), and until something was, bf16
    where the processor computes in it; elsewhere fp32. INT8 is for CPUs. `threads` sets torch's threads for the
    whole process. `compiled` runs the image tower through torch.compile: the first batches take a minute.

    Raises UsageError for a device that is not there or INT8 elsewhere than on a CPU, MissingExtraError for INT8
    without OpenVINO, UnknownNameError for an unknown tag, EncoderError when weights cannot be had or do not fit.
    """
    import torch

    place = _device(device)
    measured = place.type == "cpu" and precision in (Precision.AUTO, Precision.INT8) and not compiled
    if precision is Precision.INT8 and not measured:
        raise UsageError(
            f"int8 does not run on {place.type}" + (" with torch.compile" if compiled else ""),
            "its graphs are made for OpenVINO on the CPU",
            "Use --device cpu without --compile, or --precision auto",
        )
    chosen = _precision(place) if precision in (Precision.AUTO, Precision.INT8) else precision
    if threads is not None:
        torch.set_num_threads(threads)
    weights = _weights(target)
    model = _build(target, weights)
    preprocessing = _preprocessing(model)
    model.to(device=place, dtype=getattr(torch, DTYPES[chosen]))
    if _is_convolutional(model.visual):
        model.visual.to(memory_format=torch.channels_last)
    spec = EncoderSpec(
        name=target.name,
        dim=_dim(model, preprocessing.size, place, chosen),
        preprocessing=preprocessing,
        weights=sha256(weights.file),
        precision=chosen,
        identity=_identity(target),
    )
    encode = torch.compile(model.encode_image) if compiled else model.encode_image
    tower = TorchTower(encode, preprocessing, place, chosen)
    plan = None
    if measured:
        exact = partial(_build, target, weights)
        plan = RuntimePlan(Model(spec, chosen, tower, exact, torch.get_num_threads()), precision)
    return OpenClipEncoder(model, spec, place, target.architecture, tower, plan)


def _identity(target: Target) -> str:
    """What stands for the name of a model on this disk: its architecture, wherever the files lie."""
    if target.checkpoint is None:
        return ""
    if target.architecture.startswith("local-dir:"):
        return f"openclip:{sha256(target.checkpoint.parent / CONFIG)}"
    return f"openclip:{target.architecture}"


def _device(name: str) -> Any:
    """The torch device; "auto" takes CUDA, then MPS, then the CPU."""
    import torch

    there = {"cpu": True, "mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    kind, _, number = name.partition(":")
    if not there[kind] or (number and (not number.isdigit() or int(number) >= torch.cuda.device_count())):
        names = ", ".join(kind for kind, present in there.items() if present)
        raise UsageError(f"device {name!r} is not available", f"torch finds: {names}", "Use --device auto")
    return torch.device(name)


def _precision(device: Any) -> Precision:
    """The fastest precision that keeps cosine 0.999 to fp32 on this device."""
    import torch

    if device.type == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP16
    if device.type == "cpu" and cpu_has_bf16():
        return Precision.BF16
    return Precision.FP32


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AVX512-BF16, AMX); elsewhere it is slower than fp32."""
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):  # came in torch 2.11
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _weights(target: Target) -> Weights:
    """The checkpoint on disk, downloaded when it is not there."""
    import open_clip

    if target.checkpoint is not None:
        return Weights(target.checkpoint)
    if target.architecture.startswith("hf-hub:"):
        from open_clip.pretrained import download_pretrained_from_hf

        return Weights(
            _download(target, download_pretrained_from_hf, target.architecture.removeprefix("hf-hub:"))
        )
    published = open_clip.get_pretrained_cfg(target.architecture, target.tag)
    if not published:
        tags = open_clip.list_pretrained_tags_by_model(target.architecture)
        raise UnknownNameError(f"pretrained tag of {target.architecture}", target.tag, tags)
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color", "size")
    return Weights(
        _download(target, open_clip.download_pretrained, published),
        {key: published[key] for key in keys if published.get(key) is not None},
        bool(published.get("quick_gelu")),
    )


def _download(target: Target, fetch: Any, what: Any) -> Path:
    try:
        found = fetch(what)
    except Exception as error:  # urllib, requests, httpx and the hub have no common base
        raise EncoderError(
            f"the weights of {target.name} could not be downloaded",
            f"{type(error).__name__}: {_first_line(error)}",
            _OFFLINE,
        ) from error
    if not found:
        raise EncoderError(
            f"the weights of {target.name} could not be downloaded", "no address is known", _OFFLINE
        )
    return Path(found)


def _build(target: Target, weights: Weights) -> Any:
    """The model in fp32 on the CPU with its weights, ready to infer."""
    import open_clip

    overrides = {"force_quick_gelu": True} if weights.quick_gelu else {}
    try:
        with _quiet():
            model = open_clip.create_model(
                target.architecture,
                load_weights=False,  # it would leave a hub model random when its weights fail to load
                pretrained_image=False,
                pretrained_text=False,
                force_preprocess_cfg=dict(weights.preprocessing),
                **overrides,
            )
    except Exception as error:  # whatever a configuration can go wrong with
        raise EncoderError(
            f"the architecture of {target.name} cannot be built",
            f"{type(error).__name__}: {_first_line(error)}",
            _OFFLINE,
        ) from error
    try:
        open_clip.load_checkpoint(model, str(weights.file), weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{weights.file} is not loaded",
            "it is a pickle that would run code, or is damaged",
            "Ask its publisher for safetensors, or convert it on a machine that may run it: "
            "safetensors.torch.save_file(torch.load(path)['state_dict'], new_path)",
        ) from error
    except Exception as error:
        raise EncoderError(
            f"{weights.file} does not hold the weights of {target.architecture}",
            f"{type(error).__name__}: {_first_line(error)}",
            "Check the file and the architecture named before it",
        ) from error
    model.eval().requires_grad_(False)
    keep_first_token(model.visual)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops open_clip's warning that the model it just made has random weights: they are loaded next."""

    def drop(record: logging.LogRecord) -> bool:
        return "initialized randomly" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(drop)
    try:
        yield
    finally:
        root.removeFilter(drop)


def _preprocessing(model: Any) -> Preprocessing:
    """The model's own preprocessing."""
    import open_clip

    config = dict(open_clip.get_model_preprocess_cfg(model))
    size = config["size"]
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise EncoderError(
            f"the model takes pictures of {size} pixels",
            "only square input is supported",
            "Choose another model",
        )
    return Preprocessing(
        size=int(sides.pop()),
        resize=Resize(config.get("resize_mode") or Resize.SHORTEST),
        # open_clip resizes by bicubic whenever it is not told bilinear
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
        fill=int(config.get("fill_color") or 0),
    )


def _triple(values: Any) -> tuple[float, float, float]:
    if isinstance(values, int | float):
        values = (values,) * 3
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _is_convolutional(tower: Any) -> bool:
    """Whether most of the tower's layers are convolutions, which run faster with channels last.

    RN50 on a CPU, measured: 8 % less processor time in fp32, 15 % less in bf16.
    """
    import torch

    layers = [module for module in tower.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    return sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) * 2 > len(layers)


def _dim(model: Any, size: int, device: Any, precision: Precision) -> int:
    """The length of an image vector, found by running one picture: configurations do not always say it."""
    import torch

    grey = torch.zeros(1, 3, size, size, device=device, dtype=getattr(torch, DTYPES[precision]))
    try:
        with torch.inference_mode():
            return int(model.encode_image(grey).shape[-1])
    except RuntimeError as error:
        raise EncoderError(
            f"the model does not run on {device} in {precision}",
            _first_line(error),
            "Use --precision fp32 or --device cpu",
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
