"""The loop that open_clip's own README leads to: Pillow, its transform, batches, torch in float32, nothing overlapped."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any


def embed(paths: Sequence[str], model: str, batch: int) -> tuple[float, Any]:
    """Seconds and (n, d) unit vectors."""
    import open_clip
    import torch
    from PIL import Image

    logging.disable(logging.WARNING)  # it warns that the weights are random, which is meant
    net, _, transform = open_clip.create_model_and_transforms(model, pretrained=None)
    net.eval()
    vectors = []
    with torch.inference_mode():
        net.encode_image(torch.stack([transform(Image.open(paths[0]))]))
        start = time.perf_counter()
        for at in range(0, len(paths), batch):
            pixels = torch.stack([transform(Image.open(path)) for path in paths[at : at + batch]])
            vectors.append(net.encode_image(pixels, normalize=True))
        seconds = time.perf_counter() - start
    return seconds, torch.cat(vectors).numpy()
