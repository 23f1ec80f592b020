from __future__ import annotations

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.experiments import preference, team_draft


def test_a_draft_takes_each_pin_once_and_each_ranker_picks_half() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        draft = team_draft(list(range(20)), list(range(19, -1, -1)), 10, rng)
        assert len(set(draft.pins)) == 10
        assert draft.teams.count(0) == 5


def test_the_first_places_are_shared_fairly() -> None:
    rng = np.random.default_rng(1)
    firsts = [team_draft("abcd", "wxyz", 4, rng).pins[0] for _ in range(2000)]
    assert abs(firsts.count("a") / 2000 - 0.5) < 0.04


def test_short_and_equal_lists_end_without_a_loop() -> None:
    rng = np.random.default_rng(2)
    assert set(team_draft("ab", "ba", 10, rng).pins) == {"a", "b"}
    assert team_draft("", "", 5, rng).pins == ()
    assert team_draft("", "xy", 5, rng).teams == (1, 1)


def test_credit_counts_a_pin_once_and_forgets_strangers() -> None:
    draft = team_draft("ab", "xy", 4, np.random.default_rng(3))
    assert draft.credit(["a", "a", "x", "nobody"]) == (1, 1)


def test_a_better_ranker_is_named_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(4)
    better = preference([(1, 0) if rng.random() < 0.4 else (0, 1) for _ in range(400)])
    assert better.winner == 1
    assert better.low < 0.6 < better.high
    wrong = 0
    for _ in range(200):
        found, wins = [], False
        for _ in range(10):
            found += [(1, 0) if rng.random() < 0.5 else (0, 1) for _ in range(40)]
            wins |= preference(found).winner is not None
        wrong += wins
    assert wrong / 200 <= 0.05
    assert preference([(1, 1), (0, 0)]).winner is None
    assert preference([]).low == 0
    with pytest.raises(UsageError, match="below 0"):
        preference([(-1, 0)])
