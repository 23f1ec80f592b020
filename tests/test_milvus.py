"""A Milvus collection (Milvus Lite here) answers as the index that filled it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.adapters._milvus_filters import condition
from visualsearch.adapters.milvus import MilvusIndex, export
from visualsearch.errors import (
    EncoderMismatchError,
    FilterError,
    NotAnIndexError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from visualsearch.search.filters import parse
from visualsearch.types import Box

from .conftest import Ran
from .fakes import FakeEncoder, paint_many

ATTRIBUTES = [
    {"price": 10, "color": "red", "sold": True, "tags": ["new", "silk"], "size": "10"},
    {"price": 50.5, "color": "Blue", "sold": False, "tags": ["old", 7], "odd name": 1},
    {"price": 99, "color": 'it\'s "q" \\', "sold": False, "tags": "silken"},
    {"price": "free", "sold": None, "color": "ü\n"},
    {},
    {"price": -3, "tags": 5, "sold": 1},
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[vs.Index, MilvusIndex]]:
    """An index of 30 pins with regions and attributes, and the collection that it filled."""
    folder = tmp_path_factory.mktemp("milvus")
    pictures = paint_many(folder / "photos", 30)
    rows = [
        {"id": f"pin-{n}", "image": str(p), **ATTRIBUTES[n % len(ATTRIBUTES)]} for n, p in enumerate(pictures)
    ]
    manifest = folder / "pins.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    index = vs.create(folder / "pins.index", FakeEncoder())
    index.add(manifest, regions=True)
    assert index.has_regions()
    uri = str(folder / "pins.db")
    sent, removed = export(index.rows(7), index.spec, uri)
    assert (sent, removed) == (index.info()["rows"], 0)
    with MilvusIndex(uri, encoder=FakeEncoder()) as collection:
        yield index, collection


def test_rows_are_all_that_is_stored(filled: tuple[vs.Index, MilvusIndex]) -> None:
    index, _ = filled
    rows = [row for batch in index.rows(7) for row in batch]
    assert len(rows) == index.info()["rows"]
    whole = {row.id: row for row in rows if row.box is None}
    assert len(whole) == 30
    assert whole["pin-4"].attributes == {}
    assert (index.vectors(["pin-4"])[0] == whole["pin-4"].vector).all()
    assert all(isinstance(row.box, Box) for row in rows if row is not whole[row.id])


@pytest.mark.parametrize(
    "wanted",
    [
        {"text": "red"},
        {"text": "red", "k": 5, "offset": 3},
        {"like": "pin-3", "k": 4},
        {"like": "pin-3", "include_seeds": True},
        {"like": ["pin-3", "pin-9"], "unlike": "pin-1", "text": "blue", "weights": {"text": 0.2}},
        {"text": "green", "where": "price < 60", "min_score": -0.2},
        {"text": "green", "k": 30},
    ],
)
def test_a_collection_answers_as_its_index(
    filled: tuple[vs.Index, MilvusIndex], wanted: dict[str, object]
) -> None:
    index, collection = filled
    truth, found = index.search(**wanted), collection.search(**wanted)  # type: ignore[arg-type]
    assert len(truth) > 0
    assert found.ids == truth.ids
    assert found.scores == pytest.approx(truth.scores, abs=1e-3)
    assert np.allclose([hit.box for hit in found], [hit.box for hit in truth], atol=1e-5)
    assert [hit.uri for hit in found] == [hit.uri for hit in truth]
    given = [{n: v for n, v in hit.attributes.items() if v is not None} for hit in truth]
    assert [hit.attributes for hit in found] == given


@pytest.mark.parametrize(
    "where",
    [
        "price < 50", "price > 50", "price = 'free'", "price != 10", "price >= -3", "price between 10 and 60",
        "price not between 10 and 60", "color = 'red'", "color in ('red', 'Blue')", "color not in ('red')",
        "color < 'c'", "not color < 'c'", "price in (10, 99, 'free')", "color is null", "color is not null", "sold", "not sold",
        "sold = true", "sold != true", "sold = false", "not price < 50", "tags contains 'silk'",
        "tags contains 7", "color contains 'lu'", "`odd name` = 1",
        "id = 'pin-7' or uri contains '001'", "not id = 'pin-7' and not uri contains '1'", "id is null", "id is not null",
        "id in ('pin-1', 'pin-2') and (sold or price > 50)", "NOT (price < 50 OR color = 'Blue') AND price < 1000",
        "not (sold and price < 50)", "size = 10", "size = '10'", "price = -3 or price = +99", "color = 'it''s \"q\" \\'",
        "color = 'ü\n'", "price < 1e1", "price <= 1.5e-3",
    ],
)  # fmt: skip
def test_a_filter_leaves_the_same_pins(filled: tuple[vs.Index, MilvusIndex], where: str) -> None:
    index, collection = filled
    expected = set(index.search(text="red", where=where, k=30).ids)
    assert set(collection.search(text="red", where=where, k=30).ids) == expected
    assert collection.count(where) == len(expected)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("color like 'BL%'", "large letters"),
        ("color contains '50%'", "holds one of"),
        ("not tags contains 'silk'", "whether 'tags' is a list"),
        ("color <", "it ends"),
    ],
)
def test_a_filter_that_milvus_does_not_have_is_refused(where: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        condition(parse(where).tree)


def test_a_second_export_takes_out_what_is_gone_and_changes_the_rest(tmp_path: Path, index: vs.Index) -> None:
    uri = str(tmp_path / "again.db")
    export(index.rows(), index.spec, uri, "photos")
    index.remove(["000.png", "017.png"])
    index.update("003.png", {"price": 5})
    assert export(index.rows(), index.spec, uri, "photos") == (38, 2)
    with MilvusIndex(uri, "photos", FakeEncoder()) as collection:
        assert len(collection) == 38
        assert collection.search(text="red", where="price = 5").ids == ["003.png"]
        assert "000.png" not in collection.search(text="red", k=40).ids


def test_an_interrupted_export_is_finished_by_the_next(tmp_path: Path, index: vs.Index) -> None:
    uri = str(tmp_path / "half.db")

    def stopped() -> Iterator[list[vs.types.Stored]]:
        yield next(index.rows(10))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(stopped(), index.spec, uri)
    assert export(index.rows(10), index.spec, uri) == (40, 0)
    with MilvusIndex(uri, encoder=FakeEncoder()) as collection:
        assert collection.search(like="007.png").ids == index.search(like="007.png").ids


def test_what_cannot_be_done_is_said(
    tmp_path: Path, filled: tuple[vs.Index, MilvusIndex], index: vs.Index
) -> None:
    _, collection = filled
    with pytest.raises(EncoderMismatchError, match="Name another collection"):
        export(index.rows(), FakeEncoder("other").spec, collection.uri)
    with pytest.raises(EncoderMismatchError, match="not of 'other'"):
        MilvusIndex(collection.uri, encoder=FakeEncoder("other"))
    with pytest.raises(NotAnIndexError, match="visualsearch export DIR"):
        MilvusIndex(collection.uri, "none")
    with pytest.raises(UnknownNameError, match="nobody"):
        collection.search(like="nobody")
    with pytest.raises(UsageError, match="nothing to search for"):
        collection.search()
    with pytest.raises(StorageError, match="cannot reach Milvus"):
        MilvusIndex("http://127.0.0.1:9")


def test_the_command_fills_a_collection(tmp_path: Path, index: vs.Index, run: Callable[..., Ran]) -> None:
    done = run("export", index.folder, "--to", tmp_path / "pins.db", "--collection", "photos", "--json")
    assert done.code == 0
    assert done.json == {"rows": 40, "removed": 0, "uri": str(tmp_path / "pins.db"), "collection": "photos"}
    with MilvusIndex(str(tmp_path / "pins.db"), "photos", FakeEncoder()) as collection:
        assert len(collection) == 40
