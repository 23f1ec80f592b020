"""How well a scene's objects find their own: proposals, crops, the whole look, crowded scenes, regions, and speed.

`look_bench` has the scenes and the index. Everything runs through the public `Index`. Scenes that ship with the package,
with their true boxes, are measured too.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL.Image import Image as Picture

from visualsearch import samples
from visualsearch.engine import Index, open_or_create
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.images import STYLE, CropStyle, Shape
from visualsearch.look import MOST, Look, find, overlaps
from visualsearch.types import WHOLE, Box

from .look_bench import Line, LookBench, category, sample_scenes
from .look_photos import boxes_figures, located, names_figures
from .look_scenes import Placed, Recipe, Scene, compose, product_shot

FOUND = 0.5
"""Intersection over union from which a box counts as found (Everingham et al. 2010, the PASCAL VOC challenge)."""
STYLES: Mapping[str, CropStyle] = MappingProxyType(
    {
        "crop as it is": CropStyle(Shape.AS_IS),
        "squashed": CropStyle(Shape.SQUASH),
        "square by context": CropStyle(Shape.CONTEXT),
        "padded white": CropStyle(Shape.WHITE),
        "padded white, margin 5 %": CropStyle(Shape.WHITE, 0.05),
        "padded white, margin 10 %": CropStyle(Shape.WHITE, 0.10),
        "padded white, margin 25 %": CropStyle(Shape.WHITE, 0.25),
        "padded edge colour": CropStyle(Shape.EDGE),
        "padded edge colour, margin 5 %": CropStyle(Shape.EDGE, 0.05),
        "padded edge colour, margin 10 %": CropStyle(Shape.EDGE, 0.10),
        "padded white, whole x 0.1": CropStyle(Shape.WHITE, 0.0, 0.1),
        "padded white, whole x 0.25": CropStyle(Shape.WHITE, 0.0, 0.25),
    }
)
WINDOWS = tuple(Box(x, y, x + 0.5, y + 0.5) for y in (0.0, 0.25, 0.5) for x in (0.0, 0.25, 0.5))
"""The baseline: nine windows of half the picture's sides, three by three."""
Boxes = Callable[[Picture], list[Box]]
FINDERS: Mapping[str, Boxes] = MappingProxyType(
    {
        "bundled": lambda picture: [p.box for p in find(picture, "bundled", most=MOST)],
        "grid of 3 x 3": lambda picture: list(WINDOWS),
    }
)
SMALL = Recipe(low=0.08, high=0.20)
CROWDED = Recipe(fewest=8, most=12, low=0.20, high=0.40)
LARGE_INDEX = 100_000


# -- tasks --------------------------------------------------------------------------------------------------------
def proposals_task(bench: LookBench) -> list[Line]:
    """Recall of the true boxes at IoU 0.5 with at most 10 boxes a scene, and what it costs."""
    ours = [(s.picture, [o.box for o in s.objects]) for s in bench.composed]
    lines = []
    for scenes, where in ((ours, "composed"), (sample_scenes(), "sample scenes")):
        lines += [_boxes_line(f"{name}, {where}", scenes, way) for name, way in FINDERS.items()]
    return lines


def _boxes_line(what: str, scenes: Sequence[tuple[Picture, list[Box]]], boxes_of: Boxes) -> Line:
    boxes_of(scenes[0][0])  # the first call loads the model
    hits, small, boxes, spent = [], [], [], []
    for picture, truth in scenes:
        start = time.perf_counter()
        found = boxes_of(picture)
        spent.append(time.perf_counter() - start)
        boxes.append(len(found))
        best = _best(found, truth)
        hits += [iou >= FOUND for iou in best]
        small += [iou >= FOUND for iou, box in zip(best, truth, strict=True) if _side(box) <= 0.2]
    values = {"recall": _mean(hits), "recall of small": _mean(small), "boxes": _mean(boxes)}
    return Line("proposals", what, {**values, "ms": 1000 * float(np.median(spent))}, len(hits))


