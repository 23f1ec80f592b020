"""The indexing pipeline: how near end to end comes to its slowest stage alone, what overlapping costs, and its memory.

    python benchmarks/pipeline.py [PHOTOS] [--limit 800] [--rounds 3] [--memory 1000 10000] [--stand-in] [--smoke]
        [--to benchmarks/results]

Each measurement is a process of its own, in turn. Decoding and embedding both want the processor, so on the same cores end to
end cannot reach the slower one alone: `bound_per_second` is cores / (processor seconds a picture of decoding alone +
of embedding alone), and `efficiency` the share of it that is reached. `of_slowest_stage` is the plain ratio.
--memory indexes that many small JPEGs (photographs at 200 pixels, each made different by a comment) and gives the process's
peak; --stand-in replaces the model there by a few pixels, so that the growth is the pipeline's own and is soon measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from common import CORES, child, report

START = """
import json, sys, time
from pathlib import Path
import numpy as np
import visualsearch as vs
from visualsearch import images
from visualsearch.indexing import Settings
from visualsearch.indexing import look_ahead
given = json.loads(sys.argv[1])
paths = Path(given["listing"]).read_text().split("\\n")
compiled = images.accelerate()
encoder = vs.load_encoder("bundled", threads=given["threads"])
size = encoder.spec.preprocessing.size
encoder.embed_images(paths[:32])
def square(path):
    return encoder.preprocess(images.decode(Path(path).read_bytes(), target=size))
"""
MEASURE = """
wall, cpu = time.perf_counter(), time.process_time()
more = work()
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"per_second": len(paths) / wall, "cpu_ms": 1000 * cpu / len(paths), "compiled": compiled} | more))
"""
DECODE = """
def work():
    for _ in look_ahead(paths, square, given["workers"], 64):
        pass
    return {}
