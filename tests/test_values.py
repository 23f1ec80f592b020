"""What is no id or no attribute is refused or tidied at every door, and what an older release stored harms nobody else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.server.app import create_app
from visualsearch.store.values import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ID_BYTES,
    MAX_NAME,
    check_id,
    checked,
    dumped,
    loaded,
    mended,
    tidied,
    wrong,
)
from visualsearch.types import Failure, Record

from .fakes import FakeEncoder, paint
from .serving import catalogue, png, service

NAN, INF = math.nan, math.inf


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# -- the rule -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given_", "tidy"),
    [
        ({"a": NAN}, {"a": None}),
        ({"a": [1, NAN, [INF]], "b": {"c": -INF}}, {"a": [1, None, [None]], "b": {"c": None}}),
        ({"a": "x\0y"}, {"a": "x\ufffdy"}),
        ({"a": ["\ud800"]}, {"a": ["\ufffd\ufffd\ufffd"]}),
        ({"a": 2**63}, {"a": float(2**63)}),
        ({"a": 10**400}, {"a": None}),
        ({"a": b"raw"}, {"a": None}),
        ({"Price\n(EUR)": 3}, {"Price (EUR)": 3}),
        ({"a\0b": 1, "": 2, "  ": 3}, {"a b": 1}),
        ({"a": Decimal("NaN")}, {"a": None}),
    ],
)
def test_what_json_has_no_word_for_is_tidied_in_a_source_and_refused_from_a_person(
    given_: dict[str, Any], tidy: dict[str, Any]
) -> None:
    assert tidied(given_) == tidy
    with pytest.raises(UsageError):
        checked(given_)


def test_values_of_python_and_numpy_become_those_of_json() -> None:
    given_ = {
        "float": np.float32(1.5),
        "int": np.int64(7),
        "bool": np.bool_(True),
        "array": np.arange(3),
        "tuple": (1, "a"),
        "day": date(2026, 11, 28),
        "time": datetime(2026, 11, 28, 8, 0),
        "price": Decimal("3.50"),
        "edge": [2**63 - 1, -(2**63)],
    }
    plain = {
        "float": 1.5,
        "int": 7,
        "bool": True,
        "array": [0, 1, 2],
        "tuple": [1, "a"],
        "day": "2026-11-28",
        "time": "2026-11-28T08:00:00",
        "price": 3.5,
        "edge": [2**63 - 1, -(2**63)],
    }
    assert checked(given_) == tidied(given_) == json.loads(dumped(checked(given_))) == plain


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"a": nested(MAX_DEPTH)}, "nested deeper"),
        ({"a": {"b": nested(MAX_DEPTH - 1)}}, "nested deeper"),
        ({"n" * (MAX_NAME + 1): 1}, "201 characters"),
        ({"a": "x" * MAX_BYTES}, "the largest is 'a'"),
        ({"a": 1, "b": ["\x01" * (MAX_BYTES // 5)]}, "the largest is 'b'"),
        ({"b": "\x01" * (MAX_BYTES // 5)}, "the largest is 'b'"),
        ({str(n): n for n in range(1001)}, "at most 1,000"),
        ([1], "a list, not an object"),
    ],
)
def test_what_is_too_deep_long_or_large_is_refused_everywhere(given_: Any, said: str) -> None:
    for door in (checked, tidied):
        with pytest.raises(UsageError, match=said):
            door(given_)


def test_the_bounds_themselves_are_taken() -> None:
    assert checked({"a": nested(MAX_DEPTH - 1)}) == {"a": nested(MAX_DEPTH - 1)}
    assert checked({"n" * MAX_NAME: 1}) == {"n" * MAX_NAME: 1}
    full = {"a": "x" * (MAX_BYTES - len(dumped({"a": ""})))}
    assert checked(full) == full


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4), st.tuples(inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), anything, max_size=4))
def test_whatever_is_taken_is_json_that_reads_back_the_same(attributes: dict[str, Any]) -> None:
    tidy = tidied(attributes)
    text = dumped(tidy)
    text.encode("utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == tidy
    assert loaded(text) == tidy == tidied(tidy)
    assert wrong(text) == ""
    try:
        assert checked(attributes) == tidy
    except UsageError:
        assert checked(tidy) == tidy


@pytest.mark.parametrize(
    ("text", "why", "read", "mend"),
    [
        (
            '{"a": [1, NaN], "b": 2}',
            "NaN is no JSON number",
            {"a": [1, None], "b": 2},
            {"a": [1, None], "b": 2},
        ),
        ('{"a": 1', "are not JSON", {}, {}),
        ("[1]", "no object", {}, {}),
        (
            f'{{"a": {"[" * 300}{"]" * 300}, "b": 2}}',
            "nested deeper",
            {"a": None, "b": 2},
            {"a": None, "b": 2},
        ),
        ("[" * 100_000, "are not JSON", {}, {}),
        ('{"a\\u0000b": 1}', "control character", {"a\0b": 1}, {"a b": 1}),
    ],
)
def test_stored_attributes_that_cannot_be_used_are_told_read_and_mended(
    text: str, why: str, read: dict[str, Any], mend: dict[str, Any]
) -> None:
    assert why in wrong(text)
    assert loaded(text) == read
    assert mended(text) == mend


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("..", "folder"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("\ud800", "control character"),
        ("画" * (MAX_ID_BYTES // 3 + 1), "bytes in UTF-8"),
    ],
)
def test_an_id_that_no_address_reaches_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_id(name)


# -- the doors ----------------------------------------------------------------------------------------------------
class Rows:
    """A source of pictures with given ids and attributes."""

    kind, uri = "rows", "rows"

    def __init__(self, folder: Path, rows: list[tuple[str, dict[str, Any]]]) -> None:
        self.folder, self.rows = folder, rows

    def count(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Record | Failure]:
        for number, (name, attributes) in enumerate(self.rows):
            path = paint(self.folder / f"{number}.png", number)
            yield Record(name, str(path), path.read_bytes, attributes, True, "1")


def test_a_record_that_cannot_be_stored_costs_itself_only(tmp_path: Path) -> None:
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    rows = [
        ("good", {"list": [1, NAN], "price": 3}),
        ("deep", {"list": nested(300)}),
        ("bad\0id", {"price": 1}),
        ("half\ud800", {}),
        ("long", {"n" * 500: 1}),
        ("also good", {"price": 4}),
    ]
    report = index.add(Rows(tmp_path / "p", rows))
    assert [f.id for f in report.failures] == ["deep", "bad\0id", "half?", "long"]
    assert all(f.reason and f.remedy for f in report.failures)
    assert index.attributes_of("good") == {"list": [1, None], "price": 3}
    assert index.search(text="red", where="price >= 3").total == 2
    assert index.verify() == []
    # what was tidied is not taken for a change when it comes again
    again = index.add(Rows(tmp_path / "p", rows))
    assert (again.unchanged, again.updated, again.failed) == (2, 0, 4)


def test_nan_inside_a_parquet_list_is_null(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in range(3):
        paint(tmp_path / f"{number}.png", number)
    columns = {
        "id": ["a", "b", "c"],
        "image": ["0.png", "1.png", "2.png"],
        "sizes": [[1.0, NAN], [INF], [2.0]],
        "more": [{"x": NAN}, {"x": 1.0}, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    assert index.add(tmp_path / "t.parquet").added == 3
    assert index.attributes_of("a") == {"sizes": [1.0, None], "more": {"x": None}}
    assert index.search(text="red", where="sizes contains 2").ids == ["c"]


@pytest.mark.parametrize("value", [[NAN], {"a": INF}, nested(256), b"x", 2**70, "\ud800"])
def test_update_refuses_what_is_no_attribute_and_keeps_what_was(tmp_path: Path, value: Any) -> None:
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(Rows(tmp_path / "p", [("a", {"price": 3})]))
    with pytest.raises(UsageError, match="'bad'"):
        index.update("a", {"price": 4, "bad": value})
    assert index.attributes_of("a") == {"price": 3}
    assert index.verify() == []


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[TestClient]:
    made = service(catalogue(tmp_path, 8))
    with TestClient(create_app(made)) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        '{"attributes": {"a": [NaN]}}',
        '{"attributes": {"a": {"b": Infinity}}}',
        '{"attributes": {"a": ' + "[" * 256 + "]" * 256 + "}}",
        '{"attributes": {"a\\u0000b": 1}}',
        '{"attributes": {"' + "n" * 300 + '": 1}}',
        '{"attributes": {"a": ' + "9" * 40 + "}}",
    ],
)
def test_over_http_a_bad_attribute_is_a_clear_refusal_and_harms_no_other_pin(
    writable: TestClient, body: str
) -> None:
    headers = {"content-type": "application/json"}
    refused = writable.patch("/pins/m%2F05", content=body, headers=headers)
    assert refused.status_code == 422
    given_ = json.dumps(json.loads(body)["attributes"])
    put = writable.put("/pins/new", params={"attributes": given_}, content=png("red"))
    assert put.status_code == 422
    assert writable.get("/pins/new").status_code == 404
    assert writable.get("/attributes").status_code == 200
    assert writable.get("/pins", params={"where": "price > 0"}).json()["total"] == 8


def test_every_id_that_is_taken_over_http_is_reached_by_its_address(writable: TestClient) -> None:
    from urllib.parse import quote

    for name in (
        "画" * 250,
        "画" * (MAX_ID_BYTES // 3),
        "x" * MAX_ID_BYTES,
        "a/b?c#d%2F",
        "👨‍👩‍👧"[:1] + "é",
    ):
        address = f"/pins/{quote(name, safe='')}"
        assert writable.put(address, content=png("red")).status_code == 201, name[:20]
        assert writable.get(address).json()["id"] == name
        assert writable.get(f"{address}/picture").status_code == 200
    for name in ("画" * (MAX_ID_BYTES // 3 + 1), "x" * (MAX_ID_BYTES + 1)):
        assert writable.put(f"/pins/{quote(name, safe='')}", content=png("red")).status_code == 422
        assert writable.post("/pins", params={"id": name}, content=png("red")).status_code == 422


# -- what an older release stored ---------------------------------------------------------------------------------
BAD = ['{"price": [1, NaN]}', '{"price": 1', f'{{"price": {"[" * 256}{"]" * 256}}}', '{"pri\\u0000ce": 1}']


@pytest.fixture(params=BAD, ids=["nan", "cut", "deep", "name"])
def spoilt(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An index in which one pin's stored attributes cannot be used."""
    folder = catalogue(tmp_path, 8)
    index = vs.open(folder, FakeEncoder())
    with index._writing() as writer, writer.commit():
        writer.db.execute("UPDATE pins SET attributes = ? WHERE id = 'm/05'", (request.param,))
        writer.db.execute("INSERT OR IGNORE INTO names VALUES ('pri' || char(0) || 'ce')")
    index.close()
    return folder