def photos_task(bench: LookBench) -> list[Line]:
    """Real photographs: what the finders find of the hand-drawn boxes, and how often a name or a row of results is given.

    The rows come from the sample pins, which hold few such things: most rows that are given there are not like the object.
    """
    if bench.photos is None:
        raise UsageError(
            "no photographs to look at",
            "they do not come with the package",
            "Name their folder: --photos DIR",
        )
    scenes = located(bench.photos)
    index = open_or_create(bench.work / f"samples-{bench.encoder.spec.fingerprint}.index", bench.encoder)
    index.add(samples.manifest(), prune=True)
    lines = []
    for tuning, which in ((True, "for tuning"), (False, "held back")):
        chosen = [(one, picture) for one, picture in scenes if one.tuning is tuning]
        for name, boxes_of in FINDERS.items() if chosen else ():
            found = boxes_figures(chosen, boxes_of)
            lines.append(Line("photos", f"{name}, {which}", *found))
        for unsure in (False, True) if chosen and index.spec.text else ():
            told = names_figures(
                chosen,
                lambda p, boxes, u=unsure: index.look(p, boxes=boxes, label_by="-", unsure=u, repeat=True),  # type: ignore[misc]
            )
            lines.append(Line("photos", f"names{', unsure too' if unsure else ''}, {which}", *told))
    index.close()
    return lines


def crops_task(bench: LookBench) -> list[Line]:
    """The object's product shot among the results, given its true box: by how the part is cut."""
    whole = [_ranks(bench, [WHOLE] * len(s.objects), s, CropStyle(Shape.AS_IS)) for s in bench.composed]
    lines = [_ranked_line("crops", "whole picture", whole)]
    for name, style in STYLES.items():
        ranks = [_ranks(bench, [o.box for o in s.objects], s, style) for s in bench.composed]
        lines.append(_ranked_line("crops", name + (" (the default)" if style == STYLE else ""), ranks))
    return lines


def _ranks(bench: LookBench, boxes: Sequence[Box], scene: Scene, style: CropStyle) -> list[int | None]:
    look = bench.gallery.look(
        scene.picture, 10, boxes=boxes, repeat=True, style=style, prefer=0.0, unsure=True
    )
    return [_rank(one.hits.ids, placed) for one, placed in zip(look, scene.objects, strict=True)]


def look_task(bench: LookBench) -> list[Line]:
    """The whole of `look` with nothing given: an object counts as found in the results of the box that overlaps it most
    (IoU >= 0.5); "anywhere" counts it in the results of any box.
    """
    index = bench.gallery
    ways: Mapping[str, Callable[[Picture], Look]] = {
        "look (the default)": lambda p: index.look(p, 10),
        "look, unsure too": lambda p: index.look(p, 10, unsure=True),
        "look, ten boxes": lambda p: index.look(p, 10, most=10),
        "look, pins may repeat": lambda p: index.look(p, 10, repeat=True),
        **_styled(index),
        "look, padded white": lambda p: index.look(p, 10, style=CropStyle(Shape.WHITE)),
        "look, padded white, margin 5 %": lambda p: index.look(p, 10, style=CropStyle(Shape.WHITE, 0.05)),
        "look, category preferred by 0.03": lambda p: index.look(p, 10, prefer=0.03),
        "look, category preferred by 0.1": lambda p: index.look(p, 10, prefer=0.1),
        "grid of 3 x 3": lambda p: index.look(p, 10, boxes=WINDOWS),
    }
    return [_look_line("look", name, way, bench.composed) for name, way in ways.items()]


def crowded_task(bench: LookBench) -> list[Line]:
    """As "look", over scenes of 8 to 12 objects that stand close together: what a wider cut brings in there."""
    scenes = list(bench.compose(CROWDED, bench.seed + 2))
    index = bench.gallery
    ways: Mapping[str, Callable[[Picture], Look]] = {
        "look (the default)": lambda p: index.look(p, 10, most=CROWDED.most),
        **_styled(index, most=CROWDED.most),
    }
    return [_look_line("crowded", name, way, scenes) for name, way in ways.items()]