"""
EMBED = """
batches = [np.stack([square(p) for p in paths[:given["batch"]]])] * -(-len(paths) // given["batch"])
def work():
    for batch in batches:
        encoder.encode_images(batch)
    return {}
"""
INDEX = """
index = vs.create(given["index"], encoder)
def work():
    done = index.add(paths, settings=Settings(batch=given["batch"], workers=given["workers"]))
    stages = {name: round(value, 3) for name, value in done.stages.items()}
    return {"stages": stages, "commit_share": done.stages["commit"] / done.seconds, "failed": done.failed}
"""
MEMORY = """
import json, resource, sys
from pathlib import Path
import numpy as np
import visualsearch as vs
from visualsearch.encoders.preprocess import preprocess
from visualsearch.types import EncoderSpec, Preprocessing, Resize
given = json.loads(sys.argv[1])
class StandIn:
    spec = EncoderSpec("stand-in", 512, Preprocessing(224, Resize.SQUASH), "0" * 64, text=False)
    def preprocess(self, picture):
        return preprocess(picture, self.spec.preprocessing)
    def encode_images(self, pixels):
        rows = pixels[:, :, ::16, ::16].reshape(len(pixels), -1)[:, :512].astype(np.float32) + 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    def encode_texts(self, texts):
        raise NotImplementedError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
index = vs.create(given["index"], StandIn()) if given["stand_in"] else vs.create(given["index"])
paths = Path(given["listing"]).read_text().split("\\n")
seen = {}
def tell(progress):
    if progress.seen >= 1000 and "at_1000" not in seen:
        seen["at_1000"] = peak()
done = index.add(paths, progress=tell)
print(json.dumps({"rss_mb": peak(), "rss_mb_at_1000": seen.get("at_1000", peak()), "embedded": done.embedded,
    "seconds": done.seconds, "commit_share": done.stages["commit"] / done.seconds}))
"""


def small_copies(photos: list[Path], count: int, folder: Path) -> list[str]:
    """`count` JPEGs of at most 200 pixels, no two with the same bytes."""
    from PIL import Image

    shrunk = []
    for photo in photos[:500]:
        picture = Image.open(photo).convert("RGB")
        picture.thumbnail((200, 200))
        out = BytesIO()
        picture.save(out, "JPEG", quality=85)
        shrunk.append(out.getvalue())
    made = []
    for number in range(count):
        data, words = shrunk[number % len(shrunk)], b"copy %d" % number
        place = folder / f"{number // 1000:04d}"
        place.mkdir(exist_ok=True)
        file = place / f"{number:07d}.jpg"
        file.write_bytes(data[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + data[2:])
        made.append(str(file))
    return made


def settings_to_try(smoke: bool) -> list[dict[str, int]]:
    """Threads of the model, workers that decode, pictures a batch."""
    if smoke:
        return [{"threads": CORES, "workers": CORES, "batch": 32}]
    tried = [(t, w, 32) for t in (1, 2) for w in (1, 2, 3)] + [(2, 2, 16), (2, 2, 64)]
    return [{"threads": t, "workers": w, "batch": b} for t, w, b in tried]


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; the last run's words and tables."""
    return {
        key: round(statistics.median(run[key] for run in runs), 4) if isinstance(value, float) else value
        for key, value in runs[-1].items()
    }


def main() -> None:
    """Run the measurements."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("photos", type=Path, nargs="?")
    options.add_argument("--limit", type=int, default=800)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--memory", type=int, nargs="*", default=[], metavar="PICTURES")
    options.add_argument("--stand-in", action="store_true")
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--to", type=Path)
    given = options.parse_args()
    if given.photos is None:
        from visualsearch.samples import samples_dir

        given.photos = samples_dir() / "pins"
    photos = sorted(path.absolute() for path in given.photos.rglob("*.jpg"))
    chosen = photos[:: max(1, len(photos) // (40 if given.smoke else given.limit))]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        listing = folder / "paths.txt"
        listing.write_text("\n".join(map(str, chosen)))

        def run(code: str, **words: Any) -> dict[str, Any]:
            target = folder / "x.index"
            shutil.rmtree(target, ignore_errors=True)
            return child(
                START + code + MEASURE, json.dumps({"listing": str(listing), "index": str(target), **words})
            )

        plan = [("decode alone", DECODE, {"threads": 1, "workers": w, "batch": 32}) for w in (1, CORES)]
        plan += [("embed alone", EMBED, {"threads": t, "workers": 1, "batch": 32}) for t in (1, CORES)]
        plan += [("end to end", INDEX, words) for words in settings_to_try(given.smoke)]
        figures: dict[int, list[dict[str, Any]]] = {i: [] for i in range(len(plan))}
        for _ in range(1 if given.smoke else given.rounds):
            for i, (_name, code, words) in enumerate(plan):
                figures[i].append(run(code, **words))
        for i, (name, _, words) in enumerate(plan):
            label = f"{name}, {words['threads']} model threads, {words['workers']} workers, batch {words['batch']}"
            rows.append({"name": label, "stage": name, **words, **medians(figures[i])})
        alone = {s: [r for r in rows if r["stage"] == s] for s in ("decode alone", "embed alone")}
        slowest = min(max(r["per_second"] for r in of) for of in alone.values())
        bound = 1000 * CORES / sum(min(r["cpu_ms"] for r in of) for of in alone.values())
        for row in rows:
            if row["stage"] == "end to end":
                row["of_slowest_stage"] = round(row["per_second"] / slowest, 3)
                row["efficiency"] = round(row["per_second"] / bound, 3)
        memory = []
        for count in given.memory:
            place = folder / f"m{count}"
            place.mkdir()
            made = folder / "made.txt"
            made.write_text("\n".join(small_copies(photos, count, place)))
            words = {
                "listing": str(made),
                "index": str(folder / f"i{count}.index"),
                "stand_in": given.stand_in,
            }
            memory.append(
                {
                    "name": f"memory, {count:,} pictures",
                    "stage": "memory",
                    "pictures": count,
                    "stand_in": given.stand_in,
                    **child(MEMORY, json.dumps(words)),
                }
            )
    bounds = {"slowest_stage_per_second": round(slowest, 1), "bound_per_second": round(bound, 1)}
    report("pipeline", {"pictures": len(chosen), **bounds, "rows": rows + memory}, given.to)


if __name__ == "__main__":
    main()
