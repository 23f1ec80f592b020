"""Pictures/s through the image tower of an open_clip model: torch float32 as open_clip runs it, and every precision of ours.

    python benchmarks/embed.py [PHOTOS] [--model ViT-B-32] [--rounds 5] [--batch 64] [--smoke] [--to benchmarks/results]

All run in one process, in turn, on the same pictures, which were decoded and resized before: the peer takes float tensors that
its own transform made, ours takes bytes. Weights are random (one seed); they do not change the speed. Cosine and top-10 overlap
are to the peer's vectors, over pictures that did not calibrate; on random weights they say that the arithmetic is right, and
little about a trained model. int8 is converted and calibrated before (kept in the cache; the first time takes minutes).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from common import goal, in_turn, missing_of, report, skipped
from peers import CLIP
from random_weights import TINY, checkpoint

from visualsearch.encoders import BaseEncoder, load_encoder, openvino
from visualsearch.encoders.trials import agreement
from visualsearch.errors import VisualSearchError
from visualsearch.sources import open_source

PEER = "open_clip, torch fp32"
PRECISIONS = ("fp32", "bf16", "int8", "auto")


def files_of(photos: Path | None, count: int) -> list[Path]:
    """Up to `count` pictures, spread over the folder; the sample pins without one."""
    found = synthetic.sample_pins() if photos is None else sorted(photos.rglob("*.jpg"))
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[at] for at in places]


def load_ours(name: str, precision: str, photos: Path | None) -> BaseEncoder:
    """Our encoder, calibrated where it wants to be."""
    encoder = load_encoder(name, device="cpu", precision=precision)
    if photos is not None:
        encoder.calibrate(open_source(photos), None)
    return encoder


def speed(run: Callable[[Any], Any], batch: Any, batches: int) -> Callable[[], float]:
    """Pictures a second over some batches."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(batches):
            run(batch)
        return batches * len(batch) / (time.perf_counter() - start)

    return measure


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("photos", type=Path, nargs="?")
    options.add_argument("--model", default="ViT-B-32")
    options.add_argument("--precision", action="append", choices=PRECISIONS, help="default: all")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--pictures", type=int, default=256, help="that cosine and overlap are taken over")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--smoke", action="store_true", help="a small model, no conversion, one round")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    wanted = given.precision or list(PRECISIONS)
    if given.smoke:
        given.model, given.batch, given.pictures, given.rounds = TINY, 8, 24, 1
    absent = missing_of(CLIP)
    if absent is not None:
        report("embed", {"model": given.model, "rows": [skipped(PEER, absent)], "goals": []}, given.to)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        name = checkpoint(given.model, Path(scratch))
        results, vectors = contestants(name, given, wanted, rows)
    theirs = results[PEER]["median"]
    for title, result in results.items():
        found = agreement(vectors[PEER], vectors[title])
        rows.append(
            {
                "name": title,
                "per_second": result["median"],
                "times_peer": round(result["median"] / theirs, 2),
                "least_cosine": found.least_cosine,
                "mean_cosine": found.mean_cosine,
                "overlap_top10": found.overlap,
                "values": result["values"],
            }
        )
    goals = []
    if given.model == "ViT-B-32" and not given.smoke:
        best = max(
            (r for r in rows if r["name"] != PEER and "per_second" in r), key=lambda r: r["per_second"]
        )
        ours = float(best["per_second"])
        goals = [
            goal("embed-vit-b-32", ours, theirs=theirs, peer=PEER, unit="pictures/s", ours_is=best["name"])
        ]
    report(
        "embed",
        {
            "model": given.model,
            "batch": given.batch,
            "pictures": given.pictures,
            "rows": rows,
            "goals": goals,
        },
        given.to,
    )


def contestants(
    name: str, given: argparse.Namespace, wanted: list[str], rows: list[dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Speeds by contestant, and its (n, d) vectors of the same pictures; those that cannot run become rows."""
    import open_clip
    import torch
    from PIL import Image

    words = (name, None) if given.model == TINY else (given.model, name.partition(":")[2])
    network, _, transform = open_clip.create_model_and_transforms(words[0], pretrained=words[1])
    network.eval()
    pictures = [Image.open(path).convert("RGB") for path in files_of(given.photos, given.pictures)]
    runs: dict[str, Callable[[], float]] = {}
    vectors: dict[str, Any] = {}

    def theirs(batch: Any) -> Any:
        with torch.inference_mode():
            return network.encode_image(batch, normalize=True)

    tensors = torch.stack([transform(picture) for picture in pictures])
    vectors[PEER] = np.concatenate([theirs(part).numpy() for part in tensors.split(given.batch)])
    runs[PEER] = speed(theirs, tensors[: given.batch], 1)
    for precision in wanted:
        title = f"visualsearch {precision}"
        why = None
        if given.smoke and precision in ("int8", "auto"):
            why = "left out of the smoke run"
        elif precision == "int8" and openvino.missing():
            why = "not installed: pip install 'visualsearch[accelerate]'"
        if why is not None:
            rows.append(skipped(title, why))
            continue
        try:
            encoder = load_ours(name, precision, given.photos)
        except VisualSearchError as error:
            rows.append(skipped(title, str(error)))
            continue
        choice = getattr(encoder, "choice", None)
        if precision == "auto" and choice is not None:
            title += f" ({choice.way})"
        pixels = np.stack([encoder.preprocess(picture) for picture in pictures])
        vectors[title] = np.concatenate(
            [
                encoder.encode_images(pixels[at : at + given.batch])
                for at in range(0, len(pixels), given.batch)
            ]
        )
        # Two batches, since ours is the faster one: short measurements scatter.
        runs[title] = speed(encoder.encode_images, pixels[: given.batch], 1 if given.smoke else 2)
    return in_turn(runs, given.rounds), vectors


if __name__ == "__main__":
    main()
