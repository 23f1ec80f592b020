"""Filters over columns select the very pins that SQL selects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import visualsearch as vs
from visualsearch.search.column import Column, Lists
from visualsearch.search.columns import Columns
from visualsearch.search.filters import parse
from visualsearch.store import Catalog, Reader

from .fakes import FakeEncoder
from .test_engine import add_given, clustered
from .test_filters import PINS

NUMBERS = [0, 1, -1, 2, 10, 50.5, 1.0, -0.0, 1e300, 2**53 + 1, 2**53, float(2**53), 2**63 - 1, 3.7e-5, 0.1]
TEXTS = [
    "",
    "red",
    "Red",
    "RED",
    "it's",
    "10",
    "é",
    "É",
    "😀",
    "a_c",
    "abc",
    "50%",
    '["new", 1]',
    "true",
    "nul\0l",
]
values = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.booleans(),
    st.none(),
    st.lists(st.sampled_from([*TEXTS, *NUMBERS, True, None, [1], {"a": 1}]), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([1, "x"]), max_size=1),
)
NAMES = ("p", "q", "odd name")
pins = st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=3), min_size=1, max_size=12)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


names = st.sampled_from(["p", "q", "`odd name`"])
text = st.sampled_from([*TEXTS, "%", "_", "a%", "%D", "1%", "5_.5", "%e%", "É", "x"]).map(literal)
value = st.one_of(text, st.sampled_from([*NUMBERS, True, False]).map(literal))
test = st.one_of(
    names,
    st.tuples(names, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), value).map(" ".join),
    st.tuples(names, st.sampled_from(["in", "not in"]), st.lists(value, min_size=1, max_size=4)).map(
        lambda t: f"{t[0]} {t[1]} ({', '.join(t[2])})"
    ),
    st.tuples(names, value, value).map(lambda t: f"{t[0]} between {t[1]} and {t[2]}"),
    st.tuples(names, st.sampled_from(["like", "not like"]), text).map(" ".join),
    st.tuples(names, st.sampled_from(["contains", "not contains"]), value).map(" ".join),
    st.tuples(names, st.sampled_from(["is null", "is not null"])).map(" ".join),
)
expression = st.recursive(
    test,
    lambda inner: st.one_of(
        inner.map(lambda e: f"not ({e})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=6,
)


def filled(folder: Path, attributes: list[dict[str, Any]]) -> Catalog:
    Catalog.create(folder, FakeEncoder().spec)
    catalog = Catalog.open(folder)
    writer = catalog.writer()
    with writer.commit():
        for number, given_ in enumerate(attributes):
            writer.put_pin(f"pin{number}", f"/{number}.jpg", None, None, None, number, given_)
    writer.close()
    return catalog


def by_columns(columns: Columns, reader: Reader, where: str) -> list[int]:
    chosen = parse(where)
    columns.matching(reader, chosen)  # the first time it is SQL
    return columns.matching(reader, chosen).tolist()


@given(pins, st.lists(expression, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_select_what_sql_selects(
    tmp_path_factory: pytest.TempPathFactory, attributes: list[dict[str, Any]], expressions: list[str]
) -> None:
    catalog = filled(tmp_path_factory.mktemp("c"), attributes)
    columns = Columns()
    with catalog.read() as reader:
        for where in expressions:
            wanted = reader.matching(parse(where)).tolist()
            assert by_columns(columns, reader, where) == wanted, where
    catalog.close()


def oracle(attributes: dict[str, Any], name: str, check: str, given_: list[Any]) -> bool:
    """What a test of one attribute means, written anew from the grammar's description."""
    value = attributes.get(name)
    if value is None or isinstance(value, list | dict):
        return False  # lists and objects are compared as their JSON texts: left to the test above
    same_type = [v for v in given_ if isinstance(v, str) == isinstance(value, str)]
    if not same_type:
        return False
    return (value in same_type) == (check == "in")


plain_values = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(["", "red", "Red", "10", "é"]), st.booleans(), st.none()
)


