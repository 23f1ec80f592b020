"""What a person may demand holds: consent before anything is written, a copy of all, and no trace after forgetting."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from visualsearch.errors import ConsentError, UnknownNameError, UsageError
from visualsearch.people import Event, People
from visualsearch.people.model import new_pseudonym, pseudonym_number, pseudonym_text

from .conftest import Clock

NAME = "ada.lovelace@example.org"


def live(people: People, clock: Clock, name: str = NAME) -> int:
    """A person who did everything, on several days; the number of their pseudonym."""
    board = people.create_board(name, "Kitchen", sections=["Oak"])
    for number in range(20):
        people.save(name, f"pin-{number}", board=board.id, note="note", site="shop.example")
        people.record(
            [Event("click", f"other-{number}", f"pin-{number}"), Event("click", name, f"pin-{number}")]
        )
        clock.pass_(hours=5)
    people.save("other-1", "pin-7", board="Mine", repin_of=people.pins_of(board.id)[-1].id)
    people.follow("other-1", "person", name)
    people.follow("other-1", "board", board.id)
    people.follow(name, "topic", "tiles")
    said = people.comment("other-1", "pin-1", f"thanks @{name}, and @{name}.")
    people.comment(name, "pin-1", "you are welcome")
    people.report_comment(name, said.id)
    people.invite("other-1", "Mine", name)
    people.connect(name, "mastodon", ["@x"])
    people.declare(name, locale="en", interests=["engines"])
    people.consent(name, searches=False)
    people.roll()
    number = pseudonym_number(people.person(name).pseudonym)
    assert number is not None
    return number


def test_what_is_forgotten_is_in_no_table_and_no_file(people: People, clock: Clock) -> None:
    number = live(people, clock)
    assert people.part_rows()
    assert people.traces(NAME, number)
    before = len(people.events_of("other-3", 1000))
    receipt = people.forget(NAME)
    assert receipt.removed["saves"] == 20
    assert receipt.removed["events"] > 40
    assert "no trace" in receipt.proof
    assert people.traces(NAME, number) == []
    for path in people.store.folder.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert NAME.encode() not in held, path
            assert number.to_bytes(8, "big") not in held, path
            assert pseudonym_text(number).encode() not in held, path
    with pytest.raises(UnknownNameError):
        people.person(NAME)
    assert people.verify() == []
    assert people.receipts() == [receipt]
    assert NAME not in json.dumps([r.removed for r in people.receipts()])
    assert len(people.events_of("other-3", 1000)) == before
    assert people.comments("pin-1")[0].text == "thanks @-, and @-."
    assert [s.pin for s in people.pins_of("Mine", viewer="other-1")] == ["pin-7"]
    assert people.pins_of("Mine", viewer="other-1")[0].repin_of is None


def test_somebody_who_comes_back_is_somebody_new(people: People, clock: Clock) -> None:
    number = live(people, clock)
    people.forget(NAME)
    people.save(NAME, "pin-1", board="Kitchen")
    assert pseudonym_number(people.person(NAME).pseudonym) != number
    assert people.boards(NAME)[0].saves == 1


def test_a_short_key_inside_other_peoples_words_is_no_trace(lite: People) -> None:
    lite.save("ada", "pin-1", board="K")
    lite.save("bob", "pin-1", board="Canada", note="adagio, metadata")
    assert "no trace" in lite.forget("ada").proof
    assert lite.boards("bob")[0].title == "Canada"


def test_a_long_key_inside_other_peoples_words_is_no_trace(lite: People) -> None:
    lite.save("kitchen", "pin-1", board="K")
    lite.save("bob", "pin-1", board="my kitchens", note="kitchen " * 300)
    assert "no trace" in lite.forget("kitchen").proof


def test_traces_are_found_where_they_are(lite: People) -> None:
    lite.save(NAME, "pin-1", board="K")
    number = pseudonym_number(lite.person(NAME).pseudonym) or 0
    (lite.store.folder / "events" / "2025-01-01").mkdir(parents=True)
    (lite.store.folder / "events" / "2025-01-01" / "left.tmp").write_bytes(b"..." + NAME.encode())
    found = {(trace.where, trace.what) for trace in lite.traces(NAME, number)}
    assert ("table people", "key") in found
    assert ("table saves", "pseudonym") in found
    assert any(where.endswith("left.tmp") or where == "left.tmp" for where, what in found if what == "key")


def test_an_export_has_everything_and_is_json(people: People, clock: Clock) -> None:
    live(people, clock)
    held = people.export(NAME)
    text = json.dumps(held)
    assert NAME in text
    assert [len(held[name]) for name in ("saves", "boards", "comments", "follows", "connections")] == [
        20,
        1,
        1,
        1,
        1,
    ]
    assert len([e for e in held["events"] if e["kind"] == "click"]) == 20
    assert held["events"] == sorted(held["events"], key=lambda e: e["at"])
    assert held["consent"][0]["searches"] in (False, 0)
    assert held["sites"][0]["visits"] == 20
    with pytest.raises(UnknownNameError):
        people.export("nobody")


def test_off_keeps_nothing_but_the_refusal(people: People, clock: Clock) -> None:
    live(people, clock)
    people.consent(NAME, "off")
    held = people.export(NAME)
    assert {name for name, rows in held.items() if rows} == {"pseudonym", "person", "consent"}
    assert not people.person(NAME).profile
    verdict = people.record([Event("click", NAME, "pin-1")])[0]
    assert (verdict.status, verdict.reason) == ("refused", "the person's consent is off")
    with pytest.raises(ConsentError):
        people.save(NAME, "pin-1", board="K")
    people.consent(NAME, "on")
    assert people.record([Event("click", NAME, "pin-1")])[0].status == "accepted"


def test_a_refusal_before_the_first_event_is_kept(people: People) -> None:
    people.consent("new", "off")
    assert people.record([Event("search", "new")])[0].status == "refused"
    with pytest.raises(UnknownNameError):
        people.consent("new", "maybe")
    with pytest.raises(UnknownNameError):
        people.consent("new", smells=True)


def test_a_session_is_forgotten_when_it_ends(people: People, clock: Clock) -> None:
    people.consent("guest", "session")
    people.save("guest", "pin-1", board="K")
    people.save("ada", "pin-1", board="K")
    clock.pass_(minutes=20)
    people.record([Event("click", "guest", "pin-2")])
    clock.pass_(minutes=20)
    assert people.end_sessions() == 0
    clock.pass_(minutes=11)
    assert people.end_sessions() == 1
    assert people.boards("guest") == []
    assert people.events_of("guest") == []
    assert people.consent("guest").level == "session"
    assert people.boards("ada")[0].saves == 1


def test_a_pause_stops_events_and_no_saves(people: People) -> None:
    people.pause("ada")
    assert people.record([Event("click", "ada", "pin-1")])[0].reason == "the person paused the recording"
    people.save("ada", "pin-1", board="K")
    assert people.events_of("ada") == []
    people.pause("ada", False)
    assert people.record([Event("click", "ada", "pin-1")])[0].status == "accepted"


def test_an_interrupted_forgetting_is_finished_by_tidy(lite: People, monkeypatch: pytest.MonkeyPatch) -> None:
    lite.save(NAME, "pin-1", board="K")
    monkeypatch.setattr(lite, "_proved", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lite.forget(NAME)
    monkeypatch.undo()
    lite.tidy()
    assert "interruption" in lite.receipts()[0].proof
    assert NAME.encode() not in (lite.store.folder / "people.sqlite").read_bytes()


def test_who_comes_back_while_they_are_forgotten_is_somebody_new(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.save(NAME, "pin-1", board="Old")
    old = people.person(NAME).pseudonym
    refresh = people._refresh

    def busy() -> None:
        refresh()
        people.save(NAME, "pin-2", board="New")

    monkeypatch.setattr(people, "_refresh", busy)
    assert "no trace" in people.forget(NAME).proof
    monkeypatch.undo()
    assert people.person(NAME).pseudonym != old
    assert [save["pin_id"] for save in people.export(NAME)["saves"]] == ["pin-2"]


@pytest.mark.parametrize("deed", ["comment", "move"])
def test_what_somebody_did_is_told_though_they_are_forgotten_at_once(
    people: People, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    people.save("ada", "pin-1", board="Old")
    people.create_board("ada", "New")
    write = people.store.write

    def followed(work: Any) -> Any:
        done = write(work)
        monkeypatch.undo()
        people.forget("ada")
        return done

    monkeypatch.setattr(people.store, "write", followed)
    if deed == "comment":
        assert people.comment("ada", "pin-1", "fine").text == "fine"
    else:
        assert people.move("ada", "pin-1", board="Old", to="New").pin == "pin-1"
    with pytest.raises(UnknownNameError):
        people.person("ada")


def test_pseudonyms_are_random_and_their_names_lead_back() -> None:
    numbers = {new_pseudonym() for _ in range(200)}
    assert len(numbers) == 200
    for number in numbers:
        assert 1 << 56 <= number < 1 << 62
        assert pseudonym_number(pseudonym_text(number)) == number
    for text in ("ada", "p", "p" + "1" * 13, "P" + "a" * 13, "q" + "a" * 13):
        assert pseudonym_number(text) is None


def test_the_bytes_of_all_files_are_searched_over_block_borders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.people import traces

    monkeypatch.setattr(traces, "BLOCK", 7)
    path = tmp_path / "file"
    path.write_bytes(b"....needle.....needle..needleneedle")
    assert traces.positions(path, b"needle") == [4, 15, 23, 29]


def test_a_claim_moves_closed_days_too_and_leaves_nobody(people: People, clock: Clock) -> None:
    visitor = "visitor:abc"
    board = people.create_board(visitor, "Kitchen")
    people.save(visitor, "pin-1", board=board.id)
    people.record([Event("click", visitor, "pin-1", event_id="v1"), Event("click", "ada", "pin-2")])
    people.follow("bob", "person", visitor)
    people.follow("ada", "topic", "tiles")
    people.follow(visitor, "topic", "tiles")
    people.follow(visitor, "person", "ada")
    people.declare(visitor, locale="de")
    clock.pass_(days=3)
    people.roll()
    number = pseudonym_number(people.pseudonym(visitor))
    moved = people.claim(visitor, "ada")
    assert (moved["boards"], moved["saves"], moved["events"]) == (1, 1, 4)
    ada = people.pseudonym("ada")
    assert people.board(board.id).owner == ada
    assert {event["event_id"] for event in people.events_of("ada")} >= {"v1"}
    assert people.follows("bob") == [("person", ada)]
    assert people.follows("ada") == [("topic", "tiles")]
    assert people.person("ada").profile == {"locale": "de"}
    assert people.verify() == []
    with pytest.raises(UnknownNameError):
        people.claim(visitor, "ada")
    with people.store.read() as db:
        assert number not in db.exec_driver_sql("SELECT person FROM people").scalars().all()
    with pytest.raises(UsageError):
        people.claim("ada", ada)


def test_a_session_lasts_while_something_is_done_in_it(people: People, clock: Clock) -> None:
    people.consent("ada", "session")
    people.create_board("ada", "Kitchen")  # leaves no event
    clock.pass_(minutes=25)
    people.comment("ada", "pin-1", "nice")
    clock.pass_(minutes=25)
    assert people.end_sessions() == 0
    clock.pass_(minutes=10)
    assert people.end_sessions() == 1
    assert people.boards("ada", viewer="ada") == []
    assert people.consent("ada").level == "session"
    assert people.end_sessions() == 0  # nothing is left to forget


def test_tokens_end_are_revoked_and_forgotten(people: People, clock: Clock) -> None:
    token = people.issue_token("ada", days=1)
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert people.token_holder(digest) == people.pseudonym("ada")
    assert token not in json.dumps(people.export("ada"))
    assert digest not in json.dumps(people.export("ada"))
    clock.pass_(hours=25)
    assert people.token_holder(digest) is None
    other = hashlib.sha256(people.issue_token("ada").encode()).hexdigest()
    people.consent("ada", "off")
    assert people.token_holder(other) is not None  # they can change their mind
    assert people.revoke_tokens("ada") == 2
    assert people.token_holder(other) is None
    people.issue_token("ada")
    assert people.forget("ada").removed["tokens"] == 1
    with pytest.raises(UsageError):
        people.issue_token("ada", days=0)


def test_unrecorded_deeds_leave_no_event_and_no_site(people: People) -> None:
    people.unrecorded().save("ada", "pin-1", board="Kitchen", site="https://shop.example/oak")
    assert people.events_of("ada") == []
    assert people.export("ada")["sites"] == []
    people.unrecorded().unsave("ada", "pin-1", board="Kitchen")
    assert people.event_counts() == {}
