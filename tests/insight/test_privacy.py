"""Noise and bounds: what one person can change, and who is counted at all."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import MissingExtraError
from visualsearch.insight import Releases, bounded, counted, daily, noisy, read_collection, scale_of
from visualsearch.people import DELTA, rho_of

from .conftest import DAY_MS, MONDAY


def test_each_person_stands_in_at_most_k_cells_once() -> None:
    rng = np.random.default_rng(0)
    person, cell = rng.integers(0, 50, 3000), rng.integers(0, 30, 3000)
    who, what = bounded(person, cell, 4, rng)
    assert np.bincount(who).max() == 4
    assert len(np.unique(who * 100 + what)) == len(who)
    alone = counted(np.zeros(100, int), np.arange(100) % 30, 30, 4, rng)
    assert alone.sum() == 4
    assert alone.max() == 1


def test_one_person_more_changes_at_most_k_counts_by_one() -> None:
    person, cell = np.repeat(np.arange(20), 9), np.tile(np.arange(9), 20)
    less = counted(person[:-9], cell[:-9], 9, 4, np.random.default_rng(1))
    more = counted(person, cell, 9, 4, np.random.default_rng(1))
    assert more.sum() - less.sum() == 4


def test_noise_has_the_deviation_it_says_and_no_bias() -> None:
    rho = rho_of(1.0, DELTA)
    made = noisy(np.full(4000, 300), 4, rho) - 300
    assert made.dtype == np.int64
    assert made.std() == pytest.approx(scale_of(4, rho), rel=0.06)
    assert abs(made.mean()) < 4 * scale_of(4, rho) / 4000**0.5


def test_without_opendp_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    with pytest.raises(MissingExtraError, match=r"visualsearch\[insight\]"):
        noisy(np.array([1]), 1, 0.1)


def plain(counts: np.ndarray, most: int, rho: float) -> np.ndarray:
    return counts.astype(np.int64)


def test_who_opted_out_is_not_counted(untold: vs.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "noisy", plain)
    monkeypatch.setattr(untold.people, "release", lambda question, sets, epsilon, make: make(0.01))
    who = untold.people.counted(["region"])
    assert len(who) == 398  # one allows nothing, one no clicks
    assert int((who.declared["region"] < 0).sum()) == 1  # one keeps the profile to themselves
    day = MONDAY // DAY_MS + 55
    told = Releases(untold.people, read_collection(untold)).days(day, day)
    tables = list(
        untold.people.event_tables(day * DAY_MS, (day + 1) * DAY_MS, ("person", "pin"), kinds=daily.KINDS)
    )
    persons = np.concatenate([table.column("person").to_numpy() for table in tables])
    gone = untold.people.numbers_of(["user-0399", "user-0398"])
    pins = np.concatenate([table.column("pin").to_numpy() for table in tables])
    collection = read_collection(untold)
    cluster = collection.cluster[collection.places(pins)]
    kept = ~np.isin(persons, gone)
    assert told.counts.sum() == len(set(zip(persons[kept], cluster[kept], strict=True)))
    assert len(set(zip(persons, cluster, strict=True))) > told.counts.sum()


def test_a_region_of_few_people_is_not_told_of(shop: vs.Index) -> None:
    week = MONDAY // DAY_MS
    told = Releases(shop.people, read_collection(shop), seed=1).split("region", [week])
    assert told.groups == ["north"]
