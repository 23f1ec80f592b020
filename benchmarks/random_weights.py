"""An open_clip model with random weights as a checkpoint on the disk: as fast as a trained one, nothing to download.

The weights are drawn from one seed, so that conversions made of them are found again in the cache.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

SEED = 0
TINY = "tiny"
"""A model of no use but to see that a benchmark runs."""
_TINY = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


def checkpoint(model: str, folder: Path) -> str:
    """Write the weights of an architecture, or of TINY; the name that `load_encoder` and open_clip take for them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    tiny = model == TINY
    path = folder / ("open_clip_model.safetensors" if tiny else f"{model}.safetensors")
    if tiny:
        (folder / "open_clip_config.json").write_text(json.dumps(_TINY), encoding="utf-8")
    if not path.exists():
        logging.disable(logging.WARNING)  # it warns that the weights are random, which is meant
        torch.manual_seed(SEED)
        network = open_clip.create_model(f"local-dir:{folder}" if tiny else model, load_weights=False)
        logging.disable(logging.NOTSET)
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return f"local-dir:{folder}" if tiny else f"{model}:{path}"
