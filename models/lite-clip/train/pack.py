"""Pack every picture set that training and measuring use; see README.md for the command.

Held-out halves are fixed here, by a hash of the thing's name, so that every later step agrees on them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from store import Pixels, Writer

PHOTO_SIDE = 288  # shortest side of a packed photograph: a crop of half of it is still 144 pixels
WALLPAPER_SIDE = 512
OBJECT_SIDE = 192  # longest side of a packed drawing or cut-out
SVG_SIDE = 160
MAX_STARS = 60  # openclipart has 1,378 stars of one shape; a few say as much

# Words of drawing titles and keywords that say nothing of what is drawn.
NOISE = {
    "svg",
    "clip",
    "art",
    "clipart",
    "open",
    "library",
    "hash",
    "unsorted",
    "unknown",
    "by",
    "theme",
    "contrib",
    "none",
    "no",
    "image",
    "images",
    "icon",
    "icons",
    "the",
    "a",
    "an",
    "of",
    "and",
    "remix",
    "cc",
    "public",
    "domain",
    "png",
    "old",
    "new",
    "file",
    "etiquette",
    "lemon",
    "flat",
    "nicu",
    "buculei",
}
TUXPAINT_SKIP = ("symbols/alphabets", "symbols/math", "symbols/shapes")
TUXPAINT_PHOTO_TOPICS = {
    "animals",
    "clothes",
    "food",
    "hobbies",
    "household",
    "medical",
    "military",
    "people",
    "plants",
    "seasonal",
    "space",
    "sports",
    "vehicles",
}


def held_out(name: str, share: float) -> bool:
    """True for a fixed `share` of names (0..1), by a hash of the lower-cased name."""
    digest = hashlib.sha256(name.strip().lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def shrink_photo(picture: Image.Image, side: int = PHOTO_SIDE) -> Pixels:
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    w, h = upright.size
    scale = side / min(w, h)
    if scale < 1:
        upright = upright.resize(
            (max(side, round(w * scale)), max(side, round(h * scale))), Image.Resampling.BOX
        )
    return np.asarray(upright)


def shrink_object(picture: Image.Image, side: int = OBJECT_SIDE) -> Pixels | None:
    """RGBA (h, w, 4), cut to its visible part; None where nothing is visible."""
    rgba = picture.convert("RGBA")
    box = rgba.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 4:
        return None
    rgba = rgba.crop(box)
    w, h = rgba.size
    scale = side / max(w, h)
    if scale < 1:
        premultiplied = rgba.convert("RGBa").resize(
            (max(1, round(w * scale)), max(1, round(h * scale))), Image.Resampling.BOX
        )
        rgba = premultiplied.convert("RGBA")
    return np.asarray(rgba)


def render_svg(path: Path, side: int = SVG_SIDE) -> Image.Image | None:
    """Drawn by librsvg's rsvg-convert; None where the file cannot be drawn."""
    run = subprocess.run(
        ["rsvg-convert", "-w", str(side), "-h", str(side), "--keep-aspect-ratio", str(path)],
        capture_output=True,
        check=False,
    )
    if run.returncode or not run.stdout:
        return None
    return Image.open(io.BytesIO(run.stdout))


def open_any(path: Path) -> Image.Image | None:
    if path.suffix == ".svg":
        return render_svg(path)
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, Image.DecompressionBombError):
        return None
    return picture


def write_objects(writer: Writer, jobs: list[tuple[Path, dict[str, object]]]) -> int:
    """Decode in two threads, keep the order; what cannot be drawn or is empty is left out."""

    def load(job: tuple[Path, dict[str, object]]) -> tuple[Pixels | None, dict[str, object]]:
        picture = open_any(job[0])
        return (None if picture is None else shrink_object(picture)), job[1]

    with ThreadPoolExecutor(2) as pool:
        for pixels, about in pool.map(load, jobs):
            if pixels is not None:
                writer.add(pixels, **about)  # type: ignore[arg-type]
    return writer.close()


def pack_clothing(data: Path, out: Path) -> Iterator[tuple[str, int]]:
    for split in ("train", "validation"):
        writer = Writer(out, f"clothing_{split}")
        for path in sorted((data / "clothing" / split).glob("*/*.*")):
            label = path.parent.name
            writer.add(
                shrink_photo(Image.open(path)), f"clothing/{path.stem}", label=label, captions=(label,)
            )
        yield writer.name, writer.close()


def pack_grocery(data: Path, out: Path) -> Iterator[tuple[str, int]]:
    root = data / "grocery"
    with (root / "classes.csv").open(encoding="utf-8") as file:
        classes = list(csv.DictReader(file))
    for split in ("train", "val"):
        writer = Writer(out, f"grocery_{split}")
        for line in (root / f"{split}.txt").read_text().splitlines():
            name, fine, coarse = (part.strip() for part in line.split(","))
            writer.add(shrink_photo(Image.open(root / name)), f"grocery/{fine}", label=coarse, uri=name)
        yield writer.name, writer.close()
    writer = Writer(out, "grocery_catalogue")  # measuring only
    for row in classes:
        path = root / row["Iconic Image Path (str)"].strip().lstrip("/")
        name = row["Class Name (str)"].replace("-", " ")
        writer.add(
            shrink_photo(Image.open(path)), f"grocery/{row['Class ID (int)'].strip()}",
            label=row["Coarse Class ID (int)"].strip(), captions=(name, row["Coarse Class Name (str)"].replace("-", " ")),
        )  # fmt: skip
    yield writer.name, writer.close()


