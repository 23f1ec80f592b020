"""Recommendations over HTTP: whose feed it is, what it respects at once, and that nobody learns what is not theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from ..serving import catalogue
from .web import Asker, application, person, serving, visitor

LIKED = ("m/07", "m/09", "m/11")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Forty pins; three people have the same boards, and ada saved two of their pins."""
    folder: Path = catalogue(tmp_path_factory.mktemp("recommended"), 40)
    with serving(folder) as made:
        people = made.state.people.open()
        for who in range(3):
            for pin in (*LIKED, "m/13"):
                people.save(f"other-{who}", pin, board="Mosaics")
        for pin in LIKED[:2]:
            people.save("ada", pin, board="Mine")
        yield made


def names(answer: Any, of: str = "hits") -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()[of]]


def same(answer: Any) -> str:
    """All that an answer says, but for how long it took and what it is called."""
    assert answer.status_code == 200, answer.text
    said = answer.json()
    del said["seconds"]
    said.pop("answer", None)
    return json.dumps(said)


# -- the feed ------------------------------------------------------------------------------------------------------
def test_a_feed_is_of_who_asks_and_each_pin_has_a_reason(app: Any) -> None:
    ada = person(app, "ada")
    page = ada.get("/feed", params={"k": 8}).json()
    assert page["plan"] == "personal"
    assert page["answer"]
    assert not set(LIKED[:2]) & {hit["id"] for hit in page["hits"]}
    assert all(hit["why"]["sentence"] and hit["why"]["evidence"] for hit in page["hits"])
    assert Asker(app).get("/feed", params={"k": 8}).json()["plan"] == "anonymous"


def test_pages_repeat_nothing_and_a_save_and_a_hide_count_for_the_next(app: Any) -> None:
    bob = person(app, "bob")
    bob.save("m/15", "Odd")
    first = bob.get("/feed", params={"k": 6}).json()
    shown = [hit["id"] for hit in first["hits"]]
    bob.save(shown[0], "Odd")
    assert bob.post("/less", {"pin": shown[1]}).status_code == 204
    again = names(bob.get("/feed", params={"k": 30}))
    assert not set(shown[:2]) & set(again)
    rest = names(bob.get("/feed", params={"k": 30, "cursor": first["cursor"]}))
    assert rest
    assert not set(shown) & set(rest)


def test_less_undoes_just_the_evidence_that_was_served(app: Any) -> None:
    carl = person(app, "carl")
    carl.save("m/16", "Even")
    carl.save("colours/red", "Reds")
    index = app.state.service.index
    hits = carl.get("/feed", params={"k": 20}).json()["hits"]
    hit = next(h for h in hits if h["why"]["kind"] == "interest")
    gone = {each["id"] for each in hit["why"]["evidence"]}
    assert gone <= {"m/16", "colours/red"}
    assert carl.post("/less", {"pin": hit["id"], "why": hit["why"]}).status_code == 204
    assert index.people.hidden("carl") == {hit["id"], *gone}
    assert carl.post("/less", {"pin": "nothing"}).status_code == 404


def test_a_wish_for_less_is_taken_back_whole_by_the_name_it_was_sent_with(app: Any) -> None:
    dora, name = person(app, "dora"), "wish-0001"
    dora.save("m/18", "Even")
    dora.save("m/20", "Even")
    index = app.state.service.index
    hit = next(h for h in dora.get("/feed", params={"k": 20}).json()["hits"] if h["why"]["evidence"])
    before = names(dora.get("/feed", params={"k": 20}))
    for _ in range(2):  # sent twice, it is one wish
        assert dora.post("/less", {"pin": hit["id"], "why": hit["why"], "id": name}).status_code == 204
    assert dora.post("/less", {"pin": "m/30", "id": "wish-00011"}).status_code == 204
    assert hit["id"] not in names(dora.get("/feed", params={"k": 20}))
    other = person(app, "eve")
    other.save("m/18", "Hers")
    assert other.ask("DELETE", "/less", params={"id": name}).json() == {"removed": False}  # it is not theirs
    assert dora.ask("DELETE", "/less", params={"id": name}).json() == {"removed": True}
    assert dora.ask("DELETE", "/less", params={"id": name}).json() == {"removed": False}
    hidden = {event["pin_id"] for event in index.people.export("dora")["events"] if event["kind"] == "hide"}
    assert hidden == {"m/30"}  # another wish stays
    assert set(names(dora.get("/feed", params={"k": 20}))) | {"m/30"} >= set(before)


def test_a_wish_for_less_is_refused_where_it_makes_no_sense(app: Any) -> None:
    carl = person(app, "carl")
    assert carl.ask("DELETE", "/less", params={"id": "a%b"}).status_code == 422
    assert Asker(app).post("/less", {"pin": "m/17"}).status_code == 401


def test_a_stranger_gets_what_looks_like_what_they_looked_at_and_nothing_is_kept(app: Any) -> None:
    before = app.state.people.open().count()
    stranger = Asker(app)
    page = stranger.get("/feed", params={"k": 8, "looked": ["m/18", "nothing"]}).json()
    assert page["plan"] == "session"
    assert "m/18" not in [hit["id"] for hit in page["hits"]]
    reasons = [hit["why"] for hit in page["hits"]]
    assert any(why["kind"] == "interest" and why["evidence"][0]["id"] == "m/18" for why in reasons)
    assert stranger.get("/feed", params={"looked": ["nothing"]}).json()["plan"] == "anonymous"
    assert app.state.people.open().count() == before


