"""What a model is: how it wants its pictures, what decides its numbers, and what it can do. Imports numpy only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


class Resize(StrEnum):
    """How a picture becomes the model's square."""

    SHORTEST = "shortest"  # scale the shorter side to the size, cut the centre
    LONGEST = "longest"  # scale the longer side to the size, pad the rest with `fill`
    SQUASH = "squash"  # scale both sides to the size, whatever the aspect


class Precision(StrEnum):
    """Number format the encoder computes in."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True)
class Preprocessing:
    """From an upright RGB picture to the model's input.

    `mean` and `std` are per channel (R, G, B) on the 0..1 scale; `fill` is the 0..255 grey used for padding.
    """

    size: int
    resize: Resize = Resize.SHORTEST
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 0


@dataclass(frozen=True)
class EncoderSpec:
    """What decides the numbers an encoder gives: two encoders with one `fingerprint` share an index.

    `weights` is the sha256 (hex) of the weights. `precision` is what the encoder computes pictures in; it is
    recorded but is not part of the fingerprint, since vectors of one model may be mixed: bf16 agrees with
    fp32 to cosine 0.999, and an int8 conversion whose mean cosine is below 0.98 is refused when it is made
    (`encoders.trials`). `name` is what `load_encoder` takes to load the encoder again; where it holds a
    path, `identity` stands for it in the fingerprint, so that a checkpoint may be moved. `words` is the sha256 (hex) of a text
    tower that may change while the vectors of pictures stay. It is no part of the fingerprint, and no index records it.
    """

    name: str
    dim: int
    preprocessing: Preprocessing
    weights: str
    precision: Precision = Precision.FP32
    text: bool = True
    identity: str = ""
    words: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over name (or identity), dimension, preprocessing and weights."""
        parts = {
            "name": self.identity or self.name,
            "dim": self.dim,
            "preprocessing": asdict(self.preprocessing),
            "weights": self.weights,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The spec as JSON text, read back by `from_json`."""
        values = asdict(self)
        del values["words"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> EncoderSpec:
        """The spec that `to_json` wrote."""
        values = json.loads(text)
        pre = values.pop("preprocessing")
        pre["resize"] = Resize(pre["resize"])
        pre["mean"], pre["std"] = tuple(pre["mean"]), tuple(pre["std"])
        values["precision"] = Precision(values["precision"])
        return cls(preprocessing=Preprocessing(**pre), **values)


@runtime_checkable
class Encoder(Protocol):
    """Pictures and words in, unit vectors of one space out.

    `preprocess` runs in worker threads, `encode_images` in one thread at a time.
    """

    @property
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""
        ...

    def preprocess(self, picture: Image) -> NDArray[np.uint8]:
        """An upright RGB picture -> (3, s, s) uint8, resized to the model's square, not normalised."""
        ...

    def encode_images(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(b, 3, s, s) uint8 from `preprocess` -> (b, d) float32 of unit length."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """b sentences -> (b, d) float32 of unit length. Raises EncoderError where there is no text tower."""
        ...
