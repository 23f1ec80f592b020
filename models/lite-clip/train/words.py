"""Pictures with words for the text map: which sets there are, what they are called, and which side of the cut they are on.

This script asks the shipped image tower once for every picture: its vector and ImageNet's class probabilities. Every seventh
group of `words` is kept aside ("kept"), another seventh validates ("val"), by a hash of the group's first path. A group
holds what shows one thing: near doubles, sides of a thing, dishes of one title.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from pack import MAX_STARS, clean_caption, emoji_words, held_out
from PIL import Image, ImageOps
from texts import CLOTHING_WORDS

from visualsearch.encoders.bundled import load
from visualsearch.quality import Data
from visualsearch.resources import models_dir

Vectors = NDArray[np.float32]
NAMED = (
    "ambientcg",
    "caltech101",
    "clothing_more",
    "flowers",
    "objects_3d",
    "trashnet",
)  # few names, many pictures
CAPTIONED = ("openstax", "drinks", "products", "dishes", "cars", "streetcomplete", "gcompris")
SETS = (*NAMED, *CAPTIONED)
VENDORS = ("noto", "twemoji", "fluent-3d")
UNSEEN_VENDOR = "noto-2017"
DOUBLE = 0.965  # cosine of two pictures that show one thing
CHANCES = "/Softmax_output_0"
Weighted = list[tuple[str, float]]


@dataclass
class Group:
    """Pictures of one set: (n, 512) vectors, (n, 1000) class probabilities, and for each picture what it is called."""

    name: str
    vectors: Vectors
    chances: NDArray[np.float16]
    captions: list[list[str]]
    side: NDArray[np.str_]
    labels: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Sources:
    """Where the pictures lie.

    `data` holds words/, clothing/, grocery/ and eshop/; `bench` is a folder of `bench quality` with tuxpaint/, furniture/ and
    emoji/; `share` is /usr/share with openclipart in it; `npm` is node_modules; `out` keeps the vectors.
    """

    data: Path
    bench: Path
    share: Path
    npm: Path
    out: Path

    def quality(self) -> Data:
        return Data(self.bench)


def sources_of(arguments: argparse.Namespace) -> Sources:
    return Sources(arguments.data, arguments.bench, arguments.share, arguments.npm, arguments.out)


def add_sources(parser: argparse.ArgumentParser) -> None:
    for name in ("data", "bench", "npm", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--share", type=Path, default=Path("/usr/share"))


def side_of(key: str) -> str:
    """The side of a group: a seventh kept aside, a seventh for validation."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 7
    return {0: "kept", 1: "val"}.get(number, "train")


def joined(count: int, pairs: Iterator[tuple[int, int]]) -> list[int]:
    """The first member of everyone's group, where the pairs are of one group each."""
    first = list(range(count))

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = first[first[i]]
            i = first[i]
        return i

    for a, b in pairs:
        first[root(max(a, b))] = root(min(a, b))
    return [root(i) for i in range(count)]


def same_thing(name: str, rows: Sequence[dict[str, str]], vectors: Vectors) -> Iterator[tuple[int, int]]:
    """Pairs of pictures that must not stand on two sides of the cut."""
    seen: dict[str, int] = {}
    for i, row in enumerate(rows):
        caption = row["caption"].lower()
        keys = {
            "openstax": [caption[:120]],
            "objects_3d": [row["labels"].split(";")[0]],
            "products": [caption, re.split(r"-\d+\.", row["path"])[0]],
            "dishes": [caption],
        }.get(name, [])
        for key in keys:
            if key in seen:
                yield seen[key], i
            seen.setdefault(key, i)
    for start in range(0, len(rows), 500):
        for i, j in zip(*np.nonzero(vectors[start : start + 500] @ vectors.T > DOUBLE), strict=True):
            if start + i < j:
                yield start + int(i), int(j)


