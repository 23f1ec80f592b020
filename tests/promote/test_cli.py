"""`visualsearch promote`: every command once, in text and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from visualsearch.cli import app

from ..serving import catalogue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("promoting"), 12)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["promote", *map(str, words)])


def test_campaigns_are_imported_listed_shown_changed_stopped_and_reported(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "campaigns.csv"
    file.write_text(
        "id,advertiser,pins,bid,currency,budget,attributes,cap\n"
        "one,Ada,m/07;m/08,0.50,EUR,20,category=odd|even,5\n"
        "two,Bob,,0.50,EUR,20,,\n"
    )
    done = run("import", folder, file, "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["new"], [row["line"] for row in said["refused"]]) == (["one"], [3])
    assert (
        "one  running  Ada: 2 pins, 0.50 EUR for a click, 0.00 EUR of 20.00 EUR spent"
        in run("list", folder).stdout
    )
    assert "attributes: {'category': ('odd', 'even')}" in run("show", folder, "one").stdout
    assert json.loads(run("budget", folder, "one", "30 EUR", "--json").stdout)["budget"] == 3000
    assert json.loads(run("list", folder, "--json").stdout)["campaigns"][0]["cap"] == 5
    told = run("report", folder, "--html", tmp_path / "report.html")
    assert "one  running  Ada: shown 0, clicks 0 (-), spent 0.00 EUR of 30.00 EUR" in told.stdout
    assert "every sum is that of the ledger" in told.stdout
    assert "<td>one<br>" in (tmp_path / "report.html").read_text()
    assert json.loads(run("report", folder, "one", "--json").stdout)["sound"] is True
    assert json.loads(run("rebuild", folder, "--json").stdout) == {"entries": 0, "corrected": {}}
    assert json.loads(run("stop", folder, "one", "--reason", "over", "--json").stdout)["state"] == "stopped"
    assert run("show", folder, "none").exception.kind == "campaign"


def test_products_are_taken_from_a_feed(folder: Path, tmp_path: Path) -> None:
    feed = tmp_path / "shop.tsv"
    feed.write_text("id\tprice\tavailability\nm/07\t9.90 EUR\tin_stock\nm/99\t1 EUR\tin_stock\n")
    said = json.loads(run("products", folder, feed, "--json").stdout)
    assert (said["changed"], said["unknown"], said["failures"]) == (1, 1, [])
    assert run("products", folder).exception is not None
