"""People over HTTP: who may do what in whose name, and that what is secret or not allowed to be kept is neither."""

from __future__ import annotations

import json
import logging
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

import visualsearch as vs
from visualsearch.errors import StorageError
from visualsearch.people import People
from visualsearch.server.keys import FILE, Scope, new_key
from visualsearch.server.people.asking import VISITOR_COOKIE
from visualsearch.server.people.signing import DAY, Signer
from visualsearch.server.problems import Kind

from ..serving import Speaker, catalogue
from ..test_server_api import problem
from .postgres import Cluster
from .web import HOST, OTHER, PIN, Asker, application, person, serving, visitor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return catalogue(tmp_path, 8)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: Cluster = request.getfixturevalue("server")
    return server.emptied("http")


@pytest.fixture
def app(folder: Path, address: str | None) -> Iterator[Any]:
    with serving(folder, address, public=True, keys_needed=True) as made:
        yield made


@pytest.fixture
def lite_app(folder: Path) -> Iterator[Any]:
    """Where the database makes no difference."""
    with serving(folder, public=True, keys_needed=True) as made:
        yield made


# -- who is asking -------------------------------------------------------------------------------------------------
def test_a_visitor_saves_into_boards_of_their_own(app: Any) -> None:
    ann, bob = visitor(app), visitor(app)
    save = ann.save(note="for the wall")
    assert (save["pin"], save["note"]) == (PIN, "for the wall")
    assert save["picture"] == "/pins/colours%2Fred/picture"
    bob.save(board="Kitchen")  # his own Kitchen
    boards = ann.get("/boards").json()["boards"]
    assert [board["title"] for board in boards] == ["Kitchen"]
    assert boards[0]["id"] == save["board"]
    assert ann.get("/me").json()["pseudonym"] == save["person"]
    assert len(ann.get("/saves").json()["saves"]) == 1
    assert ann.get("/saves", params={"pin": PIN}).json()["count"] == 2


def test_the_visitors_cookie_is_kept_from_scripts_and_other_sites(lite_app: Any) -> None:
    stranger = Asker(lite_app)
    said = stranger.get("/me").headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "secure" not in said
    app = lite_app
    app.state.settings = replace(app.state.settings, secure_cookie=True)
    assert "secure" in Asker(app).get("/me").headers["set-cookie"].lower()
    assert app.state.people.open().count() == 0  # asking stores nobody


def test_a_visitor_stays_the_same_after_a_restart_and_after_a_new_secret(folder: Path) -> None:
    with serving(folder) as app:
        ann = visitor(app)
        ann.save()
        cookie = ann.web.cookies[VISITOR_COOKIE]
    assert stat.S_IMODE((folder / "cookies.json").stat().st_mode) == 0o600
    entries = json.loads((folder / "cookies.json").read_text())
    entries[0]["created"] -= 40 * DAY
    (folder / "cookies.json").write_text(json.dumps(entries))
    with serving(folder) as app:
        ann = visitor(app, Cookie=f"{VISITOR_COOKIE}={cookie}")
        assert len(ann.get("/boards").json()["boards"]) == 1
        ann.save(OTHER)
        assert len(json.loads((folder / "cookies.json").read_text())) == 2


def test_an_old_secret_is_dropped_once_nothing_valid_was_signed_with_it(tmp_path: Path) -> None:
    now = [time.time()]
    signer = Signer(tmp_path, {}, lambda: now[0])
    old = signer.sign("visitor", "a")
    now[0] += 31 * DAY
    signer.rotate()
    assert signer.sign("visitor", "a") != old
    assert signer.check("visitor", "a", old)
    assert not signer.check("csrf", "a", old)
    now[0] += 200 * DAY
    signer.rotate()
    assert not signer.check("visitor", "a", old)
    shared = {"VISUALSEARCH_COOKIES": "0123456789abcdef-one"}
    one, two = Signer(tmp_path / "a", shared), Signer(tmp_path / "b", shared)
    assert two.check("visitor", "a", one.sign("visitor", "a"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ""},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 32},
    ],
)
def test_a_cookie_acts_only_for_the_servers_own_page(lite_app: Any, headers: dict[str, str]) -> None:
    ann = visitor(lite_app)
    ann.save()
    for method, path, values in (
        ("POST", "/saves", {"pin": OTHER, "board": "Kitchen"}),
        ("POST", "/boards", {"title": "Forged"}),
        ("POST", "/events", {"events": [{"kind": "click", "pin": PIN}]}),
        ("PUT", "/me/consent", {"level": "off"}),
        ("DELETE", "/me", None),
    ):
        sent = {k: v for k, v in {**ann.headers, **headers}.items() if v}
        assert ann.web.request(method, path, json=values, headers=sent).status_code == 403, (method, path)
    assert [b["saves"] for b in ann.get("/boards").json()["boards"]] == [1]


