"""An open_clip model with random weights as a checkpoint on the disk: as fast as a trained one, nothing to download.

The weights are drawn from one seed, so that conversions made of them are found again in the cache.
"""

from __future__ import annotations

import logging
from pathlib import Path

SEED = 0


def checkpoint(model: str, folder: Path) -> str:
    """Write the weights of an architecture; the name that `load_encoder` takes for them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    path = folder / f"{model}.safetensors"
    if not path.exists():
        logging.disable(logging.WARNING)  # it warns that the weights are random, which is meant
        torch.manual_seed(SEED)
        network = open_clip.create_model(model, pretrained=None)
        logging.disable(logging.NOTSET)
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return f"{model}:{path}"
