"""The map in tiles: every pin lies in one tile of each level, trends glow, and the page needs nobody else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.insight import Collection, Tiles, make_clusters, tiled, write_map
from visualsearch.insight.tiles import SIZE

from .conftest import SHOP

KINDS, EACH = 12, 100


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """1,200 pins of 12 kinds; the look of the first kind rises, and that of the last fades."""
    rng = np.random.default_rng(3)
    rows = np.repeat(rng.normal(size=(KINDS, 24)), EACH, 0) + 0.3 * rng.normal(size=(KINDS * EACH, 24))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    words = [(f"kind {at // EACH}",) for at in range(len(rows))]
    clusters = make_clusters(vectors, words)
    ids = [f"{at // EACH}/{at}" for at in range(len(rows))]
    made = tiled(Collection(ids, np.arange(len(ids)), vectors, clusters, clusters.of(vectors)))
    glow = np.zeros(len(made.looks), np.int64)
    glow[made.look[made.row == 0]], glow[made.look[made.row == len(ids) - 1]] = 1, 3
    return replace(made, glow=glow)


def inked(tiles: Tiles, level: int, x: int, y: int) -> np.ndarray:
    """(256, 256, 4) a tile's colours."""
    with Image.open(io.BytesIO(tiles.picture(level, x, y))) as picture:
        return np.array(picture.convert("RGBA")).astype(int)


