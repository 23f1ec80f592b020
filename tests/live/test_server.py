"""A server that runs experiments: who agreed gets an arm, the others get what they got before, and a bad arm is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from visualsearch.experiments import Arm, State
from visualsearch.live import arms as live_arms
from visualsearch.server.guards import Guards
from visualsearch.server.people import served

from ..people.web import Asker, person, serving, visitor
from .conftest import crowd

PIN = "shop/shoes/001.jpg"
VARIED = (Arm("plain"), Arm("varied", sets={"diversity": 0.9}))
FEED, SEARCH, RELATED = "/feed", "/search", "/pins/shop%2Fshoes%2F001.jpg/related"
PATHS = {FEED: {}, SEARCH: {"like": PIN}, RELATED: {}}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not make somebody nobody."""
    monkeypatch.setattr(served, "PATIENCE", 60.0)


def begin(app: Any, name: str = "try", **plan: object) -> Any:
    found = app.state.service.live.experiments
    found.create(name, salt=name, **{"people": 100, "days": 1.0, **plan})  # type: ignore[arg-type]
    found.start(name, 1.0)
    return found


def bytes_of(asker: Asker, path: str) -> bytes:
    """An answer without how long it took and its random id."""
    answer = asker.get(path, params={**PATHS[path], "k": "6"})
    assert answer.status_code == 200, answer.text
    body = {name: value for name, value in answer.json().items() if name not in ("seconds", "answer")}
    return json.dumps(body).encode()


def test_strangers_get_byte_for_byte_what_they_got_before(folder: Path) -> None:
    with serving(folder, swaps=1.0, explore=0.5) as app:
        askers = {"stranger": Asker(app), "visitor": visitor(app), "limited": person(app, "person-1")}
        askers["limited"].headers["Sec-GPC"] = "1"
        before = {(who, path): bytes_of(asker, path) for who, asker in askers.items() for path in PATHS}
        assert before["stranger", FEED] == before["visitor", FEED]
        begin(app, surfaces=("feed",), arms=VARIED)
        begin(app, "related", surfaces=("related",), arms=(Arm("plain"), Arm("sight", sets={"walk": 0.0})))
        begin(app, "search", surfaces=("search",), arms=(Arm("plain"), Arm("far", sets={"diversity": 0.9})))
        after = {(who, path): bytes_of(asker, path) for who, asker in askers.items() for path in PATHS}
        assert after == before
        assert app.state.people.open().served_lists() == []


def test_who_agreed_gets_an_arm_and_what_they_do_is_credited(folder: Path) -> None:
    with serving(folder) as app:
        found = begin(app, surfaces=("feed", "related", "search"), arms=VARIED)
        ada = person(app, "person-1")
        page = ada.get("/feed", params={"k": 6}).json()
        assert page["variant"] in ("try:plain", "try:varied")
        assert ada.get(SEARCH, params=PATHS[SEARCH]).json()["variant"] == page["variant"]
        assert ada.get(RELATED).json()["variant"] == page["variant"]
        pin = page["hits"][0]["id"]
        event = {"kind": "click", "pin": pin, "answer": page["answer"], "slot": 0, "surface": "feed"}
        assert ada.post("/events", {"events": [event]}).json()["accepted"] == 1
        people = app.state.people.open()
        clicks = [each for each in people.events_of("person-1") if each["kind"] == "click"]
        assert [each["variant"] for each in clicks] == [page["variant"]]
        ada.post("/events", {"events": [{**event, "event_id": "e1"}] * 2})
        again = ada.post("/events", {"events": [{**event, "event_id": "e1"}]}).json()
        assert again["duplicates"] == 1  # what was filled in does not make it another event
        stranger = person(app, "person-2")
        stranger.post("/events", {"events": [event]})
        theirs = [each for each in people.events_of("person-2") if each["kind"] == "click"]
        assert theirs[0]["variant"] is None  # a list of somebody else says nothing about them
        assert 'live_lists_total{what="experiment"}' in ada.get("/metrics").text
        assert sum(found.report("try").units.values()) == 1


def test_a_bad_arm_is_stopped_without_a_restart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = live_arms.feed

    def broken(*given: Any, **options: Any) -> Any:
        if "ranker" in options:
            raise RuntimeError("boom")
        return whole(*given, **options)

    monkeypatch.setattr(live_arms, "feed", broken)
    with serving(folder) as app:
        found = begin(app, surfaces=("feed",), arms=VARIED)
        live = app.state.service.live
        asked = [person(app, name) for name in crowd()]
        for ada in asked:
            assert ada.get("/feed", params={"k": 3}).status_code == 200
        live.flush()
        assert Guards(app.state.service, app.state.people).round()
        assert found.get("try").state is State.STOPPED
        assert all("variant" not in ada.get("/feed", params={"k": 3}).json() for ada in asked[:8])


def test_sessions_come_in_a_header(folder: Path) -> None:
    with serving(folder) as app:
        begin(app, surfaces=("feed",), arms=VARIED, unit="session")
        ada = person(app, "person-1")
        assert "variant" not in ada.get("/feed").json()
        seen = {ada.get("/feed", headers={"X-Session": f"s{n}"}).json()["variant"] for n in range(20)}
        assert seen == {"try:plain", "try:varied"}
