"""The loop that timm's documentation leads to: Pillow, the model's own transform, batches, torch in float32."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any


def embed(paths: Sequence[str], model: str, batch: int) -> tuple[float, Any]:
    """Seconds and (n, d) unit vectors."""
    import timm
    import torch
    from PIL import Image

    net = timm.create_model(model, pretrained=False, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
    vectors = []
    with torch.inference_mode():
        net(transform(Image.open(paths[0]).convert("RGB"))[None])
        start = time.perf_counter()
        for at in range(0, len(paths), batch):
            pixels = torch.stack([transform(Image.open(p).convert("RGB")) for p in paths[at : at + batch]])
            vectors.append(torch.nn.functional.normalize(net(pixels), dim=1))
        seconds = time.perf_counter() - start
    return seconds, torch.cat(vectors).numpy()