def test_each_level_has_every_pin_once(tiles: Tiles) -> None:
    assert tiles.deepest == 3
    for level in range(tiles.deepest + 1):
        there = list(tiles.there(level))
        counts = {place: tiles.named(level, *place)["count"] for place in there}
        assert sum(counts.values()) == KINDS * EACH
        assert min(counts.values()) > 0
        if level:
            above = tiles.named(level - 1, there[0][0] // 2, there[0][1] // 2)["count"]
            below = [
                n for (x, y), n in counts.items() if (x // 2, y // 2) == (there[0][0] // 2, there[0][1] // 2)
            ]
            assert sum(below) == above
    empty = {(x, y) for x in range(8) for y in range(8)} - set(tiles.there(3))
    assert tiles.named(3, *empty.pop()) == {"count": 0, "looks": [], "pins": []}


def test_a_tile_names_its_pins_and_those_it_names_stay_named_further_down(tiles: Tiles) -> None:
    whole = tiles.named(0, 0, 0)
    assert (whole["count"], len(whole["pins"])) == (KINDS * EACH, 40)
    assert sum(look["count"] for look in whole["looks"]) == KINDS * EACH
    for pin in whole["pins"][:10]:
        below = tiles.named(2, int(pin["x"] * 4), int(pin["y"] * 4))
        assert pin["id"] in [each["id"] for each in below["pins"]]


def test_what_looks_alike_lies_together(tiles: Tiles) -> None:
    kind = np.array([int(tiles.ids[row].split("/")[0]) for row in tiles.row])
    places = np.stack([tiles.x, tiles.y], 1)
    middles = np.array([places[kind == each].mean(0) for each in range(KINDS)])
    nearest = np.sqrt(((places[:, None] - middles[None]) ** 2).sum(2)).argmin(1)
    assert (nearest == kind).mean() > 0.9
    assert len(np.unique(places.round(4), axis=0)) > 0.9 * KINDS * EACH


def test_trends_glow_in_their_colour_and_others_do_not(tiles: Tiles) -> None:
    picture = inked(tiles, 0, 0, 0)
    assert picture.shape == (SIZE, SIZE, 4)
    for phase, colour in ((1, (24, 140, 74)), (3, (200, 54, 43)), (0, (107, 118, 134))):
        held = tiles.glow[tiles.look] == phase
        column, line = (int(np.median(each[held]) * SIZE) for each in (tiles.x, tiles.y))
        around = picture[max(0, line - 6) : line + 7, max(0, column - 6) : column + 7].reshape(-1, 4)
        seen = {tuple(each[:3]) for each in around[around[:, 3] > 40].tolist()}
        assert phase == 0 or colour in seen
    assert (picture[..., 3] == 0).mean() > 0.2


def test_glow_runs_on_over_the_edges_of_tiles(tiles: Tiles) -> None:
    for x in range(3):
        one, other = inked(tiles, 2, x, 1)[..., 3], inked(tiles, 2, x + 1, 1)[..., 3]
        inner = np.abs(np.diff(one[:, -8:], axis=1)).max()
        assert np.abs(one[:, -1] - other[:, 0]).max() <= max(30, 2 * inner)


def test_it_is_written_whole_and_replaced_and_nothing_else_is(tiles: Tiles, tmp_path: Path) -> None:
    made = write_map(tiles, tmp_path / "map", ["A note."])
    assert made.tiles == sum(len(list(tiles.there(level))) for level in range(4))
    assert len(list((tmp_path / "map").rglob("*.png"))) == made.tiles
    assert sum(p.stat().st_size for p in (tmp_path / "map").rglob("*") if p.is_file()) == made.bytes
    page = (tmp_path / "map" / "index.html").read_text()
    assert "A note." in page
    assert "http" not in page.replace("http-equiv", "").replace("http.server", "")
    assert json.loads((tmp_path / "map" / "map.json").read_text())["pins"] == KINDS * EACH
    (tmp_path / "map" / "stray").write_text("x")
    write_map(tiles, tmp_path / "map")
    assert not (tmp_path / "map" / "stray").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is no map"):
        write_map(tiles, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map", "mine"]


def test_names_that_are_html_stay_names(tiles: Tiles, tmp_path: Path) -> None:
    looks = [replace(look, name="</script><b>x") for look in tiles.looks]
    page = (write_map(replace(tiles, looks=looks), tmp_path / "map").place / "index.html").read_text()
    assert "</script><b>" not in page


def test_the_command_writes_a_map_on_which_trends_glow(
    untold: vs.Index, run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run(
        "insight",
        "map",
        untold.folder,
        "--to",
        tmp_path / "map",
        "--last",
        56,
        "--until",
        "2026-06-28",
        "--json",
    )
    assert done.code == 0, done.err
    assert done.json["pins"] == 240
    looks = json.loads((tmp_path / "map" / "map.json").read_text())["looks"]
    assert "birds" in {look["name"].rstrip(" 23") for look in looks if look["phase"] in ("rising", "peaking")}
    plain = run("insight", "map", untold.folder, "--to", tmp_path / "map", "--no-trends")
    assert plain.code == 0
    assert {look["phase"] for look in json.loads((tmp_path / "map" / "map.json").read_text())["looks"]} == {
        ""
    }


# -- over HTTP -------------------------------------------------------------------------------------------------------
@pytest.fixture
def client(untold: vs.Index) -> Iterator[tuple[Any, dict[str, dict[str, str]]]]:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    from starlette.testclient import TestClient

    from visualsearch.insight import claim, verify
    from visualsearch.server.app import create_app, open_service
    from visualsearch.server.keys import FILE, Scope, new_key
    from visualsearch.server.settings import Settings

    from ..fakes import FakeEncoder

    claim(untold.people, "acme", SHOP, "dns")
    verify(untold.people, "acme", SHOP, texts=lambda each: [each.proof])
    tokens = {
        "owner": new_key(untold.folder / FILE, Scope.INSIGHT),
        "acme": new_key(untold.folder / FILE, Scope.INSIGHT, merchant="acme"),
        "reader": new_key(untold.folder / FILE, Scope.READ),
    }
    service = open_service(untold.folder, Settings(keys_needed=True), FakeEncoder())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as made:
        yield made, {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}


def test_the_server_draws_tiles_for_the_owner(client: tuple[Any, dict[str, dict[str, str]]]) -> None:
    asked, heads = client
    ways = ("/insight/map?trends=false", "/insight/map/0/0/0.png", "/insight/map/1/1/1.json")
    for address in ways:
        assert asked.get(address).status_code == 401
        assert {asked.get(address, headers=heads[who]).status_code for who in ("acme", "reader")} == {403}
    page, picture, named = (asked.get(address, headers=heads["owner"]) for address in ways)
    assert "240 pins" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert Image.open(io.BytesIO(picture.content)).size == (SIZE, SIZE)
    counts = [
        asked.get(f"/insight/map/1/{x}/{y}.json", headers=heads["owner"]).json()["count"]
        for x in (0, 1)
        for y in (0, 1)
    ]
    assert (sum(counts), counts[3]) == (240, named.json()["count"])
    assert asked.get("/insight/map/0/7/7.json", headers=heads["owner"]).json()["count"] == 0
    assert asked.get("/insight/map/9/0/0.png", headers=heads["owner"]).status_code == 422
    assert (
        asked.get("/insight/map/map.js", headers=heads["owner"])
        .headers["content-type"]
        .startswith("text/javascript")
    )


def test_pages_of_reports_may_use_their_own_style(client: tuple[Any, dict[str, dict[str, str]]]) -> None:
    asked, heads = client
    page = asked.get("/insight/timing?until=2026-06-28&format=html", headers=heads["owner"])
    assert "<style>" in page.text
    assert "style-src 'unsafe-inline'" in page.headers["content-security-policy"]
