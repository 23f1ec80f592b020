"""Off-policy estimates: right on average, honest about their interval, and silent where the log cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.learn import Logged, value_of

ARMS = 5
GOOD = np.array([0.05, 0.1, 0.15, 0.2, 0.3])
OLD = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
NEW = np.array([0.05, 0.1, 0.2, 0.3, 0.35])
TRUTH = float(NEW @ GOOD)


def logged(seed: int, count: int = 8000) -> Logged:
    rng = np.random.default_rng(seed)
    arm = rng.choice(ARMS, count, p=OLD)
    reward = (rng.random(count) < GOOD[arm]).astype(float)
    guess = GOOD * 0.8 + 0.02  # a model that is off
    return Logged(reward, OLD[arm], NEW[arm], guess=guess[arm], expected=np.full(count, float(NEW @ guess)))


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_intervals_hold_the_truth_as_often_as_they_promise(method: str) -> None:
    found = [value_of(logged(seed), method) for seed in range(400)]
    held = np.mean([value.low <= TRUTH <= value.high for value in found])
    assert 0.92 <= held <= 0.98
    assert np.mean([value.mean for value in found]) == pytest.approx(TRUTH, abs=0.002)


def test_a_guess_that_is_near_narrows_the_interval() -> None:
    ips, dr = (value_of(logged(0), method) for method in ("ips", "dr"))
    assert dr.high - dr.low < ips.high - ips.low


def test_people_who_come_often_widen_it() -> None:
    one = logged(0)
    doubled = [np.repeat(column, 2) for column in (one.reward, one.logged, one.wanted)]
    unit = np.repeat(np.arange(len(one.reward)), 2)
    single, twice, honest = (
        value_of(one, "ips"),
        value_of(Logged(*doubled), "ips"),
        value_of(Logged(*doubled, unit=unit), "ips"),
    )
    assert twice.high - twice.low < 0.8 * (single.high - single.low)
    assert honest.high - honest.low == pytest.approx(single.high - single.low, rel=0.01)


def test_it_is_refused_below_a_thousand_effective_impressions_and_without_support() -> None:
    with pytest.raises(UsageError, match=r"are worth [0-9]+, and 1,000 are needed"):
        value_of(logged(0, 900))
    with pytest.raises(UsageError, match="20% of what it would show was never shown"):
        value_of(replace(logged(0), unseen=0.2))
    with pytest.raises(UsageError, match="the mean weight is"):
        value_of(replace(logged(0), wanted=logged(0).wanted * 0.2))
    with pytest.raises(UsageError, match="a logged chance must be above 0"):
        value_of(replace(logged(0), logged=np.zeros(8000)))
    with pytest.raises(UsageError, match="DR needs a model's guesses"):
        value_of(replace(logged(0), guess=None), "dr")
    with pytest.raises(UsageError, match="there is no estimate 'luck'"):
        value_of(logged(0), "luck")
