"""Fresh pins get a chance: within the budget, each up to the floor, and the good ones are found."""

from __future__ import annotations

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.learn import Explorer


def test_fresh_pins_take_the_budget_s_share_of_slots_and_never_the_first() -> None:
    rng = np.random.default_rng(0)
    explorer = Explorer(usual=0.1, budget=0.1)
    taken = [explorer.slots(20, rng) for _ in range(2000)]
    assert np.mean([len(slots) for slots in taken]) / 19 == pytest.approx(0.1, abs=0.01)
    assert all(0 not in slots for slots in taken)
    assert len(Explorer(usual=0.1, budget=0).slots(20, rng)) == 0


def test_each_pin_gets_its_floor_and_then_the_good_ones_get_more() -> None:
    rng = np.random.default_rng(1)
    good = np.full(40, 0.03)
    good[:4] = 0.3
    looks, saves = np.zeros(40), np.zeros(40)
    explorer = Explorer(usual=0.1, floor=10)
    for round_ in range(3000):
        pin = explorer.chosen(looks, saves, 1, rng)[0]
        looks[pin] += 1
        saves[pin] += rng.random() < good[pin]
        if round_ == 399:
            assert looks.min() == looks.max() == 10
    assert looks.min() >= 10
    assert looks[:4].sum() > 0.6 * looks.sum()
    cost = explorer.cost(looks, saves)
    assert cost.looks == 3000
    assert cost.saves == pytest.approx(0.1 * 3000 - saves.sum())
    assert cost.interval[0] < cost.saves < cost.interval[1]
    assert cost.saves < 0  # the good ones paid for the others


def test_saves_without_looks_are_no_reason_to_fail_and_wrong_settings_are_named() -> None:
    assert len(Explorer(usual=0.1).chosen(np.zeros(3), np.ones(3), 2, np.random.default_rng(0))) == 2
    with pytest.raises(UsageError, match=r"budget 0\.9"):
        Explorer(usual=0.1, budget=0.9)
