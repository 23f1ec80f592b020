"""Pictures per second of an image tower, against open_clip's ViT-B/32 in the same run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median

import numpy as np

from visualsearch.encoders import BaseEncoder

BATCH = 64
ROUNDS = 5
PEER = "ViT-B-32"


@dataclass(frozen=True)
class Speed:
    """Medians over ROUNDS turns of BATCH pictures, in pictures per second; `peer` is None without torch and open_clip.

    `ratio` is the median of the turns' own ratios: both took the same turn's share of a busy machine.
    """

    encoder: float
    peer: float | None = None
    ratio: float | None = None


def measure(encoder: BaseEncoder, rounds: int = ROUNDS, batch: int = BATCH) -> Speed:
    """Time the encoder on `batch` random pictures, in turns with the peer where it is installed.

    Pictures are preprocessed beforehand: this is the tower alone. The peer has random weights, which take as long
    as trained ones, computes in fp32 on the CPU, and uses torch's own number of threads.
    """
    size = encoder.spec.preprocessing.size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, size, size), dtype=np.uint8)
    contestants: list[Callable[[], object]] = [lambda: encoder.encode_images(pixels)]
    if peer_is_installed():
        contestants.append(_peer(batch))
    for run in contestants:
        run()  # the first run of either allocates and compiles
    seconds = [[_seconds(run) for run in contestants] for _ in range(rounds)]
    own = batch / median(turn[0] for turn in seconds)
    if len(contestants) == 1:
        return Speed(own)
    return Speed(own, batch / median(turn[1] for turn in seconds), median(b / a for a, b in seconds))


def peer_is_installed() -> bool:
    """Whether torch and open_clip can be imported."""
    return all(find_spec(package) is not None for package in ("torch", "open_clip"))


def _peer(batch: int) -> Callable[[], object]:
    import open_clip
    import torch

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # open_clip warns that the weights are random, which is meant
    try:
        model = open_clip.create_model(PEER, pretrained=None, precision="fp32", device="cpu").eval()
    finally:
        root.setLevel(level)
    pixels = torch.rand(batch, 3, 224, 224)

    def run() -> object:
        with torch.inference_mode():
            return model.encode_image(pixels)

    return run


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