@given(
    st.lists(st.dictionaries(st.just("p"), plain_values, max_size=1), min_size=1, max_size=12),
    st.sampled_from(["in", "not in"]),
    st.lists(
        st.one_of(st.sampled_from(NUMBERS), st.sampled_from(["", "red", "Red", "10", "é"]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_of_mixed_types_compares_each_value_with_its_own_type(
    tmp_path_factory: pytest.TempPathFactory, attributes: list[dict[str, Any]], check: str, given_: list[Any]
) -> None:
    catalog = filled(tmp_path_factory.mktemp("c"), attributes)
    where = f"p {check} ({', '.join(map(literal, given_))})"
    wanted = [number for number, one in enumerate(attributes, 1) if oracle(one, "p", check, given_)]
    with catalog.read() as reader:
        assert reader.matching(parse(where)).tolist() == wanted
        assert by_columns(Columns(), reader, where) == wanted
    catalog.close()


def test_numbers_and_texts_in_one_list(tmp_path: Path) -> None:
    mixed = [{"mixed": v} for v in (1, 2, 3, "a", "b", "1", True, None)] + [{}]
    catalog = filled(tmp_path, mixed)
    with catalog.read() as reader:
        for where, wanted in (
            ("mixed in (1, 'a')", [1, 4, 7]),
            ("mixed not in (1, 'a')", [2, 3, 5, 6]),
            ("not mixed in ('a', 1)", [2, 3, 5, 6]),
            ("mixed not in ('1', 'a')", [5]),
            ("mixed not in (1, 2)", [3]),
        ):
            assert reader.matching(parse(where)).tolist() == wanted, where
            assert by_columns(Columns(), reader, where) == wanted, where
    catalog.close()


def test_the_second_filter_on_an_attribute_makes_its_column_and_the_first_does_not(tmp_path: Path) -> None:
    catalog = filled(tmp_path, list(PINS.values()))
    columns = Columns()
    with catalog.read() as reader:
        assert columns.matching(reader, parse("price < 60")).tolist() == [1, 2]
        assert not columns._kept
        assert columns.matching(reader, parse("price < 60 and sold")).tolist() == [1]
        assert not columns._kept
        assert columns.matching(reader, parse("price > 60")).tolist() == [3]
        assert list(columns._kept) == [("price", Column)]
        made = columns._kept["price", Column].thing
        assert isinstance(made, Column)
        assert (made.numbers, made.texts) == ((10, 50.5, 99), ("free",))
        assert made.codes.tolist() == [1, 2, 3, 4, 0]
        by_columns(columns, reader, "tags contains 'silk'")
        tags = columns._kept["tags", Lists].thing
        assert isinstance(tags, Lists)
        assert {v: tags.holding(v).tolist() for v in tags.values} == {"new": [0], "silk": [0], "old": [1]}
    catalog.close()


def test_columns_stay_within_their_memory_and_one_that_never_fits_is_left_to_sql(tmp_path: Path) -> None:
    attributes = [{"p": number, "q": -number, "text": f"{number:0500d}"} for number in range(300)]
    catalog = filled(tmp_path, attributes)
    columns = Columns(limit=300 * 4 + 300 * 40 + 100)
    with catalog.read() as reader:
        assert by_columns(columns, reader, "p < 5") == [1, 2, 3, 4, 5]
        assert list(columns._kept) == [("p", Column)]
        assert by_columns(columns, reader, "q > -2") == [1, 2]
        assert list(columns._kept) == [("q", Column)]
        assert columns.bytes <= columns.limit
        assert by_columns(columns, reader, "text like '%07'") == [8, 108, 208]
        assert columns._kept["text", Column].thing is None
        assert by_columns(columns, reader, "p < 5 and q > -2") == [1, 2]
        assert columns.bytes <= columns.limit
    catalog.close()


def test_many_ranges_of_values_are_looked_up_pin_by_pin(tmp_path: Path) -> None:
    catalog = filled(tmp_path, [{"p": number % 50} for number in range(500)])
    with catalog.read() as reader:
        odd = ", ".join(str(n) for n in range(1, 50, 2))
        found = by_columns(Columns(), reader, f"p in ({odd})")
    assert found == list(range(2, 501, 2))
    catalog.close()


def test_a_change_of_the_index_is_seen_by_the_next_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    matrix = clustered(40)
    add_given(index, matrix, monkeypatch)
    for _ in range(3):
        assert index.nearest(matrix[:1], k=40, where="n < 5")[0].total == 5
    index.update("v0", {"n": 99})
    for _ in range(3):
        assert set(index.nearest(matrix[:1], k=40, where="n < 5")[0].ids) == {"v1", "v2", "v3", "v4"}
    index.close()


def test_a_filter_asked_again_is_not_evaluated_again(tmp_path: Path) -> None:
    catalog = filled(tmp_path, [{"price": n, "tags": [1] if n % 2 else ["1"]} for n in range(30)])
    columns = Columns()
    with catalog.read() as reader:
        owners = columns.pins(reader)
        first, count = columns.allowed(reader, parse("price < 7"), owners)
        again, same = columns.allowed(reader, parse("price  <  7"), owners)
        assert again is first
        assert (count, same) == (7, 7)
        assert not first.flags.writeable
        assert columns.allowed(reader, parse("price < 8"), owners)[1] == 8
        for text in ("tags contains 1", "tags contains '1'"):
            assert columns.allowed(reader, parse(text), owners)[1] == 15
        for n in range(20):
            columns.allowed(reader, parse(f"price < {n}"), owners)
        assert columns.allowed(reader, parse("price < 7"), owners)[0] is not first
    catalog.close()
