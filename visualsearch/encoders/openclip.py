"""Any open_clip model, run by torch on CUDA, MPS or the CPU.

Preprocessing (size, resize mode, interpolation, mean and std) and the activation function come from the
model's own configuration. Weights are read as safetensors or by torch's restricted unpickler; a file that
holds code is refused.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch.encoders.base import BaseEncoder
from visualsearch.encoders.names import CONFIG, Target
from visualsearch.errors import EncoderError, UnknownNameError, UsageError
from visualsearch.types import EncoderSpec, Precision, Preprocessing, Resize

_OFFLINE = (
    "Check the network, or work without one: --model bundled, or a checkpoint on disk "
    '(--model "ViT-B-32:/path/to/weights.safetensors")'
)
_DTYPES: Mapping[Precision, str] = MappingProxyType(
    {Precision.FP32: "float32", Precision.BF16: "bfloat16", Precision.FP16: "float16"}
)


@dataclass(frozen=True)
class Weights:
    """A checkpoint and what its publisher says about it: overrides of the architecture's configuration."""

    file: Path
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


class OpenClipEncoder(BaseEncoder):
    """An open_clip model on one device in one precision; made by `load`."""

    def __init__(self, model: Any, spec: EncoderSpec, device: Any, tokenizer_source: str) -> None:
        import torch

        self._model, self._spec, self._device = model, spec, device
        self._dtype = getattr(torch, _DTYPES[spec.precision])
        self._tokenizer_source = tokenizer_source
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1)
            for values in (spec.preprocessing.mean, spec.preprocessing.std)
        )

    @property
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""
        return self._spec

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
        import torch

        with torch.inference_mode():
            batch = self._to_device(torch.from_numpy(np.ascontiguousarray(pixels)))
            if pixels.dtype == np.uint8:
                # torchvision's order of operations in float32, so that every bit agrees with ToTensor and
                # Normalize
                batch = batch.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
            return self._to_numpy(self._model.encode_image(batch.to(self._dtype)))

    def _text_vectors(self, texts: list[str]) -> NDArray[Any]:
        import torch

        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        tokens = self._tokenizer(clean)
        with torch.inference_mode():
            return self._to_numpy(self._model.encode_text(self._to_device(tokens)))

    def _to_device(self, tensor: Any) -> Any:
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)

    @staticmethod
    def _to_numpy(vectors: Any) -> NDArray[Any]:
        import torch

        array: NDArray[Any] = vectors.to(torch.float32).cpu().numpy()
        return array


def load(target: Target, *, device: str, precision: Precision, threads: int | None) -> OpenClipEncoder:
    """The open_clip model of a target.

    `device` is auto, cpu, mps, cuda or cuda:N. AUTO precision is bf16 (fp16 on older cards) on CUDA, bf16
    on CPUs that compute in it, fp32 elsewhere. `threads` sets torch's threads for the whole process.

    Raises UsageError for a device that is not there, UnknownNameError for an unknown tag, EncoderError when
    weights cannot be had or do not fit.
    """
    import torch

    place = _device(device)
    chosen = _precision(place) if precision is Precision.AUTO else precision
    if threads is not None:
        torch.set_num_threads(threads)
    weights = _weights(target)
    model = _build(target, weights)
    preprocessing = _preprocessing(model)
    model = model.eval().requires_grad_(False).to(device=place, dtype=getattr(torch, _DTYPES[chosen]))
    if _is_convolutional(model.visual):
        model.visual.to(memory_format=torch.channels_last)
    spec = EncoderSpec(
        name=target.name,
        dim=_dim(model, preprocessing.size, place, chosen),
        preprocessing=preprocessing,
        weights=_sha256(weights.file),
        precision=chosen,
        identity=_identity(target),
    )
    return OpenClipEncoder(model, spec, place, target.architecture)


def _identity(target: Target) -> str:
    """What stands for the name of a model on this disk: its architecture, wherever the files lie."""
    if target.checkpoint is None:
        return ""
    if target.architecture.startswith("local-dir:"):
        return f"openclip:{_sha256(target.checkpoint.parent / CONFIG)}"
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
    """The model in fp32 on the CPU with its weights."""
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

    grey = torch.zeros(1, 3, size, size, device=device, dtype=getattr(torch, _DTYPES[precision]))
    try:
        with torch.inference_mode():
            return int(model.encode_image(grey).shape[-1])
    except RuntimeError as error:
        raise EncoderError(
            f"the model does not run on {device} in {precision}",
            _first_line(error),
            "Use --precision fp32 or --device cpu",
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
