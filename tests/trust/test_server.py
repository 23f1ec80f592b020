"""The queue over HTTP: rounds in the background, verdicts that count at once, keys, appeals, figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

import visualsearch as vs
from visualsearch.people import Event
from visualsearch.server.keys import FILE, Scope, new_key

from ..fakes import FakeEncoder
from ..people.web import Asker, person, serving
from .conftest import COPIES, attacked, honest


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "pins.index"
    with vs.create(folder, FakeEncoder()) as index:
        rng = np.random.default_rng(0)
        honest(index, rng)
        attacked(index, rng)
    return folder


@pytest.fixture
def app(prepared: Path, tmp_path: Path) -> Iterator[Any]:
    import shutil

    shutil.copytree(prepared, tmp_path / "pins.index")
    with serving(tmp_path / "pins.index", trust_seconds=3600.0) as made:
        yield made


def hits(asker: Asker) -> set[str]:
    answer = asker.get("/pins/pin-0/similar", params={"k": 200})
    assert answer.status_code == 200, answer.text
    return {hit["id"] for hit in answer.json()["hits"]}


def test_a_round_hides_a_verdict_brings_back_and_both_count_at_once(app: Any) -> None:
    owner = Asker(app)
    assert any(name.startswith("spam") for name in hits(owner))
    assert app.state.judge.round()
    assert not any(name.startswith("spam") for name in hits(owner))
    listed = owner.get("/pins", params={"k": 200}).json()
    assert (listed["total"], {pin["id"][:4] for pin in listed["pins"]}) == (120, {"pin-"})
    [case] = owner.get("/trust/cases").json()["cases"]
    assert (case["action"], case["pin_count"], len(case["people"])) == ("hide", COPIES, 3)
    assert owner.post(f"/trust/cases/{case['verdict']}", {"verdict": "fine"}).json()["spam"] is False
    assert any(name.startswith("spam") for name in hits(owner))
    assert owner.get("/trust/cases").json()["cases"] == []
    again = owner.post(f"/trust/cases/{case['verdict']}", {"verdict": "reopen"}).json()
    assert (again["action"], again["state"]) == ("hide", "waiting")
    assert not any(name.startswith("spam") for name in hits(owner))
    assert owner.post(f"/trust/cases/{case['verdict']}/undo").json()["state"] == "undone"
    assert any(name.startswith("spam") for name in hits(owner))
    assert owner.post(f"/trust/cases/{case['verdict']}/undo").status_code == 409
    assert owner.post("/trust/cases/77", {"verdict": "hide"}).status_code == 404


def test_a_removed_pin_is_not_there_and_a_hidden_one_is_nowhere_listed(app: Any) -> None:
    owner = Asker(app)
    app.state.judge.round()
    assert owner.get("/pins/spam-0").status_code == 200
    owner.post("/trust/cases/1", {"verdict": "remove"})
    assert owner.get("/pins/spam-0").status_code == 404


def test_only_a_write_key_opens_the_queue(app: Any) -> None:
    folder = app.state.service.index.folder
    keys = {scope: new_key(folder / FILE, scope) for scope in (Scope.READ, Scope.WRITE)}
    app.state.keys_came = True
    assert Asker(app).get("/trust/cases").status_code == 401
    reader = Asker(app, {"Authorization": f"Bearer {keys[Scope.READ]}"})
    assert reader.get("/trust/cases").status_code == 403
    assert reader.post("/trust/cases/1", {"verdict": "hide"}).status_code == 403
    writer = Asker(app, {"Authorization": f"Bearer {keys[Scope.WRITE]}"})
    assert writer.get("/trust/cases").status_code == 200
    assert "F" in Asker(app).get("/review").text


def test_who_is_removed_may_appeal_and_nobody_else(app: Any) -> None:
    app.state.judge.round()
    owner, spammer, other = Asker(app), person(app, "spammer-1"), person(app, "person-3")
    assert spammer.get("/me/verdicts").json()["verdicts"] == []  # who is hidden is not told
    owner.post("/trust/cases/1", {"verdict": "remove"})
    [mine] = spammer.get("/me/verdicts").json()["verdicts"]
    assert (mine["verdict"], mine["action"], mine["pins"]) == (1, "remove", COPIES)
    assert other.get("/me/verdicts").json()["verdicts"] == []
    assert other.post("/me/appeals", {"verdict": 1, "text": "no"}).status_code == 404
    assert spammer.post("/me/appeals", {"verdict": 1, "text": "my own lamps"}).status_code == 200
    [case] = owner.get("/trust/cases").json()["cases"]
    assert (case["state"], case["appeal"]) == ("decided", "my own lamps")
    [said] = case["appeals"]
    assert (said["text"], said["outcome"]) == ("my own lamps", "waiting")
    assert spammer.get("/me/verdicts").json()["verdicts"][0]["appeal"] == "waiting"
    path, word = "/trust/cases/1/appeals", {"person": said["person"], "granted": True, "why": "a shop"}
    assert owner.post(path, {**word, "person": "person-3"}).status_code == 404
    answered = owner.post(path, word).json()["appeals"]
    assert [(each["outcome"], each["why"]) for each in answered] == [("granted", "a shop")]
    assert spammer.get("/me/verdicts").json()["verdicts"] == []
    assert spammer.post("/me/appeals", {"verdict": 1, "text": "more"}).status_code == 409
    assert len([name for name in hits(owner) if name.startswith("spam")]) == COPIES // 3


def test_the_figures_weigh_spam_by_impressions(app: Any) -> None:
    people = app.state.service.index.people
    shown = [Event("impression", "person-1", "spam-0")] + [Event("impression", "person-1", "pin-1")] * 3
    people.record(shown)
    app.state.judge.round()
    told = Asker(app).get("/metrics").text
    assert 'visualsearch_trust_prevalence{bound="judged"} 0.25' in told
    assert f"visualsearch_trust_hidden_pins {float(COPIES)}" in told
    seen = Asker(app).get("/trust/cases").json()["prevalence"]
    assert (seen["impressions"], seen["spam"], seen["share"]) == (4, 1, 0.25)


def test_a_server_that_only_asks_hides_nothing(prepared: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(prepared, tmp_path / "pins.index")
    with serving(tmp_path / "pins.index", trust_seconds=3600.0, trust="ask") as made:
        assert made.state.judge.round()
        [case] = Asker(made).get("/trust/cases").json()["cases"]
        assert (case["action"], case["score"] > 0.95) == ("nothing", True)
        assert any(name.startswith("spam") for name in hits(Asker(made)))
