"""Pictures/s from JPEG files to a committed index, against the loops that people use today.

    python benchmarks/index_end_to_end.py [PHOTOS] [--model bundled] [--model ViT-B-32] [--precision auto] [--rounds 3]
                                          [--limit 1000] [--smoke] [--to benchmarks/results]

Bundled model: the peer is Pillow decode and timm's own transform, batches of 64, torch float32, an EfficientNet-Lite0. An
open_clip architecture (`--model ViT-B-32`): the peers are the same loop with open_clip's transform, and clip-retrieval's own
reader (4 worker processes), mapper and writer. Weights are random where there are none to be had, which does not change the
speed; peers store nothing but vectors. Every run is a process of its own, and the clock starts when its model has run once.
How open_clip models run on this machine (`--precision auto` or int8) is settled before, and kept in the cache.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import synthetic
from common import child, clean_environment, goal, in_turn, report, skipped
from peers import EMBEDDERS, embed_with
from random_weights import checkpoint

OURS = "visualsearch index"
GOALS = {"bundled": "index-bundled", "ViT-B-32": "index-vit-b-32"}
INDEX = """
import json, sys, time
import visualsearch as vs
from visualsearch.sources import open_source
listing, target, model, precision = sys.argv[1:]
paths = open(listing).read().split("\\n")
options = {} if model == "bundled" else {"precision": precision, "device": "cpu"}
index = vs.create(target, model, **options)
start = time.perf_counter()
index.encoder.calibrate(open_source(paths), None)
settled = time.perf_counter() - start
index.encoder.embed_images(paths[:32])
start = time.perf_counter()
report = index.add(paths)
speed = report.seen / (time.perf_counter() - start)
print(json.dumps({
    "per_second": speed, "stages": dict(report.stages), "failed": report.failed, "settle_s": settled,
    "precision": index.encoder.spec.precision.value,
}))
"""


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("photos", type=Path, nargs="?")
    options.add_argument("--model", action="append", help="may be given several times; default: bundled")
    options.add_argument("--precision", default="auto", help="of open_clip models")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--limit", type=int, default=1000, help="pictures")
    options.add_argument("--smoke", action="store_true", help="ours alone on a few sample pins, once")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.smoke:
        given.rounds, given.limit = 1, 40
    found = synthetic.sample_pins() if given.photos is None else sorted(given.photos.rglob("*.jpg"))
    paths = [str(path.absolute()) for path in found[: given.limit]]
    rows: list[dict[str, Any]] = []
    goals: list[dict[str, Any]] = []
    for model in given.model or ["bundled"]:
        measure(model, paths, given, rows, goals)
    report("index_end_to_end", {"pictures": len(paths), "rows": rows, "goals": goals}, given.to)


def measure(
    model: str,
    paths: list[str],
    given: argparse.Namespace,
    rows: list[dict[str, Any]],
    goals: list[dict[str, Any]],
) -> None:
    """One model against its peers; adds to `rows` and `goals`."""
    bundled = model == "bundled"
    peers = (
        {"timm": "tf_efficientnet_lite0"}
        if bundled
        else dict.fromkeys(("open_clip", "clip_retrieval"), model)
    )
    absent = {
        name: "left out of the smoke run" if given.smoke else EMBEDDERS[name].missing() for name in peers
    }
    last: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        name = model if bundled else checkpoint(model, scratch)
        runs: dict[str, Callable[[], float]] = {
            OURS: partial(ours, paths, name, given.precision, scratch, last)
        }
        for peer, network in peers.items():
            if absent[peer] is None:
                runs[EMBEDDERS[peer].title] = partial(theirs, peer, paths, network)
        if not bundled:
            runs[OURS]()  # settles how the model runs
        settled = last.get("settle_s", 0.0)
        results = in_turn(runs, given.rounds)
    mine = {f"{stage}_s": round(seconds, 2) for stage, seconds in last["stages"].items()}
    mine |= {"precision": last["precision"], "failed": last["failed"], "settle_once_s": round(settled, 1)}
    for title, r in results.items():
        more = mine if title == OURS else {}
        rows.append({"name": title, "model": model, "per_second": r["median"], "values": r["values"], **more})
    rows += [
        skipped(EMBEDDERS[peer].title, why, model=model) for peer, why in absent.items() if why is not None
    ]
    rivals = {title: r["median"] for title, r in results.items() if title != OURS}
    if rivals and model in GOALS:
        best = max(rivals, key=rivals.__getitem__)
        speed = results[OURS]["median"]
        goals.append(goal(GOALS[model], speed, theirs=rivals[best], peer=best, unit="pictures/s"))


def ours(paths: list[str], model: str, precision: str, scratch: Path, last: dict[str, Any]) -> float:
    """Pictures/s of one run into a new index; `last` gets its figures."""
    listing, target = scratch / "paths.txt", scratch / "x.index"
    listing.write_text("\n".join(paths), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    last.update(child(INDEX, str(listing), str(target), model, precision))
    return float(last["per_second"])


def theirs(name: str, paths: list[str], network: str) -> float:
    """Pictures/s of a peer."""
    return float(embed_with(name, paths, network, 64, clean_environment())["per_second"])


if __name__ == "__main__":
    main()
