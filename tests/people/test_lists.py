"""Lists that are remembered: events about them take what is known of their pins, and forgetting takes them too."""

from __future__ import annotations

import pytest

from visualsearch.people import Event, People, ServedList, new_list

from .conftest import Clock, Opener


def listed(people: People, person: str = "ada", **changes: object) -> ServedList:
    made = ServedList(new_list(), person, "feed", **{"variant": "warm:b", **changes})  # type: ignore[arg-type]
    people.remember_list(made).result()
    return made


def test_events_take_what_their_list_remembers(people: People) -> None:
    people.save("ada", "pin-9", board="K")
    made = listed(people, marks={"pin-1": ("interleave:mix:1", None), "pin-2": (None, 0.5)})
    about = {"answer": made.answer, "surface": "feed"}
    own = Event("click", "ada", "pin-1", event_id="own", variant="promoted:x", propensity=0.2, **about)
    people.record([own, *(Event("click", "ada", f"pin-{n}", event_id=f"e{n}", **about) for n in (1, 2, 3))])
    people.save("ada", "pin-1", board="K", **about)
    people.record([Event("click", "bob", "pin-1", event_id="bob", **about)])
    people.record([Event("click", "ada", "pin-1", event_id="lost", answer="sunknown")])
    held = {event["event_id"]: (event["variant"], event["propensity"]) for event in people.events_of("ada")}
    assert held["own"] == ("promoted:x", 0.2)
    assert held["e1"] == ("interleave:mix:1", None)
    assert held["e2"] == ("warm:b", 0.5)
    assert held["e3"] == ("warm:b", None)
    assert held["lost"] == (None, None)
    assert ("interleave:mix:1", None) in [
        held[name] for name in held if name not in ("own", "e1", "e2", "e3")
    ]
    assert people.events_of("bob")[0]["variant"] is None
    again = people.record([Event("click", "ada", "pin-2", event_id="e2", **about)])
    assert again[0].status == "duplicate"


def test_a_list_of_who_allows_no_looks_is_not_kept(people: People) -> None:
    people.consent("ada", clicks=False)
    for person in ("ada", "nobody"):
        assert people.remember_list(ServedList(new_list(), person, "feed")).result() is False
    assert people.served_lists() == []


def test_lists_leave_with_their_person_and_with_time(people: People, clock: Clock) -> None:
    people.save("ada", "pin-9", board="K")
    people.save("bob", "pin-9", board="K")
    made = listed(people, ms=12.5, diversity=0.25, traded=True, failed=True)
    kept = people.served_lists()[0]
    assert (kept.answer, kept.ms, kept.diversity, kept.traded, kept.failed) == (
        made.answer,
        12.5,
        0.25,
        True,
        True,
    )
    assert kept.person == people.pseudonym("ada")
    assert people.export("ada")["lists"][0]["answer"] == made.answer
    listed(people, "bob")
    assert people.forget("ada").removed["lists"] == 1
    clock.pass_(days=61)
    assert people.expire_lists() == 1
    assert people.served_lists() == []


def test_a_claimed_visitors_lists_are_the_persons(opened: Opener) -> None:
    people = opened()
    people.save("visitor:x", "pin-9", board="K")
    made = listed(people, "visitor:x")
    people.claim("visitor:x", "ada")
    people.record([Event("click", "ada", "pin-1", answer=made.answer)])
    assert people.events_of("ada")[0]["variant"] == "warm:b"


def test_lists_are_among_the_columns_where_they_are_asked_for(lite: People, clock: Clock) -> None:
    lite.save("ada", "pin-9", board="K")
    listed(lite, ms=12.5, session="s1")
    assert "served" not in lite.event_columns(0, clock.at + 1).names["kind"]
    found = lite.event_columns(0, clock.at + 1, lists=True)
    code = found.codes["kind"] == found.code("kind", "served_ms")
    assert found.value[code].tolist() == pytest.approx([12.5])
    assert found.names["session"][int(found.codes["session"][code][0])] == "s1@"
