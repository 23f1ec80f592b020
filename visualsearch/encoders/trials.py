"""Ways to run one model on this processor, measured against each other: speed, and agreement with float32.

The guards: another float format must keep the cosine of every calibration picture at 0.999 or more; int8 must find 98 %
of the ten nearest neighbours that float32 finds. An int8 conversion whose mean cosine is below 0.98 is refused even when
it was asked for. An index relies on it that vectors of one model are comparable, whatever their precision.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from visualsearch.errors import EncoderError
from visualsearch.types import Float32, Precision, UInt8

from .towers import ImageTower

LEAST_COSINE = 0.999
LEAST_OVERLAP = 0.98
LEAST_MEAN = 0.98
NEIGHBOURS = 10
TELLING = 100
"""Fewer pictures than these say too little about neighbours for int8 to be chosen by itself."""
_TIMED = 32
_ROUNDS = 3


class Backend(StrEnum):
    """What runs an image tower."""

    TORCH = "torch"
    OPENVINO = "openvino"


@dataclass(frozen=True)
class Way:
    """A backend and the precision it computes in."""

    backend: Backend
    precision: Precision

    def __str__(self) -> str:
        return f"{self.precision} by {_NAMES[self.backend]}"


_NAMES: Mapping[Backend, str] = {Backend.TORCH: "torch", Backend.OPENVINO: "OpenVINO"}
EXACT = Way(Backend.TORCH, Precision.FP32)


@dataclass(frozen=True)
class Agreement:
    """How near vectors are to float32's, over `pictures` pictures.

    `overlap` is the share of float32's ten nearest neighbours, of each picture among the others, that are found.
    """

    pictures: int
    least_cosine: float
    mean_cosine: float
    overlap: float


@dataclass(frozen=True)
class Trial:
    """What was measured of one way; `refused` says why it may not be chosen ("" where it may)."""

    way: Way
    per_second: float
    agreement: Agreement
    refused: str = ""


@dataclass(frozen=True)
class Choice:
    """The way that was chosen for a model on this machine, and what was measured of all.

    `asked` is the precision the user named. `own` says that the pictures were the user's own, not the shipped ones.
    `left_out` names what was not tried, with the reason; `postponed` that int8 is tried when more pictures come.
    """

    model: str
    asked: Precision
    way: Way
    trials: tuple[Trial, ...]
    own: bool = True
    left_out: tuple[str, ...] = ()
    postponed: bool = False

    def to_values(self) -> dict[str, Any]:
        """Plain values, read back by `from_values`."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Choice:
        """The choice that `to_values` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        trials = tuple(
            Trial(_way(t["way"]), float(t["per_second"]), Agreement(**t["agreement"]), str(t["refused"]))
            for t in values["trials"]
        )
        return cls(
            str(values["model"]),
            Precision(values["asked"]),
            _way(values["way"]),
            trials,
            bool(values["own"]),
            tuple(values["left_out"]),
            bool(values["postponed"]),
        )

    def lines(self) -> list[str]:
        """The choice for people: what runs, what was measured, what was left out."""
        found = [f"{self.model}: pictures are embedded in {self.way}"]
        for trial in self.trials:
            a = trial.agreement
            text = f"  {trial.way}: {trial.per_second:.1f} pictures/s"
            if trial.way != EXACT:
                text += f", cosine to fp32 {a.least_cosine:.4f} or more (mean {a.mean_cosine:.4f})"
                text += f", top-{NEIGHBOURS} overlap {a.overlap:.3f} among {a.pictures}"
                text += " of your pictures" if self.own else " sample pins, not your pictures"
            verdict = "auto would not choose it" if trial.way == self.way else "not chosen"
            found.append(text + (f"; {verdict}: {trial.refused}" if trial.refused else ""))
        return found + [f"  not tried: {each}" for each in self.left_out]


def _way(values: Mapping[str, Any]) -> Way:
    return Way(Backend(values["backend"]), Precision(values["precision"]))


def agreement(exact: Float32, other: Float32) -> Agreement:
    """How (n, d) unit vectors agree with float32's of the same pictures, n >= 2."""
    cosines = (exact * other).sum(1)
    wanted, found = _neighbours(exact), _neighbours(other)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(wanted, found, strict=True)]
    return Agreement(
        len(exact),
        round(float(cosines.min()), 6),
        round(float(cosines.mean()), 6),
        round(float(np.mean(shared)) / wanted.shape[1], 4),
    )


def _neighbours(vectors: Float32) -> Any:
    """(n, k) positions of the nearest others of each, k = 10 or n - 1."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(vectors) - 1)]


def refusal(way: Way, found: Agreement) -> str:
    """Why a way may not be chosen by itself; "" where it may. Float32 by torch is what others are judged by."""
    if way == EXACT:
        return ""
    if way.precision is not Precision.INT8:
        if found.least_cosine < LEAST_COSINE:
            return f"its least cosine is below {LEAST_COSINE}"
    elif not found.mean_cosine >= LEAST_MEAN:
        return f"its mean cosine is below {LEAST_MEAN}"
    elif found.pictures < TELLING:
        return f"{found.pictures} pictures are too few to judge it"
    elif found.overlap < LEAST_OVERLAP:
        return f"its overlap is below {LEAST_OVERLAP}"
    return ""


def check_usable(name: str, found: Agreement) -> None:
    """Raises EncoderError for an int8 conversion whose vectors are not comparable with float32's."""
    if not found.mean_cosine >= LEAST_MEAN:
        raise EncoderError(
            f"{name} cannot be run in int8",
            f"its vectors' mean cosine to fp32 is {found.mean_cosine:.3f}, below {LEAST_MEAN}",
            "Use --precision bf16 or fp32",
        )


def vectors_of(tower: ImageTower, pixels: UInt8) -> Float32:
    """(n, d) unit vectors of (n, 3, s, s) pictures."""
    parts = [np.asarray(tower(pixels[at : at + _TIMED]), np.float32) for at in range(0, len(pixels), _TIMED)]
    found = np.concatenate(parts)
    unit: Float32 = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def speeds(towers: Mapping[Way, ImageTower], pixels: UInt8) -> dict[Way, float]:
    """Pictures a second of each way: the median of three rounds in turn, each a batch of up to 32."""
    batch = pixels[:_TIMED]
    seconds: dict[Way, list[float]] = {way: [] for way in towers}
    for tower in towers.values():
        tower(batch)
    for _ in range(_ROUNDS):
        for way, tower in towers.items():
            start = time.perf_counter()
            tower(batch)
            seconds[way].append(time.perf_counter() - start)
    return {way: round(len(batch) / statistics.median(spent), 2) for way, spent in seconds.items()}


def fastest(trials: Sequence[Trial]) -> Way:
    """The fastest way that was not refused; float32 by torch is never refused."""
    return max((t for t in trials if not t.refused), key=lambda t: t.per_second).way
