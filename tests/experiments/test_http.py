"""Experiments over HTTP, and who is told that the owner's pages are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from visualsearch.experiments import open_experiments
from visualsearch.server.keys import FILE, Scope, new_key

from ..people.web import Asker, person, serving
from ..serving import catalogue


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("experiments"), 8)


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[Any]:
    with serving(folder, watch_keys=True) as made:
        yield made


def test_nothing_is_made_by_asking(app: Any, folder: Path) -> None:
    assert Asker(app).get("/experiments").json() == {"experiments": []}
    assert not (folder / "people.sqlite").exists()
    assert Asker(app).get("/session").json()["owner"] == "open"  # no keys are needed here


def test_an_owner_reads_goes_on_and_stops_and_nobody_else_does(app: Any, folder: Path) -> None:
    opened = open_experiments(app.state.people.open())
    opened.create("warm-feed", people=2000)
    opened.start("warm-feed")
    opened.create("later", people=2000)
    token = person(app, "ada").headers
    keys = {scope: new_key(folder / FILE, scope) for scope in (Scope.READ, Scope.WRITE, Scope.INSIGHT)}

    def asker(scope: Scope) -> Asker:
        return Asker(app, {"Authorization": f"Bearer {keys[scope]}"})

    owner = asker(Scope.WRITE)
    found = owner.get("/experiments").json()["experiments"]
    assert [(one["name"], one["state"], one["ramp"]) for one in found] == [
        ("warm-feed", "running", 0.01),
        ("later", "draft", 0.0),
    ]
    said = owner.get("/experiments/warm-feed").json()
    assert said["units"] == {"control": 0, "treatment": 0}
    assert any("cannot tell yet" in sentence for sentence in said["sentences"])
    assert owner.post("/experiments/warm-feed/ramp", params={"to": 0.5}).json()["ramp"] == 0.5
    stopped = owner.post("/experiments/warm-feed/stop", params={"reason": "it won"}).json()
    assert (stopped["state"], stopped["reason"]) == ("stopped", "it won")
    assert owner.post("/experiments/warm-feed/ramp").status_code == 409
    assert owner.get("/experiments/nothing").status_code == 404
    assert asker(Scope.READ).get("/experiments").status_code == 403
    assert Asker(app).get("/experiments").status_code == 401
    owners = {scope: asker(scope).get("/session").json()["owner"] for scope in keys}
    assert owners == {Scope.READ: None, Scope.WRITE: "write", Scope.INSIGHT: "insight"}
    assert Asker(app, token).get("/session").json()["owner"] is None
    browser = Asker(app)
    assert browser.get("/session").json()["owner"] is None
    assert browser.post("/session", {"key": keys[Scope.WRITE]}).json()["owner"] == "write"
    again = browser.get("/session").json()
    assert (again["owner"], again["scope"]) == ("write", "read")  # the cookie itself changes nothing
    assert browser.get("/experiments").status_code == 403
