"""The table of scores, from vectors: what is measured, on which pictures, and how.

Queries and pools are drawn once (seeded) from pictures that training never sees, except where a pool says that it holds
training pictures as distractors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from augment import SIZE, Backgrounds, centre, colour_name, fit_squash, on_white, paste, resize, window
from numpy.typing import NDArray
from store import Item, PackedSet, Pixels
from texts import COLOURS

Vectors = NDArray[np.float32]
Texts = Callable[[list[str]], Vectors]
VENDORS = ("google", "twitter", "openmoji", "fluent3d", "blobs")
WHOLE_SETS = (
    "clothing_train", "clothing_validation", "grocery_train", "grocery_val", "grocery_catalogue",
    *(f"emoji_{v}" for v in VENDORS), "tuxpaint", "openclipart_held", "homes",
)  # fmt: skip
CLOTHING_NAMES = (
    "dress",
    "hat",
    "longsleeve",
    "outwear",
    "pants",
    "shirt",
    "shoes",
    "shorts",
    "skirt",
    "t-shirt",
)


@dataclass(frozen=True)
class Pictures:
    """A group of pictures to embed: names them and draws each, any size, (h, w, 3) uint8."""

    name: str
    draw: Callable[[int], Pixels]
    rows: tuple[int, ...]


def whole(packed: Path, name: str) -> Pictures:
    held = name.endswith("_held")
    source = PackedSet(packed, name.removesuffix("_held"))
    rows = tuple(i for i, item in enumerate(source.items) if item.held_out or not held)

    def draw(i: int) -> Pixels:
        pixels = source[rows[i]]
        return on_white(pixels) if pixels.shape[2] == 4 else pixels

    return Pictures(name, draw, rows)


def crops(packed: Path, *, pasted: bool, seed: int = 11) -> Pictures:
    """A window of 30-50% of the sides of each validation photograph; `pasted` on an unseen wallpaper at 50-80%."""
    sources = [PackedSet(packed, n) for n in ("clothing_validation", "grocery_val")]
    papers = PackedSet(packed, "wallpapers")
    grounds = Backgrounds([(papers.__getitem__, [i for i, item in enumerate(papers.items) if item.held_out])])
    flat = [(s, i) for s, source in enumerate(sources) for i in range(len(source))]

    def draw(n: int) -> Pixels:
        rng = np.random.default_rng([seed, n])
        s, i = flat[n]
        part = window(sources[s][i], rng, 0.3, 0.5)
        if not pasted:
            return part
        ground = grounds.scene(rng)
        h, w = part.shape[:2]
        scale = SIZE * rng.uniform(0.5, 0.8) / max(h, w)
        part = resize(part, round(w * scale), round(h * scale))
        opaque = np.dstack([part, np.full(part.shape[:2], 255, np.uint8)])
        y, x = (int(rng.integers(0, SIZE - side + 1)) for side in part.shape[:2])
        return paste(ground, opaque, y, x)

    return Pictures("crops_pasted" if pasted else "crops", draw, tuple(range(len(flat))))


def objects_in_scenes(packed: Path, seed: int = 12) -> Pictures:
    """Unseen drawings and cut-outs laid on an unseen wallpaper, the box around them (with a tenth more) cut out."""
    sets = [PackedSet(packed, n) for n in ("openclipart", "tuxpaint")]
    flat = [(s, i) for s, one in enumerate(sets) for i, item in enumerate(one.items) if item.held_out]
    flat = flat[:: max(1, len(flat) // 700)]
    papers = PackedSet(packed, "wallpapers")
    grounds = Backgrounds([(papers.__getitem__, [i for i, item in enumerate(papers.items) if item.held_out])])

    def draw(n: int) -> Pixels:
        rng = np.random.default_rng([seed, n])
        s, i = flat[n]
        rgba = sets[s][i]
        scale = SIZE * 0.84 / max(rgba.shape[:2])
        rgba = resize(rgba, min(SIZE, round(rgba.shape[1] * scale)), min(SIZE, round(rgba.shape[0] * scale)))
        h, w = rgba.shape[:2]
        ground = grounds.scene(rng, 0.2, 0.5)
        return paste(ground, rgba, (SIZE - h) // 2, (SIZE - w) // 2)

    return Pictures("objects", draw, tuple(s * 1_000_000 + i for s, i in flat))


def all_pictures(packed: Path) -> list[Pictures]:
    return [
        *(whole(packed, name) for name in WHOLE_SETS),
        crops(packed, pasted=False), crops(packed, pasted=True), objects_in_scenes(packed),
    ]  # fmt: skip


def ranks(queries: Vectors, pool: Vectors, answers: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 where the answer is first; ties count against."""
    scores = queries @ pool.T
    own = scores[np.arange(len(queries)), answers]
    return (scores > own[:, None]).sum(1) + ((scores == own[:, None]).sum(1) - 1)


