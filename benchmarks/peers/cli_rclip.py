"""rclip: another search of one's own pictures from the command line, for cold starts.

Its model (ViT-B-32-256 by DataComp, two ONNX files) is downloaded at first use. Where it is not there, and nothing may be
downloaded, files of the same architecture with random weights take its place: they load and run in the same time, and what
they find means nothing. Its database is filled by its own class with random vectors for so many files of a folder.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

NEEDS = {
    "rclip": "--no-deps rclip",
    "pi_heif": "pi-heif",
    "ftfy": "ftfy",
    "torch": "torch",
    "open_clip": "open_clip_torch",
}
MODEL, SIZE, DIM = "ViT-B-32-256", 256, 512


def prepare(data: Path, folder: Path, rows: int) -> Mapping[str, str]:
    """Fill rclip's data folder for `rows` pictures of `folder`; the environment to call it in, with `folder` as its place."""
    from rclip.model_download import MODEL_SUBDIR, TEXTUAL_ONNX, TOKENIZER_VOCAB, VISUAL_ONNX

    model = data / MODEL_SUBDIR
    model.mkdir(parents=True, exist_ok=True)
    if not (model / TEXTUAL_ONNX).exists():
        _export(model / VISUAL_ONNX, model / TEXTUAL_ONNX)
    found = importlib.util.find_spec("open_clip")
    assert found is not None
    assert found.submodule_search_locations
    (data / TOKENIZER_VOCAB).parent.mkdir(exist_ok=True)
    package = Path(found.submodule_search_locations[0])
    shutil.copy(package / "bpe_simple_vocab_16e6.txt.gz", data / TOKENIZER_VOCAB)
    _fill(data / "db.sqlite3", folder, rows)
    return {**os.environ, "RCLIP_DATADIR": str(data), "HF_HUB_OFFLINE": "1"}


def _export(visual: Path, textual: Path) -> None:
    import logging

    import open_clip
    import torch

    class Words(torch.nn.Module):
        """The text tower as a module."""

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return net.encode_text(tokens)

    logging.disable(logging.WARNING)
    net = open_clip.create_model(MODEL, pretrained=None).eval()
    net.requires_grad_(False)
    names = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": {"input": {0: "n"}}}
    torch.backends.mha.set_fastpath_enabled(False)  # what it does instead cannot be traced
    torch.onnx.export(net.visual, (torch.zeros(1, 3, SIZE, SIZE),), str(visual), dynamo=False, **names)
    words = Words()
    words.net = net  # its weights are found through it
    torch.onnx.export(words, (torch.zeros(1, 77, dtype=torch.long),), str(textual), dynamo=False, **names)


def _fill(file: Path, folder: Path, rows: int) -> None:
    import numpy as np
    from rclip.db import DB

    vectors = np.random.default_rng(0).standard_normal((rows, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    database = DB(file)
    for number, vector in enumerate(vectors):
        place = str(folder.resolve() / f"{number:06d}.jpg")
        row = {"filepath": place, "modified_at": 0.0, "size": 1, "vector": vector.tobytes(), "hash": None}
        database.upsert_image(row, commit=False)
    database.close()
