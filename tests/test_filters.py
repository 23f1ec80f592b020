"""Filters select just the pins they describe, and nothing reaches SQL but through marks."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visualsearch.errors import FilterError, VisualSearchError
from visualsearch.search.filters import parse

PINS = {
    "a": {"price": 10, "color": "red", "sold": True, "tags": ["new", "silk"], "size": "10"},
    "b": {"price": 50.5, "color": "Blue", "sold": False, "tags": ["old"], "odd name": 1},
    "c": {"price": 99, "color": "it's", "sold": False},
    "d": {"color": None, "price": "free"},
    "e": {},
}
NAMES = {"price", "color", "sold", "tags", "size", "odd name"}


@pytest.fixture(scope="module")
def table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE pins (id TEXT, uri TEXT, attributes TEXT)")
    db.executemany(
        "INSERT INTO pins VALUES (?, ?, ?)", [(i, f"/p/{i}.jpg", json.dumps(a)) for i, a in PINS.items()]
    )
    return db


def select(db: sqlite3.Connection, where: str) -> str:
    found = parse(where, NAMES)
    rows = db.execute(f"SELECT id FROM pins p WHERE {found.sql} ORDER BY id", found.values)
    return "".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("price < 50", "a"),
        ("price <= 50.5", "ab"),
        ("price > 50", "bc"),  # 'free' is a text: not above every number
        ("price = 'free'", "d"),
        ("price != 10", "bc"),
        ("price <> 1e1", "bc"),
        ("price between 10 and 60", "ab"),
        ("price not between 10 and 60", "c"),
        ("color = 'red'", "a"),
        ('color == "it\'s"', "c"),
        ("color = 'it''s'", "c"),
        ("color in ('red', 'Blue', 7)", "ab"),
        ("color not in ('red')", "bc"),
        ("price in (10, 99, 'free')", "acd"),
        ("color like 'BL%'", "b"),
        ("color not like '%e%'", "c"),
        ("color is null", "de"),
        ("color is not null", "abc"),
        ("sold", "a"),
        ("not sold", "bc"),
        ("sold = false", "bc"),
        ("not price < 50", "bc"),
        ("tags contains 'silk'", "a"),
        ("color contains 'lu'", "b"),
        ("not tags contains 'silk'", "b"),
        ("`odd name` = 1", "b"),
        ("id = 'c' or uri like '%/e.jpg'", "ce"),
        ("id in ('a', 'b') and (sold or price > 50)", "ab"),
        ("NOT (price < 50 OR color = 'Blue') AND price < 1000", "c"),
        ("size = 10", ""),  # the text "10" is not the number
        ("price = -10 or price = +99", "c"),
    ],
)
def test_a_filter_selects_just_what_it_describes(
    table: sqlite3.Connection, where: str, expected: str
) -> None:
    assert select(table, where) == expected


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "nothing to compare"),
        ("price <", "it ends where a number"),
        ("price < 50 and", "it ends where an attribute"),
        ("prise < 50", "Known: price"),
        ("price ~ 5", "'~' is not understood at character 7"),
        ("color = 'red", "a text is not closed at character 9"),
        ("price < 50 price > 3", "'price' at character 12"),
        ("(price < 50", "it ends where ')'"),
        ("price in ()", "')' at character 11"),
        ("color like 5", "a quoted text"),
        ("price = 1; drop table pins", "';' is not understood"),
        ("(" * 500 + "price < 1" + ")" * 500, "nests deeper"),
        ("price = " + "9" * 400, "too large"),
        ("x" * 30_000, "too long"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where_and_why(where: str, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(where, NAMES)
    assert said in str(caught.value)


DEEP = {
    "not": lambda n: "not " * n + "price = 10",
    "parentheses": lambda n: "(" * n + "price = 10" + ")" * n,
    "either in not": lambda n: "not (price = 99 or " * n + "price = 10" + ")" * n,
    "members": lambda n: "(color in ('red', 1) and " * n + "color not contains 1" + ")" * n,
}


@pytest.mark.parametrize("kind", DEEP)
def test_whatever_the_depth_a_filter_runs_or_says_where_it_is_too_deep(
    table: sqlite3.Connection, kind: str
) -> None:
    """SQLite's own parser gives up long before its stated limits."""
    for depth in (1, 2, 9, 14):
        where = parse(DEEP[kind](depth), NAMES)
        table.execute(f"SELECT count(*) FROM pins p WHERE {where.sql}", where.values).fetchone()
    for depth in (17, 20, 28, 35, 44, 50, 59, 60, 61, 200):
        said = ""
        try:
            where = parse(DEEP[kind](depth), NAMES)
        except FilterError as error:
            said = str(error)
        if said:
            assert re.search(r"levels at character \d+", said)
        else:
            table.execute(f"SELECT count(*) FROM pins p WHERE {where.sql}", where.values).fetchone()


def test_nots_cancel_out(table: sqlite3.Connection) -> None:
    assert parse("not " * 50 + "sold", NAMES).sql == parse("sold", NAMES).sql
    assert select(table, "not " * 51 + "price < 50") == select(table, "not price < 50")


def test_values_travel_apart_from_the_sql() -> None:
    found = parse("color = 'x'' OR 1=1 --' and `odd name` = 2")
    assert "OR 1=1" not in found.sql
    assert "odd name" not in found.sql
    assert found.values.count("x' OR 1=1 --") == 1


def test_a_long_chain_stays_within_sqlite_limits(table: sqlite3.Connection) -> None:
    assert select(table, " or ".join(f"price = {n}" for n in range(11))) == "a"
    assert select(table, " or ".join(["price = 10"] * 1200)) == "a"


@given(st.text(alphabet="price<>=! 'in()and or5.`\"not,%like\x00é", max_size=60))
def test_any_text_is_either_a_runnable_filter_or_a_clear_error(text: str) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE pins (id TEXT, uri TEXT, attributes TEXT)")
    db.execute("INSERT INTO pins VALUES ('a', 'b', '{}')")
    try:
        found = parse(text)
    except VisualSearchError:
        return
    db.execute(f"SELECT id FROM pins p WHERE {found.sql}", found.values).fetchall()
