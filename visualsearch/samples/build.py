"""Rebuild the sample pins and scenes from Debian's packages. For maintainers; not part of the wheel.

    apt-get install tuxpaint-stamps-default mate-backgrounds
    python -m visualsearch.samples.build

`selection.csv` names the stamps and how they are filed; their pins, `scenes/`, `manifest.csv`, `scenes.json` are
made here. `photographs.csv` names the pieces of clothing and the materials: their pictures under `pins/` stay as they are.
README.md in this folder tells how both were chosen.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from visualsearch.types import Box, Float32

STAMPS = Path("/usr/share/tuxpaint/stamps")
BACKGROUNDS = Path("/usr/share/backgrounds/mate/nature")
HERE = Path(__file__).resolve().parent

LONGEST = 384  # pixels, the longer side of a pin
LARGEST_ZOOM = 2.0  # small stamps are enlarged at most this much
MARGIN = 0.06  # white border, as a fraction of the longer side
SCENE_WIDTH = 1280

COLUMNS = (
    *("id", "image", "title", "caption", "category", "kind", "board", "colour"),
    *("price", "price_note", "source"),
)

PRICE_RANGES = {  # lowest and highest illustrative price of a category
    "animals": (12.0, 90.0),
    "clothing": (6.0, 140.0),
    "food": (0.3, 6.0),
    "hobbies": (60.0, 480.0),
    "household": (1.0, 60.0),
    "materials": (8.0, 95.0),
    "people": (10.0, 30.0),
    "plants": (2.0, 35.0),
    "seasonal": (1.5, 45.0),
    "space": (8.0, 70.0),
    "sports": (5.0, 60.0),
    "tools": (4.0, 140.0),
    "town": (15.0, 120.0),
    "toys": (4.0, 40.0),
    "vehicles": (20.0, 200.0),
}

HUES = (  # upper bound of the hue in degrees, name
    (14, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (195, "turquoise"),
    (255, "blue"),
    (290, "purple"),
    (342, "pink"),
    (361, "red"),
)


class Ground(Enum):
    """How an object meets what is under it, and so what shadow it has."""

    LIES = "lies"  # on a surface seen from above: all round
    STANDS = "stands"  # on the ground: at its foot
    GROWS = "grows"  # in grass: weak, at its foot
    FLIES = "flies"  # none


@dataclass(frozen=True)
class Placed:
    """A pin in a scene: centre x and lower edge y as fractions, height as a fraction of the scene's height.

    `ground` is the layout's unless given.
    """

    pin: str
    x: float
    y: float
    height: float
    ground: Ground | None = None


@dataclass(frozen=True)
class Layout:
    """A scene: the photograph, the part of it that is used, and what is placed there.

    `sink` is how much of an object that stands in grass fades into it, as a fraction of its height.
    """

    id: str
    title: str
    background: str
    part: Box
    objects: tuple[Placed, ...]
    ground: Ground = Ground.STANDS
    sink: float = 0.0


LAYOUTS = (
    Layout(
        "fruit-board",
        "Fruit and vegetables on a wooden board",
        "Wood.jpg",
        Box(0.0, 0.34, 0.62, 0.89),
        (
            Placed("food/orange-seville", 0.17, 0.55, 0.36),
            Placed("food/avocado", 0.47, 0.49, 0.29),
            Placed("food/cherimoya", 0.79, 0.56, 0.42),
            Placed("food/corn", 0.23, 0.88, 0.16),
            Placed("food/kiwi", 0.59, 0.93, 0.30),
            Placed("food/ginger", 0.85, 0.94, 0.28),
        ),
        ground=Ground.LIES,
    ),
    Layout(
        "workbench",
        "Tools on a workbench",
        "Wood.jpg",
        Box(0.0, 0.1, 1.0, 1.0),
        (
            Placed("tools/toolbox", 0.24, 0.46, 0.32),
            Placed("tools/saw", 0.73, 0.52, 0.42),
            Placed("tools/hammer", 0.20, 0.95, 0.36),
            Placed("tools/pliers", 0.48, 0.93, 0.27),
            Placed("tools/measuring-tape", 0.81, 0.90, 0.20),
        ),
        ground=Ground.LIES,
    ),
    Layout(
        "savanna",
        "Animals in the dry grass",
        "Dune.jpg",
        Box(0.0, 0.0, 1.0, 1.0),
        (
            Placed("animals/gnu", 0.17, 0.86, 0.38),
            Placed("animals/crowned-crane", 0.455, 0.92, 0.38),
            Placed("animals/rhino-black", 0.79, 0.89, 0.27),
        ),
        ground=Ground.GROWS,
        sink=0.10,
    ),
    Layout(
        "meadow",
        "Mushrooms and small animals in the grass",
        "GreenMeadow.jpg",
        Box(0.0, 0.0, 1.0, 0.9),
        (
            Placed("plants/cep", 0.20, 0.80, 0.42),
            Placed("plants/ceps-two", 0.79, 0.74, 0.36),
            Placed("animals/mouse", 0.50, 0.70, 0.17),
            Placed("animals/frog-brown", 0.53, 0.96, 0.22),
            Placed("animals/hoverfly", 0.47, 0.36, 0.20, Ground.FLIES),
        ),
        ground=Ground.GROWS,
        sink=0.10,
    ),
    Layout(
        "road",
        "Vehicles on a road under a dark sky",
        "Storm.jpg",
        Box(0.0, 0.14, 1.0, 1.0),
        (
            Placed("vehicles/garbage-truck", 0.22, 0.90, 0.33),
            Placed("vehicles/pickup", 0.58, 0.93, 0.19),
            Placed("vehicles/sports-car", 0.87, 0.97, 0.115),
            Placed("vehicles/airliner", 0.62, 0.28, 0.16, Ground.FLIES),
        ),
    ),
    Layout(
        "leaf",
        "Small animals on a wet leaf",
        "RainDrops.jpg",
        Box(0.0, 0.0, 1.0, 1.0),
        (
            Placed("animals/frog-green", 0.30, 0.80, 0.30),
            Placed("animals/mantis", 0.66, 0.38, 0.28),
            Placed("animals/grasshopper", 0.60, 0.72, 0.22),
            Placed("animals/xanthia", 0.26, 0.30, 0.18),
        ),
        ground=Ground.LIES,
    ),
    Layout(
        "flowers",
        "Flowers on a large leaf",
        "Blinds.jpg",
        Box(0.0, 0.0, 1.0, 1.0),
        (
            Placed("plants/anemone-red", 0.22, 0.56, 0.44),
            Placed("plants/daffodil", 0.54, 0.46, 0.40),
            Placed("plants/petunia", 0.84, 0.50, 0.32),
            Placed("plants/marigold", 0.40, 0.94, 0.30),
            Placed("plants/iris", 0.74, 0.96, 0.36),
        ),
        ground=Ground.LIES,
    ),
    Layout(
        "lawn",
        "Balls on the lawn",
        "GreenMeadow.jpg",
        Box(0.0, 0.28, 1.0, 1.0),
        (
            Placed("sports/basketball", 0.20, 0.82, 0.36),
            Placed("sports/soccer", 0.50, 0.66, 0.28),
            Placed("sports/tennis-ball", 0.64, 0.92, 0.17),
            Placed("sports/football", 0.84, 0.74, 0.20),
        ),
        ground=Ground.GROWS,
        sink=0.12,
    ),
)


def cut_out(source: str) -> Image.Image:
    """The stamp as RGBA, cut to what is not transparent."""
    picture = Image.open(STAMPS / source).convert("RGBA")
    box = picture.getchannel("A").point(lambda value: 255 if value > 16 else 0).getbbox()
    return picture.crop(box)


def as_pin(cut: Image.Image) -> Image.Image:
    """The cut-out on white with a margin, its longer side LONGEST unless that would enlarge it too much."""
    zoom = min(LONGEST * (1 - 2 * MARGIN) / max(cut.size), LARGEST_ZOOM)
    size = (max(1, round(cut.width * zoom)), max(1, round(cut.height * zoom)))
    small = cut.resize(size, Image.Resampling.LANCZOS)
    border = round(max(size) * MARGIN / (1 - 2 * MARGIN))
    pin = Image.new("RGB", (size[0] + 2 * border, size[1] + 2 * border), "white")
    pin.paste(small, (border, border), small)
    return pin


def colour_name(cut: Image.Image) -> str:
    """The commonest of thirteen colour names over the opaque pixels, each weighted by how vivid it is.

    A dark or hardly saturated pixel is black, grey or white; a dull warm one brown or beige;
    the others go by hue.
    """
    pixels = np.asarray(cut.convert("RGB").convert("HSV"), np.float32).reshape(-1, 3)
    pixels = pixels[np.asarray(cut.getchannel("A")).reshape(-1) > 128]
    hue, saturation, value = pixels[:, 0] * (360 / 256), pixels[:, 1] / 255, pixels[:, 2] / 255
    names = np.select([hue < bound for bound, _ in HUES], [name for _, name in HUES], "red").astype("U16")
    warm = (hue < 50) | (hue >= 342)
    names[(hue >= 50) & (hue < 68) & (value < 0.62)] = "green"
    names[warm & ((value < 0.62) & (hue < 50) & (hue >= 8) | (value < 0.35) | (saturation < 0.45))] = "brown"
    names[warm & (saturation < 0.45) & (value > 0.68)] = "beige"
    grey = (saturation < 0.30 - 0.15 * value) | (value < 0.18)
    names[grey] = np.select([value < 0.25, value > 0.82], ["black", "white"], "grey").astype("U16")[grey]
    weights = np.where(grey, 0.6, 0.4 + saturation)
    totals = {name: float(weights[names == name].sum()) for name in np.unique(names)}
    return str(max(totals, key=totals.__getitem__))


def price(pin: str, category: str) -> float:
    """A made-up price: the pin's name picks a place in the category's range, always the same."""
    low, high = PRICE_RANGES[category]
    share = int(hashlib.sha256(pin.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return round(low + (high - low) * share**2, 2)


def row(entry: dict[str, str], caption: str, colour: str) -> list[str]:
    """A line of the manifest."""
    cost = f"{price(entry['id'], entry['category']):.2f}"
    filed = [entry["title"], caption, entry["category"], entry["kind"], entry["board"]]
    image = f"pins/{entry['id']}.jpg"
    return [entry["id"], image, *filed, colour, cost, "illustrative", entry["source"]]


def build_stamp(entry: dict[str, str]) -> list[str]:
    """Write the pin of a stamp; its line of the manifest."""
    cut = cut_out(entry["source"])
    place = HERE / f"pins/{entry['id']}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    as_pin(cut).save(place, quality=88, subsampling=0, optimize=True)
    text = (STAMPS / entry["source"]).with_suffix(".txt").read_text(encoding="utf-8", errors="replace")
    return row(entry, text.splitlines()[0].strip(), colour_name(cut))


def write_manifest(lines: Sequence[Sequence[str]]) -> None:
    """Write `manifest.csv`."""
    with (HERE / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(lines)


def shadow(alpha: Image.Image, scene: Image.Image, at: tuple[int, int], ground: Ground) -> Image.Image:
    """How much darker each pixel of the scene becomes, as an L picture of the scene's size."""
    mask = Image.new("L", scene.size, 0)
    width, height = alpha.size
    if ground is Ground.FLIES:
        return mask
    if ground is Ground.LIES:
        soft = max(3, min(width, height) // 22)
        mask.paste(alpha.point(lambda value: value // 2), (at[0] + soft, at[1] + soft))
        return mask.filter(ImageFilter.GaussianBlur(soft))
    strength, blur = (0.6, 40) if ground is Ground.STANDS else (0.4, 14)
    pressed = alpha.resize((width, max(2, height // 9)), Image.Resampling.BILINEAR)
    mask.paste(
        pressed.point(lambda value: int(value * strength)), (at[0], at[1] + height - pressed.height * 2 // 3)
    )
    return mask.filter(ImageFilter.GaussianBlur(max(3, height // blur)))


def sunk(picture: Image.Image, share: float) -> Image.Image:
    """The picture with its lowest `share` fading into uneven blades."""
    rng = np.random.default_rng(7)
    alpha = np.asarray(picture.getchannel("A"), np.float32)
    height, width = alpha.shape
    blades: Float32 = np.repeat(rng.random(width // 5 + 1), 5)[:width].astype(np.float32)
    start = height * (1 - share * (0.35 + 0.65 * blades))
    depth = np.arange(height, dtype=np.float32)[:, None] - start[None, :]
    keep = np.clip(1 - depth / (height * share * 0.3), 0, 1)
    result = picture.copy()
    result.putalpha(Image.fromarray((alpha * keep).astype(np.uint8)))
    return result


def compose(layout: Layout, sources: dict[str, str]) -> tuple[Image.Image, list[dict[str, object]]]:
    """The scene and its objects: pin and true box, as fractions rounded to four digits."""
    photo = Image.open(BACKGROUNDS / layout.background).convert("RGB")
    x0, y0, x1, y1 = layout.part
    photo = photo.crop(
        (round(x0 * photo.width), round(y0 * photo.height), round(x1 * photo.width), round(y1 * photo.height))
    )
    scene = photo.resize(
        (SCENE_WIDTH, round(SCENE_WIDTH * photo.height / photo.width)), Image.Resampling.LANCZOS
    )
    objects: list[dict[str, object]] = []
    for placed in layout.objects:
        cut = cut_out(sources[placed.pin])
        height = round(placed.height * scene.height)
        cut = cut.resize((round(cut.width * height / cut.height), height), Image.Resampling.LANCZOS)
        left, top = round(placed.x * scene.width - cut.width / 2), round(placed.y * scene.height) - cut.height
        ground = placed.ground or layout.ground
        dark = shadow(cut.getchannel("A"), scene, (left, top), ground)
        scene = ImageChops.multiply(scene, Image.merge("RGB", [ImageChops.invert(dark)] * 3))
        if ground is Ground.GROWS:
            cut = sunk(cut, layout.sink)
        scene.paste(cut, (left, top), cut)
        seen = cut.getchannel("A").point(lambda value: 255 if value > 16 else 0).getbbox()
        assert seen is not None, placed.pin
        box = (
            (left + seen[0]) / scene.width,
            (top + seen[1]) / scene.height,
            (left + seen[2]) / scene.width,
            (top + seen[3]) / scene.height,
        )
        if min(box) < 0 or max(box) > 1:
            raise SystemExit(f"{layout.id}: {placed.pin} leaves the picture: {box}")
        objects.append({"pin": placed.pin, "box": [round(value, 4) for value in box]})
    return scene, objects


def build_scenes(rows: Sequence[dict[str, str]]) -> None:
    """Write `scenes/` and `scenes.json`."""
    shutil.rmtree(HERE / "scenes", ignore_errors=True)
    (HERE / "scenes").mkdir()
    sources = {row["id"]: row["source"] for row in rows}
    entries = []
    for layout in LAYOUTS:
        scene, objects = compose(layout, sources)
        image = f"scenes/{layout.id}.jpg"
        scene.save(HERE / image, quality=85, optimize=True)
        entries.append({"id": layout.id, "title": layout.title, "image": image, "objects": objects})
    (HERE / "scenes.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def entries(name: str) -> list[dict[str, str]]:
    """The lines of a table in this folder."""
    with (HERE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Build everything anew."""
    stamps, photographs = entries("selection.csv"), entries("photographs.csv")
    for category in {entry["category"] for entry in stamps}:
        shutil.rmtree(HERE / "pins" / category, ignore_errors=True)
    lines = [build_stamp(entry) for entry in stamps]
    lines += [row(entry, f"{entry['title']}.", entry["colour"]) for entry in photographs]
    write_manifest(lines)
    build_scenes(stamps)


if __name__ == "__main__":
    main()