def test_sec_fetch_site_proves_the_page_where_origin_is_not_sent(lite_app: Any) -> None:
    ann = visitor(lite_app)
    del ann.headers["Origin"]
    assert ann.post("/boards", {"title": "A"}).status_code == 403
    assert ann.post("/boards", {"title": "A"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201


def test_a_csrf_token_is_of_one_visitor(lite_app: Any) -> None:
    ann, eve = visitor(lite_app), visitor(lite_app)
    answer = ann.post("/boards", {"title": "A"}, headers={"X-CSRF-Token": eve.headers["X-CSRF-Token"]})
    assert problem(answer, Kind.FORBIDDEN)


def test_nobody_is_told_how_to_be_somebody(lite_app: Any) -> None:
    stranger = Asker(lite_app)
    for answer in (stranger.post("/saves", {"pin": PIN, "board": "A"}), stranger.get("/boards")):
        assert "GET /me" in problem(answer, Kind.PERSON_NEEDED)
    forged = Asker(lite_app, {"Cookie": f"{VISITOR_COOKIE}=abc.1767009600.{'A' * 32}", "Origin": HOST})
    assert problem(forged.post("/saves", {"pin": PIN, "board": "A"}), Kind.PERSON_NEEDED)


def test_an_application_speaks_for_its_people_and_for_no_visitor(app: Any, folder: Path) -> None:
    shop = application(app, folder, "ada@example.org")
    save = shop.save()
    assert shop.get("/boards").json()["boards"][0]["owner"] == save["person"]
    shop.person = None
    in_body = shop.post("/saves", {"pin": OTHER, "board": "Kitchen", "person": "ada@example.org"})
    assert in_body.json()["board"] == save["board"]
    assert problem(shop.post("/saves", {"pin": OTHER, "board": "Kitchen"}), Kind.PERSON_NEEDED)
    ann = visitor(app)
    pseudonym = ann.save()["person"]
    for name in (pseudonym, "visitor:x"):
        answer = shop.post("/saves", {"pin": OTHER, "board": "Kitchen", "person": name})
        assert "visitor" in problem(answer, Kind.FORBIDDEN)


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE])
def test_a_key_without_act_speaks_for_nobody(lite_app: Any, folder: Path, scope: Scope) -> None:
    key = new_key(folder / FILE, scope)
    asker = Asker(lite_app, {"Authorization": f"Bearer {key}"}, "ada")
    assert "--new-key act" in problem(asker.post("/boards", {"title": "A"}), Kind.FORBIDDEN)
    assert problem(asker.get("/boards"), Kind.FORBIDDEN)
    acting = application(lite_app, folder)
    assert problem(acting.ask("DELETE", "/pins/colours%2Fred"), Kind.FORBIDDEN)


def test_a_persons_token_acts_for_that_person_until_it_is_revoked(app: Any) -> None:
    ada, bob = person(app, "ada"), person(app, "bob")
    mine = ada.save()["board"]
    bob.save()
    for name in ("ada", ada.get("/me").json()["pseudonym"]):
        assert ada.get("/boards", params={"person": name}).json()["boards"][0]["id"] == mine
    for name in ("bob", bob.get("/me").json()["pseudonym"], "nobody"):
        assert problem(ada.get("/boards", params={"person": name}), Kind.FORBIDDEN)
    assert ada.get("/search", params={"like": PIN, "k": 1}).status_code == 200
    people: People = app.state.people.open()
    assert people.revoke_tokens("ada") == 1
    for path in ("/boards", "/me"):
        assert problem(ada.get(path), Kind.KEY_NEEDED)
    assert bob.get("/boards").status_code == 200
    with people.store.read() as db:
        held = db.exec_driver_sql("SELECT digest FROM tokens").scalars().all()
    assert not any(digest in bob.headers["Authorization"] for digest in held)


def test_a_persons_token_reads_where_keys_are_needed(folder: Path) -> None:
    new_key(folder / FILE, Scope.READ)
    with serving(folder, keys_needed=True) as app:
        ada = person(app, "ada")
        assert ada.get("/search", params={"like": PIN}).status_code == 200
        assert problem(Asker(app).get("/me"), Kind.KEY_NEEDED)
        assert problem(
            Asker(app, {"X-API-Key": "vp_wrong"}).get("/search", params={"like": PIN}), Kind.KEY_NEEDED
        )
        page = Asker(app, {"Origin": HOST})
        token = ada.headers["Authorization"].removeprefix("Bearer ")
        assert page.post("/session", {"key": token}).status_code == 200
        assert problem(page.post("/boards", {"title": "A"}), Kind.FORBIDDEN)
        page.headers["X-CSRF-Token"] = page.get("/me").json()["csrf"]
        assert page.post("/boards", {"title": "A"}).status_code == 201
        assert [b["title"] for b in ada.get("/boards").json()["boards"]] == ["A"]


