"""Models that come with the package: ONNX graphs run by ONNX Runtime on the CPU. Never imports torch.

A model is a folder of models/ with a model.toml:

    name, dim, image_size, license
    [image] file (input "pixels": uint8 (b, 3, s, s) R G B, output "embedding": float32 (b, dim)), resize,
    interpolation, fill [text]  file (inputs "input_ids", "attention_mask": int64 (b, t), output
    "embedding"), tokenizer, max_tokens, pad_id, first

`first` is the sha256 (hex) of the text tower that the model first came with. It stands for the text tower in the fingerprint.
So a better text tower leaves the fingerprint as it is: an index holds vectors of pictures, and they did not change.

Normalisation is part of the graph. A model without [text] knows pictures only.
"""

from __future__ import annotations

import hashlib
import tomllib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualsearch import onnx
from visualsearch.errors import EncoderError, UsageError
from visualsearch.resources import cores
from visualsearch.types import EncoderSpec, Precision, Preprocessing, Resize

from .base import BaseEncoder

# Up to this many pictures share all cores, so that a query is soon answered. Of more, each core takes a few of its own at a time.
# So no core waits at every layer for one that a decoding thread interrupted.
# lite-clip alone on 2 cores: 296 pictures per second, 271 with all cores at one batch. Runs of 16 are no faster. They make the
# runtime's memory arena grow, which never shrinks.
_TOGETHER = 8
_PICTURES_A_RUN = 4
_FIRST_EMOJI = "\u2600"  # signs before it, like that of a trade mark, are no pictures
_TEXTS_A_RUN = 1  # a text tower may quantise over its batch: alone, a sentence has one vector and no other


@dataclass(frozen=True)
class TextTower:
    """The [text] table of a model.toml; files are absolute."""

    file: Path
    tokenizer: Path
    max_tokens: int
    pad_id: int
    first: str = ""


