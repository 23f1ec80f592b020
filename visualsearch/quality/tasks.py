"""What is measured: one function a task, each giving the rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from visualsearch.encoders import BaseEncoder
from visualsearch.errors import UsageError
from visualsearch.evaluate import Flags, hit_rate, pair_recall, precision_at_k, zero_shot
from visualsearch.quality import compose, speed
from visualsearch.quality.data import DATASETS, VENDORS, Data, Labelled, left_out
from visualsearch.types import Float32

# A class is the mean of its prompts' vectors (prompt ensembling, Radford et al. 2021, section 3.1.4). Retrieval by
# name asks with the bare name, as people type it.
PROMPTS = ("{}", "a photo of a {}")
SEED = 20261122
POOL = 5_000
QUERIES = 500
GROUNDS = 64
T = TypeVar("T")


class State(StrEnum):
    """What became of a row."""

    MEASURED = "measured"
    NO_DATA = "no data"
    NO_TEXT = "no text tower"


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` maps a metric to its figure: shares 0..1, or pictures a second, or a ratio."""

    task: str
    what: str
    values: Mapping[str, float] = field(default_factory=dict)
    queries: int = 0
    gallery: int = 0
    note: str = ""
    state: State = State.MEASURED


class Bench:
    """An encoder, the data, and the vectors of the picture files that were embedded so far.

    Only vectors are kept, 4 * dim bytes a picture; pictures are decoded a few batches ahead. `limit` thins every
    set to that many items, evenly over its sorted list, so that each class keeps its share.
    """

    def __init__(self, encoder: BaseEncoder, data: Data, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise UsageError(
                f"the limit is {limit}", "it must be 1 or more", "Leave it out to measure on everything"
            )
        self.encoder, self.data, self.limit = encoder, data, limit
        self._known: dict[Path, Float32] = {}

    def thin(self, items: Sequence[T]) -> list[T]:
        """At most `limit` of the items, evenly spaced, in their order."""
        if self.limit is None or len(items) <= self.limit:
            return list(items)
        return [items[i * len(items) // self.limit] for i in range(self.limit)]

    def pictures(self, paths: Sequence[Path]) -> Float32:
        """(n, d) unit vectors of picture files; each file is embedded once. Raises PictureError."""
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        if new:
            self._known.update(zip(new, self.encoder.embed_images(new), strict=True))
        return np.stack([self._known[path] for path in paths])

    def words(self, names: Sequence[str]) -> Float32:
        """(n, d) unit vectors of bare names."""
        return self.encoder.embed_texts(names)

    def classes(self, names: Sequence[str]) -> Float32:
        """(n, d) unit vectors of class names, each the mean over PROMPTS."""
        total = np.sum([self.words([prompt.format(name) for name in names]) for prompt in PROMPTS], axis=0)
        unit: Float32 = (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)
        return unit


@dataclass(frozen=True)
class Task:
    """A thing to measure: `run` gives its rows; `missing` names the data sets that are not there and are needed.

    `text` says that the encoder needs a text tower.
    """

    name: str
    measures: str
    run: Callable[[Bench], list[Row]]
    missing: Callable[[Data], tuple[str, ...]]
    text: bool = False

    @property
    def group(self) -> str:
        """The first word of the name: `--tasks emoji` asks for all tasks of that group."""
        return self.name.partition("-")[0]


def clothing_category(bench: Bench) -> list[Row]:
    """Photographs of the same category, validation against train."""
    asked, stored = (bench.thin(bench.data.clothing(split)) for split in ("validation", "train"))
    scores, relevant = _by_class(bench, asked, stored)
    return [
        _row(
            "clothing-category",
            {"P@10": precision_at_k(scores, relevant, 10), "P@1": _first(scores, relevant)},
            scores,
        )
    ]


def clothing_names(bench: Bench) -> list[Row]:
    """A photograph's category by its name."""
    asked = bench.thin(bench.data.clothing("validation"))
    names = sorted({item.label for item in bench.data.clothing("validation")})
    labels = np.array([names.index(item.label) for item in asked])
    scores = bench.pictures(_paths(asked)) @ bench.classes(names).T
    return [_row("clothing-names", {"top-1": zero_shot(scores, labels)}, scores)]


def grocery_catalogue(bench: Bench) -> list[Row]:
    """A shop photograph's catalogue picture."""
    asked, stored = bench.thin(bench.data.grocery("val")), bench.data.grocery_classes()
    scores = bench.pictures(_paths(asked)) @ bench.pictures(_paths(stored)).T
    targets = np.array([int(item.label) for item in asked])
    values = {f"R@{k}": pair_recall(scores, targets, k) for k in (1, 10)}
    return [_row("grocery-catalogue", values, scores)]


def grocery_class(bench: Bench) -> list[Row]:
    """Shop photographs of the same product, val against train."""
    asked, stored = (bench.thin(bench.data.grocery(split)) for split in ("val", "train"))
    scores, relevant = _by_class(bench, asked, stored)
    return [_row("grocery-class", {"P@1": _first(scores, relevant)}, scores)]


def grocery_names(bench: Bench) -> list[Row]:
    """A shop photograph's product by its name."""
    asked = bench.thin(bench.data.grocery("val"))
    classes = bench.classes([item.label for item in bench.data.grocery_classes()])
    scores = bench.pictures(_paths(asked)) @ classes.T
    return [
        _row(
            "grocery-names",
            {"top-1": zero_shot(scores, np.array([int(item.label) for item in asked]))},
            scores,
        )
    ]


def eshop_names(bench: Bench) -> list[Row]:
    """A product's picture by its name."""
    items = bench.thin(bench.data.eshop())
    scores = bench.words([item.label for item in items]) @ bench.pictures(_paths(items)).T
    return [_row("eshop-names", _recalls(scores, np.eye(len(items), dtype=np.bool_)), scores)]


def emoji_vendors(bench: Bench) -> list[Row]:
    """The same emoji drawn by another vendor, each pair of vendors both ways, and their mean."""
    rows = []
    for (one, drawn), (other, redrawn) in combinations(bench.data.vendors().items(), 2):
        shared = bench.thin(sorted(drawn.keys() & redrawn.keys()))
        if not shared:
            continue
        scores = bench.pictures([drawn[c] for c in shared]) @ bench.pictures([redrawn[c] for c in shared]).T
        same = np.arange(len(shared))
        values = {"R@1": pair_recall(scores, same, 1), "R@1 back": pair_recall(scores.T, same, 1)}
        rows.append(_row("emoji-vendors", values, scores, what=f"{one} -> {other}"))
    if not rows:
        raise UsageError(
            "no two vendors draw the same emoji",
            "their file names share no code points",
            "Fetch the sets again",
        )
    mean = float(np.mean([value for row in rows for value in row.values.values()]))
    total = sum(2 * row.queries for row in rows)
    return [
        *rows,
        Row("emoji-vendors", f"mean over {2 * len(rows)} directions", {"R@1": mean}, total, rows[0].gallery),
    ]


def emoji_names(bench: Bench) -> list[Row]:
    """A drawing by the emoji's name, each vendor."""
    names = bench.data.emoji_names()
    rows = []
    for vendor, drawn in bench.data.vendors().items():
        codes = bench.thin(sorted(drawn.keys() & names.keys()))
        scores = bench.words([names[c] for c in codes]) @ bench.pictures([drawn[c] for c in codes]).T
        rows.append(
            _row(
                "emoji-names",
                _recalls(scores, np.eye(len(codes), dtype=np.bool_)),
                scores,
                what=f"name -> {vendor}",
            )
        )
    return rows


def tuxpaint_captions(bench: Bench) -> list[Row]:
    """A photograph of a single thing by its caption; any photograph with that caption is right."""
    items = bench.thin(bench.data.tuxpaint())
    captions = sorted({item.label for item in items})
    scores = bench.words(captions) @ bench.pictures(_paths(items)).T
    relevant = np.array([item.label for item in items]) == np.array(captions)[:, None]
    rows = [_row("tuxpaint-captions", _recalls(scores, relevant), scores, what="all captions")]
    kept = np.array([left_out(caption) for caption in captions])
    if kept.any():
        values = _recalls(scores[kept], relevant[kept])
        rows.append(_row("tuxpaint-captions", values, scores[kept], what="the half left out of training"))
    return rows


def crop(bench: Bench) -> list[Row]:
    """The picture that a part of it, 30 to 50 % of its side and on another picture's ground, was taken from."""
    asked, others, grounds = _photographs(bench)
    pool = [*asked, *others][:POOL]
    return _composed(bench, "crop-source", compose.crop_query, asked[:QUERIES], pool, grounds)


def cutout(bench: Bench) -> list[Row]:
    """The picture of a thing that stands small, 30 to 50 % of the side, in a busy photograph."""
    things = [item.path for item in bench.thin(bench.data.tuxpaint())]
    asked = [item.path for item in bench.thin(bench.data.tuxpaint()) if left_out(item.label)][:QUERIES]
    if not asked:
        raise UsageError("no stamp is left to ask for", "the limit is too small", "Give a larger --limit")
    first, others, grounds = _photographs(bench)
    pool = [*asked, *(path for path in things if path not in set(asked)), *first, *others][:POOL]
    return _composed(bench, "cutout-source", compose.cut_out_query, asked, pool, grounds)


def image_speed(bench: Bench) -> list[Row]:
    """Pictures a second of the image tower, and how many times ViT-B/32's."""
    found = speed.measure(bench.encoder)
    values = {"images/s": found.encoder}
    if found.peer is None or found.ratio is None:
        note = f"not compared with {speed.PEER}; run: pip install 'visualsearch[clip]'"
    else:
        values |= {f"{speed.PEER} torch fp32 images/s": found.peer, "times": found.ratio}
        note = f"medians of {speed.ROUNDS} turns of {speed.BATCH} pictures"
    return [Row("speed", TASKS["speed"].measures, values, note=note)]


def _photographs(bench: Bench) -> tuple[list[Path], list[Path], list[Path]]:
    """Photographs to ask for (of no training split), others to search among, and grounds, which are in neither."""
    data = bench.data
    unseen: list[Labelled] = []
    seen: list[Labelled] = []
    if not _need("clothing")(data):
        unseen, seen = unseen + data.clothing("validation"), seen + data.clothing("train")
    if not _need("grocery")(data):
        unseen, seen = unseen + data.grocery("val"), seen + data.grocery("train")
    rng = np.random.default_rng(SEED)
    asked = [unseen[i].path for i in rng.permutation(len(unseen))]
    others = [seen[i].path for i in rng.permutation(len(seen))]
    grounds, others = others[:GROUNDS], others[GROUNDS:]
    return bench.thin(asked), bench.thin(others), grounds


def _composed(
    bench: Bench,
    task: str,
    draw: Callable[[Path, Path, tuple[int, int]], object],
    asked: Sequence[Path],
    pool: Sequence[Path],
    grounds: Sequence[Path],
) -> list[Row]:
    queries: Iterable[object] = (
        draw(path, grounds[i % len(grounds)], (SEED, i)) for i, path in enumerate(asked)
    )
    scores = bench.encoder.embed_images(queries) @ bench.pictures(pool).T
    values = {f"R@{k}": pair_recall(scores, np.arange(len(asked)), k) for k in (1, 10) if k <= len(pool)}
    return [_row(task, values, scores, note=f"seed {SEED}")]


def _by_class(bench: Bench, asked: Sequence[Labelled], stored: Sequence[Labelled]) -> tuple[Float32, Flags]:
    scores: Float32 = bench.pictures(_paths(asked)) @ bench.pictures(_paths(stored)).T
    relevant: Flags = np.array([item.label for item in asked])[:, None] == np.array(
        [item.label for item in stored]
    )
    return scores, relevant


def _recalls(scores: Float32, relevant: Flags) -> dict[str, NDArray[np.float64]]:
    return {f"R@{k}": hit_rate(scores, relevant, k) for k in (1, 10) if k <= scores.shape[1]}


def _first(scores: Float32, relevant: Flags) -> NDArray[np.float64]:
    return precision_at_k(scores, relevant, 1)


def _row(
    task: str, values: Mapping[str, NDArray[np.float64]], scores: Float32, *, what: str = "", note: str = ""
) -> Row:
    means = {name: float(each.mean()) for name, each in values.items()}
    return Row(task, what or TASKS[task].measures, means, scores.shape[0], scores.shape[1], note)


def _paths(items: Sequence[Labelled]) -> list[Path]:
    return [item.path for item in items]


def _need(*names: str) -> Callable[[Data], tuple[str, ...]]:
    """Of the named sets, those that are not there."""
    return lambda data: tuple(name for name in names if not DATASETS[name].present(data))


def _need_one(*names: str) -> Callable[[Data], tuple[str, ...]]:
    """All of the named sets where none is there."""
    return lambda data: () if len(_need(*names)(data)) < len(names) else names


def _need_vendors(count: int) -> Callable[[Data], tuple[str, ...]]:
    """The vendors that are not there, where fewer than `count` vendors of any name are."""
    return lambda data: () if len(data.vendors()) >= count else _need(*VENDORS)(data)


def _both(*needs: Callable[[Data], tuple[str, ...]]) -> Callable[[Data], tuple[str, ...]]:
    return lambda data: tuple(dict.fromkeys(name for need in needs for name in need(data)))


_PHOTOGRAPHS = _need_one("clothing", "grocery")
_ALL = (
    Task("clothing-category", "clothing: same category, validation -> train", clothing_category, _need("clothing")),
    Task("clothing-names", "clothing: category by its name, zero-shot", clothing_names, _need("clothing"), text=True),
    Task("grocery-catalogue", "grocery: shop photo -> catalogue picture", grocery_catalogue, _need("grocery")),
    Task("grocery-class", "grocery: same product, val -> train", grocery_class, _need("grocery")),
    Task("grocery-names", "grocery: product by its name, zero-shot", grocery_names, _need("grocery"), text=True),
    Task("emoji-vendors", "emoji: same emoji of another vendor", emoji_vendors, _need_vendors(2)),
    Task(
        "emoji-names", "emoji: name -> drawing", emoji_names, _both(_need("emoji-names"), _need_vendors(1)), text=True
    ),
    Task("tuxpaint-captions", "stamps: caption -> photograph", tuxpaint_captions, _need("tuxpaint"), text=True),
    Task("eshop-names", "eshop: product name -> picture", eshop_names, _need("eshop"), text=True),
    Task("crop-source", "part (30-50 % of the side), new ground -> its picture", crop, _PHOTOGRAPHS),
    Task(
        "cutout-source", "object at 30-50 % of the side, new ground -> its picture", cutout,
        _both(_need("tuxpaint"), _PHOTOGRAPHS),
    ),
    Task("speed", "image tower alone", image_speed, lambda _: ()),
)  # fmt: skip
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