def test_a_visitor_is_claimed_by_the_person_they_turn_out_to_be(app: Any) -> None:
    ann, ada = visitor(app), person(app, "ada")
    ada.save(OTHER)
    kept = ann.save(note="mine")
    ann.post("/events", {"events": [{"kind": "click", "pin": PIN, "event_id": "e1"}]})
    ann.post("/follows", {"kind": "topic", "target": "tiles"})
    assert problem(ann.post("/me/claim"), Kind.PERSON_NEEDED)
    cookie = ann.web.cookies[VISITOR_COOKIE]
    done = ada.post("/me/claim", {"visitor": cookie})
    assert done.status_code == 200, done.text
    assert done.json()["moved"]["boards"] == 1
    assert {b["title"] for b in ada.get("/boards").json()["boards"]} == {"Kitchen", "Kitchen 2"}
    assert ada.get(f"/boards/{kept['board']}/pins").json()["saves"][0]["note"] == "mine"
    people: People = app.state.people.open()
    assert {e["event_id"] for e in people.events_of("ada")} >= {"e1"}
    assert ("topic", "tiles") in people.follows("ada")
    assert people.verify() == []
    assert ada.post("/me/claim", {"visitor": cookie}).json()["moved"] == {}  # sent again
    assert ann.get("/boards").json()["boards"] == []
    assert problem(ada.post("/me/claim", {"visitor": cookie + "x"}), Kind.BAD_REQUEST)


