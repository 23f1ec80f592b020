"""What is measured: one function a task, each giving the rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from visualsearch.errors import UsageError
from visualsearch.evaluate import pair_recall, precision_at_k, zero_shot
from visualsearch.images import load
from visualsearch.types import Float32

from . import compose, mix, near, speed
from .bench import Bench, Row, Task, by_class, cosines, first, paths, recalls
from .data import DATASETS, UNSEEN_VENDOR, VENDORS, Data, Labelled, left_out

# Zero-shot naming is measured with the bare name, as people type it, and with this prompt (Radford et al. 2021,
# section 3.1.4), which models trained on captions prefer. Retrieval by name asks with the bare name.
PROMPT = "a photo of a {}"
SEED = 20261122
POOL = 5_000
SMALL = (0.3, 0.5)  # how much of the side an object takes
PASTED = (0.5, 0.8)  # of a part laid on another ground
BOXED = (0.84, 0.84)  # of an object within a box drawn around it, a little wide
GROUNDS = 64


def clothing_category(bench: Bench) -> list[Row]:
    """Photographs of the same category, validation against train."""
    asked, stored = (bench.thin(bench.data.clothing(split)) for split in ("validation", "train"))
    scores, relevant = by_class(bench, asked, stored)
    return [
        _row(
            "clothing-category",
            {"P@10": precision_at_k(scores, relevant, 10), "P@1": first(scores, relevant)},
            scores,
        )
    ]


def clothing_names(bench: Bench) -> list[Row]:
    """A photograph's category by its name."""
    asked = bench.thin(bench.data.clothing("validation"))
    names = sorted({item.label for item in bench.data.clothing("validation")})
    labels = np.array([names.index(item.label) for item in asked])
    return [_zero_shot(bench, "clothing-names", asked, labels, names)]


def grocery_catalogue(bench: Bench) -> list[Row]:
    """A shop photograph's catalog picture."""
    asked, stored = bench.thin(bench.data.grocery("val")), bench.data.grocery_classes()
    scores = bench.alike(bench.pictures(paths(asked)), bench.pictures(paths(stored)))
    targets = np.array([int(item.label) for item in asked])
    values = {f"R@{k}": pair_recall(scores, targets, k) for k in (1, 10)}
    return [_row("grocery-catalogue", values, scores)]


def grocery_class(bench: Bench) -> list[Row]:
    """Shop photographs of the same product, val against train."""
    asked, stored = (bench.thin(bench.data.grocery(split)) for split in ("val", "train"))
    scores, relevant = by_class(bench, asked, stored)
    return [_row("grocery-class", {"P@1": first(scores, relevant)}, scores)]


def grocery_names(bench: Bench) -> list[Row]:
    """A shop photograph's product by its name."""
    asked = bench.thin(bench.data.grocery("val"))
    labels = np.array([int(item.label) for item in asked])
    names = [item.label for item in bench.data.grocery_classes()]
    return [_zero_shot(bench, "grocery-names", asked, labels, names)]


def eshop_names(bench: Bench) -> list[Row]:
    """A product's picture by its name."""
    items = bench.thin(bench.data.eshop())
    scores = cosines(bench.words([item.label for item in items]), bench.pictures(paths(items)))
    return [_row("eshop-names", recalls(scores, np.eye(len(items), dtype=np.bool_)), scores)]


def emoji_vendors(bench: Bench) -> list[Row]:
    """The same emoji drawn by another vendor, each pair of vendors both ways, and their means, apart for the vendor whose
    drawings no bundled model was trained on."""
    known: list[Row] = []
    unseen: list[Row] = []
    for (one, drawn), (other, redrawn) in combinations(bench.data.vendors().items(), 2):
        shared = bench.thin(sorted(drawn.keys() & redrawn.keys()))
        if not shared:
            continue
        scores = cosines(
            bench.pictures([drawn[c] for c in shared]), bench.pictures([redrawn[c] for c in shared])
        )
        same = np.arange(len(shared))
        values = {"R@1": pair_recall(scores, same, 1), "R@1 back": pair_recall(scores.T, same, 1)}
        group = unseen if UNSEEN_VENDOR in (one, other) else known
        group.append(_row("emoji-vendors", values, scores, what=f"{one} -> {other}"))
    if not known + unseen:
        raise UsageError(
            "no two vendors draw the same emoji",
            "their file names share no code points",
            "Fetch the sets again",
        )
    means = []
    for group, who in ((known, ""), (unseen, f" with {UNSEEN_VENDOR}, never trained on")):
        if group:
            mean = float(np.mean([value for row in group for value in row.values.values()]))
            what = f"mean over {2 * len(group)} directions{who}"
            means.append(Row("emoji-vendors", what, {"R@1": mean}, sum(2 * row.queries for row in group)))
    return [*known, *unseen, *means]


