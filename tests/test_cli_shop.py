"""The command line of a shop's first day: columns, products, and what failures cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .fakes import paint_many


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three products of two pictures each, then a picture that does not exist."""
    paint_many(tmp_path, 6)
    lines = ["sku,photo,name,cost,page"]
    lines += [
        f'00{n // 2},{n:03d}.png,Lamp {n // 2},"{n // 2 + 1}.299,00 €",https://shop.example/{n // 2}'
        for n in range(6)
    ]
    (tmp_path / "shop.csv").write_text(
        "\n".join([*lines, '009,none.png,Gone,"5,00 €",']) + "\n", encoding="utf-8"
    )
    return tmp_path / "shop.csv"


COLUMNS = (
    *("--id-column", "sku", "--image-column", "photo", "--title-column", "name"),
    *("--price-column", "cost", "--url-column", "page", "--group-by", "sku"),
)


def test_named_columns_and_products_from_the_command_line(run: Any, shop: Path, tmp_path: Path) -> None:
    built = run("index", shop, "--to", tmp_path / "x.index", *COLUMNS, "--json")
    assert (built.code, built.json["pins"], built.json["failed"]) == (1, 6, 1)
    found = run("search", tmp_path / "x.index", tmp_path / "004.png", "-k", "9", "--json").json
    assert found["total"] == 3
    assert found["hits"][0]["id"] == "002"
    assert found["hits"][0]["attributes"] == {
        "sku": "002",
        "title": "Lamp 2",
        "price": 3299.0,
        "currency": "EUR",
        "url": "https://shop.example/2",
    }
    every = run(
        "search", tmp_path / "x.index", tmp_path / "004.png", "--group-by", "none", "-k", "9", "--json"
    ).json
    assert [hit["id"] for hit in every["hits"]][:1] == ["002"]
    assert every["total"] == 6
    page = tmp_path / "found.html"
    assert run("search", tmp_path / "x.index", tmp_path / "004.png", "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert '<a href="https://shop.example/2" target="_blank" rel="noopener noreferrer">Lamp 2</a>' in text
    assert "3,299.00 EUR" in text


def test_how_an_export_is_read_is_said_once(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path, 2)
    text = "Handle,Title,Variant Price,Image Src\nlamp,Lamp,5,000.png\nlamp,,,001.png\n"
    (tmp_path / "shopify.csv").write_text(text)
    built = run("index", tmp_path / "shopify.csv", "--to", tmp_path / "x.index")
    assert built.code == 0
    assert built.err.count("read as a Shopify product export: id from 'Handle'") == 1
    assert run("search", tmp_path / "x.index", "--like", "lamp", "--json").json["total"] == 0


@pytest.mark.parametrize(
    ("tolerate", "code"), [("0", 1), ("1", 0), ("0%", 1), ("14%", 1), ("15%", 0), ("100%", 0)]
)
def test_failures_that_are_tolerated_leave_the_exit_code_at_zero(
    run: Any, shop: Path, tmp_path: Path, tolerate: str, code: int
) -> None:
    built = run("index", shop, "--to", tmp_path / "x.index", *COLUMNS, "--tolerate", tolerate, "--json")
    assert (built.code, built.json["pins"], built.json["failed"]) == (code, 6, 1)
    assert "none.png" in built.err


@pytest.mark.parametrize("tolerate", ["x", "-1", "1.5", "101%", "nan", "inf", ""])
def test_a_tolerance_that_is_none_is_refused(run: Any, shop: Path, tmp_path: Path, tolerate: str) -> None:
    built = run("index", shop, "--to", tmp_path / "x.index", f"--tolerate={tolerate}", *COLUMNS)
    assert built.code == 2
    assert "--tolerate 2%" in built.err
    assert not (tmp_path / "x.index").exists()


@pytest.mark.parametrize("command", ["index", "embed"])
def test_strict_stops_at_the_first_failure_and_prunes_nothing(
    run: Any, shop: Path, tmp_path: Path, command: str
) -> None:
    to = tmp_path / "out"
    if command == "index":
        assert run("index", shop, "--to", to, *COLUMNS, "--tolerate", "1").code == 0
        shop.write_text(
            shop.read_text(encoding="utf-8").replace("002,005.png", "002,none2.png"), encoding="utf-8"
        )
    more = ("--prune",) if command == "index" else ()
    done = run(command, shop, "--to", to, *COLUMNS, "--strict", *more)
    assert done.code == 2
    assert "stopped at the first failure" in done.err
    if command == "index":
        assert run("info", to, "--json").json["pins"] == 6
    assert run(command, shop, "--to", to, *COLUMNS, "--strict", "--tolerate", "1").code == 2


@pytest.mark.parametrize("command", ["index", "embed"])
def test_exit_codes_are_in_the_help(run: Any, command: str) -> None:
    shown = " ".join(run(command, "--help").out.split())
    assert "Exit code 0: done. 1: done, but more pictures or rows failed than --tolerate" in shown
    for option in (
        "--strict",
        "--tolerate",
        "--id-column",
        "--image-column",
        "--title-column",
        "--price-column",
    ):
        assert option in shown


def test_embeddings_keep_the_columns_and_may_be_grouped(run: Any, shop: Path, tmp_path: Path) -> None:
    assert run("embed", shop, "--to", tmp_path / "e", *COLUMNS, "--tolerate", "1").code == 0
    built = run("index", tmp_path / "e", "--to", tmp_path / "x.index", "--group-by", "sku", "--json")
    assert (built.code, built.json["pins"]) == (0, 6)
    found = run("search", tmp_path / "x.index", "--like", "000#2", "-k", "9", "--json").json
    assert found["total"] == 2
    assert {hit["attributes"]["price"] for hit in found["hits"]} == {2299.0, 3299.0}