class BundledEncoder(BaseEncoder):
    """A bundled model.

    `folder` holds model.toml. `threads` is the number of cores a run may use; None leaves it to ONNX
    Runtime (all of them). Raises EncoderError when the folder's files are missing or damaged.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self._threads = threads
        path = folder / "model.toml"
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            image, text = table["image"], table.get("text")
            self._image_file: Path = folder / image["file"]
            self._text = None if text is None else _text_tower(folder, text)
            preprocessing = Preprocessing(
                size=int(table["image_size"]),
                resize=Resize(image["resize"]),
                interpolation=image["interpolation"],
                fill=int(image.get("fill", 0)),
            )
            name, dim = str(table["name"]), int(table["dim"])
            words = b"" if self._text is None else _sha256(self._text.file)
            weights = _digest(self._image_file, self._text, words)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise EncoderError(
                f"the model in {folder} cannot be loaded",
                f"{type(error).__name__}: {error}",
                "Reinstall visualsearch; to use another model run: visualsearch models",
            ) from error
        self._spec = EncoderSpec(
            name, dim, preprocessing, weights, Precision.FP32, text=self._text is not None, words=words.hex()
        )

    @property
    def spec(self) -> EncoderSpec:
        """What decides the numbers this encoder gives."""
        return self._spec

    @cached_property
    def _image_session(self) -> Any:
        return _session(self._image_file, self._threads)

    @cached_property
    def _lone_session(self) -> Any:
        """As `_image_session`, but each run stays in the thread that asks for it."""
        return _session(self._image_file, 1)

    @cached_property
    def _cores(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads or cores(), "visualsearch-model")

    @cached_property
    def _text_session(self) -> Any:
        return _session(self._text_tower.file, self._threads)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tower = self._text_tower
        try:
            tokenizer = Tokenizer.from_file(str(tower.tokenizer))
        except Exception as error:  # the library raises bare Exception
            raise EncoderError(
                f"{tower.tokenizer} cannot be loaded", str(error), "Reinstall visualsearch"
            ) from error
        tokenizer.enable_truncation(tower.max_tokens)
        pad = tokenizer.id_to_token(tower.pad_id) or "[PAD]"
        tokenizer.enable_padding(pad_id=tower.pad_id, pad_token=pad)
        return tokenizer

    @property
    def _text_tower(self) -> TextTower:
        if self._text is None:
            raise EncoderError(
                f"{self.spec.name} cannot read text",
                "this model has an image tower only",
                "Search by picture, or index with a model that knows words (run: visualsearch models)",
            )
        return self._text

    def _image_vectors(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if pixels.dtype != np.uint8:
            raise UsageError(
                f"{self.spec.name} takes uint8 pixels only",
                "normalisation is part of its graph, so float32 input has no place",
                "Pass what encoder.preprocess(picture) gives",
            )
        if len(pixels) <= _TOGETHER:
            return _run(self._image_session, {"pixels": np.ascontiguousarray(pixels)})
        session = self._lone_session
        parts = (pixels[at : at + _PICTURES_A_RUN] for at in range(0, len(pixels), _PICTURES_A_RUN))
        runs = self._cores.map(lambda part: _run(session, {"pixels": np.ascontiguousarray(part)}), parts)
        return np.concatenate(list(runs))

    def unread(self, text: str) -> int:
        """How many tokens at the end of a text are beyond what the model reads."""
        clean = spelled(text).encode("utf-8", "replace").decode()
        return sum(len(rest.ids) for rest in self._tokenizer.encode(clean).overflowing)

    def _text_vectors(self, texts: list[str]) -> NDArray[Any]:
        tokenizer, done = self._tokenizer, []
        for at in range(0, len(texts), _TEXTS_A_RUN):
            # lone surrogates, as in a badly decoded file name, cannot become UTF-8
            clean = [
                spelled(text).encode("utf-8", "replace").decode() for text in texts[at : at + _TEXTS_A_RUN]
            ]
            encoded = tokenizer.encode_batch(clean)
            ids = np.array([one.ids for one in encoded], dtype=np.int64)
            mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
            if ids.shape[1] == 0:
                ids, mask = (
                    np.full((len(clean), 1), self._text_tower.pad_id, np.int64),
                    np.zeros((len(clean), 1), np.int64),
                )
            # A tokenizer without special tokens finds nothing in an empty text; one padding token stands
            # for it, since the mean over no tokens has no value.
            mask[mask.sum(1) == 0, 0] = 1
            done.append(_run(self._text_session, {"input_ids": ids, "attention_mask": mask}))
        return np.concatenate(done)


def spelled(text: str) -> str:
    """Emoji by their names in Unicode, of words that a vocabulary knows: U+1F457 is read as "dress"."""
    return "".join(
        f" {unicodedata.name(sign, sign).lower()} "
        if sign >= _FIRST_EMOJI and unicodedata.category(sign) == "So"
        else sign
        for sign in text
    )


def load(folder: Path, *, threads: int | None = None) -> BundledEncoder:
    """The bundled model of a folder; see `BundledEncoder`."""
    return BundledEncoder(folder, threads=threads)


def _text_tower(folder: Path, table: dict[str, Any]) -> TextTower:
    return TextTower(
        folder / table["file"],
        folder / table["tokenizer"],
        int(table["max_tokens"]),
        int(table["pad_id"]),
        bytes.fromhex(table.get("first", "")).hex(),
    )


def _digest(image: Path, text: TextTower | None, words: bytes) -> str:
    """One sha256 (hex) over those of the image tower, the text tower (`words`) and the tokenizer."""
    parts = [_sha256(image)]
    if text is not None:
        parts += [bytes.fromhex(text.first) or words, _sha256(text.tokenizer)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _sha256(path: Path) -> bytes:
    """Of 20 MB in 11 ms (measured)."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _session(path: Path, threads: int | None) -> Any:
    chosen = onnx.options()
    chosen.intra_op_num_threads = threads or 0
    chosen.inter_op_num_threads = 1
    chosen.graph_optimization_level = onnx.runtime().GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnx.session(path, chosen)


def _run(session: Any, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    try:
        (vectors,) = session.run(["embedding"], inputs)
    except Exception as error:  # as above
        raise EncoderError(
            "the model could not be run", str(error), "Use smaller batches or another model"
        ) from error
    return np.asarray(vectors)