# -- secret boards -------------------------------------------------------------------------------------------------
def test_a_secret_board_is_nowhere_for_others(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ada, bob = person(app, "ada"), person(app, "bob")
    title = "Surprise party for Bob"
    board = ada.post("/boards", {"title": title, "secret": True}).json()
    secret = ada.save(board=board["id"], note="hush")
    public = ada.save(board="Open", repin_of=secret["id"])
    assert public["repin_of"] == secret["id"]
    seen_by_bob = [
        bob.get("/boards", params={"owner": board["owner"]}),
        bob.get("/saves", params={"pin": PIN}),
        bob.get(f"/boards/{public['board']}/pins"),
        bob.get(f"/boards/{public['board']}"),
        bob.get("/me/export"),
        bob.get("/me"),
        Asker(app).get("/metrics"),
        Asker(app).get("/openapi.json"),
    ]
    for answer in seen_by_bob:
        assert board["id"] not in answer.text
        assert title not in answer.text
        assert "hush" not in answer.text
    assert seen_by_bob[1].json()["count"] == 1
    assert [s["repin_of"] for s in seen_by_bob[2].json()["saves"]] == [None]
    assert ada.get(f"/boards/{board['id']}").json()["title"] == title
    ada.post(f"/boards/{board['id']}/collaborators", {"collaborator": bob.get("/me").json()["pseudonym"]})
    assert bob.get(f"/boards/{board['id']}").json()["title"] == title
    for word in (title, "hush", "ada", *(a.headers["Authorization"][7:] for a in (ada, bob))):
        assert word not in caplog.text


def test_a_secret_board_and_none_answer_alike(app: Any) -> None:
    ada, bob = person(app, "ada"), person(app, "bob")
    bob.save()
    board = ada.post("/boards", {"title": "Secret", "secret": True}).json()["id"]
    ada.save(board=board)
    none = "b" + "0" * 16
    for method, path, values in (
        ("GET", "/boards/{}", None),
        ("PATCH", "/boards/{}", {"title": "Mine"}),
        ("DELETE", "/boards/{}", None),
        ("GET", "/boards/{}/pins", None),
        ("PATCH", "/boards/{}/pins/colours%2Fred", {"section": "A"}),
        ("DELETE", "/boards/{}/pins/colours%2Fred", None),
        ("POST", "/boards/{}/sections", {"title": "A"}),
        ("DELETE", "/boards/{}/sections/A", None),
        ("POST", "/boards/{}/collaborators", {"collaborator": bob.get("/me").json()["pseudonym"]}),
        ("DELETE", "/boards/{}/collaborators/" + bob.get("/me").json()["pseudonym"], None),
        ("POST", "/saves", {"pin": OTHER, "board": "{}"}),
        ("DELETE", "/saves?pin=colours/red&board={}", None),
        ("POST", "/follows", {"kind": "board", "target": "{}"}),
        ("DELETE", "/follows?kind=board&target={}", None),
    ):
        answers = []
        for name in (board, none):
            body = None if values is None else {k: v.replace("{}", name) for k, v in values.items()}
            answers.append(bob.web.request(method, path.format(name), json=body, headers=bob.headers))
        assert answers[0].status_code == 404, (method, path, answers[0].text)
        assert answers[0].content == answers[1].content, (method, path)
        assert dict(answers[0].headers) == dict(answers[1].headers)


def test_a_board_that_becomes_secret_is_followed_by_nobody_any_more(app: Any) -> None:
    ada, bob = person(app, "ada"), person(app, "bob")
    board = ada.save()["board"]
    assert bob.post("/follows", {"kind": "board", "target": board}).json() == {"new": True}
    ada.ask("PATCH", f"/boards/{board}", json={"secret": True})
    assert bob.get("/follows").json()["follows"] == []


def test_a_key_of_the_application_is_learnt_from_nothing(app: Any, folder: Path) -> None:
    ada, ann = person(app, "ada@example.org"), visitor(app)
    ada.save()
    for answer in (
        ann.get("/boards", params={"owner": "ada@example.org"}),
        ann.post("/follows", {"kind": "person", "target": "ada@example.org"}),
        ann.post("/follows", {"kind": "person", "target": "nobody"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("there is no such person")
    said = ann.post("/pins/colours%2Fred/comments", {"text": "hello @ada@example.org"})
    assert said.json()["mentions"] == []
    shop = application(app, folder, "bob")
    assert (
        len(shop.post("/pins/colours%2Fred/comments", {"text": "hello @ada@example.org"}).json()["mentions"])
        == 1
    )


# -- boards, saves, follows, comments ------------------------------------------------------------------------------
def test_another_persons_board_is_seen_and_not_changed(app: Any) -> None:
    ada, bob = person(app, "ada"), person(app, "bob")
    board = ada.save()["board"]
    assert bob.get(f"/boards/{board}").json()["saves"] == 1
    for answer in (
        bob.post("/saves", {"pin": OTHER, "board": board}),
        bob.ask("PATCH", f"/boards/{board}", json={"title": "Mine"}),
        bob.ask("DELETE", f"/boards/{board}"),
    ):
        assert "somebody else" in problem(answer, Kind.FORBIDDEN)
    assert ada.ask("DELETE", f"/boards/{board}").json() == {"removed": True}
    assert problem(ada.get(f"/boards/{board}"), Kind.NOT_FOUND)


def test_a_save_that_is_sent_again_is_one_save(app: Any) -> None:
    ada = person(app, "ada")
    wanted = {"pin": PIN, "board": "Kitchen", "surface": "search", "answer": "a1", "slot": 2}
    first, again = ada.post("/saves", wanted), ada.post("/saves", wanted)
    assert first.content == again.content
    people: People = app.state.people.open()
    assert [(e["kind"], e["answer"], e["slot"]) for e in people.events_of("ada")] == [("save", "a1", 2)]
    board = first.json()["board"]
    for removed in (True, False):
        gone = ada.ask("DELETE", "/saves", params={"pin": PIN, "board": board})
        assert gone.json() == {"removed": removed}


def test_sections_order_and_moves(app: Any) -> None:
    ada = person(app, "ada")
    made = ada.post(
        "/boards", {"title": "Home", "sections": ["Oak"], "kind": "project", "ends": 1893456000000}
    )
    board = made.json()["id"]
    assert (made.status_code, made.json()["sections"], made.json()["ends"]) == (201, ["Oak"], 1893456000000)
    ada.save(PIN, board, section="Oak")
    ada.save(OTHER, board)
    pins = lambda **words: [s["pin"] for s in ada.get(f"/boards/{board}/pins", params=words).json()["saves"]]  # noqa: E731
    assert pins() == [OTHER, PIN]
    assert pins(order="oldest") == [PIN, OTHER]
    assert pins(section="Oak") == [PIN]
    moved = ada.ask("PATCH", f"/boards/{board}/pins/colours%2Fblue", json={"section": "Oak"})
    assert moved.json()["section"] == "Oak"
    to = ada.post("/boards", {"title": "Other"}).json()["id"]
    ada.ask("PATCH", f"/boards/{board}/pins/colours%2Fblue", json={"to": to})
    assert pins() == [PIN]
    assert ada.post(f"/boards/{board}/sections", {"title": "Elm"}).json()["sections"] == ["Oak", "Elm"]
    assert ada.ask("DELETE", f"/boards/{board}/sections/Oak").json()["sections"] == ["Elm"]
    assert pins() == [PIN]
    assert "answer" in ada.get(f"/boards/{board}/pins").json()


def test_comments_are_text_and_can_be_reported_and_taken_back(app: Any) -> None:
    ada, bob = person(app, "ada"), person(app, "bob")
    at = "/pins/colours%2Fred/comments"
    pseudonym = bob.post(at, {"text": "first"}).json()["person"]
    said = ada.post(at, {"text": f"<script>alert(1)</script> @{pseudonym}"}).json()
    assert said["text"].startswith("<script>")
    assert said["mentions"] == [pseudonym]
    assert ada.get(at).headers["content-type"] == "application/json"
    assert bob.post(f"{at}/{said['id']}/report", {"reason": "odd"}).status_code == 204
    assert problem(bob.ask("DELETE", f"{at}/{said['id']}"), Kind.FORBIDDEN)
    page = bob.get(at, params={"k": 1}).json()
    assert [c["text"] for c in page["comments"]] == ["first"]
    rest = bob.get(at, params={"k": 1, "cursor": page["cursor"]}).json()
    assert ([c["id"] for c in rest["comments"]], rest["cursor"]) == ([said["id"]], None)
    assert ada.ask("DELETE", f"{at}/{said['id']}").json() == {"removed": True}
    assert [c["text"] for c in Asker(app).get(at).json()["comments"]] == ["first"]
    assert problem(Asker(app).get("/pins/none/comments"), Kind.NOT_FOUND)


def test_pages_stay_right_while_things_come_and_go(app: Any) -> None:
    ada = person(app, "ada")
    pins = [f"m/{n:02d}" for n in (5, 6, 7)] + ["colours/red", "colours/blue"]
    for pin in pins:
        board = ada.save(pin)["board"]
    at = f"/boards/{board}/pins"
    first = ada.get(at, params={"k": 2}).json()
    assert [s["pin"] for s in first["saves"]] == [pins[4], pins[3]]
    ada.save("colours/green")
    ada.ask("DELETE", "/saves", params={"pin": pins[3], "board": board})
    second = ada.get(at, params={"k": 2, "cursor": first["cursor"]}).json()
    assert [s["pin"] for s in second["saves"]] == [pins[2], pins[1]]
    third = ada.get(at, params={"k": 2, "cursor": second["cursor"]}).json()
    assert ([s["pin"] for s in third["saves"]], third["cursor"]) == ([pins[0]], None)
    for number in range(3):
        ada.post("/follows", {"kind": "topic", "target": f"t{number}"})
    seen, cursor = [], ""
    while cursor is not None:
        page = ada.get("/follows", params={"k": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [f["target"] for f in page["follows"]]
        cursor = page["cursor"]
    assert sorted(seen) == ["t0", "t1", "t2"]
    for bad in ("nonsense", first["cursor"][:-1] + "!", "é", first["cursor"] + "A"):
        assert "this list" in problem(ada.get(at, params={"cursor": bad}), Kind.BAD_CURSOR)
    assert problem(ada.get("/saves", params={"cursor": first["cursor"]}), Kind.BAD_CURSOR)
    assert problem(ada.get(at, params={"cursor": first["cursor"], "order": "oldest"}), Kind.BAD_CURSOR)


# -- events --------------------------------------------------------------------------------------------------------
def test_each_event_has_a_verdict_and_is_stored_once(app: Any) -> None:
    ada = person(app, "ada")
    answer = ada.get("/search", params={"like": PIN, "k": 3}).json()["answer"]
    batch = [
        {"kind": "click", "pin": PIN, "event_id": "e1", "answer": answer, "slot": 0, "surface": "search"},
        {"kind": "wink", "pin": PIN, "event_id": "e2"},
        {"kind": "click", "event_id": "e3"},
        {"kind": "click", "pin": "none", "event_id": "e4"},
        {"kind": "click", "pin": PIN, "slot": "far", "event_id": "e5"},
        {"kind": "click", "pin": PIN, "event_id": "e6", "extra": 1},
        {"kind": "click", "pin": PIN, "person": "bob", "event_id": "e7"},
        {"kind": "click", "pin": PIN, "at": int(time.time() * 1000) + 366 * 86_400_000, "event_id": "e8"},
        17,
    ]
    first = ada.post("/events", {"events": batch})
    assert first.status_code == 202, first.text
    verdicts = first.json()["verdicts"]
    assert [v["status"] for v in verdicts] == ["accepted"] + 8 * ["refused"]
    assert [v["event_id"] for v in verdicts] == [f"e{n}" for n in range(1, 9)] + [""]
    assert all(v["reason"] and v["remedy"] for v in verdicts[1:])
    assert "future" in verdicts[7]["reason"]
    again = ada.post("/events", {"events": [batch[0], {**batch[0], "slot": 5}]}).json()
    assert [v["status"] for v in again["verdicts"]] == ["duplicate", "refused"]
    assert (again["accepted"], again["duplicates"], again["refused"]) == (0, 1, 1)
    people: People = app.state.people.open()
    assert [(e["answer"], e["slot"]) for e in people.events_of("ada")] == [(answer, 0)]
    text = (
        Asker(app, {"Authorization": f"Bearer {new_key(app.state.keys.path, Scope.READ)}"})
        .get("/metrics")
        .text
    )
    assert 'visualsearch_people_events_total{status="accepted"} 1.0' in text
    assert "ada" not in text.replace("load", "")


def test_an_application_sends_the_events_of_many(app: Any, folder: Path) -> None:
    shop = application(app, folder)
    events = [{"kind": "click", "pin": PIN, "person": name} for name in ("ada", "bob", "visitor:x")]
    said = shop.post("/events", {"events": [*events, {"kind": "click", "pin": PIN}]}).json()["verdicts"]
    assert [v["status"] for v in said] == ["accepted", "accepted", "refused", "refused"]
    one = shop.post("/events", {"person": "ada", "events": [{"kind": "click", "pin": PIN}]})
    assert one.json()["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", Kind.BAD_REQUEST),
        (b"[]", Kind.BAD_REQUEST),
        (b'{"events": []}', Kind.BAD_REQUEST),
        (b'{"events": [], "more": 1}', Kind.BAD_REQUEST),
        (b'{"events": [' + b",".join([b"1"] * 1001) + b"]}", Kind.BAD_REQUEST),
        (b'{"events": [{"kind": "click", "pin": "\\ud800"}]}', Kind.BAD_REQUEST),
        (b'{"events": ' + b"[" * 5000, Kind.BAD_REQUEST),
        (b'{"events": ["' + b"a" * 1_000_001 + b'"]}', Kind.TOO_LARGE),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(lite_app: Any, body: bytes, kind: Kind) -> None:
    ada = person(lite_app, "ada")
    assert problem(ada.ask("POST", "/events", content=body), kind)


def test_events_have_a_rate_of_their_own(folder: Path) -> None:
    with serving(folder, event_rate=10.0) as app:
        ada = person(app, "ada")
        batch = {"events": [{"kind": "click", "pin": PIN}] * 1000}
        said = [ada.post("/events", batch) for _ in range(3)]
        assert [answer.status_code for answer in said] == [202, 202, 429]
        assert int(said[2].headers["retry-after"]) >= 1
        assert ada.get("/search", params={"like": PIN}).status_code == 200
    with serving(folder, rate=1.0, burst=2) as app:
        ada = person(app, "ada")
        batch = {"events": [{"kind": "click", "pin": PIN}]}
        assert [ada.post("/events", batch).status_code for _ in range(3)] == [202] * 3
        assert [ada.get("/info").status_code for _ in range(3)] == [200, 200, 429]


def test_nothing_is_acknowledged_that_is_not_on_disk(lite_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = person(lite_app, "ada")
    people: People = lite_app.state.people.open()
    monkeypatch.setattr(
        people.store.writer,
        "run",
        lambda _: (_ for _ in ()).throw(StorageError("x", "the disk is full", "y")),
    )
    event = {"kind": "click", "pin": PIN, "event_id": "e1"}
    assert problem(ada.post("/events", {"events": [event]}), Kind.NO_ROOM)
    assert problem(ada.post("/saves", {"pin": PIN, "board": "A"}), Kind.NO_ROOM)
    monkeypatch.undo()
    assert ada.post("/events", {"events": [event]}).json()["accepted"] == 1


# -- consent -------------------------------------------------------------------------------------------------------
def test_off_keeps_the_refusal_alone(app: Any) -> None:
    ann = visitor(app)
    ann.save()
    assert ann.get("/search", params={"like": PIN}).json()["answer"]
    assert ann.ask("PUT", "/me/consent", json={"level": "off"}).json()["level"] == "off"
    assert problem(ann.post("/saves", {"pin": PIN, "board": "A"}), Kind.NO_CONSENT)
    refused = ann.post("/events", {"events": [{"kind": "click", "pin": PIN}]}).json()
    assert refused["verdicts"][0]["status"] == "refused"
    assert "answer" not in ann.get("/search", params={"like": PIN}).json()
    held = ann.get("/me/export").json()
    assert held.pop("consent")
    assert not any(rows for name, rows in held.items() if name not in ("person", "pseudonym"))


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_browser_that_asks_for_it_is_known_for_the_session_only(app: Any, header: str) -> None:
    people: People = app.state.people.open()
    at = [int(time.time() * 1000)]
    people.now = lambda: at[0]
    ann = visitor(app, **{header: "1"})
    assert ann.get("/me").json()["consent"]["level"] == "session"
    ann.save()
    ann.post("/boards", {"title": "More"})
    bob = visitor(app)
    bob.save(board="Stays")
    bob.headers[header] = "1"  # from then on
    bob.save(OTHER, board="Stays")
    said = bob.post("/events", {"events": [{"kind": "click", "pin": PIN}]}).json()
    assert said["accepted"] == 1
    mine = people.events_of(bob.get("/me").json()["pseudonym"])
    assert [e["kind"] for e in mine] == ["save"]  # the one before
    assert people.event_counts() == {"save": 2, "click": 1}
    at[0] += 10 * 60_000
    assert people.end_sessions() == 0
    at[0] += 25 * 60_000
    assert people.end_sessions() == 2
    assert people.event_counts() == {"save": 1}
    assert ann.get("/boards").json()["boards"] == []
    assert [b["saves"] for b in bob.get("/boards").json()["boards"]] == [2]
    assert people.count() == 1
    assert people.end_sessions() == 0


def test_switches_pause_profile_and_export(app: Any) -> None:
    ada = person(app, "ada")
    assert ada.ask("PUT", "/me/signals", json={"clicks": False}).json()["clicks"] is False
    verdict = ada.post("/events", {"events": [{"kind": "click", "pin": PIN}]}).json()["verdicts"][0]
    assert "clicks" in verdict["reason"]
    assert ada.ask("PUT", "/me/pause", json={"paused": True}).json()["paused"] is True
    ada.save()
    assert ada.get("/me/consent").json()["paused"] is True
    said = ada.ask("PATCH", "/me", json={"locale": "de", "interests": ["tiles"]}).json()
    assert said["profile"] == {"locale": "de", "interests": ["tiles"]}
    answer = ada.get("/me/export")
    assert "attachment" in answer.headers["content-disposition"]
    held = answer.json()
    assert (held["events"], len(held["saves"])) == ([], 1)


def test_forgetting_leaves_a_receipt_and_nothing_else(app: Any, folder: Path) -> None:
    ann = visitor(app)
    pseudonym = ann.save()["person"]
    answer = ann.ask("DELETE", "/me")
    assert answer.status_code == 200, answer.text
    assert "no trace" in answer.json()["proof"]
    assert answer.json()["removed"]["saves"] == 1
    assert f'{VISITOR_COOKIE}=""' in answer.headers["set-cookie"]
    people: People = app.state.people.open()
    assert people.count() == 0
    assert problem(Asker(app).get("/boards", params={"owner": pseudonym}), Kind.NOT_FOUND)
    ada = person(app, "ada")
    assert ada.ask("DELETE", "/me").status_code == 200
    assert problem(ada.get("/me"), Kind.KEY_NEEDED)


# -- the server ----------------------------------------------------------------------------------------------------
def test_without_people_the_answers_are_as_they_were(folder: Path) -> None:
    with serving(folder, "off") as app:
        asker = Asker(app)
        assert "answer" not in asker.get("/search", params={"like": PIN}).json()
        assert "answer" not in asker.get("/pins").json()
        assert "--people off" in problem(asker.get("/me"), Kind.NOT_FOUND)
        assert "--people off" in problem(
            asker.post("/events", {"events": [{"kind": "click"}]}), Kind.NOT_FOUND
        )
    assert not (folder / "people.sqlite").exists()


def test_off_answers_and_removes_without_opening_a_record_that_is_there(folder: Path) -> None:
    with serving(folder) as app:
        ada = person(app, "ada")
        ada.save(PIN)
        ada.save(OTHER)
        assert "walk" in ada.get("/pins/colours%2Fred/related").json()["plan"]
        assert ada.get("/pins/colours%2Fred/related", params={"diversity": 0.5, "k": 3}).json()["hits"]
        assert ada.get("/pins/colours%2Fred/related", params={"diversity": 2}).status_code == 422
    kept = folder / "people.sqlite"
    kept.write_bytes(b"nobody may open this")
    with serving(folder, "off") as app:
        answer = Asker(app).get("/pins/colours%2Fred/related")
        assert answer.status_code == 200, answer.text
        assert answer.json()["plan"] == "sight"
        assert answer.json()["hits"]
        assert Asker(app).ask("DELETE", "/pins/colours%2Fred").status_code == 204
        assert Asker(app).get("/pins/colours%2Fred").status_code == 404
    assert kept.read_bytes() == b"nobody may open this"


def test_every_list_that_is_served_has_an_id(lite_app: Any) -> None:
    asker = Asker(lite_app)
    lists = [
        asker.get("/search", params={"like": PIN}),
        asker.post("/search", {"like": [PIN]}),
        asker.get("/pins"),
        asker.get("/pins/colours%2Fred/similar"),
        asker.get("/pins/colours%2Fred/related"),
        asker.post("/look", {"image": f"pin:{PIN}"}),
    ]
    ids = [answer.json()["answer"] for answer in lists]
    assert len(set(ids)) == len(lists)
    assert not (lite_app.state.people.service.index.folder / "people.sqlite").exists()


def test_upkeep_is_done_by_one_server_of_several(folder: Path, address: str | None) -> None:
    with serving(folder, address) as one, serving(folder, address) as two:
        ada = person(one, "ada")
        old = int(time.time() * 1000) - 3 * 86_400_000
        ada.post("/events", {"events": [{"kind": "click", "pin": PIN, "at": old}]})
        with one.state.people.open().store.leading() as leads:
            assert leads
            assert two.state.people.upkeep() is False
        assert two.state.people.upkeep() is True
        people: People = one.state.people.open()
        assert sum(people.part_rows().values()) == 1
        assert len(people.events_of("ada")) == 1


def test_upkeep_forgets_old_events_and_follows_the_pins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder, event_days=2) as app:
        ada = person(app, "ada")
        old = int(time.time() * 1000) - 5 * 86_400_000
        ada.post("/events", {"events": [{"kind": "click", "pin": PIN, "at": old}]})
        board = ada.save()["board"]
        app.state.people.upkeep()
        people: People = app.state.people.open()
        assert [e["kind"] for e in people.events_of("ada")] == ["save"]
        with vs.open(folder, Speaker()) as index:  # another process, which knows nothing of the people
            monkeypatch.setattr(index, "_tell_people", lambda *_: None)
            index.remove([PIN])
        app.state.people.upkeep()
        assert ada.get(f"/boards/{board}").json()["saves"] == 0


def test_a_database_that_goes_away_is_said_so_and_comes_back_without_a_restart(
    folder: Path, server: Cluster
) -> None:
    address = server.emptied("http")
    with serving(folder, address) as app:
        ada = person(app, "ada")
        ada.save()
        server._call("pg_ctl", "-D", server.data, "-w", "-m", "immediate", "stop")
        try:
            for answer in (
                ada.post("/saves", {"pin": OTHER, "board": "Kitchen"}),
                ada.post("/events", {"events": [{"kind": "click", "pin": PIN}]}),
                ada.get("/boards"),
            ):
                assert problem(answer, Kind.UNREACHABLE)
                assert int(answer.headers["retry-after"]) > 0
            stranger = Asker(app)
            assert stranger.get("/search", params={"like": PIN}).status_code == 200
            assert app.state.people.service.index.people is not None
        finally:
            server.start()
        assert ada.save(OTHER)["pin"] == OTHER
        assert ada.post("/events", {"events": [{"kind": "click", "pin": PIN}]}).json()["accepted"] == 1


def test_a_server_that_starts_before_its_database_answers_later(folder: Path, server: Cluster) -> None:
    address = server.emptied("http")
    server._call("pg_ctl", "-D", server.data, "-w", "-m", "immediate", "stop")
    try:
        with serving(folder, address) as app:
            assert problem(Asker(app).get("/me"), Kind.UNREACHABLE)
            assert Asker(app).get("/search", params={"like": PIN}).status_code == 200
            server.start()
            assert visitor(app).save()["pin"] == PIN
    finally:
        server._call("pg_ctl", "-D", server.data, "-w", "-m", "immediate", "stop")
        server.start()


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ({"title": "x" * 10_000}, Kind.BAD_REQUEST, "200 fit"),
        ({"title": "x" * 30_000}, Kind.BAD_REQUEST, "title"),
        ({"title": "\u200b \n"}, Kind.BAD_REQUEST, "empty"),
        ({"title": 17}, Kind.BAD_REQUEST, "title"),
        ({"title": "A", "kind": "wish"}, Kind.BAD_REQUEST, "kind"),
        ({"title": "A", "ends": 1}, Kind.BAD_REQUEST, "ends"),
        ({"title": "A", "colour": 1}, Kind.BAD_REQUEST, "colour"),
        ({}, Kind.BAD_REQUEST, "title"),
        ({"title": "KITCHEN"}, Kind.EXISTS, "already"),
    ],
)
def test_a_board_that_cannot_be_is_explained(lite_app: Any, values: Any, kind: Kind, said: str) -> None:
    ada = person(lite_app, "ada")
    ada.post("/boards", {"title": "Kitchen"})
    assert said in problem(ada.post("/boards", values), kind)


@pytest.mark.parametrize("title", ["<b>bold</b>", "キッチン", "مطبخ", "👩‍🍳 кухня"])
def test_a_title_in_any_script_comes_back_as_it_is(app: Any, title: str) -> None:
    ada = person(app, "ada")
    made = ada.post("/boards", {"title": title}).json()
    assert made["title"] == title
    assert ada.get(f"/boards/{made['id']}").json()["title"] == title


def test_what_is_not_there_is_said_so(app: Any) -> None:
    ada = person(app, "ada")
    board = ada.save()["board"]
    for answer, said in (
        (ada.post("/saves", {"pin": "none", "board": board}), "no such pin"),
        (ada.post("/saves", {"pin": PIN, "board": "New", "repin_of": 10**15}), "no such save"),
        (ada.get("/boards/none"), "no such board"),
        (ada.get("/boards/a%00b"), "no such board"),
        (ada.get("/boards", params={"owner": "p" + "a" * 13}), "no such person"),
        (ada.ask("DELETE", f"/boards/{board}/sections/none"), "no such section"),
        (ada.ask("PATCH", f"/boards/{board}/pins/none", json={}), "no such save"),
        (ada.ask("DELETE", "/pins/colours%2Fred/comments/12345"), "no such comment"),
    ):
        assert said in problem(answer, Kind.NOT_FOUND)
    assert {b["title"] for b in ada.get("/boards").json()["boards"]} == {"Kitchen"}
