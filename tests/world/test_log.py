"""The log generator: what was planted can be found again in its events by simple means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from visualsearch.world import Pins, Tastes, World, WorldSettings
from visualsearch.world.generator import Day, Generator, unseen
from visualsearch.world.population import BULK, DREAM, PROJECT, RING
from visualsearch.world.reactions import examination
from visualsearch.world.rows import BASELINE, KINDS, Rows, joined
from visualsearch.world.saving import Saves
from visualsearch.world.scene import Scene, make_scene
from visualsearch.world.settings import DAY_MS, FRESH_DAYS
from visualsearch.world.times import OLD, WEEKDAYS

IMPRESSION, CLICK, SAVE, PURCHASE = (
    KINDS.index(name) for name in ("impression", "click", "save", "purchase")
)


def ran(pins: Pins, tastes: Tastes, **changes: Any) -> tuple[Scene, list[Day]]:
    scene = make_scene(pins, WorldSettings(**changes), tastes)
    return scene, list(Generator(scene).days())


def all_events(days: Sequence[Day]) -> Rows:
    return joined([day.events for day in days])


def all_saves(days: Sequence[Day]) -> list[Saves]:
    return [saves for day in days for saves in day.saves if len(saves)]


@pytest.fixture(scope="module")
def busy(pins: Pins, tastes: Tastes) -> tuple[Scene, list[Day]]:
    """1,500 busy people over four weeks; every list is shuffled."""
    return ran(pins, tastes, people=1500, days=28, seed=5, sessions_per_day=0.8, randomised=1.0, trends=False)


def test_the_examination_curve_is_the_click_rate_of_shuffled_lists(busy: tuple[Scene, list[Day]]) -> None:
    events = all_events(busy[1])
    feed = (events["surface"] == 0) & (events["campaign"] < 0)
    shown, clicked = (
        np.bincount(events["row"][feed & (events["kind"] == kind)], minlength=5)[:5]
        for kind in (IMPRESSION, CLICK)
    )
    rate = clicked / shown
    truth = examination(np.zeros(5, np.int64), np.arange(5), 0)
    assert rate / rate[0] == pytest.approx(truth / truth[0], rel=0.08)


def test_views_of_new_pins_halve_in_two_days(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    events = all_events(days)
    seen = chosen_rows(events, events["kind"] == IMPRESSION)
    published = scene.times.published
    day = scene.times.day_of(seen["at"])
    age = day - published[seen["pin"]]
    new = (published[seen["pin"]] > OLD) & (age < 10)
    views = np.bincount(np.floor(age[new]).astype(int), minlength=10)[:10].astype(float)
    new_pins = published[published > OLD].astype(float)
    out = np.array(
        [
            np.clip(np.minimum(28, new_pins + a + 1) - np.maximum(0, new_pins + a), 0, 1).sum()
            for a in range(10)
        ]
    )
    slope = np.polyfit(np.arange(8), np.log2(views[:8] / out[:8]), 1)[0]
    assert -1 / slope == pytest.approx(2.0, rel=0.1)


def test_no_list_shows_a_pin_that_is_not_out_yet_and_none_shows_one_twice(
    busy: tuple[Scene, list[Day]],
) -> None:
    scene, days = busy
    seen = chosen_rows(all_events(days), all_events(days)["kind"] == IMPRESSION)
    assert (scene.times.published[seen["pin"]] <= scene.times.day_of(seen["at"])).all()
    pairs = np.stack([seen["answer"], seen["pin"]], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_weekdays_differ_as_planted(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    lists = np.array([len(np.unique(day.events["answer"])) for day in days[1:]], float)
    weekday = np.array([scene.times.weekday(number) for number in range(28)])
    mean = np.array([lists[weekday == number].mean() for number in range(7)])
    assert mean / mean.mean() == pytest.approx(np.array(WEEKDAYS), abs=0.06)


def test_a_few_people_do_most(busy: tuple[Scene, list[Day]]) -> None:
    events = all_events(busy[1])
    counts = np.sort(np.bincount(events["person"], minlength=1500))[::-1]
    assert 0.35 < counts[:150].sum() / counts.sum() < 0.75


def test_spammers_are_those_who_save_most_in_a_few_minutes(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    saves = all_saves(days[1:])
    who = np.concatenate([each.person for each in saves])
    ten = np.concatenate([each.at for each in saves]) // 600_000
    pairs, counts = np.unique(np.stack([who, ten], 1), axis=0, return_counts=True)
    most = np.zeros(1500, np.int64)
    np.maximum.at(most, pairs[:, 0], counts)
    bulk = scene.people.role == BULK
    assert bulk.any()
    assert most[bulk].min() > most[~bulk].max()
    ring = np.flatnonzero(scene.people.role == RING)
    pins = np.concatenate([each.pin for each in saves])
    together = np.unique(np.stack([pins, ten // 2], 1), axis=0, return_counts=True)[1]
    assert together.max() >= min(len(ring), 8)  # a ring saves one pin within minutes


def test_projects_end_and_dreams_do_not(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    people, after = scene.people, {PROJECT: 0, DREAM: 0}
    for saves in all_saves(days):
        day = scene.times.day_of(saves.at)
        column = np.maximum(saves.section, 0)
        mine = saves.section >= 0
        assert (people.kind[saves.person, column][mine] == PROJECT).all()
        assert (day[mine] < people.ends[saves.person, column][mine] + 0.01).all()
        after[PROJECT] += int(mine.sum())
    assert after[PROJECT] > 500
    held = people.taste >= 0
    assert (people.ends[held & (people.kind == PROJECT)] < 1000).all()
    assert (people.ends[held & (people.kind == DREAM)] > 1e8).all()
    titles = [scene.boards.title[at] for at in np.flatnonzero(~scene.boards.project)]
    assert any(title.startswith("Dream ") for title in titles)


def test_a_purchase_ends_its_project(pins: Pins, tastes: Tastes) -> None:
    scene = make_scene(
        pins, WorldSettings(people=800, days=10, seed=2, sessions_per_day=1.5, effects=8), tastes
    )
    planned = scene.people.ends.copy()
    list(Generator(scene).days())
    sooner = scene.people.ends < planned
    assert sooner.sum() > 10
    assert (scene.people.kind[sooner] == PROJECT).all()
    assert np.array_equal(scene.people.ends[sooner], np.ceil(scene.people.ends[sooner]))


def test_planted_trends_are_the_clusters_whose_clicks_grow(pins: Pins, tastes: Tastes) -> None:
    changes = {"people": 2000, "days": 30, "seed": 8, "sessions_per_day": 0.8}
    scene, days = ran(pins, tastes, **changes)
    trend = next(each for each in scene.times.trends if each.region is None)
    events = all_events(days)
    day = scene.times.day_of(events["at"])
    cluster = tastes.cluster[events["pin"]]
    full = trend.day + trend.rise

    def rate(number: int, low: float, high: float) -> float:
        mine = (cluster == number) & (day >= low) & (day < high)
        return float((events["kind"][mine] == CLICK).sum() / (events["kind"][mine] == IMPRESSION).sum())

    grown = [rate(c, full, full + 3) / rate(c, 0, trend.day) for c in range(tastes.clusters)]
    assert int(np.argmax(grown)) in {each.cluster for each in scene.times.trends}
    assert grown[trend.cluster] > 1.4
    assert np.median(grown) == pytest.approx(1, abs=0.15)


def test_what_promotion_causes_is_what_the_holdout_lacks(pins: Pins, tastes: Tastes) -> None:
    changes = {
        "people": 6000,
        "days": 20,
        "seed": 4,
        "sessions_per_day": 0.5,
        "holdout": 0.4,
        "baseline": 0.3,
    }
    scene, days = ran(pins, tastes, **changes, effects=6, spam=0.0)
    events = all_events(days)
    bought = chosen_rows(events, events["kind"] == PURCHASE)
    everybody = np.arange(6000)
    treated, caused, held_share = 0.0, 0.0, []
    for number in range(len(scene.shops.campaigns)):
        held = scene.shops.held_out(everybody, np.full(6000, number))
        mine = chosen_rows(bought, bought["campaign"] == number)
        out = held[mine["person"]]
        assert (mine["cause"][out] == BASELINE).all()
        treated += (~out).sum() / (~held).mean() - out.sum() / held.mean()
        caused += (mine["cause"] != BASELINE).sum() / (~held).mean()
        held_share.append(held.mean())
    assert np.mean(held_share) == pytest.approx(0.4, abs=0.03)
    assert caused > 300
    assert treated == pytest.approx(caused, rel=0.2)


def test_without_effects_nobody_buys_because_of_what_is_shown(pins: Pins, tastes: Tastes) -> None:
    _, days = ran(pins, tastes, people=1000, days=5, sessions_per_day=1, effects=0)
    events = all_events(days)
    assert set(events["cause"][events["kind"] == PURCHASE].tolist()) <= {BASELINE}


def test_repins_come_from_an_earlier_public_save_of_another(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    saves = all_saves(days)
    number = np.concatenate([each.number for each in saves])
    where = np.argsort(number)
    at, person, pin, board, source = (
        np.concatenate([getattr(each, name) for each in saves])[where]
        for name in ("at", "person", "pin", "board", "source")
    )
    assert np.array_equal(number[where], np.arange(len(number)))
    taken = np.flatnonzero(source >= 0)
    assert 0.2 < len(taken) / len(source) < 0.7
    first = source[taken]
    assert (at[first] <= at[taken]).all()
    assert np.array_equal(pin[first], pin[taken])
    assert (person[first] != person[taken]).all()
    assert not scene.boards.secret[board[first]].any()
    assert not unseen(scene, person[first]).any()
    assert (source[first] >= 0).any()  # chains of three and more
    assert len(np.unique(person.astype(np.int64) << 32 | pin)) == len(pin)  # nobody saves a pin twice


def test_the_two_uses_agree_to_the_event(pins: Pins, tastes: Tastes) -> None:
    changes = {"people": 300, "days": 4, "seed": 6, "sessions_per_day": 1.5, "spam": 0.0}
    _, days = ran(pins, tastes, **changes)
    world = World.make(pins, WorldSettings(**changes), tastes=tastes)
    _ = world.past
    fault = 0
    for day in days[1:]:
        events = day.events
        shown = chosen_rows(events, events["kind"] == IMPRESSION)
        for answer in np.unique(shown["answer"])[:60]:
            mine = chosen_rows(events, events["answer"] == answer)
            slots = chosen_rows(mine, mine["kind"] == IMPRESSION)
            order = np.argsort(slots["slot"])
            at = int((slots["at"] - 1500 * slots["row"] - 150 * slots["column"])[0])
            lists = world.lists(slots["person"][:1], slots["pin"][order][None], at)
            lists.surface[:] = slots["surface"][0]
            lists.row[0], lists.column[0] = slots["row"][order], slots["column"][order]
            lists.promoted[0] = slots["campaign"][order]
            again = world.respond_many(lists)
            clicks = np.sort(slots["pin"][order][again.reactions.clicked[0]])
            fault += not np.array_equal(clicks, np.sort(mine["pin"][mine["kind"] == CLICK]))
    assert fault == 0


def test_new_pins_are_shown_by_their_quota_alone(busy: tuple[Scene, list[Day]]) -> None:
    scene, _ = busy
    drawn = scene.times.freshness(np.arange(len(scene.pins)), np.array(5.0))
    age = 5.0 - scene.times.published
    out = (age >= 0) & (scene.times.published > OLD)
    assert drawn[out] == pytest.approx(0.5 ** (age[out] / 2))
    assert (drawn[~out] == 0).all()
    assert (age[out] < FRESH_DAYS + 6).all()


def chosen_rows(rows: Rows, which: Any) -> Rows:
    return {name: column[which] for name, column in rows.items()}


def test_every_day_holds_its_own_events(busy: tuple[Scene, list[Day]]) -> None:
    scene, days = busy
    for day in days[1:]:
        start = scene.settings.begins + day.number * DAY_MS
        assert day.events["at"].min() >= start
        assert day.events["at"].max() < start + DAY_MS + 3_600_000  # a visit at midnight goes on
        assert (np.diff(day.events["at"]) >= 0).all()
