"""What the training scripts do alike: read shards, let rates fall, keep averaged weights, save a state and go on from it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

S = TypeVar("S")


class Falling(Protocol):
    """Settings that say how the rate goes."""

    steps: int
    warm_up: int
    cool: int


def shards(folder: Path, first: int = 0) -> list[Path]:
    """Those that views.py has finished, from number `first` on, in order."""
    return sorted(p for p in folder.iterdir() if p.name.isdigit() and int(p.name) >= first)


def map_reader(
    frozen: Path, memory_format: torch.memory_format = torch.channels_last
) -> Callable[[np.ndarray | Tensor], Tensor]:
    """Reads the stem's maps, (b, c, h, w) uint8 as shards hold them, as the numbers they stand for."""
    scale = json.loads((frozen / "frozen.json").read_text(encoding="utf-8"))

    def read(codes: np.ndarray | Tensor) -> Tensor:
        maps = (torch.as_tensor(codes).float() - scale["zero"]) * scale["scale"]
        return maps.to(memory_format=memory_format)

    return read


def tail_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The trained late stages of a checkpoint of train.py, for a `Tail`."""
    state = torch.load(checkpoint, weights_only=False)["averaged"]
    prefix = "tower.student."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def learning_rate(step: int, settings: Falling) -> float:
    """Share of the full rate: it rises, stays, and falls over the last `cool` steps."""
    rise = min(1.0, (step + 1) / settings.warm_up)
    return rise * min(1.0, (settings.steps - step) / settings.cool + 0.01)


def cosine_rate(step: int, steps: int) -> float:
    """Share of the full rate: it rises for 50 steps and falls along a cosine to a fiftieth."""
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * step / steps))))


def set_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Of the rate "base" that each group of parameters has."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * share


def follow(averaged: nn.Module, model: nn.Module, step: int, most: float) -> None:
    """Move the averaged weights towards the model's; they decay by at most `most` a step, by less at first."""
    decay = min(most, step / (step + 10))
    with torch.no_grad():
        for mean, now in zip(averaged.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)


def save_state(
    path: Path,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    settings: Any,
    **more: Any,
) -> None:
    """Write everything that `go_on` needs; a kill leaves the former file or the new one."""
    state = {
        "model": model.state_dict(), "averaged": averaged.state_dict(), "optimiser": optimiser.state_dict(),
        "step": step, "settings": asdict(settings), **more,
    }  # fmt: skip
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def go_on(
    state: dict[str, Any], model: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer
) -> int:
    """Load a saved state; its step."""
    model.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def add_settings(parser: argparse.ArgumentParser, defaults: Any) -> None:
    """An option for every field of a dataclass."""
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)


def settings_of(arguments: argparse.Namespace, defaults: S) -> S:
    """A dataclass like `defaults`, filled with the options that `add_settings` made."""
    return type(defaults)(**{name: getattr(arguments, name) for name in asdict(defaults)})  # type: ignore[call-overload]
