"""Trends are found in noisy counts, keep their ids, and cost what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import BudgetError, UsageError
from visualsearch.insight import (
    Phase,
    clusters,
    find_trends,
    judge,
    make_clusters,
    read_collection,
    write_report,
)
from visualsearch.insight.growth import day_factors

from ..fakes import FakeEncoder
from ..world.conftest import cluster_records


def test_what_rises_is_found_named_and_shown_and_asking_again_is_free(untold: vs.Index) -> None:
    # Of its own copy: another test's release, once told, is told again with the noise that it drew.
    found = find_trends(untold, days=56, by=["region"], seed=4)
    rising = found.of(Phase.RISING, Phase.PEAKING)
    assert "birds" in {trend.name for trend in rising}
    assert {trend.name.rstrip(" 23") for trend in rising} == {"birds"}
    assert rising[0].low is not None
    assert rising[0].low > 1.5
    spent = [each.spent for each in untold.people.budgets()]
    again = find_trends(untold, days=56, by=["region"])
    assert [trend.weeks for trend in again.trends] == [trend.weeks for trend in found.trends]
    assert [each.spent for each in untold.people.budgets()] == spent
    assert all(each["spent"] <= each["limit"] for each in found.budgets)


def test_a_spent_month_is_left_out_and_said(untold: vs.Index) -> None:
    untold.people.set_budget("people 2026-05", 0.5)
    found = find_trends(untold, days=56, seed=1)
    assert any("people 2026-05 is spent" in note for note in found.notes)
    assert found.days[0] == "2026-06-01"
    assert len(found.days) == 28
    untold.people.set_budget("people 2026-06", 7.0)
    with pytest.raises(BudgetError, match="2026-06"):
        find_trends(untold, days=10, epsilon=7.0)


@pytest.mark.parametrize(("options", "why"), [
    ({"days": 0}, "days"), ({"until": "tomorrow"}, "no day"), ({"until": "2031-01-01"}, "cannot tell"),
    ({"until": "2020-01-01"}, "nothing to see"), ({"epsilon": 100}, "epsilon"), ({"epsilon": 0}, "epsilon"),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(shop: vs.Index, options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        find_trends(shop, **options)


def test_clusters_keep_their_ids_when_pins_come(tmp_path: Path) -> None:
    with vs.create(tmp_path / "a.index", FakeEncoder()) as index:
        records = cluster_records(each=40, kinds=7)
        index.add(records[:240])
        before = read_collection(index).clusters
        index.add(records[240:])
        after = read_collection(index).clusters
    shared = set(before.ids.tolist()) & set(after.ids.tolist())
    assert len(shared) >= len(before) - 1
    for number in shared:
        old, new = (np.flatnonzero(each.ids == number)[0] for each in (before, after))
        assert before.centres[old] @ after.centres[new] > clusters.SAME
    assert set(after.ids[~np.isin(after.ids, before.ids)].tolist()).isdisjoint(before.ids.tolist())
    assert after.map.min() >= 0
    assert after.map.max() <= 1


def test_clusters_of_two_runs_over_the_same_pins_are_the_same() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    one = make_clusters(rows, [("a",)] * 200)
    other = make_clusters(rows, [("a",)] * 200, one)
    assert other.run == 2
    assert (
        set(other.ids.tolist()) >= set(one.ids.tolist()) or len(set(other.ids) & set(one.ids)) > len(one) / 2
    )


def series(
    days: int, level: Callable[[int], float], seed: int = 0, others: int = 9, base: float = 200.0
) -> np.ndarray:
    """Counts of ten clusters with days of the week, growth of all, and one cluster of its own."""
    rng = np.random.default_rng(seed)
    busy = np.array([(0.8, 0.8, 0.9, 1.0, 1.1, 1.3, 1.4)[day % 7] * (1 + day / 200) for day in range(days)])
    usual = np.tile(busy[:, None] * base, (1, others))
    own = busy * base * np.array([level(day) for day in range(days)])
    return rng.poisson(np.column_stack([own, usual])).astype(float)


@pytest.mark.parametrize(("level", "phase"), [
    (lambda day: 1.0, Phase.STEADY),
    (lambda day: 1.0 if day < 55 else 1.5 + (day - 55) / 3, Phase.RISING),
    (lambda day: 1.0 if day < 50 else 2.0, Phase.PEAKING),
    (lambda day: 2.5 if 38 <= day < 53 else 1.0, Phase.FADING),
])  # fmt: skip
def test_phases_with_days_of_the_week_and_growth_of_all_taken_out(
    level: Callable[[int], float], phase: Phase
) -> None:
    found = judge(series(60, level))
    assert found.phase[0] is phase
    assert all(each is Phase.STEADY for each in found.phase[1:])


def test_what_returns_each_year_is_told_from_what_is_new() -> None:
    def yearly(day: int) -> float:
        return 2.0 if day % 364 >= 340 else 1.0

    days = 364 + 350
    found = judge(series(days, yearly))
    assert found.returns[0] is True
    assert found.phase[0] is Phase.STEADY  # the season is taken out
    fresh = judge(series(days, lambda day: 2.0 if day >= days - 8 else 1.0))
    assert fresh.returns[0] is False
    assert fresh.phase[0] in (Phase.RISING, Phase.PEAKING)


def test_missing_and_empty_days_say_nothing() -> None:
    counts = series(60, lambda day: 1.0)
    counts[20:24] = np.nan
    counts[40] = 0
    found = judge(counts)
    assert all(each is Phase.STEADY for each in found.phase)
    assert np.isnan(day_factors(counts)[0][40])
    assert judge(np.zeros((60, 3))).phase == [Phase.UNKNOWN] * 3
    assert judge(np.zeros((2, 3))).phase == [Phase.UNKNOWN] * 3


def test_a_cluster_that_is_new_costs_the_others_nothing() -> None:
    counts = series(60, lambda day: 1.0 if day < 55 else 1.5 + (day - 55) / 3)
    counts[:50, 4] = np.nan
    found = judge(counts)
    assert found.phase[0] is Phase.RISING
    assert found.phase[4] is Phase.UNKNOWN
    assert all(each is Phase.STEADY for at, each in enumerate(found.phase) if at not in (0, 4))


def test_the_page_stands_alone(shop: vs.Index, tmp_path: Path) -> None:
    page = write_report(find_trends(shop, days=56), tmp_path / "trends.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert page.count("<title>") > 5
    assert "data:text/csv" in page


def test_the_command_tells_json_and_writes_a_page(
    shop: vs.Index, run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run(
        "insight",
        "trends",
        shop.folder,
        "--last",
        30,
        "--until",
        "2026-06-28",
        "--json",
        "--html",
        tmp_path / "t.html",
    )
    assert done.code == 0, done.err
    assert {"trends", "budgets", "last_day"} <= set(done.json)
    assert (tmp_path / "t.html").exists()
    assert run("insight", "trends", shop.folder, "--epsilon", 100).code == 2
    spent = run("insight", "budget", shop.folder, "--json").json
    assert {each["data_set"] for each in spent} >= {"people 2026-06"}