def pack_eshop(data: Path, out: Path) -> Iterator[tuple[str, int]]:
    writer = Writer(out, "eshop")
    for row in json.loads((data / "eshop" / "catalog.json").read_text(encoding="utf-8")):
        path = next((data / "eshop" / "pics").glob(f"{row['Id']}.*"))
        brandless = row["Name"].replace(row["Brand"], "").strip()
        writer.add(
            shrink_photo(Image.open(path)),
            f"eshop/{row['Id']}",
            label=row["Type"],
            captions=(brandless, row["Type"]),
        )
    yield writer.name, writer.close()


def pack_wallpapers(_: Path, out: Path) -> Iterator[tuple[str, int]]:
    """One file of each wallpaper: packages ship the same picture in many sizes."""
    best: dict[str, Path] = {}
    for path in sorted(Path("/usr/share/wallpapers").glob("*/contents/images*/*")):
        name = path.parents[2].name + path.parent.name
        wanted = "1920" in path.name or "1600" in path.name
        if path.suffix in {".jpg", ".png"} and (name not in best or wanted):
            best[name] = path
    for path in sorted(Path("/usr/share/backgrounds").rglob("*")):
        if path.suffix in {".jpg", ".png", ".webp", ".jpeg"}:
            best[str(path)] = path
    writer = Writer(out, "wallpapers")
    for name, path in best.items():
        picture = open_any(path)
        if picture is not None and min(picture.size) >= 400:
            writer.add(
                shrink_photo(picture, WALLPAPER_SIDE), f"wallpaper/{name}", held_out=held_out(name, 0.25)
            )
    yield writer.name, writer.close()


def clean_caption(text: str) -> str:
    text = re.sub(r"[_\-/]+", " ", text)
    text = re.sub(r"\b\w*\d+\w*\b", " ", text)
    words = [w for w in re.findall(r"[A-Za-z']+", text) if w.lower() not in NOISE]
    return " ".join(words).strip().lower()


def pack_tuxpaint(_: Path, out: Path) -> Iterator[tuple[str, int]]:
    """Half of the captions are kept out of training: the proxy for unseen photographs and words."""
    root = Path("/usr/share/tuxpaint/stamps")
    jobs: list[tuple[Path, dict[str, object]]] = []
    for path in sorted([*root.rglob("*.png"), *root.rglob("*.svg")]):
        place = path.relative_to(root).as_posix()
        text = path.with_suffix(".txt")
        if (
            place.startswith(TUXPAINT_SKIP)
            or not text.exists()
            or "mirror" in path.stem
            or "flip" in path.stem
        ):
            continue
        caption = (
            text.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip().rstrip(".!").strip()
        )
        caption = re.sub(r"^(an?|the)\s+", "", caption, flags=re.I).lower()
        if not caption:
            continue
        topic = place.split("/")[0]
        photo = path.suffix == ".png" and topic in TUXPAINT_PHOTO_TOPICS
        jobs.append(
            (path, {
                "key": f"tuxpaint/{caption}", "label": topic, "captions": (caption,), "uri": place,
                "kind": "photo" if photo else "drawing", "held_out": held_out(caption, 0.5),
            })
        )  # fmt: skip
    writer = Writer(out, "tuxpaint")
    yield "tuxpaint", write_objects(writer, jobs)


def pack_openclipart(_: Path, out: Path) -> Iterator[tuple[str, int]]:
    """Titles and keywords from the SVG twin; a quarter of the drawings, by folder and title, is held out."""
    root, vectors = Path("/usr/share/openclipart/png"), Path("/usr/share/openclipart/svg")
    jobs: list[tuple[Path, dict[str, object]]] = []
    stars = 0
    for path in sorted(root.rglob("*.png")):
        place = path.relative_to(root)
        if "shapes/stars" in place.as_posix():
            stars += 1
            if stars > MAX_STARS:
                continue
        twin = vectors / place.with_suffix(".svg")
        source = twin.read_text(encoding="utf-8", errors="replace") if twin.exists() else ""
        title = re.search(r"<dc:title>([^<]+)</dc:title>", source)
        subject = re.search(r"<dc:subject>(.*?)</dc:subject>", source, re.S)
        words = re.findall(r"<rdf:li>([^<]+)</rdf:li>", subject.group(1)) if subject else []
        folders = [clean_caption(p) for p in place.parts[:-1]]
        names = [clean_caption(title.group(1)) if title else "", clean_caption(place.stem)]
        captions = [
            c for c in dict.fromkeys([*names, *map(clean_caption, words), *folders[::-1]]) if 2 < len(c) < 60
        ]
        if not captions:
            continue
        jobs.append(
            (path, {
                "key": f"clipart/{place.as_posix()}", "label": folders[0], "captions": tuple(captions[:8]),
                "kind": "drawing", "held_out": held_out(f"{place.parent}/{captions[0]}", 0.25), "uri": place.as_posix(),
            })
        )  # fmt: skip
    yield "openclipart", write_objects(Writer(out, "openclipart"), jobs)


