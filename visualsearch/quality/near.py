"""How well near duplicates are found: originals among their own edits, and among variants that are no duplicates.

An edit is the same picture saved anew or changed by hand as people do. A variant is what a shop must not lose: the same
picture with its colours turned, or with another print on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from visualsearch.dedup import Group, Likeness
from visualsearch.engine import Index
from visualsearch.errors import UsageError
from visualsearch.images import load
from visualsearch.types import Encoder

Change = Callable[[Image.Image, Generator], Image.Image]

ORIGINALS = 30
SEED = 20261128
SAVED = 85  # JPEG quality of an edit that is not about quality
FRAMES = ((255, 255, 255), (0, 0, 0), (128, 40, 40))
COLOURED = 60  # saturation of 255 from which a pixel counts as coloured
ENOUGH_COLOUR = 0.03  # share of such pixels below which a picture has no colour to turn
PRINT = 0.15  # share of the picture that another print takes


@dataclass(frozen=True)
class Score:
    """What was found. `recall` of the edits of one kind, or of all; `pairs` were joined, `right` of them show one picture."""

    recall: Mapping[str, float]
    pairs: int
    right: int
    variants: int
    joined: int  # variants in a group with their original or its edits, whatever the kind
    same: int  # those of them that are to be removed as copies

    @property
    def precision(self) -> float:
        """Share of the joined pairs that show one picture; 1 where nothing was joined."""
        return self.right / self.pairs if self.pairs else 1.0


def _cropped(picture: Image.Image, share: float, rng: Generator) -> Image.Image:
    across, down = round(share * picture.width), round(share * picture.height)
    left, top = int(rng.integers(0, across + 1)), int(rng.integers(0, down + 1))
    return picture.crop((left, top, left + picture.width - across, top + picture.height - down))


def _halved(picture: Image.Image, _: Generator) -> Image.Image:
    size = max(1, picture.width // 2), max(1, picture.height // 2)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _framed(picture: Image.Image, rng: Generator) -> Image.Image:
    colour = FRAMES[int(rng.integers(len(FRAMES)))]
    return ImageOps.expand(picture, round(0.06 * max(picture.size)), colour)


def _written(picture: Image.Image, _: Generator) -> Image.Image:
    out = picture.copy()
    font = ImageFont.load_default(size=max(8, picture.height // 16))
    place = 0.05 * picture.width, 0.88 * picture.height
    ImageDraw.Draw(out).text(
        place, "www.shop.example", (255, 255, 255), font, stroke_width=1, stroke_fill=(0, 0, 0)
    )
    return out


EDITS: Mapping[str, tuple[Change, str, int]] = {
    "quality 50": (lambda p, _: p, "JPEG", 50),
    "quality 30": (lambda p, _: p, "JPEG", 30),
    "half the size": (_halved, "JPEG", SAVED),
    "PNG": (lambda p, _: p, "PNG", 0),
    "crop 7 %": (lambda p, rng: _cropped(p, 0.07, rng), "JPEG", SAVED),
    "crop 15 %": (lambda p, rng: _cropped(p, 0.15, rng), "JPEG", SAVED),
    "border": (_framed, "JPEG", SAVED),
    "grey": (lambda p, _: p.convert("L").convert("RGB"), "JPEG", SAVED),
    "mirror": (lambda p, _: ImageOps.mirror(p), "JPEG", SAVED),
    "quarter-turn": (lambda p, _: p.transpose(Image.Transpose.ROTATE_90), "JPEG", SAVED),
    "brighter": (lambda p, _: ImageEnhance.Brightness(p).enhance(1.25), "JPEG", SAVED),
    "less contrast": (lambda p, _: ImageEnhance.Contrast(p).enhance(0.75), "JPEG", SAVED),
    "text": (_written, "JPEG", SAVED),
}
"""Thirteen ways in which a picture comes back: what is done, the format, and its quality."""


def recoloured(picture: Image.Image, turn: int) -> Image.Image | None:
    """The coloured pixels' hue turned by `turn` of 256; None where the picture has hardly any colour."""
    hue, saturation, value = picture.convert("HSV").split()
    coloured = np.asarray(saturation) > COLOURED
    if coloured.mean() < ENOUGH_COLOUR:
        return None
    turned = np.where(coloured, np.asarray(hue) + np.uint8(turn), np.asarray(hue))
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def printed(picture: Image.Image, other: Image.Image) -> Image.Image:
    """The picture with another one printed on its middle."""
    size = round(picture.width * PRINT**0.5), round(picture.height * PRINT**0.5)
    out = picture.copy()
    place = (picture.width - size[0]) // 2, (picture.height - size[1]) // 2
    out.paste(other.resize(size, Image.Resampling.LANCZOS), place)
    return out