def test_asking_makes_no_record(tmp_path: Path) -> None:
    folder = catalogue(tmp_path, 12)
    with serving(folder) as made:
        asker = Asker(made)
        assert asker.get("/feed", params={"looked": ["m/07"]}).json()["plan"] == "session"
        assert asker.get("/feed").json()["hits"]
        assert asker.get("/search", params={"like": "m/07"}).status_code == 200
    assert not (folder / "people.sqlite").exists()
    with serving(folder, "off") as made:
        assert Asker(made).get("/feed").json()["plan"] == "anonymous"


def test_a_cursor_of_something_else_is_refused(app: Any) -> None:
    answer = Asker(app).get("/feed", params={"cursor": "AAAA"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/docs#bad-cursor")


# -- who allows nothing --------------------------------------------------------------------------------------------
def test_who_allows_nothing_gets_byte_for_byte_what_everybody_gets(app: Any) -> None:
    off = person(app, "off")
    off.save("m/19", "Mine")
    asked = [
        ("/feed", {"k": 10}),
        ("/search", {"like": "m/21", "k": 20}),
        ("/search", {"like": "m/21", "k": 20, "personal": 1}),
    ]
    before = [same(off.get(path, params=params)) for path, params in asked]
    assert off.ask("PUT", "/me/consent", json={"level": "off"}).status_code == 200
    for (path, params), personal in zip(asked, before, strict=True):
        answer = off.get(path, params=params)
        assert same(answer) == same(Asker(app).get(path, params=params))
        assert "answer" not in answer.json()
        assert path != "/feed" or same(answer) != personal


# -- the personal search -------------------------------------------------------------------------------------------
def test_a_search_knows_who_asks_and_can_be_told_not_to(app: Any) -> None:
    ada = person(app, "ada")
    params = {"text": "black", "k": 40}
    plain = Asker(app).get("/search", params=params)
    mine = ada.get("/search", params=params)
    assert sorted(names(mine)) == sorted(names(plain))
    assert any("personal" in hit.get("signals", {}) for hit in mine.json()["hits"])
    assert all(hit["why"]["sentence"] for hit in mine.json()["hits"])
    for off in ({"personal": 0}, {"sort": "price"}):
        assert same(ada.get("/search", params={**params, **off})) == same(
            Asker(app).get("/search", params={**params, **off})
        )
    assert same(ada.get("/search", params=params, headers={"Sec-GPC": "1"})) == same(plain)
    assert same(ada.post("/search", {"text": ["black"], "k": 40})) == same(mine)


def test_only_an_application_searches_for_others(app: Any) -> None:
    folder = app.state.service.index.folder
    params = {"like": "m/21", "person": "ada"}
    assert person(app, "bob").get("/search", params=params).status_code == 403
    speaking = application(app, folder, "ada")
    try:
        assert "signals" in speaking.get("/search", params={"like": "m/21"}).json()["hits"][0]
        assert speaking.get("/feed").json()["plan"] == "personal"
    finally:
        (folder / "keys.json").unlink(missing_ok=True)


# -- ideas ---------------------------------------------------------------------------------------------------------
def test_ideas_for_a_board_and_for_all_that_was_saved(app: Any) -> None:
    ada = person(app, "ada")
    found = ada.get("/boards/Mine/ideas", params={"k": 5}).json()
    assert not set(LIKED[:2]) & {hit["id"] for hit in found["hits"]}
    assert len(found["hits"]) == 5
    assert all(hit["why"]["sentence"] for hit in found["hits"])
    assert found["answer"]
    some = names(ada.get("/boards/Mine/ideas", params={"where": "category = 'plain'"}))
    assert some
    assert all(name.startswith("colours/") for name in some)
    assert len(names(ada.get("/me/ideas", params={"k": 4}))) == 4
    assert ada.get("/boards/Mine/ideas", params={"where": "nonsense ="}).status_code == 422
    new = visitor(app).get("/me/ideas").json()
    assert (new["hits"], new["notes"]) == ([], ["nothing is saved yet"])
    assert Asker(app).get("/me/ideas").status_code == 401


def test_a_secret_board_has_ideas_for_its_owner_alone(app: Any) -> None:
    eve = person(app, "eve")
    made = eve.post("/boards", {"title": "Hidden", "secret": True}).json()
    eve.save("m/22", made["id"])
    for path in ("ideas", "similar"):
        place = f"/boards/{made['id']}/{path}"
        assert eve.get(place).status_code == 200
        assert Asker(app).get(place).status_code == 404
        assert Asker(app).get(place).json() == Asker(app).get(f"/boards/b0000000000000/{path}").json()


def test_boards_like_one_and_those_of_the_same_taste(app: Any) -> None:
    ada = person(app, "ada")
    like = ada.get("/boards/Mine/similar").json()["boards"]
    assert {board["title"] for board in like} >= {"Mosaics"}
    assert all(board["why"]["evidence"] for board in like)
    taste = ada.get("/me/similar").json()["boards"]
    assert "Mosaics" in {board["title"] for board in taste}
    assert "Mine" not in {board["title"] for board in taste}
    assert visitor(app).get("/me/similar").json() == {"boards": []}