def pack_homes(drawn: Path, out: Path) -> Iterator[tuple[str, int]]:
    """What render.py drew, every side a picture; a quarter of the things is held out."""
    about = json.loads((drawn / "things.json").read_text(encoding="utf-8"))
    jobs: list[tuple[Path, dict[str, object]]] = []
    for key, (name, category, *_) in about.items():
        caption = clean_caption(name)
        for path in sorted(drawn.glob(f"{key}-*.png")) if caption else ():
            jobs.append(
                (path, {
                    "key": f"home/{key}", "label": category, "captions": (caption,), "kind": "render",
                    "held_out": held_out(key, 0.25), "uri": path.relative_to(drawn).as_posix(),
                })
            )  # fmt: skip
    yield "homes", write_objects(Writer(out, "homes"), jobs)


def bare(code: str) -> str:
    """Emoji code points without the variation selector, lower case: the name that vendors share."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


SLUG = re.compile(r"[^a-z0-9]+")


def emoji_words(npm: Path) -> dict[str, dict[str, object]]:
    """Per code point of the 1,911 emoji without skin tones: captions (name first), group and sub-group."""
    base = json.loads((npm / "emoji-datasource-google" / "emoji.json").read_text(encoding="utf-8"))
    book = {
        bare(r["hexcode"]): r
        for r in json.loads((npm / "emojibase-data/en/data.json").read_text(encoding="utf-8"))
    }
    words: dict[str, dict[str, object]] = {}
    for row in base:
        code = bare(row["unified"])
        other = book.get(code, {})
        label = other.get("label") or row["name"].lower()
        short = [s.replace("_", " ").replace("-", " ") for s in row["short_names"]]
        captions = [label, row["name"].lower(), *short, *other.get("tags", [])]
        words[code] = {
            "captions": tuple(dict.fromkeys(c for c in captions if c)),
            "label": f"{row['category']}/{row['subcategory']}",
            "slug": SLUG.sub("-", str(label).lower()).strip("-"),
        }
    return words


def pack_emoji(npm: Path, out: Path) -> Iterator[tuple[str, int]]:
    words = emoji_words(npm)
    by_slug = {str(w["slug"]): code for code, w in words.items()}
    flat = npm / "fluentui-emoji" / "icons" / "flat"
    sources: dict[str, Callable[[], Iterator[tuple[str, Path]]]] = {
        "google": lambda: ((bare(p.stem), p) for p in (npm / "emoji-datasource-google/img/google/64").glob("*.png")),
        "blobs": lambda: ((bare(p.stem), p) for p in (npm / "noto-blobs/img/google/64").glob("*.png")),
        "twitter": lambda: ((bare(p.stem), p) for p in (npm / "emoji-datasource-twitter/img/twitter/64").glob("*.png")),
        "openmoji": lambda: ((bare(p.stem), p) for p in (npm / "openmoji/color/svg").glob("*.svg")),
        "fluent3d": lambda: ((bare(p.stem), p) for p in (npm / "@lobehub/fluent-emoji-3d/assets").glob("*.webp")),
        "fluentflat": lambda: (
            (by_slug.get(p.stem.removesuffix("-default"), ""), p) for p in flat.glob("*.svg")
        ),
    }  # fmt: skip
    for vendor, listing in sources.items():
        jobs: list[tuple[Path, dict[str, object]]] = []
        for code, path in sorted(listing()):
            if code in words:
                about = words[code]
                jobs.append(
                    (
                        path,
                        {
                            "key": f"emoji/{code}",
                            "label": about["label"],
                            "captions": about["captions"],
                            "kind": "emoji",
                        },
                    )
                )
        yield f"emoji_{vendor}", write_objects(Writer(out, f"emoji_{vendor}"), jobs)


PACKERS: dict[str, Callable[[Path, Path], Iterator[tuple[str, int]]]] = {
    "eshop": pack_eshop,
    "grocery": pack_grocery,
    "clothing": pack_clothing,
    "tuxpaint": pack_tuxpaint,
    "emoji": pack_emoji,
    "wallpapers": pack_wallpapers,
    "openclipart": pack_openclipart,
    "homes": pack_homes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with clothing/, grocery/ and eshop/")
    parser.add_argument("--npm", type=Path, required=True, help="node_modules with the emoji packages")
    parser.add_argument("--homes", type=Path, required=True, help="folder that render.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=sorted(PACKERS), default=list(PACKERS))
    arguments = parser.parse_args()
    for name in arguments.only:
        folder = {"emoji": arguments.npm, "homes": arguments.homes}.get(name, arguments.data)
        for packed, count in PACKERS[name](folder, arguments.out):
            print(f"{packed}: {count}", flush=True)


if __name__ == "__main__":
    main()