def measure(
    encoder: Encoder, originals: Sequence[Path], others: Sequence[Path] = (), seed: int = SEED
) -> Score:
    """Find the edits of the originals in an index that holds them, their variants and other pictures."""
    if not originals:
        raise UsageError("there is no original to edit", "the picture sets are empty", "Fetch them again")
    with TemporaryDirectory(prefix="visualsearch-near-") as scratch:
        pictures = Path(scratch) / "pictures"
        for number, path in enumerate(originals):
            another = originals[(number + 1) % len(originals)]
            _write(
                pictures / f"{number:04d}", load(path), load(another), np.random.default_rng((seed, number))
            )
        for number, path in enumerate(others):
            folder = pictures / f"other-{number:04d}"
            folder.mkdir()
            (folder / f"original{path.suffix}").write_bytes(path.read_bytes())
        with Index.create(Path(scratch) / "near.index", encoder) as index:
            index.add(str(pictures))
            return score(
                index.dedup().groups, [p.relative_to(pictures) for p in sorted(pictures.rglob("*.*"))]
            )


def score(groups: Sequence[Group], pictures: Sequence[Path]) -> Score:
    """Compare groups with what the pictures' names say: a folder for each original, variants marked in their names."""
    groups_of: dict[str, set[int]] = {}
    for number, group in enumerate(groups):
        for pin in group.ids:
            groups_of.setdefault(pin, set()).add(number)
    families = {p.parent: _family(p, groups, groups_of) for p in pictures if p.stem == "original"}
    found: dict[str, list[bool]] = {}
    variants = joined = 0
    for path in pictures:
        if path.stem == "original":
            continue
        own = bool(groups_of.get(path.as_posix(), set()) & families.get(path.parent, set()))
        if path.stem.startswith("variant"):
            variants += 1
            joined += own
        else:
            found.setdefault(path.stem, []).append(own)
    pairs = [pair for group in groups for pair in combinations(group.ids, 2)]
    right = sum(Path(a).parent == Path(b).parent and not ("variant" in a or "variant" in b) for a, b in pairs)
    same = sum(
        "variant" in pin for group in groups for pin in group.remove if group.likeness is not Likeness.SIMILAR
    )
    recall = {name: float(np.mean(each)) for name, each in found.items()}
    return Score(recall, len(pairs), right, variants, joined, same)


# -- parts --------------------------------------------------------------------------------------------------------
def _write(folder: Path, original: Image.Image, another: Image.Image, rng: Generator) -> None:
    folder.mkdir(parents=True)
    original.save(folder / "original.jpg", quality=95)
    original = load(folder / "original.jpg")
    for name, (change, form, quality) in EDITS.items():
        options = {"quality": quality} if form == "JPEG" else {}
        change(original, rng).save(folder / f"{name}.{form.lower()}", form, **options)
    for name, picture in _variants(original, another):
        picture.save(folder / f"variant {name}.jpg", quality=95)


def _family(original: Path, groups: Sequence[Group], groups_of: Mapping[str, set[int]]) -> set[int]:
    """The groups with the original, and those which show one of its copies with a text on it."""
    own = groups_of.get(original.as_posix(), set())
    return own | {number for at in own for pin in groups[at].ids for number in groups_of[pin]}


def _variants(original: Image.Image, another: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    for turn in (32, 85, 170):
        changed = recoloured(original, turn)
        if changed is not None:
            yield f"hue {turn}", changed
    yield "print", printed(original, another)