def best_rank(queries: Vectors, pool: Vectors, right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rank of the best of several right answers; `right` (queries, pool)."""
    scores = queries @ pool.T
    own = np.where(right, scores, -np.inf).max(1)
    return (scores > own[:, None]).sum(1)


def share(hits: NDArray[np.bool_]) -> float:
    return round(float(np.mean(hits)), 3)


def word_ranks(
    names: NDArray[np.str_], vectors: Vectors, texts: Texts, shortest: int = 0
) -> NDArray[np.int64]:
    """For each name of at least so many letters the best rank of a picture (row of `vectors`) that is called so."""
    words = [word for word in np.unique(names).tolist() if len(word) >= shortest]
    return best_rank(texts(words), vectors, np.array(words)[:, None] == names)


def household(items: list[Item], vectors: Vectors, texts: Texts) -> dict[str, float]:
    """Things that were held out: the second side asks for the fifth among all things', and names for theirs."""
    row = {(item.key, item.uri[-5]): n for n, item in enumerate(items)}
    pool = [n for (_, side), n in row.items() if side == "4"]
    held = [place for place, n in enumerate(pool) if items[n].held_out]
    asked = [row[items[pool[place]].key, "1"] for place in held]
    r = ranks(vectors[asked], vectors[pool], np.array(held))
    out = {"household thing from another side R@1": share(r == 0)}
    shown = [pool[place] for place in held]
    r = word_ranks(np.array([items[n].captions[0] for n in shown]), vectors[shown], texts)
    return out | {"household thing by name R@1": share(r == 0), "household thing by name R@10": share(r < 10)}


def colours_right(pixels: list[Pixels], names: NDArray[np.str_], vectors: Vectors, texts: Texts) -> float:
    """Share of the pictures in one colour whose colour's word before their name is nearer than any other colour's."""
    colours = np.array([colour_name(one) for one in pixels])
    known = np.flatnonzero(colours >= 0)
    words, word = np.unique(names[known], return_inverse=True)
    sentences = texts([f"{colour} {name}" for name in words for colour in COLOURS])
    scores = (sentences.reshape(len(words), len(COLOURS), -1)[word] * vectors[known, None]).sum(2)
    return share(scores.argmax(1) == colours[known])


def table(packed: Path, images: dict[str, Vectors], texts: Texts, unseen: str = "blobs") -> dict[str, float]:
    """Scores by row. `images` holds unit vectors (n, d) of every group of `all_pictures`; `texts` embeds sentences."""
    items = {n: PackedSet(packed, n).items for n in ("clothing_train", "clothing_validation", "grocery_train", "grocery_val",
             "grocery_catalogue", "tuxpaint", "openclipart", "homes", *(f"emoji_{v}" for v in VENDORS))}  # fmt: skip
    out: dict[str, float] = {}

    train_labels = np.array([i.label for i in items["clothing_train"]])
    val_labels = np.array([i.label for i in items["clothing_validation"]])
    scores = images["clothing_validation"] @ images["clothing_train"].T
    top = np.argsort(-scores, 1)[:, :10]
    out["clothing P@10"] = round(float((train_labels[top] == val_labels[:, None]).mean()), 3)
    names = texts(list(CLOTHING_NAMES))
    guess = np.array(CLOTHING_NAMES)[(images["clothing_validation"] @ names.T).argmax(1)]
    out["clothing zero-shot"] = share(guess == val_labels)
    prompts = texts([f"a photo of a {n}" for n in CLOTHING_NAMES])
    guess = np.array(CLOTHING_NAMES)[(images["clothing_validation"] @ prompts.T).argmax(1)]
    out["clothing zero-shot, 'a photo of a'"] = share(guess == val_labels)

    fine = {
        n: np.array([i.key for i in items[n]]) for n in ("grocery_train", "grocery_val", "grocery_catalogue")
    }
    near = (images["grocery_val"] @ images["grocery_catalogue"].T).argmax(1)
    out["grocery catalogue R@1"] = share(fine["grocery_catalogue"][near] == fine["grocery_val"])
    near = (images["grocery_val"] @ images["grocery_train"].T).argmax(1)
    out["grocery fine P@1"] = share(fine["grocery_train"][near] == fine["grocery_val"])
    product = texts([i.captions[0] for i in items["grocery_catalogue"]])
    near = (images["grocery_val"] @ product.T).argmax(1)
    out["grocery name zero-shot"] = share(fine["grocery_catalogue"][near] == fine["grocery_val"])

    emoji = {v: np.array([i.key for i in items[f"emoji_{v}"]]) for v in VENDORS}
    per_vendor = []
    for vendor in VENDORS:
        if vendor == unseen:
            continue
        place = {k: n for n, k in enumerate(emoji[vendor])}
        rows = np.array([n for n, k in enumerate(emoji[unseen]) if k in place])
        answers = np.array([place[k] for k in emoji[unseen][rows]])
        r = ranks(images[f"emoji_{unseen}"][rows], images[f"emoji_{vendor}"], answers)
        out[f"emoji {unseen} -> {vendor} R@1"] = share(r == 0)
        per_vendor.append(out[f"emoji {unseen} -> {vendor} R@1"])
    out["emoji unseen vendor R@1"] = round(float(np.mean(per_vendor)), 3)
    names = texts([i.captions[0] for i in items[f"emoji_{unseen}"]])
    r = ranks(names, images[f"emoji_{unseen}"], np.arange(len(names)))
    out["emoji name R@1"], out["emoji name R@10"] = share(r == 0), share(r < 10)

    photos = np.array([n for n, i in enumerate(items["tuxpaint"]) if i.held_out and i.kind == "photo"])
    captions = np.array([items["tuxpaint"][n].captions[0] for n in photos])
    r = word_ranks(captions, images["tuxpaint"][photos], texts)
    out["tuxpaint caption R@1"], out["tuxpaint caption R@10"] = share(r == 0), share(r < 10)
    out |= household(items["homes"], images["homes"], texts)
    held = [i for i in items["openclipart"] if i.held_out]
    titles = np.array([i.captions[0] for i in held])
    r = word_ranks(titles, images["openclipart_held"], texts, shortest=4)
    out["clip art title R@10"] = share(r < 10)
    drawings, photographs = PackedSet(packed, "openclipart"), PackedSet(packed, "clothing_validation")
    flat = [drawings[n] for n, i in enumerate(items["openclipart"]) if i.held_out]
    out["colour of clip art"] = colours_right(flat, titles, images["openclipart_held"], texts)
    flat = [centre(photographs[n]) for n in range(len(photographs))]
    out["colour of clothes"] = colours_right(flat, val_labels, images["clothing_validation"], texts)

    pool = np.concatenate(
        [images[n] for n in ("clothing_validation", "grocery_val", "clothing_train", "grocery_train")]
    )
    pool = pool[:5000]
    for name in ("crops", "crops_pasted"):
        out[f"{name} -> source of 5,000 R@1"] = share(
            ranks(images[name], pool, np.arange(len(images[name]))) == 0
        )
    flat_clip = np.array([n for n, i in enumerate(items["openclipart"]) if i.held_out])
    flat_tux = np.array([n for n, i in enumerate(items["tuxpaint"]) if i.held_out])
    order = {int(n): k for k, n in enumerate(flat_clip)} | {
        1_000_000 + int(n): len(flat_clip) + k for k, n in enumerate(flat_tux)
    }
    pool = np.concatenate([
        images["openclipart_held"], images["tuxpaint"][flat_tux],
        *(images[f"emoji_{v}"] for v in VENDORS),
    ])[:5000]  # fmt: skip
    queries = objects_in_scenes(packed).rows
    r = ranks(images["objects"], pool, np.array([order[q] for q in queries]))
    out["object in scene -> source of 5,000 R@1"] = share(r == 0)
    return out


def fitted(pictures: Pictures, fit: Callable[[Pixels], Pixels] = fit_squash) -> NDArray[np.uint8]:
    """(n, SIZE, SIZE, 3) uint8."""
    return np.stack([fit(pictures.draw(i)) for i in range(len(pictures.rows))])


def main() -> None:
    """Run the frozen part of the tower on every picture measured, once, for scoring checkpoints quickly."""
    import argparse

    from augment import FITS
    from views import Frozen

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--packed", type=Path, required=True)
    parser.add_argument("--frozen", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fit", choices=sorted(FITS), default="squash")
    arguments = parser.parse_args()
    frozen = Frozen(arguments.frozen)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for pictures in all_pictures(arguments.packed):
        target = arguments.out / f"{pictures.name}.npz"
        if target.exists():
            continue
        maps, pooled = [], []
        for start in range(0, len(pictures.rows), 32):
            rows = range(start, min(start + 32, len(pictures.rows)))
            codes, vectors = frozen(np.stack([FITS[arguments.fit](pictures.draw(i)) for i in rows]))
            maps.append(codes)
            pooled.append(vectors)
        np.savez(target, maps=np.concatenate(maps), pooled=np.concatenate(pooled))
        print(f"{pictures.name}: {len(pictures.rows)}", flush=True)


if __name__ == "__main__":
    main()
