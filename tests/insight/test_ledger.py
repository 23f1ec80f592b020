"""The ledger: nothing is told that it does not pay for, and nothing is told in two ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visualsearch.errors import BudgetError, UsageError
from visualsearch.people import DELTA, People, epsilon_of, open_people, rho_of
from visualsearch.quality.insight import measure_ledger

from .conftest import Clock


def asked(
    people: People, name: str, value: int, epsilon: float = 1.0, data_set: str = "people 2026-05"
) -> int:
    found: int = people.release({"what": name}, [data_set], epsilon, lambda rho: value)
    return found


def test_the_same_question_gets_the_same_answer_and_costs_once(people: People) -> None:
    assert [asked(people, "cats", value) for value in (5, 6, 7)] == [5, 5, 5]
    held = people.budget("people 2026-05")
    assert held.releases == 1
    assert held.spent == pytest.approx(1.0)


def test_costs_add_up_as_zero_concentrated_ones_do(people: People) -> None:
    for number in range(4):
        asked(people, f"cats {number}", number)
    assert people.budget("people 2026-05").spent == pytest.approx(epsilon_of(4 * rho_of(1.0, DELTA), DELTA))
    assert people.budget("people 2026-06").spent == 0


def test_a_spent_budget_refuses_before_anything_is_counted(people: People) -> None:
    people.set_budget("people 2026-05", 2.0)
    asked(people, "one", 1, epsilon=1.5)
    with pytest.raises(BudgetError, match=r"from 1\.50 to"):
        people.release({"what": "two"}, ["people 2026-05"], 1.5, lambda rho: pytest.fail("it was counted"))
    assert asked(people, "one", 9, epsilon=1.5) == 1


def test_a_release_over_two_months_needs_room_in_both(people: People) -> None:
    people.set_budget("people 2026-06", 0.5)
    with pytest.raises(BudgetError, match="2026-06"):
        people.release({"what": "week"}, ["people 2026-05", "people 2026-06"], 1.0, lambda rho: 1)
    assert people.budget("people 2026-05").spent == 0


def test_it_survives_a_restart_and_an_answer_that_never_came(folder: Path, clock: Clock) -> None:
    def dies(rho: float) -> int:
        raise KeyboardInterrupt

    with open_people(folder, now=clock) as people:
        asked(people, "cats", 5)
        with pytest.raises(KeyboardInterrupt):
            people.release({"what": "dogs"}, ["people 2026-05"], 1.0, dies)
    with open_people(folder, now=clock) as people:
        assert asked(people, "cats", 6) == 5
        assert people.budget("people 2026-05").releases == 1


def test_of_two_processes_that_ask_at_once_both_tell_the_answer_that_was_kept(
    folder: Path, clock: Clock
) -> None:
    with open_people(folder, now=clock) as one, open_people(folder, now=clock) as other:

        def meanwhile(rho: float) -> int:
            asked(other, "cats", 8)
            return 5

        assert one.release({"what": "cats"}, ["people 2026-05"], 1.0, meanwhile) == 8
        assert one.budget("people 2026-05").releases == 1


@pytest.mark.parametrize("epsilon", [0, -1, 100, float("nan"), float("inf")])
def test_an_epsilon_that_protects_nobody_or_tells_nothing_is_refused(people: People, epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon"):
        asked(people, "cats", 5, epsilon=epsilon)


def test_random_requests_never_pass_the_bound(people: People) -> None:
    found = measure_ledger(people, sequences=20, seed=3)
    assert (found["passed"], found["changed"]) == (0, 0)
    assert found["refused"] > 0


def test_rho_and_epsilon_are_each_others_inverse() -> None:
    for epsilon in np.geomspace(0.01, 10, 7):
        assert epsilon_of(rho_of(float(epsilon), DELTA), DELTA) == pytest.approx(epsilon)
