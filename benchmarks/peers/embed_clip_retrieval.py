"""clip-retrieval's own inference: its reader (4 worker processes, as by default), mapper, writer and runner, from the package.

Its requirements (numpy < 2, open_clip < 3) do not fit beside today's packages, hence `--no-deps`; only the files that do the work
are imported: `Runner` with `FilesReader`, `ClipMapper` and `NumpyWriter`, and all_clip's loader of open_clip models, here with a
checkpoint of random weights. Its statistics process, which writes a file every five seconds, is left out.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

WORKERS = 4


class Quiet:
    """Takes the place of the statistics process."""

    def __call__(self, _: Any) -> None:
        return

    def start(self) -> None:
        return

    def end(self) -> None:
        return


def _bare(package: str, **names: Any) -> None:
    """A package whose modules can be imported without running its own `__init__`, which wants a web server and more."""
    module = ModuleType(package)
    root, _, rest = package.partition(".")
    spec = importlib.util.find_spec(root) if root not in sys.modules else sys.modules[root].__spec__
    places = spec.submodule_search_locations if spec else None
    module.__path__ = [str(Path(place, *rest.split(".") if rest else ())) for place in places or ()]
    module.__spec__ = spec
    module.__dict__.update(names)
    sys.modules[package] = module


def embed(paths: Sequence[str], model: str, batch: int) -> tuple[float, Any]:
    """Seconds and (n, d) unit vectors."""
    import numpy as np
    import open_clip
    import torch

    logging.disable(logging.WARNING)
    with TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights.pt"
        torch.save(open_clip.create_model(model, pretrained=None).state_dict(), weights)
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for number, path in enumerate(paths):  # it takes a folder, and goes by the names' order
            (photos / f"{number:08d}{Path(path).suffix}").symlink_to(Path(path).resolve())
        loaded: list[Any] = []
        _bare("all_clip", load_clip=lambda **_: tuple(loaded))
        _bare("clip_retrieval")
        _bare("clip_retrieval.clip_inference")
        _bare("sentence_transformers", SentenceTransformer=None)
        from all_clip.open_clip import load_open_clip
        from clip_retrieval.clip_inference.mapper import ClipMapper
        from clip_retrieval.clip_inference.reader import FilesReader
        from clip_retrieval.clip_inference.runner import Runner
        from clip_retrieval.clip_inference.writer import NumpyWriter

        loaded.extend(load_open_clip(f"{model}/{weights}", use_jit=False, device="cpu"))
        loaded[0].eval()
        out = str(Path(scratch) / "out")
        kinds = {"enable_text": False, "enable_image": True, "enable_metadata": False}
        runner = Runner(
            lambda sampler: FilesReader(sampler, loaded[1], loaded[2], str(photos), batch, WORKERS, **kinds),
            lambda: ClipMapper(
                use_mclip=False, clip_model=model, use_jit=False, mclip_model="", warmup_batch_size=1, **kinds
            ),
            lambda part: NumpyWriter(partition_id=part, output_folder=out, output_partition_count=1, **kinds),
            lambda _: Quiet(),
            1,
        )
        with torch.no_grad():
            loaded[0].encode_image(torch.zeros(1, 3, 224, 224))
        start = time.perf_counter()
        runner(0)
        seconds = time.perf_counter() - start
        return seconds, np.load(Path(out) / "img_emb" / "img_emb_0.npy").astype(np.float32)
