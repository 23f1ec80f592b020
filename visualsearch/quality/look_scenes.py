"""Scenes with known answers: real objects, cut out, pasted on photographs and busy grounds, with their true boxes.

An object is a stamp of tuxpaint, which has a transparent ground. Or it is a product picture or photograph whose even ground
could be removed. A scene holds 3 to 6 objects at 8 to 60 % of its side. They are turned, lit anew, partly hidden, and saved as
JPEG. The hash of their names splits objects and grounds in two: what a detector is trained on is never measured on.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from visualsearch.errors import PictureError
from visualsearch.images import load
from visualsearch.types import Bool, Box

from .compose import cut_out
from .data import Data

T = TypeVar("T")

GROUND_ROOTS = (Path("/usr/share/backgrounds"), Path("/usr/share/wallpapers"))
PIECE_SIDE = 480  # pixels, the longer side of a cut-out as it is kept
SHOT_SIDE = 384  # pixels, the longer side of a product shot
TRIES = 40  # places tried for an object before it is left out
SEEN = 0.6  # an object of which less than this share is still visible at the end is not asked for


class Split(StrEnum):
    """Which half of the objects and grounds: those a detector may learn from, or those kept for measuring."""

    TRAIN = "train"
    MEASURE = "measure"


@dataclass(frozen=True)
class Piece:
    """An object: its name, its set, and the picture it is cut from."""

    name: str
    group: str
    path: Path


@dataclass(frozen=True)
class Placed:
    """An object in a scene: which one, and where it is visible."""

    piece: Piece
    box: Box


@dataclass(frozen=True)
class Scene:
    """A composed picture, the objects in it, and which of its pixels are theirs: (h, w) bool."""

    picture: Image.Image
    objects: tuple[Placed, ...]
    cover: Bool


@dataclass(frozen=True)
class Recipe:
    """How scenes are made. Shares are of the scene's shorter side, angles in degrees."""

    width: int = 960
    height: int = 720
    fewest: int = 3
    most: int = 6
    low: float = 0.08
    high: float = 0.60
    turn: float = 25.0
    hidden: float = 0.3  # chance that an object may cover a part of another
    photographs: float = 0.5  # chance that the ground is a shop or clothes photograph rather than a wallpaper


def split_of(name: str) -> Split:
    """Three fifths of all names are for training, by the hash of the name's stem without size or mirror marks."""
    return Split.TRAIN if hashlib.sha256(name.encode()).digest()[0] < 154 else Split.MEASURE


def pieces(data: Data, split: Split, kept: Sequence[str] = ()) -> list[Piece]:
    """The objects of a split; names in `kept` (those of the sample scenes, say) are always for measuring."""
    found = [*_stamps(data), *_shots(data)]
    return [p for p in found if (Split.MEASURE if p.name in kept else split_of(p.name)) is split]


def _stamps(data: Data) -> Iterator[Piece]:
    root = data.tuxpaint_root()
    for labelled in data.tuxpaint() if root.is_dir() else ():
        yield Piece(labelled.path.relative_to(root).with_suffix("").as_posix(), "tuxpaint", labelled.path)


def _shots(data: Data) -> Iterator[Piece]:
    """Product pictures; whether their ground can be removed shows when they are cut."""
    if data.place("eshop").is_dir():
        yield from (Piece(f"eshop/{p.path.stem}", "eshop", p.path) for p in data.eshop())
    if data.place("grocery").is_dir():
        yield from (Piece(f"grocery/{p.label}", "grocery", p.path) for p in data.grocery_classes())
    for split in ("train", "validation"):
        if data.place("clothing", split).is_dir():
            found = data.clothing(split)
            yield from (Piece(f"clothing/{p.path.stem}", "clothing", p.path) for p in found)


def grounds(data: Data, split: Split) -> tuple[list[Path], list[Path]]:
    """Wallpapers and photographs (of shops) of a split; photographs for training come from the set's own train half."""
    walls: dict[str, Path] = {}
    for root in GROUND_ROOTS:
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"} and path.is_file():
                # one wallpaper lies in many sizes: the name of its folder stands for all of them
                theme = path.parents[2].name if path.parent.name.startswith("images") else path.stem
                if "screenshot" not in path.stem:
                    walls.setdefault(theme, path)
    chosen = [path for theme, path in sorted(walls.items()) if split_of(theme.split("_")[0]) is split]
    shops = data.grocery("train" if split is Split.TRAIN else "val") if data.place("grocery").is_dir() else []
    return chosen, [p.path for p in shops]


