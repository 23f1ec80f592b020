"""Pictures of one product: one hit for each product, the best picture shown; nothing changes where nothing is grouped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch.errors import UnknownNameError
from visualsearch.server.app import create_app

from .fakes import FakeEncoder, paint
from .serving import Speaker, service

PRODUCTS, EACH = 12, 4


def shop(folder: Path, encoder: FakeEncoder | None = None) -> vs.Index:
    """PRODUCTS products of EACH pictures; the pictures of a product are near one another, "lone" has no product."""
    rng = np.random.default_rng(7)
    rows = [["product_id", "image", "kind"]]
    base = rng.integers(0, 200, (PRODUCTS, 4, 4, 3))
    from PIL import Image

    for product in range(PRODUCTS):
        for shot in range(EACH):
            cells = (base[product] + 6 * shot).astype(np.uint8)
            name = f"{product:02d}-{shot}.png"
            Image.fromarray(cells).resize((64, 48), Image.Resampling.NEAREST).save(folder / name)
            rows.append([f"p{product:02d}", name, "odd" if product % 2 else "even"])
    with (folder / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    index = vs.create(folder / "pins.index", encoder or Speaker())
    index.add(folder / "shop.csv", group_by="product_id")
    paint(folder / "more" / "lone.png", "white")
    paint(folder / "more" / "alone.png", "black")
    index.add(folder / "more")
    return index


@pytest.fixture
def index(tmp_path: Path) -> Iterator[vs.Index]:
    made = shop(tmp_path)
    yield made
    made.close()


def products(hits: vs.Hits) -> list[str]:
    return [hit.attributes.get("product_id") or hit.id for hit in hits]


def test_each_product_comes_once_with_its_best_picture(index: vs.Index, tmp_path: Path) -> None:
    query = tmp_path / "03-2.png"
    hits = index.search(image=str(query), k=5)
    assert hits[0].id == "p03#3"
    assert len(set(products(hits))) == 5
    every = index.search(image=str(query), k=PRODUCTS * EACH, group_by="none")
    first: dict[str, str] = {}
    for hit in every:
        first.setdefault(hit.attributes.get("product_id") or hit.id, hit.id)
    assert hits.ids == list(first.values())[:5]
    assert hits.total == PRODUCTS + 2
    assert every.total == PRODUCTS * EACH + 2


def test_pages_follow_one_another_and_hold_every_product(index: vs.Index, tmp_path: Path) -> None:
    query = str(tmp_path / "00-0.png")
    whole = index.search(image=query, k=100).ids
    assert len(whole) == PRODUCTS + 2
    paged = [name for at in range(0, 20, 3) for name in index.search(image=query, k=3, offset=at).ids]
    assert paged == whole


def test_total_counts_products_that_a_filter_leaves(index: vs.Index, tmp_path: Path) -> None:
    hits = index.search(image=str(tmp_path / "00-0.png"), k=100, where="kind = 'odd'")
    assert (hits.total, len(hits)) == (PRODUCTS // 2, PRODUCTS // 2)


def test_a_seed_leaves_its_whole_product_out(index: vs.Index) -> None:
    hits = index.search(like="p05#2", k=100)
    assert "p05" not in products(hits)
    assert (hits.total, len(hits)) == (PRODUCTS + 1, PRODUCTS + 1)
    assert products(index.search(like="p05#2", k=1, include_seeds=True)) == ["p05"]


def test_removed_pictures_leave_their_product(index: vs.Index, tmp_path: Path) -> None:
    query = str(tmp_path / "03-2.png")
    index.remove(["p03#3"])
    hits = index.search(image=query, k=100)
    assert products(hits)[0] == "p03"
    assert hits.total == PRODUCTS + 2
    index.remove([f"p03{tail}" for tail in ("", "#2", "#4")])
    assert index.search(image=query, k=100).total == PRODUCTS + 1


def test_the_index_remembers_the_attribute_and_forgets_it_when_told(index: vs.Index, tmp_path: Path) -> None:
    with vs.open(tmp_path / "pins.index", Speaker()) as again:
        assert again.info()["group_by"] == "product_id"
        assert again.search(like="p00", k=100).total == PRODUCTS + 1
    index.add(tmp_path / "more", group_by="none")
    assert index.search(like="p00", k=100).total == PRODUCTS * EACH + 1
    assert index.search(like="p00", k=100, group_by="kind").total == 3  # odd and the two that have none
    index.add(tmp_path / "more", group_by="kind")
    assert index.search(like="p00", k=100).total == 3


def test_an_unknown_attribute_to_group_by_is_refused(index: vs.Index) -> None:
    with pytest.raises(UnknownNameError, match="group by 'nope'"):
        index.search(like="p00", group_by="nope")


def test_several_vectors_and_looks_are_grouped_as_searches_are(index: vs.Index) -> None:
    vector = index.vectors(["p05"])
    assert len(set(products(index.nearest(vector, k=8)[0]))) == 8
    assert len(set(products(index.nearest(vector, k=8, group_by="none")[0]))) < 8


def test_pictures_keep_their_ids_when_indexed_again(index: vs.Index, tmp_path: Path) -> None:
    report = index.add(tmp_path / "shop.csv", group_by="product_id")
    assert (report.unchanged, report.added, report.updated) == (PRODUCTS * EACH, 0, 0)


def test_an_approximate_index_gives_as_many_products_as_were_asked_for(tmp_path: Path) -> None:
    with shop(tmp_path) as index:
        index.add(tmp_path / "more", preset="hnsw")
        index.compact()
        hits = index.search(image=str(tmp_path / "03-2.png"), k=10)
        assert len(set(products(hits))) == 10
        assert hits[0].id == "p03#3"


def test_an_index_that_groups_nothing_asks_for_nothing_more(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "red.png", "red")
    paint(tmp_path / "a" / "blue.png", "blue")
    with vs.create(tmp_path / "i.index", FakeEncoder()) as index:
        index.add(tmp_path / "a")
        assert index.info()["group_by"] is None
        index.search(text="red")
        assert index._views._snapshot is not None
        assert index._views._snapshot.columns._groups == {}


def test_over_http_group_by_is_a_parameter_and_a_field(tmp_path: Path) -> None:
    shop(tmp_path).close()
    with TestClient(create_app(service(tmp_path / "pins.index"))) as client:
        grouped = client.get("/search", params={"like": "p05", "k": 50}).json()
        assert (grouped["total"], len(grouped["hits"]), grouped["more"]) == (
            PRODUCTS + 1,
            PRODUCTS + 1,
            False,
        )
        every = client.get("/search", params={"like": "p05", "k": 5, "group_by": "none"}).json()
        assert every["total"] == PRODUCTS * EACH + 1
        posted = client.post("/search", json={"like": ["p05"], "k": 5, "group_by": "kind"}).json()
        assert posted["total"] == 3
        assert client.post("/search", json={"like": ["p05"], "group_by": "nope"}).status_code == 422


# -- attributes that are not what they should be ------------------------------------------------------------------
def test_empty_and_mixed_cells_cost_no_filter(tmp_path: Path) -> None:
    columns = "id,image,colour,size,price,sale,nothing,broken"
    rows = [
        f"{n},red.png,{'' if n == 3 else ('red', 'blue')[n % 2]},{(38, 'M', '')[n % 3]},{n + 0.5 if n else 'ask'},"
        f"{('true', 'false', '')[n % 3]},,{n}"
        for n in range(9)
    ]
    paint(tmp_path / "red.png", "red")
    (tmp_path / "m.csv").write_text("\n".join([columns, *rows]))
    with vs.create(tmp_path / "pins.index", Speaker()) as index:
        index.add(tmp_path / "m.csv")
        with index._writing() as writer, writer.commit():
            writer.db.execute("UPDATE pins SET attributes = '{\"broken\": NaN}' WHERE id = '8'")
            writer.db.execute(
                "UPDATE pins SET attributes = replace(attributes, '7}', '1e999}') WHERE id = '7'"
            )
    with TestClient(create_app(service(tmp_path / "pins.index"))) as client:
        answer = client.get("/attributes")
        assert answer.status_code == 200
        found = {one["name"]: one for one in answer.json()["attributes"]}
    values = {name: {v["value"]: v["count"] for v in one["values"]} for name, one in found.items()}
    assert values["colour"] == {"red": 4, "blue": 3}
    assert values["size"] == {38: 3, "M": 3}
    assert values["sale"] == {True: 3, False: 3}
    assert (found["price"]["kind"], found["price"]["low"], found["price"]["high"]) == ("number", 1.5, 7.5)
    assert "nothing" not in found
    assert json.loads(answer.text)
    assert (found["broken"]["low"], found["broken"]["high"]) == (0, None)
