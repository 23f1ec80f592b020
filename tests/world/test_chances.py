"""The chance of a save, as the world draws it."""

from __future__ import annotations

import numpy as np

from visualsearch.world import Pins, Tastes, World, save_chances


def test_the_chances_of_saves_are_what_many_draws_show(pins: Pins, tastes: Tastes) -> None:
    world = World.make(pins, people=50, seed=3, tastes=tastes)
    persons = np.arange(40, dtype=np.int32)
    shown = np.stack([np.random.default_rng(n).choice(len(pins), 12, replace=False) for n in range(40)])
    shown[0, 5] = -1
    expected = drawn = 0.0
    for turn in range(60):
        lists = world.lists(persons, shown.astype(np.int32), world.clock + turn, "related")
        chances = save_chances(world.scene, lists)
        assert chances[0, 5] == 0
        expected += float(chances.sum())
        drawn += float(World(world.scene).respond_many(lists).reactions.saved.sum())
    assert expected > 100
    assert abs(drawn - expected) < 4 * expected**0.5