def test_one_bad_pin_breaks_no_filter_page_or_sum_of_the_others(spoilt: Path) -> None:
    index = vs.open(spoilt, FakeEncoder())
    for _ in range(3):  # as SQL, then as columns
        assert len(index.search(text="red", where="price > 0", k=20)) == 7
        assert len(index.search(text="red", where="category contains 'plain' or price < 99", k=20)) == 7
    assert json.loads(json.dumps([h.to_dict() for h in index.search(text="red", k=20)], allow_nan=False))
    index.close()
    with TestClient(create_app(service(spoilt))) as client:
        summed = {one["name"]: one["count"] for one in client.get("/attributes").json()["attributes"]}
        assert summed["category"] == 7
        page = client.get("/pins", params={"sort": "price", "where": "price > 0"})
        assert (page.status_code, page.json()["total"]) == (200, 7)
        assert client.get("/pins/m%2F05").status_code == 200
        assert len(client.get("/search", params={"text": "red", "k": 20}).json()["hits"]) == 8


def test_verify_names_the_bad_pin_and_compacting_mends_it(spoilt: Path) -> None:
    index = vs.open(spoilt, FakeEncoder())
    (problem,) = index.verify()
    assert "pin 'm/05'" in problem.what
    assert f"visualsearch compact {spoilt}" in problem.remedy
    index.compact()
    assert index.verify() == []
    assert all("\0" not in name for name in index.attributes())
    assert len(index.search(text="red", where="price > 0", k=20)) >= 7