def rows_of(sources: Sources, name: str) -> list[dict[str, str]]:
    with (sources.data / "words" / name / "captions.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def asked(name: str, row: dict[str, str]) -> str:
    """What the picture is asked for by: the material without its colour, clothes without "for children", words apart."""
    if name == "ambientcg":
        return row["labels"].split(";")[0].strip()
    if name == "clothing_more":
        return row["caption"].removesuffix(" for children")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", row["caption"]) if name == "gcompris" else row["caption"]


def words_set(sources: Sources, name: str) -> Group:
    """One set of `words`."""
    rows = rows_of(sources, name)
    vectors, chances, _ = seen(sources, name)
    first = joined(len(rows), same_thing(name, rows, vectors))
    side = np.array([side_of(f"{name}/{rows[k]['path']}") for k in first])
    captions = [[asked(name, row), row["caption"]] for row in rows]
    labels = [[part.strip() for part in row["labels"].split(";")] for row in rows]
    return Group(name, vectors, chances, captions, side, labels)


def seen(sources: Sources, name: str) -> tuple[Vectors, NDArray[np.float16], list[str]]:
    with np.load(sources.out / f"{name}.npz") as data:
        return data["vectors"], data["chances"], data["paths"].tolist()


SAYS = re.compile(
    r"^(this|the|an?|in this)?\s*(photo|photograph|image|picture|figure|illustration|drawing|painting|map|diagram)s?\s*"
    r"(\w+\s)?(shows?|of|depicts?|is|,)?\s*",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"(?<=[.!?])\s")


def said(caption: str, credit: str) -> Weighted:
    """A sentence as it is, its first part, what it says without "This photo shows", and the figure's own caption."""
    first = SENTENCE.split(caption)[0]
    bare = SAYS.sub("", first).rstrip(".")
    forms = list(dict.fromkeys([caption, first, bare] if len(bare) > 5 else [caption, first]))
    own = [(SENTENCE.split(credit)[0][:300], 0.25)] if len(credit) > 15 else []
    return [(form, 1 / len(forms)) for form in forms] + own


def called(name: str, caption: str, whole: str, labels: list[str]) -> Weighted:
    """What a picture may be called in training, with weights: names, colours before names, prompts, keywords."""
    found: Weighted
    if name == "openstax":
        return said(whole, ";".join(labels))
    if name in ("ambientcg", "clothing_more"):
        colour = labels[1] if name == "ambientcg" else labels[-1]
        found = [
            (caption, 0.35),
            (f"{colour} {caption}", 0.4),
            (f"a photo of a {colour} {caption}", 0.1),
            (colour, 0.05),
        ]
        if whole.endswith(" for children"):
            found += [(whole, 0.15), (f"{colour} {whole}", 0.1)]
        return [*found, (f"{caption} texture", 0.1)] if name == "ambientcg" else found
    if name == "drinks":
        words = [word.strip() for word in labels[1].split(",") if word.strip()] if len(labels) > 1 else []
        found = [
            (caption, 0.6),
            (f"{caption} drink", 0.15),
            *((f"{word} drink", 0.1 / len(words)) for word in words),
        ]
        return [*found, (labels[2][:200], 0.15)] if len(labels) > 2 and len(labels[2]) > 15 else found
    if name == "products":
        more = [label[:150] for label in labels if len(label) > 3 and not label.startswith("brand:")]
        return [(caption, 0.7), *((label, 0.3 / len(more)) for label in more)]
    if name in ("dishes", "cars"):
        named = f"a dish of {caption}" if name == "dishes" else caption
        return [(caption, 0.8), (f"a photo of {caption}", 0.1), (named, 0.1)]
    if name == "trashnet":
        return [(caption, 0.6), (labels[0].partition(":")[2].strip(), 0.3), (f"a photo of {caption}", 0.1)]
    if name == "gcompris":
        return [(caption, 0.8), ("; ".join(labels), 0.2)]
    return [(caption, 0.7), (f"a photo of a {caption}", 0.15), (f"a picture of a {caption}", 0.15)]


def clipart(sources: Sources) -> list[tuple[Path, list[str], bool]]:
    """Openclipart's drawings, their titles and keywords, and whether they are held out, as `pack.py` has them."""
    root, twins = sources.share / "openclipart/png", sources.share / "openclipart/svg"
    found, stars = [], 0
    for path in sorted(root.rglob("*.png")):
        place = path.relative_to(root)
        if "shapes/stars" in place.as_posix():
            stars += 1
            if stars > MAX_STARS:
                continue
        twin = twins / place.with_suffix(".svg")
        source = twin.read_text(encoding="utf-8", errors="replace") if twin.exists() else ""
        title = re.search(r"<dc:title>([^<]+)</dc:title>", source)
        subject = re.search(r"<dc:subject>(.*?)</dc:subject>", source, re.S)
        words = re.findall(r"<rdf:li>([^<]+)</rdf:li>", subject.group(1)) if subject else []
        folders = [clean_caption(part) for part in place.parts[:-1]]
        names = [clean_caption(title.group(1)) if title else "", clean_caption(place.stem)]
        every = dict.fromkeys([*names, *map(clean_caption, words), *folders[::-1]])
        captions = [caption for caption in every if 2 < len(caption) < 60]
        if captions:
            found.append((path, captions[:8], held_out(f"{place.parent}/{captions[0]}", 0.25)))
    return found


def first_round(sources: Sources) -> dict[str, list[tuple[Path, list[str], bool]]]:
    """What the first round's words came from: pictures, captions, and whether they are held out of training."""
    data, found = sources.quality(), {}
    found["tuxpaint"] = [(one.path, [one.label], held_out(one.label, 0.5)) for one in data.tuxpaint()]
    found["furniture"] = [
        (one.path, [clean_caption(one.label) or one.label], held_out(key, 0.25))
        for key, one in data.furniture().items()
    ]
    words = emoji_words(sources.npm)
    for vendor, drawn in data.vendors().items():
        if vendor in (*VENDORS, UNSEEN_VENDOR):
            found[f"emoji_{vendor}"] = [
                (path, list(words[code]["captions"]), vendor == UNSEEN_VENDOR)  # type: ignore[call-overload]
                for code, path in drawn.items()
                if code in words
            ]
    found["openclipart"] = clipart(sources)
    for split in ("train", "validation"):
        found[f"clothing_{split}"] = [
            (one.path, list(CLOTHING_WORDS[one.label]), split != "train") for one in data.clothing(split)
        ]
    names = [one.label for one in data.grocery_classes()]
    for split in ("train", "val"):
        found[f"grocery_{split}"] = [
            (one.path, [names[int(one.label)]], split != "train") for one in data.grocery(split)
        ]
    found["grocery_catalogue"] = [(one.path, [one.label], True) for one in data.grocery_classes()]
    rows = json.loads((sources.data / "eshop" / "catalog.json").read_text(encoding="utf-8"))
    brand = {
        row["Name"]: [row["Name"], row["Name"].replace(row["Brand"], "").strip(), row["Type"]] for row in rows
    }
    found["eshop"] = [(one.path, brand[one.label], False) for one in data.eshop()]
    return found


def upright(path: Path) -> Image.Image:
    """RGB, upright, what is transparent on white."""
    picture = Image.open(path)
    if picture.mode in ("RGBA", "LA", "P"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
    return ImageOps.exif_transpose(picture).convert("RGB")


class Tower:
    """The shipped image tower, with the class probabilities that it works out on its way."""

    def __init__(self) -> None:
        folder = models_dir() / "lite-clip"
        self.preprocess = load(folder, threads=1).preprocess
        model = onnx.load(folder / "image.onnx")
        model.graph.output.append(onnx.helper.make_tensor_value_info(CHANCES, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def see(self, paths: Sequence[Path], target: Path) -> None:
        """Write vectors and probabilities of the pictures; what cannot be read is told and left out."""
        vectors, chances, kept = [], [], []
        for path in paths:
            try:
                pixels = self.preprocess(upright(path))[None]
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                print(f"{path}: {error}", flush=True)
                continue
            one, chance = self.session.run(["embedding", CHANCES], {"pixels": pixels})
            vectors.append(one[0])
            chances.append(chance[0].astype(np.float16))
            kept.append(str(path))
        np.savez(target, vectors=np.stack(vectors), chances=np.stack(chances), paths=np.array(kept))


def old_set(sources: Sources, name: str, listed: Sequence[tuple[Path, list[str], bool]]) -> Group:
    """One set of the first round; its side is "train" or "kept"."""
    vectors, chances, paths = seen(sources, name)
    about = {str(path): (captions, held) for path, captions, held in listed}
    found = [about[path] for path in paths]
    side = np.array(["kept" if held else "train" for _, held in found])
    return Group(name, vectors, chances, [captions for captions, _ in found], side)


def old_called(name: str, captions: list[str]) -> Weighted:
    """As `called`, for a set of the first round."""
    first = captions[0]
    if name.startswith("clothing"):
        return [*((word, 1.0) for word in captions), (f"a photo of a {first}", 1.0)]
    if name.startswith("grocery"):
        return [(first, 0.7), (f"a photo of {first}", 0.15), (f"{first} in a shop", 0.15)]
    if name == "eshop":
        return list(zip(captions, (0.4, 0.4, 0.2), strict=True))
    if name.startswith("emoji"):
        return [(first, 2.0), *((word, 0.7) for word in captions[1:]), (f"{first} icon", 0.3)]
    prompt = "a drawing of a" if name == "openclipart" else "a photo of a"
    return [(first, 2.0), *((word, 1.0) for word in captions[1:]), (f"{prompt} {first}", 0.5)]


def loose(sources: Sources) -> list[str]:
    """Texts without pictures: captions that are whole sentences, and product names."""
    folder = sources.data / "words" / "texts"
    lines = (folder / "coco_captions_val2017.txt").read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if line[:1].isupper() and line.strip().endswith(".")]
    with (folder / "retail_product_names.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found += [row["name"], row["category"], row["style"]]
    return list(dict.fromkeys(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_sources(parser)
    sources = sources_of(parser.parse_args())
    sources.out.mkdir(parents=True, exist_ok=True)
    tower = Tower()
    listed = {
        name: [sources.data / "words" / name / row["path"] for row in rows_of(sources, name)] for name in SETS
    }
    listed |= {name: [path for path, *_ in rows] for name, rows in first_round(sources).items()}
    for name, paths in listed.items():
        target = sources.out / f"{name}.npz"
        if not target.exists():
            tower.see(paths, target)
            print(f"{name}: {len(paths)}", flush=True)


if __name__ == "__main__":
    main()
