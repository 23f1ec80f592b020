"""How much memory a picture takes while it is decoded and scaled: the bytes per pixel that `images/_cost.py` plans with.

Each format and mode is decoded in a process of its own, 36 megapixels by default, and the peak is set against the plan. Linux
only.

    python benchmarks/decode_memory.py
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visualsearch import images
from visualsearch.encoders.preprocess import preprocess
from visualsearch.images._cost import canvas_cost, cost
from visualsearch.images._sniff import sniff
from visualsearch.types import Preprocessing

SIDE = 6000
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {"subsampling": 0}),
    ("JPEG", "RGB", {"subsampling": 0, "progressive": True}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("PNG", "RGB", {"compress_level": 1}),
    ("PNG", "RGBA", {"compress_level": 1}),
    ("PNG", "LA", {"compress_level": 1}),
    ("PNG", "I;16", {"compress_level": 1}),
    ("PNG", "P", {"compress_level": 1}),
    ("GIF", "P", {}),
    ("BMP", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "CMYK", {"compression": "tiff_lzw"}),
    ("TIFF", "F", {"compression": "tiff_lzw"}),
    ("WEBP", "RGB", {"method": 0}),
    ("WEBP", "RGBA", {"method": 0, "lossless": True, "quality": 0}),
    ("AVIF", "RGB", {"speed": 10}),
)


def main() -> None:
    """Print a table: kind, bytes per pixel at the peak, bytes per pixel planned."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else SIDE
    small = np.random.default_rng(0).integers(0, 255, (side // 8, side // 8, 4), dtype=np.uint8)
    source = Image.fromarray(small).resize((side, side))
    print(f"{'kind':40} {'peak':>6} {'plan':>6}  bytes per pixel")
    with tempfile.TemporaryDirectory() as folder:
        for form, mode, options in KINDS:
            place = Path(folder) / "picture"
            made = (
                source.convert("L").convert("F" if mode == "F" else "L") if mode in ("F", "I;16") else source
            )
            made = Image.new("I;16", (side, side), 999) if mode == "I;16" else made.convert(mode)
            made.save(place, form, **options)
            run = subprocess.run(
                [sys.executable, __file__, "--one", str(place)], capture_output=True, text=True, check=True
            )
            peak, plan = map(float, run.stdout.split())
            print(f"{f'{form} {mode} {options or str()}':40} {peak:6.1f} {plan:6.1f}")


def one(place: Path) -> None:
    """Peak and plan of one file, in bytes per pixel."""
    images.accelerate()
    data = place.read_bytes()
    form = sniff(data)
    assert form is not None
    canvas = form.canvas(data)
    with form.open(io.BytesIO(data)) as opened:
        pixels = opened.width * opened.height
        several = bool(opened.info.get("progressive"))
        plan = (
            canvas_cost(form.name, canvas, 0) if canvas else cost(opened, form.name, 0, several_scans=several)
        )
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    preprocess(images.decode(data), Preprocessing(size=224))
    print((_status("VmHWM") - before) / pixels, plan / pixels)


def _status(key: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{key}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    if "--one" in sys.argv:
        one(Path(sys.argv[-1]))
    else:
        main()
