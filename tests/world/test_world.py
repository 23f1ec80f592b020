"""The interactive simulator: lists are served to it, and people react."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import Status, open_people
from visualsearch.world import Pins, Served, Tastes, Visits, World, WorldSettings, simulate

from .conftest import cluster_records, make_index


@pytest.fixture
def world(pins: Pins, tastes: Tastes) -> World:
    return World.make(pins, tastes=tastes, people=400, days=20, seed=9, sessions_per_day=1.0)


def anything(visits: Visits, world: World) -> np.ndarray:
    rng = np.random.default_rng(world.day)
    return rng.permuted(np.tile(np.arange(len(world.pins)), (len(visits), 1)), axis=1)[:, :20].astype(
        np.int32
    )


def fitting(visits: Visits, world: World) -> np.ndarray:
    """What no recommender knows: pins that fit what each visitor has in mind."""
    people, tastes = world.scene.people, world.scene.tastes
    taste = people.taste[visits.person, np.maximum(visits.focus, 0)]
    return tastes.candidates[taste][:, :20].astype(np.int32)


def test_the_same_list_at_the_same_time_meets_the_same_reaction(pins: Pins, tastes: Tastes) -> None:
    worlds = [World.make(pins, tastes=tastes, people=50, seed=1) for _ in range(2)]
    person = worlds[0].persons[7]
    served = worlds[0].best(person, 20)
    worlds[1].respond(worlds[1].persons[3], served)  # whom else one asks makes no difference
    first, second = (w.respond(person, served, answer="a") for w in worlds)
    assert first == second
    assert {event.answer for event in first} == {"a"}
    later = worlds[0].respond(person, served, at=worlds[0].clock + 60_000, answer="a")
    assert later != first


def test_events_name_the_slots_as_they_were_served(world: World) -> None:
    person = world.persons[0]
    served = [Served(pin, slot) for slot, pin in reversed(list(enumerate(world.pins[:10])))]
    events = world.respond(person, served, surface="search", answer="x", session="s", variant="b")
    shown = [event for event in events if event.kind == "impression"]
    assert {(event.pin, event.slot, event.row, event.column) for event in shown} == {
        (pin, slot, slot // 5, slot % 5) for slot, pin in enumerate(world.pins[:10])
    }
    assert {(e.answer, e.session, e.variant, e.surface) for e in events if e.slot is not None} == {
        ("x", "s", "b", "search")
    }
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_record_takes_the_events_and_refuses_those_of_whom_consent_keeps_out(tmp_path: Path) -> None:
    with make_index(tmp_path / "pins.index", cluster_records(each=10)) as index:
        world = World.make(index, people=40, seed=2, consent=(0.5, 0.0))
        with open_people(index.folder, now=lambda: world.clock + 3_600_000) as people:
            for person in world.persons[:10]:
                if world.keeps_out(person):
                    people.consent(person, "off")
                verdicts = people.record(world.respond(person, world.best(person, 8)))
                wanted = Status.REFUSED if world.keeps_out(person) else Status.ACCEPTED
                assert {verdict.status for verdict in verdicts} == {wanted}


def test_relevance_is_what_moves_people(world: World) -> None:
    found = world.compare({"anything": anything, "fitting": fitting}, days=range(3))
    assert found["fitting"]["clicked"] > 2 * found["anything"]["clicked"] > 0
    assert found["fitting"]["saves_per_100"] > 1.5 * found["anything"]["saves_per_100"]
    assert found["anything"]["impressions"] == found["fitting"]["impressions"] > 10_000
    assert found["anything"]["hidden"] > found["fitting"]["hidden"]


def test_the_best_pins_are_relevant_and_others_are_not(world: World) -> None:
    person = world.persons[11]
    best = world.best(person, 10)
    assert world.relevance([person] * 10, best).min() > 0.3
    everything = world.relevance([person] * len(world.pins), list(world.pins))
    assert np.median(everything) < 0.1
    out = world.scene.times.published <= 0
    assert world.relevance([person], best[:1])[0] == pytest.approx(everything[out].max(), abs=1e-6)


def test_the_reaction_rate_is_the_examination_times_the_known_chance(world: World) -> None:
    person = np.arange(400)
    rates = []
    for row in (0, 3):
        clicks = 0
        for turn in range(30):
            lists = world.lists(person, np.full((400, 1), turn * 7), world.clock + turn * 1000)
            lists.row[:] = row
            clicks += int(world.respond_many(lists).reactions.examined.sum())
        rates.append(clicks / 12_000)
    assert rates[0] == pytest.approx(world.examination("feed", 0, 0), abs=0.01)
    assert rates[1] == pytest.approx(world.examination("feed", 3, 0), abs=0.015)


def test_a_pin_is_saved_once(world: World) -> None:
    person = np.repeat(np.arange(400), 30)
    pins = np.array([world.place(world.best(world.persons[who], 1)[0]) for who in range(400)])
    lists = world.lists(person, pins[person][:, None], world.clock + np.tile(np.arange(30) * 60_000, 400))
    made = world.respond_many(lists)
    saved = [(event.person, event.pin) for event in made.events() if event.kind == "save"]
    assert len(saved) == len(set(saved)) == len(made.saves) > 100
    assert made.saved.sum() == len(saved)
    assert made.saves_per_100 == pytest.approx(100 * len(saved) / 12_000)
    assert world.respond_many(lists).saved.sum() == 0


def test_time_goes_forward_when_the_caller_says_so(world: World) -> None:
    start = world.clock
    world.respond(world.persons[0], world.pins[:5])
    assert world.clock == start
    assert world.advance(days=1, hours=6) == start + 30 * 3_600_000
    assert world.day == 1
    assert len(world.visits()) == len(world.visits(1)) > 100
    with pytest.raises(UsageError, match="cannot go back"):
        world.advance(hours=-1)


def test_a_pin_can_be_scheduled(world: World) -> None:
    pin = world.pins[0]
    world.publish([pin], world.settings.begins + 5 * 86_400_000)
    assert world.scene.times.published[0] == pytest.approx(5.0)


def test_holdouts_are_a_share_of_people_and_never_change(world: World) -> None:
    campaign = world.scene.shops.campaigns[0]
    held = [world.held_out(person, campaign.pins[0]) for person in world.persons]
    assert np.mean(held) == pytest.approx(0.2, abs=0.06)
    assert held == [world.held_out(person, campaign.pins[-1]) for person in world.persons]
    free = next(
        pin for pin in world.pins if world.scene.shops.campaign_of(np.array([world.place(pin)]))[0] < 0
    )
    assert not any(world.held_out(person, free) for person in world.persons)


def test_an_attack_is_near_duplicates_of_a_few_pins_that_nobody_likes(tmp_path: Path) -> None:
    with make_index(tmp_path / "pins.index", cluster_records()) as index:
        world = World.make(index, people=300, seed=4)
        attack = world.attack(200, minutes=30)
        cosine = np.einsum(
            "ij,ij->i", attack.vectors, index.vectors([world.pins[at] for at in attack.sources])
        )
        assert len(attack) == 200
        assert cosine.min() > 0.98
        assert len(set(attack.sources)) <= 20
        assert attack.at.max() - attack.at.min() < 30 * 60_000
        assert len({event.person for event in attack.events()}) <= 6
        report = index.add(list(attack.records()))
        assert (report.added, report.failed) == (200, 0)
        assert index.attributes_of(attack.ids[0])["simulated"] is True
        shown = np.array([[world.place(pin) for pin in attack.ids[:20]]] * 300, np.int32)
        told = world.respond_many(world.lists(np.arange(300), shown, world.clock)).counts()
        usual = world.respond_many(
            world.lists(np.arange(300), shown * 0 + np.arange(20), world.clock)
        ).counts()
        assert told["hidden"] > 3 * usual["hidden"]
        assert told["reported"] > 0
        assert usual["reported"] == 0


def test_the_world_of_an_index_goes_on_where_it_ended(tmp_path: Path) -> None:
    with make_index(tmp_path / "pins.index", cluster_records(each=20)) as index:
        with pytest.raises(UsageError, match="no finished world"):
            World.of(index)
        simulate(
            index, WorldSettings(people=40, days=2, seed=1, saves_per_person=2, sessions_per_day=2, effects=8)
        )
        world = World.of(index)
        assert world.clock == world.settings.ends
        fresh = World.make(index, world.settings)
        assert (world.scene.people.ends <= fresh.scene.people.ends).all()
        assert np.array_equal(world.scene.people.taste, fresh.scene.people.taste)
        index.remove([world.pins[0]])
        with pytest.raises(UsageError, match="other pins"):
            World.of(index)


def test_what_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(UnknownNameError, match="pin of this world"):
        world.respond(world.persons[0], ["nothing"])
    with pytest.raises(UnknownNameError, match="simulated person"):
        world.respond("ada", world.pins[:1])
    with pytest.raises(UnknownNameError, match="surface"):
        world.respond(world.persons[0], world.pins[:1], surface="moon")
    with pytest.raises(UnknownNameError, match="campaign"):
        world.respond(world.persons[0], [Served(world.pins[0], 0, promoted="none")])
    with pytest.raises(UsageError):
        world.attack(0)
    assert world.respond(world.persons[0], []) == []


def test_promoted_slots_may_convert_later(pins: Pins, tastes: Tastes) -> None:
    world = World.make(pins, tastes=tastes, people=400, seed=3, lift=0.5)
    campaign = world.scene.shops.campaigns[0]
    events = []
    for person in world.persons:
        served = [Served(campaign.pins[0], 0, promoted=campaign.name)]
        events += world.respond(person, served)
    kinds = Counter(event.kind for event in events)
    assert kinds["purchase"] > 3
    bought = [event for event in events if event.kind == "purchase"]
    assert all(event.value and event.currency == "EUR" and event.slot is None for event in bought)


def test_the_package_has_the_world_as_a_room() -> None:
    assert vs.world.World is World
