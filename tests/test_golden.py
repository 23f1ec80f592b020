"""Answers without a ranker stay what they were: byte for byte in `--json` and HTTP, to five digits where floats are mixed.

The golden file changes by one command only: python -m tests.test_golden
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch import cli
from visualsearch.server.app import create_app
from visualsearch.types import Box, EncoderSpec, Float32, Preprocessing

from .fakes import COLORS, FakeEncoder, paint
from .serving import service

GOLDEN = Path(__file__).parent / "golden" / "answers.json"
REGIONS = "visualsearch.changing.region_boxes"
PARTS = (Box(0, 0, 0.5, 0.5), Box(0.25, 0.25, 1, 1))
SIGNS = 64


class Signs(FakeEncoder):
    """Encodes a picture by the signs of its cells: every cosine is a multiple of 1/32, the same on every machine."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = EncoderSpec("signs", SIGNS, Preprocessing(32), "1" * 64)

    def encode_images(self, pixels: Any) -> Float32:
        cells = np.asarray(pixels, np.float64).reshape(len(pixels), 3, 4, 8, 4, 8).mean((3, 5))
        signs = np.where(cells.reshape(len(pixels), 48) > 120, 1, -1)
        same = np.ones((len(pixels), SIGNS - 48))
        return (np.concatenate([signs, same], axis=1) / 8).astype(np.float32)


def made(folder: Path) -> Path:
    """An index of 60 pictures, every second one with two regions; three pictures make a product."""
    rows: list[list[Any]] = [["id", "image", "title", "category", "board", "product", "price"]]
    for number in range(60):
        name = list(COLORS)[number] if number < len(COLORS) else f"{number:03d}"
        paint(folder / "pictures" / f"{name}.png", name if number < len(COLORS) else number)
        product = "" if number % 10 == 9 else f"p{number // 3:02d}"
        price = "" if number % 7 == 3 else number % 20 + 0.5
        rows.append(
            [
                f"pin/{name}",
                f"pictures/{name}.png",
                f"No. {number}",
                "abc"[number % 3],
                "xy"[number % 2],
                product,
                price,
            ]
        )
    with (folder / "pins.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)

    def boxes(picture: Image.Image) -> list[Box]:
        return list(PARTS) if np.asarray(picture.resize((1, 1))).sum() % 2 else []

    with patch(REGIONS, boxes):
        index = vs.create(folder / "pins.index", Signs())
        index.add(folder / "pins.csv", regions=True, workers=1)
    index.remove(["pin/017", "pin/023"])
    index.close()
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
        (64, 64), Image.Resampling.NEAREST
    ).save(folder / "query.png")
    return folder / "pins.index"


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("{query}",),
    ("{query}", "-k", "60"),
    ("{query}", "-k", "7", "--offset", "9"),
    ("{query}", "--offset", "100"),
    ("{query}", "--crop", "0,0,0.5,0.5", "-k", "5"),
    ("{query}", "--where", "category = 'a' and price < 12", "-k", "8"),
    ("{query}", "--where", "category in ('a', 'b')", "-k", "4", "--offset", "30"),
    ("{query}", "--where", "price < 0"),
    ("{query}", "--min-score", "0.25", "-k", "30"),
    ("{query}", "--min-score", "0.25", "-k", "5", "--offset", "3"),
    ("{query}", "--min-score", "auto", "-k", "30"),
    ("{query}", "--min-score", "0.99"),
    ("{query}", "--group-by", "product", "-k", "12"),
    ("{query}", "--group-by", "product", "-k", "5", "--offset", "15", "--where", "price > 3"),
    ("--text", "red",),
    ("--text", "nothing", "-k", "3"),
    ("--like", "pin/030", "-k", "6"),
    ("--like", "pin/030", "--group-by", "product", "-k", "6"),
    ("--like", "pin/030", "--where", "category = 'a'"),
)  # fmt: skip
MIXES: tuple[dict[str, Any], ...] = (
    {"text": ["red"], "not_text": ["green"], "k": 6},
    {"text": "blue", "like": ["pin/040"], "weights": {"text": 0.4}, "where": "price > 2", "offset": 2},
    {"like": ["pin/030", "pin/031"], "unlike": ["pin/033"], "include_seeds": True, "group_by": "product"},
)
REQUESTS: tuple[dict[str, Any], ...] = (
    {"text": ["red"], "k": 5},
    {"like": ["pin/030"], "where": "category = 'b'", "k": 4, "offset": 4},
    {"like": ["pin/030"], "min_score": 0.2, "k": 4},
    {"like": ["pin/030"], "group_by": "product", "k": 4},
    {"like": ["pin/030"], "sort": "price", "k": 60},
    {"like": ["pin/030"], "sort": "-price", "k": 5, "offset": 5},
    {"like": ["pin/030"], "sort": "category", "where": "price > 3", "k": 9, "min_score": 0.1},
    {"text": ["red"], "sort": "-title", "k": 3},
)
LOOKS: tuple[dict[str, Any], ...] = (
    {"k": 4, "unsure": True},
    {"k": 4, "unsure": True, "repeat": True, "diversity": 0.6},
    {"k": 3, "unsure": True, "diversity": 0.3, "goes_with": 5, "where": "price > 1"},
    {"k": 5},
)
SCENE_BOXES = [(0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 0.5)]