# -- cutting out --------------------------------------------------------------------------------------------------
@lru_cache(maxsize=4096)
def cut(piece: Piece) -> Image.Image | None:
    """The object as RGBA, cut to what is visible; None where its ground cannot be removed."""
    try:
        if piece.group == "tuxpaint":
            found: Image.Image | None = cut_out(piece.path)
        else:
            found = without_ground(load(piece.path, target=PIECE_SIDE))
    except PictureError:
        return None
    if found is None or min(found.size) < 24:
        return None
    found.thumbnail((PIECE_SIDE, PIECE_SIDE), Image.Resampling.LANCZOS)
    return found


def without_ground(picture: Image.Image) -> Image.Image | None:
    """The object on an even ground as RGBA; None when the border is uneven, or what is left is no clear object.

    The ground is what can be reached from the border without leaving the border's colour (median, in Lab).
    """
    small = picture.copy()
    small.thumbnail((160, 160), Image.Resampling.BILINEAR)
    lab = np.asarray(small.convert("LAB"), np.int16)
    lab = np.where(lab > 127, lab - 256, lab) if lab.min() < 0 else lab
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    middle = np.median(border, axis=0)
    if np.percentile(np.abs(border - middle).sum(1), 90) > 22:
        return None
    like = np.abs(lab - middle).sum(2) < 26
    ground = reached(like)
    share = 1 - ground.mean()
    touches = 1 - np.concatenate([ground[0], ground[-1], ground[:, 0], ground[:, -1]]).mean()
    if not 0.06 < share < 0.85 or touches > 0.2:
        return None
    alpha = Image.fromarray(np.where(ground, 0, 255).astype(np.uint8)).filter(ImageFilter.MinFilter(3))
    alpha = alpha.resize(picture.size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
    cutting = picture.convert("RGBA")
    cutting.putalpha(alpha)
    box = alpha.point(lambda a: 255 if a > 40 else 0).getbbox()
    return cutting.crop(box) if box else None


def reached(open_: Bool) -> Bool:
    """(h, w) bool: the cells of `open_` that are joined to the border through other such cells."""
    height, width = open_.shape
    seen = np.zeros_like(open_)
    edge = [(y, x) for y in range(height) for x in (0, width - 1)]
    edge += [(y, x) for x in range(width) for y in (0, height - 1)]
    queue = deque(p for p in edge if open_[p])
    for place in queue:
        seen[place] = True
    while queue:
        y, x = queue.popleft()
        for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= ny < height and 0 <= nx < width and open_[ny, nx] and not seen[ny, nx]:
                seen[ny, nx] = True
                queue.append((ny, nx))
    return seen


def product_shot(piece: Piece) -> Image.Image:
    """The picture that a catalog would have: the product's own picture, or a stamp on white with a small margin."""
    if piece.group != "tuxpaint":
        return load(piece.path, target=SHOT_SIDE)
    cutting = cut(piece)
    if cutting is None:
        raise PictureError(str(piece.path), "nothing in it is visible", "Fetch the set again")
    side = round(max(cutting.size) * 1.12)
    shot = Image.new("RGB", (side, side), (255, 255, 255))
    shot.paste(cutting, ((side - cutting.width) // 2, (side - cutting.height) // 2), cutting)
    shot.thumbnail((SHOT_SIDE, SHOT_SIDE), Image.Resampling.LANCZOS)
    return shot


# -- composing ----------------------------------------------------------------------------------------------------
@lru_cache(maxsize=600)
def _ground(path: Path) -> Image.Image:
    picture = load(path, target=1600)
    picture.thumbnail((1600, 1600), Image.Resampling.BILINEAR)
    return picture


def compose(
    chosen: Sequence[Piece], grounds: tuple[Sequence[Path], Sequence[Path]], rng: Generator, recipe: Recipe
) -> Scene:
    """One scene with objects drawn from `chosen`; the same generator state gives the same scene."""
    walls, shops = grounds
    in_shop = bool(shops) and (not walls or rng.random() < recipe.photographs)
    scene = _window(_ground(_any(shops if in_shop else walls, rng)), rng, recipe)
    wanted = int(rng.integers(recipe.fewest, recipe.most + 1))
    covers: list[tuple[Piece, Bool]] = []
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(3 * wanted):
        if len(covers) == wanted:
            break
        piece = _any(chosen, rng)
        cutting = None if any(p == piece for p, _ in covers) else cut(piece)
        if cutting is None:
            continue
        changed = _changed(cutting, scene.size, rng, recipe)
        place = _place(changed.size, scene.size, boxes, rng, recipe)
        if place is None:
            continue
        cover = _paste(scene, changed, place, rng)
        covers = [(p, c & ~cover) for p, c in covers] + [(piece, cover)]
        boxes.append((*place, place[0] + changed.width, place[1] + changed.height))
        full = int(cover.sum())
        if full < 64:
            covers.pop()
            boxes.pop()
    placed = tuple(
        Placed(piece, box)
        for (piece, cover), whole in zip(covers, boxes, strict=True)
        if (box := _box(cover, whole)) is not None
    )
    union = np.zeros((scene.height, scene.width), bool)
    for _, cover in covers:
        union |= cover
    return Scene(_saved(scene, rng), placed, union)


def _any(items: Sequence[T], rng: Generator) -> T:
    return items[int(rng.integers(len(items)))]


def _window(ground: Image.Image, rng: Generator, recipe: Recipe) -> Image.Image:
    """A part of the ground of the scene's shape, 60 to 100 % of what fits, sometimes mirrored."""
    shape = recipe.width / recipe.height
    width = min(ground.width, ground.height * shape) * rng.uniform(0.6, 1.0)
    height = width / shape
    left, top = rng.uniform(0, ground.width - width), rng.uniform(0, ground.height - height)
    size = (recipe.width, recipe.height)
    part = ground.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def _changed(cutting: Image.Image, scene: tuple[int, int], rng: Generator, recipe: Recipe) -> Image.Image:
    """The object scaled, turned and lit anew, cut to what is visible. Small sizes are as likely as large ones."""
    share = float(np.exp(rng.uniform(np.log(recipe.low), np.log(recipe.high))))
    scale = min(scene) * share / max(cutting.size)
    size = tuple(max(2, round(side * scale)) for side in cutting.size)
    piece = cutting.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # premultiplied, so that what hides under the transparent ground does not bleed in
    angle = float(rng.normal(0, recipe.turn / 2))
    piece = piece.convert("RGBa").rotate(angle, Image.Resampling.BICUBIC, expand=True).convert("RGBA")
    alpha = piece.getchannel("A")
    box = alpha.point(lambda a: 255 if a > 40 else 0).getbbox()
    piece = piece.crop(box) if box else piece
    alpha = piece.getchannel("A")
    rgb = piece.convert("RGB")
    for change in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast):
        rgb = change(rgb).enhance(float(rng.uniform(0.75, 1.25)))
    if rng.random() < 0.3:
        rgb = rgb.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
        alpha = alpha.filter(ImageFilter.GaussianBlur(0.7))
    rgb.putalpha(alpha)
    return rgb


def _place(
    size: tuple[int, int],
    scene: tuple[int, int],
    boxes: Sequence[tuple[int, int, int, int]],
    rng: Generator,
    recipe: Recipe,
) -> tuple[int, int] | None:
    """A left top corner; by chance it may cover up to a third of another object, else it leaves them all free."""
    allowed = 0.33 if rng.random() < recipe.hidden else 0.02
    if size[0] >= scene[0] or size[1] >= scene[1]:
        return None
    for _ in range(TRIES):
        x, y = int(rng.integers(0, scene[0] - size[0])), int(rng.integers(0, scene[1] - size[1]))
        shares = [_shared((x, y, x + size[0], y + size[1]), other) for other in boxes]
        if all(share <= allowed for share in shares):
            return x, y
    return None


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """The part of the smaller rectangle that both have."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b))
    return max(0, width) * max(0, height) / max(1, smaller)


def _paste(scene: Image.Image, piece: Image.Image, place: tuple[int, int], rng: Generator) -> Bool:
    """Put the piece into the scene, often with a soft shadow; (h, w) bool of what it covers."""
    alpha = Image.new("L", scene.size, 0)
    alpha.paste(piece.getchannel("A"), place)
    if rng.random() < 0.6:
        reach = max(1.0, 0.03 * max(piece.size))
        shadow = ImageChops.offset(alpha, round(reach * rng.uniform(-1, 1)), round(reach * rng.uniform(0, 1)))
        strength = float(rng.uniform(0.2, 0.6))
        dark = shadow.filter(ImageFilter.GaussianBlur(reach)).point(lambda a: round(a * strength))
        scene.paste((0, 0, 0), (0, 0), dark)
    scene.paste(piece.convert("RGB"), place, piece.getchannel("A"))
    return np.asarray(alpha) > 100


def _box(cover: Bool, whole: tuple[int, int, int, int]) -> Box | None:
    """The rectangle around what is left visible; None when too much is hidden."""
    columns, rows = np.flatnonzero(cover.any(0)), np.flatnonzero(cover.any(1))
    if not len(columns):
        return None
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    if (x1 - x0) * (y1 - y0) < SEEN * (whole[2] - whole[0]) * (whole[3] - whole[1]):
        return None
    height, width = cover.shape
    return Box(float(x0 / width), float(y0 / height), float(x1 / width), float(y1 / height))


def _saved(scene: Image.Image, rng: Generator) -> Image.Image:
    """The scene as it comes back from a JPEG file."""
    out = BytesIO()
    scene.save(out, "JPEG", quality=int(rng.integers(60, 95)))
    return Image.open(BytesIO(out.getvalue())).convert("RGB")
