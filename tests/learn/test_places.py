"""Position bias: what is found is what the simulation has, and events that cannot tell are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.learn import Examined, examined, fit_places, shown_of, swap_cost, swapped
from visualsearch.people import Event, open_people
from visualsearch.world import Pins, Tastes, World

from ..world.conftest import pins, pins_index, tastes

__all__ = ["pins", "pins_index", "tastes"]
COLUMNS, SLOTS = 4, 12
PLACES = [("feed", slot // COLUMNS, slot % COLUMNS) for slot in range(SLOTS)]
TRUE = np.array([0.8**row * 0.93**column for _, row, column in PLACES])


def clicks(lists: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(group, place, clicked) of the drawn slots: pins at the top are better, so that plain click rates mislead."""
    rng = np.random.default_rng(seed)
    good = np.linspace(0.5, 0.05, SLOTS)
    found = []
    for number in range(lists):
        swap = swapped(SLOTS, COLUMNS, share, rng)
        hit = rng.random(SLOTS) < TRUE * good[swap.order]
        for slot in np.flatnonzero(swap.random < 1):
            found.append((number, slot, hit[slot]))
    group, place, clicked = np.array(found).T if found else np.zeros((3, 0), int)
    return group, place, clicked.astype(bool)


def test_swaps_among_neighbours_find_how_likely_each_place_is_looked_at() -> None:
    found = fit_places(*clicks(40_000, 1.0), PLACES)
    assert np.abs(found.chance - TRUE).max() < 0.08
    inside = (found.interval[:, 0] <= TRUE) & (found.interval[:, 1] >= TRUE)
    assert inside.mean() >= 0.8


def test_a_swap_trades_two_neighbours_by_a_coin_and_nothing_is_drawn_by_default() -> None:
    rng = np.random.default_rng(0)
    assert all((swapped(SLOTS, COLUMNS, 0.0, rng).random == 1).all() for _ in range(50))
    moved = 0
    for _ in range(400):
        swap = swapped(SLOTS, COLUMNS, 1.0, rng)
        first, second = np.flatnonzero(swap.random == 0.5)
        assert second - first == COLUMNS or (second - first == 1 and second % COLUMNS)
        moved += swap.order[first] == second
    assert 150 < moved < 250


def test_a_list_of_one_column_trades_its_next_slot_too() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        swap = swapped(6, 1, 1.0, rng)
        first, second = np.flatnonzero(swap.random == 0.5)
        assert second == first + 1  # never the first with the last
        seen.add(int(first))
    assert seen == set(range(5))
    places = [("feed", slot, 0) for slot in range(6)]
    found = Examined(tuple(places), 0.8 ** np.arange(6), np.ones((6, 2)), 300)
    assert swap_cost(found, "feed", 1, 0.02, 6) > 0


def test_a_fresh_pin_that_was_tried_is_not_compared_with_swapped_neighbours(tmp_path: Path) -> None:
    (tmp_path / "pins.index").mkdir()
    with open_people(tmp_path / "pins.index") as people:
        given = {"surface": "feed", "answer": "list", "propensity": 0.5}
        people.record(
            [
                Event("impression", "ada", f"pin-{n}", slot=n, variant="explore" if n > 1 else None, **given)
                for n in range(3)
            ]
        )
        shown = shown_of(people.event_columns(0, people.now() + 1))
    assert shown.tried.tolist() == [False, False, True]
    assert shown.part(np.array([2])).tried.tolist() == [True]


def test_the_cost_of_swaps_is_known_beforehand() -> None:
    found = fit_places(*clicks(20_000, 1.0), PLACES)
    assert swap_cost(found, "feed", COLUMNS, 0.0, SLOTS) == 0
    assert 0 < swap_cost(found, "feed", COLUMNS, 0.02, SLOTS) < 0.001


def test_few_clicks_and_parts_that_nothing_compares_are_refused() -> None:
    with pytest.raises(UsageError, match="0 clicks are in slots that were randomised"):
        fit_places(*clicks(100, 0.0), PLACES)
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(2000), 2)
    place = np.where(np.arange(4000) % 2 == 0, 0, 1) + np.where(
        group % 2 == 0, 0, 4
    )  # (0, 1) or (4, 5), never both
    with pytest.raises(UsageError, match="no pin stood in both of two parts of the grid"):
        fit_places(group, place, rng.random(4000) < 0.5, PLACES)


def test_the_world_s_own_chances_are_found_in_its_events(tmp_path: Path, pins: Pins, tastes: Tastes) -> None:
    world = World.make(pins, tastes=tastes, people=400, seed=3, sessions_per_day=1.5, consent=(0.0, 0.0))
    rng = np.random.default_rng(0)
    (tmp_path / "pins.index").mkdir()
    with open_people(tmp_path / "pins.index", now=lambda: world.clock) as people:
        for _ in range(3):
            visits = world.visits()
            world.advance(days=1)
            drawn = np.stack([rng.choice(len(world.pins), 12, replace=False) for _ in range(len(visits))])
            events = world.respond_many(world.lists(visits.person, drawn, world.clock - 1000)).events()
            people.record([Event(**{**vars(event), "propensity": 1 / 12}) for event in events])
        shown = shown_of(people.event_columns(0, world.clock + 1))
        found = examined(shown, harvest=False)
    true = np.array([world.examination(*place) for place in found.places]) / world.examination("feed", 0, 0)
    assert np.abs(found.chance - true).mean() < 0.08
    people_of = len(np.unique(shown.person))
    assert people_of > 100


def test_events_without_answers_or_slots_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pins.index").mkdir()
    with open_people(tmp_path / "pins.index") as people:
        people.record([Event("impression", "ada", "pin-1"), Event("click", "ada", "pin-1")])
        with pytest.raises(
            UsageError, match="none is an impression that names its answer, its slot and its pin"
        ):
            shown_of(people.event_columns(0, people.now() + 1))
