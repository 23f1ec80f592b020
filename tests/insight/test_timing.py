"""Busy hours, how new pins fade, schedules, and what comes out later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import ForbiddenError, UnknownNameError, UsageError
from visualsearch.insight import Slot, first_week, half_life, next_times, schedule, smoothed, timing_report
from visualsearch.people import ConsentLevel, People

from .conftest import DAY_MS, MONDAY, SHOP, Clock

HOUR = 3_600_000


def faded(
    half_days: float, pins: int = 60, days: int = 42, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Views by pin and hour of pins that come out through the days, where evenings are busy."""
    rng = np.random.default_rng(seed)
    length = days * 24
    busy = np.tile(np.where(np.arange(24) >= 18, 3.0, 1.0), days) * 500
    keys, views = [], []
    for pin in range(pins):
        out = int(rng.integers(8 * 24, length - 48))
        age = np.arange(length - out)
        seen = rng.poisson(busy[out:] / 500 * 4 * np.exp2(-age / 24 / half_days))
        hours = np.flatnonzero(seen)
        keys.append(pin * length + out + hours)
        views.append(seen[hours])
    return np.concatenate(keys), np.concatenate(views), busy


@pytest.mark.parametrize("true", [0.7, 2.0, 4.0])
def test_the_half_life_is_found_whatever_the_hours(true: float) -> None:
    half, low, high, curve, pins = half_life(*faded(true))
    assert half == pytest.approx(true, rel=0.1)
    assert low is not None
    assert high is not None
    assert low < high
    assert pins == 60
    assert curve[0]["views"] > curve[-1]["views"]


def test_few_new_pins_tell_no_half_life() -> None:
    assert half_life(*faded(2.0, pins=5))[0] is None
    none = np.zeros(0, np.int64)
    assert half_life(none, none, np.zeros(168))[0] is None


def test_the_suggested_hour_comes_before_the_busy_ones() -> None:
    weekly = np.tile(np.where((np.arange(168) >= 120) & (np.arange(168) % 24 >= 18), 30.0, 3.0), (4, 1))
    slots = schedule(weekly, 1.0, 2)
    assert slots[0].day in ("Saturday", "Friday")
    assert slots[0].low <= slots[0].gain <= slots[0].high
    assert slots[0].gain > 0.1
    assert first_week(np.ones(168), 2.0) == pytest.approx(np.ones(168))
    assert smoothed(np.zeros((3, 168))).tolist() == [1.0] * 168


def test_next_times_lie_ahead() -> None:
    now = MONDAY + 2 * DAY_MS + 5 * HOUR
    found = next_times([Slot("Wednesday", 4, 0.1, 0, 0.2), Slot("Sunday", 20, 0.1, 0, 0.2)], now)
    assert found == [MONDAY + 9 * DAY_MS + 4 * HOUR, MONDAY + 6 * DAY_MS + 20 * HOUR]


def test_a_report_tells_busy_hours_of_enough_people_only(shop: vs.Index) -> None:
    found = timing_report(shop, weeks=8)
    assert found.people == 398
    assert found.activity[3] is None  # nobody is there at night
    assert found.activity[12] is not None
    assert found.half_life_days is None
    of_shop = timing_report(shop, weeks=8, domain=SHOP)
    assert of_shop.people is not None
    assert of_shop.people <= 398
    nobody = timing_report(shop, weeks=2, until="2020-01-31")
    assert nobody.people is None
    assert nobody.schedule == []
    with pytest.raises(UsageError):
        timing_report(shop, weeks=0)


def test_the_command_tells_a_schedule(shop: vs.Index, run: Callable[..., Any], tmp_path: Path) -> None:
    done = run(
        "insight", "timing", shop.folder, "--until", "2026-06-28", "--html", tmp_path / "t.html", "--json"
    )
    assert done.code == 0, done.err
    assert len(done.json["activity"]) == 168
    assert "Busy hours" in (tmp_path / "t.html").read_text()


# -- publish_at ------------------------------------------------------------------------------------------------------
def test_a_pin_comes_out_at_its_time_and_once(people: People, clock: Clock) -> None:
    people.save("ada", "pin-0", board="Kitchen")
    plan = people.plan_pin("ada", "pin-1", board="Kitchen", publish_at=clock.at + HOUR, note="new")
    assert people.publish_due() == 0
    clock.at += HOUR
    assert (people.publish_due(), people.publish_due()) == (1, 0)
    assert [each.pin for each in people.pins_of(plan.board)] == ["pin-1", "pin-0"]
    assert people.plans() == []


def test_a_planned_board_is_secret_until_then(people: People, clock: Clock) -> None:
    people.save("ada", "pin-0", board="Kitchen")
    board = people.boards("ada", viewer="ada")[0].id
    people.plan_board("ada", board, publish_at=clock.at + DAY_MS)
    with pytest.raises(UnknownNameError):
        people.board(board, viewer="eve")
    clock.at += DAY_MS
    assert people.publish_due() == 1
    assert people.board(board, viewer="eve").title == "Kitchen"


def test_who_opts_out_is_not_published_and_others_plans_are_not_touched(people: People, clock: Clock) -> None:
    people.save("ada", "pin-0", board="Kitchen")
    board = people.boards("ada", viewer="ada")[0].id
    plan = people.plan_pin("ada", "pin-1", board=board, publish_at=clock.at + HOUR)
    people.save("eve", "pin-0", board="Mine")
    assert not people.unplan("eve", plan.plan)
    with pytest.raises((ForbiddenError, UnknownNameError)):
        people.plan_board("eve", board, publish_at=clock.at + HOUR)
    with pytest.raises(UsageError, match="ahead"):
        people.plan_pin("ada", "pin-1", board=board, publish_at=clock.at)
    people.consent("ada", ConsentLevel.OFF)
    clock.at += HOUR
    assert people.publish_due() == 0
    assert people.plans() == []
