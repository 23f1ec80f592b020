"""Many people by the beginning of their keys, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from visualsearch.errors import UsageError
from visualsearch.people import Event, People

from .conftest import Clock


def test_people_whose_keys_begin_alike_are_taken_out_together(people: People, clock: Clock) -> None:
    first = people.save("ada", "pin-1", board="Mine")
    middle = people.save("sim-1", "pin-1", board="Theirs", repin_of=first.id)
    last = people.save("eve", "pin-1", board="Hers", repin_of=middle.id)
    people.follow("ada", "person", "sim-1")
    people.follow("ada", "board", middle.board)
    people.follow("sim-2", "person", "ada")
    people.comment("sim-2", "pin-1", "nice")
    people.record([Event("click", person, pin="pin-2") for person in ("ada", "sim-1", "sim-2")])
    clock.pass_(days=3)
    people.roll()
    assert people.count_others("sim-") == 2
    removed = people.forget_all("sim-")
    assert removed["people"] == 2
    assert removed["saves"] == 1
    assert removed["followers"] == 2
    assert people.count() == people.count_others("sim-") == 2
    assert [save.id for save in people.chain(last.id)] == [first.id, last.id]
    assert people.follows("ada") == []
    assert {row["kind"] for row in people.events_of("ada")} >= {"click", "save"}
    assert people.comments("pin-1") == []
    assert people.verify() == []
    assert people.forget_all("sim-") == {}


def test_a_key_that_only_looks_alike_stays(people: People) -> None:
    people.declare("sim%1", region="north")
    people.declare("SIM-1", region="north")
    people.declare("sim_", region="north")
    people.forget_all("sim-")
    people.forget_all("si%")
    assert people.count() == 3


def test_nobody_is_removed_without_a_beginning(people: People) -> None:
    with pytest.raises(UsageError, match="everybody"):
        people.forget_all("")