def emoji_names(bench: Bench) -> list[Row]:
    """A drawing by the emoji's name, each vendor."""
    names = bench.data.emoji_names()
    rows = []
    for vendor, drawn in bench.data.vendors().items():
        codes = bench.thin(sorted(drawn.keys() & names.keys()))
        scores = cosines(bench.words([names[c] for c in codes]), bench.pictures([drawn[c] for c in codes]))
        rows.append(
            _row(
                "emoji-names",
                recalls(scores, np.eye(len(codes), dtype=np.bool_)),
                scores,
                what=f"name -> {vendor}",
            )
        )
    return rows


def tuxpaint_captions(bench: Bench) -> list[Row]:
    """A photograph of a single thing by its caption; any photograph with that caption is right."""
    items = bench.thin(bench.data.tuxpaint())
    halves = {
        "all captions": items,
        "the half left out of training": [item for item in items if left_out(item.label)],
    }
    return _captions(bench, "tuxpaint-captions", halves)


def furniture_names(bench: Bench) -> list[Row]:
    """The picture of a household thing by its name; any thing of that name is right."""
    things = bench.data.furniture()
    keys = bench.thin(list(things))
    parts = {
        "all things": [things[key] for key in keys],
        "the quarter left out of training": [things[key] for key in keys if left_out(key, 0.25)],
    }
    return _captions(bench, "furniture-names", parts)


def crop(bench: Bench) -> list[Row]:
    """The picture that a part of it, 30 to 50 % of its sides, was taken from: as it is, and on another ground."""
    asked, others, grounds = _photographs(bench)
    pool = [*asked, *others][:POOL]

    def part(n: int) -> Image:
        return compose.window(load(pool[n]), _rng(n), *SMALL)

    def pasted(n: int) -> Image:
        return compose.onto(load(grounds[n % len(grounds)]), part(n), _rng(n), *PASTED)

    ways = {
        "part (30-50 % of the side) -> its picture": part,
        "the part on a new ground -> its picture": pasted,
    }
    count = min(len(asked), len(pool))
    return [_drawn(bench, "crop-source", what, map(draw, range(count)), pool) for what, draw in ways.items()]


def cutout(bench: Bench) -> list[Row]:
    """The catalog picture of a thing that is seen in a busy photograph: in a box drawn around it, and small."""
    items = bench.thin(bench.data.tuxpaint())
    asked = [item.path for item in items if left_out(item.label)]
    if not asked:
        raise UsageError("no stamp is left to ask for", "the limit is too small", "Give a larger --limit")
    unseen, seen, grounds = _photographs(bench)
    pool = [*asked, *(item.path for item in items if not left_out(item.label)), *unseen, *seen][:POOL]

    def scene(n: int, share: tuple[float, float]) -> Image:
        return compose.onto(load(grounds[n % len(grounds)]), compose.cut_out(asked[n]), _rng(n), *share)

    ways = {
        "object in a box on a new ground -> its picture": BOXED,
        "object at 30-50 % of the scene's side": SMALL,
    }
    return [
        _drawn(bench, "cutout-source", what, (scene(n, share) for n in range(len(asked))), pool)
        for what, share in ways.items()
    ]


def near_duplicates(bench: Bench) -> list[Row]:
    """Originals among their own edits, colour variants and other prints."""
    unseen, seen, _ = _photographs(bench)
    found = near.measure(bench.encoder, unseen[: near.ORIGINALS], seen[: 10 * near.ORIGINALS])
    mean = float(np.mean(list(found.recall.values())))
    values = {"recall": mean, "precision": found.precision}
    values |= {f"recall {name}": share for name, share in found.recall.items() if share < mean}
    lost = {
        "joined": found.joined / max(1, found.variants),
        "to be removed": found.same / max(1, found.variants),
    }
    return [
        Row(
            "near",
            "edits -> their original",
            values,
            near.ORIGINALS * len(near.EDITS),
            note=f"seed {near.SEED}",
        ),
        Row("near", "variants taken for duplicates", lost, found.variants),
    ]


