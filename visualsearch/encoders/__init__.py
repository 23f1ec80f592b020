"""Encoders: pictures and words in, unit vectors of one space out.

`load_encoder` takes a name and finds the family that knows it. A family is imported when it is first used. So the bundled models
never cost the import of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from visualsearch.errors import MissingExtraError, UsageError
from visualsearch.resources import models_dir
from visualsearch.types import Precision

from . import names
from .base import BaseEncoder, batches
from .here import check_here
from .kept import keep as keep_in_cache
from .kept import key as cache_key
from .registry import ModelEntry, bundled_name, folder_names, recommended

__all__ = [
    "DEVICES",
    "ENCODERS",
    "BaseEncoder",
    "ModelEntry",
    "batches",
    "bundled_name",
    "cache_key",
    "folder_names",
    "keep_in_cache",
    "load_encoder",
    "recommended",
]

DEVICES = ("auto", "cpu", "cuda", "mps")

Loader = Callable[[names.Target, str, Precision, int | None, bool], BaseEncoder]


def load_encoder(
    name: str = "bundled",
    *,
    device: str = "auto",
    precision: str | Precision = Precision.AUTO,
    threads: int | None = None,
    compiled: bool = False,
    download: bool = True,
) -> BaseEncoder:
    """The encoder of that name.

    `name` is "bundled", the name of a folder under models/, a recommended model ("ViT-B-32-SigLIP2-256"),
    an open_clip architecture with a pretrained tag ("ViT-B-32/laion2b_s34b_b79k" or with ":"), a checkpoint
    file beside its open_clip_config.json, an architecture with a checkpoint file
    ("ViT-B-32:weights.safetensors"), "hf-hub:org/model" or "local-dir:folder". `device` is auto, cpu, mps,
    cuda or cuda:N; `precision` auto, fp32, bf16, fp16 or int8 (CPU); `threads` the cores a run may use (None:
    all); `compiled` runs an open_clip model's image tower through torch.compile. Without `download`, weights
    that are not on this machine are an EncoderError.

    With an open_clip model on a CPU, auto measures once, when pictures are about to be indexed, which way is
    fastest there among those that agree with fp32, and remembers it; `encoder.choice` tells what it found. Where torch
    computes, a process that embeds until it ends does better after `resources.keep_freed_memory()`.

    Raises UnknownNameError with the near names, UsageError for a device or precision that is not there,
    MissingExtraError when the name needs open_clip and it is not installed, and EncoderError when the
    weights cannot be loaded.
    """
    try:
        asked = Precision(precision)
    except ValueError:
        known = ", ".join(Precision)
        raise UsageError(
            f"unknown precision {precision!r}", "no such number format", f"Choose one of: {known}"
        ) from None
    if device.partition(":")[0] not in DEVICES:
        raise UsageError(
            f"unknown device {device!r}", "no such device is known", f"Choose one of: {', '.join(DEVICES)}"
        )
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}", "it must be 1 or more", "Leave it out to use all cores")
    target = names.resolve(name)
    if not download:
        check_here(target)
    return ENCODERS[target.family](target, device, asked, threads, compiled)


def _bundled(
    target: names.Target, device: str, precision: Precision, threads: int | None, compiled: bool
) -> BaseEncoder:
    if compiled:
        raise UsageError(
            f"the bundled model {target.architecture!r} cannot be compiled",
            "it is run by ONNX Runtime, not by torch",
            "Leave out --compile, or choose another model (run: visualsearch models)",
        )
    if device not in ("auto", "cpu") or precision not in (Precision.AUTO, Precision.FP32):
        raise UsageError(
            f"the bundled model {target.architecture!r} cannot run on {device} in {precision}",
            "its graph is made for the CPU as it is",
            "Leave out --device and --precision, or choose another model (run: visualsearch models)",
        )
    from .bundled import load

    return load(models_dir() / target.architecture, threads=threads)


def _openclip(
    target: names.Target, device: str, precision: Precision, threads: int | None, compiled: bool
) -> BaseEncoder:
    for package in ("torch", "open_clip"):
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{target.name!r} needs {error.name or package}", "clip") from error
    from .openclip import load

    return load(target, device=device, precision=precision, threads=threads, compiled=compiled)


ENCODERS: Mapping[str, Loader] = MappingProxyType({"bundled": _bundled, "openclip": _openclip})
