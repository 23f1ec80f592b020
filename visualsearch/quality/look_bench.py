"""What the tasks about looks share: composed scenes, and an index of their objects' product shots.

Scenes are composed (`look_scenes`) from objects and grounds that the bundled detector never saw. The index holds the
objects' product shots among thousands of other pictures.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL.Image import Image as Picture

from visualsearch import samples
from visualsearch.engine import Index, open_or_create
from visualsearch.errors import UsageError
from visualsearch.images import load
from visualsearch.types import Box, Encoder

from .data import Data
from .look_scenes import Piece, Recipe, Scene, Split, compose, cut, grounds, pieces, product_shot


@dataclass(frozen=True)
class Line:
    """One line of a task's table: what was tried, and its figures by name."""

    task: str
    what: str
    values: Mapping[str, float]
    count: int


@dataclass
class LookBench:
    """What the tasks share. `work` keeps the index between runs; `scenes` is how many are composed for each task; `photos` is
    where the photographs with hand-drawn boxes lie.
    """

    encoder: Encoder
    data: Data
    work: Path
    scenes: int = 120
    others: int | None = None
    seed: int = 7
    photos: Path | None = None
    tell: Callable[[str], None] = field(default=lambda _: None)

    @cached_property
    def objects(self) -> list[Piece]:
        """The measuring split's objects that could be cut out."""
        found = [p for p in pieces(self.data, Split.MEASURE, sample_objects()) if cut(p) is not None]
        if len(found) < 10:
            raise UsageError(
                f"only {len(found)} objects to compose scenes from",
                "the picture sets are not there",
                "Run: apt-get install tuxpaint-stamps-default; more sets: visualsearch bench quality",
            )
        return found

    @cached_property
    def composed(self) -> list[Scene]:
        """Scenes of 3 to 6 objects at 8 to 60 % of the side."""
        return list(self.compose(Recipe(), self.seed))

    @cached_property
    def behind(self) -> tuple[list[Path], list[Path]]:
        """The measuring split's grounds: wallpapers, and photographs of shops."""
        found = grounds(self.data, Split.MEASURE)
        if not any(found):
            raise UsageError(
                "there is no ground to compose scenes on",
                "no wallpaper is installed and the grocery set is not there",
                "Run: apt-get install mate-backgrounds",
            )
        return found

    def compose(self, recipe: Recipe, seed: int) -> Iterator[Scene]:
        """`scenes` scenes by a recipe; the same seed gives the same scenes."""
        pool, behind = self.objects, self.behind
        for number in range(self.scenes):
            yield compose(pool, behind, np.random.default_rng((seed, number)), recipe)

    @cached_property
    def gallery(self) -> Index:
        """An index of all product shots among other pictures; kept in `work`, so a second run embeds nothing."""
        folder = self.work / "shots"
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        learnt = pieces(self.data, Split.TRAIN, sample_objects())
        for piece in [*self.objects, *(p for p in learnt if p.group != "clothing" and cut(p) is not None)]:
            file = folder / f"{piece.name.replace('/', '~')}.png"
            if not file.exists():
                product_shot(piece).save(file)
            rows.append((piece.name, str(file.resolve()), category(piece)))
        rows += self.distractors({row[0] for row in rows})
        manifest = self.work / "gallery.csv"
        with manifest.open("w", newline="") as file_:
            writer = csv.writer(file_)
            writer.writerow(("id", "image", "category"))
            writer.writerows(rows)
        self.tell(f"indexing {len(rows):,} pictures ...")
        index = open_or_create(self.work / f"gallery-{self.encoder.spec.fingerprint}.index", self.encoder)
        index.add(manifest, prune=True)
        return index

    def distractors(self, taken: set[str]) -> list[tuple[str, str, str]]:
        """Photographs that are no object's product shot: (id, path, category)."""
        found = []
        for split in ("train", "validation"):
            if self.data.place("clothing", split).is_dir():
                for item in self.data.clothing(split):
                    found.append((f"clothing/{item.path.stem}", str(item.path.resolve()), "clothes"))
        if self.data.place("grocery").is_dir():
            for item in self.data.grocery("train"):  # the val photographs are grounds of scenes
                found.append((f"shop/{item.path.stem}", str(item.path.resolve()), "food"))
        found = [row for row in found if row[0] not in taken]
        if self.others is not None and len(found) > self.others:
            found = [found[int(i)] for i in np.linspace(0, len(found) - 1, self.others)]
        return found


def sample_objects() -> list[str]:
    """Stamps in the scenes that ship with the package: the detector's training left them out."""
    pins = {one.pin for scene in samples.scenes() for one in scene.objects}
    with samples.manifest().open(encoding="utf-8") as file:
        return [Path(r["source"]).with_suffix("").as_posix() for r in csv.DictReader(file) if r["id"] in pins]


def sample_scenes() -> list[tuple[Picture, list[Box]]]:
    """The scenes that ship with the package and their true boxes."""
    return [(load(scene.image), [one.box for one in scene.objects]) for scene in samples.scenes()]


def category(piece: Piece) -> str:
    """The category that an object's pin has."""
    topics = {"clothing": "clothes", "grocery": "food", "eshop": "gear"}
    return topics.get(piece.group, piece.name.split("/")[0])
