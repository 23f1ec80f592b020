from __future__ import annotations

import math

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.experiments import (
    Action,
    Estimate,
    Guardrail,
    Plan,
    Sample,
    compare,
    corrected,
    critical,
    decide,
    looked_at,
    p_value,
    ratio_alarm,
    ratio_check,
)


def sides(n: int, effect: float, seed: int = 0) -> tuple[Sample, Sample]:
    rng = np.random.default_rng(seed)
    before = rng.gamma(2, 1, (2, n)).astype(np.float64)
    value = rng.poisson(before * np.array([[1.0], [1 + effect]])).astype(np.float64)
    return Sample(value[0], before=before[0]), Sample(value[1], before=before[1])


def test_a_difference_of_means_is_textbooks() -> None:
    found = compare(Sample(np.arange(40.0)), Sample(np.arange(40.0) + 3))
    error = math.sqrt(2 * np.arange(40.0).var(ddof=1) / 40)
    assert found.difference == pytest.approx(3)
    assert found.error == pytest.approx(error)
    assert found.fixed_high - found.difference == pytest.approx(1.959964 * error, rel=1e-5)
    assert found.lift == pytest.approx(3 / 19.5)


def test_the_delta_method_gives_the_bootstraps_error() -> None:
    rng = np.random.default_rng(3)
    shown = rng.poisson(rng.gamma(2, 10, 4000)) + 1.0
    saved = rng.binomial(shown.astype(int), 0.1).astype(float)
    arm = Sample(saved, shown)
    found = compare(arm, arm)
    draws = rng.integers(0, 4000, (600, 4000))
    spread = (saved[draws].sum(1) / shown[draws].sum(1)).std()
    assert found.control == pytest.approx(saved.sum() / shown.sum())
    assert found.error / math.sqrt(2) == pytest.approx(spread, rel=0.1)


def test_what_was_known_before_narrows_the_interval_and_leaves_the_truth_inside() -> None:
    control, treatment = sides(4000, 0.1)
    plain = compare(Sample(control.value), Sample(treatment.value))
    better = compare(control, treatment)
    assert better.variance_kept < 0.6
    assert better.high - better.low < 0.8 * (plain.high - plain.low)
    assert better.low < 0.2 < better.high
    assert better.wins


def test_looking_every_day_keeps_the_promise_and_the_daily_z_test_does_not() -> None:
    rates = looked_at(Plan(), 200, seed=0)
    assert rates.daily_z > 0.15
    assert rates.always_valid <= 0.05


def test_a_real_effect_is_found_nearly_as_often_as_by_one_look() -> None:
    rates = looked_at(Plan(effect=0.45), 120, seed=3)
    assert rates.fixed > 0.7
    assert rates.always_valid >= 0.75 * rates.fixed


def test_the_interval_is_sharpest_at_the_planned_end_and_never_ends() -> None:
    assert critical(1.0) < 2.4
    assert critical(0.5) > critical(1.0) < critical(1.01)
    assert critical(100.0) < 5
    with pytest.raises(UsageError, match="share of 0"):
        critical(0.0)


def test_too_few_units_bound_nothing() -> None:
    found = compare(Sample(np.zeros(0)), Sample(np.ones(5)))
    assert not found.enough
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert p_value(found) == 1


def test_a_lost_unit_in_ten_raises_the_alarm_and_chance_does_not() -> None:
    assert ratio_alarm([5000, 4500], [1, 1]) < 1e-3
    assert ratio_alarm([0, 0], [1, 1]) == 1
    assert ratio_check({"a": 5030, "b": 4970}, {"a": 1, "b": 1})[1] is False
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        counts = np.zeros(2, int)
        alarmed = False
        for _ in range(30):
            counts += rng.multinomial(100, [0.5, 0.5])
            alarmed |= ratio_alarm(counts.tolist(), [1, 1]) < 0.05
        alarms += alarmed
    assert alarms / 300 <= 0.05


def test_many_subgroups_are_corrected() -> None:
    assert corrected([0.001, 0.04, 0.2, 0.03]) == [True, False, False, False]
    assert corrected([0.01, 0.02, 0.03, 0.04]) == [True] * 4
    assert corrected([]) == []


def estimate(low: float, high: float, enough: bool = True) -> Estimate:
    middle = (low + high) / 2
    return Estimate(1.0, 1 + middle, middle, 0.1, low, high, low, high, (100, 100), 1.0, enough)


def test_a_broken_guardrail_stops_and_a_whole_one_lets_it_grow() -> None:
    rails = [Guardrail("saves", 0.05), Guardrail("hides", higher_is_better=False)]
    good = {"saves": estimate(-0.04, 0.1), "hides": estimate(-0.1, 0.1)}
    assert decide(0.01, good, rails, hours=30).ramp == 0.1
    assert decide(0.01, good, rails, hours=3).action is Action.WAIT
    assert decide(1.0, good, rails, hours=99).action is Action.WAIT
    worse = {**good, "saves": estimate(-0.3, -0.06)}
    found = decide(0.5, worse, rails, hours=1)
    assert found.action is Action.STOP
    assert "saves went from 1 to" in found.reason
    assert decide(0.5, {**good, "hides": estimate(0.01, 0.2)}, rails, hours=1).action is Action.STOP
    assert decide(0.5, good, rails, hours=99, alarm=True).action is Action.STOP
    assert decide(0.1, {**good, "saves": estimate(-9, 9, False)}, rails, hours=99).action is Action.WAIT
    with pytest.raises(UsageError, match="cannot be judged"):
        decide(0.1, {}, rails, hours=99)


def test_odd_arms_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="NaN"):
        Sample(np.array([1.0, np.nan]))
    with pytest.raises(UsageError, match="2 values and 1 of over"):
        Sample(np.ones(2), np.ones(1))
