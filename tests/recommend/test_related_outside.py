"""Related pins on the command line, over HTTP and as a page."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs

from ..fakes import FakeEncoder, paint_many


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pins; pins 0 to 3 stand together on the boards of four people."""
    paint_many(tmp_path / "photos", 12)
    monkeypatch.setattr("visualsearch.encoders.load_encoder", lambda *_, **__: FakeEncoder())
    with vs.Index.create(tmp_path / "pins.index", FakeEncoder()) as index:
        index.add(tmp_path / "photos")
        for who in range(4):
            for at in range(4):
                index.people.save(f"ada-{who}", f"{at:03d}.png", board="Oak & <b>elm</b>")
    return tmp_path / "pins.index"


def test_the_command_prints_pins_reasons_json_or_a_page(run: Any, folder: Path, tmp_path: Path) -> None:
    found = run("related", folder, "000.png", "-k", "3", "--json")
    assert found.code == 0
    hits = found.json["hits"]
    assert {hit["id"] for hit in hits} == {"001.png", "002.png", "003.png"}
    assert hits[0]["why"]["sentence"] == 'Saved together on "Oak & <b>elm</b>" and 3 more boards'
    assert found.json["plan"].startswith("walk-")
    assert set(hits[0]["signals"]) == {"walk", "sight", "related"}
    said = run("related", folder, "000.png", "005.png", "-k", "2", "--why", "--weight", "2", "--weight", "1")
    assert said.code == 0
    assert "Saved together on" in said.out
    page = tmp_path / "related.html"
    assert run("related", folder, "000.png", "--html", page).code == 0
    text = page.read_text()
    assert 'Saved together on "Oak & <b>elm</b>" and 3 more boards' in unescape(text)
    assert "<b>elm" not in text
    plain = run("related", folder, "000.png", "-k", "3")
    assert plain.out.count("\n") == 3


def test_the_command_refuses_an_unknown_pin(run: Any, folder: Path) -> None:
    refused = run("related", folder, "nothing")
    assert refused.code == 2
    assert "nothing" in refused.err
    assert refused.out == ""


def test_learn_builds_the_graph_that_related_walks(run: Any, folder: Path) -> None:
    learnt = run("learn", folder, "--only", "graph", "--json")
    assert learnt.code == 0
    (outcome,) = [each for each in learnt.json["outcomes"] if each["part"] == "graph"]
    assert (outcome["state"], outcome["figures"]["links"], outcome["figures"]["boards"]) == ("built", 16, 4)
    again = run("learn", folder, "--only", "graph", "--json")
    assert [each["state"] for each in again.json["outcomes"] if each["part"] == "graph"] == ["kept"]
    found = run("related", folder, "000.png", "-k", "3", "--json")
    assert {hit["id"] for hit in found.json["hits"]} == {"001.png", "002.png", "003.png"}


def test_learning_twice_writes_the_same_bytes(run: Any, folder: Path) -> None:
    def digests() -> dict[str, str]:
        number = (folder / "learnt" / "current").read_text()
        parts = json.loads((folder / "learnt" / number / "manifest.json").read_text())["parts"]
        return {name: each["sha256"] for name, each in parts["graph"]["arrays"].items()}

    run("learn", folder, "--only", "graph")
    first = digests()
    run("learn", folder, "--only", "graph", "--again")
    assert digests() == first


def test_the_server_answers_with_reasons(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    from starlette.testclient import TestClient

    from visualsearch.server.app import create_app

    from ..serving import catalogue, service

    place = catalogue(tmp_path, 12)
    with TestClient(create_app(service(place))) as client:
        index = client.app.state.service.index  # type: ignore[attr-defined]
        for who in range(3):
            for pin in ("m/07", "colours/red", "m/09"):
                index.people.save(f"ada-{who}", pin, board="Kitchen")
        answer = client.get("/pins/m%2F07/related?k=2")
        assert answer.status_code == 200
        found = answer.json()
        assert {hit["id"] for hit in found["hits"]} == {"colours/red", "m/09"}
        why = found["hits"][0]["why"]
        assert (why["kind"], why["sentence"]) == ("together", 'Saved together on "Kitchen" and 2 more boards')
        assert {each["kind"] for each in why["evidence"]} == {"board"}
        assert client.get("/pins/nope/related").status_code == 404
        assert client.get("/pins/m%2F07/related?k=0").status_code == 422
