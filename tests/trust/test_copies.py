"""Copies that vectors miss: the same pictures cropped a little and saved anew, beside a shop whose products look alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import visualsearch as vs
from visualsearch.dedup import same_pictures
from visualsearch.people import Level
from visualsearch.trust import Trust, copies
from visualsearch.types import Record

from .conftest import saved, unit

PINS, PICTURES = 42, 6


def drawn(seed: int, side: int = 200) -> Image.Image:
    """A product on a white ground: a few shapes of its own."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = rng.integers(10, side - 70, 2).tolist()
        w, h = rng.integers(15, 60, 2).tolist()
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + w, y + h), fill=tuple(rng.integers(0, 200, 3).tolist()))
    return picture


def altered(picture: Image.Image, rng: np.random.Generator, path: Path) -> str:
    """Cropped by up to 4 % and saved anew."""
    left, top, right, bottom = (rng.uniform(0, 0.02, 4) * picture.width).tolist()
    made = picture.crop(
        (round(left), round(top), picture.width - round(right), picture.height - round(bottom))
    )
    made.save(path, "JPEG", quality=int(rng.integers(50, 90)))
    return str(path)


def put_up(index: vs.Index, folder: Path, name: str, copied: bool) -> None:
    """Pins by three accounts, all for one unknown site: of six pictures over and over, or each of its own product."""
    rng = np.random.default_rng(1)
    folder.mkdir(exist_ok=True)
    looks = [unit(np.random.default_rng(70 + n)) for n in range(PICTURES)]
    records, rows = [], []
    for n in range(PINS):
        seed = n % PICTURES if copied else 100 + n
        uri = altered(drawn(seed), rng, folder / f"{n}.jpg")
        link = f"https://{name}.example/{n}"
        vector = unit(
            rng, looks[n % PICTURES], 0.94
        )  # what is altered so keeps a cosine of 0.88 with the encoder that is bundled
        records.append(
            Record(
                f"{name}-{n}", uri, bytes, {"title": f"{name} {n}", "link": link}, named=True, vector=vector
            )
        )
        rows.append((f"{name}-{n % 3}", f"{name}-{n}", "Mine", link))
    index.add(records)
    saved(index, rows)


def test_altered_copies_of_few_pictures_are_found_and_products_that_look_alike_are_not(
    peaceful: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "ANCHORS", 5)
    monkeypatch.setattr(copies, "NEIGHBOURS", 7)
    index = peaceful.index
    put_up(index, tmp_path / "bad", "quickgain", copied=True)
    put_up(index, tmp_path / "shop", "lampshop", copied=False)
    peaceful.scan()
    cases = {case.sites[0]: case for case in peaceful.queue() if case.sites}
    bad = cases["quickgain.example"]
    [sign] = [each for each in bad.evidence if each["signal"] == "copies"]
    assert sign["value"] >= 5
    assert "saved anew or cropped" in sign["sentence"]
    assert bad.action >= Level.LOWER
    shop = cases.get("lampshop.example")
    assert shop is None or (
        shop.action == Level.NOTHING and "copies" not in {each["signal"] for each in shop.evidence}
    )

    def again(*_: object) -> None:
        raise AssertionError("it was compared already")

    monkeypatch.setattr(copies, "same_pictures", again)
    peaceful.scan(everything=True)


def test_a_round_compares_the_pictures_of_few_bursts_and_none_of_the_web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "ANCHORS", 4)
    rng = np.random.default_rng(0)
    vectors = np.stack([unit(rng)] * 12)
    names = [altered(drawn(5), rng, tmp_path / f"{n}.jpg") for n in range(12)]
    asked = copies.Copies(left=1)
    assert asked.of(["https://shop.example/1.jpg"] * 12, vectors) is None
    found = asked.of(names, vectors)
    assert found is not None
    assert (found.each > 8, found.compared, found.proved) == (True, 4, 4)
    assert asked.of(names, vectors) is None


def test_pairs_are_proved_and_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [altered(drawn(n // 2), rng, tmp_path / f"{n}.jpg") for n in range(4)]
    (tmp_path / "4.jpg").write_bytes(b"no picture")
    proved, read = same_pictures([*names, str(tmp_path / "4.jpg")], [(0, 1), (0, 2), (2, 3), (1, 4)])
    assert (proved, read) == ({(0, 1), (2, 3)}, {0, 1, 2, 3})