def image_speed(bench: Bench) -> list[Row]:
    """Pictures per second of the image tower, and how many times ViT-B/32's."""
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


def _rng(n: int) -> np.random.Generator:
    """The n-th query is the same whatever is drawn before it."""
    return np.random.default_rng((SEED, n))


def _drawn(bench: Bench, task: str, what: str, queries: Iterable[Image], pool: Sequence[Path]) -> Row:
    """Query n was drawn from picture n of the pool."""
    scores = bench.alike(bench.encoder.embed_images(queries), bench.pictures(pool))
    same = np.arange(len(scores))
    values = {f"R@{k}": pair_recall(scores, same, k) for k in (1, 10) if k <= len(pool)}
    return _row(task, values, scores, what=what, note=f"seed {SEED}")


def _captions(bench: Bench, task: str, parts: Mapping[str, Sequence[Labelled]]) -> list[Row]:
    """Of each part that is not empty, its pictures by their captions; each caption is asked for once."""
    rows = []
    for what, items in parts.items():
        if items:
            captions = sorted({item.label for item in items})
            scores = cosines(bench.words(captions), bench.pictures(paths(items)))
            relevant = np.array([item.label for item in items]) == np.array(captions)[:, None]
            rows.append(_row(task, recalls(scores, relevant), scores, what=what))
    return rows


def _zero_shot(
    bench: Bench, task: str, asked: Sequence[Labelled], labels: NDArray[np.int64], names: Sequence[str]
) -> Row:
    pictures = bench.pictures(paths(asked))
    scores = cosines(pictures, bench.words(names))
    prompted = cosines(pictures, bench.words(names, PROMPT))
    values = {"top-1": zero_shot(scores, labels), "top-1 prompted": zero_shot(prompted, labels)}
    return _row(task, values, scores, note=f'prompt "{PROMPT}"')


def _row(
    task: str, values: Mapping[str, NDArray[np.float64]], scores: Float32, *, what: str = "", note: str = ""
) -> Row:
    means = {name: float(each.mean()) for name, each in values.items()}
    return Row(task, what or TASKS[task].measures, means, scores.shape[0], scores.shape[1], note)


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
    Task("grocery-catalogue", "grocery: shop photo -> catalog picture", grocery_catalogue, _need("grocery")),
    Task("grocery-class", "grocery: same product, val -> train", grocery_class, _need("grocery")),
    Task("grocery-names", "grocery: product by its name, zero-shot", grocery_names, _need("grocery"), text=True),
    Task("emoji-vendors", "emoji: same emoji of another vendor", emoji_vendors, _need_vendors(2)),
    Task(
        "emoji-names", "emoji: name -> drawing", emoji_names, _both(_need("emoji-names"), _need_vendors(1)), text=True
    ),
    Task("tuxpaint-captions", "stamps: caption -> photograph", tuxpaint_captions, _need("tuxpaint"), text=True),
    Task("furniture-names", "household things: name -> picture", furniture_names, _need("furniture"), text=True),
    Task("eshop-names", "eshop: product name -> picture", eshop_names, _need("eshop"), text=True),
    Task("crop-source", "part (30-50 % of the side) -> its picture", crop, _PHOTOGRAPHS),
    Task(
        "cutout-source", "object on a new ground -> its picture", cutout,
        _both(_need("tuxpaint"), _PHOTOGRAPHS),
    ),
    Task(
        "mix", "clothes: picture + colour word, word - picture", mix.mix,
        _both(_need("clothing"), _need("grocery")), text=True,
    ),
    Task(
        "nothing-alike", "nonsense, and queries that are answered", mix.nothing_alike,
        _both(_need("clothing"), _need("grocery")), text=True,
    ),
    Task("near", "edits of a picture -> the picture, its variants left alone", near_duplicates, _PHOTOGRAPHS),
    Task("speed", "image tower alone", image_speed, lambda _: ()),
)  # fmt: skip
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
