"""The auction, the rules, the pacing and the predictions by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.promote import SURFACES, Rates, Rules, auction, room

from .kills import campaign as killed
from .world import NOON, campaign


def test_second_prices_are_those_of_the_one_behind() -> None:
    bids, seen = np.array([100, 80, 60]), np.array([1.0, 0.5])
    rates, quality = np.full(3, 0.1), np.ones(3)
    gsp = auction(bids, rates, quality, seen)
    assert (gsp.order.tolist(), gsp.price.tolist()) == ([0, 1], [80, 60])
    # The first pays what its presence costs the others: 0.5 x 80 for the move up, 0.5 x 60 for the one below.
    vcg = auction(bids, rates, quality, seen, pricing="vcg")
    assert (vcg.order.tolist(), vcg.price.tolist()) == ([0, 1], [70, 60])
    liked = auction(bids, np.array([0.1, 0.2, 0.1]), np.array([1.0, 1.0, 0.5]), seen)
    assert (liked.order.tolist(), liked.price.tolist()) == ([1, 0], [50, 30])
    assert auction(bids, rates, quality, seen, reserve=90).price.tolist() == [90]
    assert len(auction(bids, rates, quality, seen, reserve=101).order) == 0
    with pytest.raises(UnknownNameError, match="pricing"):
        auction(bids, rates, quality, seen, pricing="first")


def test_a_price_is_never_above_the_bid_nor_below_the_reserve() -> None:
    chance = np.random.default_rng(0)
    for _ in range(300):
        n, slots = chance.integers(1, 30), chance.integers(1, 5)
        bids = chance.integers(1, 10_000, n)
        seen = np.sort(chance.random(slots))[::-1]
        seen[0] = 1.0
        for pricing in ("gsp", "vcg"):
            made = auction(bids, chance.random(n) + 0.01, chance.random(n) + 0.1, seen, 3, pricing)
            assert (made.price <= bids[made.order]).all()
            assert (made.price >= 3).all()
            assert len(set(made.order.tolist())) == len(made.order) <= slots


def test_the_promoted_share_is_never_passed() -> None:
    for surface in SURFACES.values():
        for organic in range(60):
            slots = room(surface, organic)
            assert len(slots) <= surface.share * (organic + len(slots))
            assert all(slot <= organic + at for at, slot in enumerate(slots))
    assert room(SURFACES["search"], 3) == ()
    assert room(SURFACES["search"], 4) == (4,)
    assert room(SURFACES["search"], 10) == (9, 11)
    assert room(SURFACES["search"], 20) == (17, 21)
    with pytest.raises(UsageError, match="pricing"):
        Rules(pricing="first")


def test_a_budget_lasts_for_its_days() -> None:
    day = 86_400_000
    made = campaign(budget=7_000, bid=50, start=NOON, end=NOON - NOON % day + 7 * day)
    assert made.day_budget(NOON, 0) == 1_000
    assert made.day_budget(NOON + 3 * day, 5_000) == 500
    assert made.day_budget(NOON + 6 * day, 6_990) == 10
    assert campaign(budget=7_000, daily=300).day_budget(NOON, 6_900) == 100


def test_predictions_start_at_what_is_usual_and_follow_what_comes() -> None:
    row = {
        "campaign": "a",
        "surface": "search",
        "slot": 0,
        "shown": 0,
        "acted": 0,
        "hidden": 0,
        "predicted": 0.0,
    }
    assert Rates().of(["new"], "search")[0] == pytest.approx(0.02)
    many = Rates([{**row, "shown": 20_000, "acted": 1_000, "predicted": 1_000.0}])
    assert many.of(["a"], "search")[0] == pytest.approx(0.05, rel=0.02)
    seen = Rates(
        [
            {**row, "slot": slot, "shown": 50_000, "acted": acted}
            for slot, acted in enumerate((2000, 1000, 1500))
        ]
    ).seen("search", 3)
    assert seen.tolist() == pytest.approx([1.0, 0.5, 0.5], rel=0.02)
    assert Rates([{**row, "shown": 1_000, "hidden": 100}]).liked(["a", "b"]).tolist() == pytest.approx(
        [0.5454, 1], rel=0.01
    )
    low = Rates([{**row, "shown": 100_000, "acted": 1_000, "predicted": 2_000.0}])
    assert low.correction("search") == pytest.approx(0.5, rel=0.01)


def test_the_ledger_is_exact_after_kills() -> None:
    found, count = killed(4)
    assert found == []
    assert count > 0