def _rounded(value: Any) -> Any:
    """All floats to five digits: where vectors are summed, the last digits depend on the machine."""
    if isinstance(value, float):
        return round(value, 5) + 0.0
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _unranked(text: str) -> str:
    """An answer that was sorted, without what a ranker adds to it."""
    answer = json.loads(text)
    for hit in answer["hits"]:
        assert "signals" in hit
        hit.pop("signals")
        hit.pop("rank_score")
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


def _plain(hits: vs.Hits) -> dict[str, Any]:
    found = {"hits": [h.to_dict() for h in hits], "total": hits.total, "plan": hits.plan, "best": hits.best}
    return {**found, "alike": hits.alike, "noise": hits.noise, "notes": list(hits.notes)}


def _command(index: Path, words: tuple[str, ...]) -> str:
    out = io.StringIO()
    given = [word.format(query=index.parent / "query.png") for word in words]
    with (
        patch("visualsearch.cli.search.open_index", lambda folder, *_, **__: vs.open(folder, Signs())),
        patch.object(sys, "argv", ["visualsearch", "search", str(index), *given, "--json"]),
        redirect_stdout(out),
        redirect_stderr(io.StringIO()),
        suppress(SystemExit),
    ):
        cli.main()
    return out.getvalue()


def _unsized(text: str) -> str:
    """An answer without the sizes of pictures, which hits say since."""
    short = re.sub(r',"(?:width|height)":(?:\d+|null)', "", text)
    assert short != text
    return short


def answers(index: Path) -> dict[str, Any]:
    """Everything that is compared, without what differs between any two runs: places and seconds."""
    found: dict[str, Any] = {" ".join(words): _command(index, words) for words in COMMANDS}
    with TestClient(create_app(service(index, Signs(), people="off"))) as client:
        for request in REQUESTS:
            answer = client.post("/search", json=request)
            assert answer.status_code == 200, answer.text
            found[f"POST {json.dumps(request)}"] = (
                _unranked(_unsized(answer.text)) if "sort" in request else _unsized(answer.text)
            )
    with vs.open(index, Signs()) as opened:
        for mix in MIXES:
            found[f"mix {json.dumps(mix)}"] = _rounded(_plain(opened.search(**mix)))
        scene = Image.open(index.parent / "query.png")
        for look in LOOKS:
            seen = opened.look(scene, boxes=SCENE_BOXES, **look).to_dict()
            found[f"look {json.dumps(look)}"] = _rounded({**seen, "seconds": None})
        found["complete"] = _rounded(_plain(opened.complete("pin/030", 6)))
        many = opened.nearest(
            opened.vectors(["pin/040", "pin/041"]), k=4, where="price > 2", group_by="product"
        )
        found["nearest"] = [_plain(hits) for hits in many]
    text = json.dumps(found, ensure_ascii=False).replace(str(index.parent), "FOLDER")
    return dict(json.loads(re.sub(r'(\\"seconds\\": ?)[0-9.e-]+', r"\1 0", text)))


@pytest.mark.usefixtures("_uncompiled")
def test_without_a_ranker_every_answer_is_the_golden_one(tmp_path: Path) -> None:
    golden, now = json.loads(GOLDEN.read_text(encoding="utf-8")), answers(made(tmp_path))
    assert list(now) == list(golden)
    for name, text in golden.items():
        assert now[name] == text, name


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        fresh = answers(made(Path(folder)))
    GOLDEN.write_text(json.dumps(fresh, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
