"""A backup that comes back brings no older ledger: what was spent stays spent, or nothing new is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import visualsearch as vs
from visualsearch.errors import BudgetError
from visualsearch.people import DELTA, People, carry_ledger, epsilon_of, open_people, rho_of
from visualsearch.people.spent import MARK

from ..fakes import FakeEncoder
from ..world.conftest import cluster_records

MAY, NOW = "people 2026-05", f"people {datetime.now(UTC):%Y-%m}"


def told(people: People, name: str, value: int, epsilon: float = 1.0, data_set: str = MAY) -> int:
    found: int = people.release({"what": name}, [data_set], epsilon, lambda rho: value)
    return found


@pytest.fixture
def living(tmp_path: Path) -> Iterator[vs.Index]:
    """An index of which a backup was made before its last answers were told."""
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        index.add(cluster_records(each=2, kinds=2))
        told(index.people, "cats", 5)
        vs.back_up(index.folder, tmp_path / "b")
        told(index.people, "dogs", 6, epsilon=3.0)
        yield index


def test_what_was_told_since_the_backup_stays_told_and_spent(living: vs.Index, tmp_path: Path) -> None:
    living.people.set_budget(MAY, 4.0)
    spent = living.people.budget(MAY)
    made = vs.restore(tmp_path / "b", tmp_path / "again", after=living.folder)
    with open_people(made.place) as people:
        assert people.budget(MAY) == spent
        assert (told(people, "cats", 0), told(people, "dogs", 0, epsilon=3.0)) == (5, 6)
        with pytest.raises(BudgetError, match="spent"):
            told(people, "birds", 7, epsilon=3.0)


def test_without_the_living_record_nothing_new_is_told_of_months_that_were(
    living: vs.Index, tmp_path: Path
) -> None:
    made = vs.restore(tmp_path / "b", tmp_path / "again")
    with open_people(made.place) as people:
        assert told(people, "cats", 0) == 5
        for data_set in (MAY, NOW, "anything else"):
            with pytest.raises(BudgetError, match="restored from a backup on 20"):
                told(people, "birds", 7, data_set=data_set)
        assert people.budget(MAY).left == 0
        people.set_budget(MAY, 10.0)
        with pytest.raises(BudgetError, match="closed"):
            told(people, "birds", 7)
        assert told(people, "birds", 7, data_set="people 2199-01") == 7


def test_the_living_ledger_can_be_brought_over_later_and_an_owner_can_give_their_word(
    living: vs.Index, tmp_path: Path, run: Callable[..., Any]
) -> None:
    made = vs.restore(tmp_path / "b", tmp_path / "again").place
    closed = run("insight", "budget", made, "--json").json
    assert [(each["data_set"], each["left"]) for each in closed] == [(MAY, 0.0)]
    assert closed[0]["closed"]
    other = shutil.copytree(made, tmp_path / "other")
    opened = run("insight", "budget", made, "--from", living.folder, "--json").json
    assert (opened[0]["closed"], opened[0]["spent"]) == (None, living.people.budget(MAY).spent)
    word = run("insight", "budget", other, "--nothing-since", "--json").json
    assert [(each["data_set"], each["closed"]) for each in word] == [(MAY, None)]
    assert word[0]["spent"] == pytest.approx(1.0)
    assert run("insight", "budget", made, "--from", tmp_path).code == 2


def test_two_answers_to_one_question_cost_twice(living: vs.Index, tmp_path: Path) -> None:
    made = vs.restore(tmp_path / "b", tmp_path / "again", after=living.folder)
    with open_people(made.place) as people:
        told(people, "birds", 7)
        told(living.people, "birds", 8)
    third = vs.restore(tmp_path / "b", tmp_path / "third", after=made.place).place
    assert carry_ledger(living.folder, third) == 0
    with open_people(third) as people:
        rho = 3 * rho_of(1.0, DELTA) + rho_of(3.0, DELTA)  # cats, dogs, birds here and birds there
        assert people.budget(MAY).spent == pytest.approx(epsilon_of(rho, DELTA))


def test_an_older_record_put_in_place_by_hand_wins_nothing_back(tmp_path: Path) -> None:
    folder = tmp_path / "pins.index"
    folder.mkdir()
    with open_people(folder) as people:
        told(people, "cats", 5)
    shutil.copy(folder / "people.sqlite", tmp_path / "old")
    with open_people(folder) as people:
        told(people, "dogs", 6, epsilon=3.0)
        spent = people.budget(MAY).spent
    shutil.copy(tmp_path / "old", folder / "people.sqlite")
    with open_people(folder) as people:
        assert people.budget(MAY).spent == pytest.approx(spent)
        told(people, "dogs", 8, epsilon=3.0)  # drawn anew, so it costs anew
        both = 2 * rho_of(3.0, DELTA) + rho_of(1.0, DELTA)
        assert people.budget(MAY).spent == pytest.approx(epsilon_of(both, DELTA))


def test_a_backup_where_it_lies_tells_nothing_new(living: vs.Index, tmp_path: Path) -> None:
    assert not (tmp_path / "b" / MARK).exists()
    with open_people(tmp_path / "b") as people:
        assert told(people, "cats", 0) == 5
        with pytest.raises(BudgetError, match="it is a backup"):
            told(people, "birds", 7)