def _styled(index: Index, **given: Any) -> dict[str, Callable[[Picture], Look]]:
    """Ways to cut the boxes that are found, other than the default."""
    styles = {
        "no margin": CropStyle(),
        "margin 10 %": CropStyle(margin=0.10),
        "square by context": CropStyle(Shape.CONTEXT),
    }

    def way(style: CropStyle) -> Callable[[Picture], Look]:
        return lambda picture: index.look(picture, 10, style=style, **given)

    return {f"look, {name}": way(style) for name, style in styles.items()}


def _look_line(task: str, name: str, way: Callable[[Picture], Look], scenes: Sequence[Scene]) -> Line:
    ranks, anywhere, named, spent, boxes = [], [], [], [], []
    for scene in scenes:
        start = time.perf_counter()
        look = way(scene.picture)
        spent.append(time.perf_counter() - start)
        boxes.append(len(look))
        overlap = overlaps(np.array([o.box for o in scene.objects]), np.array([o.box for o in look]))
        for row, placed in zip(overlap, scene.objects, strict=True):
            at = int(row.argmax())
            rank = _rank(look[at].hits.ids, placed) if row[at] >= FOUND else None
            ranks.append(rank)
            anywhere.append(any(placed.piece.name in one.hits.ids for one in look))
            if row[at] >= FOUND and look[at].label_from == "votes":
                named.append(look[at].label == category(placed.piece))
    line = _ranked_line(task, name, [ranks])
    values = {
        **line.values,
        "R@10 anywhere": _mean(anywhere),
        "category": _mean(named),
        "boxes": _mean(boxes),
    }
    return Line(task, name, {**values, "ms": 1000 * float(np.median(spent))}, line.count)


