"""Pictures/s from JPEG files to a committed index, against the plain loop that people write first.

Peer: Pillow decode and timm's own transform, batches of 64, torch float32, the same EfficientNet-Lite0 network (random
weights: they do not change the speed), vectors kept in a list, nothing stored. Needs `pip install timm torch`.

    python benchmarks/index_end_to_end.py PHOTOS [--rounds 3] [--limit 1000] [--to benchmarks/results]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from common import child, in_turn, report

INDEX = """
import json, sys, time
import visualsearch as vs
index = vs.create(sys.argv[2], sys.argv[3])
index.encoder.embed_images([next(open(sys.argv[1])).strip()])
paths = open(sys.argv[1]).read().split("\\n")
start = time.perf_counter()
report = index.add(paths)
speed = report.seen / (time.perf_counter() - start)
print(json.dumps({"per_second": speed, "stages": dict(report.stages), "failed": report.failed}))
"""
LOOP = """
import json, sys, time
import timm, torch
from PIL import Image
model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
paths = open(sys.argv[1]).read().split("\\n")
vectors = []
with torch.inference_mode():
    model(torch.zeros(64, 3, 224, 224))
    start = time.perf_counter()
    for at in range(0, len(paths), 64):
        batch = torch.stack([transform(Image.open(p).convert("RGB")) for p in paths[at : at + 64]])
        vectors.append(torch.nn.functional.normalize(model(batch), dim=1))
print(json.dumps({"per_second": len(paths) / (time.perf_counter() - start)}))
"""


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("photos", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--limit", type=int, default=1000)
    options.add_argument("--model", default="bundled")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    paths = sorted(str(p.absolute()) for p in given.photos.rglob("*.jpg"))[: given.limit]
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "paths.txt"
        listing.write_text("\n".join(paths))
        stages: dict[str, float] = {}

        def ours() -> float:
            target = Path(scratch) / "x.index"
            shutil.rmtree(target, ignore_errors=True)
            result = child(INDEX, str(listing), str(target), given.model)
            stages.update(result["stages"])
            return float(result["per_second"])

        def loop() -> float:
            return float(child(LOOP, str(listing))["per_second"])

        results = in_turn({"visualsearch index": ours, "plain loop (Pillow + timm)": loop}, given.rounds)
    ratio = results["visualsearch index"]["median"] / results["plain loop (Pillow + timm)"]["median"]
    report(
        "index_end_to_end",
        {
            "pictures": len(paths),
            "per_second": results,
            "ratio": round(ratio, 2),
            "stages_of_last_run": {k: round(v, 2) for k, v in stages.items()},
        },
        given.to,
    )


if __name__ == "__main__":
    main()