def regions_task(bench: LookBench) -> list[Line]:
    """Pins in which the object is small (at most 20 % of the side), asked for by its product shot: with and without regions."""
    folder = bench.work / "small"
    folder.mkdir(parents=True, exist_ok=True)
    rows, asked = [], []
    for number, scene in enumerate(bench.compose(SMALL, bench.seed + 1)):
        file = folder / f"{number:04d}.png"
        scene.picture.save(file)
        rows.append((f"scene/{number}", str(file.resolve()), "scene"))
        asked += [(placed, f"scene/{number}") for placed in scene.objects]
    rows += bench.distractors(set())[:: max(1, len(bench.distractors(set())) // 1000)]
    manifest = bench.work / "small.csv"
    with manifest.open("w", newline="") as file_:
        writer = csv.writer(file_)
        writer.writerow(("id", "image", "category"))
        writer.writerows(rows)
    shown: dict[str, set[str]] = {}
    for placed, pin in asked:
        shown.setdefault(placed.piece.name, set()).add(pin)
    lines = []
    for regions in (False, True):
        bench.tell(f"indexing {len(rows):,} pictures {'with' if regions else 'without'} regions ...")
        name = f"small-{'regions' if regions else 'whole'}-{bench.encoder.spec.fingerprint}.index"
        index = open_or_create(bench.work / name, bench.encoder)
        report = index.add(manifest, regions=regions, prune=True)
        first, ten = [], []
        for piece_name, pins in shown.items():
            piece = next(p.piece for p, _ in asked if p.piece.name == piece_name)
            hits = index.search(image=product_shot(piece), k=10).ids
            first.append(hits[0] in pins)
            ten.append(len(pins & set(hits)) / min(10, len(pins)))
        info = index.info()
        values = {"R@1": _mean(first), "R@10": _mean(ten), "rows": info["rows"], "pins": info["pins"]}
        values |= {
            "vector MB": info["vector_bytes"] / 1e6,
            "pictures/s": report.rate if report.embedded else 0.0,
        }
        lines.append(
            Line("regions", "with regions" if regions else "whole pictures only", values, len(shown))
        )
        index.close()
    return lines


def speed_task(bench: LookBench) -> list[Line]:
    """`look` on a scene of two megapixels with six objects, warm, in an index of 100,000 rows.

    The rows are the gallery's vectors with noise: the search takes as long as with pictures.
    """
    rng = np.random.default_rng(bench.seed)
    big = Recipe(width=1664, height=1248, fewest=6, most=6, low=0.15, high=0.35)
    scenes = [compose(bench.objects, bench.behind, rng, big) for _ in range(8)]
    coded = []
    for scene in scenes:
        out = BytesIO()
        scene.picture.save(out, "JPEG", quality=90)
        coded.append((out.getvalue(), [o.box for o in scene.objects]))
    index = _large_index(bench)
    lines = []
    for name, given in (("objects found", False), ("six boxes given", True)):
        index.look(coded[0][0], 10)  # warm: models and index are loaded
        looks = [
            index.look(data, 10, boxes=boxes if given else None) for data, boxes in coded for _ in range(3)
        ]
        stages = {
            f"{s} ms": 1000 * float(np.median([one.seconds[s] for one in looks])) for s in looks[0].seconds
        }
        values = {
            **stages,
            "objects": _mean([len(one) for one in looks]),
            "rows": float(index.info()["rows"]),
        }
        lines.append(Line("speed", f"look, 2.1 megapixels, {name}", values, len(looks)))
    index.close()
    return lines


def _large_index(bench: LookBench) -> Index:
    index = open_or_create(bench.work / f"large-{bench.encoder.spec.fingerprint}.index", bench.encoder)
    if len(index) >= LARGE_INDEX:
        return index
    import pyarrow as pa
    import pyarrow.parquet as pq

    with bench.gallery.catalog.read() as reader:
        names = [pin.id for pin in reader.each_pin()]
    known = bench.gallery.vectors(names)
    rng = np.random.default_rng(bench.seed)
    vectors = known[rng.integers(0, len(known), LARGE_INDEX)]
    vectors = vectors + rng.normal(0, 0.5 / np.sqrt(vectors.shape[1]), vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder = bench.work / "large"
    for part in ("img_emb", "metadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / "img_emb_0.npy", vectors.astype(np.float16))
    table = pa.table({"id": [f"row/{n}" for n in range(LARGE_INDEX)], "category": ["thing"] * LARGE_INDEX})
    pq.write_table(table, folder / "metadata" / "metadata_0.parquet")
    bench.tell(f"indexing {LARGE_INDEX:,} rows ...")
    index.add(folder)
    return index


TASKS: Mapping[str, Callable[[LookBench], list[Line]]] = MappingProxyType(
    {
        "proposals": proposals_task,
        "photos": photos_task,
        "crops": crops_task,
        "look": look_task,
        "crowded": crowded_task,
        "regions": regions_task,
        "speed": speed_task,
    }
)


def measure_look(bench: LookBench, tasks: Sequence[str] = ()) -> Iterator[Line]:
    """The lines of the named tasks (none: all), as they are measured. Raises UnknownNameError, UsageError."""
    for name in tasks:
        if name not in TASKS:
            raise UnknownNameError("task", name, TASKS)
    for name, task in TASKS.items():
        if name in tasks or (not tasks and (name != "photos" or bench.photos is not None)):
            bench.tell(f"measuring {name} ...")
            yield from task(bench)


# -- figures ------------------------------------------------------------------------------------------------------
def _best(found: Sequence[Box], truth: Sequence[Box]) -> list[float]:
    """The highest overlap of each true box with a found one."""
    if not found or not truth:
        return [0.0] * len(truth)
    return [float(v) for v in overlaps(np.array(truth), np.array(found)).max(1)]


def _side(box: Box) -> float:
    return max(box.x1 - box.x0, box.y1 - box.y0)


def _rank(ids: Sequence[str], placed: Placed) -> int | None:
    return ids.index(placed.piece.name) if placed.piece.name in ids else None


def _ranked_line(task: str, what: str, ranks: Sequence[Sequence[int | None]]) -> Line:
    flat = [rank for some in ranks for rank in some]
    values = {"R@1": _mean([r == 0 for r in flat]), "R@10": _mean([r is not None for r in flat])}
    return Line(task, what, values, len(flat))


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
